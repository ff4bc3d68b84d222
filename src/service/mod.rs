//! What users write to describe a service, and the cell that runs it.
//!
//! A [`ServiceSpec`] says how to make the actor and how to treat it. Its cell runs one incarnation after the other, and
//! owns the mailbox, which outlives them. This module decides nothing: a cell starts and stops when its supervisor
//! says so, and tells it what has happened.
//!
//! Each file uses only those before it in this list: `error`; `hook`, which remembers where a panic happens, and `panic`, which runs and drops user code; `watches`, who watches the services of a
//! supervisor; `parent`, the way up from a cell to
//! its supervisor; `shown`, what a report shows; `lane`, `commands` and `link`, the way down; `watch`, what is shown to those who watch; `reference`; `factory`; `contents`, the mailbox and the factory; `host`, what a kind of context offers to a cell, and `hosted`, the two kinds
//! that there are; `cell`; `seed`, a mailbox whose cell does not run yet; `spec`; `create`, factories
//! that see the context.
//!
//! # Invariants
//!
//! 1. A panic of user code never leaves this module, and neither does one of the `Drop` of a user's value.
//! 2. Commands do not go through the mailbox: they overtake whatever is queued there, also from another thread.
//! 3. A cell yields after a bounded amount of work, and between the end of an incarnation and the next start.

mod abrupt;
mod cell;
mod commands;
mod contents;
mod create;
mod error;
mod factory;
mod hook;
mod host;
mod hosted;
mod lane;
mod link;
mod panic;
mod parent;
mod reference;
mod reply;
mod seed;
mod shown;
mod span;
mod spec;
mod turn;
mod watch;
mod watches;

#[cfg(all(unix, feature = "process"))]
pub(crate) use self::abrupt::before_abrupt_exit;
pub(crate) use self::spec::Opened;
pub(crate) use self::{
    abrupt::bid_farewell,
    error::start_failed,
    factory::{Factory, Idle, Making},
    link::{AnyLink, Asked, Link, LinkCore, ServiceKind, downcast},
    panic::{guard, guard_service, probe},
    parent::{Above, Notice, NoticeKind, Parent},
    reply::{Published, Reply, side_by_side},
    seed::{AnySeed, AnySlot},
    shown::Shown,
    span::ServiceSpan,
    turn::{Occupied, on_other_threads},
};
pub use self::{
    create::HostedContext,
    error::StartError,
    factory::StartContext,
    hook::quiet_panics,
    hosted::ServiceContext,
    reference::{ServiceRef, WhyClosed},
    shown::{ReportedKind, ReportedPlacement},
    spec::{Placement, ServiceSpec},
    watch::{EndedRecipient, ServiceStates, UntilEnded, WatchId},
    watches::ServiceEnded,
};
