//! A process group: signals to it, and its end.

use rustix::{
    io::Errno,
    process::{Pid, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid},
};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use super::{
    error::{ExitError, SignalError},
    keeper,
    signal::Signal,
};

/// A process that was started as the leader of its own group, with all that belongs to it.
///
/// Dropped, it kills what has not been reaped.
#[derive(Debug)]
pub(super) struct Group {
    members: Members,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Leader and members are reaped: the number is not ours any more.
    Over,
    Owned,
}

impl Group {
    /// Takes over a process that leads a group of its own and has not been waited for.
    pub(super) const fn new(leader: Pid) -> Self {
        Self {
            members: Members {
                leader,
                reaped: Reaped::Nothing,
            },
            state: State::Owned,
        }
    }

    pub(super) const fn leader(&self) -> Pid {
        self.members.leader
    }

    /// Sends a signal to the leader and all members.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        self.unless_reaped(|leader| kill_process_group(leader, signal.to_rustix()))
    }

    /// Has the leader and all members go on if they are suspended.
    pub(super) fn resume(&self) {
        let go_on = rustix::process::Signal::CONT;
        // Who cannot be signalled is not waited for either.
        let _gone_or_forbidden = self.unless_reaped(|leader| kill_process_group(leader, go_on));
    }

    /// Sends a signal to the leader alone.
    pub(super) fn signal_leader(&self, signal: Signal) -> Result<(), SignalError> {
        self.unless_reaped(|leader| kill_process(leader, signal.to_rustix()))
    }

    /// Kills the leader and all members, unless the leader is reaped.
    pub(super) fn kill(&self) {
        // Who cannot be signalled has ended, or is another user's: there is nothing that could be done about either.
        let _gone_or_forbidden = self.signal(Signal::Kill);
        // A leader may have moved to another group of its session.
        let _gone_or_forbidden = self.signal_leader(Signal::Kill);
    }

    fn unless_reaped(
        &self,
        send: impl FnOnce(Pid) -> Result<(), Errno>,
    ) -> Result<(), SignalError> {
        if self.members.reaped != Reaped::Nothing {
            return Err(SignalError::Ended);
        }
        match send(self.leader()) {
            Ok(()) => Ok(()),
            Err(Errno::PERM) => Err(SignalError::Forbidden),
            Err(_) => Err(SignalError::Ended),
        }
    }

    /// Kills all members and reaps, at once, what has ended; the leader is known to have ended.
    ///
    /// What does not end at once is the keeper's.
    pub(super) fn finish(&mut self) {
        self.kill();
        if self.members.reap() == Reaped::Everything {
            self.state = State::Over;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.state == State::Owned {
            self.kill();
            keeper::reap(self.members);
        }
    }
}

/// The members of a group that are to be reaped: the leader, and the orphans among the others that this program inherits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Members {
    leader: Pid,
    reaped: Reaped,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reaped {
    Everything,
    Leader,
    Nothing,
}

impl Members {
    /// Reaps what has ended, without waiting.
    pub(super) fn reap(&mut self) -> Reaped {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        if self.reaped == Reaped::Nothing {
            match retry(|| waitid(WaitId::Pid(self.leader), options)) {
                Ok(None) => return Reaped::Nothing,
                // An error: somebody else has reaped it.
                Ok(Some(_)) | Err(_) => self.reaped = Reaped::Leader,
            }
        }
        while self.reaped == Reaped::Leader {
            // As long as there is a member, ended or not, the number of the group is taken and means this group.
            match retry(|| waitid(WaitId::Pgid(Some(self.leader)), options)) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => self.reaped = Reaped::Everything,
            }
        }
        self.reaped
    }
}

/// How a process has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Exit {
    Code(i32),
    Lost,
    Signal(i32),
}

impl Exit {
    /// Says whether this is a failure of `program`, which was sent `asked` to stop it, or nothing.
    pub(super) fn judge(self, program: &str, asked: Option<Signal>) -> Result<(), ExitError> {
        let asked = asked.map(Signal::number);
        let program = || program.to_owned();
        match self {
            Self::Code(0) => Ok(()),
            // What a shell makes of the signal that has ended its command.
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

/// What a shell adds to the number of the signal that has ended its command.
const SHELL_SIGNAL: i32 = 128;

/// Listens for the ends of processes.
#[derive(Debug)]
pub(super) struct ExitWatch {
    signals: SignalStream,
}

impl ExitWatch {
    /// Begins to listen; before the process is started, so that its end is not missed.
    pub(super) fn new() -> std::io::Result<Self> {
        let signals = signal(SignalKind::child())?;
        Ok(Self { signals })
    }

    /// Waits for the end of `leader`, and leaves it unreaped.
    pub(super) async fn wait(mut self, leader: Pid) -> Exit {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            match retry(|| waitid(WaitId::Pid(leader), options)) {
                Ok(Some(status)) => {
                    let code = status.exit_status().map(Exit::Code);
                    let signal = status.terminating_signal().map(Exit::Signal);
                    return code.or(signal).unwrap_or(Exit::Lost);
                }
                Ok(None) => {}
                Err(_) => return Exit::Lost,
            }
            if self.signals.recv().await.is_none() {
                return Exit::Lost;
            }
        }
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
