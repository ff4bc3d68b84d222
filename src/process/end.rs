//! Waits for the end of a process, and judges it.

use std::io;
#[cfg(any(target_os = "android", target_os = "linux"))]
use std::os::fd::OwnedFd;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
#[cfg(any(target_os = "android", target_os = "linux"))]
use rustix::process::{PidfdFlags, pidfd_open};
#[cfg(any(target_os = "android", target_os = "linux"))]
use tokio::io::{Interest, unix::AsyncFd};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use super::{error::ExitError, group::retry, signal::Signal};

/// How a process has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ProcessEnd {
    /// It exited with this status.
    Code(i32),
    /// Something else in this program has taken the status away.
    Lost,
    /// A signal of this number ended it.
    Signal(i32),
}

impl ProcessEnd {
    /// Reports whether this is a failure of `program`. `asked` is the signal that was sent to stop it, if it was asked to stop.
    pub(super) fn check(self, program: &str, asked: Option<Signal>) -> Result<(), ExitError> {
        let asked = asked.map(Signal::number);
        let program = || program.to_owned();
        match self {
            Self::Code(0) => Ok(()),
            // A shell exits like this when that signal has ended its command.
            Self::Code(code) if asked.is_some_and(|asked| code == SHELL_SIGNAL + asked) => Ok(()),
            Self::Code(code) => Err(ExitError::Exited {
                program: program(),
                code,
            }),
            Self::Lost => Err(ExitError::Lost { program: program() }),
            Self::Signal(signal) if asked == Some(signal) => Ok(()),
            Self::Signal(signal) => Err(ExitError::Signalled {
                program: program(),
                signal,
            }),
        }
    }
}

/// Listens for the end of one process.
#[derive(Debug)]
pub(super) struct EndWatch {
    leader: Pid,
    news: News,
}

/// What says that the end may have come.
#[derive(Debug)]
enum News {
    /// A descriptor of the process itself, which is readable once it has ended. Nobody else's end wakes the watch.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    Descriptor(AsyncFd<OwnedFd>),
    /// Signals that some process has ended: each costs every watch a system call. Where the system has no such descriptors, or none is left.
    Signals(SignalStream),
}

impl EndWatch {
    /// Begins to listen for the end of `leader`, which was started and not reaped.
    pub(super) fn new(leader: Pid) -> io::Result<Self> {
        #[cfg(any(target_os = "android", target_os = "linux"))]
        if let Ok(watch) = Self::by_descriptor(leader) {
            return Ok(watch);
        }
        Self::by_signals(leader)
    }

    #[cfg(any(target_os = "android", target_os = "linux"))]
    #[expect(
        deprecated,
        reason = "what took its place is newer than the oldest tokio that this crate takes, and an `OwnedFd` is sound with either"
    )]
    fn by_descriptor(leader: Pid) -> io::Result<Self> {
        let descriptor = pidfd_open(leader, PidfdFlags::empty())?;
        let descriptor = AsyncFd::with_interest(descriptor, Interest::READABLE)?;
        let news = News::Descriptor(descriptor);
        Ok(Self { leader, news })
    }

    fn by_signals(leader: Pid) -> io::Result<Self> {
        let news = News::Signals(signal(SignalKind::child())?);
        Ok(Self { leader, news })
    }

    /// Waits for the end, and leaves the process unreaped: until it is reaped, nothing else can get its number.
    pub(super) async fn wait(mut self) -> ProcessEnd {
        loop {
            // Looked at first, since it may have come before the watch began.
            if let Some(end) = self.look() {
                return end;
            }
            if !self.news.come().await {
                return ProcessEnd::Lost;
            }
        }
    }

    fn look(&self) -> Option<ProcessEnd> {
        #[cfg(test)]
        tests::LOOKS.with(|looks| looks.set(looks.get() + 1));
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match retry(|| waitid(WaitId::Pid(self.leader), options)) {
            Ok(Some(status)) => {
                let code = status.exit_status().map(ProcessEnd::Code);
                let signal = status.terminating_signal().map(ProcessEnd::Signal);
                Some(code.or(signal).unwrap_or(ProcessEnd::Lost))
            }
            Ok(None) => None,
            Err(_) => Some(ProcessEnd::Lost),
        }
    }
}

impl News {
    /// Waits until there may be an end. `false` if nothing will ever tell.
    async fn come(&mut self) -> bool {
        match self {
            #[cfg(any(target_os = "android", target_os = "linux"))]
            Self::Descriptor(descriptor) => match descriptor.readable().await {
                Ok(mut ready) => {
                    // A process that has ended is found by the next look. This is for a wake-up without a reason.
                    ready.clear_ready();
                    true
                }
                Err(_) => false,
            },
            Self::Signals(signals) => signals.recv().await.is_some(),
        }
    }
}

/// What a shell adds to the number of the signal that has ended its command.
const SHELL_SIGNAL: i32 = 128;

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::Future, process::Child};

    use tokio::{
        runtime,
        task::{LocalSet, spawn_local},
    };

    use super::*;

    thread_local! {
        /// How often this thread has looked for the end of a process.
        pub(super) static LOOKS: Cell<usize> = const { Cell::new(0) };
    }

    /// A process that runs until its input is closed, and its id.
    fn process() -> (Child, Pid) {
        let mut command = std::process::Command::new("cat");
        let piped = std::process::Stdio::piped;
        let child = command.stdin(piped()).stdout(piped()).spawn();
        let child = child.expect("`cat` runs everywhere");
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        (child, id.expect("a process has an id"))
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(future)
    }

    #[cfg(any(target_os = "android", target_os = "linux"))]
    #[test]
    fn end_of_a_process_is_looked_for_when_it_has_ended_and_not_when_another_has() {
        let tasks = LocalSet::new();
        run(tasks.run_until(async {
            let processes: Vec<_> = (0..50)
                .map(|_| {
                    let (child, id) = process();
                    let watch = EndWatch::new(id).expect("a watch");
                    (child, spawn_local(watch.wait()))
                })
                .collect();
            for (mut child, end) in processes {
                drop(child.stdin.take());
                let end = end.await.expect("not aborted");
                assert_eq!(end, ProcessEnd::Code(0));
                child.wait().expect("not waited for");
            }
        }));
        // At the beginning and at the end, and perhaps once more.
        let looks = LOOKS.with(Cell::get);
        assert!(looks <= 4 * 50, "{looks} looks for 50 ends");
    }

    #[test]
    fn end_of_a_process_is_found_by_signals_alone() {
        let end = run(async {
            let (mut child, id) = process();
            let watch = EndWatch::by_signals(id).expect("a watch").wait();
            drop(child.stdin.take());
            let end = watch.await;
            child.wait().expect("not waited for");
            end
        });
        assert_eq!(end, ProcessEnd::Code(0));
    }
}
