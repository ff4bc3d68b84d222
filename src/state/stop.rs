//! Stops services: asks, waits, kills, abandons. Stops all of them when their supervisor ends, and says when it has ended.

use std::time::{Duration, Instant};

use super::{
    bounds::{LONGEST, StopBy, allowance},
    dependencies,
    end::{Asked, Cause, End, Ended, Ending, Exit, Limited, Lost},
    ends::tell_all_unjudged,
    fatal, limits,
    machine::{Status, SupervisorState, later},
    next::Next,
    outlook,
    output::Effect,
    phase::{Phase, Stage},
    rules::{OnBlocked, ServiceKind},
    service::Wanted,
    waiters::{Milestone, Want},
};
use crate::{
    event::{EventKind, Restarting},
    policy::{ExitReason, KillCause, RestartType, Shutdown, Verdict},
};

/// Stops an incarnation, after those that are bound to it, and says what becomes of its service.
pub(super) fn stop(state: &mut SupervisorState, slot: u32, wanted: Wanted, now: Instant) -> Next {
    state.set_wanted(slot, wanted);
    // Services that are bound to this one stop first, since they may use it until they have.
    if dependencies::bounce_dependents(state, slot) > 0 {
        state.join_sequence(slot);
    } else {
        ask(state, slot, now);
    }
    Next::Settle
}

/// Asks whoever may be asked.
pub(super) fn advance(state: &mut SupervisorState, now: Instant) {
    // The usual case, and on the way of every input.
    if state.sequence.is_empty() {
        return;
    }
    for slot in state.sequence.take_freed(&state.services) {
        ask(state, slot, now);
    }
    while let Some(slot) = state.sequence.next(&state.services, now) {
        ask(state, slot, now);
    }
}

/// Asks an incarnation to stop.
fn ask(state: &mut SupervisorState, slot: u32, now: Instant) {
    state.wait_no_longer(slot, now);
    state.sequence.hold(&mut state.services, slot);
    if let Phase::Overdue { until } = state.services[slot].phase() {
        // It is being dropped already, for its start timeout. Its end will be a stop that was wanted, and no failed start.
        return state.set_phase(slot, stopping(Stage::Killed, until));
    }
    let timeout = match state.shutdown_of(slot) {
        Shutdown::BrutalKill => return kill(state, slot, KillCause::Requested, None, now),
        Shutdown::Timeout(timeout) => Some(timeout),
        Shutdown::Infinity => None,
    };
    let (until, by) = match state.services[slot].kind {
        ServiceKind::Actor => (timeout.and_then(|timeout| later(now, timeout)), None),
        // It drops what is below before its time is up, and then tells how that went.
        ServiceKind::Supervisor => {
            let own = timeout.and_then(|timeout| StopBy::timeout(timeout, now));
            divide(state, own)
        }
    };
    // Before the command, so that nobody who sees the stop takes the service for a running one.
    state.set_phase(slot, stopping(Stage::Asked, until));
    let token = state.services.token(slot);
    state.output.push(Effect::Stop { token, by });
}

/// When a supervisor below is given up, and what it is told, if it has a bound of its own or this one has.
fn divide(state: &SupervisorState, own: Option<StopBy>) -> (Option<Instant>, Option<StopBy>) {
    let limit = state.ending.as_ref().and_then(|ending| ending.limit());
    let both = match (own, limit) {
        (Some(own), Some(limit)) => Some(own.and(limit)),
        (own, limit) => own.or(limit),
    };
    (both.map(StopBy::given_up), both.map(StopBy::below))
}

/// The incarnation was asked to stop, and said that it has work to finish.
pub(super) fn acknowledged(state: &mut SupervisorState, slot: u32) -> Next {
    // In another stage the notice comes twice, or has crossed a kill.
    if let Phase::Stopping {
        stage: Stage::Asked,
        until,
    } = state.services[slot].phase()
    {
        state.set_phase(slot, stopping(Stage::Acknowledged, until));
        let strategy = state.rules.strategy;
        state
            .sequence
            .yield_to_others(&mut state.services, slot, strategy);
    }
    Next::Settle
}

