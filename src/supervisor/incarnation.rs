//! One incarnation of a supervisor: how it begins, what drives it, how it ends.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Running};

use super::{
    actor::{Start, SupervisorActor},
    clock::now,
    driver::BATCH,
    upward::Upward,
};
use crate::{
    policy::{ExitReason, KillCause, ServiceError, Verdict},
    service::{AnyLink, ServiceContext},
    state::{Cause, Ended, Exit, StopBy},
};

impl Actor for SupervisorActor {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let link = ctx.link();
        // Always there: a cell is launched by a supervisor that is part of a tree, or by `SupervisorActor::start`.
        let Some(above) = Upward::of(link.core().parent()) else {
            return ctx.stop();
        };
        let cells = &self.core.cells;
        let start = if cells.tree().is_none() {
            let tree = Arc::clone(above.tree());
            // Once: the link of a supervisor and its tree stay what they are in all its incarnations.
            cells.parent().set_above(Box::new(Upward::Supervisor {
                link: Arc::clone(link),
                tree: Arc::clone(&tree),
            }));
            self.core.attach(Arc::clone(link) as Arc<dyn AnyLink>, tree);
            Start::First
        } else {
            Start::Again
        };
        // Polled after this turn, when it arms the timer for what the start has set.
        ctx.spawn(Drive::default());
        self.turn(ctx, |core| core.start_all(start, now()));
    }

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        // Asked to stop from above, or by the context. If the end is set, all services have ended, and this is the state's own stop.
        if !self.core.ending.is_set() {
            let by = ctx.link().core().bound();
            self.turn(ctx, |core| core.state.shutdown(by, now()));
        }
        if self.core.ending.is_set() {
            Running::Stop
        } else {
            // The services take their time. When the last of them has ended, the state's `End` stops this context again.
            ctx.stop_later();
            Running::Continue
        }
    }

    fn stopped(&mut self, ctx: &mut Self::Context) {
        // Always there: only `stopping` lets the context of a supervisor stop.
        let Some(ended) = self.core.ending.take() else {
            return;
        };
        let bound = ctx.link().core().bound();
        let dropped = bound.and_then(|bound| dropped_by(&ended, bound.cause));
        if dropped.is_some() {
            self.core.scope.drop_run();
        }
        let (run, error) = self.core.scope.take(&ended);
        let on_request = ended.cause == Cause::Stopped && !ctx.was_asked_to_stop();
        let report = ended.report.clone();
        let mut exit = Exit::from(ended);
        if let Some(cause) = dropped {
            exit.reason = ExitReason::Killed(cause);
        }
        if on_request || self.core.ending.is_requested() {
            // A user has shut this supervisor down, not the supervisor above, which would take that for an end by itself and start it again.
            exit.verdict.get_or_insert(Verdict::Uninstall);
            ctx.link().core().note_shutdown(&report);
        }
        if let Some(error) = &error {
            exit.reason = ExitReason::Failed(ServiceError::new(error.clone()));
        }
        // To whoever is above, a supervisor or the keeper of the tree: once everything of this incarnation is dropped.
        ctx.end_with(exit);
        // That of one below the root is told when it is removed: whoever has shut it down may use its name again at once.
        let above = Upward::of(ctx.link().core().parent());
        if matches!(above, Some(Upward::Root { .. })) {
            self.core.answers.tell_end(&report);
        }
        if let Some(run) = run {
            run.end(error.map_or(Ok(()), Err));
        }
    }
}

/// Why a supervisor was dropped that was not asked to stop, but has dropped all that was below and ended with that.
fn dropped_by(ended: &Ended, cause: KillCause) -> Option<KillCause> {
    (ended.cause == Cause::Stopped && cause != KillCause::StopTimeout).then_some(cause)
}

/// Runs inside the supervisor for as long as its incarnation does: hands it the notices of cells, and says when time is up.
#[derive(Default)]
struct Drive {
    /// By when the supervisor was last told that it is to have stopped.
    told: Option<StopBy>,
}

impl Drive {
    /// Tells the supervisor that it has less time to stop than it knew. Whoever says so has woken its cell.
    fn hurry(&mut self, actor: &mut SupervisorActor, ctx: &mut ServiceContext<SupervisorActor>) {
        // Until it is asked to stop the time is of no interest, and then `stopping` reads it.
        if !ctx.was_asked_to_stop() || actor.core.ending.is_set() {
            return;
        }
        let by = ctx.link().core().bound();
        if by != self.told {
            self.told = by;
            actor.turn(ctx, |core| core.state.shutdown(by, now()));
        }
    }
}

impl ActorFuture<SupervisorActor> for Drive {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        actor: &mut SupervisorActor,
        ctx: &mut ServiceContext<SupervisorActor>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        for taken in 1..=BATCH {
            let Some(notice) = actor.core.driver.poll_notice(cx) else {
                break;
            };
            actor.turn(ctx, |core| core.notice(notice));
            if taken == BATCH {
                // There may be more. The channel wakes nobody for notices that are there already, so this has to come back by itself.
                cx.waker().wake_by_ref();
            }
        }
        self.hurry(actor, ctx);
        // After the notices: a service that has stopped in time, and whose notice is there, is not to be taken for one that is late.
        // A deadline that passes while the timer is being set is due at once. Each round handles at least one, so this ends.
        loop {
            // After each turn: it is to hear what that has led to, and its own turns set timers.
            actor.poll_steward(ctx, cx);
            let core = &mut *actor.core;
            if !core.driver.is_due(core.state.next_timeout(), cx) {
                return Poll::Pending;
            }
            actor.turn(ctx, |core| core.state.timeout(now()));
        }
    }
}
