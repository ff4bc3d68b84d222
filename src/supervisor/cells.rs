//! The cells of a supervisor's services: what is kept for each, and what they are told.
//!
//! # Invariants
//!
//! 1. `entries[slot]` is there from `add` until the service is released.
//! 2. A service that is released is forgotten by the registry as well, and its thread stops.

use std::{any::TypeId, collections::BTreeMap, io, sync::Arc, time::Instant};

use actix::Actor;
use actix_rt::ArbiterHandle;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    elsewhere::{Abandoned, Elsewhere},
    steward::Awaited,
};
use crate::{
    policy::{ExitReason, KillCause, ServiceError},
    registry::{Changed, Find, Forget, Register, RegisterAll, StopFinding},
    service::{
        AnyLink, AnySeed, Asked, Link, LinkCore, Notice, NoticeKind, Opened, Parent, Placement,
        ServiceKind, ServiceRef, ServiceSpec, Shown, StartError,
    },
    state::{AddError, DROPPED, Exit, Mirrored, OnBlocked, Senders, SupervisorState},
    token::ServiceToken,
    tree::Tree,
};

/// The cells of the services, by slot of their token.
pub(super) struct Cells {
    /// What all of them share: where their notices go, and who their supervisor is.
    parent: Arc<Parent>,
    /// `None` until the supervisor is started for the first time.
    place: Option<Place>,
    entries: Vec<Option<Entry>>,
    /// Where services run, for those that do not run on the supervisor's arbiter.
    elsewhere: BTreeMap<u32, Elsewhere>,
    /// Where services run that do not say so.
    placement: Placement,
    /// The type of supervisors, which this file does not know.
    supervisor_type: TypeId,
    /// How many of the services are supervisors.
    supervisors: usize,
}

impl Cells {
    /// No cells yet, and where their notices will arrive.
    pub(super) fn new(
        supervisor_type: TypeId,
        placement: Placement,
    ) -> (Self, UnboundedReceiver<Notice>) {
        let (parent, notices) = Parent::new();
        let cells = Self {
            parent: Arc::new(parent),
            place: None,
            entries: Vec::new(),
            elsewhere: BTreeMap::new(),
            placement,
            supervisor_type,
            supervisors: 0,
        };
        (cells, notices)
    }

    /// Says where services run from now on that do not say so.
    pub(super) fn set_placement(&mut self, placement: Placement) {
        self.placement = placement;
    }

    /// Takes a service in, if the state does; whether it is started is the state's decision.
    pub(super) fn add<A>(
        &mut self,
        spec: ServiceSpec<A>,
        state: &mut SupervisorState,
        now: Instant,
    ) -> Result<ServiceRef<A>, AddError>
    where
        A: Actor,
    {
        // By the type of the actor, and not as a setting of the spec: users may make supervisors in factories of their own.
        let kind = if TypeId::of::<A>() == self.supervisor_type {
            ServiceKind::Supervisor
        } else {
            ServiceKind::Actor
        };
        let Opened {
            mut rules,
            placement,
            shown,
            address,
            mut seed,
        } = spec.open(kind);
        let placement = placement.unwrap_or_else(|| match kind {
            ServiceKind::Actor => self.placement.clone(),
            // All that is below it would follow.
            ServiceKind::Supervisor => Placement::Inherit,
        });
        rules.on_blocked = match (&placement, kind) {
            (Placement::Inherit, _) => OnBlocked::Judge,
            (Placement::Dedicated, ServiceKind::Actor) => OnBlocked::NewThread,
            (_, ServiceKind::Actor) => OnBlocked::AwaitThread,
            (_, ServiceKind::Supervisor) => OnBlocked::Fail,
        };
        let readiness = rules.readiness;
        let required: Box<[_]> = rules.required().cloned().collect();
        // A service that is refused is dropped here: `address` and `seed` with its mailbox and its factory.
        let token = state.add(rules, now)?;
        let path = state.service_path(token);
        let path = Arc::clone(path.expect("the service was added above"));
        let shown = Shown {
            kind: shown,
            placement: (&placement).into(),
        };
        // Kept apart from the entries, and for few: with a hundred thousand services every word of an entry counts.
        if !matches!(placement, Placement::Inherit) {
            self.elsewhere
                .insert(token.slot(), Elsewhere::new(placement));
        }
        let link = Link::new(
            token,
            path,
            Arc::clone(&self.parent),
            address.downgrade(),
            readiness,
            kind,
        );
        let link = Arc::new(link.shown_as(shown));
        if !required.is_empty() {
            link.core().set_required(required);
        }
        seed.tie(Arc::clone(&link));
        self.supervisors += usize::from(kind == ServiceKind::Supervisor);
        let untyped = Arc::clone(&link) as Arc<dyn AnyLink>;
        self.keep(Arc::clone(&untyped), Box::new(seed));
        if let Some(place) = &self.place {
            let position = state.place(token).unwrap_or_default();
            link.core().set_place(link.core().path(), position);
            place.tree.links.add([&untyped]);
            // `do_send` ignores the capacity. In the registry's mailbox before the caller learns the token, so the look-up that the caller
            // sends next stands behind it.
            place.tree.registry.do_send(Register {
                owner: place.owner.core().token(),
                link: untyped,
            });
        }
        Ok(ServiceRef::new(address, link))
    }

