//! Runs one incarnation of a service after the other, and outlives them.
//!
//! A cell does what its supervisor commands through the link, and tells what has happened. It decides nothing: whether an incarnation is
//! followed by another one, and when, is the supervisor's business. How an actor runs in its context is its [`Host`]'s.
//!
//! # Invariants
//!
//! 1. User code runs only inside [`guard`]: a panic never leaves a cell.
//! 2. The mailbox is read only while an actor is there to handle its messages; that of a supervisor also by its factory, which keeps what
//!    the actor works on.
//! 3. Everything of an incarnation is dropped before its end is told to the supervisor.
//! 4. Between the end of an incarnation and the start of the next one the cell returns to the runtime.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix::{
    Actor,
    dev::{Envelope, channel::AddressReceiver},
};

use super::{
    factory::{Building, Making, StartContext, UserFactory},
    host::{Host, Step},
    link::{AnyLink, Commands, Link, ServiceKind},
    panic::{drop_guarded, guard},
    parent::NoticeKind,
};
use crate::{policy::ExitReason, state::Exit};

/// The future that owns a service's mailbox and factory, from the first start until the service is forgotten.
pub(super) struct ServiceCell<A: Actor, H: Host<A>> {
    host: H,
    state: CellState<A, H::Incarnation>,
    factory: UserFactory<A>,
}

enum CellState<A, I> {
    /// The factory's future is making the actor.
    Building(Building<A>),
    /// The incarnation and all messages are dropped. Nothing runs any more.
    Released,
    Running(I),
    /// There is no incarnation. Messages wait.
    Vacant,
}

impl<A: Actor, H: Host<A>> ServiceCell<A, H> {
    pub(super) fn new(
        mailbox: AddressReceiver<A>,
        link: Arc<Link<A>>,
        factory: UserFactory<A>,
    ) -> Self {
        Self {
            host: H::new(mailbox, link),
            state: CellState::Vacant,
            factory,
        }
    }

    /// Carries out what the supervisor has commanded since the last poll, which may be several things at once.
    fn obey(&mut self, commands: Commands) {
        if commands.starts() {
            // Only an incarnation that was abandoned can still be there: its thread is free again, and nobody wants to hear of its end.
            let _nobody_to_tell = self.tear_down();
            let generation = self.host.link().core().generation();
            self.host.begin(generation);
        }
        if let Some(cause) = commands.kills() {
            // A start that came with the kill must be answered with an end, too, or the supervisor would wait for one.
            if commands.starts() || self.is_alive() {
                self.end(Exit::from(ExitReason::Killed(cause)));
            }
        } else if commands.starts() && commands.stops() {
            // Asked to stop before it was begun: the factory is not called.
            self.end(Exit::from(ExitReason::Shutdown));
        } else if commands.starts() {
            self.begin();
        } else if commands.stops() {
            self.ask_to_stop();
        }
    }

    /// Makes the next incarnation.
    fn begin(&mut self) {
        if let Some(replacement) = self.host.link().core().take_factory()
            && let Ok(replacement) = replacement.downcast::<UserFactory<A>>()
        {
            self.factory = *replacement;
        }
        let context = StartContext::new(Arc::clone(self.host.link()) as Arc<dyn AnyLink>);
        match guard(|| self.factory.make(context)) {
            Ok(Making::Done(Ok(actor))) => {
                self.state = CellState::Running(self.host.incarnate(actor));
            }
            Ok(Making::Done(Err(error))) => self.end(Exit::from(ExitReason::Failed(error))),
            Ok(Making::Later(future)) => self.state = CellState::Building(future),
            Err(panic) => self.end(Exit::from(panic)),
        }
    }

    fn ask_to_stop(&mut self) {
        match &mut self.state {
            // An actor that is not there yet cannot be asked: its factory's future is dropped.
            CellState::Building(_) => self.end(Exit::from(ExitReason::Shutdown)),
            CellState::Running(incarnation) => self.host.ask_to_stop(incarnation),
            // The incarnation has ended by itself, and that notice and this command have crossed.
            CellState::Vacant | CellState::Released => {}
        }
    }

    /// Without an incarnation, a supervisor still answers.
    fn idle(&mut self, cx: &mut Context<'_>) {
        if self.host.link().core().kind() == ServiceKind::Supervisor && !self.is_alive() {
            let (host, factory) = (&mut self.host, &mut self.factory);
            // What it calls of the user's is guarded one by one, in the factory.
            let _nobody_to_tell = guard(|| host.idle(&mut ***factory, cx));
        }
    }

