//! Runs actors that were written for actix's own context.
//!
//! actix's [`ContextFut`] owns its mailbox and gives it back to nobody, so that a panic, which costs the future, would cost the mailbox, too.
//! The mailbox therefore stays with the host. The addresses that the context gives out are made to lead to it, and a future that is spawned
//! before the actor starts, the [`Delivery`], hands the messages to the actor from inside the context.
//!
//! # Invariants
//!
//! 1. Nobody but the host has an address of the mailbox that the [`ContextFut`] owns, which is always empty.
//! 2. No message is handed over before the supervisor was told that the incarnation is ready.
//! 3. A [`ContextFut`] is dropped only once its context is terminated: otherwise its `Drop` would call the hooks, and poll futures that
//!    have panicked.
//! 4. The loop of a [`ContextFut`] goes on for as long as its futures spawn others. The delivery is the first of them, counts the rounds, and
//!    has the context wait for the next poll of the host when the budget is spent.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use actix::{
    Actor, ActorContext, ActorFuture, ActorState, Addr, AsyncContext,
    dev::{AsyncContextParts, ContextFut, Envelope, EnvelopeProxy},
};
use futures::Future;

use super::super::{
    contents::Contents,
    factory::UserFactory,
    host::{AskedToStop, BUDGET, Host, Step},
    link::{AnyLink, Link},
    panic::drop_guarded,
    parent::NoticeKind,
};
use crate::{
    policy::{ExitReason, Readiness},
    state::Exit,
};

/// The host of an actor in an [`actix::Context`].
pub(in crate::service) struct Adopted<A: Actor<Context = actix::Context<A>>> {
    queue: Rc<Queue<A>>,
    link: Arc<Link<A>>,
    generation: u64,
    epoch: u32,
    asked: AskedToStop,
    /// The context of an actor that is still to be made. Boxed, since it is there for a moment only, and large.
    prepared: Option<Box<Prepared<A>>>,
}

/// A context without its actor.
struct Prepared<A: Actor<Context = actix::Context<A>>> {
    ctx: actix::Context<A>,
    own: Addr<A>,
}

/// The mailbox, between the host that keeps it and the future inside the context that reads it.
struct Queue<A: Actor> {
    /// Borrowed only while it is looked into, which runs no code of the actor: no two borrows meet.
    contents: RefCell<Contents<A>>,
    gate: Cell<Gate>,
    /// What is left of the budget of this poll of the host.
    budget: Cell<u32>,
    /// Whether the context has a delivery. An actor may cancel it: `ctx.handle()` in a message handler names it.
    has_delivery: Cell<bool>,
}

/// Whether messages are handed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Gate {
    Closed,
    Open,
}

/// An actor in its context.
pub(in crate::service) struct Adoptee<A: Actor<Context = actix::Context<A>>> {
    future: ContextFut<A, actix::Context<A>>,
    /// An address of the mailbox that the future owns. A context ends by itself when nobody has one and no future is left to run.
    _own: Addr<A>,
}

impl<A: Actor<Context = actix::Context<A>>> Host<A> for Adopted<A> {
    type Incarnation = Adoptee<A>;

    fn new(contents: Contents<A>, link: Arc<Link<A>>, epoch: u32) -> Self {
        let queue = Queue {
            contents: RefCell::new(contents),
            gate: Cell::new(Gate::Closed),
            budget: Cell::new(0),
            has_delivery: Cell::new(false),
        };
        Self {
            queue: Rc::new(queue),
            link,
            generation: 0,
            epoch,
            asked: AskedToStop::No,
            prepared: None,
        }
    }

