//! The graph of requirements: who waits for whom, and what a change of one service means for the others.
//!
//! A service that is ready wakes those that wait for it. One that has ended takes along those that are bound to it. One that will not
//! become ready by itself, or is gone, is the end of waiting for those that wait for it, directly or not.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use super::{
    end::Cause,
    error::BlockedError,
    fatal::is_bound,
    findings::{Finding, Findings, Told},
    machine::{Status, SupervisorState},
    next::Next,
    obstacle::Obstacle,
    output::Effect,
    phase::{Finish, Gate, Phase},
    report::ShutdownReport,
    rules::Significance,
    service::{Origin, Service, Wanted},
    waiters::{Milestone, Want},
};
use crate::{
    event::EventKind,
    policy::{AutoShutdown, ExitReason, ServiceError, Strategy},
};

/// What keeps a service from being started, if anything does.
///
/// What will not resolve itself comes first, also if it keeps one from starting that this one requires; then a delay.
pub(super) fn blocker(state: &SupervisorState, slot: u32) -> Option<(Arc<str>, Obstacle)> {
    // The usual case, and on the way of every start: nothing is allocated.
    if has_all(state, slot) {
        return None;
    }
    find(state, slot).blocker
}

/// What is known of the requirements of a service, or is found out now.
fn find(state: &SupervisorState, slot: u32) -> Finding {
    let mut findings = state.services.findings();
    findings.set_holder(holder_of_all(state));
    // Those that are required come first. Not by recursion: a chain of them may be as long as one likes. No requirements form a circle.
    let mut work = vec![slot];
    while let Some(slot) = work.last().copied() {
        if findings.get(slot).is_some() {
            work.pop();
            continue;
        }
        let before = work.len();
        for name in state.services[slot].required() {
            // Also through requirements that wait themselves, for whatever: a chain of them is broken by any link that will never be ready.
            #[cfg(test)]
            super::findings::note_look();
            let required = state.services.named(name);
            work.extend(required.filter(|required| {
                let service = &state.services[*required];
                service.phase().waits() && findings.get(*required).is_none()
            }));
        }
        if work.len() == before {
            work.pop();
            let finding = put_together(state, &findings, slot);
            findings.keep(slot, finding);
            for name in state.services[slot].required() {
                if let Some(required) = state.services.named(name) {
                    findings.follow(required, slot);
                }
            }
        }
    }
    let found = findings.get(slot).cloned();
    found.expect("the service itself was the first to be looked at")
}

/// Makes what is to be known of a service of what is known of all that wait themselves, of those that it requires.
fn put_together(state: &SupervisorState, findings: &Findings, slot: u32) -> Finding {
    let mut finding = Finding::default();
    let mut below = Vec::new();
    for name in state.services[slot].required() {
        let Some(required) = state.services.named(name) else {
            finding.meet(name, Obstacle::Missing);
            continue;
        };
        if let Some(why) = obstacle_to(state, slot, required) {
            finding.meet(name, why);
        }
        let service = &state.services[required];
        if service.phase() == Phase::Undecided && finding.ended.is_none() {
            let why = if service.last_exit().is_abnormal() {
                Obstacle::Failed
            } else {
                Obstacle::Stopped
            };
            finding.ended = Some((Arc::clone(name), why));
        }
        if !service.phase().waits() {
            continue;
        }
        let known = findings.get(required);
        if service.phase() == Phase::Parked && known.is_none_or(|known| known.blocker.is_none()) {
            finding.meet(name, Obstacle::Parked);
        }
        below.extend(known);
    }
    for known in below.iter().rev() {
        if let Some((name, why)) = &known.blocker {
            finding.meet(name, *why);
        }
        if finding.ended.is_none() {
            finding.ended.clone_from(&known.ended);
        }
    }
    finding
}

/// Reports whether all is ready that a service requires.
fn has_all(state: &SupervisorState, slot: u32) -> bool {
    let ready = |name: &Arc<str>| {
        let required = state.services.named(name);
        required.is_some_and(|required| obstacle_to(state, slot, required).is_none())
    };
    state.services[slot].has_all_required(ready)
}

