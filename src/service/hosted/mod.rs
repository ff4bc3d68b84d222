//! Actors in their contexts: what runs within a cell.
//!
//! An [`Incarnation`](incarnation::Incarnation) runs in a [`ServiceContext`], and the two know each other, as an actor and its context do.
//! [`Adopted`] runs actors in actix's own context.

mod adopted;
mod context;
mod envelope;
mod incarnation;

pub(super) use self::adopted::Adopted;
pub use self::context::ServiceContext;
