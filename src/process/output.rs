//! What a process writes, line by line.

use std::{
    fmt,
    future::{Future, poll_fn},
    mem,
    os::fd::OwnedFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::Stream;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe,
    sync::broadcast::{self, error::RecvError},
    task,
};
use tracing::{Level, event};

use crate::user_value::say;

/// Where a process has written a line.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a process has these two and no third"
)]
pub enum Output {
    /// To its standard error.
    Stderr,
    /// To its standard output.
    Stdout,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stderr => "stderr",
            Self::Stdout => "stdout",
        })
    }
}

/// A line that a process has written.
///
/// Text, without the end of the line; what is not UTF-8 is replaced by `U+FFFD`. What follows the last end of a line is a line too. More
/// than 64 KiB without an end of a line are several lines. Cheap to clone. Prints as `root/name: text`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    writer: Writer,
    output: Output,
    text: Arc<str>,
}

impl Line {
    pub(super) fn new(writer: Writer, output: Output, bytes: &[u8]) -> Self {
        let text = match bytes.strip_suffix(b"\n") {
            Some(ended) => ended.strip_suffix(b"\r").unwrap_or(ended),
            None => bytes,
        };
        Self {
            writer,
            output,
            text: Arc::from(String::from_utf8_lossy(text)),
        }
    }

    /// The names from the root to the service that runs the process, or the program if it is not a service.
    pub fn path(&self) -> &str {
        &self.writer.path
    }

    /// The number of the incarnation whose process has written it: 0 for the first.
    pub fn generation(&self) -> u64 {
        self.writer.generation
    }

    /// Where it was written.
    pub fn output(&self) -> Output {
        self.output
    }

    /// What was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes the line to `tracing`.
    pub(super) fn trace(&self) {
        say(|| {
            event!(
                target: "resurgam::process",
                Level::INFO,
                path = self.path(),
                generation = self.generation(),
                output = %self.output,
                "{}",
                self.text
            );
        });
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.text)
    }
}

/// The incarnation whose process writes; for a captured command, its program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Writer {
    pub(super) path: Arc<str>,
    pub(super) generation: u64,
}

/// A bounded subscription to the lines of a [`Command`](super::Command), through all incarnations of its service.
///
/// Lines of one output come in the order in which they were written; those of the two outputs in the order in which they were read. The
/// process is not held up by it: of the lines that were not read in time, the latest 1024 are kept, and the others are counted. A
/// [`Stream`], as [`Events`](crate::Events) is.
pub struct Lines {
    next: Received,
    lost: u64,
}

/// A line to come, and what brings the next one: a receiver can only be awaited, and a stream is polled.
type Received = Pin<
    Box<dyn Future<Output = (Result<Line, RecvError>, broadcast::Receiver<Line>)> + Send + Sync>,
>;

impl Lines {
    pub(super) fn new(receiver: broadcast::Receiver<Line>) -> Self {
        Self {
            next: receive(receiver),
            lost: 0,
        }
    }

    /// Waits for the next line; `None` once the service is forgotten, every copy of the command is gone, and all lines have been read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no line is lost with the future.
    pub async fn next(&mut self) -> Option<Line> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// How many lines were not read in time so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Line>> {
        loop {
            let (line, receiver) = ready!(self.next.as_mut().poll(cx));
            self.next = receive(receiver);
            match line {
                Ok(line) => return Poll::Ready(Some(line)),
                Err(RecvError::Lagged(lost)) => self.lost += lost,
                Err(RecvError::Closed) => return Poll::Ready(None),
            }
        }
    }
}