/// Reports whether all that keep a service waiting, of those that it requires, are such.
pub(super) fn waits_for_all_of(
    state: &SupervisorState,
    slot: u32,
    such: impl Fn(u32) -> bool,
) -> bool {
    let ready_or_such = |name: &Arc<str>| {
        let required = state.services.named(name);
        required
            .is_some_and(|required| such(required) || obstacle_to(state, slot, required).is_none())
    };
    state.services[slot].required().iter().all(ready_or_such)
}

/// Why a service is not yet what another one requires of it.
fn obstacle_to(state: &SupervisorState, slot: u32, required: u32) -> Option<Obstacle> {
    #[cfg(test)]
    super::findings::note_look();
    let service = &state.services[required];
    if service.has_run_to_its_end() {
        return None;
    }
    if !state.services[slot].requires_end_of(service.name()) {
        return obstacle(state, required);
    }
    if service.has_completed() {
        return None;
    }
    if service.recurs() {
        return Some(Obstacle::Recurring);
    }
    match obstacle(state, required) {
        None | Some(Obstacle::NotReady) => Some(Obstacle::NotCompleted),
        // It has ended for good, and not without an error.
        Some(Obstacle::Stopped) if service.phase() != Phase::Stopped => Some(Obstacle::Failed),
        why => why,
    }
}

/// Why a service is not ready to be required.
fn obstacle(state: &SupervisorState, slot: u32) -> Option<Obstacle> {
    let service = &state.services[slot];
    match service.phase() {
        // One that is about to be stopped is ready no longer, though it still runs.
        Phase::Ready if service.wanted == Wanted::Nothing => None,
        Phase::Stopped | Phase::Finished(_) => Some(Obstacle::Stopped),
        Phase::Failed | Phase::Lost => Some(Obstacle::Failed),
        Phase::BackingOff { until } | Phase::Delayed { until } | Phase::Resting { until } => {
            Some(Obstacle::Delayed(until))
        }
        Phase::Held => holder(state, slot)
            .and_then(|holder| obstacle(state, holder))
            .or(Some(Obstacle::NotReady)),
        _ => Some(Obstacle::NotReady),
    }
}

/// Under rest for one, the service before this one in start order whose delay is not over: it keeps all behind it from being started in
/// their turn.
pub(super) fn holder(state: &SupervisorState, slot: u32) -> Option<u32> {
    let order = state.services[slot].order;
    state.line.delayed_before(order).filter(|_| holds(state))
}

/// Reports whether one whose delay is not over keeps all behind it from being started in their turn.
fn holds(state: &SupervisorState) -> bool {
    state.status == Status::Running && state.rules.strategy == Strategy::RestForOne
}

/// The place in start order of the first that holds those behind it, and the end of its delay.
fn holder_of_all(state: &SupervisorState) -> Option<(u64, Option<Instant>)> {
    let first = state.line.first_delayed().filter(|_| holds(state))?;
    let service = &state.services[first];
    Some((service.order, service.phase().deadline()))
}

/// The name of a service that others wait for, and what is the matter with it.
pub(super) fn as_obstacle(state: &SupervisorState, slot: u32) -> (Arc<str>, Obstacle) {
    let why = obstacle(state, slot).unwrap_or(Obstacle::NotReady);
    (Arc::from(state.services[slot].name()), why)
}

/// Has a service wait in the line until one before it has its turn, whose delay is not over.
pub(super) fn hold(state: &mut SupervisorState, slot: u32, delayed: u32, now: Instant) {
    state.set_phase(slot, Phase::Held);
    let (on, why) = as_obstacle(state, delayed);
    let why = why.told(now);
    state.report(slot, EventKind::ServiceBlocked { on, why }, now);
}

