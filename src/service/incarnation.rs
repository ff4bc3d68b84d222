//! One life of a service: the actor, its futures, and the order in which they run.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use actix::{Actor, Running, SpawnHandle, dev::EnvelopeProxy};
use futures::Stream;

use super::{
    context::{Phase, ServiceContext, StopRequest, Task},
    panic::guard,
    parent::NoticeKind,
};
use crate::policy::{ExitReason, Readiness};

/// How much one poll may do before it yields to its arbiter: messages handled, and rounds over the futures.
///
/// Large enough that yielding costs nothing measurable for each message, small enough that a sibling waits for tens
/// of microseconds and not for a queue to drain.
const BUDGET: u32 = 64;

/// The actor value and everything that ends with it.
///
/// Everything stays in place while user code runs on it: were a piece moved out, a panic would drop it while
/// unwinding, and a second panic in its `Drop` would abort the process.
pub(super) struct Incarnation<A: Actor<Context = ServiceContext<A>>> {
    actor: A,
    /// Spawned futures, in the order in which they were spawned.
    items: Vec<(SpawnHandle, Task<A>)>,
    /// Futures that hold up everything else; the last is polled first, as in actix.
    waits: Vec<Task<A>>,
    started: Started,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Started {
    No,
    Yes,
}

/// Where a round over the spawned futures ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
enum Round {
    /// Everything was polled.
    Complete,
    /// A future waits, or cancelled another: look at that first, then begin again.
    Interrupted,
}

/// Whether the incarnation is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(super) enum Step {
    Ended,
    Pending,
}

impl<A: Actor<Context = ServiceContext<A>>> Incarnation<A> {
    pub(super) fn new(actor: A) -> Self {
        Self {
            actor,
            items: Vec::new(),
            waits: Vec::new(),
            started: Started::No,
        }
    }

    /// Runs until nothing is left to do, the budget is spent, or the incarnation is over.
    ///
    /// The order within a round is actix's: waits, then messages, then spawned futures, then the decision to stop.
    pub(super) fn run(
        &mut self,
        ctx: &mut ServiceContext<A>,
        readiness: Readiness,
        cx: &mut Context<'_>,
    ) -> Step {
        if self.started == Started::No {
            self.started = Started::Yes;
            self.actor.started(ctx);
            match readiness {
                _ if ctx.has_failed() => {}
                Readiness::OnStart => ctx.ready(),
                Readiness::Explicit => ctx.notify_supervisor(NoticeKind::Started),
            }
            self.merge(ctx);
        }

        let mut budget = BUDGET;
        loop {
            if self.poll_waits(ctx, cx).is_pending() {
                return Step::Pending;
            }
            self.handle_messages(ctx, cx, &mut budget);
            self.merge(ctx);
            if !self.waits.is_empty() && !ctx.is_stopping() {
                continue;
            }
            let round = self.poll_items(ctx, cx);
            ctx.current = SpawnHandle::default();
            let more = self.merge(ctx) == Merged::Something || round == Round::Interrupted;
            if !more || ctx.is_stopping() {
                match self.decide(ctx) {
                    Decision::End => return Step::Ended,
                    Decision::Wait if budget > 0 => return Step::Pending,
                    Decision::GoOn | Decision::Wait => {}
                }
            }
            if budget == 0 {
                cx.waker().wake_by_ref();
                return Step::Pending;
            }
            budget -= 1;
        }
    }

    /// Polls the waits, newest first, until all are done or one is pending.
    fn poll_waits(&mut self, ctx: &mut ServiceContext<A>, cx: &mut Context<'_>) -> Poll<()> {
        while !self.waits.is_empty() && !ctx.is_stopping() {
            let newest = self.waits.len() - 1;
            let wait = self.waits[newest].as_mut();
            // A wait that stopped the service is over, done or not.
            if wait.poll(&mut self.actor, ctx, cx).is_pending() && !ctx.is_stopping() {
                return Poll::Pending;
            }
            self.waits.remove(newest);
            self.merge(ctx);
        }
        Poll::Ready(())
    }