    fn keep(&mut self, link: Arc<dyn AnyLink>, seed: Box<dyn AnySeed>) {
        let index = link.core().token().slot() as usize;
        let entry = Some(Entry {
            link,
            seed: Some(seed),
        });
        match self.entries.get_mut(index) {
            Some(place) => *place = entry,
            // The state uses slots that are free again, or else the one behind the last, so this is that one.
            None => self.entries.push(entry),
        }
    }

    /// Gives the services that were added before the first start their place in a tree.
    pub(super) fn attach(
        &mut self,
        owner: Arc<dyn AnyLink>,
        tree: Arc<Tree>,
        state: &SupervisorState,
    ) {
        // One message for all of them: the registry handles it in one turn, however many services a supervisor starts with.
        let mut links = Vec::with_capacity(self.entries.len());
        // In start order, which is not that of the slots if a requirement has moved a service.
        for token in state.tokens() {
            if let (Some(link), Some(path), Some(place)) = (
                self.link(token),
                state.service_path(token),
                state.place(token),
            ) {
                link.core().set_place(path, place);
                links.push(Arc::clone(link));
            }
        }
        tree.links.add(&links);
        tree.supervisors.add(&owner, &self.parent);
        tree.registry.do_send(RegisterAll {
            owner: owner.core().token(),
            links,
        });
        self.place = Some(Place { tree, owner });
    }

    pub(super) fn parent(&self) -> &Arc<Parent> {
        &self.parent
    }

    /// The tree that the supervisor belongs to, from its first start on.
    pub(super) fn tree(&self) -> Option<&Arc<Tree>> {
        self.place.as_ref().map(|place| &place.tree)
    }

    /// The supervisor itself, as a service of its own supervisor, from its first start on.
    pub(super) fn owner(&self) -> Option<&Arc<dyn AnyLink>> {
        self.place.as_ref().map(|place| &place.owner)
    }

    pub(super) fn link(&self, token: ServiceToken) -> Option<&Arc<dyn AnyLink>> {
        let entry = self.entries.get(token.slot() as usize)?.as_ref()?;
        // A slot is used again. The token of a service that was removed must not reach the one that has its slot now.
        (entry.link.core().token() == token).then_some(&entry.link)
    }

    /// All services that were not released, by slot.
    pub(super) fn links(&self) -> impl Iterator<Item = &Arc<dyn AnyLink>> {
        self.entries.iter().flatten().map(|entry| &entry.link)
    }

    /// How many of the services are supervisors.
    pub(super) fn supervisors(&self) -> usize {
        self.supervisors
    }

    /// Has a cell begin an incarnation, and launches a cell that never ran.
    pub(super) fn start(&mut self, token: ServiceToken, generation: u64, state: &SupervisorState) {
        let Some(link) = self.link(token) else {
            return;
        };
        let required = link.core().required();
        if !required.is_empty() {
            // Looked up for each start: a requirement that was removed and added again is another service with the same name.
            let found = required.iter().filter_map(|name| {
                let required = self.link(state.named(name)?)?;
                Some((Arc::clone(name), Arc::clone(required)))
            });
            link.core().set_requirements(found.collect());
        }
        let launch = match self.prepare(token) {
            Ok(launch) => launch,
            Err(error) => return self.tell_no_thread(token, generation, error),
        };
        let Some(link) = self.link(token) else {
            return;
        };
        // Before the launch: a cell on another thread may be polled at once, and its first poll is to find the command.
        link.core().start(generation);
        if let Some((seed, arbiter)) = launch {
            match (arbiter, self.elsewhere.get_mut(&token.slot())) {
                (Some(arbiter), Some(elsewhere)) => elsewhere.launch(seed, &arbiter),
                _ => seed.launch_here(),
            }
        }
    }

