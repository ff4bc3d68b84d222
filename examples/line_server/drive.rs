//! Plays several clients at once: real lines over real sockets.

use std::{fmt, io, net::SocketAddr};

use futures::future::{try_join, try_join_all};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::tally::Tally;

const CLIENTS: usize = 8;
const LINES: usize = 500;
const STATIONS: [&str; 5] = ["Bergen", "Bodø", "Oslo", "Tromsø", "Vardø"];

/// Runs all clients to their ends, and checks what they were answered.
pub(crate) async fn drive(server: SocketAddr) -> io::Result<Tally> {
    let reports: Vec<Vec<Report>> = (0..CLIENTS)
        .map(|client| (client * LINES..(client + 1) * LINES).map(Report).collect())
        .collect();
    let answers = try_join_all(reports.iter().map(|reports| play(server, reports))).await?;
    let mut tally = Tally::default();
    for (reports, answers) in reports.iter().zip(answers) {
        tally.check(reports, &answers);
    }
    Ok(tally)
}

/// Sends the lines of one client, and returns what it was answered.
async fn play(server: SocketAddr, reports: &[Report]) -> io::Result<Vec<String>> {
    let mut socket = TcpStream::connect(server).await?;
    let (reader, mut writer) = socket.split();
    let send = async {
        for report in reports {
            writer.write_all(format!("{report}\n").as_bytes()).await?;
        }
        writer.shutdown().await
    };
    let receive = async {
        let (mut lines, mut answers) = (BufReader::new(reader).lines(), Vec::new());
        while let Some(answer) = lines.next_line().await? {
            answers.push(answer);
        }
        Ok(answers)
    };
    Ok(try_join(send, receive).await?.1)
}

/// What a weather station reports, by its number. Prints as the line that is sent.
#[derive(Clone, Copy)]
pub(crate) struct Report(pub(crate) usize);

/// What is the matter with a report.
pub(crate) enum Shape {
    /// Its line was cut short on its way: no JSON.
    Cut,
    /// The station slept, and had no readings: good JSON, and the server's bug.
    Empty,
    /// Nothing.
    WellFormed,
}

impl Report {
    /// One in 40 is cut short, and twelve of 4000 have no readings.
    pub(crate) fn shape(self) -> Shape {
        match self.0 {
            id if id % 333 == 100 => Shape::Empty,
            id if id % 40 == 7 => Shape::Cut,
            _ => Shape::WellFormed,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0;
        let station = STATIONS[id % STATIONS.len()];
        write!(f, r#"{{"id": {id}, "station": "{station}", "readings": ["#)?;
        match self.shape() {
            Shape::Cut => write!(f, "{}.", id % 13),
            Shape::Empty => f.write_str("]}"),
            Shape::WellFormed => write!(f, "{}.5, {}, -{}.25]}}", id % 13, id % 7, id % 17),
        }
    }
}
