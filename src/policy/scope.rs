//! What is said of a scope that ends.

use std::sync::Arc;

use crate::token::SupervisorId;

/// A scope ends: nothing is added to it any more.
///
/// Returned by a member of that scope, or given to its `fail`, it is neutral, also as a source of another error: the scope ends
/// with what it was ending with. In another scope it is an error like any other.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("scope `{path}` is ending")]
pub struct ScopeEnding {
    path: Arc<str>,
    supervisor: SupervisorId,
    /// Which start of the supervisor, from 0.
    start: u64,
}

impl ScopeEnding {
    /// The names from the root to the scope, as in `root/import`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// For start `start` of a supervisor.
    pub(crate) const fn new(path: Arc<str>, supervisor: SupervisorId, start: u64) -> Self {
        Self {
            path,
            supervisor,
            start,
        }
    }

    /// Reports whether it is of start `start` of this supervisor.
    pub(crate) fn is_of(&self, supervisor: SupervisorId, start: u64) -> bool {
        self.supervisor == supervisor && self.start == start
    }
}
