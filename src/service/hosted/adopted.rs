//! Runs actors that were written for actix's own context.
//!
//! actix's [`ContextFut`] owns its mailbox and gives it back to nobody, so that a panic, which costs the future, would cost the mailbox too.
//! The mailbox therefore stays with the host: the context's parts are replaced by ones that lead to it, and a future that is spawned
//! before the actor starts hands the messages to the actor, one by one, from inside.
//!
//! # Invariants
//!
//! 1. Nobody but the host has an address of the future's own mailbox, which is always empty.
//! 2. No message is handed over before the supervisor was told that the incarnation is ready.
//! 3. A future is dropped only once its context is terminated: otherwise its `Drop` would call the hooks, and poll what has
//!    panicked.
//! 4. The context's own loop goes on for as long as its futures spawn others. Its first one counts the rounds, and has it wait for
//!    the next poll of the host when the budget is spent.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use actix::{
    Actor, ActorContext, ActorFuture, ActorState, Addr, AsyncContext,
    dev::{
        AsyncContextParts, ContextFut, ContextParts, Envelope, EnvelopeProxy,
        channel::AddressReceiver,
    },
};
use futures::{Future, Stream};

use super::super::{
    host::{AskedToStop, BUDGET, Host, Step},
    link::{AnyLink, Link},
    panic::{drain, drop_into},
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
    asked: AskedToStop,
}

/// The mailbox, between the host that keeps it and the future inside the context that reads it.
struct Queue<A: Actor> {
    /// Borrowed for as long as it takes to poll it, which runs no code of the actor.
    mailbox: RefCell<AddressReceiver<A>>,
    gate: Cell<Gate>,
    /// What is left of the budget of this poll of the host.
    budget: Cell<u32>,
    /// False once the actor has cancelled the delivery: within a handler, that is the future that its context names as its own.
    attended: Cell<bool>,
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
    /// Of the future's own mailbox. Without it, a context that has no other future ends by itself.
    _own: Addr<A>,
}

impl<A: Actor<Context = actix::Context<A>>> Host<A> for Adopted<A> {
    type Incarnation = Adoptee<A>;

    fn new(mailbox: AddressReceiver<A>, link: Arc<Link<A>>) -> Self {
        let queue = Queue {
            mailbox: RefCell::new(mailbox),
            gate: Cell::new(Gate::Closed),
            budget: Cell::new(0),
            attended: Cell::new(false),
        };
        Self {
            queue: Rc::new(queue),
            link,
            generation: 0,
            asked: AskedToStop::No,
        }
    }

    fn link(&self) -> &Arc<Link<A>> {
        &self.link
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn begin(&mut self, generation: u64) {
        self.generation = generation;
        self.asked = AskedToStop::No;
        self.queue.gate.set(Gate::Closed);
    }

    fn incarnate(&mut self, actor: A) -> Adoptee<A> {
        let mut ctx = actix::Context::new();
        let own = ctx.address();
        *ctx.parts() = ContextParts::new(self.queue.mailbox.borrow().sender_producer());
        ctx.spawn(self.delivery());
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
        self.queue.budget.set(BUDGET);
        let polled = Pin::new(&mut incarnation.future).poll(cx);
        if self.queue.gate.replace(Gate::Open) == Gate::Closed {
            self.notify_supervisor(NoticeKind::Ready);
            cx.waker().wake_by_ref();
        }
        if polled.is_ready() {
            return Step::Ended;
        }
        let ctx = incarnation.future.ctx();
        if !self.queue.attended.get() {
            ctx.spawn(self.delivery());
            cx.waker().wake_by_ref();
        }
        // `stopping` has answered that there is work to finish.
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
        _actix_keeps_the_actor: impl FnOnce(A),
    ) -> Option<ExitReason> {
        incarnation.future.ctx().terminate();
        let mut first = None;
        drop_into(&mut first, incarnation);
        first
    }

    fn drain(&mut self) {
        drain(&mut self.queue.mailbox.borrow_mut());
    }
}

impl<A: Actor<Context = actix::Context<A>>> Adopted<A> {
    fn delivery(&self) -> Delivery<A> {
        self.queue.attended.set(true);
        Delivery {
            queue: Rc::clone(&self.queue),
            link: Arc::clone(&self.link),
        }
    }
}

/// Hands messages to the actor, for as long as the incarnation lives.
struct Delivery<A: Actor> {
    queue: Rc<Queue<A>>,
    link: Arc<Link<A>>,
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
                ctx.wait(UntilNextPoll(Rc::clone(queue)));
                break;
            };
            // A round without a message costs as much: it is there because another future has spawned something.
            queue.budget.set(left);
            if queue.gate.get() == Gate::Closed || this.link.core().is_overruled() {
                break;
            }
            let next = Pin::new(&mut *queue.mailbox.borrow_mut()).poll_next(cx);
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
        self.queue.attended.set(false);
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
