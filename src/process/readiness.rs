//! How a process says that it is ready.

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

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
