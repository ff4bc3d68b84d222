//! One life of a service: the actor, its futures, and the order in which they run.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use actix::{
    Actor, AsyncContext, Running, SpawnHandle,
    dev::{Envelope, EnvelopeProxy},
};
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
pub(super) const BUDGET: u32 = 64;

/// The actor value and everything that ends with it.
///
/// Everything stays in place while user code runs on it: were a piece moved out, a panic would drop it while
/// unwinding, and a second panic in its `Drop` would abort the process.
pub(super) struct Incarnation<A: Actor<Context = ServiceContext<A>>> {
    actor: A,
    futures: Option<Box<Futures<A>>>,
    started: Started,
}

/// The futures of an incarnation, for those that have any.
struct Futures<A: Actor> {
    /// In the order in which they were spawned.
    items: Vec<(SpawnHandle, Task<A>)>,
    /// What holds up everything else; the last is polled first, as in actix.
    waits: Vec<Task<A>>,
}

impl<A: Actor> Default for Futures<A> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            waits: Vec::new(),
        }
    }
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
            futures: None,
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
        handling: &mut Option<Envelope<A>>,
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
            if self.poll_waits(ctx, cx, &mut budget).is_pending() {
                return Step::Pending;
            }
            self.handle_messages(ctx, cx, &mut budget, handling);
            if ctx.is_overruled() {
                // Whoever gave the command has woken the cell, which obeys in its next poll.
                return Step::Pending;
            }
            self.merge(ctx);
            if self.has_waits() && !ctx.is_stopping() {
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
    fn poll_waits(
        &mut self,
        ctx: &mut ServiceContext<A>,
        cx: &mut Context<'_>,
        budget: &mut u32,
    ) -> Poll<()> {
        while !ctx.is_stopping()
            && let Some(futures) = &mut self.futures
            && let Some(wait) = futures.waits.last_mut()
        {
            if *budget == 0 {
                // One wait after the other, each of them over at once.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            *budget -= 1;
            // A wait that stopped the service is over, done or not.
            let polled = wait.as_mut().poll(&mut self.actor, ctx, cx);
            if polled.is_pending() && !ctx.is_stopping() {
                return Poll::Pending;
            }
            // Still the last one: what it has awaited itself is merged only now.
            futures.waits.pop();
            self.merge(ctx);
        }
        Poll::Ready(())
    }

    fn has_waits(&self) -> bool {
        self.futures
            .as_ref()
            .is_some_and(|futures| !futures.waits.is_empty())
    }

    fn handle_messages(
        &mut self,
        ctx: &mut ServiceContext<A>,
        cx: &mut Context<'_>,
        budget: &mut u32,
        handling: &mut Option<Envelope<A>>,
    ) {
        while *budget > 0 && !ctx.waiting() && !ctx.is_overruled() {
            match Pin::new(&mut ctx.mailbox).poll_next(cx) {
                Poll::Ready(Some(envelope)) => {
                    handling.insert(envelope).handle(&mut self.actor, ctx);
                    *handling = None;
                    *budget -= 1;
                }
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    /// Polls each spawned future once, in order, and drops the ones that are done.
    fn poll_items(&mut self, ctx: &mut ServiceContext<A>, cx: &mut Context<'_>) -> Round {
        let Some(futures) = &mut self.futures else {
            return Round::Complete;
        };
        let items = &mut futures.items;
        let mut kept = 0;
        let mut next = 0;
        while next < items.len() && !ctx.is_stopping() {
            let (handle, item) = &mut items[next];
            ctx.current = *handle;
            let polled = item.as_mut().poll(&mut self.actor, ctx, cx);
            if polled.is_pending() {
                items.swap(kept, next);
                kept += 1;
            }
            next += 1;
            if ctx.has_waits() || ctx.has_cancelled() {
                // Polled items go behind the ones that were not, so that one that keeps waiting does not
                // keep the others from being polled.
                items[kept..next].reverse();
                items.rotate_left(next);
                // Now: the ones that were not polled, the ones that go on, the ones that are done.
                drop_done(items, next - kept);
                return Round::Interrupted;
            }
        }
        items[kept..next].reverse();
        items[kept..].rotate_left(next - kept);
        drop_done(items, next - kept);
        Round::Complete
    }

    /// Takes over what user code has spawned, awaited and cancelled.
    fn merge(&mut self, ctx: &mut ServiceContext<A>) -> Merged {
        let Some(arrived) = &mut ctx.arrived else {
            return Merged::Nothing;
        };
        if arrived.is_empty() {
            return Merged::Nothing;
        }
        let futures = self.futures.get_or_insert_default();
        futures.waits.append(&mut arrived.waits);
        futures.items.append(&mut arrived.items);
        if !arrived.cancelled.is_empty() {
            let cancelled = mem::take(&mut arrived.cancelled);
            futures
                .items
                .retain(|(handle, _)| !cancelled.contains(handle));
        }
        Merged::Something
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

    /// Drops everything, piece by piece, hands the actor over, and returns the first panic of all that.
    pub(super) fn tear_down(
        self,
        ctx: &mut ServiceContext<A>,
        take_back: impl FnOnce(A),
    ) -> Option<ExitReason> {
        let mut first = None;
        let futures = self.futures.map(|futures| *futures).unwrap_or_default();
        let arrived = ctx.arrived.take().map(|arrived| *arrived);
        let arrived = arrived.unwrap_or_default();
        for item in futures.items.into_iter().chain(arrived.items) {
            drop_guarded(item, &mut first);
        }
        for wait in futures.waits.into_iter().chain(arrived.waits) {
            drop_guarded(wait, &mut first);
        }
        let actor = self.actor;
        if let Err(panic) = guard(move || take_back(actor)) {
            first.get_or_insert(panic);
        }
        first
    }
}

/// Drops the last ones, from the end on.
///
/// One by one, each taken out of the list first: were they dropped together, a second panic would abort the process.
fn drop_done<T>(items: &mut Vec<T>, done: usize) {
    for _ in 0..done {
        drop(items.pop());
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