/// The first name that a service requires and nobody has.
pub(super) fn missing_requirement(state: &SupervisorState, slot: u32) -> Option<Arc<str>> {
    let mut required = state.services[slot].required().iter();
    required
        .find(|name| state.services.named(name).is_none())
        .cloned()
}

/// With what a service ends that requires one, directly or not, which has ended while its supervisor was starting: that end is judged after
/// the start.
pub(super) fn ended_requirement(state: &SupervisorState, slot: u32) -> Option<ExitReason> {
    if state.services[slot].required().is_empty() {
        return None;
    }
    let (on, why) = find(state, slot).ended?;
    Some(blocked(on, why))
}

/// Has a service wait for what it requires, and those that wait for it learn that this is in vain, if it is. Returns with what it ends then.
pub(super) fn block(
    state: &mut SupervisorState,
    slot: u32,
    on: Arc<str>,
    why: Obstacle,
    now: Instant,
) -> ExitReason {
    let name: Arc<str> = Arc::from(state.services[slot].name());
    let reason = gate(state, slot, on, why, now);
    // They may have waited for the end of its delay until now.
    if !why.resolves_itself() && waits_may_be_in_vain(state) {
        block_dependents(state, name, now);
    }
    reason
}

/// Has one service wait for what it requires.
fn gate(
    state: &mut SupervisorState,
    slot: u32,
    on: Arc<str>,
    why: Obstacle,
    now: Instant,
) -> ExitReason {
    // No event for a service that ran before and waits for a requirement that is being restarted: that resolves itself, and soon.
    let news = why != Obstacle::NotReady || state.services[slot].starts == 0;
    state.set_phase(slot, Phase::Gated(Gate::Sibling));
    state.set_in_vain(slot, !why.resolves_itself());
    if news {
        let kind = EventKind::ServiceBlocked {
            on: Arc::clone(&on),
            why: why.told(now),
        };
        state.report(slot, kind, now);
    }
    let reason = blocked(on, why);
    if !why.resolves_itself() {
        state.start_is_blocked(slot, &reason);
        refuse_waiting(state, slot, &reason, now);
    }
    reason
}

/// Answers those that wait until a service is ready, which it will not be; forgets it if somebody waits for its first start.
fn refuse_waiting(state: &mut SupervisorState, slot: u32, reason: &ExitReason, now: Instant) {
    let serial = state.services[slot].serial;
    if !state.waiters.has(serial, Want::FirstReady) {
        state.tell(slot, Milestone::Failed(reason));
    } else if let Some(gone) = take_out(state, slot, reason, Milestone::Removed(reason), now) {
        // Those that wait for it are told by whoever has found that it waits in vain. Not from here, which would go down a chain of them by
        // recursion.
        forget_kept(state, gone, now);
    }
}

/// What a service ends with that requires one which will not become ready by itself.
pub(super) fn blocked(on: Arc<str>, why: Obstacle) -> ExitReason {
    let why = why.in_vain();
    ExitReason::Failed(ServiceError::new(BlockedError { on, why }))
}

/// A service is ready, or has completed: those that waited for that, and for nothing else, are started, and those that are bound to it and have
/// completed run again.
pub(super) fn became_available(state: &mut SupervisorState, slot: u32) -> Next {
    if state.is_ending() || !state.services.has_requirements() {
        return Next::Settle;
    }
    let name = state.services[slot].name();
    let mut free = state.services.dependents(name);
    for dependent in &free {
        // One that runs may have looked before this, and say only later that something is missing.
        state.services[*dependent].set_requirement_ready(true);
    }
    // One that waits for another service as well is woken by that one.
    let ready = state.services[slot].phase() == Phase::Ready;
    free.retain(|dependent| {
        let service = &state.services[*dependent];
        let waits = match service.phase() {
            Phase::Gated(Gate::Sibling) | Phase::Parked => true,
            // It has run with an earlier life of that one.
            Phase::Finished(_) => {
                ready
                    && service.has_completed()
                    && service.runs_again()
                    && service.is_bound_to(state.services[slot].name())
            }
            _ => false,
        };
        // What else keeps it waiting was told, and is not looked for.
        waits && has_all(state, *dependent)
    });
    Next::BeginAll(free)
}

