//! As much of an HTTP client as the tests take, ports, and waiting with a deadline.

use std::{
    future::Future,
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use resurgam::{Event, EventKind, Events};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::yield_now,
    time::timeout,
};

/// Waits for something; the time limit is for a test that has failed.
pub(crate) async fn soon<T>(wanted: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), wanted)
        .await
        .expect("it did not happen in time")
}

/// A request to a server.
pub(crate) async fn get(server: SocketAddr, path: &str) -> io::Result<Answer> {
    let mut socket = TcpStream::connect(server).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    Answer::parse(&answer).ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

/// The answer to a request that is sent until the server is there.
pub(crate) async fn get_in_time(server: SocketAddr, path: &str) -> Answer {
    soon(async {
        loop {
            match get(server, path).await {
                Ok(answer) => return answer,
                Err(_) => yield_now().await,
            }
        }
    })
    .await
}

#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn ok(body: &str) -> Self {
        let body = body.to_owned();
        Self { status: 200, body }
    }

    fn parse(answer: &str) -> Option<Self> {
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let body = body.to_owned();
        Some(Self { status, body })
    }
}

pub(crate) async fn is_refused(server: SocketAddr) -> bool {
    let connected = TcpStream::connect(server).await;
    connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Waits until nobody listens any more.
pub(crate) async fn refused(server: SocketAddr) {
    soon(async {
        while !is_refused(server).await {
            yield_now().await;
        }
    })
    .await;
}

/// A port on which nobody listens.
///
/// On Linux nobody else is given it either, and no client as its own: it is bound, in a way that lets a server bind it too.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    _held: Option<TcpSocket>,
}

impl Port {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self {
            address: socket.local_addr().unwrap(),
            _held: cfg!(target_os = "linux").then_some(socket),
        }
    }
}

/// The next event of one service that is of interest.
pub(crate) async fn event(
    events: &mut Events,
    path: &str,
    wanted: impl Fn(&EventKind) -> bool,
) -> Event {
    soon(async {
        while let Some(event) = events.next().await {
            if event.path() == path && wanted(event.kind()) {
                return event;
            }
        }
        panic!("the events ended");
    })
    .await
}

/// How often a service has been started, by the events that are not yet read.
pub(crate) fn starts(events: &mut Events, path: &str) -> usize {
    let mut starts = 0;
    while let Some(event) = events.try_next() {
        let started = matches!(event.kind(), EventKind::ServiceStarted);
        starts += usize::from(event.path() == path && started);
    }
    starts
}
