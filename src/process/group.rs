//! A process group: signals to it, and reaping it.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::{
    io::Errno,
    process::{Pid, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid},
};

use super::{error::SignalError, signal::Signal};

/// The number of a process group, and what of it is reaped: first the leader, then the orphans among the other members that this
/// program inherits.
///
/// A clone does not know what the other one has reaped: only one of them may be used.
#[derive(Clone, Debug)]
pub(super) struct Group {
    leader: Pid,
    reaped: Reaped,
}

/// How much of a group is reaped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reaped {
    /// Leader and members: the system may give the number to another process.
    Everything,
    Leader,
    Nothing,
}

impl Group {
    /// The group of a process that leads it and has not been waited for.
    pub(super) fn new(leader: Pid) -> Self {
        unreaped().insert(leader.as_raw_pid());
        Self {
            leader,
            reaped: Reaped::Nothing,
        }
    }

    /// Reaps what has ended, without waiting, and returns what is reaped by now.
    pub(super) fn reap(&mut self) -> Reaped {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        if self.reaped == Reaped::Nothing {
            // Locked from before its number may be given to another process until it is off the list.
            let mut unreaped = unreaped();
            match retry(|| waitid(WaitId::Pid(self.leader), options)) {
                Ok(None) => return Reaped::Nothing,
                // An error: something else in this program has reaped it.
                Ok(Some(_)) | Err(_) => self.reaped = Reaped::Leader,
            }
            unreaped.remove(&self.leader.as_raw_pid());
        }
        while self.reaped == Reaped::Leader {
            // As long as there is a member, ended or not, the system keeps the number for this group.
            match retry(|| waitid(WaitId::Pgid(Some(self.leader)), options)) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => self.reaped = Reaped::Everything,
            }
        }
        self.reaped
    }

    pub(super) const fn reaped(&self) -> Reaped {
        self.reaped
    }

    pub(super) const fn leader(&self) -> Pid {
        self.leader
    }

    /// Sends a signal to the leader and all members.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        self.unless_reaped(|leader| kill_process_group(leader, signal.to_rustix()))
    }

    /// Has the leader and all members go on if they are suspended.
    pub(super) fn resume(&self) {
        let go_on = rustix::process::Signal::CONT;
        // The stop signal was refused for the same reason, and the caller has seen that.
        let _ended_or_forbidden = self.unless_reaped(|leader| kill_process_group(leader, go_on));
    }

    /// Sends a signal to the leader alone.
    pub(super) fn signal_leader(&self, signal: Signal) -> Result<(), SignalError> {
        self.unless_reaped(|leader| kill_process(leader, signal.to_rustix()))
    }

    /// Kills the leader and all members, unless the leader is reaped.
    pub(super) fn kill(&self) {
        // What cannot be signalled has ended or is another user's: nothing can be done about either.
        let _ended_or_forbidden = self.signal(Signal::Kill);
        // A leader may have moved to another group of its session, where the first signal does not reach it.
        let _ended_or_forbidden = self.signal_leader(Signal::Kill);
    }

    fn unless_reaped(
        &self,
        send: impl FnOnce(Pid) -> Result<(), Errno>,
    ) -> Result<(), SignalError> {
        if self.reaped != Reaped::Nothing {
            return Err(SignalError::Ended);
        }
        match send(self.leader) {
            Ok(()) => Ok(()),
            Err(Errno::PERM) => Err(SignalError::Forbidden),
            Err(_) => Err(SignalError::Ended),
        }
    }
}

/// The numbers of all groups of this program whose leader is not reaped.
// A lock, since groups live on any thread. It is held for one system call that does not block, or for as many as there are groups, when the
// program ends.
static UNREAPED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn unreaped() -> MutexGuard<'static, BTreeSet<i32>> {
    UNREAPED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills all groups of this program, which is about to end without dropping anything.
pub(super) fn kill_all() {
    let unreaped = unreaped();
    for leader in unreaped.iter().copied().filter_map(Pid::from_raw) {
        let kill = rustix::process::Signal::KILL;
        // What cannot be signalled has ended or is another user's.
        let _ended_or_forbidden = kill_process_group(leader, kill);
        let _ended_or_forbidden = kill_process(leader, kill);
    }
}

/// Repeats a system call that a signal has interrupted.
pub(super) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
