//! A supervisor: its parts, what it is told, and how it carries out what the state decides.
//!
//! # Invariants
//!
//! 1. Every input to the state is followed by [`Core::carry_out`] in the same turn.
//! 2. The core outlives the incarnations of its supervisor, and with it the cells, their mailboxes and addresses; when it is dropped,
//!    every cell that is left is released.

use std::{any::TypeId, fmt, sync::Arc, time::Instant};

use actix::{Actor, ActorContext};

use super::{
    answers::Answers,
    cells::Cells,
    clock::now,
    driver::Driver,
    ending::{Ending, WhatIsDown},
    on_start::Starter,
    random::Random,
    scope_run::CurrentRun,
    spec::SupervisorSpec,
    steward::{Awaited, News, Stewarded},
};
use crate::{
    event::Occurrence,
    observe::{EarlyEvents, Events, Subtree},
    policy::{ExitReason, ServiceError, SpecError, check_name},
    registry::ServiceSummary,
    service::{
        AnyLink, Notice, NoticeKind, ReportedKind, ServiceContext, ServiceRef, ServiceSpec, guard,
    },
    state::{
        AddError, Counts, Effect, Ended, Mirrored, Reporting, StopBy, SupervisorState,
        UnstoppedService,
    },
    token::{ServiceToken, SupervisorId},
    tree::Tree,
};

/// An actor that starts services, and starts them again when they fail.
///
/// Made with [`new`](Self::new), given services with [`add`](Self::add), and started with [`start`](Self::start), or added to another supervisor with
/// [`ServiceSpec::supervisor`]. From then on it is spoken to through a [`SupervisorRef`](crate::SupervisorRef), or with the messages of
/// [`message`](crate::message) through its [`Addr`](actix::Addr).
///
/// # Examples
///
/// ```
/// use actix::prelude::*;
/// use resurgam::{ServiceContext, ServiceSpec, SupervisorActor, SupervisorSpec};
///
/// #[derive(Default)]
/// struct Worker;
///
/// impl Actor for Worker {
///     type Context = ServiceContext<Self>;
/// }
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut root = SupervisorActor::new("root", SupervisorSpec::default());
/// let worker = root.add(ServiceSpec::new("worker", Worker::default))?;
/// let root = root.start().await?;
/// assert_eq!(worker.path(), "root/worker");
/// root.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SupervisorActor {
    /// Boxed, since it moves to and fro between the incarnations and their factory.
    pub(super) core: Box<Core>,
}

impl SupervisorActor {
    /// A supervisor that is not started yet. Does nothing else.
    pub fn new(name: impl Into<Arc<str>>, spec: SupervisorSpec) -> Self {
        Self {
            core: Box::new(Core::new(name.into(), spec)),
        }
    }

    /// A supervisor with the [default](SupervisorSpec) spec.
    pub fn with_defaults(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, SupervisorSpec::default())
    }

    /// A supervisor that is refused when it is started.
    pub(crate) fn refused(name: Arc<str>, error: SpecError) -> Self {
        let mut refused = Self::with_defaults(name);
        refused.core.refused = Some(error);
        refused
    }

    /// Says what it is, for reports: a supervisor, if nothing is said.
    pub(crate) fn shown_as(mut self, kind: ReportedKind) -> Self {
        self.core.shown = kind;
        self
    }

    /// The name of the supervisor.
    pub fn name(&self) -> &str {
        self.core.name()
    }

    /// Adds a service to start with. The reference is valid at once: messages wait for the start.
    ///
    /// # Errors
    ///
    /// Those of [`AddError`] that concern the spec and the name.
    pub fn add<A>(&mut self, service: ServiceSpec<A>) -> Result<ServiceRef<A>, AddError>
    where
        A: Actor,
    {
        self.core.add(service)
    }

    /// Subscribes before the start, so that events of the start can be read: to what happens to this supervisor and below it. Up to 1024 are
    /// kept for a reader that is behind.
    ///
    /// The first event of a root is the first start of one of its services: what it was given before is not told as added. The subscription goes on
    /// as one of [`SupervisorRef::events`](super::SupervisorRef::events) does; if the supervisor is dropped unstarted, the stream ends.
    ///
    /// # Examples
    ///
    /// ```
    /// # use resurgam::{EventKind, SupervisorActor};
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root");
    /// let mut events = root.events();
    /// let root = root.start().await?;
    /// let first = events.next().await.expect("the tree has not ended");
    /// assert_eq!(first.to_string(), "root: supervisor started");
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        self.events_with_capacity(Events::DEFAULT_CAPACITY)
    }

    /// As [`events`](Self::events), and up to `capacity` are kept for a reader that is behind, at least one.
    pub fn events_with_capacity(&self, capacity: usize) -> Events {
        self.core.early.subscribe(capacity)
    }

    /// Hands the state an input, and carries out what it decides.
    pub(super) fn turn<T>(
        &mut self,
        ctx: &mut ServiceContext<Self>,
        input: impl FnOnce(&mut Core) -> T,
    ) -> T {
        let core = &mut *self.core;
        // Each time, since users subscribe and unsubscribe on other threads. A subscription that comes during a turn sees the next one.
        core.listen();
        let output = input(core);
        core.carry_out(Some(ctx));
        output
    }
}

