//! The one thread that starts every process, and reaps those that nobody waits for any more.
//!
//! It never blocks on a process, and never ends.

use std::{
    io,
    ops::Deref,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::Command,
    sync::{
        OnceLock,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use rustix::process::Pid;
use tokio::sync::oneshot;

use super::{
    group::{Group, Reaped, kill_all},
    output::Output,
};
use crate::service::before_abrupt_exit;

/// A process that was started, with the ends of its pipes.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) group: OwnedGroup,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) outputs: Vec<(Output, OwnedFd)>,
}

/// The group of a process that was started here, with the duty to reap it.
///
/// Dropped, it kills what has not been reaped, and leaves the reaping to the keeper.
#[derive(Debug)]
pub(super) struct OwnedGroup(Group);

impl OwnedGroup {
    /// Takes over a process that leads a group of its own and has not been waited for.
    fn new(leader: Pid) -> Self {
        Self(Group::new(leader))
    }

    /// Kills all members and reaps, at once, what has ended; the leader is known to have ended.
    ///
    /// What does not end at once is reaped by the keeper.
    pub(super) fn kill_and_reap(&mut self) {
        self.0.kill();
        self.0.reap();
    }
}

impl Deref for OwnedGroup {
    type Target = Group;

    fn deref(&self) -> &Group {
        &self.0
    }
}

impl Drop for OwnedGroup {
    fn drop(&mut self) {
        if self.0.reaped() != Reaped::Everything {
            self.0.kill();
            // The keeper is there, since it has started the process.
            let _accepted = send(Order::Reap(self.0.clone()));
        }
    }
}

/// Starts a process as the leader of a group.
///
/// Cancel safe: if the future is dropped, the process is killed.
pub(super) async fn spawn(command: Command) -> io::Result<Spawned> {
    let (reply, spawned) = oneshot::channel();
    send(Order::Spawn { command, reply })?;
    spawned.await.map_err(|_| gone())?
}

enum Order {
    /// Reap a group that was killed, whenever it ends.
    Reap(Group),
    Spawn {
        command: Command,
        reply: oneshot::Sender<io::Result<Spawned>>,
    },
}

fn send(order: Order) -> io::Result<()> {
    // Shared by the whole program, as its processes are. Set once, to the only sender, so that the thread never ends.
    static KEEPER: OnceLock<Sender<Order>> = OnceLock::new();
    let keeper = if let Some(keeper) = KEEPER.get() {
        keeper
    } else {
        let (orders, queue) = channel();
        thread::Builder::new()
            .name(String::from("resurgam-process"))
            .spawn(move || keep(&queue))?;
        // Two threads may get here at the same time. The sender of the second one is dropped, and the thread that it has started ends.
        KEEPER.get_or_init(|| {
            before_abrupt_exit(kill_all);
            orders
        })
    };
    keeper.send(order).map_err(|_| gone())
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts processes is gone")
}

fn keep(queue: &Receiver<Order>) {
    let mut killed: Vec<Group> = Vec::new();
    let mut pause = SHORTEST_PAUSE;
    // Orders since all were looked at.
    let mut orders = 0;
    loop {
        let order = if killed.is_empty() {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            queue.recv_timeout(pause)
        };
        match order {
            Ok(Order::Reap(mut group)) => {
                if group.reap() != Reaped::Everything {
                    killed.push(group);
                }
                pause = SHORTEST_PAUSE;
                orders += 1;
            }
            Ok(Order::Spawn { command, reply }) => {
                // The caller may have been dropped meanwhile. So is what comes back then, which kills the process.
                let _refused = reply.send(start(command));
                orders += 1;
            }
            // A killed process that takes its time is in a system call that cannot be interrupted, perhaps for long: ask less often.
            Err(RecvTimeoutError::Timeout) => {
                pause = LONGEST_PAUSE.min(pause * 2);
                orders = killed.len();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        // Not after each order: a program that kills thousands at once would look at each of them as often.
        if orders >= killed.len() {
            orders = 0;
            killed.retain_mut(|group| group.reap() != Reaped::Everything);
        }
    }
}

fn start(mut command: Command) -> io::Result<Spawned> {
    let mut child = command.process_group(0).spawn()?;
    // The command holds the ends of pipes that were given to the process. They would never be closed.
    drop(command);
    let leader = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("a process id out of range"))?;
    let stdout = child
        .stdout
        .take()
        .map(|pipe| (Output::Stdout, pipe.into()));
    let stderr = child
        .stderr
        .take()
        .map(|pipe| (Output::Stderr, pipe.into()));
    Ok(Spawned {
        group: OwnedGroup::new(leader),
        stdin: child.stdin.take().map(OwnedFd::from),
        outputs: stdout.into_iter().chain(stderr).collect(),
    })
}

/// How long the keeper waits before it looks again for the end of a process that was killed, at first and at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read, process::Stdio};

    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;
    use crate::process::group::retry;

    /// A group whose leader has ended and is not reaped, with a member that runs on and holds its output open.
    fn leader_that_has_ended() -> (OwnedGroup, File) {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 2>/dev/null & exit 0"]);
        command.stdout(Stdio::piped());
        let spawned = start(command).expect("`sh` runs everywhere");
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        retry(|| waitid(WaitId::Pid(spawned.group.leader()), ended)).expect("not reaped");
        let output = spawned.outputs.into_iter().next();
        let (_, pipe) = output.expect("it is piped");
        (spawned.group, File::from(pipe))
    }

    /// Whether nobody holds an output open, or will soon.
    fn is_closed(mut output: File) -> bool {
        let (tell, told) = channel();
        thread::spawn(move || {
            let read = output.read(&mut [0]);
            let _nobody_waits_any_more = tell.send(read.is_ok_and(|read| read == 0));
        });
        told.recv_timeout(Duration::from_secs(10)) == Ok(true)
    }

    #[test]
    fn group_is_killed_before_its_leader_is_reaped() {
        let (group, output) = leader_that_has_ended();
        drop(group);
        assert!(
            is_closed(output),
            "a member outlives a group that is dropped"
        );
        let (mut group, output) = leader_that_has_ended();
        group.kill_and_reap();
        assert!(
            is_closed(output),
            "a member outlives a group that is killed"
        );
    }
}
