//! The one thread that starts every process, and reaps those that nobody waits for.

use std::{
    io,
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
    group::{Group, Members, Reaped},
    output::Output,
};

/// A process that was started, with the ends of its pipes.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) group: Group,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) outputs: Vec<(Output, OwnedFd)>,
}

/// Starts a process as the leader of a group.
///
/// Cancel safe: a process that nobody waits for any more is killed.
pub(super) async fn spawn(command: Command) -> io::Result<Spawned> {
    let (reply, spawned) = oneshot::channel();
    send(Order::Spawn { command, reply })?;
    spawned.await.map_err(|_| gone())?
}

/// Reaps a group that was killed, whenever it ends.
pub(super) fn reap(members: Members) {
    // The keeper is there, since it has started the process.
    let _accepted = send(Order::Reap(members));
}

enum Order {
    Reap(Members),
    Spawn {
        command: Command,
        reply: oneshot::Sender<io::Result<Spawned>>,
    },
}

fn send(order: Order) -> io::Result<()> {
    // Shared by the whole program, as its processes are. Set once, to the only sender: the thread never ends.
    static KEEPER: OnceLock<Sender<Order>> = OnceLock::new();
    let keeper = if let Some(keeper) = KEEPER.get() {
        keeper
    } else {
        let (orders, queue) = channel();
        thread::Builder::new()
            .name(String::from("resurgam-process"))
            .spawn(move || keep(&queue))?;
        // Two may get here at the same time: the queue of the second is closed, and its thread ends at once.
        KEEPER.get_or_init(|| orders)
    };
    keeper.send(order).map_err(|_| gone())
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts processes is gone")
}

fn keep(queue: &Receiver<Order>) {
    let mut ending: Vec<Members> = Vec::new();
    let mut pause = SHORTEST_PAUSE;
    loop {
        let order = if ending.is_empty() {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            queue.recv_timeout(pause)
        };
        match order {
            Ok(Order::Reap(members)) => {
                ending.push(members);
                pause = SHORTEST_PAUSE;
            }
            Ok(Order::Spawn { command, reply }) => {
                // Nobody waits for it any more: the group is dropped, and killed.
                let _abandoned = reply.send(start(command));
            }
            // A killed process that takes its time is in a system call that cannot be interrupted.
            Err(RecvTimeoutError::Timeout) => pause = LONGEST_PAUSE.min(pause * 2),
            Err(RecvTimeoutError::Disconnected) => return,
        }
        ending.retain_mut(|members| members.reap() != Reaped::Everything);
    }
}

fn start(mut command: Command) -> io::Result<Spawned> {
    let mut child = command.process_group(0).spawn()?;
    // Ends of pipes that were given to the process stay open as long as the command.
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
        group: Group::new(leader),
        stdin: child.stdin.take().map(OwnedFd::from),
        outputs: stdout.into_iter().chain(stderr).collect(),
    })
}

/// How long the keeper waits before it looks again for the end of a process that was killed, at first and at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