impl Stream for Lines {
    type Item = Line;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Line>> {
        self.get_mut().poll(cx)
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

fn receive(mut receiver: broadcast::Receiver<Line>) -> Received {
    Box::pin(async move { (receiver.recv().await, receiver) })
}

/// How many lines a subscription keeps.
pub(super) const KEPT_LINES: usize = 1024;

/// Reads lines from a pipe, with their ends.
#[derive(Debug)]
pub(super) struct LineReader {
    pipe: BufReader<pipe::Receiver>,
    since_yield: u32,
}

impl LineReader {
    pub(super) fn new(pipe: OwnedFd) -> std::io::Result<Self> {
        Ok(Self {
            pipe: BufReader::new(pipe::Receiver::from_owned_fd(pipe)?),
            since_yield: 0,
        })
    }

    /// The next line with its end; `None` once nobody can write any more.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        // Short lines are read from the buffer, which the runtime's own budget does not see: a process that floods its output
        // must not starve the thread.
        self.since_yield += 1;
        if self.since_yield >= LINES_BETWEEN_YIELDS {
            self.since_yield = 0;
            task::yield_now().await;
        }
        let mut line = Vec::new();
        let mut limited = (&mut self.pipe).take(LONGEST_LINE as u64);
        // Reading fails only if the descriptor is no pipe; then there is nothing more to read.
        let _end = limited.read_until(b'\n', &mut line).await;
        if line.len() == LONGEST_LINE && line.last() != Some(&b'\n') {
            // The line is not too long if its end comes next: left in the pipe, that would be an empty line of its own.
            if let Ok([b'\n', ..]) = self.pipe.fill_buf().await {
                self.pipe.consume(1);
                line.push(b'\n');
            }
        }
        (!line.is_empty()).then_some(line)
    }
}

/// Decides how long output is read after the process has ended and its group was killed.
///
/// Until the end of the output, unless a process that has left the group holds it open. Then until nothing has come for a tenth of a second,
/// and for a second at most, whoever goes on writing. Looked at in rounds, and twice before it is called quiet: on a busy thread the time
/// of a round may be over before what is in the pipes was read.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// Bytes since the end of the process.
    total: usize,
    /// Bytes since the last call of `goes_on`.
    latest: usize,
    /// Calls of `goes_on`.
    rounds: u32,
    /// The latest of them between which nothing came.
    quiet: u32,
}

impl Drain {
    /// Starts to count: the process has ended.
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    /// Counts what was read.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        self.latest += bytes.len();
    }

    /// Asked after each [`DRAIN`]: reports whether what is read may still have been written by the process.
    pub(super) fn goes_on(&mut self) -> bool {
        let latest = mem::take(&mut self.latest);
        self.total += latest;
        self.rounds += 1;
        self.quiet = if latest > 0 { 0 } else { self.quiet + 1 };
        self.quiet < QUIET_ROUNDS && self.rounds < MOST_ROUNDS && self.total <= MOST_LEFT
    }
}

/// One round of reading after the end of a process.
pub(super) const DRAIN: Duration = Duration::from_millis(50);
/// After so many rounds without output it is taken for granted that another process holds the output open.
const QUIET_ROUNDS: u32 = 2;
/// After so many rounds nothing more is read.
const MOST_ROUNDS: u32 = 20;
/// More bytes than the two pipes and their buffers hold: what comes after them was written after the end of the process.
const MOST_LEFT: usize = 256 * 1024;

/// Writes a process's input, and ends it.
pub(super) async fn feed(pipe: OwnedFd, bytes: Arc<[u8]>) {
    let Ok(mut pipe) = pipe::Sender::from_owned_fd(pipe) else {
        return;
    };
    // An error means that the process has closed its input: it need not read all of it. Told to nobody, since it may be secret.
    let _all_that_is_wanted = pipe.write_all(&bytes).await;
}

/// After how many bytes a line is cut.
const LONGEST_LINE: usize = 64 * 1024;
/// How many lines are read before the reader yields.
const LINES_BETWEEN_YIELDS: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rounds are read if each brings so many bytes.
    fn rounds(mut bytes: impl FnMut(u32) -> usize) -> u32 {
        let mut drain = Drain::default();
        drain.read(&[0; 1000]);
        drain.begin();
        let mut round = 1;
        loop {
            drain.read(&vec![0; bytes(round)]);
            if !drain.goes_on() {
                return round;
            }
            round += 1;
        }
    }

    #[test]
    fn output_that_another_process_holds_open_is_read_until_it_is_quiet() {
        assert_eq!(rounds(|_| 0), QUIET_ROUNDS);
        assert_eq!(rounds(|round| usize::from(round <= 3)), 3 + QUIET_ROUNDS);
    }

    #[test]
    fn output_that_goes_on_for_ever_is_read_for_a_second() {
        assert_eq!(rounds(|_| 1), MOST_ROUNDS);
        // Quiet for less than a tenth of a second each time.
        assert_eq!(rounds(|round| round as usize % 2), MOST_ROUNDS);
        assert_eq!(DRAIN * MOST_ROUNDS, Duration::from_secs(1));
        assert_eq!(DRAIN * QUIET_ROUNDS, Duration::from_millis(100));
    }

    #[test]
    fn output_that_comes_faster_than_pipes_hold_is_read_for_less() {
        assert_eq!(rounds(|_| 100 * 1024), 3);
    }
}