    /// What is to be launched for a start, and where, if no cell runs: none does before the first start, and after the cell was written off.
    fn prepare(&mut self, token: ServiceToken) -> io::Result<Option<Launch>> {
        let Some(entry) = self.entries.get_mut(token.slot() as usize) else {
            return Ok(None);
        };
        let Some(entry) = entry.as_mut() else {
            return Ok(None);
        };
        let Some(elsewhere) = self.elsewhere.get_mut(&token.slot()) else {
            return Ok(entry.seed.take().map(|seed| (seed, None)));
        };
        if let Some(seed) = elsewhere.unpark(&entry.link) {
            entry.seed = Some(seed);
        }
        let (Some(_), Some(place)) = (&entry.seed, &self.place) else {
            return Ok(None);
        };
        // The seed stays if that fails: for the next start.
        let arbiter = elsewhere.arbiter(&place.tree)?;
        Ok(entry.seed.take().map(|seed| (seed, arbiter)))
    }

    /// There is no thread to start a service on: a failed start, told the way that a cell tells one.
    fn tell_no_thread(&self, token: ServiceToken, generation: u64, error: io::Error) {
        if let Some(link) = self.link(token) {
            let error = StartError::NoThread {
                path: Arc::clone(link.core().path()),
                error: Arc::new(error),
            };
            let exit = Exit::from(ExitReason::Failed(ServiceError::new(error)));
            self.parent
                .notify(token, generation, NoticeKind::Exited(exit));
        }
    }

    /// Asks the registry for what a service requires elsewhere in the tree.
    pub(super) fn find(
        &self,
        token: ServiceToken,
        ticket: u64,
        Awaited { paths, needed }: Awaited,
    ) {
        let (Some(link), Some(tree)) = (self.link(token), self.tree()) else {
            return;
        };
        tree.registry.do_send(Find {
            token,
            path: Arc::clone(link.core().path()),
            ticket,
            paths,
            needed,
            parent: Arc::clone(&self.parent),
        });
    }

    /// Nobody waits any more for what a service requires elsewhere.
    pub(super) fn stop_finding(&self, token: ServiceToken) {
        if let Some(tree) = self.tree() {
            tree.registry.do_send(StopFinding(token));
        }
    }

    /// Writes off the cell of a service that blocks its thread.
    pub(super) fn abandon(&mut self, token: ServiceToken) {
        let slot = token.slot();
        let entry = self.entries.get_mut(slot as usize);
        let (Some(entry), Some(place)) = (entry.and_then(Option::as_mut), &self.place) else {
            return;
        };
        // Without an entry it is on the supervisor's own thread, which is not blocked: its cell obeys before it begins anything else.
        let Some(elsewhere) = self.elsewhere.get_mut(&slot) else {
            return;
        };
        let abandoned = elsewhere.abandon(&entry.link, &place.tree);
        let lost = !matches!(abandoned, Abandoned::Nothing);
        if lost && entry.link.core().kind() == ServiceKind::Supervisor {
            // Those below would run on until its thread is back, with nobody to look after them.
            place.tree.links.release_below(entry.link.core().path());
        }
        match abandoned {
            Abandoned::Nothing => {}
            Abandoned::Restartable(seed) => entry.seed = Some(seed),
            Abandoned::Parked(seed) => seed.launch_here(),
            Abandoned::FactoryLost(seed) => {
                seed.launch_here();
                let generation = entry.link.core().generation();
                self.parent
                    .notify(token, generation, NoticeKind::FactoryLost);
            }
        }
    }

    /// The cell of this epoch has come back, which was written off. Reports whether its service waits for that.
    pub(super) fn thread_back(&mut self, token: ServiceToken, epoch: u32) -> bool {
        self.link(token).is_some()
            && self
                .elsewhere
                .get_mut(&token.slot())
                .is_some_and(|elsewhere| elsewhere.is_back(epoch))
    }

    /// Kills the present incarnation of a service.
    pub(super) fn kill(&self, token: ServiceToken, cause: KillCause) {
        if let Some(link) = self.link(token) {
            link.core().kill(cause);
        }
    }

    /// Says which place in start order a service has from now on.
    pub(super) fn set_position(&self, token: ServiceToken, place: u64) {
        if let Some(link) = self.link(token) {
            link.core().set_position(place);
        }
    }

