//! What users ask of a supervisor about its end.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::future::{Either, select};

use super::{clock::now, message, reference::SupervisorRef, upward::Upward};
use crate::{
    event::{EventKind, Occurrence, Operation},
    service::AnyLink,
    state::{Cause, Ended, ShutdownReport, StopBy},
    tree::{JoinError, ShutdownError, SupervisorGone, result},
};

impl SupervisorRef {
    /// Stops all services in reverse start order, each within its timeout, and then the supervisor.
    ///
    /// Overtakes everything that is queued for the supervisor, and works in every state: while it starts, while it is
    /// paused, when it has stopped already (the report is then that of the first time), and from inside a service. Any number of
    /// callers get the same report, also later. A supervisor below the root is removed from its own supervisor, also if it is down, is being stopped
    /// for another reason, or is killed meanwhile; its name is free when this returns.
    ///
    /// # Errors
    ///
    /// [`ShutdownError`] if the actix system took the tree down before it could report.
    ///
    /// # Cancel safety
    ///
    /// The supervisor is shut down all the same once this was polled.
    pub async fn shutdown(&self) -> Result<ShutdownReport, ShutdownError> {
        self.note_shutdown_asked();
        if self.is_root() {
            // A command and not a message, which would wait behind all that is queued for the root.
            self.link().core().stop();
            self.tree().ended().await.map(|ended| ended.report.clone())
        } else {
            self.shutdown_below(message::Shutdown::new()).await
        }
    }

    /// As [`shutdown`](Self::shutdown), and takes at most `limit` for the whole tree, abandoning included; 10 ms if it is shorter.
    ///
    /// What still runs is dropped a tenth of `limit` before its end, at most 100 ms, at any depth, and what is still there in the middle of
    /// that time is abandoned. Who that was is in the report, with its path from the root. Of several limits the shortest counts.
    ///
    /// A supervisor whose own thread is blocked, by a service that runs there, carries nothing out until the thread is back. Callers on other
    /// threads do not wait for that: 50 ms after `limit`, by the clock of the operating system, they get a report that names what still
    /// runs below this supervisor, the service first that blocks a thread; the stop goes on once the thread is back. What is not below this
    /// supervisor was not asked to stop, and is not named, even if it is what blocks the thread: the root names it. With nothing left below, the
    /// report names the supervisor itself. A caller on the blocked thread itself cannot be helped. Place what may block elsewhere, with [`Placement::Dedicated`](crate::Placement::Dedicated) or
    /// [`ServiceSpec::blocking`](crate::ServiceSpec::blocking).
    ///
    /// # Errors
    ///
    /// As [`shutdown`](Self::shutdown).
    ///
    /// # Cancel safety
    ///
    /// The supervisor is shut down within `limit` all the same once this was polled.
    pub async fn shutdown_within(&self, limit: Duration) -> Result<ShutdownReport, ShutdownError> {
        // In this order: the first poll of the one orders the stop, and a prompt one needs no clock. If both are there, the report of the
        // supervisor wins.
        let told = pin!(self.told_within(limit));
        let overdue = pin!(self.tree().overdue(self.link(), limit));
        match select(told, overdue).await {
            Either::Left((report, _)) => report,
            // It may have ended, and wait for a supervisor above whose thread is blocked to remove it.
            Either::Right((report, _)) => match self.link().core().shutdown_report() {
                Some(ended) => Ok(ended.clone()),
                None => Ok(report),
            },
        }
    }

    /// Orders a stop within a limit, and waits until the supervisor says how that went.
    pub(super) async fn told_within(
        &self,
        limit: Duration,
    ) -> Result<ShutdownReport, ShutdownError> {
        self.note_shutdown_asked();
        if self.is_root() {
            // A command and not a message: the time holds for what runs now, and overtakes all that is queued for the root.
            match StopBy::within(limit, now()) {
                Some(by) => self.link().core().stop_by(by),
                None => self.link().core().stop(),
            }
            self.tree().ended().await.map(|ended| ended.report.clone())
        } else {
            let mut message = message::Shutdown::within(limit);
            message.by = StopBy::within(limit, now());
            self.shutdown_below(message).await
        }
    }

    /// Waits until the supervisor ends for good: a root ends with its tree; one below it when it is removed, or it or a supervisor above it
    /// will not be started again unless somebody asks for it.
    ///
    /// # Errors
    ///
    /// Why it ended, if that was not a shutdown: the most important fatal error, or the failure that was escalated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn join(&self) -> Result<(), JoinError> {
        match self.ended().await {
            Ok(ended) => result(&ended),
            Err(_) => Err(JoinError::SystemStopped),
        }
    }

    /// Waits until the supervisor has ended for good, and says how.
    pub(super) async fn ended(&self) -> Result<Arc<Ended>, ShutdownError> {
        if self.is_root() {
            return self.tree().ended().await;
        }
        self.tree().when_ended(self.token()).await;
        match self.link().core().latest_end() {
            Some(ended) => Ok(ended),
            // It was never started. Or the system was stopped, and the tree with it, before it could say anything.
            None if self.link().core().is_released() => Ok(Arc::new(Ended::from(Cause::Stopped))),
            None => self.tree().ended().await,
        }
    }

    /// Says who asks for the end, if that is known. By the caller, since the command overtakes whatever the supervisor could be told.
    fn note_shutdown_asked(&self) {
        if let Some(by) = self.asker() {
            let by = Arc::clone(by);
            let operation = Operation::Shutdown;
            let kind = EventKind::Requested { operation, by };
            let path = Arc::clone(self.link().core().path());
            let generation = self.link().core().generation();
            let what = Occurrence::new(path, None, generation, now(), kind);
            self.tree().events.report(what);
        }
    }

    /// Shuts down a supervisor below the root, which may be down: then it has itself removed.
    async fn shutdown_below(
        &self,
        message: message::Shutdown,
    ) -> Result<ShutdownReport, ShutdownError> {
        match self.addr().send(message).await {
            Ok(answer) => answer,
            // It was shut down before, or nobody has read it: the supervisor is gone, was never started, or is made by a factory of the user's,
            // which keeps nothing.
            Err(_) => match self.link().core().shutdown_report() {
                Some(report) => Ok(report.clone()),
                None => self.remove_from_above().await,
            },
        }
    }

    async fn remove_from_above(&self) -> Result<ShutdownReport, ShutdownError> {
        let above = self.upward().and_then(Upward::supervisor);
        match above.ok_or(SupervisorGone)?.remove(self.token()).await {
            Ok(_) => {
                let mut report = ShutdownReport::default();
                report.add_unstopped(self.tree().abandoned.below(self.path()));
                self.link().core().note_shutdown(&report);
                Ok(report)
            }
            Err(_) => Err(SupervisorGone.into()),
        }
    }
}
