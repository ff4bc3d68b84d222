//! Takes services in, starts them, and starts their supervisor. Says when it has started.

use std::{sync::Arc, time::Instant};

use super::{
    bounds::LONGEST,
    dependencies,
    end::{Cause, Exit},
    ends::forget_earlier,
    error::AddError,
    fatal,
    machine::{Status, SupervisorState, later},
    next::Next,
    obstacle::Obstacle,
    output::Effect,
    paths::{self, Asked},
    phase::{Gate, Phase, Registered},
    rules::{Naming, OnBlocked, ServiceRules},
    service::{Origin, Service, StartReport, Wanted},
    waiters::Milestone,
};
use crate::{
    event::EventKind,
    policy::{ExitReason, RestartType, ServiceError, StartOrder, Strategy, check_name},
    token::ServiceToken,
};

/// What came of starting a service.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Begun {
    /// An incarnation was begun.
    Started,
    /// One that it requires will become ready, or it cannot be started.
    Waits,
    /// One that it requires will not become ready by itself.
    Blocked(ExitReason),
}

/// Takes a service in, and starts it if the supervisor was started.
pub(super) fn add(
    state: &mut SupervisorState,
    mut rules: ServiceRules,
    now: Instant,
) -> Result<(ServiceToken, Next), AddError> {
    if state.is_ending() {
        return Err(AddError::ShuttingDown);
    }
    rules.fill_in(&state.rules.each_service);
    if fatal::is_bound(state) {
        // What is different for a scope, rule 1: see `Binding`.
        rules.restart = RestartType::Temporary;
    }
    rules.validate(state.rules.auto_shutdown)?;
    // Before its first start a supervisor may not be part of a tree.
    if state.status != Status::Idle {
        paths::check_root(state, rules.rare.iter().flat_map(|rare| rare.paths()))?;
    }
    if rules.naming == Naming::Numbered {
        rules.name = state.services.next_name(&rules.name);
        // The number may have made it too long.
        check_name(&rules.name)?;
    }
    if let Some(slot) = state.services.named(&rules.name) {
        return Err(AddError::DuplicateName {
            name: rules.name,
            token: state.services.token(slot),
        });
    }
    let present = state.services.len() - state.leftover;
    if let Some(max) = state.rules.max_services.filter(|max| present >= *max) {
        return Err(AddError::Full { max });
    }
    // What was there before the first start, or is added by the start function of a later one, is kept when it has ended for good; what is added later is forgotten
    // then.
    let origin = state.origin;
    let path = state.path_of(&rules.name);
    let inserted = state
        .services
        .insert(Service::new(path, rules, origin))
        .map_err(|cycle| AddError::Cycle {
            members: cycle.members,
        })?;
    // Whoever requires the new one was moved behind it in start order; what is sorted by that order follows.
    for (slot, from) in inserted.moved {
        let to = state.services[slot].order;
        state.sequence.moved(slot, from, to);
        state.line.moved(slot, from, to);
        let token = state.services.token(slot);
        state.output.push(Effect::Moved { token, place: to });
    }
    // Before whatever the start reports: a listener hears of a service before it hears what becomes of it.
    state.report(inserted.slot, EventKind::ServiceAdded, now);
    let token = state.services.token(inserted.slot);
    // While the supervisor starts, an added service does not stand in the line: it is started at once, beside the others.
    let next = match state.status {
        Status::Idle => Next::Settle,
        _ => Next::Begin(inserted.slot),
    };
    Ok((token, next))
}

/// Starts the services that were added, one after the other. All are ready at the end, or none runs.
pub(super) fn start(state: &mut SupervisorState, now: Instant) -> Next {
    if state.status != Status::Idle {
        return Next::Settle;
    }
    state.status = Status::Starting;
    state.origin = Origin::Dynamic;
    state.starts += 1;
    // Others may have been stopped by hand before the start, and stay so.
    let mut registered: Vec<u32> = state
        .services
        .in_order()
        .filter(|slot| matches!(state.services[*slot].phase(), Phase::Registered(_)))
        .collect();
    // Looked for before anybody is started: a requirement that nobody fulfils would be seen only when it is its turn.
    let missing = registered
        .iter()
        .filter(|slot| state.must_start(**slot))
        .find_map(|slot| {
            let on = dependencies::missing_requirement(state, *slot)?;
            Some((*slot, on))
        });
    let foreign = registered
        .iter()
        .filter(|slot| state.must_start(**slot))
        .find_map(|slot| {
            let refused = paths::check_root(state, state.services[*slot].paths().iter());
            Some((*slot, refused.err()?))
        });
    if state.starts > 1 {
        registered.retain(|slot| resume(state, *slot, now) == Resumed::No);
    }
    state.line_up(&registered);
    if let Some((slot, refused)) = foreign {
        let reason = ExitReason::Failed(ServiceError::new(refused));
        return fatal::start_failed(state, slot, Exit::from(reason));
    }
    let Some((slot, on)) = missing else {
        return Next::Settle;
    };
    let reason = dependencies::block(state, slot, on, Obstacle::Missing, now);
    fatal::start_failed(state, slot, Exit::from(reason))
}