/// Drops an incarnation, without asking it any further. `given` is how long it had to stop, if it was asked.
fn kill(
    state: &mut SupervisorState,
    slot: u32,
    cause: KillCause,
    given: Option<Duration>,
    now: Instant,
) {
    state.wait_no_longer(slot, now);
    state.sequence.hold(&mut state.services, slot);
    let token = state.services.token(slot);
    let (until, effect) = match state.services[slot].kind {
        ServiceKind::Actor => {
            let until = later(now, given.map_or(LONGEST, allowance));
            // What is left after that is for those who have to be told.
            let limit = state.ending.as_ref().and_then(|ending| ending.limit());
            let bound = limit.map(|limit| limit.abandoned().max(now));
            let until = until.into_iter().chain(bound).min();
            (until, Effect::Kill { token, cause })
        }
        // Were it dropped itself, nobody would tell how those below have ended: it drops them, and then it has ended.
        ServiceKind::Supervisor => {
            let (until, by) = divide(state, Some(StopBy::at_once(cause, now)));
            (until, Effect::Stop { token, by })
        }
    };
    let phase = match cause {
        // Nobody wants it to stop: it is judged as a start that has failed.
        KillCause::StartTimeout => Phase::Overdue { until },
        _ => stopping(Stage::Killed, until),
    };
    state.set_phase(slot, phase);
    state.output.push(effect);
}

const fn stopping(stage: Stage, until: Option<Instant>) -> Phase {
    Phase::Stopping { stage, until }
}

/// The time of an incarnation is over that had to become ready, to stop, or to be gone.
pub(super) fn timed_out(state: &mut SupervisorState, slot: u32, now: Instant) -> Next {
    match state.services[slot].phase() {
        Phase::Starting { .. } if state.dropped.is_awaited(state.services.token(slot)) => {
            abandon_dropped(state, slot, now)
        }
        Phase::Starting { .. } => {
            let after = state.services[slot].start_timeout().unwrap_or_default();
            state.report(slot, EventKind::StartTimedOut { after }, now);
            kill(state, slot, KillCause::StartTimeout, None, now);
            Next::Settle
        }
        phase if phase.is_killed() => abandon(state, slot, now),
        _ => {
            // The rules may have been changed since it was asked: this is what is told, and not how long it had.
            let after = match state.shutdown_of(slot) {
                Shutdown::Timeout(timeout) => timeout,
                Shutdown::BrutalKill | Shutdown::Infinity => Duration::ZERO,
            };
            overran(state, slot, after, now)
        }
    }
}

/// Drops an incarnation that did not stop in time. A supervisor had its time to drop what is below, and is no longer waited for.
fn overran(state: &mut SupervisorState, slot: u32, after: Duration, now: Instant) -> Next {
    state.report(slot, EventKind::StopTimedOut { after }, now);
    match state.services[slot].kind {
        ServiceKind::Actor => {
            kill(state, slot, KillCause::StopTimeout, Some(after), now);
            Next::Settle
        }
        ServiceKind::Supervisor => abandon(state, slot, now),
    }
}

/// No longer waits for an incarnation that could not be dropped, because it blocks its thread.
fn abandon(state: &mut SupervisorState, slot: u32, now: Instant) -> Next {
    state.report(slot, EventKind::ServiceAbandoned, now);
    let service = &state.services[slot];
    let token = state.services.token(slot);
    // By generation, because the next incarnation may run while this one is still there.
    if let Some(ending) = &mut state.ending {
        ending.unstopped(&service.path, token, service.generation());
    }
    // Before whatever follows: what is started or released then is not the cell that blocks its thread.
    state.output.push(Effect::Abandon { token });
    if matches!(service.on_blocked, OnBlocked::Judge | OnBlocked::NewThread) {
        let exit = Exit::from(ExitReason::Killed(KillCause::Unresponsive));
        Next::Ended { slot, exit }
    } else {
        let what = Lost::Thread;
        Next::Lose { slot, what }
    }
}

