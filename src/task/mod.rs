//! Services that are functions: async ones, and ones that block a thread of their own.
//!
//! Each is an actix actor, [`TaskActor`], that runs one function for each incarnation and ends with it. This module decides nothing:
//! what follows when a function returns, fails, panics or overruns its time is decided as for every service.
//!
//! Each file uses only those before it in this list: `lineage`, what all incarnations of a task share; `shared`, what one of them and its
//! contexts share; `work`, which blocks; `context`; `actor`; then `blocking` and `spawn`.
//!
//! # Invariants
//!
//! 1. That an incarnation of a task is over is known to its contexts before its supervisor hears of it.
//! 2. A panic of blocking work ends the incarnation that began it, or is logged if that one is over; it is never lost.
//! 3. A service that is to end with the incarnation that spawned it is asked to stop when that one ends, also if it was being added
//!    at that moment.

mod actor;
mod blocking;
mod context;
mod lineage;
mod shared;
mod spawn;
mod work;

pub(crate) use self::spawn::run_once;
pub use self::{
    actor::TaskActor,
    blocking::BlockingContext,
    context::TaskContext,
    spawn::{Lifetime, Spawn},
    work::{BlockingError, BlockingWork},
};
