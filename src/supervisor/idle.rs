//! A supervisor without an incarnation: between two of its lives, or down until somebody starts it.
//!
//! Its cell keeps no actor then, and its factory the [`Core`]. Whoever asks meanwhile is answered all the same: the state is put back to the
//! time before its start, and takes requests as it does there. What has to wait for the start waits.
//!
//! # Invariants
//!
//! 1. Whoever asks a supervisor that is down until somebody starts it is refused: the reply channel closes, as that of an actor that is gone.
//! 2. One that is shut down while it has no incarnation is removed by the supervisor above, and whoever has asked for that is told so.

use std::task::Context;

use actix::dev::EnvelopeProxy;

use super::{
    actor::{Core, Requests, SupervisorActor},
    clock::now,
    driver::BATCH,
};
use crate::{
    service::{AnyLink, NoticeKind, ServiceContext, guard},
    state::{ShutdownReport, StopBy},
    user_value::UserValue,
};

impl SupervisorActor {
    /// Takes notices and answers messages, up to a bounded number of each; whatever comes next wakes the cell.
    pub(super) fn idle(&mut self, ctx: &mut ServiceContext<Self>, cx: &mut Context<'_>) {
        let requests = self.core.requests_while_idle(ctx);
        if requests == Requests::Unread {
            return;
        }
        self.core.take_requests(requests);
        let for_good = ctx.link().core().refuses();
        if self.core.rests_for_good != for_good {
            self.core.rests_for_good = for_good;
            self.turn(ctx, |core| core.state.rest(for_good));
        }
        let mut more = true;
        for _ in 0..BATCH {
            // Of the services: what a late one says changes nothing, and one that has shut itself down wants to be removed.
            if let Some(notice) = self.core.driver.poll_notice(cx) {
                self.turn(ctx, |core| core.notice(notice));
                continue;
            }
            let Some(envelope) = ctx.poll_message(cx) else {
                more = false;
                break;
            };
            let mut envelope = UserValue::new(envelope);
            // Users may handle messages of their own here. What such a panic leaves half done is the user's.
            let _nobody_to_tell = guard(|| envelope.handle(self, ctx));
            if ctx.has_waits() {
                // It was a turn's work, as a part of a report is.
                break;
            }
        }
        if more {
            cx.waker().wake_by_ref();
        }
        self.core.have_removed(ctx);
    }
}

impl Core {
    /// What becomes of requests while there is no incarnation.
    fn requests_while_idle(&self, ctx: &ServiceContext<SupervisorActor>) -> Requests {
        let link = ctx.link().core();
        let closing = self.cells.tree().is_some_and(|tree| tree.is_closing());
        if link.state().is_down() || closing || self.ending.is_requested() {
            Requests::Refused
        } else if self.cells.tree().is_some() || self.validate().is_err() {
            Requests::Served
        } else {
            // Before the very first start, which is about to come: what is asked now is asked of a supervisor that starts.
            Requests::Unread
        }
    }

    /// Says what becomes of requests, and refuses those that were asked already and wait for a start.
    fn take_requests(&mut self, requests: Requests) {
        self.requests = requests;
        if requests == Requests::Refused {
            self.answers.drop_operations();
            self.state.forget_waiters(|_| true);
        }
    }

    /// Somebody shuts the supervisor down: at once, or by having it removed.
    pub(super) fn be_shut_down(&mut self, by: Option<StopBy>) {
        self.ending.request();
        if self.state.is_idle() {
            return self.take_requests(Requests::Refused);
        }
        self.state.shutdown(by, now());
    }

    /// Asks the supervisor above to remove this one, once in each time without an incarnation.
    fn have_removed(&mut self, ctx: &ServiceContext<SupervisorActor>) {
        if self.ending.takes_removal() {
            ctx.notify_supervisor(NoticeKind::Uninstall);
        }
    }

    /// The supervisor is removed, and has no incarnation.
    pub(super) fn released(&mut self) {
        if !self.ending.is_requested() {
            return;
        }
        let mut report = ShutdownReport::default();
        report.add_unstopped(self.still_abandoned());
        if let Some(owner) = self.cells.owner() {
            // One that was down has nothing else to report; who asks once it has been shut down gets the report of that.
            owner.core().note_shutdown(&report);
        }
        self.tell_noted_end();
        // Of one that was never part of a tree.
        self.answers.tell_end(&report);
    }

    /// Tells those who wait for the end of the supervisor what it has ended with, if it has.
    pub(super) fn tell_noted_end(&mut self) {
        let owner = self.cells.owner();
        if let Some(report) = owner.and_then(|owner| owner.core().shutdown_report()) {
            self.answers.tell_end(report);
        }
    }
}
