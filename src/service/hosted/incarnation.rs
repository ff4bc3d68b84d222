//! An actor with its futures, and the order in which they run.
//!
//! An incarnation shares with its [`ServiceContext`] what user code reaches through `ctx`: what it spawns, awaits and cancels, and whether
//! it stops. It takes that over after each call of user code. That a panic ends it is the cell's business.
//!
//! # Invariants
//!
//! 1. The actor and every future stay in their place while user code runs on them. Were one moved out, a panic would drop it while
//!    the stack unwinds, and a second panic in its `Drop` would abort the process.
//! 2. Waits come before messages, messages before spawned futures, and those before the question whether to stop, as in actix.
//! 3. No user code runs once the supervisor has killed or replaced the incarnation.

use std::{
    mem,
    task::{Context, Poll},
};

use actix::{
    Actor, ActorState, AsyncContext, Running, SpawnHandle,
    dev::{Envelope, EnvelopeProxy},
};

use super::{
    super::{
        host::{AskedToStop, BUDGET, Step},
        panic::{drop_guarded, run_guarded},
        parent::NoticeKind,
    },
    context::{SaidReady, ServiceContext, Task},
};
use crate::policy::{ExitReason, Readiness};

/// The actor value and everything that ends with it.
pub(in crate::service) struct Incarnation<A: Actor<Context = ServiceContext<A>>> {
    actor: A,
    futures: Option<Box<Futures<A>>>,
    /// Whether the actor's `started` was called.
    started: bool,
}

impl<A: Actor<Context = ServiceContext<A>>> Incarnation<A> {
    pub(super) fn new(actor: A) -> Self {
        Self {
            actor,
            futures: None,
            started: false,
        }
    }