/// A service will not become ready by itself: tells those that wait for it, directly or not, that waiting is in vain.
pub(super) fn became_unavailable(state: &mut SupervisorState, slot: u32, now: Instant) {
    if waits_may_be_in_vain(state) {
        let name = Arc::from(state.services[slot].name());
        block_dependents(state, name, now);
    }
}

/// A service has ended without an error, and is to be started again all the same: those that wait for such an end wait in vain.
pub(super) fn recurs(state: &mut SupervisorState, slot: u32, now: Instant) {
    let name = state.services[slot].name();
    let dependents = state.services.dependents(name);
    let awaited = |slot: &u32| state.services[*slot].requires_end_of(name);
    if !dependents.iter().any(awaited) {
        return;
    }
    state.services[slot].note_recurs();
    became_unavailable(state, slot, now);
}

/// A service without an incarnation is forgotten: tells everybody who waits for it.
pub(super) fn forget(state: &mut SupervisorState, slot: u32, reason: &ExitReason, now: Instant) {
    forget_and_tell(state, slot, reason, Milestone::Removed(reason), now);
}

/// A service is forgotten that never was ready, and whoever awaited that gets what went wrong while its start was undone.
pub(super) fn refuse(
    state: &mut SupervisorState,
    slot: u32,
    reason: &ExitReason,
    unwinding: &ShutdownReport,
    now: Instant,
) {
    let refused = Milestone::Refused { reason, unwinding };
    forget_and_tell(state, slot, reason, refused, now);
}

/// Forgets a service that has declined its first start, which somebody awaits.
pub(super) fn decline(state: &mut SupervisorState, slot: u32, reason: &ExitReason, now: Instant) {
    forget_and_tell(state, slot, reason, Milestone::Declined, now);
}

fn forget_and_tell(
    state: &mut SupervisorState,
    slot: u32,
    reason: &ExitReason,
    milestone: Milestone<'_>,
    now: Instant,
) {
    if let Some(gone) = take_out(state, slot, reason, milestone, now) {
        if waits_may_be_in_vain(state) {
            block_dependents(state, Arc::from(gone.name()), now);
        }
        forget_kept(state, gone, now);
    }
}

/// Forgets a service, and tells those who wait for it alone. What follows for other services is up to the caller.
fn take_out(
    state: &mut SupervisorState,
    slot: u32,
    reason: &ExitReason,
    milestone: Milestone<'_>,
    now: Instant,
) -> Option<Service> {
    let kind = EventKind::ServiceRemoved {
        reason: reason.clone(),
    };
    state.report(slot, kind, now);
    if let Some(waits) = state.services[slot].phase().waits_in_line() {
        state.line.leave(waits, state.services[slot].order, slot);
    }
    state.line.let_go(slot);
    let token = state.services.token(slot);
    let input = state.input_to(slot);
    let gone = state.services.remove(slot, input)?;
    state.dropped.forget(token);
    // Released before anybody is told: the name and the address are gone once `remove` is answered.
    let reason = reason.clone();
    state.output.push(Effect::Release { token, reason });
    state
        .waiters
        .tell(gone.serial, milestone, &mut state.output);
    Some(gone)
}

/// Forgets what has completed and was kept for one alone that is gone, and what was kept for that.
fn forget_kept(state: &mut SupervisorState, gone: Service, now: Instant) {
    let mut work = vec![gone];
    while let Some(gone) = work.pop() {
        for name in gone.required() {
            let Some(kept) = state.services.named(name) else {
                continue;
            };
            let service = &state.services[kept];
            let dynamic = service.origin == Origin::Dynamic;
            if dynamic && service.has_completed() && !state.services.is_required(kept) {
                // Nobody waits for it, since nobody requires it.
                let reason = service.last_exit();
                work.extend(take_out(
                    state,
                    kept,
                    &reason,
                    Milestone::Removed(&reason),
                    now,
                ));
            }
        }
    }
}