/// No longer waits for an incarnation that was dropped with the supervisor before, because it blocks its thread. It holds up the present one.
fn abandon_dropped(state: &mut SupervisorState, slot: u32, now: Instant) -> Next {
    let token = state.services.token(slot);
    let Some(generation) = state.dropped.forget(token) else {
        return Next::Settle;
    };
    let subject = (&state.services[slot].path, Some(token), generation);
    let kind = EventKind::ServiceAbandoned;
    state.output.report(subject, kind, now);
    state.output.push(Effect::Abandon { token });
    if state.services[slot].on_blocked == OnBlocked::NewThread {
        state.command_start(slot, now);
        return Next::Settle;
    }
    // As in the life before, where nothing but this service waited for the thread: the supervisor starts without it.
    state.services[slot].spare();
    // Too late to become ready, as one that is dropped for its start timeout.
    state.set_phase(slot, Phase::Overdue { until: None });
    let what = Lost::Thread;
    Next::Lose { slot, what }
}

/// The patience with services that neither end nor acknowledge is used up.
pub(super) fn lose_patience(state: &mut SupervisorState) -> Next {
    state.sequence.drop_gate();
    Next::Settle
}

/// The incarnation of a service has ended that was to be stopped.
pub(super) fn stopped(
    state: &mut SupervisorState,
    slot: u32,
    wanted: Wanted,
    mut end: End,
    now: Instant,
) -> Next {
    // Asked before it is told, since a fatal error is what keeps the service from being started again.
    let error = fatal::fatal_error(state, &end.exit.reason);
    let restarting = match what_becomes(state, slot, wanted, &end) {
        _ if error.is_some() => Restarting::No,
        Becomes::InLine => outlook::of_turn(state, slot),
        Becomes::Started => outlook::of_start(state, slot, Duration::ZERO),
        Becomes::Forgotten | Becomes::Over | Becomes::Stopped => Restarting::No,
    };
    report_stop(state, slot, &end, restarting, now);
    let Some(error) = error else {
        return become_wanted(state, slot, wanted, &end, now);
    };
    let report = end.exit.take_report();
    let path = fatal::path_of(state, slot, &end.exit);
    // The end of the supervisor first: with that, whatever was wanted of the service, it is not started again.
    let fatal = fatal::end_fatally(state, path, error, report);
    let become_wanted = Next::Become { slot, wanted, end };
    Next::Then(Box::new((fatal, become_wanted)))
}

/// Reports the end of an incarnation that was to be stopped, and records it if its supervisor ends.
fn report_stop(
    state: &mut SupervisorState,
    slot: u32,
    end: &End,
    restarting: Restarting,
    now: Instant,
) {
    let reason = &end.exit.reason;
    let failed = reason.is_abnormal();
    let asked_for = matches!(
        reason,
        ExitReason::Killed(KillCause::Requested | KillCause::Unresponsive)
    );
    if failed
        && !asked_for
        && let Some(ending) = &mut state.ending
    {
        ending.failed(&state.services[slot].path, reason);
    }
    if !state.output.is_reporting() {
        return;
    }
    let reason = reason.clone();
    let kind = if failed && !matches!(reason, ExitReason::Killed(_)) {
        let count = limits::counted(state, slot, now);
        EventKind::ended(reason, count, restarting)
    } else {
        EventKind::ServiceStopped { reason }
    };
    state.report(slot, kind, now);
}

/// A service has stopped, and that was told: does what was wanted of it.
pub(super) fn become_wanted(
    state: &mut SupervisorState,
    slot: u32,
    wanted: Wanted,
    end: &End,
    now: Instant,
) -> Next {
    state.tell(slot, Milestone::Ended);
    let reason = &end.exit.reason;
    match what_becomes(state, slot, wanted, end) {
        Becomes::Forgotten => dependencies::forget(state, slot, reason, now),
        Becomes::Over => {
            let significance = state.services[slot].significance;
            let finish = end.finish();
            let next = dependencies::keep_or_forget(state, slot, reason, finish, now);
            // One that the group has stopped does not count, as in OTP; one that had ended before it was asked does.
            if end.asked == Asked::NotYet {
                return dependencies::auto_shutdown(state, significance).or(next);
            }
            return next;
        }
        Becomes::InLine => state.set_phase(slot, Phase::InLine),
        Becomes::Started => return Next::Begin(slot),
        Becomes::Stopped => {
            if wanted == Wanted::Stop {
                state.services[slot].spare();
            }
            state.set_phase(slot, Phase::Stopped);
            dependencies::became_unavailable(state, slot, now);
        }
    }
    Next::Settle
}

