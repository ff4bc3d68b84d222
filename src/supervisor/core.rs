//! Carries out what the state decides.
//!
//! # Invariants
//!
//! 1. Every input to the state is followed by [`Core::carry_out`] in the same turn.
//! 2. `entries[slot]` is there from `add` until the state releases the service.
//! 3. The core outlives the incarnations of its supervisor; when it goes, every cell that is left is released.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use actix::{Actor, ActorContext};
use actix_rt::Arbiter;
use hashbrown::HashMap;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    SupervisorActor, SupervisorSpec,
    build::{BuildFn, Built},
    clock::now,
    random::Random,
    scope::Life,
    tree::Tree,
    upward::Upward,
};
use crate::{
    policy::{KillCause, SpecError},
    registry::{Register, RegisterAll},
    service::{
        AnyLink, AnySeed, Link, Notice, NoticeKind, Parent, Placement, ServiceContext, ServiceKind,
        ServiceRef, ServiceSpec,
    },
    state::{
        AddError, Answer, Counts, Effect, Ended, Reporting, ServiceState, ShutdownReport,
        SupervisorState, Waiter,
    },
    token::{ServiceToken, SupervisorId},
};

/// Whether the supervisor ends for the last time when it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LastEnd {
    /// It will.
    Ahead,
    /// It is ending.
    Begun,
    /// Its own supervisor may start it again.
    Never,
}

/// What is kept for one service.
pub(super) struct Entry {
    pub(super) link: Arc<dyn AnyLink>,
    /// The cell, until it is started for the first time.
    pub(super) seed: Option<Box<dyn AnySeed>>,
}

/// What a supervisor keeps: its state, and a handle for each service.
pub(crate) struct Core {
    pub(super) state: SupervisorState,
    /// What is wrong with the spec, to be said when the supervisor is started.
    refused: Option<SpecError>,
    name: Arc<str>,
    parent: Arc<Parent>,
    pub(super) notices: UnboundedReceiver<Notice>,
    /// By slot of the token.
    pub(super) entries: Vec<Option<Entry>>,
    /// The names that a service requires, for those that do, by slot.
    pub(super) requirements: BTreeMap<u32, Vec<Arc<str>>>,
    /// Where services are to run that were not launched yet, for those that do not run here, by slot.
    pub(super) placements: BTreeMap<u32, Placement>,
    /// The threads of dedicated services, by slot.
    pub(super) arbiters: BTreeMap<u32, Arbiter>,
    waiters: HashMap<Waiter, Box<dyn FnOnce(Answer) + Send>>,
    next_waiter: u64,
    /// Those who wait for the end of the supervisor.
    ending: Vec<Box<dyn FnOnce(ShutdownReport) + Send>>,
    next_position: u64,
    pub(super) tree: Option<Arc<Tree>>,
    /// What names this supervisor in its own supervisor; set with the tree.
    owner: Option<ServiceToken>,
    pub(super) ended: Option<Ended>,
    pub(super) last_end: LastEnd,
    /// How many services are supervisors.
    pub(super) supervisors: usize,
    pub(super) build_fn: Option<BuildFn>,
    pub(super) built: Built,
    /// Of a scope: what its handles share, while it runs.
    pub(super) scope: Option<Arc<Life>>,
    /// What went wrong below those services that are supervisors, while this one stops.
    pub(super) below: ShutdownReport,
}

impl Core {
    pub(super) fn new(name: Arc<str>, spec: SupervisorSpec, mut random: Random) -> Self {
        let (parent, notices) = Parent::new();
        let refused = spec.rules.validate().err();
        let mut state = SupervisorState::new(
            SupervisorId::issue(),
            Arc::clone(&name),
            spec.rules,
            Box::new(move || random.fraction()),
        );
        // Nobody can subscribe before the start.
        state.set_reporting(Reporting::Off);
        Self {
            refused,
            state,
            name,
            parent: Arc::new(parent),
            notices,
            entries: Vec::new(),
            requirements: BTreeMap::new(),
            placements: BTreeMap::new(),
            arbiters: BTreeMap::new(),
            waiters: HashMap::new(),
            next_waiter: 0,
            ending: Vec::new(),
            next_position: 0,
            tree: None,
            owner: None,
            ended: None,
            last_end: LastEnd::Never,
            supervisors: 0,
            build_fn: spec.build,
            built: Built::default(),
            scope: None,
            below: ShutdownReport::default(),
        }
    }

