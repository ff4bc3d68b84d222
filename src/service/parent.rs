//! The way from a cell up to its supervisor.

use std::{
    any::Any,
    fmt,
    sync::{Arc, OnceLock},
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::watches::Watches;
use crate::{
    policy::ServiceError,
    state::{Exit, Obstacle},
    token::ServiceToken,
};

/// What the cells of one supervisor share: where their notices go, who that supervisor is, and who watches them.
pub(crate) struct Parent {
    notices: UnboundedSender<Notice>,
    above: OnceLock<Box<dyn Above>>,
    pub(super) watches: Watches,
}

impl Parent {
    /// A parent, and where its notices arrive.
    ///
    /// Unbounded, and not the supervisor's mailbox: a notice is never refused, and never waits behind commands.
    /// A cell has at most three notices under way for each incarnation that the supervisor started.
    pub(crate) fn new() -> (Self, UnboundedReceiver<Notice>) {
        let (notices, receiver) = unbounded_channel();
        let parent = Self {
            notices,
            above: OnceLock::new(),
            watches: Watches::default(),
        };
        (parent, receiver)
    }

    /// Says who the supervisor is; the first call counts.
    pub(crate) fn set_above(&self, above: Box<dyn Above>) {
        let _first_call_counts = self.above.set(above);
    }

    /// Who the supervisor is, once it is part of a tree.
    pub(crate) fn above(&self) -> Option<&dyn Above> {
        self.above.get().map(|above| &**above)
    }

    pub(crate) fn notify(&self, token: ServiceToken, generation: u64, kind: NoticeKind) {
        // Refused once the supervisor was dropped, because it has ended for the last time or is lost: nobody is left to be told.
        let _nobody_left = self.notices.send(Notice {
            token,
            generation,
            kind,
        });
    }
}

impl fmt::Debug for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parent").finish_non_exhaustive()
    }
}

/// Who the supervisor of some services is.
///
/// Implemented by one type, of the module that runs supervisors: services carry it, and do not know what is in it.
pub(crate) trait Above: Any + Send + Sync {}

/// What a cell tells its supervisor about one incarnation, a scope itself about its own, or the registry about what a service requires.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) token: ServiceToken,
    pub(crate) generation: u64,
    pub(crate) kind: NoticeKind,
}

/// What has happened in a cell.
#[derive(Debug)]
pub(crate) enum NoticeKind {
    /// The start of the service, a supervisor, waits for nothing but for what is elsewhere in the tree.
    AwaitsElsewhere,
    /// All that the service requires elsewhere in the tree was ready when the registry looked.
    Found { ticket: u64 },
    /// One of them is not.
    NotFound {
        ticket: u64,
        on: Arc<str>,
        why: Obstacle,
    },
    /// One of them waits for this service, says the registry.
    Ring { ticket: u64, members: Vec<Arc<str>> },
    /// The cell was written off while the factory was being called, and that is lost.
    FactoryLost,
    /// The incarnation has ended and everything that belonged to it is dropped.
    Exited(Exit),
    /// The cell was dropped, with its arbiter or before it was launched.
    Lost,
    /// The incarnation is ready.
    Ready,
    /// The supervisor itself is a scope that is to end, with an error or without.
    ScopeEnds(Option<ServiceError>),
    /// The incarnation's `started` has returned, and it will say itself when it is ready.
    Started,
    /// The cell of this epoch was written off, and its thread has come back, or is gone.
    ThreadBack { epoch: u32 },
    /// There is no incarnation, and the first message since then was refused.
    Refused,
    /// The incarnation was asked to stop, and its `stopping` answered that it has work left to do.
    StopAcknowledged,
    /// The service is a supervisor that somebody has shut down while it had no incarnation: it is to be removed.
    Uninstall,
}
