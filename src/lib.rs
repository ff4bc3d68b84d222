//! Supervision trees for actix actors: services that panic or fail come back, with their address and their queue.
//!
//! ```
//! use actix::prelude::*;
//! use resurgam::{ServiceContext, ServiceSpec, SupervisorActor};
//!
//! #[derive(Message)]
//! #[rtype(result = "u64")]
//! struct Divide(u64);
//!
//! struct Divider;
//!
//! impl Actor for Divider {
//!     type Context = ServiceContext<Self>;
//! }
//!
//! impl Handler<Divide> for Divider {
//!     type Result = u64;
//!     fn handle(&mut self, Divide(by): Divide, _: &mut Self::Context) -> u64 {
//!         100 / by // panics for zero
//!     }
//! }
//!
//! # #[actix::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let root = SupervisorActor::with_defaults("root").start().await?;
//! let divider = root.add(ServiceSpec::new("divider", || Divider)).await?;
//! assert_eq!(divider.send(Divide(5)).await, Ok(20));
//! assert_eq!(divider.send(Divide(0)).await, Err(MailboxError::Closed)); // this sender's alone
//! assert_eq!(divider.send(Divide(4)).await, Ok(25)); // the same address
//! root.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Overview
//!
//! - A *service* is an actix actor, as a rule one whose context is [`ServiceContext`]. A [`ServiceSpec`] says how to make it and how to treat it.
//! - A [`SupervisorActor`] starts services and starts them again; a [`SupervisorSpec`] says by which rules. It is a service itself, so that
//!   supervisors form trees.
//! - [`ServiceSpec::task`] makes a service of an async function, and [`ServiceSpec::blocking`] of one that blocks; a [`TaskContext`] is what it
//!   gets instead of an actor's context. [`ServiceSpec::actor`] takes an actor that was written for actix's own context, as it is, and
//!   [`ServiceSpec::create`] gives the context of either to the factory.
//!   [`SupervisorActor::run`] makes a program of a tree.
//! - With the feature `process`, a `process::Command` makes a service of a process of the operating system.
//! - [`SupervisorRef`] is what you hold of a running supervisor, [`ServiceRef`] what you hold of a service. Begin with these two.
//! - A [`KeyedSpec`](keyed::KeyedSpec) makes a supervisor whose services are the rows of a [`Table`](table::Table): a service for each, which comes,
//!   changes and goes with its row. `resurgam-sqlite` has a table on disk.
//! - A [`Scope`](scope::Scope) binds the lives of services and futures: the first failure ends all of them.
//! - [`ServiceRef::states`] and [`ServiceRef::ended`] watch one service, from any thread; [`ServiceContext::watch`] is OTP's monitor.
//! - What happens is told as [`Event`]s, see [`SupervisorRef::events`], and written to `tracing` under the target `resurgam`.
//!
//! The rest of this page: [lives of a service](#lives-of-a-service), [what survives](#what-survives),
//! [restarts](#restarts), [limits](#limits), [strategies and requirements](#strategies-and-requirements), [starting](#starting),
//! [stopping](#stopping), [trees](#trees), [differences from OTP and suture](#differences-from-otp-and-suture),
//! [what it does not do](#what-it-does-not-do), [coming from actix](docs::coming_from_actix) or [another library](docs), [system services](docs::system_services),
//! [actix-web](docs::actix_web).
//!
//! # Lives of a service
//!
//! One life of a service is an *incarnation*. It is made by the service's factory, on the service's arbiter, and numbered from 0 by its
//! [generation](ServiceContext::generation). It ends with an [`ExitReason`]: [`Normal`](ExitReason::Normal) when it stopped itself,
//! [`Shutdown`](ExitReason::Shutdown) when it was asked to, [`Failed`](ExitReason::Failed) after [`ctx.fail`](ServiceContext::fail) or an error of
//! its factory, [`Panicked`](ExitReason::Panicked) after a panic anywhere in its code, [`Killed`](ExitReason::Killed) when it was dropped, and
//! [`Escalated`](ExitReason::Escalated) when it was a supervisor that gave up.
//!
//! # What survives
//!
//! The mailbox belongs to the service and not to the incarnation. A panic loses the message that was being handled, and its sender gets
//! [`MailboxError::Closed`](actix::MailboxError::Closed); everything that is queued waits for the next incarnation, and every
//! [`Addr`](actix::Addr), [`WeakAddr`](actix::WeakAddr) and [`Recipient`](actix::Recipient) stays valid. While the service is down `do_send` queues, and
//! `send` and `try_send` feel the mailbox capacity; once it has ended for good, messages are refused until it is started again, see
//! [`WhileDown`]. Timers, spawned futures and replies that were still being computed end with the incarnation. When the service is removed,
//! or its supervisor ends, queued and later messages fail at once. [`ServiceRef::why_closed`] says which of all that it was.
//!
//! A panic is printed once, by the hook that the program has installed, or left to events and `tracing` by [`quiet_panics`]; its message and
//! place are in the event. The place is that of the
//! panic itself, also if it is caught and raised again; it is unknown if it is raised anew on another thread, or by
//! [`resume_unwind`](std::panic::resume_unwind) with something else. A panic whose hook was set by the program after the start, and that
//! keeps the hook before without calling it, has no place the first time. `panic = "abort"` is not supported: the process ends, as ever; and
//! so it does when a stack overflows, which is no panic.
//!
//! What is dropped after a panic does not see it, unless it is on the stack of the code that panics: [`std::thread::panicking`] is `false` when actor,
//! futures and messages are dropped, and a [`std::sync::MutexGuard`] that a spawned future holds does not poison its mutex. Subscriptions
//! that are made in `started` and given to something that outlives the incarnation multiply with each life.
//!
//! # Restarts
//!
//! | | [`Permanent`](RestartType::Permanent) | [`Transient`](RestartType::Transient) | [`Temporary`](RestartType::Temporary) |
//! |-|-|-|-|
//! | `Normal`, `Shutdown` | restarted | not | not |
//! | any other reason | restarted | restarted | not |
//!
//! A service that is not restarted is kept as [`Stopped`](ServiceState::Stopped) if its supervisor was started with it, and forgotten if it was added
//! later. A service may decide for itself, with a [`Verdict`], and for one that cannot, [`decide`](ServiceSpec::decide) does it by the
//! error. A [`Backoff`] delays its restarts; nobody waits for it
//! but those that require it.
//!
//! # Limits
//!
//! Restarts are counted by the supervisor, for all its services together: with [`RestartLimit::decay`], the default, each failure, and each normal
//! end of a permanent service, adds one to a count that halves every 30 s; above 5.0 the supervisor pauses restarts for 15 s,
//! while healthy services run on. [`RestartLimit::window(n, period).escalate()`](RestartLimit::window) is what OTP does. A service may have a
//! [limit of its own](ServiceSpec::limit), and is counted by that alone then: one device that fails often harms no other.
//! Wherever there is a service for each device, connection or user, [`SupervisorSpec::each_service`] is recommended, which gives all of
//! them a limit without saying so for each.
//!
//! What counts is a restart that nobody asked for:
//!
//! | | OTP | suture | here |
//! |-|-|-|-|
//! | a service is restarted after an error, a panic or a kill | 1 | 1 | 1 |
//! | a [`Permanent`](RestartType::Permanent) service is restarted after a normal end | 1 | 1 | 1 |
//! | an end after which a service is not restarted: a `Temporary` one, a normal end of a `Transient` one | 0 | there is none | 0 |
//! | it says that it is done: [`DoNotRestart`](Verdict::DoNotRestart), `ErrDoNotRestart`, or [`Uninstall`](Verdict::Uninstall) | | 0 | 0 |
//! | it ends its supervisor: [`TerminateTree`](Verdict::TerminateTree), `ErrTerminateSupervisorTree` | | 0 | 0 |
//! | it restarts itself: [`Bounce`](Verdict::Bounce); it waits for what is [`Missing`](Verdict::Missing) | | | 0 |
//! | a restart fails to start, each time | 1 | 1 | 1 |
//! | the first start fails: with the supervisor, or awaited ([`add_and_wait`](SupervisorRef::add_and_wait), `start_child`) | 0 | | 0 |
//! | the first start fails of one that was added, and nobody awaits it | | 1 | 1 |
//! | a group is restarted, however many are in it ([`Strategy`]) | 1 | | 1 |
//! | a sibling fails while it is stopped for its group | 0 | | 0 |
//! | a service is restarted because one is that it is [bound](ServiceSpec::binds_to) to | | | 0 |
//! | it is restarted, stopped, reset or removed on request | 0 | 0 | 0 |
//! | it fails while it is being removed | 0 | a panic 1, another end 0 | 0 |
//! | it fails during a pause | there is none | 1 | 1 |
//! | a supervisor below gave up | 1, unless it is transient | it never does | 1 |
//! | a service with a limit of its own is restarted | | | 0; 1 if that [escalates](RestartLimit::escalate) |
//! | [`decide`](ServiceSpec::decide) says `Restart` or `RestartAfter`; `Stop`, `Escalate` or `Fatal` | | | 1; 0 |
//!
//! An empty field: the library has nothing of the kind.
//!
//! # Strategies and requirements
//!
//! A [`Strategy`] says who is restarted with a service that failed. [`requires`](ServiceSpec::requires) holds a start back until another service is
//! ready and reverses the order at the stop; [`binds_to`](ServiceSpec::binds_to) also restarts a service whenever the other one is, and
//! [`requires_completed`](ServiceSpec::requires_completed) waits until the other one has ended without an error. What is required may be
//! anywhere in the tree, if it is named by its path, as `root/store`.
//!
//! # Starting
//!
//! A supervisor starts the services that it was given before, in order, each when the one before is ready ([`Readiness`]), or at once
//! ([`StartOrder`]): all or none. A service that is added to a running supervisor is started at once, beside the others.
//!
//! # Stopping
//!
//! A service is asked to stop ([`stopping`](actix::Actor::stopping) is called, and may [continue](actix::Running::Continue) until its work is done), and
//! dropped when its [`Shutdown`] timeout is over. A supervisor asks in reverse start order; who needs more time does not hold up those that
//! do not depend on it. A service that blocks its thread cannot even be dropped: it is abandoned a little later, and listed in the
//! [`ShutdownReport`]. [`shutdown_within`](SupervisorRef::shutdown_within) bounds all that for a whole tree.
//!
//! # Trees
//!
//! A supervisor that [gives up](RestartLimit::escalate) stops its services and ends as a failed service of its own supervisor, which restarts it with a
//! fresh limit. It keeps its services, with their addresses, also those that were added later.
//!
//! # Differences from OTP and suture
//!
//! - The mailbox survives a restart; in OTP it dies with the process.
//! - The default limit is suture's, with OTP's as a choice; over it a supervisor pauses unless told to escalate.
//! - Stop is in reverse start order, unlike suture's, and overlaps for services that do not depend on each other, unlike OTP's.
//! - A service added at run time is kept through a restart of its supervisor, unlike OTP's.
//!
//! # What it does not do
//!
//! It keeps no state of an actor. It cannot stop a thread that blocks. It does not supervise [`ResponseFuture`](actix::ResponseFuture)s, which actix runs
//! outside of the actor (see [`ServiceContext`]), nor the threads of a
//! [`SyncArbiter`](actix::SyncArbiter) (see [`ServiceSpec::actor`]). It knows one process.
//!
//! # Minimum Rust version
//!
//! 1.88.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `process`: services that are OS processes, in the module `process`. Adds `rustix`, and signals, pipes and sockets of tokio. On other
//!   systems than Unix the module is not there, and the feature enables no more than those parts of tokio.
//! - `sd-notify`: `SupervisorRef::run_under_systemd`, which tells systemd when a program is ready, alive and stopping. Changes nothing
//!   elsewhere; adds `sd-notify` on Unix.
//! - `test-util`: the module `testing`, for the tests of users. Adds nothing.
//! - `serde`: events, reports and what they consist of implement `Serialize`. Adds `serde` and `humantime`.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod docs;
mod event;
pub mod keyed;
mod observe;
mod policy;
#[cfg(all(unix, feature = "process"))]
#[cfg_attr(docsrs, doc(cfg(all(unix, feature = "process"))))]
pub mod process;
mod registry;
pub mod scope;
#[cfg(feature = "serde")]
mod serialize;
mod service;
mod state;
mod supervisor;
pub mod table;
mod task;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod testing;
mod token;
mod tree;
mod user_value;