    pub(super) fn parent(&self) -> &Arc<Parent> {
        &self.parent
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Registers a service; whether it is started is the state's decision.
    pub(super) fn add<A>(&mut self, spec: ServiceSpec<A>) -> Result<ServiceRef<A>, AddError>
    where
        A: Actor,
    {
        let kind = spec.kind();
        let (rules, placement, address, mut seed) = spec.open();
        let readiness = rules.readiness;
        let requirements: Vec<_> = rules.required().cloned().collect();
        let token = self.state.add(rules, now())?;
        let path = self.state.service_path(token);
        let path = Arc::clone(path.expect("the service was added above"));
        if !requirements.is_empty() {
            self.requirements.insert(token.slot(), requirements);
        }
        if !matches!(placement, Placement::Inherit) {
            self.placements.insert(token.slot(), placement);
        }
        let link = Arc::new(Link::new(
            token,
            path,
            Arc::clone(&self.parent),
            address.downgrade(),
            readiness,
            kind,
        ));
        seed.tie(Arc::clone(&link));
        let slot = token.slot();
        let index = slot as usize;
        self.supervisors += usize::from(kind == ServiceKind::Supervisor);
        let entry = Some(Entry {
            link: Arc::clone(&link) as Arc<dyn AnyLink>,
            seed: Some(Box::new(seed)),
        });
        match self.entries.get_mut(index) {
            Some(place) => *place = entry,
            // The state uses the slots in turn, so this is the next one.
            None => self.entries.push(entry),
        }
        if let (Some(tree), Some(owner)) = (&self.tree, self.owner) {
            if let Some(path) = self.state.service_path(token) {
                link.core().set_place(path, self.next_position);
            }
            self.next_position += 1;
            tree.registry.do_send(Register {
                owner,
                link: Arc::clone(&link) as Arc<dyn AnyLink>,
            });
        }
        Ok(ServiceRef::new(address, link))
    }

    /// Begins an incarnation of the supervisor: the first, or one that takes over the services of the one before.
    pub(super) fn start_all(
        &mut self,
        link: &Arc<Link<SupervisorActor>>,
        tree: &Arc<Tree>,
        now: Instant,
    ) {
        if self.tree.is_none() {
            self.attach(link, tree);
            self.listen();
        } else {
            self.below = ShutdownReport::default();
            self.state.reopen(now);
        }
        match self.build(now) {
            Ok(()) => self.state.start(now),
            Err(reason) => self.state.refuse_start(reason, now),
        }
    }

    /// Ends an incarnation of the supervisor. One that was dropped, instead of having ended, takes its services along.
    pub(super) fn leave(&mut self) {
        self.ended = None;
        self.ending.clear();
        self.drop_scope();
        if !self.state.has_ended() {
            for entry in self.entries.iter().flatten() {
                let core = entry.link.core();
                core.kill(KillCause::Requested);
                if core.state().is_live() {
                    // Nobody waits for this: it is not `Ready`.
                    let _nobody = core.set_state(ServiceState::Stopped);
                }
            }
            // Nobody goes on with what was asked: the supervisor may never be started again.
            self.waiters.clear();
        }
        self.clean_up();
    }

    /// Gives the supervisor and its services their place in a tree.
    fn attach(&mut self, link: &Arc<Link<SupervisorActor>>, tree: &Arc<Tree>) {
        self.tree = Some(Arc::clone(tree));
        self.owner = Some(link.core().token());
        self.parent.set_upward(Box::new(Upward {
            link: Arc::clone(link),
            tree: Arc::clone(tree),
        }));
        self.state.relocate(Arc::clone(link.core().path()));
        let mut links = Vec::with_capacity(self.entries.len());
        for token in self.state.tokens() {
            if let (Some(link), Some(path)) = (self.link(token), self.state.service_path(token)) {
                link.core().set_place(path, self.next_position);
                links.push(Arc::clone(link));
            }
            self.next_position += 1;
        }
        tree.registry.do_send(RegisterAll {
            owner: link.core().token(),
            links,
        });
    }

    /// Takes a note of somebody who waits for an answer.
    pub(super) fn wait(&mut self, answer: impl FnOnce(Answer) + Send + 'static) -> Waiter {
        let waiter = Waiter(self.next_waiter);
        self.next_waiter += 1;
        self.waiters.insert(waiter, Box::new(answer));
        waiter
    }

    /// Takes a note of somebody who waits for the end of the supervisor.
    pub(super) fn await_end(&mut self, give: impl FnOnce(ShutdownReport) + Send + 'static) {
        self.ending.push(Box::new(give));
    }

    /// Tells those who wait for the end of the supervisor.
    pub(super) fn tell_end(&mut self, report: &ShutdownReport) {
        for give in self.ending.drain(..) {
            give(report.clone());
        }
    }

    /// Takes how the supervisor has ended, with what went wrong below it.
    pub(super) fn take_ended(&mut self) -> Option<(Ended, ShutdownReport)> {
        let ended = self.ended.take()?;
        Some((ended, std::mem::take(&mut self.below)))
    }

    /// Checks the spec, whose setters accept anything.
    pub(super) fn validate(&self) -> Result<(), AddError> {
        if self.name.is_empty() {
            return Err(SpecError::name(&self.name, "it is empty").into());
        }
        if self.name.contains('/') {
            let reason = "it contains `/`, which separates the names of a path";
            return Err(SpecError::name(&self.name, reason).into());
        }
        match &self.refused {
            Some(error) => Err(error.clone().into()),
            None => Ok(()),
        }
    }

    /// Counts the services.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = self.state.counts();
        counts.supervisors = self.supervisors;
        counts
    }

