//! Says what the rules are, without saying when they apply.
//!
//! Values and functions: why an incarnation ends, whether it is started again, how often, after which delay, together
//! with whom, and how it is stopped. Nothing here keeps a service; the state does, and asks.
//!
//! # Invariants
//!
//! 1. Arithmetic saturates: no number of failures, no duration and no jitter overflows or panics.
//! 2. Whatever passed `validate` cannot produce a delay that is not a number.

mod backoff;
mod error;
mod exit;
mod failure;
mod into_error;
mod limit;
mod name;
pub(crate) mod order;
mod printable;
mod readiness;
mod restart;
mod scope;
#[cfg(feature = "serde")]
mod serialized;
mod shutdown;
mod strategy;
mod task_output;
#[cfg(test)]
mod tests;
mod told;
mod verdict;
mod while_down;

pub use self::{
    backoff::Backoff,
    error::SpecError,
    exit::{ExitReason, KillCause, ServiceError},
    failure::{Directive, Failure},
    into_error::IntoServiceError,
    limit::RestartLimit,
    readiness::Readiness,
    restart::RestartType,
    scope::ScopeEnding,
    shutdown::Shutdown,
    strategy::{AutoShutdown, StartOrder, Strategy},
    task_output::TaskOutput,
    verdict::Verdict,
    while_down::WhileDown,
};
pub(crate) use self::{
    limit::{LimitCounter, LimitOf, OnLimit, Tally},
    name::{check_name, check_path, names_below},
    order::Cycle,
    printable::printable,
    told::{because, with_causes},
    verdict::{find_source, sources},
};