impl fmt::Display for SupervisorActor {
    /// The name of the supervisor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a supervisor keeps. Each part owns its fields and knows none of the others, or is lent those that it needs.
pub(super) struct Core {
    // Dropped first: mailboxes are closed before those who wait for an answer are dropped.
    pub(super) cells: Cells,
    pub(super) state: SupervisorState,
    pub(super) answers: Answers,
    pub(super) starter: Starter,
    pub(super) driver: Driver,
    pub(super) ending: Ending,
    /// Who has subscribed before the first start.
    pub(super) early: EarlyEvents,
    pub(super) scope: CurrentRun,
    pub(super) stewarded: Stewarded,
    /// What becomes of what is asked.
    pub(super) requests: Requests,
    /// Whether the supervisor has ended for good, as far as its services were told.
    pub(super) rests_for_good: bool,
    /// What it is, for reports.
    pub(super) shown: ReportedKind,
    name: Arc<str>,
    /// What is wrong with the spec, to be said when the supervisor is started.
    refused: Option<SpecError>,
}

impl Core {
    fn new(name: Arc<str>, spec: SupervisorSpec) -> Self {
        let (cells, notices) = Cells::new(TypeId::of::<SupervisorActor>(), spec.placement);
        let refused = spec.rules.validate().err();
        let mut random = Random::new();
        let mut state = SupervisorState::new(
            SupervisorId::issue(),
            Arc::clone(&name),
            spec.rules,
            Box::new(move || random.fraction()),
        );
        // Before the start there is no tree, and nobody can subscribe: what is added until then is told to nobody.
        state.set_reporting(Reporting::Off);
        Self {
            cells,
            state,
            answers: Answers::new(),
            starter: Starter::new(spec.on_start),
            driver: Driver::new(notices),
            ending: Ending::new(),
            early: EarlyEvents::default(),
            scope: CurrentRun::default(),
            stewarded: Stewarded::default(),
            requests: Requests::Served,
            rests_for_good: false,
            shown: ReportedKind::Supervisor,
            name,
            refused,
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What is wrong with the spec, if anything is.
    pub(super) const fn refused(&self) -> Option<&SpecError> {
        self.refused.as_ref()
    }

    /// Checks the name and the spec, whose setters accept anything.
    pub(super) fn validate(&self) -> Result<(), AddError> {
        check_name(&self.name)?;
        match &self.refused {
            Some(error) => Err(error.clone().into()),
            None => Ok(()),
        }
    }

    /// Registers a service; whether it is started is the state's decision.
    pub(super) fn add<A>(&mut self, spec: ServiceSpec<A>) -> Result<ServiceRef<A>, AddError>
    where
        A: Actor,
    {
        self.cells.add(spec, &mut self.state, now())
    }

    /// Follows another spec from now on; services are left alone. If it is refused, everything stays as it was.
    pub(super) fn reconfigure(&mut self, spec: SupervisorSpec) -> Result<(), SpecError> {
        spec.check_running()?;
        // The rules before are dropped with the closures of users that are in them, each in its guard.
        let _before = self.state.reconfigure(spec.rules, now())?;
        self.cells.set_placement(spec.placement);
        Ok(())
    }

    /// Gives the supervisor and its services their place in a tree, before the first start.
    pub(super) fn attach(&mut self, owner: Arc<dyn AnyLink>, tree: Arc<Tree>) {
        // Until now the supervisor was the root of its own paths. The services get the whole path before anybody can look them up.
        self.state.relocate(Arc::clone(owner.core().path()));
        let of = Subtree {
            supervisor: owner.core().token(),
            path: Arc::clone(owner.core().path()),
        };
        self.early.join(&tree.events, of);
        self.cells.attach(owner, tree, &self.state);
    }

    /// Begins an incarnation of the supervisor: the first, or one that takes over the services of the one before.
    pub(super) fn start_all(&mut self, start: Start, now: Instant) {
        if start == Start::Again {
            self.ending.reopen();
            self.state.begin_anew();
        }
        self.requests = Requests::Served;
        self.rests_for_good = false;
        // Asked for while there was no incarnation, or of one that was killed.
        if self.ending.is_requested() {
            return self.state.shutdown(None, now);
        }
        let Self {
            starter,
            state,
            cells,
            scope,
            ..
        } = self;
        match starter.call(state, cells, scope, now) {
            Ok(()) => {
                state.start(now);
                self.stewarded.begin(now);
            }
            // Services that the start function had added before it failed are not started, and clean-ups that it had given are called.
            Err(reason) => state.refuse_start(reason, now),
        }
    }

    /// Ends an incarnation of the supervisor, whether its actor has stopped, has panicked, or was killed.
    ///
    /// In the last two cases the services still run: they are killed, and nobody waits for their ends.
    pub(super) fn end_incarnation(&mut self) {
        self.driver.disarm();
        self.stewarded.end();
        self.listen();
        if !self.state.has_ended() {
            self.state.drop_all(now());
            // Events, look-ups and answers, as after any end. The cells of the services obey in their own time, so some may still run when
            // clean-ups are called.
            self.carry_out(None);
        }
        self.ending.drop_untold();
        self.scope.drop_run();
        // Now and not with the next start: until then it is the state before a start that answers, and there may be none. Of a supervisor that
        // ends with its tree nothing is asked any more.
        if !self.ending.is_last() {
            self.state.reopen(now());
            self.carry_out(None);
        }
        // There is something left if the supervisor was dropped after its state had ended, or if its own start has panicked.
        self.clean_up();
    }

    /// Passes on what a cell has told.
    pub(super) fn notice(&mut self, notice: Notice) {
        let Notice {
            token,
            generation,
            kind,
        } = notice;
        match kind {
            NoticeKind::Exited(exit) => self.state.exited(token, generation, exit, now()),
            NoticeKind::Lost => {
                // A cell that was released may be dropped with its thread before it obeys. That is no news: its service was down before,
                // and has said why.
                if self.cells.link(token).is_some() {
                    self.state.lost(token, now());
                }
            }
            NoticeKind::FactoryLost => {
                if self.cells.link(token).is_some() {
                    self.state.factory_lost(token, now());
                }
            }
            NoticeKind::AwaitsElsewhere => {
                self.state.awaits_elsewhere(token, generation, now());
            }
            NoticeKind::Found { ticket } => self.state.found(token, ticket, now()),
            NoticeKind::NotFound { ticket, on, why } => {
                self.state.not_found(token, ticket, on, why, now());
            }
            NoticeKind::Ring { ticket, members } => {
                self.state.ring(token, ticket, members, now());
            }
            NoticeKind::Refused => self.state.refused(token, now()),
            NoticeKind::ThreadBack { epoch } => {
                if self.cells.thread_back(token, epoch) {
                    self.state.thread_back(token, now());
                }
            }
            NoticeKind::Ready => self.state.ready(token, generation, now()),
            NoticeKind::ScopeEnds(error) => self.end_scope(generation, error),
            NoticeKind::Started => self.state.started(token, generation, now()),
            NoticeKind::Uninstall => self.state.uninstall(token, generation, now()),
            NoticeKind::StopAcknowledged => {
                self.state.stop_acknowledged(token, generation, now());
            }
        }
    }

    /// Ends a scope, if it is still in the run in which that was asked for.
    fn end_scope(&mut self, generation: u64, error: Option<ServiceError>) {
        // A handle may outlive its run, and its request the incarnation: it must not end the run that has begun since.
        if self.scope.is_of(generation) {
            self.state.end_scope(error, now());
        }
    }

    /// Counts the services.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = self.state.counts();
        counts.supervisors = self.cells.supervisors();
        counts
    }

    /// The services in start order, as a look-up shows them.
    pub(super) fn summaries(&self) -> Vec<ServiceSummary> {
        let links = self
            .state
            .tokens()
            .filter_map(|token| self.cells.link(token));
        links.map(|link| ServiceSummary::new(&**link)).collect()
    }

    /// Makes events only if somebody wants them; called before each input.
    fn listen(&mut self) {
        let tree = self.cells.tree();
        let observed = tree.is_some_and(|tree| tree.events.is_observed());
        self.state.set_reporting(if observed {
            Reporting::On
        } else {
            Reporting::Off
        });
    }

    /// Carries out everything that the state has decided. Without a context if the incarnation of the supervisor is gone.
    fn carry_out(&mut self, mut ctx: Option<&mut ServiceContext<SupervisorActor>>) {
        // Before the effects, which stop services: those below a root are to find the tree closing when they are asked to stop.
        if self.state.is_ending() {
            self.begin_to_end();
        }
        // In the order in which the state has decided. Nothing is decided meanwhile: what cells and users tell is the input of a later turn.
        while let Some(effect) = self.state.next_effect() {
            match effect {
                Effect::Start { token, generation } => {
                    self.cells.start(token, generation, &self.state);
                }
                Effect::Stop { token, by } => self.stop(token, by),
                Effect::Hurry { token, by } => self.hurry(token, by),
                Effect::Await {
                    token,
                    ticket,
                    paths,
                    needed,
                    consults,
                } => {
                    let sought = Awaited { paths, needed };
                    if consults {
                        self.stewarded.note(token, News::Starts { ticket, sought });
                    } else {
                        self.cells.find(token, ticket, sought);
                    }
                }
                Effect::Consult { token, ticket } => {
                    self.stewarded.note(token, News::Ended { ticket });
                }
                Effect::Withdraw { token } => self.cells.stop_finding(token),
                Effect::AwaitsElsewhere => {
                    if let Some(ctx) = &ctx {
                        ctx.notify_supervisor(NoticeKind::AwaitsElsewhere);
                    }
                }
                Effect::Kill { token, cause } => self.cells.kill(token, cause),
                Effect::Moved { token, place } => self.cells.set_position(token, place),
                Effect::Abandon { token } => self.cells.abandon(token),
                Effect::Release { token, reason } => {
                    self.cells.release(token, reason);
                    self.stewarded.note(token, News::Released);
                }
                Effect::Mirror { token, state, end } => {
                    self.mirror(token, state, end.map(|reason| *reason));
                }
                Effect::Event(event) => self.tell(event),
                Effect::Answer { waiter, answer } => self.answers.give(waiter, answer),
                // In its place among the effects: the readiness of the services is told before that of the supervisor.
                Effect::Started => {
                    self.stewarded.note_started();
                    if let Some(ctx) = &mut ctx
                        && !self.stewarded.says_when_ready()
                    {
                        ctx.ready();
                    }
                }
                Effect::End { ended, event } => {
                    self.end(*ended, event);
                    // Calls `stopping`, which finds the end set, and then `stopped`, which tells it.
                    if let Some(ctx) = &mut ctx {
                        ctx.stop();
                    }
                }
            }
        }
    }

    /// On every turn from the one in which the supervisor begins to end. If none of its services will ever run again, those that are down
    /// are released now, and the others when they have ended: a service that needs an answer to finish its work gets `Closed`, and does not
    /// wait until its own time is up.
    fn begin_to_end(&mut self) {
        if let Some(tree) = self.cells.tree()
            && self.ending.begin(tree) == WhatIsDown::Released
        {
            self.cells.release_what_is_down(&self.state);
        }
        // Only the first call has an effect, and none if a handle has ended the scope.
        self.scope.begin_to_end();
    }

    /// The steps of the end, as the module of [`Ending`] lists them: all that came before is carried out.
    ///
    /// There is no last event if nobody wants events.
    fn end(&mut self, mut ended: Ended, last: Option<Occurrence>) {
        self.clean_up();
        ended.report.add_unstopped(self.still_abandoned());
        if let Some(event) = last {
            self.tell(event);
        }
        self.ending.set(ended);
    }

    /// The services below that were abandoned at any time, and whose threads are still blocked: also of those that were removed meanwhile.
    pub(super) fn still_abandoned(&self) -> Vec<UnstoppedService> {
        let tree = self.cells.tree();
        tree.map_or_else(Vec::new, |tree| tree.abandoned.below(self.state.path()))
    }

    /// Calls the clean-ups that were not called yet.
    fn clean_up(&mut self) {
        while let Some(cleanup) = self.starter.next_cleanup() {
            if let Err(panic) = guard(cleanup) {
                self.ending.cleanup_panicked(self.state.path(), panic);
            }
        }
    }

    fn tell(&self, event: Occurrence) {
        if let Some(tree) = self.cells.tree() {
            tree.events.report(event);
        }
    }

    fn mirror(&mut self, token: ServiceToken, state: Mirrored, end: Option<ExitReason>) {
        self.stewarded.note(token, News::State(state.state));
        // At the last end a service that is down is released at once. One that stops later may still send to it, and would otherwise wait
        // for an answer until its own time is up.
        if self.ending.is_last() && !state.state.is_live() {
            let reason = end.unwrap_or_else(|| self.state.last_exit(token));
            self.cells.release_as(token, state, reason);
        } else {
            self.cells.mirror(token, state, end);
        }
    }

    fn stop(&self, token: ServiceToken, by: Option<StopBy>) {
        let Some(link) = self.cells.link(token) else {
            return;
        };
        match by {
            Some(by) => link.core().stop_by(by),
            None => link.core().stop(),
        }
    }

    fn hurry(&self, token: ServiceToken, by: StopBy) {
        if let Some(link) = self.cells.link(token) {
            link.core().hurry(by);
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Something is left to do for a root that has panicked or is lost, since it has no factory that would take the core back.
        self.scope.drop_run();
        self.clean_up();
        // Whoever still waits has asked this supervisor, which is gone: that is what it is told, and not what becomes of a service.
        self.answers.drop_operations();
        // Of a supervisor that was removed: its services are removed with it, and those who listen are told of each. When a whole tree ends,
        // the end of its root is told instead.
        if self.cells.tree().is_some_and(|tree| !tree.is_closing()) {
            self.listen();
            if !self.state.is_idle() && !self.state.has_ended() {
                // Its thread was blocked, and it was written off: what it had goes with it.
                self.state.drop_all(now());
            }
            // Before they are forgotten: whoever watches one is told why it has ended.
            self.carry_out(None);
            self.state.forget_all(now());
            self.carry_out(None);
        }
        self.cells.release_all(&self.state);
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What becomes of what a supervisor is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Requests {
    /// It is refused: the supervisor is down until somebody starts it.
    Refused,
    /// It is done, or waits for what has to come before.
    Served,
    /// It stays in the mailbox.
    Unread,
}

/// Whether this is the first incarnation of a supervisor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Start {
    First,
    Again,
}
