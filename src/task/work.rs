//! Work of a task that blocks its thread.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::task::JoinHandle;

use super::shared::Shared;
use crate::{policy::ExitReason, service::guard_service, user_value::UserValue};

/// The result to come of [`TaskContext::run_blocking`](super::TaskContext::run_blocking), which runs whether this is awaited or not.
pub struct BlockingWork<T> {
    handle: JoinHandle<Result<T, ExitReason>>,
}

impl<T: Send + 'static> BlockingWork<T> {
    pub(super) fn begin(
        shared: &Arc<Shared>,
        function: impl FnOnce() -> T + Send + 'static,
    ) -> Self {
        let owner = Arc::clone(shared);
        // A runtime that is shut down before the work has begun drops it.
        let function = UserValue::new(function);
        let work = move || {
            // The panic goes to the service from here, since perhaps nobody awaits the handle.
            let done = owner
                .span
                .in_scope(|| guard_service(|| function.into_inner()()));
            if let Err(panic) = &done {
                owner.panicked(panic.clone());
            }
            done
        };
        Self {
            handle: shared.runtime.spawn_blocking(work),
        }
    }
}

impl<T> Future for BlockingWork<T> {
    type Output = Result<T, BlockingError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle)
            .poll(cx)
            .map(|joined| match joined {
                Ok(Ok(done)) => Ok(done),
                Ok(Err(reason)) => Err(BlockingError::Panicked { reason }),
                Err(_) => Err(BlockingError::Cancelled),
            })
    }
}

impl<T> fmt::Debug for BlockingWork<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingWork").finish_non_exhaustive()
    }
}

/// Why blocking work has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockingError {
    /// The runtime was shut down before the work had begun. Its service is over then too.
    #[error("the runtime was shut down before the work had begun")]
    Cancelled,
    /// The work panicked, and its service ends with that panic, whatever is made of this error.
    #[error("the work {reason}")]
    #[non_exhaustive]
    Panicked {
        /// The panic.
        reason: ExitReason,
    },
}