    fn handle_messages(
        &mut self,
        ctx: &mut ServiceContext<A>,
        cx: &mut Context<'_>,
        budget: &mut u32,
    ) {
        while *budget > 0 && ctx.waits.is_empty() && !ctx.is_stopping() {
            match Pin::new(&mut ctx.mailbox).poll_next(cx) {
                Poll::Ready(Some(mut envelope)) => {
                    envelope.handle(&mut self.actor, ctx);
                    *budget -= 1;
                }
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    /// Polls each spawned future once, in order, and drops the ones that are done.
    fn poll_items(&mut self, ctx: &mut ServiceContext<A>, cx: &mut Context<'_>) -> Round {
        let mut kept = 0;
        let mut next = 0;
        while next < self.items.len() && !ctx.is_stopping() {
            let (handle, item) = &mut self.items[next];
            ctx.current = *handle;
            let polled = item.as_mut().poll(&mut self.actor, ctx, cx);
            let waits = !ctx.waits.is_empty();
            if polled.is_pending() {
                self.items.swap(kept, next);
                kept += 1;
            }
            next += 1;
            if waits || !ctx.cancelled.is_empty() {
                // Polled items go behind the ones that were not, so that one that keeps waiting does not
                // keep the others from being polled.
                drop(self.items.drain(kept..next));
                self.items.rotate_left(kept);
                return Round::Interrupted;
            }
        }
        drop(self.items.drain(kept..next));
        Round::Complete
    }

    /// Takes over what user code has spawned, awaited and cancelled.
    fn merge(&mut self, ctx: &mut ServiceContext<A>) -> Merged {
        let mut merged = Merged::Nothing;
        if !ctx.waits.is_empty() {
            self.waits.append(&mut ctx.waits);
            merged = Merged::Something;
        }
        if !ctx.spawned.is_empty() {
            self.items.append(&mut ctx.spawned);
            merged = Merged::Something;
        }
        if !ctx.cancelled.is_empty() {
            let cancelled = mem::take(&mut ctx.cancelled);
            self.items.retain(|(handle, _)| !cancelled.contains(handle));
            merged = Merged::Something;
        }
        merged
    }

    fn decide(&mut self, ctx: &mut ServiceContext<A>) -> Decision {
        match ctx.phase {
            Phase::Running => Decision::Wait,
            Phase::Stopping => match self.actor.stopping(ctx) {
                Running::Stop => self.finish(ctx),
                // The hook itself may have failed or terminated the service.
                Running::Continue if ctx.phase == Phase::Stopped => self.finish(ctx),
                Running::Continue => {
                    ctx.phase = Phase::Running;
                    if ctx.stop == StopRequest::Asked {
                        ctx.stop = StopRequest::Acknowledged;
                        ctx.notify_supervisor(NoticeKind::StopAcknowledged);
                    }
                    Decision::GoOn
                }
            },
            Phase::Stopped => self.finish(ctx),
        }
    }

    fn finish(&mut self, ctx: &mut ServiceContext<A>) -> Decision {
        ctx.phase = Phase::Stopped;
        self.actor.stopped(ctx);
        Decision::End
    }

    /// Drops everything, piece by piece, and returns the first panic of a `Drop`.
    pub(super) fn tear_down(self, ctx: &mut ServiceContext<A>) -> Option<ExitReason> {
        let mut first = None;
        let spawned = mem::take(&mut ctx.spawned);
        for item in self.items.into_iter().chain(spawned) {
            drop_guarded(item, &mut first);
        }
        let waits = mem::take(&mut ctx.waits);
        for wait in self.waits.into_iter().chain(waits) {
            drop_guarded(wait, &mut first);
        }
        ctx.cancelled = Vec::new();
        drop_guarded(self.actor, &mut first);
        first
    }
}

/// Drops user's code where a panic is caught, and keeps the first one.
pub(super) fn drop_guarded<T>(value: T, first: &mut Option<ExitReason>) {
    if let Err(panic) = guard(move || drop(value)) {
        first.get_or_insert(panic);
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Merged {
    Nothing,
    Something,
}

/// What follows a round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
enum Decision {
    End,
    GoOn,
    Wait,
}
