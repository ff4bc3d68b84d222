//! The services of one supervisor: by slot, by name, in start order, by what they require, by deadline.
//!
//! # Invariants
//!
//! 1. A service comes after all that it requires in start order, also if they were added later.
//! 2. Every operation on one service takes logarithmic time in the number of services, some of them spread over many.
//! 3. A slot is used again after its service is gone; a serial never is, nor is the number in a name.

use std::{
    cell::{RefCell, RefMut},
    collections::BTreeSet,
    hash::BuildHasher,
    ops::{Index, IndexMut},
    sync::Arc,
    time::Instant,
};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::{
    findings::{Findings, look_alike},
    phase::Phase,
    places::Places,
    rules::Significance,
    service::{Service, Wanted},
    transitions::{self, Input, Kind},
};
use crate::{
    event::ServiceState,
    policy::{
        Cycle, ExitReason,
        order::{Node, start_order},
    },
    token::{ServiceToken, SupervisorId},
};

/// The services of one supervisor.
#[derive(Debug)]
pub(super) struct Table {
    supervisor: SupervisorId,
    slots: Vec<Slot>,
    /// The first free slot.
    free: Option<u32>,
    names: Names,
    /// The number that was used last, for each beginning of names with a number.
    numbers: HashMap<Arc<str>, u64>,
    order: Places,
    /// By the name that is required, which need not exist.
    dependents: HashMap<Arc<str>, Dependents>,
    deadlines: BTreeSet<(Instant, u32)>,
    counts: [usize; 8],
    significant: usize,
    /// In a cell, since whoever only looks finds something out as well. Borrowed nowhere but within one look.
    findings: RefCell<Findings>,
}

/// What has changed with a new service.
#[derive(Debug)]
pub(super) struct Inserted {
    /// Where it is.
    pub(super) slot: u32,
    /// Who was moved behind it, and the former places in start order.
    pub(super) moved: Vec<(u32, u64)>,
}

/// A place for a service.
#[derive(Debug)]
enum Slot {
    /// The next free one.
    Free(Option<u32>),
    Taken(Service),
}

/// Those that require one name.
#[derive(Debug, Default)]
struct Dependents {
    slots: BTreeSet<u32>,
    /// How many of them are in the stop sequence and have not ended.
    leaving: usize,
}

impl Table {
    pub(super) fn new(supervisor: SupervisorId) -> Self {
        Self {
            supervisor,
            slots: Vec::new(),
            free: None,
            names: Names::default(),
            numbers: HashMap::new(),
            order: Places::default(),
            dependents: HashMap::new(),
            deadlines: BTreeSet::new(),
            counts: [0; 8],
            significant: 0,
            findings: RefCell::default(),
        }
    }

    /// Takes a service in, at the end of the start order, and those that require it behind it.
    pub(super) fn insert(&mut self, mut service: Service) -> Result<Inserted, Cycle> {
        // Before anything is changed: a cycle is refused, and leaves the table as it was.
        let behind = self.behind(&service)?;
        let slot = self.free_slot();
        service.serial = ServiceToken::issue(self.supervisor, slot).serial();
        service.order = self.order.push(slot);
        // By name, also of services that nobody has added yet: they are found when they are.
        for required in service.required() {
            let dependents = self.dependents.entry(Arc::clone(required)).or_default();
            dependents.slots.insert(slot);
        }
        self.counts[service.phase().public().index()] += 1;
        self.significant += usize::from(counts_as_significant(&service));
        let name_at = |slot| name_at(&self.slots, slot);
        self.names.insert(service.name(), slot, name_at);
        for dependent in self.dependents(service.name()) {
            self.findings.get_mut().forget(dependent);
        }
        self.slots[slot as usize] = Slot::Taken(service);
        // Services that were added before what they require. Each gets a new place at the end, in the order that requirements demand.
        let mut moved = Vec::new();
        for dependent in behind {
            let order = self.order.push(dependent);
            let before = std::mem::replace(&mut self[dependent].order, order);
            self.order.remove(before);
            // It may be behind one now whose delay is not over.
            self.findings.get_mut().changed(dependent);
            moved.push((dependent, before));
        }
        Ok(Inserted { slot, moved })
    }

