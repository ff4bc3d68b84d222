//! What a service decides about itself when it ends.

use std::{error::Error, fmt, io};

use super::{ExitReason, ServiceError, told::MAX_CHAIN};
use crate::user_value::quietly;

/// What a service decides about itself when it ends, in place of its restart type.
///
/// A [`Directive`](crate::Directive) is what its supervisor's side decides about a failure of it.
///
/// A verdict is an error: return it, or any error that has it among its sources.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is done; it is not restarted, whatever its restart type. Not counted. As in suture.
    DoNotRestart,
    /// Its supervisor stops all services and ends. As in suture.
    TerminateTree {
        /// Whether the supervisors above end likewise.
        propagate: bool,
    },
    /// It is restarted after its supervisor's [`bounce_delay`](crate::SupervisorSpec::bounce_delay), 10 ms by default. Not counted. As in
    /// juju's engine.
    ///
    /// Its own [`Backoff`](crate::Backoff) is not shortened by that: if it has failed before and was not well since, or if this is an error
    /// that has the verdict among its sources, it waits as long as that says, where that is longer.
    Bounce,
    /// Something that it requires is missing: it waits until one of the services that it requires becomes ready. One that requires others
    /// elsewhere in the tree, by their paths, looks for them again after a bounce. Not counted. As in juju's engine.
    Missing,
    /// It is removed. As in juju's engine.
    Uninstall,
}

impl Verdict {
    /// Looks for a verdict in an error and its sources.
    ///
    /// The first one found counts; a chain is followed for 64 sources.
    pub fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        sources(error)
            .find_map(|error| error.downcast_ref())
            .copied()
    }

    /// As [`find`](Self::find); an error whose `source` panics has no verdict.
    pub(crate) fn find_quietly(error: &(dyn Error + 'static)) -> Option<Self> {
        quietly(|| Self::find(error)).flatten()
    }
}

/// An error and its sources, as far as a chain is followed.
pub(crate) fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        inner(error).or_else(|| error.source())
    })
    .take(MAX_CHAIN)
}

/// Reports whether an error or one of its sources is a `T` that is wanted. If a `source` panics, none is.
pub(crate) fn find_source<T: Error + 'static>(
    error: &(dyn Error + 'static),
    wanted: impl Fn(&T) -> bool,
) -> bool {
    let found = || {
        let mut typed = sources(error).filter_map(|error| error.downcast_ref());
        typed.any(wanted)
    };
    quietly(found).unwrap_or(false)
}

/// The error within a transparent wrapper, which a walk over the sources would pass over: the `source` of such a wrapper is the source of
/// what it holds.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(wrapper) = error.downcast_ref::<ServiceError>() {
        return Some(wrapper.as_error());
    }
    if let Some(ExitReason::Failed(wrapper)) = error.downcast_ref() {
        return Some(wrapper.as_error());
    }
    let wrapper = error.downcast_ref::<io::Error>()?;
    wrapper.get_ref().map(|held| held as _)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DoNotRestart => "service is not to be restarted",
            Self::TerminateTree { .. } => "supervision tree is to be terminated",
            Self::Bounce => "service is to be restarted",
            Self::Missing => "service misses one that it requires",
            Self::Uninstall => "service is to be removed",
        })
    }
}

impl Error for Verdict {}