/// Whether a service goes on with what it was waiting for when its supervisor ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Resumed {
    No,
    Yes,
}

/// Has a service that was added later go on waiting for the end of its own delay or pause.
fn resume(state: &mut SupervisorState, slot: u32, now: Instant) -> Resumed {
    match state.services[slot].take_resumes(now) {
        Some(phase) => {
            state.set_phase(slot, phase);
            Resumed::Yes
        }
        None => Resumed::No,
    }
}

/// The services could not even be added: ends the start before it began.
pub(super) fn refuse(state: &mut SupervisorState, reason: ExitReason) -> Next {
    // Counted as a start like any other, so that its end is an event of the incarnation that has failed.
    state.status = Status::Starting;
    state.origin = Origin::Dynamic;
    state.starts += 1;
    let path = Arc::clone(&state.path);
    Next::end(Cause::StartFailed { path, reason })
}

/// Puts a supervisor that has ended back to the time before its start, with the services that it had.
///
/// Temporary services that were added after the first start are forgotten. An incarnation that is still there is
/// dropped, and its late end ignored.
pub(super) fn reopen(state: &mut SupervisorState, now: Instant) {
    // Of a supervisor that was killed: another one has noted it when it began to end.
    state.note_ends();
    // A fresh limit, as its own supervisor expects that has counted this restart itself.
    state.counter.reset();
    state.pause = None;
    state.next_resume = None;
    state.queue.clear();
    state.deferred.clear();
    state.consulted.clear();
    state.blocked_start = None;
    state.ending = None;
    state.status = Status::Idle;
    let mut forgotten: Vec<u32> = state.services.in_order().collect();
    forgotten.retain(|slot| reopen_service(state, *slot, now) == Reopened::Forgotten);
    state.line.clear();
    // After all are back in `Registered`: so none of them is blocked because one that it requires is forgotten here.
    for slot in forgotten {
        let reason = state.services[slot].last_exit();
        dependencies::forget(state, slot, &reason, now);
    }
}

/// What becomes of a service when its supervisor is put back to the time before its start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reopened {
    Kept,
    Forgotten,
}

/// Puts one service back to the time before the start.
fn reopen_service(state: &mut SupervisorState, slot: u32, now: Instant) -> Reopened {
    let removed = state.services[slot].wanted == Wanted::Removal;
    if state.services[slot].phase().is_live() {
        // Of a supervisor that was killed. Nobody waits for the end, whose notice will be one of an older incarnation.
        state.drop_incarnation(slot);
        state.clear_incarnation(slot, now);
    }
    // Whoever still waits asked the incarnation that was killed, and nobody carries on with what was asked of that one.
    state.tell(slot, Milestone::Ended);
    state.tell(slot, Milestone::ShuttingDown);
    let service = &mut state.services[slot];
    // What was there at the first start begins anew, as in OTP; what was added later goes on where it was.
    let goes_on = service.origin == Origin::Dynamic
        && (service.phase() == Phase::Failed || service.resumes());
    if !goes_on {
        service.forget_failures();
    }
    if service.phase() == Phase::Lost {
        if service.on_blocked == OnBlocked::AwaitThreadAndStop {
            // It was to be down in the life before.
            service.on_blocked = OnBlocked::AwaitThread;
        }
        return Reopened::Kept;
    }
    // A removal that was under way is complete with the end of the incarnation.
    let temporary = service.restart == RestartType::Temporary;
    let dynamic = service.origin == Origin::Dynamic;
    let forgotten = removed || (temporary && dynamic);
    // One that was added later and has given up stays so, as it would have without the restart.
    let gave_up = dynamic && service.phase() == Phase::Failed;
    // One that was kept because others require that it has completed has done so.
    let completed = dynamic && service.has_completed();
    let forgotten = forgotten && (removed || !completed);
    if forgotten || !(gave_up || completed) {
        state.set_phase(slot, Phase::Registered(Registered::Before));
    }
    if forgotten {
        Reopened::Forgotten
    } else {
        Reopened::Kept
    }
}

/// A supervisor that has ended is known to have done so for good, or no longer: so have those that would be started with it.
pub(super) fn rest(state: &mut SupervisorState, since: Registered) {
    let all: Vec<u32> = state.services.in_order().collect();
    for slot in all {
        if matches!(state.services[slot].phase(), Phase::Registered(_)) {
            state.set_phase(slot, Phase::Registered(since));
        }
    }
}

