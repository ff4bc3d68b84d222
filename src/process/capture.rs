//! Runs a command once, and returns what it writes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::{self, Either};
use tokio::time;
use tracing::{Level, event};

use super::{
    command::{Command, Merge, Stdin},
    error::{CaptureError, SpawnError},
    keeper::Spawned,
    output::{DRAIN, Drain, Line, LineReader, Output, Writer, feed},
};
use crate::user_value::say;

impl Command {
    /// Runs the command to its end and returns what it has written to its standard output.
    ///
    /// What is not UTF-8 is replaced by `U+FFFD`. Its standard error goes to `tracing` and [`lines`](Self::lines), as everything does,
    /// with the program as path. Needs no supervisor. What the process has left running in its group is killed at its end. Unbounded; put
    /// it into [`timeout`](tokio::time::timeout).
    ///
    /// # Errors
    ///
    /// An exit with anything but 0 is an error, which keeps the output.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time; an actix system is one.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the process and its group are killed, and the output is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use resurgam::process::{CaptureError, Command, ExitError};
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), CaptureError> {
    /// assert_eq!(Command::new("echo").arg("hello").capture().await?, "hello\n");
    ///
    /// let failed = Command::new("sh").args(["-c", "echo part; exit 3"]).capture().await;
    /// let error = failed.expect_err("exits with 3");
    /// assert_eq!(error.to_string(), "`sh` exited with status 3");
    /// assert_eq!(error.output(), Some("part\n"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn capture(self) -> Result<String, CaptureError> {
        run(self, Merge::No).await
    }

    /// The same as [`capture`](Self::capture), with standard output and standard error as one, in the order in which they were written.
    ///
    /// The lines of both count as [`Output::Stdout`], since they come through one pipe.
    pub async fn capture_err(self) -> Result<String, CaptureError> {
        run(self, Merge::Yes).await
    }
}

async fn run(command: Command, merge: Merge) -> Result<String, CaptureError> {
    let program = command.program();
    let writer = Writer {
        path: Arc::from(program.as_str()),
        generation: 0,
    };
    let (spawned, watch) = command.spawn(merge).await?;
    let Spawned {
        mut group,
        stdin,
        outputs,
    } = spawned;
    say(
        || event!(target: "resurgam::process", Level::DEBUG, path = program, generation = 0, "started `{command}`"),
    );

    let drain = Mutex::new(Drain::default());
    let mut captured = Vec::new();
    let mut readers = Vec::new();
    for (output, pipe) in outputs {
        let reader = LineReader::new(pipe).map_err(|error| SpawnError::refused(&program, error))?;
        readers.push((output, reader));
    }
    let end = {
        let mut stdout = Some(&mut captured);
        let reading = readers.into_iter().map(|(output, reader)| {
            let kept = match output {
                Output::Stdout => stdout.take(),
                Output::Stderr => None,
            };
            read(&command, &writer, output, reader, kept, &drain)
        });
        let reading = future::join_all(reading);
        let feeding = async {
            if let (Some(pipe), Stdin::Bytes(bytes)) = (stdin, command.input()) {
                feed(pipe, Arc::clone(bytes)).await;
            }
        };
        let streams = Box::pin(future::join(feeding, reading));
        match future::select(streams, Box::pin(watch.wait())).await {
            Either::Left((_, end)) => end.await,
            Either::Right((end, mut streams)) => {
                group.kill();
                lock(&drain).begin();
                while time::timeout(DRAIN, &mut streams).await.is_err() && lock(&drain).goes_on() {}
                end
            }
        }
    };
    group.kill_and_reap();

    let output = String::from_utf8_lossy(&captured).into_owned();
    match end.check(&program, None) {
        Ok(()) => {
            say(
                || event!(target: "resurgam::process", Level::DEBUG, path = program, generation = 0, "exited successfully"),
            );
            Ok(output)
        }
        Err(error) => {
            say(
                || event!(target: "resurgam::process", Level::WARN, path = program, generation = 0, "{error}"),
            );
            Err(CaptureError::Exit { error, output })
        }
    }
}

async fn read(
    command: &Command,
    writer: &Writer,
    output: Output,
    mut reader: LineReader,
    mut kept: Option<&mut Vec<u8>>,
    drain: &Mutex<Drain>,
) {
    while let Some(line) = reader.next().await {
        lock(drain).read(&line);
        command.publish(Line::new(writer.clone(), output, &line));
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&line);
        }
    }
}

/// Never poisoned in the middle of a change.
fn lock(drain: &Mutex<Drain>) -> MutexGuard<'_, Drain> {
    drain.lock().unwrap_or_else(PoisonError::into_inner)
}