/// A service of this significance has ended for good by itself: ends the supervisor, if its rules say so.
pub(super) fn auto_shutdown(state: &SupervisorState, significance: Significance) -> Next {
    let ends = match state.rules.auto_shutdown {
        AutoShutdown::Never => false,
        AutoShutdown::AnySignificant => true,
        AutoShutdown::AllSignificant => state.services.significant() == 0,
    };
    if ends && significance == Significance::Significant {
        Next::end(Cause::AutoShutdown)
    } else {
        Next::Settle
    }
}

/// Keeps a service as finished that was there at the start, or has completed and is required, and forgets any other, as all of a scope.
pub(super) fn keep_or_forget(
    state: &mut SupervisorState,
    slot: u32,
    reason: &ExitReason,
    finish: Finish,
    now: Instant,
) -> Next {
    let required = !reason.is_abnormal() && state.services.is_required(slot);
    if is_bound(state) || !(state.is_static(slot) || required) {
        forget(state, slot, reason, now);
        return Next::Settle;
    }
    state.set_phase(slot, Phase::Finished(finish));
    state.tell(slot, Milestone::Failed(reason));
    // Whoever requires the readiness of one that never was ready, or has failed, waits in vain.
    if !state.services[slot].has_run_to_its_end() {
        became_unavailable(state, slot, now);
    }
    // Not there any more if those alone required it, and were forgotten.
    let service = state.services.get(slot);
    if service.is_some_and(Service::has_completed) {
        became_available(state, slot)
    } else {
        Next::Settle
    }
}

/// Stops those that are bound to this service, directly or not, to start them when it is ready again.
///
/// Returns how many there are. Those that are being stopped already are left to that.
pub(super) fn bounce_dependents(state: &mut SupervisorState, slot: u32) -> usize {
    if state.is_ending() || !state.services.has_requirements() {
        return 0;
    }
    let mut bounced = 0;
    // A service is taken once, also if it is bound to several of these: from the first time on something is wanted of it.
    let mut work = vec![slot];
    while let Some(slot) = work.pop() {
        let name = state.services[slot].name();
        for dependent in state.services.dependents(name) {
            let service = &state.services[dependent];
            let bound = service.is_bound_to(state.services[slot].name());
            if bound && service.phase().is_live() && service.wanted == Wanted::Nothing {
                state.set_wanted(dependent, Wanted::Bounce);
                state.join_sequence(dependent);
                work.push(dependent);
                bounced += 1;
            }
        }
    }
    bounced
}

/// Reports whether anybody waits for another service, and is to be told. Where the supervisor ends, everybody is told that.
fn waits_may_be_in_vain(state: &SupervisorState) -> bool {
    !state.is_ending() && state.services.has_requirements()
}

/// Tells those that wait for the service of this name, directly or not, that waiting is in vain.
fn block_dependents(state: &mut SupervisorState, name: Arc<str>, now: Instant) {
    let mut seen = BTreeSet::new();
    let mut work = vec![name];
    while let Some(name) = work.pop() {
        for dependent in state.services.dependents(&name) {
            // Forgotten meanwhile, as one whose first start somebody awaits.
            let Some(service) = state.services.get(dependent) else {
                continue;
            };
            if !service.phase().waits() || !seen.insert(service.serial) {
                continue;
            }
            let gated = matches!(service.phase(), Phase::Gated(_));
            let name = Arc::from(service.name());
            if let Some((on, why)) = blocker(state, dependent)
                && !why.resolves_itself()
            {
                // Neither it nor those that wait for it are told twice, if nothing has changed since: the links of a chain have their turns one
                // after the other, and the rest of it is not walked for each.
                if state.services.findings().note_told(dependent) == Told::Before {
                    continue;
                }
                // One that waits for something else first, as the end of its delay, is told when that is over.
                if gated {
                    gate(state, dependent, on, why, now);
                }
                work.push(name);
            }
        }
    }
}
