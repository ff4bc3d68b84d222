//! How a process says that it is ready.

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use crate::policy::SpecError;

/// When a process counts as ready.
#[derive(Clone)]
pub(super) enum Ready {
    /// When a GET of `path` from `address` succeeds.
    Http { address: Arc<str>, path: Arc<str> },
    /// When the function says so of a line that it has written.
    Match(Arc<dyn Fn(&str) -> bool + Send + Sync>),
    /// When this address accepts a connection.
    Port(Arc<str>),
    /// As soon as it is started.
    Start,
}

impl Ready {
    /// Refuses what could never be: such a process would be waited for in vain.
    pub(super) fn validate(&self) -> Result<(), SpecError> {
        let (field, address) = match self {
            Self::Http { address, .. } => ("ready_on_http", address),
            Self::Port(address) => ("ready_on_port", address),
            Self::Match(_) | Self::Start => return Ok(()),
        };
        // As `ToSocketAddrs` takes it apart.
        let port = address
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty());
        let port = port.and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|port| port == 0) {
            let expected = "a host and a port above zero, as in `127.0.0.1:8080`";
            return Err(SpecError::value(field, address, expected));
        }
        // Both are written into the lines of a request.
        if let Self::Http { address, path } = self {
            let odd =
                |text: &str| text.contains(|letter: char| letter.is_control() || letter == ' ');
            if odd(address) || odd(path) || !path.starts_with('/') {
                let expected = "a path that begins with `/`, without spaces and control characters";
                return Err(SpecError::value(field, path, expected));
            }
        }
        Ok(())
    }
}

/// Waits until `address` accepts a connection.
pub(super) async fn port_accepts(address: Arc<str>) {
    until(|| TcpStream::connect(&*address)).await;
}

/// Waits until `address` answers a GET of `path` with a status of 200 to 399.
pub(super) async fn http_answers(address: Arc<str>, path: Arc<str>) {
    until(|| get(&address, &path)).await;
}

/// Repeats an attempt until it succeeds.
async fn until<T, F: Future<Output = io::Result<T>>>(mut attempt: impl FnMut() -> F) {
    while !matches!(time::timeout(LONGEST_ATTEMPT, attempt()).await, Ok(Ok(_))) {
        time::sleep(PAUSE).await;
    }
}

async fn get(address: &str, path: &str) -> io::Result<()> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    // As in `HTTP/1.1 200`.
    let mut start = [0; 12];
    connection.read_exact(&mut start).await?;
    if start.starts_with(b"HTTP/1.") && matches!(start[8..], [b' ', b'2' | b'3', _, _]) {
        Ok(())
    } else {
        Err(io::Error::other("not ready"))
    }
}

/// How long to wait between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one attempt may take.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(1);
