//! What users write to describe a service, and the cell that runs it.
//!
//! A [`ServiceSpec`] says how to make the actor and how to treat it. Its cell runs one incarnation after the other, and
//! owns the mailbox, which outlives them. This module decides nothing: a cell starts and stops when its supervisor
//! says so, and tells it what has happened.

mod cell;
mod error;
mod factory;
mod host;
mod hosted;
mod link;
mod panic;
mod parent;
mod reference;
mod seed;
mod spec;

pub use self::{
    error::StartError,
    factory::StartContext,
    hosted::ServiceContext,
    reference::ServiceRef,
    spec::{Placement, ServiceSpec},
};
pub(crate) use self::{
    factory::{Factory, Making},
    link::{AnyLink, Link, ServiceKind, Watched, downcast},
    panic::{guard, install_hook},
    parent::{Above, Notice, NoticeKind, Parent},
    seed::AnySeed,
};
