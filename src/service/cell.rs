//! Runs one incarnation of a service after the other, and outlives them.
//!
//! # Invariants
//!
//! 1. User code runs only inside [`guard`]: a panic never leaves a cell.
//! 2. The mailbox is read only while an actor is there to handle its messages.
//! 3. Everything of an incarnation is dropped before its end is told to the supervisor.
//! 4. Between the end of an incarnation and the start of the next one the cell returns to the runtime.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use actix::{
    Actor,
    dev::{Envelope, channel::AddressReceiver},
};
use futures::Stream;

use super::{
    context::Building,
    factory::{Factory, Making, StartContext},
    host::Host,
    incarnation::{Step, drop_guarded},
    link::{AnyLink, Commands, Link},
    panic::guard,
    parent::NoticeKind,
};
use crate::{policy::ExitReason, state::Exit};

/// The future that owns a service's mailbox and factory, from the first start until the service is forgotten.
pub(super) struct ServiceCell<A: Actor, H: Host<A>> {
    host: H,
    life: Life<A, H::Incarnation>,
    factory: Box<dyn Factory<A>>,
}

enum Life<A, I> {
    /// The factory's future is making the actor.
    Building(Building<A>),
    /// Forgotten: the cell does nothing any more.
    Over,
    /// Down. Messages wait.
    Parked,
    Running(I),
}

impl<A: Actor, H: Host<A>> ServiceCell<A, H> {
    pub(super) fn new(
        mailbox: AddressReceiver<A>,
        link: Arc<Link<A>>,
        factory: Box<dyn Factory<A>>,
    ) -> Self {
        Self {
            host: H::new(mailbox, link),
            life: Life::Parked,
            factory,
        }
    }

    /// Carries out what the supervisor has commanded.
    fn obey(&mut self, commands: Commands) {
        if commands.starts() {
            // A life that its supervisor has given up, and that nobody waits for any more.
            let _nobody_to_tell = self.tear_down();
            let generation = self.host.link().core().generation();
            self.host.begin(generation);
        }
        if let Some(cause) = commands.kills() {
            if commands.starts() || self.is_alive() {
                self.end(Exit::from(ExitReason::Killed(cause)));
            }
        } else if commands.starts() && commands.stops() {
            // Started and stopped before the cell got to it: the factory is not called.
            self.end(Exit::from(ExitReason::Shutdown));
        } else if commands.starts() {
            self.begin();
        } else if commands.stops() {
            self.ask_to_stop();
        }
    }

    /// Makes the next incarnation.
    fn begin(&mut self) {
        if let Some(factory) = self.host.link().core().take_factory()
            && let Ok(factory) = factory.downcast::<Box<dyn Factory<A>>>()
        {
            let before = std::mem::replace(&mut self.factory, *factory);
            drop_guarded(before, &mut None);
        }
        let context = StartContext::new(Arc::clone(self.host.link()) as Arc<dyn AnyLink>);
        match guard(|| self.factory.make(context)) {
            Ok(Making::Done(Ok(actor))) => self.life = Life::Running(self.host.incarnate(actor)),
            Ok(Making::Done(Err(error))) => self.end(Exit::from(ExitReason::Failed(error))),
            Ok(Making::Later(future)) => self.life = Life::Building(future),
            Err(panic) => self.end(Exit::from(panic)),
        }
    }

    fn ask_to_stop(&mut self) {
        match &mut self.life {
            Life::Building(_) => self.end(Exit::from(ExitReason::Shutdown)),
            Life::Running(incarnation) => self.host.ask_to_stop(incarnation),
            // The incarnation has ended by itself, and its notice is on the way.
            Life::Parked | Life::Over => {}
        }
    }

    fn is_alive(&self) -> bool {
        matches!(self.life, Life::Building(_) | Life::Running(_))
    }

    /// Runs the incarnation as far as it goes. `Ready` is its end.
    fn advance(&mut self, cx: &mut Context<'_>, handling: &mut Option<Envelope<A>>) -> Poll<Exit> {
        if let Life::Building(building) = &mut self.life {
            match building.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Exit::from(ExitReason::Failed(error)));
                }
                Poll::Ready(Ok(actor)) => self.life = Life::Running(self.host.incarnate(actor)),
            }
        }
        let Life::Running(incarnation) = &mut self.life else {
            return Poll::Pending;
        };
        let readiness = self.host.link().core().readiness();
        match self.host.run(incarnation, readiness, cx, handling) {
            Step::Pending => Poll::Pending,
            Step::Ended => Poll::Ready(self.host.take_exit()),
        }
    }

    /// Drops what is left of the incarnation, then tells the supervisor.
    fn end(&mut self, mut exit: Exit) {
        let panic = self.tear_down();
        // A `Drop` that panics after a clean end is what the end was; after a failure it is an afterthought.
        if let Some(panic) = panic
            && !exit.reason.is_abnormal()
            && exit.verdict.is_none()
        {
            exit = Exit::from(panic);
        }
        self.host.notify_supervisor(NoticeKind::Exited(exit));
    }

    /// Drops what is left of the incarnation, and gives its actor back to the factory.
    fn tear_down(&mut self) -> Option<ExitReason> {
        let mut panic = None;
        match std::mem::replace(&mut self.life, Life::Parked) {
            Life::Running(incarnation) => {
                let factory = &mut self.factory;
                let take_back = |actor| factory.take_back(actor);
                panic = self.host.tear_down(incarnation, take_back);
            }
            Life::Building(future) => drop_guarded(future, &mut panic),
            Life::Parked | Life::Over => {}
        }
        panic
    }

    /// Closes the mailbox: whoever waits for an answer gets `Closed`.
    fn release(&mut self) {
        let _nobody_to_tell = self.tear_down();
        self.life = Life::Over;
        self.host.drain();
    }
}

/// Drops what is queued, message by message, since the `Drop` of one may panic.
///
/// What arrives from here on is dropped with the mailbox itself. Bounded, since what is dropped may send again for as long as
/// the mailbox is open.
pub(super) fn drain<A: Actor>(mailbox: &mut AddressReceiver<A>) {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..DRAINED {
        let Poll::Ready(Some(envelope)) = Pin::new(&mut *mailbox).poll_next(&mut cx) else {
            return;
        };
        drop_guarded(envelope, &mut None);
    }
}

/// How many messages are dropped one by one before a mailbox is closed.
const DRAINED: u32 = 1 << 16;

impl<A: Actor, H: Host<A>> Future for ServiceCell<A, H> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.host.link().core().set_waker(cx.waker());
        let commands = this.host.link().core().take_commands();
        if commands.releases() {
            this.release();
            return Poll::Ready(());
        }
        if !commands.is_empty() {
            this.obey(commands);
        }
        if this.is_alive() {
            // Out here, since whatever has to be dropped between a panic and its catch costs half a microsecond.
            let mut handling = None;
            match guard(|| this.advance(cx, &mut handling)) {
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(exit)) => this.end(exit),
                Err(panic) => this.end(Exit::from(panic)),
            }
        }
        Poll::Pending
    }
}

impl<A: Actor, H: Host<A>> Drop for ServiceCell<A, H> {
    /// The arbiter has ended under the service: its hooks are not called, its pieces are dropped one by one.
    fn drop(&mut self) {
        if !matches!(self.life, Life::Over) {
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
