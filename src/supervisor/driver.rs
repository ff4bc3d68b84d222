//! Takes the notices of cells, and keeps the supervisor's one timer.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use actix::ActorFuture;
use tokio::time::{Sleep, sleep_until};

use super::{SupervisorActor, clock::now};
use crate::service::ServiceContext;

/// How many notices are taken in one poll before the supervisor gives way to its commands and its siblings.
const BATCH: usize = 128;

/// Runs inside the supervisor for as long as its incarnation does.
///
/// It is polled after every turn of the supervisor, so the timer always stands at the deadline that the state named last.
#[derive(Default)]
pub(super) struct Driver {
    timer: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
}

impl ActorFuture<SupervisorActor> for Driver {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut SupervisorActor,
        ctx: &mut ServiceContext<SupervisorActor>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let driver = self.get_mut();
        if actor.take_notices(ctx, cx) == Taken::Batch {
            cx.waker().wake_by_ref();
        }
        // A deadline that has passed while the timer was being set is due at once; each round handles at
        // least one, so this ends.
        while driver.is_due(actor.next_timeout(), cx) {
            actor.decide(ctx, |core| core.state.timeout(now()));
        }
        Poll::Pending
    }
}

impl Driver {
    /// Sets the timer to `deadline`, and reports whether that has come.
    ///
    /// The clock is compared with the deadline, since a timer may fire late, early by its granularity, or for a
    /// deadline that has moved.
    fn is_due(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = deadline else {
            self.armed = None;
            return false;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        if self.armed != Some(deadline) {
            self.armed = Some(deadline);
            timer.as_mut().reset(deadline.into());
        }
        if timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.armed = None;
        true
    }
}

/// Whether there may be more notices.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
enum Taken {
    All,
    Batch,
}

impl SupervisorActor {
    fn take_notices(&mut self, ctx: &mut ServiceContext<Self>, cx: &mut Context<'_>) -> Taken {
        for _ in 0..BATCH {
            let Poll::Ready(Some(notice)) = self.core.notices.poll_recv(cx) else {
                return Taken::All;
            };
            self.decide(ctx, |core| core.notice(notice));
        }
        Taken::Batch
    }

    fn next_timeout(&mut self) -> Option<Instant> {
        self.core.state.next_timeout()
    }
}