    /// Somebody was answered at once after all.
    pub(super) fn forget_waiter(&mut self, waiter: Waiter) {
        self.waiters.remove(&waiter);
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
            NoticeKind::Lost => self.state.lost(token, now()),
            NoticeKind::Ready => self.state.ready(token, generation, now()),
            // What went wrong when a subtree was stopped earlier is told to those who stopped it.
            NoticeKind::ReportedBelow(report) if self.state.is_ending() => {
                self.below.append(*report);
            }
            NoticeKind::ReportedBelow(_) => {}
            NoticeKind::ScopeEnds(error) => self.end_scope(generation, error),
            NoticeKind::Started => self.state.started(token, generation, now()),
            NoticeKind::StopAcknowledged => {
                self.state.stop_acknowledged(token, generation, now());
            }
        }
    }

    /// Makes events only if somebody wants them; called before each input.
    pub(super) fn listen(&mut self) {
        let observed = self
            .tree
            .as_ref()
            .is_some_and(|tree| tree.events.is_observed());
        self.state.set_reporting(if observed {
            Reporting::On
        } else {
            Reporting::Off
        });
    }

    /// Says that the supervisor is a root: when it ends, none of its services will ever run again.
    pub(super) fn set_root(&mut self) {
        self.last_end = LastEnd::Ahead;
    }

    /// Once a root begins to end, closes the mailboxes of services that are down, as those of the others are closed when they
    /// have ended; so does each supervisor below that ends then. Nobody is to wait for an answer of a service that will not
    /// run again, and least of all a service that finishes its work.
    fn close_what_is_down(&mut self) {
        if self.last_end == LastEnd::Begun || !self.state.is_ending() {
            return;
        }
        let Some(tree) = &self.tree else {
            return;
        };
        // Set before those below are asked to stop, so that they see it when they are.
        if self.last_end == LastEnd::Ahead {
            tree.closing.send_replace(true);
        } else if !*tree.closing.borrow() {
            return;
        }
        self.last_end = LastEnd::Begun;
        let links = self.entries.iter().flatten().map(|entry| &entry.link);
        let down = links.filter(|link| !link.core().state().is_live());
        let down: Vec<_> = down.map(|link| link.core().token()).collect();
        for token in down {
            self.release(token);
        }
    }

    /// Carries out everything that the state has decided.
    pub(super) fn carry_out(&mut self, ctx: &mut ServiceContext<SupervisorActor>) {
        self.close_what_is_down();
        self.tell_scope();
        while let Some(effect) = self.state.next_effect() {
            match effect {
                Effect::Start { token, generation } => self.start(token, generation),
                Effect::Stop { token } => self.stop(token),
                Effect::Kill { token, cause } => {
                    self.with_link(token, |link| link.core().kill(cause));
                }
                Effect::Release { token } => self.release(token),
                Effect::Status { token, state, .. } => self.mirror(token, state),
                Effect::Report(event) => {
                    if event.token().is_none() && event.kind().ends_supervisor() {
                        self.clean_up();
                    }
                    if let Some(tree) = &self.tree {
                        tree.events.report(&event);
                    }
                }
                Effect::Answer { waiter, answer } => {
                    if let Some(give) = self.waiters.remove(&waiter) {
                        give(answer);
                    }
                }
                Effect::Started => ctx.ready(),
                Effect::End(ended) => {
                    // Again, for when nobody wants events.
                    self.clean_up();
                    self.ended = Some(ended);
                    ctx.stop();
                }
            }
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.drop_scope();
        self.clean_up();
        let tokens: Vec<_> = self
            .entries
            .iter()
            .flatten()
            .map(|entry| entry.link.core().token())
            .collect();
        for token in tokens {
            self.release(token);
        }
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
