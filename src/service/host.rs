//! What a cell needs from the kind of actix context that its actor runs in.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use actix::{Actor, Message, dev::Envelope};

use super::{
    contents::Contents,
    error::StartError,
    factory::{Factory, UserFactory},
    link::{AnyLink, Link},
    parent::NoticeKind,
};
use crate::{
    policy::{ExitReason, Readiness, ServiceError},
    state::Exit,
};

/// Has the mailbox and the factory of one service, and runs one incarnation after the other in one kind of context.
///
/// [`ServiceContext`](super::ServiceContext) is one, for actors written for it; [`Adopted`](super::hosted::Adopted) is the other. A cell
/// calls, for each incarnation, `begin`, `context`, `incarnate` or `discard`, any number of times `run` and `ask_to_stop`, `take_exit` if it has ended by itself, and
/// `tear_down`. User code that panics within any of them unwinds into the cell, which then calls `tear_down`.
pub(super) trait Host<A: Actor>: Unpin + 'static {
    /// An actor with everything that ends with it.
    type Incarnation: Unpin;

    /// For the cell of this epoch.
    fn new(contents: Contents<A>, link: Arc<Link<A>>, epoch: u32) -> Self;

    fn link(&self) -> &Arc<Link<A>>;

    /// Of which epoch the cell is.
    fn epoch(&self) -> u32;

    /// Which incarnation runs. The link says which one was ordered last, which may be a later one.
    fn generation(&self) -> u64;

    /// Resets what is kept of the incarnation before, for a new one with this number.
    fn begin(&mut self, generation: u64);

    /// The context of the incarnation that has begun, for the factory of its actor.
    fn context(&mut self) -> &mut A::Context;

    /// How the incarnation ends whose factory has stopped its context, or had it fail. `None` if it has not.
    fn take_factory_exit(&mut self) -> Option<Exit>;

    /// Drops what a factory that has made no actor has put into the context.
    fn discard(&mut self, first: &mut Option<ExitReason>);

    /// Puts a fresh actor into its context. Runs no code of the actor.
    fn incarnate(&mut self, actor: A) -> Self::Incarnation;

    /// Runs until nothing is left to do, the budget is spent, or the incarnation has ended.
    ///
    /// `handling` is a place for the message that is being handled, outside of where panics are caught.
    fn run(
        &mut self,
        incarnation: &mut Self::Incarnation,
        readiness: Readiness,
        cx: &mut Context<'_>,
        handling: &mut Option<Envelope<A>>,
    ) -> Step;

    /// Asks the incarnation to stop; a second call changes nothing.
    fn ask_to_stop(&mut self, incarnation: &mut Self::Incarnation);

    /// Takes why the incarnation has ended.
    fn take_exit(&mut self) -> Exit;

    /// Drops everything of the incarnation without calling its hooks, and returns the first panic of a `Drop`.
    ///
    /// The actor is given to `take_back` after everything else is dropped, unless its context does not give it back.
    fn tear_down(
        &mut self,
        incarnation: Self::Incarnation,
        take_back: impl FnOnce(&mut Self, A),
    ) -> Option<ExitReason>;

    /// Reports whether a message that was queued is for the present incarnation. All are, but for the end of a service that an earlier one has
    /// watched, or that is watched no more.
    fn wants<M: Message + 'static>(&self, _: &M) -> bool {
        true
    }

    /// Looks into the mailbox.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Envelope<A>>>;

    /// Takes the factory for one call. `None` if it is lost, or the cell is written off.
    fn take_factory(&mut self) -> Option<UserFactory<A>>;

    /// Puts the factory back after its call, or another one in its place.
    fn put_factory(&mut self, factory: UserFactory<A>);

    /// Drops what is queued, and what a slot holds.
    fn release(&mut self);

    /// The cell is written off, and has come back or is gone.
    fn forget_late(&mut self);

    /// Lets the factory do what it has to do while there is no incarnation. What the messages that it handles have spawned is dropped.
    fn idle(&mut self, _: &mut dyn Factory<A>, _: &mut Context<'_>) {}

    /// Says who wants the answer to the message that is handled next.
    fn note_answer(&mut self, _: AnswerTo) {}

    /// How an incarnation ends whose factory has stopped its context: it cannot run.
    fn factory_stopped(&self) -> Exit {
        let path = Arc::clone(self.link().core().path());
        let error = ServiceError::new(StartError::StoppedByFactory { path });
        Exit::from(ExitReason::Failed(error))
    }

    fn notify_supervisor(&self, kind: NoticeKind) {
        let core = self.link().core();
        core.parent().notify(core.token(), self.generation(), kind);
    }
}

/// Who wants the answer to a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AnswerTo {
    /// Its caller, who waits for it.
    Caller,
    /// Nobody: it was sent without waiting, or its caller has gone away.
    Nobody,
}

/// Whether an incarnation has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(super) enum Step {
    Ended,
    Pending,
}

/// Whether the supervisor has asked the present incarnation to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AskedToStop {
    /// Asked, and the supervisor knows that more time is needed.
    Acknowledged,
    /// Not asked.
    No,
    /// Asked, and the supervisor was not told anything yet.
    Unanswered,
}

impl AskedToStop {
    /// How an incarnation ends whose end has no other reason.
    pub(super) fn exit(self) -> Exit {
        Exit::from(match self {
            Self::No => ExitReason::Normal,
            Self::Acknowledged | Self::Unanswered => ExitReason::Shutdown,
        })
    }

    /// The supervisor asks. Asking again changes nothing.
    pub(super) fn ask(&mut self) {
        if *self == Self::No {
            *self = Self::Unanswered;
        }
    }
}

/// How much one poll may do before it yields to its arbiter: messages handled, and rounds over the futures.
///
/// Large enough that yielding costs nothing measurable for each message, small enough that a sibling waits for tens
/// of microseconds and not for a queue to drain.
pub(super) const BUDGET: u32 = 64;
