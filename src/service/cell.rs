//! Runs one incarnation of a service after the other, and outlives them.
//!
//! A cell does what its supervisor commands through the link, and tells what has happened. It decides nothing: whether an incarnation is
//! followed by another one, and when, is the supervisor's business. How an actor runs in its context is its [`Host`]'s.
//!
//! # Invariants
//!
//! 1. User code runs only inside [`guard`]: a panic never leaves a cell.
//! 2. The mailbox is read only while an actor is there to handle its messages, or while they are refused; that of a supervisor also by its factory, which keeps what
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

use actix::{Actor, dev::Envelope};

use super::{
    commands::Commands,
    contents::Contents,
    factory::{Building, Factory, Making, StartContext, UserFactory},
    hook::tell_untold,
    host::{BUDGET, Host, Step},
    link::{AnyLink, Link, ServiceKind},
    panic::{drop_guarded, guard, guard_service},
    parent::NoticeKind,
    span::ServiceSpan,
    turn::Turn,
};
use crate::{
    policy::ExitReason,
    state::Exit,
    user_value::{Told, UserValue},
};

/// The future that runs a service, from the first start until the service is forgotten, or the cell is written off.
pub(super) struct ServiceCell<A: Actor, H: Host<A>> {
    host: H,
    state: CellState<A, H::Incarnation>,
    /// That of the incarnation, if anybody listens.
    span: Option<Arc<ServiceSpan>>,
}

enum CellState<A, I> {
    /// The factory's future is making the actor.
    Building(Building<A>),
    /// The incarnation and all messages are dropped. Nothing runs any more.
    Released,
    Running(I),
    /// There is no incarnation. Messages are refused, and none was yet.
    Refusing,
    /// There is no incarnation. Messages are refused, and the supervisor was told that.
    RefusingTold,
    /// There is no incarnation. Messages wait.
    Vacant,
}