/// The incarnation has run its `started`, and will say itself when it is ready.
pub(super) fn started(state: &mut SupervisorState, slot: u32, now: Instant) {
    report_start(state, slot, now);
}

/// The incarnation is ready.
pub(super) fn ready(state: &mut SupervisorState, slot: u32, now: Instant) -> Next {
    // Ready too late, or ready already.
    if !matches!(state.services[slot].phase(), Phase::Starting { .. }) {
        return Next::Settle;
    }
    state.services[slot].since = Some(now);
    if state.services[slot].origin == Origin::Spared {
        state.services[slot].origin = Origin::Static;
    }
    state.set_phase(slot, Phase::Ready);
    report_start(state, slot, now);
    state.report(slot, EventKind::ServiceReady, now);
    // One that is to be stopped next is not what anybody waits for.
    if state.services[slot].wanted == Wanted::Nothing {
        state.tell(slot, Milestone::Ready);
    }
    state.line.let_go(slot);
    dependencies::became_available(state, slot)
}

/// Starts a service if what it requires is ready.
pub(super) fn begin(state: &mut SupervisorState, slot: u32, now: Instant) -> Begun {
    if state.services[slot].phase() == Phase::Lost {
        // There is no cell that would obey. Whoever waits was answered when it was lost.
        return Begun::Waits;
    }
    match dependencies::blocker(state, slot) {
        None => match paths::wait(state, slot, now) {
            Asked::Nothing => {
                launch(state, slot, now);
                Begun::Started
            }
            Asked::Elsewhere => Begun::Waits,
        },
        Some((on, why)) => {
            let reason = dependencies::block(state, slot, on, why, now);
            if why.resolves_itself() {
                Begun::Waits
            } else {
                Begun::Blocked(reason)
            }
        }
    }
}

/// Starts a service that has found what it requires elsewhere, if what it requires of its siblings is ready.
pub(super) fn begin_found(state: &mut SupervisorState, slot: u32, now: Instant) {
    match dependencies::blocker(state, slot) {
        None => launch(state, slot, now),
        Some((on, why)) => {
            let _waits_or_not = dependencies::block(state, slot, on, why, now);
        }
    }
}

/// Begins an incarnation.
fn launch(state: &mut SupervisorState, slot: u32, now: Instant) {
    let service = &mut state.services[slot];
    // From here on, notices of all incarnations before are late.
    service.starts += 1;
    service.start_report = StartReport::Due;
    service.set_requirement_ready(false);
    let token = state.services.token(slot);
    if state.dropped.await_end(token) {
        let until = later(now, LONGEST);
        state.set_phase(slot, Phase::Starting { until });
    } else {
        state.command_start(slot, now);
    }
}

/// Reports once per incarnation that it has started: at the first of the notices `Started` and `Ready`, since not every service sends both.
fn report_start(state: &mut SupervisorState, slot: u32, now: Instant) {
    if state.services[slot].start_report == StartReport::Due {
        state.services[slot].start_report = StartReport::Made;
        state.report(slot, EventKind::ServiceStarted, now);
    }
}

/// Starts whoever is next in the line. Says what follows when the supervisor has started, or could not be started.
pub(super) fn advance(state: &mut SupervisorState, now: Instant) -> Option<Next> {
    if let Some(failed) = blocked_start(state) {
        return Some(failed);
    }
    let_go(state);
    paths::follow(state);
    while is_turn(state) {
        let Some(slot) = state.line.first() else {
            // Only a supervisor that starts comes here with an empty line, and nobody is awaited.
            return Some(complete(state, now));
        };
        if let Some(delayed) = dependencies::holder(state, slot) {
            dependencies::hold(state, slot, delayed, now);
            continue;
        }
        let begun = match begin(state, slot, now) {
            // A requirement that ended during the start is judged after it. To wait for it would be to wait for ever.
            Begun::Waits if state.must_start(slot) => {
                dependencies::ended_requirement(state, slot).map_or(Begun::Waits, Begun::Blocked)
            }
            begun => begun,
        };
        debug_assert_ne!(
            state.line.first(),
            Some(slot),
            "whoever had its turn has left the line"
        );
        if let Some(failed) = had_turn(state, slot, begun) {
            return Some(failed);
        }
    }
    if !state.line.is_told() && paths::only_elsewhere(state) {
        state.line.note_told();
        state.output.push(Effect::AwaitsElsewhere);
    }
    None
}

