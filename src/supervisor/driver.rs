//! What wakes a supervisor: the notices of cells, and one timer.
//!
//! It is polled after every turn of the supervisor, so that the timer always stands at the deadline that the state named last.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Sleep, sleep_until},
};

use crate::service::Notice;

/// Where the notices of cells arrive, and the timer.
pub(super) struct Driver {
    /// Outlives incarnations: a cell may tell its end when its supervisor is down.
    notices: UnboundedReceiver<Notice>,
    timer: Option<Pin<Box<Sleep>>>,
    /// For which deadline the timer was set and has not fired.
    armed: Option<Instant>,
}

impl Driver {
    pub(super) const fn new(notices: UnboundedReceiver<Notice>) -> Self {
        Self {
            notices,
            timer: None,
            armed: None,
        }
    }

    /// The next notice. `None` if there is none; the supervisor is then woken by the next one.
    pub(super) fn poll_notice(&mut self, cx: &mut Context<'_>) -> Option<Notice> {
        match self.notices.poll_recv(cx) {
            // Never closed: the core holds the parent, and with it a sender.
            Poll::Ready(notice) => notice,
            Poll::Pending => None,
        }
    }

    /// Sets the timer to `deadline`, and reports whether that has come.
    ///
    /// tokio may fire late, or early by its granularity; and the deadline may have moved since the timer was set. So a timer that fires
    /// says only that the state is to be asked again, with the time of the clock.
    pub(super) fn is_due(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = deadline else {
            // The timer is left as it is. If it fires, that costs one poll.
            self.armed = None;
            return false;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        // Most turns leave the deadline where it was, and setting a timer takes a lock of tokio's.
        if self.armed != Some(deadline) {
            self.armed = Some(deadline);
            timer.as_mut().reset(deadline.into());
        }
        if timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        // A timer that has fired is set again before it is polled, even for the same deadline: tokio's answers at once ever after.
        self.armed = None;
        true
    }

    /// Drops the timer: a supervisor that is down is not to be woken by it.
    pub(super) fn disarm(&mut self) {
        self.timer = None;
        self.armed = None;
    }
}

/// How many notices are taken in one poll before the supervisor gives way to its commands and its siblings.
pub(super) const BATCH: usize = 128;