    /// A name that begins like this and goes on with a number, from 1, that was not used before and is not taken.
    pub(super) fn next_name(&mut self, prefix: &Arc<str>) -> Arc<str> {
        let mut number = self.numbers.get(prefix).copied().unwrap_or_default();
        let name = loop {
            number += 1;
            let name = format!("{prefix}[{number}]");
            // Users may give such names as well.
            if self.named(&name).is_none() {
                break Arc::from(name);
            }
        };
        self.numbers.insert(Arc::clone(prefix), number);
        name
    }

    /// Takes a service out.
    pub(super) fn remove(&mut self, slot: u32, input: Input) -> Option<Service> {
        let place = self.slots.get_mut(slot as usize)?;
        if matches!(place, Slot::Free(_)) {
            return None;
        }
        let Slot::Taken(service) = std::mem::replace(place, Slot::Free(self.free)) else {
            return None;
        };
        transitions::check(service.phase().kind(), input, Kind::Forgotten);
        let findings = self.findings.get_mut();
        findings.changed(slot);
        findings.forget(slot);
        // Used again next: a supervisor that adds and removes for ever keeps its few slots.
        self.free = Some(slot);
        self.set_deadline(slot, service.phase().deadline(), None);
        self.counts[service.phase().public().index()] -= 1;
        self.significant -= usize::from(counts_as_significant(&service));
        self.names.remove(service.name(), slot);
        self.order.remove(service.order);
        for required in service.required() {
            if let Some(dependents) = self.dependents.get_mut(required) {
                dependents.slots.remove(&slot);
                if dependents.slots.is_empty() {
                    self.dependents.remove(required);
                }
            }
        }
        Some(service)
    }

    /// Puts a service into another phase, because of an input, and returns the one before.
    pub(super) fn set_phase(&mut self, slot: u32, phase: Phase, input: Input) -> Phase {
        let service = &mut self[slot];
        let before = service.set_phase(phase, input);
        let significance = service.significance;
        // Counted by what users see. What is counted more finely would have to be counted twice.
        let (was, is) = (before.public().index(), phase.public().index());
        self.counts[was] -= 1;
        self.counts[is] += 1;
        if significance == Significance::Significant {
            self.significant -= usize::from(!before.is_over());
            self.significant += usize::from(!phase.is_over());
        }
        self.set_deadline(slot, before.deadline(), phase.deadline());
        if !look_alike(before, phase) {
            self.findings.get_mut().changed(slot);
        }
        before
    }

    /// Says what becomes of a service once its incarnation has ended, and returns what was to become of it before.
    pub(super) fn set_wanted(&mut self, slot: u32, wanted: Wanted) -> Wanted {
        let before = std::mem::replace(&mut self[slot].wanted, wanted);
        // One that is about to be stopped is not what others wait for.
        if (before == Wanted::Nothing) != (wanted == Wanted::Nothing) {
            self.findings.get_mut().changed(slot);
        }
        before
    }

    /// Notes why a service has ended.
    pub(super) fn remember_exit(&mut self, slot: u32, reason: &ExitReason) {
        self[slot].remember_exit(reason);
        self.findings.get_mut().changed(slot);
    }