/// The start of the supervisor has failed if one that it needs waits in vain, which had its turn.
fn blocked_start(state: &mut SupervisorState) -> Option<Next> {
    // Whoever waits for one whose end is judged after the start would wait for ever.
    if state.status == Status::Starting && !state.deferred.is_empty() {
        let awaited: Vec<u32> = state.line.awaited().collect();
        for slot in awaited {
            if matches!(state.services[slot].phase(), Phase::Gated(_))
                && let Some(reason) = dependencies::ended_requirement(state, slot)
            {
                state.start_is_blocked(slot, &reason);
            }
        }
    }
    let (token, reason) = state.blocked_start.take()?;
    let slot = state.services.slot(token)?;
    let needed = state.must_start(slot);
    needed.then(|| fatal::start_failed(state, slot, Exit::from(reason)))
}

/// Whether those in the line wait for one that had its turn, by what came of that; and what follows if the start of the supervisor has failed.
fn had_turn(state: &mut SupervisorState, slot: u32, begun: Begun) -> Option<Next> {
    // The slot is free if somebody awaited the first start of the service, which is forgotten then.
    let is_there = state.services.get(slot).is_some();
    match begun {
        // The start of a supervisor does not wait for one that it does not need: that may take its time, as it did before.
        Begun::Started if state.status == Status::Starting && !state.is_needed(slot) => {}
        // In a group restart nobody waits for another one, where all are started at once.
        Begun::Started if state.status == Status::Running && parallel(state) => {}
        Begun::Started => state.line.take_turn(slot, state.rules.start_order),
        Begun::Blocked(reason) if is_there && state.must_start(slot) => {
            return Some(fatal::start_failed(state, slot, Exit::from(reason)));
        }
        Begun::Waits if is_there && is_awaited(state, slot) => {
            state.line.take_turn(slot, state.rules.start_order);
            if matches!(
                state.services[slot].phase(),
                Phase::Gated(Gate::Elsewhere { .. })
            ) {
                state.line.await_elsewhere(slot);
            } else if paths::is_behind(state, slot) {
                state.line.await_behind(slot);
            }
        }
        // In a group restart nobody waits for one that cannot be started: those behind it are started all the same.
        Begun::Blocked(_) | Begun::Waits => {}
    }
    None
}

/// Reports whether all are started at once that may be.
fn parallel(state: &SupervisorState) -> bool {
    state.rules.start_order == StartOrder::Parallel
}

/// Reports whether the start of the supervisor waits for a service that waits itself for what it requires: one that is being started as
/// well, or is to complete.
fn is_awaited(state: &SupervisorState, slot: u32) -> bool {
    let waits = match state.services[slot].phase() {
        // Asked before anybody else: it holds up nobody.
        Phase::Gated(Gate::Elsewhere { .. }) => return state.must_start(slot),
        phase => phase == Phase::Gated(Gate::Sibling),
    };
    if !waits || !state.is_needed(slot) || dependencies::ended_requirement(state, slot).is_some() {
        return false;
    }
    match dependencies::blocker(state, slot) {
        Some((_, Obstacle::NotCompleted)) => true,
        // In a parallel start the other one may have had its turn and is awaited itself. One that was added later is not.
        Some((on, Obstacle::NotReady)) => {
            let on = state.services.named(&on);
            state.must_start(slot) || on.is_some_and(|on| state.line.awaits(on))
        }
        _ => state.must_start(slot),
    }
}

/// Has those wait for their turn again that were held by one whose delay is over, or is no longer the first.
fn let_go(state: &mut SupervisorState) {
    let holder = match state.rules.strategy {
        Strategy::RestForOne => state.line.first_delayed(),
        Strategy::OneForOne | Strategy::OneForAll => None,
    };
    if holder == state.line.holder {
        return;
    }
    state.line.holder = holder;
    let held: Vec<u32> = state.line.held().collect();
    for slot in held {
        state.set_phase(slot, Phase::InLine);
    }
}

/// Reports whether the next of the line may be started.
fn is_turn(state: &SupervisorState) -> bool {
    if state.line.is_held_up() {
        return false;
    }
    match state.status {
        // With nobody left, the start is complete.
        Status::Starting => !state.line.is_empty() || state.line.is_done(),
        Status::Running => {
            !state.line.is_empty() && state.pause.is_none() && !state.line.is_stopping()
        }
        Status::Idle | Status::Ending | Status::Ended => false,
    }
}

/// All services that were there at the start are ready: what has ended meanwhile is judged now.
fn complete(state: &mut SupervisorState, now: Instant) -> Next {
    state.status = Status::Running;
    state.report_self(EventKind::SupervisorStarted, now);
    state.output.push(Effect::Started);
    // One that was started by a request and has ended again is judged by its last end.
    forget_earlier(&mut state.deferred);
    Next::JudgeAll
}
