//! Services that are OS processes.
//!
//! A [`Command`] says which program to run and how. [`Command::service`] makes a [`ServiceSpec`](crate::ServiceSpec) of it, with the
//! whole life of a service: restarts, readiness, requirements, timeouts, events. [`Command::capture`] runs it once instead and
//! returns what it wrote.
//!
//! This module needs the feature `process`, and Unix: on other systems the feature is without effect, and the module is not there.
//!
//! ```
//! use resurgam::{ExitReason, SupervisorActor, process::Command};
//!
//! # #[actix::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let root = SupervisorActor::with_defaults("root").start().await?;
//! let command = Command::new("sh").args(["-c", "echo up; exec sleep 60"]);
//! let mut lines = command.lines();
//!
//! let sleeper = root.add_and_wait(command.ready_on_line("up").service("sleeper")).await?;
//! let line = lines.next().await.ok_or("the service is gone")?;
//! assert_eq!((line.path(), line.text()), ("root/sleeper", "up"));
//! assert_eq!(root.remove(sleeper.token()).await?, ExitReason::Shutdown);
//! # root.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How a process ends
//!
//! | the process | asked to stop | not asked |
//! |-|-|-|
//! | exits with 0 | [`Shutdown`](crate::ExitReason::Shutdown) | [`Normal`](crate::ExitReason::Normal) |
//! | dies of the [stop signal](Command::stop_signal), or exits with 128 plus its number | [`Shutdown`](crate::ExitReason::Shutdown) | [`Failed`](crate::ExitReason::Failed) |
//! | exits with anything else, dies of another signal | [`Failed`](crate::ExitReason::Failed) | [`Failed`](crate::ExitReason::Failed) |
//! | lives on at its stop timeout | [`Killed`](crate::ExitReason::Killed) | |
//!
//! The error in `Failed` is an [`ExitError`], or a [`SpawnError`] if there was no process at all.
//!
//! # Process groups
//!
//! Each process leads a process group of its own, which its descendants belong to. A stop sends the stop signal to the whole group. Once the
//! process itself has ended, for whatever reason, what is left of its group is killed, so that no descendant outlives its service. The
//! same happens when the incarnation is dropped: at its stop or start timeout, under
//! [`Shutdown::BrutalKill`](crate::Shutdown::BrutalKill), and when the thread of its supervisor panics. Being no part of the
//! terminal's foreground group, a process gets no SIGINT from Ctrl-C; its supervisor stops it.
//!
//! # Limits
//!
//! - A descendant that calls `setsid` or `setpgid` leaves the group and is not killed with it. To find such a one, the program would have to be
//!   a child subreaper (`prctl(PR_SET_CHILD_SUBREAPER)`), which is the program's to decide: it inherits every orphan below it. Orphans
//!   of the group that the program inherits, as a subreaper or as process 1 of a container, are reaped.
//! - What such a descendant goes on writing to an output that it has inherited does not hold up the end: once the process has ended, its
//!   output is read until nothing has come for 100 ms, and for a second at most. Then it is closed, and the descendant gets SIGPIPE.
//! - If this program itself dies of SIGKILL, or calls [`std::process::exit`], nobody kills the processes; nor, if `main` returns without a
//!   [`shutdown`](crate::SupervisorRef::shutdown), those of services on other threads than its own
//!   ([`Placement`](crate::Placement)). On Linux, start them through `setpriv --pdeathsig KILL -- program`: all processes are
//!   started by one thread that lives as long as the program, since that signal also comes when the *thread* that started a process
//!   ends. (To set it from here takes `unsafe`, which this crate forbids.)
//! - If the service's thread is blocked by another service, so is the care for the process, until that thread goes on. A
//!   [`Placement::Dedicated`](crate::Placement::Dedicated) rules that out.
//! - A process that changes its user (as `sudo` does) can be neither asked nor killed by an ordinary user; its service ends without it.
//! - A kill takes effect in its own time: what a process holds that was killed, its port for example, may still be taken when the next one
//!   is started. Give such a service a [backoff](crate::ServiceSpec::backoff).
//! - Signals that this program ignores (SIGINT, if a script has started it in the background) its processes ignore from the start. Only SIGPIPE is
//!   set right.
//! - Something else in the program that waits for *any* process (`waitpid(-1)`) takes the exit status away: [`ExitError::Lost`].
//!
//! # Invariants
//!
//! 1. A group is signalled only while this module has not reaped its leader: until then its number cannot be given to another process,
//!    unless something else in the program has reaped it a moment ago ([`ExitError::Lost`]).
//! 2. Every process is owned by one `OwnedGroup`, whose `Drop` kills what has not been reaped, and leaves the reaping to the keeper.
//! 3. The keeper's thread starts every process, never blocks on one, and never ends.

#[cfg(any(
    target_os = "cygwin",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "redox"
))]
compile_error!("the feature `process` of resurgam needs `waitid`, which this target does not have");

// Each file uses only those before it in this list: `signal` and `error`; `output` and `readiness`, of one process; `group`, its number and
// the signals to it; `end`; `keeper`, which starts and reaps processes; `command`; then `actor` and `capture`, which run one.
mod actor;
mod capture;
mod command;
mod end;
mod error;
mod group;
mod keeper;
mod output;
mod readiness;
mod signal;

pub use self::{
    actor::{ProcessActor, ProcessId, SendSignal},
    command::{Command, Stdin},
    error::{CaptureError, ExitError, SignalError, SpawnError},
    output::{Line, Lines, Output},
    signal::Signal,
};
