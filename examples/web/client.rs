//! As much of an HTTP client as this takes.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The status and the body of an answer, in one line.
pub(crate) async fn get(server: SocketAddr, path: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(server).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or("no answer");
    Ok(format!(
        "{}, {body}",
        status.trim_start_matches("HTTP/1.1 ")
    ))
}