    fn is_alive(&self) -> bool {
        matches!(self.state, CellState::Building(_) | CellState::Running(_))
    }

    /// Runs the incarnation as far as it goes. `Ready` is its end.
    fn advance(&mut self, cx: &mut Context<'_>, handling: &mut Option<Envelope<A>>) -> Poll<Exit> {
        if let CellState::Building(building) = &mut self.state {
            match building.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Exit::from(ExitReason::Failed(error)));
                }
                Poll::Ready(Ok(actor)) => {
                    self.state = CellState::Running(self.host.incarnate(actor));
                }
            }
        }
        let CellState::Running(incarnation) = &mut self.state else {
            return Poll::Pending;
        };
        let readiness = self.host.link().core().readiness();
        match self.host.run(incarnation, readiness, cx, handling) {
            Step::Pending => Poll::Pending,
            Step::Ended => Poll::Ready(self.host.take_exit()),
        }
    }

    /// How an incarnation ends that has panicked while it ran.
    fn exit_after(&mut self, panic: ExitReason) -> Exit {
        // It may have failed or decided about itself before, and panicked in the same handler or in `stopped`: what it said first counts.
        let said = self.host.take_exit();
        if said.reason.is_abnormal() || said.verdict.is_some() {
            said
        } else {
            Exit::from(panic)
        }
    }

    /// Drops what is left of the incarnation, then tells the supervisor.
    fn end(&mut self, mut exit: Exit) {
        let panic = self.tear_down();
        // A panic of a `Drop` makes a panic of a clean end. It replaces neither a failure, which came first, nor a verdict, which the
        // service has given on purpose.
        if let Some(panic) = panic
            && !exit.reason.is_abnormal()
            && exit.verdict.is_none()
        {
            exit.reason = panic;
        }
        self.host.notify_supervisor(NoticeKind::Exited(exit));
    }

    /// Drops what is left of the incarnation, gives its actor back to the factory, and returns the first panic of all that.
    fn tear_down(&mut self) -> Option<ExitReason> {
        let mut first = None;
        match mem::replace(&mut self.state, CellState::Vacant) {
            CellState::Running(incarnation) => {
                let factory = &mut self.factory;
                let take_back = |actor| factory.take_back(actor);
                first = self.host.tear_down(incarnation, take_back);
            }
            CellState::Building(future) => drop_guarded(&mut first, future),
            CellState::Vacant | CellState::Released => {}
        }
        first
    }

    /// Drops the incarnation and all messages: whoever waits for an answer gets `Closed`. Mailbox and factory go with the cell itself.
    fn release(&mut self) {
        let _nobody_to_tell = self.tear_down();
        self.state = CellState::Released;
        self.host.drain();
    }
}

impl<A: Actor, H: Host<A>> Future for ServiceCell<A, H> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // The waker first: a command that is given between the two lines wakes the cell again.
        this.host.link().core().set_waker(cx.waker());
        let commands = this.host.link().core().take_commands();
        if commands.releases() {
            this.release();
            let _nobody_to_tell = guard(|| this.factory.released());
            return Poll::Ready(());
        }
        if !commands.is_empty() {
            this.obey(commands);
        }
        if this.is_alive() {
            // Outside of the guard, since whatever has to be dropped between a panic and its catch costs half a microsecond.
            let mut handling = None;
            match guard(|| this.advance(cx, &mut handling)) {
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(exit)) => this.end(exit),
                Err(panic) => {
                    let exit = this.exit_after(panic);
                    this.end(exit);
                }
            }
        }
        // Also after an incarnation that has begun and ended in this poll, and has read no message.
        this.idle(cx);
        Poll::Pending
    }
}

impl<A: Actor, H: Host<A>> Drop for ServiceCell<A, H> {
    /// A cell that is dropped before it was told to release is lost: its arbiter has ended. The actor's hooks are not called, since nothing
    /// that they begin would run any more.
    fn drop(&mut self) {
        if !matches!(self.state, CellState::Released) {
            self.release();
            self.host.notify_supervisor(NoticeKind::Lost);
        }
    }
}

impl<A: Actor, H: Host<A>> fmt::Debug for ServiceCell<A, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceCell")
            .field("path", self.host.link().core().path())
            .finish_non_exhaustive()
    }
}
