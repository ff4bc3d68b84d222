//! Waits for the end of a process, and judges it.

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
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

/// Listens for the ends of processes.
#[derive(Debug)]
pub(super) struct EndWatch {
    signals: SignalStream,
}

impl EndWatch {
    /// Begins to listen. To be called before the process is started: a SIGCHLD that comes earlier would be missed.
    pub(super) fn new() -> std::io::Result<Self> {
        let signals = signal(SignalKind::child())?;
        Ok(Self { signals })
    }

    /// Waits for the end of `leader`, and leaves it unreaped: until it is reaped, nothing else can get its number.
    pub(super) async fn wait(mut self, leader: Pid) -> ProcessEnd {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            match retry(|| waitid(WaitId::Pid(leader), options)) {
                Ok(Some(status)) => {
                    let code = status.exit_status().map(ProcessEnd::Code);
                    let signal = status.terminating_signal().map(ProcessEnd::Signal);
                    return code.or(signal).unwrap_or(ProcessEnd::Lost);
                }
                Ok(None) => {}
                Err(_) => return ProcessEnd::Lost,
            }
            if self.signals.recv().await.is_none() {
                return ProcessEnd::Lost;
            }
        }
    }
}

/// What a shell adds to the number of the signal that has ended its command.
const SHELL_SIGNAL: i32 = 128;
