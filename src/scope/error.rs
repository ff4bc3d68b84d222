//! Why a service does not become a member.

use crate::{policy::ScopeEnding, state::AddError};

/// Why a service was not added to a scope. It was dropped then, without having run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AddMemberError {
    /// The scope is ending, or over. A member may return this error: it changes nothing then, see [`ScopeEnding`]. With what
    /// the scope ends, [`Scope::join`](super::Scope::join) says.
    #[error("nothing is added")]
    Ending(#[source] ScopeEnding),
    /// The spec is refused.
    #[error(transparent)]
    Refused(AddError),
}
