//! Serves one client: a line in, a line out.

use std::{io, pin::pin};

use actix::prelude::*;
use futures::{StreamExt, stream};
use resurgam::{ServiceContext, ServiceRef};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::oneshot,
};

use crate::statistics::{Line, Statistics};

/// How many lines of one client may be under way.
const PIPELINE: usize = 32;

/// The service of one client. Ends when the client has no more lines, or goes away.
pub(crate) struct Connection {
    parts: Option<(TcpStream, ServiceRef<Statistics>)>,
    /// Dropped to end the reading.
    reading: Option<oneshot::Sender<()>>,
}

impl Connection {
    pub(crate) fn new(socket: TcpStream, statistics: ServiceRef<Statistics>) -> Self {
        Self {
            parts: Some((socket, statistics)),
            reading: None,
        }
    }
}

impl Actor for Connection {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some((socket, statistics)) = self.parts.take() else {
            return;
        };
        let (reading, end) = oneshot::channel();
        self.reading = Some(reading);
        let serving = serve(socket, statistics, end).into_actor(self);
        ctx.spawn(serving.map(|served, connection, ctx| {
            connection.reading = None;
            match served {
                Ok(()) => ctx.stop(),
                Err(error) => ctx.fail(error),
            }
        }));
    }

    /// Takes no more lines, answers those that are under way, and stops then.
    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        match self.reading.take() {
            Some(_) => Running::Continue,
            None => Running::Stop,
        }
    }
}

/// Answers each line with its number, in order, until there are no more or `end` comes.
async fn serve(
    mut socket: TcpStream,
    statistics: ServiceRef<Statistics>,
    end: oneshot::Receiver<()>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (reader, mut writer) = socket.split();
    let lines = stream::unfold(BufReader::new(reader).lines(), |mut lines| async {
        Some((lines.next_line().await.transpose()?, lines))
    });
    let answers = lines
        .take_until(end)
        .map(|line| async { Ok::<_, io::Error>(statistics.send(Line(line?)).await) })
        .buffered(PIPELINE);
    let mut answers = pin!(answers.enumerate());
    while let Some((index, answer)) = answers.next().await {
        let answer = match answer? {
            Ok(Ok(folded)) => format!("ok {folded}"),
            Ok(Err(malformed)) => format!("refused {malformed}"),
            Err(lost) => format!("lost {lost}"),
        };
        let answer = format!("{} {answer}\n", index + 1);
        writer.write_all(answer.as_bytes()).await?;
    }
    writer.shutdown().await
}