impl<A: Actor, H: Host<A>> ServiceCell<A, H> {
    pub(super) fn new(contents: Contents<A>, link: Arc<Link<A>>, epoch: u32) -> Self {
        Self {
            host: H::new(contents, link, epoch),
            state: CellState::Vacant,
            span: None,
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
        if commands.looks() {
            self.look();
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
        let core = self.host.link().core();
        if let Some(replacement) = core.take_factory()
            && let Ok(replacement) = replacement.downcast::<UserFactory<A>>()
        {
            self.host.put_factory(*replacement);
        }
        let Some(mut factory) = self.host.take_factory() else {
            // The cell is written off, and learns that with its next poll; or the factory was lost on the thread of the one before, which
            // the supervisor knows.
            return;
        };
        let link = Arc::clone(self.host.link()) as Arc<dyn AnyLink>;
        // A supervisor's own log lines say about whom they are.
        let core = self.host.link().core();
        self.span = match core.kind() {
            ServiceKind::Supervisor => None,
            ServiceKind::Actor => ServiceSpan::of(core),
        };
        let span = self.span.clone();
        let _inside = span.as_deref().map(ServiceSpan::enter);
        let context = StartContext::new(link, self.host.epoch(), span.clone());
        let made = guard_service(|| factory.make(context, self.host.context()));
        self.host.put_factory(factory);
        let said = self.host.take_factory_exit();
        let exit = match made {
            Ok(Making::Done(Ok(actor))) => {
                self.state = CellState::Running(self.host.incarnate(actor));
                said
            }
            // What it has said first counts, as in an incarnation.
            Ok(Making::Done(Err(error))) => {
                Some(said.unwrap_or_else(|| Exit::from(ExitReason::Failed(error))))
            }
            Ok(Making::Later(future)) => {
                self.state = CellState::Building(future);
                None
            }
            Err(panic) => Some(match said {
                Some(said) => {
                    tell_untold(&panic);
                    said
                }
                None => Exit::from(panic),
            }),
        };
        if let Some(exit) = exit {
            self.end(exit);
        }
    }

    fn ask_to_stop(&mut self) {
        match &mut self.state {
            // An actor that is not there yet cannot be asked: its factory's future is dropped.
            CellState::Building(_) => self.end(Exit::from(ExitReason::Shutdown)),
            CellState::Running(incarnation) => self.host.ask_to_stop(incarnation),
            // The incarnation has ended by itself, and that notice and this command have crossed.
            CellState::Refusing
            | CellState::RefusingTold
            | CellState::Released
            | CellState::Vacant => {}
        }
    }

    /// Looks what becomes of messages while there is no incarnation. A supervisor's factory sees to that itself.
    fn look(&mut self) {
        let core = self.host.link().core();
        if core.kind() == ServiceKind::Supervisor {
            return;
        }
        match (&self.state, core.refuses()) {
            (CellState::Vacant, true) => self.state = CellState::Refusing,
            (CellState::Refusing | CellState::RefusingTold, false) => {
                self.state = CellState::Vacant;
            }
            _ => {}
        }
    }

    /// Drops messages, a bounded number of them: their senders get `Closed`.
    fn refuse(&mut self, cx: &mut Context<'_>) {
        let mut refused = 0;
        while refused < BUDGET && !self.is_overruled() {
            let Poll::Ready(Some(message)) = self.host.poll_next(cx) else {
                break;
            };
            // Counted first: whoever sent it may look as soon as it is dropped.
            refused += 1;
            self.host.link().core().count_refused(1);
            drop(UserValue::new(message));
        }
        if refused == BUDGET {
            // There may be more, perhaps because the `Drop` of one sends another.
            cx.waker().wake_by_ref();
        }
        if refused > 0 && matches!(self.state, CellState::Refusing) {
            self.state = CellState::RefusingTold;
            self.host.notify_supervisor(NoticeKind::Refused);
        }
    }

    fn is_overruled(&self) -> bool {
        let core = self.host.link().core();
        core.is_overruled(self.host.epoch())
    }

    /// Without an incarnation, a supervisor still answers.
    fn idle(&mut self, cx: &mut Context<'_>) {
        if !self.is_alive() {
            // What it calls of the user's is guarded one by one, in the factory.
            self.with_factory_of_supervisor(|host, factory| host.idle(factory, cx));
        }
    }

    /// Calls the factory of a supervisor, if it is there.
    fn with_factory_of_supervisor(&mut self, call: impl FnOnce(&mut H, &mut dyn Factory<A>)) {
        if self.host.link().core().kind() == ServiceKind::Supervisor
            && let Some(mut factory) = self.host.take_factory()
        {
            let _nobody_to_tell = guard(|| call(&mut self.host, &mut **factory));
            self.host.put_factory(factory);
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
            tell_untold(&panic);
            said
        } else {
            Exit::from(panic)
        }
    }

    /// Drops what is left of the incarnation, then tells the supervisor.
    fn end(&mut self, mut exit: Exit) {
        // A panic of a `Drop` makes a panic of a clean end. It replaces neither a failure, which came first, nor a verdict, which the
        // service has given on purpose.
        let told = if exit.reason.is_abnormal() || exit.verdict.is_some() {
            Told::No
        } else {
            Told::Yes
        };
        let telling = told.enter();
        let panic = self.tear_down();
        drop(telling);
        self.span = None;
        if let Some(panic) = panic
            && told == Told::Yes
        {
            exit.reason = panic;
        }
        self.host.link().core().note_exit(&exit);
        self.host.notify_supervisor(NoticeKind::Exited(exit));
    }

    /// Drops what is left of the incarnation, gives its actor back to the factory, and returns the first panic of all that.
    fn tear_down(&mut self) -> Option<ExitReason> {
        let mut first = None;
        match mem::replace(&mut self.state, CellState::Vacant) {
            CellState::Running(incarnation) => {
                let supervisor = self.host.link().core().kind() == ServiceKind::Supervisor;
                let mut caught = None;
                first = self.host.tear_down(incarnation, |host, actor| {
                    // What a supervisor works on is kept by its factory, which is not there for a cell that is written off. Any other actor is
                    // dropped without one: it may take its time, and its factory is not to be lost with it.
                    if supervisor && let Some(mut factory) = host.take_factory() {
                        let rest = guard(|| factory.take_back(actor));
                        host.put_factory(factory);
                        rest.map_or_else(|panic| caught = Some(panic), drop);
                    }
                });
                first = first.or(caught);
            }
            CellState::Building(future) => drop_guarded(&mut first, future),
            CellState::Refusing
            | CellState::RefusingTold
            | CellState::Released
            | CellState::Vacant => {}
        }
        // Also after a factory that has made no actor, or none yet.
        self.host.discard(&mut first);
        first
    }

    /// Drops the incarnation and all messages: whoever waits for an answer gets `Closed`. Mailbox and factory go with the cell itself.
    fn release(&mut self) {
        let _nobody_to_tell = self.tear_down();
        self.state = CellState::Released;
        self.host.release();
    }

    /// Drops the incarnation, and nothing else: the cell is written off, and its service may live on in another one.
    fn retire(&mut self) {
        let _nobody_to_tell = self.tear_down();
        self.state = CellState::Released;
        self.host.forget_late();
        let epoch = self.host.epoch();
        self.host
            .notify_supervisor(NoticeKind::ThreadBack { epoch });
    }

    fn is_written_off(&self) -> bool {
        let core = self.host.link().core();
        core.is_written_off(self.host.epoch())
    }
}

impl<A: Actor, H: Host<A>> Future for ServiceCell<A, H> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // Before anything of the user's is called: whoever waits for this thread learns in whose code it is.
        let epoch = this.host.epoch();
        let _turn = Turn::of(this.host.link().core(), epoch);
        // The waker first: a command that is given between the two lines wakes the cell again.
        this.host.link().core().set_waker(epoch, cx.waker());
        let Some(commands) = this.host.link().core().take_commands(epoch) else {
            this.retire();
            return Poll::Ready(());
        };
        if commands.releases() {
            let span = this.span.take();
            let _inside = span.as_deref().map(ServiceSpan::enter);
            let _nobody_to_tell = this.tear_down();
            this.with_factory_of_supervisor(|_, factory| factory.released());
            this.release();
            return Poll::Ready(());
        }
        if !commands.is_empty() {
            let span = this.span.clone();
            let _inside = span.as_deref().map(ServiceSpan::enter);
            this.obey(commands);
        }
        if this.is_alive() {
            let span = this.span.clone();
            let _inside = span.as_deref().map(ServiceSpan::enter);
            // Outside of the guard, since whatever has to be dropped between a panic and its catch costs half a microsecond.
            let mut handling = None;
            match guard_service(|| this.advance(cx, &mut handling)) {
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(exit)) => this.end(exit),
                Err(panic) => {
                    if this.is_written_off() {
                        // Nobody wants to hear of its end.
                        tell_untold(&panic);
                    }
                    let exit = this.exit_after(panic);
                    this.end(exit);
                }
            }
        }
        if matches!(this.state, CellState::Refusing | CellState::RefusingTold) {
            this.refuse(cx);
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
        if matches!(self.state, CellState::Released) {
            return;
        }
        let span = self.span.take();
        let _inside = span.as_deref().map(ServiceSpan::enter);
        if self.is_written_off() {
            return self.retire();
        }
        self.release();
        // Looked at again: whoever was told of both would take the heir for lost.
        if self.is_written_off() {
            self.retire();
        } else {
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
