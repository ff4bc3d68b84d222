//! Services that require others elsewhere in the tree, by their paths.
//!
//! A supervisor does not know what is elsewhere: whether that is ready is asked for each start, and the answer is true at that time and no
//! longer. Whoever asks says so with a ticket, so that a late answer to an earlier question is none.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    consult, dependencies,
    end::Exit,
    error::{NotReadyError, RingError},
    fatal,
    machine::{Status, SupervisorState, later},
    next::Next,
    obstacle::Obstacle,
    output::Effect,
    phase::{Gate, Phase},
    transitions::Input,
    waiters::Want,
};
use crate::{
    event::EventKind,
    policy::{ExitReason, ServiceError, SpecError},
    token::ServiceToken,
};

/// Has a service wait for what it requires elsewhere, if it does.
pub(super) fn wait(state: &mut SupervisorState, slot: u32, now: Instant) -> Asked {
    let anywhere = !state.services[slot].paths().is_empty();
    let consults = consult::is_due(state, slot, now);
    if !anywhere && !consults {
        return Asked::Nothing;
    }
    // Whoever is asked answers within a bound of its own.
    let until = anywhere.then(|| until(state, slot, now)).flatten();
    let needed = state.must_start(slot);
    state.set_in_vain(slot, false);
    state.set_phase(slot, Phase::Gated(Gate::Elsewhere { until }));
    let ticket = state.services[slot].ask();
    let paths = state.services[slot].paths().into();
    let token = state.services.token(slot);
    state.output.push(Effect::Await {
        token,
        ticket,
        paths,
        needed,
        consults,
    });
    Asked::Elsewhere
}

/// Refuses paths of another tree: they begin with another name than that of the root, and nobody could ever have them.
pub(super) fn check_root<'a>(
    state: &SupervisorState,
    mut paths: impl Iterator<Item = &'a Arc<str>>,
) -> Result<(), SpecError> {
    let foreign = paths.find(|path| root_of(path) != root_of(&state.path));
    foreign.map_or(Ok(()), |path| {
        Err(SpecError::name(
            path,
            "a path begins with the name of the root",
        ))
    })
}

fn root_of(path: &str) -> &str {
    path.split_once('/').map_or(path, |(root, _)| root)
}

/// Whether a service waits for one elsewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Asked {
    Nothing,
    Elsewhere,
}

/// Until when a service waits for what is elsewhere. The start of a supervisor is all or nothing, and not for ever, nor does anybody wait for
/// ever who awaits the first start of the service; otherwise nobody but the service waits.
fn until(state: &SupervisorState, slot: u32, now: Instant) -> Option<Instant> {
    let patience = state.services[slot].start_timeout().unwrap_or(PATIENCE);
    let bounded = state.must_start(slot) || is_awaited(state, slot);
    bounded.then(|| later(now, patience)).flatten()
}

/// Reports whether somebody awaits the first start of a service.
fn is_awaited(state: &SupervisorState, slot: u32) -> bool {
    let serial = state.services[slot].serial;
    state.waiters.has(serial, Want::FirstReady)
}

/// Somebody awaits the first start of a service from now on, which may wait for what is elsewhere.
pub(super) fn bound(state: &mut SupervisorState, slot: u32, now: Instant) {
    if matches!(
        state.services[slot].phase(),
        Phase::Gated(Gate::Elsewhere { until: None })
    ) {
        let until = until(state, slot, now);
        state.set_phase(slot, Phase::Gated(Gate::Elsewhere { until }));
    }
}

/// How long that is if the service has no start timeout.
const PATIENCE: Duration = Duration::from_secs(30);

/// The time is over in which what is elsewhere had to be ready.
pub(super) fn timed_out(state: &mut SupervisorState, slot: u32, now: Instant) -> Next {
    let (on, missing) = match state.services[slot].awaited_path() {
        Some((on, why)) => (Arc::clone(on), *why == Obstacle::Missing),
        None => (Arc::clone(&state.services[slot].paths()[0]), false),
    };
    let reason = ExitReason::Failed(ServiceError::new(NotReadyError { on, missing }));
    if state.must_start(slot) || is_awaited(state, slot) {
        return in_vain(state, slot, reason, now);
    }
    // Whoever awaited its first start has left: it waits like any that was added.
    let until = None;
    state.set_phase(slot, Phase::Gated(Gate::Elsewhere { until }));
    Next::Settle
}