/// What becomes of a service that has stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Becomes {
    /// It is removed.
    Forgotten,
    /// It has ended for good, and is treated as one that did so by itself.
    Over,
    /// It is started in its turn, with its group.
    InLine,
    /// It is started.
    Started,
    /// It is kept as stopped.
    Stopped,
}

/// What becomes of a service that has stopped, of which this was wanted.
fn what_becomes(state: &SupervisorState, slot: u32, wanted: Wanted, end: &End) -> Becomes {
    let for_good = end.asked == Asked::NotYet && says_so(&end.exit);
    let temporary = state.services[slot].restart == RestartType::Temporary;
    let serial = state.services[slot].serial;
    let asked = state.waiters.has(serial, Want::Restarted);
    match wanted {
        // Whoever asked for the removal gets the reason, also from a supervisor that ends.
        Wanted::Removal => Becomes::Forgotten,
        _ if state.is_ending() => Becomes::Stopped,
        // A supervisor that somebody has shut down while it was stopped for another reason: whoever wanted a stop has it.
        _ if is_shut_down(&end.exit) => Becomes::Forgotten,
        // It had said before it was asked that it is not to be restarted, or is never restarted with others: the group goes on without it.
        // Unless somebody has asked for a restart meanwhile. One that had ended normally runs again, as one that did so long ago.
        Wanted::GroupRestart | Wanted::Bounce if (for_good || temporary) && !asked => Becomes::Over,
        Wanted::GroupRestart => Becomes::InLine,
        Wanted::Bounce | Wanted::Restart => Becomes::Started,
        // `Nothing` does not come here: an end that nobody wanted is judged.
        Wanted::Stop | Wanted::End | Wanted::Nothing => Becomes::Stopped,
    }
}

/// Reports whether this is the end of a supervisor that was itself asked to end for good.
fn is_shut_down(exit: &Exit) -> bool {
    exit.ended.is_some() && exit.verdict == Some(Verdict::Uninstall)
}

/// Reports whether a service has said that it is not to be started again.
fn says_so(exit: &Exit) -> bool {
    matches!(
        exit.verdict(),
        Some(Verdict::DoNotRestart | Verdict::Uninstall)
    )
}

/// Stops all services in order, and ends, at the latest by then; without a bound each service has its own time. Asked again, only an
/// earlier time has an effect.
pub(super) fn shutdown(state: &mut SupervisorState, by: Option<StopBy>, now: Instant) -> Next {
    if state.status == Status::Ended {
        return Next::Settle;
    }
    // Without effect on a supervisor that ends already, but for the time.
    end(state, Ended::from(Cause::Stopped), now);
    if let Some(by) = by
        && let Some(ending) = &mut state.ending
        && ending.set_limit(by, now) == Limited::Sooner
        && let Some(limit) = ending.limit()
    {
        hurry(state, limit, now);
        // Nobody is asked any more who would be dropped in the same turn.
        if limit.drop <= now {
            return expire(state, now);
        }
    }
    Next::Settle
}

/// There is less time than those knew that are being stopped or dropped already. The others hear of it when it is their turn.
fn hurry(state: &mut SupervisorState, limit: StopBy, now: Instant) {
    let all: Vec<u32> = state.services.in_order().rev().collect();
    for slot in all {
        let service = &state.services[slot];
        let (kind, phase) = (service.kind, service.phase());
        let ends = match kind {
            ServiceKind::Actor if phase.is_killed() => limit.abandoned().max(now),
            ServiceKind::Supervisor => limit.given_up(),
            // Dropped when the time of the whole stop is over.
            ServiceKind::Actor => continue,
        };
        let sooner = |until: Option<Instant>| Some(until.map_or(ends, |until| until.min(ends)));
        let phase = match phase {
            Phase::Stopping { stage, until } => stopping(stage, sooner(until)),
            Phase::Overdue { until } => Phase::Overdue {
                until: sooner(until),
            },
            _ => continue,
        };
        state.set_phase(slot, phase);
        if kind == ServiceKind::Supervisor {
            let token = state.services.token(slot);
            let by = limit.below();
            state.output.push(Effect::Hurry { token, by });
        }
    }
}

