//! Serves one client: a line in, a line out.

use std::{io, pin::pin};

use futures::{StreamExt, stream};
use resurgam::{ServiceRef, TaskContext};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::statistics::{Line, Statistics};

/// How many lines of one client may be under way.
const PIPELINE: usize = 32;

/// The service of one client: answers each line with its number, in order, until the client has no more lines, or goes away.
///
/// When it is asked to stop it takes no more lines, answers those that are under way, and ends then.
pub(crate) async fn serve(
    cx: TaskContext,
    mut socket: TcpStream,
    statistics: ServiceRef<Statistics>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (reader, mut writer) = socket.split();
    let lines = stream::unfold(BufReader::new(reader).lines(), |mut lines| async {
        Some((lines.next_line().await.transpose()?, lines))
    });
    let answers = lines
        .take_until(cx.shutdown())
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