    /// Says what state a service is in, for look-ups, and with which reason it has ended for good, if it has with this change.
    pub(super) fn mirror(&mut self, token: ServiceToken, state: Mirrored, end: Option<ExitReason>) {
        let Some(link) = self.link(token) else {
            return;
        };
        let changed = link.core().refuses() != (state.senders == Senders::Refused);
        let asked = link.core().set_state(state, end);
        let down = is_supervisor_that_is_down(link.core());
        if asked == Asked::Yes
            && let Some(tree) = self.tree()
        {
            tree.registry.do_send(Changed(token));
        }
        if changed || down {
            self.look(token);
        }
    }

    /// Has a cell look at the state: whether messages are refused from now on, and by a supervisor what it is asked. It runs for that, if it
    /// does not yet.
    fn look(&mut self, token: ServiceToken) {
        let Some(Some(entry)) = self.entries.get_mut(token.slot() as usize) else {
            return;
        };
        let core = entry.link.core();
        // Before the launch, as with a start.
        core.look();
        let refuses = core.refuses() || is_supervisor_that_is_down(core);
        if refuses && let Some(seed) = entry.seed.take() {
            match self.elsewhere.get_mut(&token.slot()) {
                Some(elsewhere) => elsewhere.park(seed),
                None => seed.launch_here(),
            }
        }
    }

    /// Says that a service is down for ever, and releases it.
    pub(super) fn release_as(&mut self, token: ServiceToken, state: Mirrored, reason: ExitReason) {
        if let Some(link) = self.link(token) {
            // Whoever waits for this service is told when the registry forgets it, so no `Changed` is sent before.
            let _told_by_the_registry = link.core().set_state(state, None);
            self.release(token, reason);
        }
    }

    /// Closes the mailbox of a service that has ended with this reason, and drops everything that is kept for it.
    pub(super) fn release(&mut self, token: ServiceToken, reason: ExitReason) {
        let slot = token.slot();
        if self.link(token).is_none() {
            return;
        }
        let mut supervisor = false;
        if let Some(entry) = self.entries[slot as usize].take() {
            supervisor = entry.link.core().kind() == ServiceKind::Supervisor;
            self.supervisors -= usize::from(supervisor);
            entry.link.core().release(reason);
        }
        if let Some(tree) = self.tree() {
            tree.links.remove(token);
            if supervisor {
                tree.events.close_of(token);
            }
            tree.registry.do_send(Forget(token));
        }
        if let Some(elsewhere) = self.elsewhere.remove(&slot) {
            elsewhere.release();
        }
    }

    /// Releases the services that are down.
    pub(super) fn release_what_is_down(&mut self, state: &SupervisorState) {
        let down = self.links().filter(|link| !link.core().state().is_live());
        let down: Vec<_> = down.map(|link| link.core().token()).collect();
        for token in down {
            self.release(token, state.last_exit(token));
        }
    }

    /// Releases all: the supervisor will never be started again, and no service may keep an open mailbox that nobody reads.
    pub(super) fn release_all(&mut self, state: &SupervisorState) {
        self.release_each(|link| {
            // Nobody waits for what still runs.
            let dropped = link.state().is_live();
            (!dropped).then(|| state.last_exit(link.token()))
        });
    }

    fn release_each(&mut self, reason: impl Fn(&LinkCore) -> Option<ExitReason>) {
        let all = self.links().map(|link| link.core());
        let all: Vec<_> = all.map(|core| (core.token(), reason(core))).collect();
        for (token, reason) in all {
            self.release(token, reason.unwrap_or(DROPPED));
        }
    }
}

impl Drop for Cells {
    fn drop(&mut self) {
        self.release_each(|_| None);
        if let Some(place) = &self.place {
            let token = place.owner.core().token();
            place.tree.supervisors.remove(token, &self.parent);
        }
    }
}

/// Reports whether it refuses what it is asked.
fn is_supervisor_that_is_down(core: &LinkCore) -> bool {
    core.kind() == ServiceKind::Supervisor && core.state().is_down()
}

/// Where a supervisor is in a tree.
struct Place {
    tree: Arc<Tree>,
    /// The supervisor itself, as a service of its own supervisor.
    owner: Arc<dyn AnyLink>,
}

/// What is launched, and on which arbiter, if not on the supervisor's.
type Launch = (Box<dyn AnySeed>, Option<ArbiterHandle>);

/// What is kept for one service.
struct Entry {
    link: Arc<dyn AnyLink>,
    /// The cell, until it is started for the first time, and again after it was written off.
    seed: Option<Box<dyn AnySeed>>,
}