/// The start of the supervisor has failed, or the first start that somebody awaits.
fn in_vain(state: &mut SupervisorState, slot: u32, reason: ExitReason, now: Instant) -> Next {
    if state.must_start(slot) {
        return fatal::start_failed(state, slot, Exit::from(reason));
    }
    dependencies::forget(state, slot, &reason, now);
    Next::Settle
}

/// Reports whether a service that waits for siblings does so for nothing but for such as wait for what is elsewhere.
pub(super) fn is_behind(state: &SupervisorState, slot: u32) -> bool {
    let gated = state.services[slot].phase() == Phase::Gated(Gate::Sibling);
    gated
        && dependencies::waits_for_all_of(state, slot, |required| {
            state.line.waits_elsewhere(required)
        })
}

/// Those that wait for siblings of which it is new that they wait for what is elsewhere: they hold up nobody, either.
pub(super) fn follow(state: &mut SupervisorState) {
    let mut work = state.line.take_fresh();
    while let Some(slot) = work.pop() {
        let Some(service) = state.services.get(slot) else {
            continue;
        };
        for dependent in state.services.dependents(service.name()) {
            let had_turn = state.line.awaits(dependent) && !state.line.waits_elsewhere(dependent);
            if had_turn && is_behind(state, dependent) {
                state.line.await_behind(dependent);
                work.push(dependent);
            }
        }
    }
}

/// Reports whether the start of the supervisor waits for nothing but for what is elsewhere.
pub(super) fn only_elsewhere(state: &SupervisorState) -> bool {
    state.status == Status::Starting && state.line.is_only_elsewhere()
}

/// What is known of services elsewhere.
impl SupervisorState {
    /// All that a service requires elsewhere was ready when it was looked for.
    pub(crate) fn found(&mut self, token: ServiceToken, ticket: u64, now: Instant) {
        self.set_input(Input::Found, Some(token));
        let Some(slot) = self.asking(token, ticket) else {
            return;
        };
        // What it requires of its siblings may not be ready any more; then all is looked for again later.
        let next = Next::BeginFound(slot);
        self.carry_on(next, now);
    }

    /// One that a service requires elsewhere is not ready.
    pub(crate) fn not_found(
        &mut self,
        token: ServiceToken,
        ticket: u64,
        on: Arc<str>,
        why: Obstacle,
        now: Instant,
    ) {
        self.set_input(Input::Found, Some(token));
        let Some(slot) = self.asking(token, ticket) else {
            return;
        };
        self.services[slot].set_awaited_path(Arc::clone(&on), why);
        // In the first start of its supervisor it does not wait for ever: it is started, or that fails.
        let in_vain = !why.resolves_itself() && !self.must_start(slot);
        self.set_in_vain(slot, in_vain);
        let why = why.told(now);
        self.report(slot, EventKind::ServiceBlocked { on, why }, now);
    }

    /// What a service requires elsewhere waits itself for this one, or for a supervisor above it.
    pub(crate) fn ring(
        &mut self,
        token: ServiceToken,
        ticket: u64,
        members: Vec<Arc<str>>,
        now: Instant,
    ) {
        self.set_input(Input::Found, Some(token));
        let Some(slot) = self
            .asking(token, ticket)
            .filter(|slot| self.must_start(*slot) || is_awaited(self, *slot))
        else {
            return;
        };
        let reason = ExitReason::Failed(ServiceError::new(RingError { members }));
        let next = in_vain(self, slot, reason, now);
        self.carry_on(next, now);
    }

    /// The start of a supervisor below waits for nothing but for what is elsewhere: it holds up nobody.
    pub(crate) fn awaits_elsewhere(&mut self, token: ServiceToken, generation: u64, now: Instant) {
        self.set_input(Input::Found, Some(token));
        if let Some(slot) = self.current(token, generation) {
            self.line.await_elsewhere(slot);
            self.carry_on(Next::Settle, now);
        }
    }

    /// The slot of a service that still waits for the answer to this question.
    fn asking(&self, token: ServiceToken, ticket: u64) -> Option<u32> {
        let slot = self.services.slot(token)?;
        let service = &self.services[slot];
        let asks = matches!(service.phase(), Phase::Gated(Gate::Elsewhere { .. }));
        (asks && service.ticket() == ticket).then_some(slot)
    }
}

/// For whom a service waits that requires others elsewhere.
pub(super) fn obstacle(state: &SupervisorState, slot: u32) -> Option<(Arc<str>, Obstacle)> {
    let known = state.services[slot].awaited_path();
    known
        .map(|(on, why)| (Arc::clone(on), *why))
        .or_else(|| dependencies::blocker(state, slot))
}
