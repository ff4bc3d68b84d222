//! What a cell needs from the kind of actix context that its actor runs in.

use std::{sync::Arc, task::Context};

use actix::{
    Actor,
    dev::{Envelope, channel::AddressReceiver},
};

use super::{
    incarnation::Step,
    link::{AnyLink, Link},
    parent::NoticeKind,
};
use crate::{
    policy::{ExitReason, Readiness},
    state::Exit,
};

/// Owns the mailbox of one service, and runs one incarnation after the other in one kind of context.
///
/// [`ServiceContext`](super::ServiceContext) is one, for actors written for it; `existing::Adopted` is the other.
pub(super) trait Host<A: Actor>: Unpin + 'static {
    /// An actor with everything that ends with it.
    type Incarnation: Unpin;

    fn new(mailbox: AddressReceiver<A>, link: Arc<Link<A>>) -> Self;

    fn link(&self) -> &Arc<Link<A>>;

    /// Which incarnation runs. The link says which one was ordered last, which may be a later one.
    fn generation(&self) -> u64;

    /// Forgets the incarnation before, for a new one with this number.
    fn begin(&mut self, generation: u64);

    /// Puts a fresh actor into its context. Runs no code of the actor.
    fn incarnate(&mut self, actor: A) -> Self::Incarnation;

    /// Runs until nothing is left to do, the budget is spent, or the incarnation is over.
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
        take_back: impl FnOnce(A),
    ) -> Option<ExitReason>;

    /// Drops what is queued.
    fn drain(&mut self);

    fn notify_supervisor(&self, kind: NoticeKind) {
        let core = self.link().core();
        core.parent().notify(core.token(), self.generation(), kind);
    }
}