pub use crate::{
    event::{Blocked, EventKind, Operation, Restarting, ServiceState},
    observe::{Event, Events},
    policy::{
        AutoShutdown, Backoff, Directive, ExitReason, Failure, IntoServiceError, KillCause,
        Readiness, RestartLimit, RestartType, ServiceError, Shutdown, SpecError, StartOrder,
        Strategy, TaskOutput, Verdict, WhileDown,
    },
    registry::{LookupError, RegistryActor, ServiceSummary},
    service::{
        EndedRecipient, HostedContext, Placement, ReportedKind, ReportedPlacement, ServiceContext,
        ServiceEnded, ServiceRef, ServiceSpec, ServiceStates, StartContext, StartError, UntilEnded,
        WatchId, WhyClosed, quiet_panics,
    },
    state::{
        AddError, Counts, EndedAs, RemoveError, ResetError, RestartError, ShutdownReport,
        StopError, UnstoppedService,
    },
    supervisor::{
        OnStart, ReconfigureError, Report, ServiceDefaults, ServiceReport, SupervisorActor,
        SupervisorRef, SupervisorSpec, message,
    },
    task::{BlockingContext, BlockingError, BlockingWork, Lifetime, Spawn, TaskActor, TaskContext},
    token::{ParseTokenError, ServiceKey, ServiceToken},
    tree::{JoinError, ShutdownError, SupervisorGone},
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