/// Begins to stop all services. What went wrong before that, below the service that is the cause, is kept in any case.
pub(super) fn end(state: &mut SupervisorState, ended: Ended, now: Instant) {
    if let Some(ending) = &mut state.ending {
        // Another cause came first.
        return ending.ended.report.append(ended.report);
    }
    if state.is_ending() {
        return;
    }
    state.note_ends();
    state.status = Status::Ending;
    state.ending = Some(Box::new(Ending::new(ended)));
    // Nothing is started from here on, so nothing waits for it either.
    state.pause = None;
    state.next_resume = None;
    state.queue.clear();
    // Told all the same, and with it what went wrong below.
    for mut end in tell_all_unjudged(state, now) {
        let report = end.exit.take_report();
        if let Some(ending) = &mut state.ending {
            ending.ended.report.append(report);
        }
    }
    let all: Vec<u32> = state.services.in_order().collect();
    for slot in all {
        end_service(state, slot);
    }
    state.line.clear();
}

/// Lets one service stop because its supervisor ends.
fn end_service(state: &mut SupervisorState, slot: u32) {
    state.tell(slot, Milestone::ShuttingDown);
    let service = &state.services[slot];
    if service.phase().is_live() {
        // A removal is finished as one: its caller waits for the reason.
        if service.wanted != Wanted::Removal {
            state.set_wanted(slot, Wanted::End);
        }
        state.join_sequence(slot);
    } else if !service.phase().is_over() {
        state.set_phase(slot, Phase::Stopped);
    }
}

/// The incarnation of the supervisor itself is gone: drops everything that still runs, and waits for nobody.
pub(super) fn drop_all(state: &mut SupervisorState, now: Instant) -> Next {
    end(state, Ended::from(Cause::Dropped), now);
    // In reverse start order, as they would have been asked.
    let running: Vec<u32> = state
        .services
        .in_order()
        .rev()
        .filter(|slot| state.services[*slot].phase().is_live())
        .collect();
    for slot in &running {
        state.drop_incarnation(*slot);
    }
    Next::DroppedAll(running.into_iter())
}

/// The time of the whole stop is over: drops everything that still runs.
pub(super) fn expire(state: &mut SupervisorState, now: Instant) -> Next {
    let Some(ending) = &mut state.ending else {
        return Next::Settle;
    };
    let cause = ending.limit().map(|limit| limit.cause);
    let Some(given) = ending.expire() else {
        return Next::Settle;
    };
    let running: Vec<u32> = state
        .services
        .in_order()
        .rev()
        .filter(|slot| {
            let phase = state.services[*slot].phase();
            phase.is_live() && !phase.is_killed()
        })
        .collect();
    // In reverse start order, as they would have been asked.
    for slot in running {
        let service = &state.services[slot];
        let asked = matches!(service.phase(), Phase::Stopping { .. });
        match service.kind {
            // It knows the time, and drops what is below now. Until then it is waited for.
            ServiceKind::Supervisor if asked => {}
            ServiceKind::Supervisor => ask(state, slot, now),
            ServiceKind::Actor if cause == Some(KillCause::StopTimeout) => {
                state.report(slot, EventKind::StopTimedOut { after: given }, now);
                kill(state, slot, KillCause::StopTimeout, Some(given), now);
            }
            // The supervisor itself is dropped, so to speak, and nobody is late.
            ServiceKind::Actor => kill(state, slot, KillCause::Requested, None, now),
        }
    }
    Next::Settle
}

/// Ends the supervisor if nothing runs any more.
pub(super) fn complete(state: &mut SupervisorState, now: Instant) {
    if state.status != Status::Ending || state.services.live() > 0 {
        return;
    }
    state.status = Status::Ended;
    let Some(ending) = state.ending.take() else {
        return;
    };
    // Before the last event: services come before their supervisor.
    if fatal::is_bound(state) {
        let all: Vec<u32> = state.services.in_order().rev().collect();
        for slot in all {
            let reason = state.services[slot].last_exit();
            dependencies::forget(state, slot, &reason, now);
        }
    }
    let ended = Box::new(ending.ended);
    let event = state.own_event(ended.event(), now);
    state.output.push(Effect::End { ended, event });
}