    fn link(&self) -> &Arc<Link<A>> {
        &self.link
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn begin(&mut self, generation: u64) {
        self.generation = generation;
        self.asked = AskedToStop::No;
        self.queue.gate.set(Gate::Closed);
    }

    fn context(&mut self) -> &mut actix::Context<A> {
        let prepared = self.take_prepared();
        &mut self.prepared.insert(prepared).ctx
    }

    fn take_factory_exit(&mut self) -> Option<Exit> {
        let prepared = self.prepared.as_ref()?;
        let stopped = prepared.ctx.state() != ActorState::Running;
        stopped.then(|| self.factory_stopped())
    }

    fn discard(&mut self, first: &mut Option<ExitReason>) {
        // All at once, as in `tear_down`.
        if let Some(prepared) = self.prepared.take() {
            drop_guarded(first, prepared);
        }
    }

    fn incarnate(&mut self, actor: A) -> Adoptee<A> {
        let Prepared { ctx, own } = *self.take_prepared();
        Adoptee {
            future: ctx.into_future(actor),
            _own: own,
        }
    }

    fn run(
        &mut self,
        incarnation: &mut Adoptee<A>,
        _always_on_start: Readiness,
        cx: &mut Context<'_>,
        _message_stays_inside: &mut Option<Envelope<A>>,
    ) -> Step {
        // Also lets a context go on that waits for this poll.
        self.queue.budget.set(BUDGET);
        let polled = Pin::new(&mut incarnation.future).poll(cx);
        if self.queue.gate.replace(Gate::Open) == Gate::Closed {
            // The first poll has run `started`. The delivery has found the gate closed, and needs another poll.
            self.notify_supervisor(NoticeKind::Ready);
            cx.waker().wake_by_ref();
        }
        if polled.is_ready() {
            return Step::Ended;
        }
        let ctx = incarnation.future.ctx();
        if !self.queue.has_delivery.get() {
            // The actor has cancelled it. actix's own mailbox cannot be cancelled, so neither can this.
            ctx.spawn(self.delivery());
            cx.waker().wake_by_ref();
        }
        // Asked to stop and running again: `stopping` has answered that there is work to finish.
        if self.asked == AskedToStop::Unanswered && ctx.state() == ActorState::Running {
            self.asked = AskedToStop::Acknowledged;
            self.notify_supervisor(NoticeKind::StopAcknowledged);
        }
        Step::Pending
    }

    fn ask_to_stop(&mut self, incarnation: &mut Adoptee<A>) {
        self.asked.ask();
        incarnation.future.ctx().stop();
    }

    fn take_exit(&mut self) -> Exit {
        self.asked.exit()
    }

    fn tear_down(
        &mut self,
        mut incarnation: Adoptee<A>,
        _actix_keeps_the_actor: impl FnOnce(&mut Self, A),
    ) -> Option<ExitReason> {
        // Invariant 3. All of it is dropped at once, since actix gives out no part of it: of two panics the second one aborts the process.
        incarnation.future.ctx().terminate();
        let mut first = None;
        drop_guarded(&mut first, incarnation);
        first
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Envelope<A>>> {
        self.queue.contents.borrow_mut().poll_next(self.epoch, cx)
    }

    fn take_factory(&mut self) -> Option<UserFactory<A>> {
        self.queue.contents.borrow_mut().take_factory(self.epoch)
    }

    fn put_factory(&mut self, factory: UserFactory<A>) {
        let mut contents = self.queue.contents.borrow_mut();
        contents.put_factory(self.epoch, factory);
    }

    fn release(&mut self) {
        self.queue.contents.borrow_mut().release(self.epoch);
    }

    fn forget_late(&mut self) {
        self.queue.contents.borrow_mut().forget_late(self.epoch);
    }
}

impl<A: Actor<Context = actix::Context<A>>> Adopted<A> {
    /// The context for the next actor, made unless it is there.
    fn take_prepared(&mut self) -> Box<Prepared<A>> {
        if let Some(prepared) = self.prepared.take() {
            return prepared;
        }
        let mut ctx = actix::Context::new();
        // Before the parts are replaced: from then on the context gives out addresses of the service's mailbox.
        let own = ctx.address();
        *ctx.parts() = self.queue.contents.borrow().context_parts();
        ctx.spawn(self.delivery());
        Box::new(Prepared { ctx, own })
    }

    fn delivery(&self) -> Delivery<A> {
        self.queue.has_delivery.set(true);
        Delivery {
            queue: Rc::clone(&self.queue),
            link: Arc::clone(&self.link),
            epoch: self.epoch,
        }
    }
}

/// Hands messages to the actor, for as long as the incarnation lives.
struct Delivery<A: Actor> {
    queue: Rc<Queue<A>>,
    link: Arc<Link<A>>,
    epoch: u32,
}

impl<A: Actor<Context = actix::Context<A>>> ActorFuture<A> for Delivery<A> {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut actix::Context<A>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let this = self.get_mut();
        let queue = &this.queue;
        while !ctx.waiting() {
            let Some(left) = queue.budget.get().checked_sub(1) else {
                cx.waker().wake_by_ref();
                // Without the wait, the context would poll its futures again as long as any of them spawns another.
                ctx.wait(UntilNextPoll(Rc::clone(queue)));
                break;
            };
            // A round without a message is counted, too: the context goes round because some future has spawned another.
            queue.budget.set(left);
            // Asked before each message: the first one waits for `Ready` (invariant 2), and a kill does not wait for the others.
            if queue.gate.get() == Gate::Closed || this.link.core().is_overruled(this.epoch) {
                break;
            }
            let handled = this.link.core().handled_counter();
            let mut contents = queue.contents.borrow_mut();
            let next = contents.poll_handled(this.epoch, handled, cx);
            drop(contents);
            let Poll::Ready(Some(mut envelope)) = next else {
                break;
            };
            envelope.handle(actor, ctx);
        }
        Poll::Pending
    }
}

impl<A: Actor> Drop for Delivery<A> {
    fn drop(&mut self) {
        self.queue.has_delivery.set(false);
    }
}

/// Holds up a context until its host polls it again.
struct UntilNextPoll<A: Actor>(Rc<Queue<A>>);

impl<A: Actor<Context = actix::Context<A>>> ActorFuture<A> for UntilNextPoll<A> {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        _: &mut A,
        _: &mut actix::Context<A>,
        _: &mut Context<'_>,
    ) -> Poll<()> {
        if self.0.budget.get() == 0 {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}