    /// What is known of the requirements of services.
    pub(super) fn findings(&self) -> RefMut<'_, Findings> {
        self.findings.borrow_mut()
    }

    fn set_deadline(&mut self, slot: u32, before: Option<Instant>, deadline: Option<Instant>) {
        // A deadline belongs to its phase, and goes with it: nothing that was due to a phase before can happen in the next one.
        if let Some(at) = before {
            self.deadlines.remove(&(at, slot));
        }
        if let Some(at) = deadline {
            self.deadlines.insert((at, slot));
        }
    }

    /// Gives every service its path below `parent`.
    pub(super) fn relocate(&mut self, parent: &str) {
        for place in &mut self.slots {
            if let Slot::Taken(service) = place {
                service.path = Arc::from(format!("{parent}/{}", service.name()));
            }
        }
    }

    /// Counts a service that requires others in or out of the stop sequence.
    ///
    /// Returns the services that nobody in the sequence requires any more.
    pub(super) fn set_leaving(&mut self, slot: u32, leaving: Leaving) -> Vec<u32> {
        let mut free = Vec::new();
        let Some(Slot::Taken(service)) = self.slots.get(slot as usize) else {
            return free;
        };
        for required in service.required() {
            let Some(dependents) = self.dependents.get_mut(required) else {
                continue;
            };
            match leaving {
                Leaving::Joins => dependents.leaving += 1,
                Leaving::Left => {
                    dependents.leaving -= 1;
                    if dependents.leaving == 0 {
                        free.extend(self.names.get(required, |slot| name_at(&self.slots, slot)));
                    }
                }
            }
        }
        free
    }

    /// Reports whether somebody in the stop sequence requires this service and has not ended.
    pub(super) fn is_held(&self, slot: u32) -> bool {
        self.dependents
            .get(self[slot].name())
            .is_some_and(|dependents| dependents.leaving > 0)
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Service> {
        match self.slots.get(slot as usize) {
            Some(Slot::Taken(service)) => Some(service),
            _ => None,
        }
    }

    /// The slot of the service that a token names.
    pub(super) fn slot(&self, token: ServiceToken) -> Option<u32> {
        let service = self.get(token.slot())?;
        // The slot may have been given to another service since, and the token may be another supervisor's.
        let same = token.supervisor() == self.supervisor && service.serial == token.serial();
        same.then(|| token.slot())
    }

    pub(super) fn token(&self, slot: u32) -> ServiceToken {
        ServiceToken::from_parts(self[slot].serial, self.supervisor, slot)
    }

    /// The slot of the service of this name.
    pub(super) fn named(&self, name: &str) -> Option<u32> {
        self.names.get(name, |slot| name_at(&self.slots, slot))
    }

    /// Reports whether any service requires another one.
    pub(super) fn has_requirements(&self) -> bool {
        !self.dependents.is_empty()
    }

    /// Reports whether any service requires this one.
    pub(super) fn is_required(&self, slot: u32) -> bool {
        self.dependents.contains_key(self[slot].name())
    }

    /// The slots of those that require this name, in start order.
    pub(super) fn dependents(&self, name: &str) -> Vec<u32> {
        let Some(dependents) = self.dependents.get(name) else {
            return Vec::new();
        };
        let mut slots: Vec<u32> = dependents.slots.iter().copied().collect();
        slots.sort_unstable_by_key(|slot| self[*slot].order);
        slots
    }

    /// All slots in start order.
    pub(super) fn in_order(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.order.slots()
    }

    /// The slots from this place in start order on.
    pub(super) fn starting_at(&self, order: u64) -> impl DoubleEndedIterator<Item = u32> {
        self.order.slots_from(order)
    }

    pub(super) fn next_deadline(&self) -> Option<(Instant, u32)> {
        self.deadlines.first().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// How many services have an incarnation.
    pub(super) fn live(&self) -> usize {
        let live = ServiceState::ALL.iter().filter(|state| state.is_live());
        live.map(|state| self.in_state(*state)).sum()
    }

    /// How many significant services have not ended for good.
    pub(super) const fn significant(&self) -> usize {
        self.significant
    }

    /// How many services are in a state.
    pub(super) fn in_state(&self, state: ServiceState) -> usize {
        self.counts[state.index()]
    }

    /// Those that must move behind a new service, because they require it, in their new order.
    fn behind(&self, service: &Service) -> Result<Vec<u32>, Cycle> {
        // The usual case, and on the way of every `add`: nobody requires anybody.
        if !self.has_requirements() && service.required().is_empty() {
            return Ok(Vec::new());
        }
        let name = service.name();
        // Nobody waits for this name, so nobody moves; and only a service that requires itself can close a circle then.
        if !self.dependents.contains_key(name) && !service.required().iter().any(|r| **r == *name) {
            return Ok(Vec::new());
        }
        // Those that require the new service, directly and through others: all of them must come behind it.
        let mut slots = self.dependents(name);
        let mut seen: BTreeSet<u32> = slots.iter().copied().collect();
        let mut next = 0;
        while let Some(slot) = slots.get(next) {
            let further = self.dependents(self[*slot].name());
            slots.extend(further.into_iter().filter(|slot| seen.insert(*slot)));
            next += 1;
        }
        slots.sort_unstable_by_key(|slot| self[*slot].order);
        let nodes = self.nodes(service, &slots);
        // The new service is the first: nobody else in the list is without a requirement in it.
        let order = start_order(&nodes)?;
        Ok(order.iter().skip(1).map(|at| slots[at - 1]).collect())
    }

    /// A new service and those that are to come behind it, with what they require of each other. Found by asking who requires them: what
    /// else they require may be much, and is not looked through whenever one of that is added.
    fn nodes<'a>(&'a self, new: &'a Service, behind: &[u32]) -> Vec<Node<'a>> {
        let members = std::iter::once(new).chain(behind.iter().map(|slot| &self[*slot]));
        let mut nodes: Vec<Node<'a>> = members
            .map(|service| Node {
                name: service.name(),
                requires: Vec::new(),
            })
            .collect();
        let positions: HashMap<u32, usize> = behind.iter().copied().zip(1..).collect();
        for required in 0..nodes.len() {
            let name = nodes[required].name;
            let dependents = self.dependents.get(name);
            let slots = dependents.into_iter().flat_map(|those| &those.slots);
            for dependent in slots.filter_map(|slot| positions.get(slot)) {
                nodes[*dependent].requires.push(name);
            }
        }
        // Nobody knows yet what the new one requires.
        nodes[0].requires = new.required().iter().map(|name| &**name).collect();
        nodes
    }

    fn free_slot(&mut self) -> u32 {
        if let Some(slot) = self.free
            && let Some(Slot::Free(next)) = self.slots.get(slot as usize)
        {
            self.free = *next;
            return slot;
        }
        let slot = u32::try_from(self.slots.len())
            .expect("four thousand million services do not fit in memory");
        self.slots.push(Slot::Free(None));
        slot
    }
}

/// Reports whether a service is significant and has not ended for good.
fn counts_as_significant(service: &Service) -> bool {
    service.significance == Significance::Significant && !service.phase().is_over()
}

/// The name of the service in a slot.
fn name_at(slots: &[Slot], slot: u32) -> &str {
    match slots.get(slot as usize) {
        Some(Slot::Taken(service)) => service.name(),
        _ => "",
    }
}

impl Index<u32> for Table {
    type Output = Service;

    fn index(&self, slot: u32) -> &Service {
        self.get(slot)
            .expect("slots are passed around only within one turn, in which their services stay")
    }
}

impl IndexMut<u32> for Table {
    fn index_mut(&mut self, slot: u32) -> &mut Service {
        match self.slots.get_mut(slot as usize) {
            Some(Slot::Taken(service)) => Some(service),
            _ => None,
        }
        .expect("slots are passed around only within one turn, in which their services stay")
    }
}

/// The slots of services, found by name.
///
/// The names are the services' own: whoever asks says with `name_at` what the name of the service in a slot is.
#[derive(Debug, Default)]
struct Names {
    slots: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Names {
    /// The slot of the service of this name.
    fn get<'a>(&self, name: &str, name_at: impl Fn(u32) -> &'a str) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        let slot = self.slots.find(hash, |slot| name_at(*slot) == name);
        slot.copied()
    }

    /// Notes where the service of a name is that is not known yet.
    fn insert<'a>(&mut self, name: &str, slot: u32, name_at: impl Fn(u32) -> &'a str) {
        let hash = self.hasher.hash_one(name);
        let rehash = |slot: &u32| self.hasher.hash_one(name_at(*slot));
        self.slots.insert_unique(hash, slot, rehash);
    }

    /// Forgets a service.
    fn remove(&mut self, name: &str, slot: u32) {
        let hash = self.hasher.hash_one(name);
        if let Ok(known) = self.slots.find_entry(hash, |known| *known == slot) {
            known.remove();
        }
    }
}

/// Whether a service joins the stop sequence, or has ended in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Leaving {
    Joins,
    Left,
}