    /// Runs until nothing is left to do, the budget is spent, or the incarnation has ended.
    pub(super) fn run(
        &mut self,
        ctx: &mut ServiceContext<A>,
        readiness: Readiness,
        cx: &mut Context<'_>,
        handling: &mut Option<Envelope<A>>,
    ) -> Step {
        if !self.started {
            self.started = true;
            let said = ctx.leave_factory();
            self.actor.started(ctx);
            match readiness {
                // A start that has failed.
                _ if ctx.has_said_how_it_ends() => {}
                Readiness::Explicit if said == SaidReady::NotStarted => {
                    ctx.notify_supervisor(NoticeKind::Started);
                }
                Readiness::OnStart | Readiness::Explicit => ctx.ready(),
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
                // Whoever gave the command has woken the cell, too: it obeys in its next poll.
                return Step::Pending;
            }
            self.merge(ctx);
            if self.has_waits() && !ctx.is_stopping() {
                // A handler has called `wait`, which holds up the spawned futures, too.
                continue;
            }
            let round = self.poll_items(ctx, cx);
            // Hooks and handlers are no futures.
            ctx.current = SpawnHandle::default();
            let more = self.merge(ctx) == Merged::Something || round == Round::Interrupted;
            if !more || ctx.is_stopping() {
                match self.after_round(ctx) {
                    AfterRound::End => return Step::Ended,
                    AfterRound::Wait if budget > 0 => return Step::Pending,
                    // With the budget spent there may be more messages: only the mailbox knows, and it was not asked.
                    AfterRound::GoOn | AfterRound::Wait => {}
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
                // Waits that are done at once and await the next one would keep the thread for ever.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            *budget -= 1;
            // actix drops a wait that has stopped its actor, done or not.
            let polled = wait.as_mut().poll(&mut self.actor, ctx, cx);
            if polled.is_pending() && !ctx.is_stopping() {
                return Poll::Pending;
            }
            // The wait is still the last one: what it has awaited itself comes behind it only with the merge.
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
        // The supervisor may give a command on another thread at any time: a kill waits for no second message.
        while *budget > 0 && !ctx.waiting() && !ctx.is_overruled() {
            match ctx.poll_handled(cx) {
                Poll::Ready(Some(envelope)) => {
                    // Handled where it lies, in the cell's frame: the unwinding of a panic has less to drop on its way.
                    handling.insert(envelope).handle(&mut self.actor, ctx);
                    *handling = None;
                    *budget -= 1;
                }
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    /// Polls each spawned future once, in order, and drops the ones that are done.
    ///
    /// In the course of it the list has three parts: futures that were polled and go on, those that are done, and the rest.
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
                // What was polled goes behind the rest. Otherwise a future that awaits something in each poll would keep those behind it from
                // ever being polled.
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
        // After the futures, of which one may have been cancelled in the call that spawned it.
        if !arrived.cancelled.is_empty() {
            let cancelled = mem::take(&mut arrived.cancelled);
            futures
                .items
                .retain(|(handle, _)| !cancelled.contains(handle));
        }
        Merged::Something
    }

    /// Asks an actor that is being stopped whether it agrees, and ends one that is stopped.
    fn after_round(&mut self, ctx: &mut ServiceContext<A>) -> AfterRound {
        match ctx.state {
            ActorState::Started | ActorState::Running => AfterRound::Wait,
            ActorState::Stopping => match self.actor.stopping(ctx) {
                Running::Stop => self.end(ctx),
                // The hook itself may have called `fail` or `terminate`, which leave it no choice.
                Running::Continue if ctx.state == ActorState::Stopped => self.end(ctx),
                Running::Continue => {
                    ctx.state = ActorState::Running;
                    if ctx.asked == AskedToStop::Unanswered {
                        ctx.asked = AskedToStop::Acknowledged;
                        ctx.notify_supervisor(NoticeKind::StopAcknowledged);
                    }
                    AfterRound::GoOn
                }
            },
            ActorState::Stopped => self.end(ctx),
        }
    }

    fn end(&mut self, ctx: &mut ServiceContext<A>) -> AfterRound {
        ctx.state = ActorState::Stopped;
        self.actor.stopped(ctx);
        AfterRound::End
    }

    /// Drops everything, piece by piece, hands the actor over, and returns the first panic of all that.
    pub(super) fn tear_down(
        self,
        ctx: &mut ServiceContext<A>,
        take_back: impl FnOnce(&mut ServiceContext<A>, A),
    ) -> Option<ExitReason> {
        let mut first = None;
        // After a panic, what that call of user code had spawned is still with the context.
        let futures = self.futures.map(|futures| *futures).unwrap_or_default();
        let arrived = ctx.arrived.take().map(|arrived| *arrived);
        let arrived = arrived.unwrap_or_default();
        for item in futures.items.into_iter().chain(arrived.items) {
            drop_guarded(&mut first, item);
        }
        for wait in futures.waits.into_iter().chain(arrived.waits) {
            drop_guarded(&mut first, wait);
        }
        // The actor last, so that nothing that uses what it owns outlives it, and a factory gets it back alone.
        let actor = self.actor;
        run_guarded(&mut first, move || take_back(ctx, actor));
        first
    }
}

/// Drops the last futures of a list, from the end on.
///
/// Each is taken out of the list first. Were the list truncated, a panic of one would have the others dropped while the stack unwinds.
fn drop_done<T>(items: &mut Vec<T>, done: usize) {
    for _ in 0..done {
        drop(items.pop());
    }
}

/// The futures of an incarnation that has any.
struct Futures<A: Actor> {
    /// In the order in which they were spawned.
    items: Vec<(SpawnHandle, Task<A>)>,
    /// Futures that hold up messages and spawned futures. The last is polled first, as in actix.
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

/// Where a round over the spawned futures ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
enum Round {
    /// Everything was polled.
    Complete,
    /// A future has called `wait`, or cancelled another: look at that first, then begin again.
    Interrupted,
}

/// Whether user code had spawned, awaited or cancelled anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Merged {
    Nothing,
    Something,
}

/// What follows a round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
enum AfterRound {
    /// The incarnation has ended.
    End,
    /// Another round: `stopping` may have given the actor something to do.
    GoOn,
    /// Nothing, until something wakes the cell.
    Wait,
}
