//! What follows when an incarnation ends.
//!
//! 1. A notice that is not of the present incarnation is dropped.
//! 2. What is to be stopped is not restarted: the stopping goes on.
//! 3. A fatal error ends the supervisor.
//! 4. The service's own verdict.
//! 5. What is decided about a failure on the supervisor's side, or else the restart type.
//! 6. The service's own limit.
//! 7. The supervisor's limit.
//! 8. The strategy, and
//! 9. the backoff, when the service is started again.
//!
//! Rules 1 to 3 are in [`exited`] and [`ended`], rules 4 to 7 and 9 in [`judge`]. Rule 8 is [`group`](super::group)'s.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    consult, dependencies,
    end::{Asked, Cause, End, Ended, Exit, Loss, Lost},
    ends::{forget_earlier, report_end},
    fatal,
    limits::{self, Exceeded},
    machine::{Status, SupervisorState},
    next::Next,
    outlook,
    phase::{Finish, FinishedBy, Phase, Ran},
    report::ShutdownReport,
    rules::OnBlocked,
    service::Wanted,
    waiters::{Milestone, Revives, Want},
};
use crate::{
    event::{EventKind, Restarting},
    policy::{Directive, ExitReason, Failure, KillCause, ServiceError, Verdict},
    token::ServiceToken,
};

/// What follows from an end that nobody asked for.
#[derive(Clone, Debug, PartialEq)]
enum Judgement {
    /// The supervisor ends with this error.
    Fatal(ServiceError),
    /// The supervisor ends.
    Terminate { propagate: bool },
    /// It is forgotten, because it never was ready and somebody awaited that.
    Refuse,
    /// It has ended for good, because it has said instead of starting that it is not to run.
    Decline,
    /// Likewise, and somebody awaits its first start: it is forgotten.
    DeclineAwaited,
    /// It stays what it was before somebody started it.
    StayDown(Revives),
    /// It has ended for good.
    Finish,
    /// It is forgotten.
    Uninstall,
    /// It waits until one that it requires becomes ready.
    Park,
    /// It is started after the delay of a bounce, and nobody with it.
    Bounce(Duration),
    /// It is kept as failed.
    GiveUp,
    /// It waits, because of its own limit.
    Rest(Duration),
    /// The supervisor gives up, because of this failure alone.
    Escalate,
    /// The supervisor gives up, because it is one too many.
    Exceed,
    /// All restarts wait from now on.
    Pause(Duration),
    /// It waits, because all restarts do.
    Queue,
    /// It is started after a delay.
    Restart(Duration),
}

/// The incarnation has ended, says its cell.
pub(super) fn exited(
    state: &mut SupervisorState,
    token: ServiceToken,
    generation: u64,
    exit: Exit,
    now: Instant,
) -> Option<Next> {
    if state.dropped.has_ended(token, generation)
        && let Some(slot) = state.services.slot(token)
    {
        state.command_start(slot, now);
        return Some(Next::Settle);
    }
    let slot = state.current(token, generation)?;
    Some(ended(state, slot, exit, now))
}

/// The present incarnation has ended, or is given up.
pub(super) fn ended(state: &mut SupervisorState, slot: u32, mut exit: Exit, now: Instant) -> Next {
    if let Some(ending) = &mut state.ending {
        // Of a supervisor below, before its own entry: in the order of the ends.
        ending.ended.report.append(exit.take_report());
    }
    let in_line = state.line.awaits(slot);
    let (wanted, end) = state.end_incarnation(slot, exit, now);
    // Rule 2. Whether a stop was asked for is known here: an error that a service returns while it stops is no reason to restart it.
    if wanted != Wanted::Nothing {
        return Next::Stopped { slot, wanted, end };
    }
    // Rule 3: before the verdict, since a fatal error is not the service's own business. At once also while the supervisor starts.
    // The start of a scope fails with the error of a member all the same.
    let first = in_line && fatal::is_bound(state);
    if let Some(error) = fatal::fatal_error(state, &end.exit.reason).filter(|_| !first) {
        return conclude(state, slot, Judgement::Fatal(error), end, now);
    }
    let mut end = end;
    end.directive = directive(state, slot, &end);
    let fatal = end.directive == Some(Directive::Fatal);
    let spared = end.declines() || end.directive == Some(Directive::Stop);
    // A service of the start that declines, or is to be left out, is judged at once, like any that ends later: nobody waits for it to
    // become ready. So is one that the start does not need: it was added later, or was down in the life before.
    // And one whose completion others wait for in the start.
    let judged = !state.is_needed(slot) || fatal || (in_line && spared);
    if judged && !fatal && consult::concerns(state, slot, &end) {
        return consult::ask(state, slot, end);
    }
    if judged || completes(state, slot, &end) {
        return Next::Judge { slot, end };
    }
    if in_line {
        report_end(state, slot, &end, Restarting::No, now);
        state.set_phase(slot, Phase::Stopped);
        return fatal::start_failed(state, slot, end.exit);
    }
    // The service was ready before the one that is being started now. If it were restarted at once and that start failed after all, it would
    // have to be stopped again; and each of its failures would count, while the supervisor does not run yet.
    if end.ready_for.is_none() {
        // Somebody has asked for this start.
        state.tell(slot, Milestone::Failed(&end.exit.reason));
    }
    state.show_undecided(slot);
    state.deferred.push_back((state.services.token(slot), end));
    // One that is restarted by hand and fails again leaves an entry each time: they must not pile up while another one takes its time.
    if state.deferred.len() > 2 * state.services.len() + 16 {
        forget_earlier(&mut state.deferred);
    }
    Next::Settle
}

/// Asks what is to follow a failure, if anybody can be asked and the service has not decided itself.
fn directive(state: &SupervisorState, slot: u32, end: &End) -> Option<Directive> {
    let service = &state.services[slot];
    service.decide()?;
    // Who awaits a first start gets its error, and nothing follows.
    if end.ready_for.is_none() && state.waiters.has(service.serial, Want::FirstReady) {
        return None;
    }
    match end.exit.verdict() {
        None => ask(state, slot, &end.exit.reason),
        Some(Verdict::Missing) if !service.requires_anything() => {
            ask(state, slot, &end.exit.reason)
        }
        Some(_) => None,
    }
}

fn ask(state: &SupervisorState, slot: u32, reason: &ExitReason) -> Option<Directive> {
    let service = &state.services[slot];
    let decide = service.decide()?;
    // A scope ends with the first failure of a member.
    if fatal::is_bound(state) || fatal::failure(reason).is_none() {
        return None;
    }
    let failure = Failure::new(Arc::clone(&service.path), reason.clone());
    Some(decide.0(&failure))
}

/// Reports whether a service that was ready has ended in a way for which others may wait: it has completed, or is to.
fn completes(state: &SupervisorState, slot: u32, end: &End) -> bool {
    let service = &state.services[slot];
    let dependents = state.services.dependents(service.name());
    if dependents.is_empty() || end.ready_for.is_none() {
        return false;
    }
    let over = match end.exit.verdict() {
        Some(verdict) => verdict == Verdict::DoNotRestart,
        None => !service.restart.restarts_after(&end.exit.reason),
    };
    let awaited = |slot: &u32| state.services[*slot].requires_end_of(service.name());
    (over && !end.exit.reason.is_abnormal()) || dependents.iter().any(awaited)
}

/// Judges an end that nobody asked for, reports it, and says what follows.
pub(super) fn follow(state: &mut SupervisorState, slot: u32, end: End, now: Instant) -> Next {
    let judgement = judge(state, slot, &end, now);
    let restarts = matches!(
        judgement,
        Judgement::Restart(_) | Judgement::Queue | Judgement::Pause(_) | Judgement::Rest(_)
    );
    // Not after a bounce, which is not to be the last word: only what restarts it by rule does so whenever it has ended like this.
    if restarts && end.exit.verdict().is_none() && end.exit.reason == ExitReason::Normal {
        dependencies::recurs(state, slot, now);
    }
    conclude(state, slot, judgement, end, now)
}

/// Reports an end, and does what was decided of it.
fn conclude(
    state: &mut SupervisorState,
    slot: u32,
    judgement: Judgement,
    end: End,
    now: Instant,
) -> Next {
    // Told before anything follows from it, so that a listener sees the cause first.
    let restarting = restarting(state, slot, &judgement);
    report_end(state, slot, &end, restarting, now);
    let declined = match judgement {
        Judgement::Decline => true,
        Judgement::Uninstall => end.exit.reason != ExitReason::Shutdown,
        _ => false,
    };
    // If the incarnation never was ready, no service that is bound to this one has been started.
    if end.ready_for.is_some() {
        dependencies::bounce_dependents(state, slot);
    } else if declined {
        state.tell(slot, Milestone::Declined);
    } else if !matches!(judgement, Judgement::Refuse | Judgement::DeclineAwaited) {
        state.tell(slot, Milestone::Failed(&end.exit.reason));
    }
    let finish = end.finish();
    apply(state, slot, judgement, end.exit, finish, now)
}

/// Rules 4 to 7, and 9.
fn judge(state: &mut SupervisorState, slot: u32, end: &End, now: Instant) -> Judgement {
    let service = &state.services[slot];
    let never_ready = end.ready_for.is_none();
    // A supervisor that a user shuts down while it starts is removed on request, and says so in this way: it does not decline.
    if end.declines() && end.exit.reason != ExitReason::Shutdown {
        return match end.exit.verdict() {
            _ if state.waiters.has(service.serial, Want::FirstReady) => Judgement::DeclineAwaited,
            Some(Verdict::Uninstall) => Judgement::Uninstall,
            _ => Judgement::Decline,
        };
    }
    // `add_and_wait` gets the error of the first start, and keeps nothing.
    if never_ready && state.waiters.has(service.serial, Want::FirstReady) {
        return Judgement::Refuse;
    }
    // Rule 4.
    match end.exit.verdict() {
        Some(Verdict::DoNotRestart) => return Judgement::Finish,
        Some(Verdict::TerminateTree { propagate }) => return Judgement::Terminate { propagate },
        // A bounce is not counted, but it is a restart, and there are none during a pause.
        Some(Verdict::Bounce) if state.pause.is_some() => return Judgement::Queue,
        Some(Verdict::Bounce) => {
            return Judgement::Bounce(limits::bounce_delay(state, slot, end));
        }
        Some(Verdict::Uninstall) => return Judgement::Uninstall,
        // What it missed may be there by now, and would not come a second time: it looks again.
        Some(Verdict::Missing) if service.looks_again() && state.pause.is_some() => {
            return Judgement::Queue;
        }
        Some(Verdict::Missing) if service.looks_again() => {
            return Judgement::Bounce(limits::bounce_delay(state, slot, end));
        }
        // A service that requires nothing would never be woken: it is restarted like any other.
        Some(Verdict::Missing) if !service.required().is_empty() => return Judgement::Park,
        Some(Verdict::Missing) | None => {}
    }
    // Rule 5.
    let restarts = match end.directive {
        None => service.restart.restarts_after(&end.exit.reason),
        Some(Directive::Restart | Directive::RestartAfter(_)) => true,
        Some(Directive::Stop) => false,
        Some(Directive::Escalate) => return Judgement::Escalate,
        Some(Directive::Fatal) => {
            let error = ServiceError::new(end.exit.reason.clone());
            return Judgement::Fatal(fatal::failure(&end.exit.reason).unwrap_or(error));
        }
    };
    if !restarts {
        return Judgement::Finish;
    }
    // A restart by hand that fails leaves a stopped service stopped, as `restart_child` does in OTP.
    if never_ready && let Some(was) = state.waiters.revives(service.serial) {
        return Judgement::StayDown(was);
    }
    // Rule 9, computed first: a failure that leads into a pause lengthens the backoff all the same.
    let delay = limits::backoff_delay(state, slot, end.ready_for);
    let delay = match end.directive {
        Some(Directive::RestartAfter(after)) => after,
        _ => delay,
    };
    // Rules 6 and 7.
    match limits::count(state, slot, now) {
        Some(Exceeded::GiveUp) => Judgement::GiveUp,
        Some(Exceeded::Escalate) => Judgement::Exceed,
        Some(Exceeded::Rest(lasting)) => Judgement::Rest(lasting.max(delay)),
        Some(Exceeded::Pause(lasting)) => Judgement::Pause(lasting),
        None if state.pause.is_some() => Judgement::Queue,
        None => Judgement::Restart(delay),
    }
}

/// Puts the service into its next phase, and says what follows.
fn apply(
    state: &mut SupervisorState,
    slot: u32,
    judgement: Judgement,
    mut exit: Exit,
    finish: Finish,
    now: Instant,
) -> Next {
    let report = exit.take_report();
    let origin = fatal::path_of(state, slot, &exit);
    let reason = exit.reason;
    match judgement {
        Judgement::Refuse => dependencies::refuse(state, slot, &reason, &report, now),
        Judgement::Uninstall => {
            let significance = state.services[slot].significance;
            dependencies::forget(state, slot, &reason, now);
            // Not of a supervisor that is removed on request.
            if reason != ExitReason::Shutdown {
                return with_report(dependencies::auto_shutdown(state, significance), report);
            }
        }
        Judgement::DeclineAwaited => {
            let significance = state.services[slot].significance;
            dependencies::decline(state, slot, &reason, now);
            return with_report(dependencies::auto_shutdown(state, significance), report);
        }
        Judgement::Finish | Judgement::Decline => {
            let significance = state.services[slot].significance;
            let next = dependencies::keep_or_forget(state, slot, &reason, finish, now);
            let end = with_report(dependencies::auto_shutdown(state, significance), report);
            return end.or(next);
        }
        Judgement::Bounce(delay) => return limits::bounce(state, slot, delay, now),
        Judgement::Park => {
            state.set_phase(slot, Phase::Parked);
            dependencies::became_unavailable(state, slot, now);
        }
        Judgement::GiveUp => {
            state.set_phase(slot, Phase::Failed);
            state.report(slot, EventKind::ServiceGaveUp { reason }, now);
            dependencies::became_unavailable(state, slot, now);
            let significance = state.services[slot].significance;
            return with_report(dependencies::auto_shutdown(state, significance), report);
        }
        Judgement::Rest(lasting) => limits::rest(state, slot, lasting, now),
        Judgement::Pause(lasting) => {
            limits::start_pause(state, lasting, now);
            limits::wait_for_resume(state, slot);
        }
        Judgement::Queue => limits::wait_for_resume(state, slot),
        Judgement::Restart(delay) => return Next::Revive { slot, delay },
        Judgement::StayDown(was) => {
            state.services[slot].spare();
            let phase = match was {
                Revives::Finished => Phase::Finished(Finish {
                    by: FinishedBy::FailedStart,
                    ran: Ran::No,
                }),
                Revives::Stopped => Phase::Stopped,
            };
            state.set_phase(slot, phase);
            dependencies::became_unavailable(state, slot, now);
        }
        // From here on: the service is put into its last phase first, since an ending supervisor stops whatever is not over.
        Judgement::Fatal(error) => {
            state.set_phase(slot, Phase::Stopped);
            return fatal::end_fatally(state, origin, error, report);
        }
        Judgement::Terminate { propagate } => {
            state.set_phase(slot, Phase::Stopped);
            let cause = Cause::Terminated {
                path: origin,
                propagate,
                reason,
            };
            return Next::End(Box::new(Ended { cause, report }));
        }
        Judgement::Escalate => {
            state.set_phase(slot, Phase::Stopped);
            return escalate(state, slot, reason, report);
        }
        Judgement::Exceed => {
            state.set_phase(slot, Phase::Stopped);
            let count = limits::counted(state, slot, now);
            state.report_self(EventKind::LimitExceeded { count }, now);
            return escalate(state, slot, reason, report);
        }
    }
    Next::Settle
}

/// The supervisor gives up because of this service.
fn escalate(
    state: &SupervisorState,
    slot: u32,
    reason: ExitReason,
    report: ShutdownReport,
) -> Next {
    let path = Arc::clone(&state.services[slot].path);
    let reason = ExitReason::escalated(path, reason);
    let path = Arc::clone(&state.path);
    let cause = Cause::Escalated { path, reason };
    Next::End(Box::new(Ended { cause, report }))
}

/// What follows, with what went wrong below the service that has ended, if the supervisor ends with it.
fn with_report(mut next: Next, report: ShutdownReport) -> Next {
    if let Next::End(ended) = &mut next {
        ended.report.append(report);
    }
    next
}

/// The cell of a service is gone with its arbiter, or out of reach on a blocked thread: it cannot be started.
pub(super) fn lost(state: &mut SupervisorState, slot: u32, what: Lost, now: Instant) -> Next {
    let token = state.services.token(slot);
    state.dropped.forget(token);
    let service = &mut state.services[slot];
    if what != Lost::Thread {
        // There is nothing to wait for, or no longer.
        service.on_blocked = OnBlocked::Fail;
    }
    if service.phase() == Phase::Lost {
        return Next::Settle;
    }
    let stays_down = matches!(service.wanted, Wanted::Stop | Wanted::Removal | Wanted::End);
    if stays_down && service.on_blocked == OnBlocked::AwaitThread {
        service.on_blocked = OnBlocked::AwaitThreadAndStop;
    }
    let (live, wanted) = (service.phase().is_live(), service.wanted);
    let over = service.phase().is_over();
    // Or would by itself.
    let runs = live || service.phase().waits();
    let starting = matches!(
        service.phase(),
        Phase::Starting { .. } | Phase::Overdue { .. }
    );
    let reason = ExitReason::Killed(match what {
        Lost::Arbiter => KillCause::ArbiterStopped,
        Lost::Factory | Lost::Thread => KillCause::Unresponsive,
    });
    if live {
        state.clear_incarnation(slot, now);
    }
    // Not judged: no rule could have it started again as long as its mailbox and its factory, or its thread, are gone.
    state.services.remember_exit(slot, &reason);
    report_lost(state, slot, &reason, wanted, now);
    dependencies::bounce_dependents(state, slot);
    state.set_phase(slot, Phase::Lost);
    let loss = Loss {
        wanted,
        starting,
        over,
    };
    // In a scope, one that was down was no longer one of those that live and end together.
    let fatal = fatal::fatal_error(state, &reason).filter(|_| live || !fatal::is_bound(state));
    // One that waits for its thread is judged when that is back. Of any other there is nothing to decide but whether the supervisor ends.
    let is_judged = runs && wanted == Wanted::Nothing;
    let is_judged = is_judged && state.services[slot].on_blocked == OnBlocked::Fail;
    let directive = match fatal {
        None if is_judged => ask(state, slot, &reason),
        _ => None,
    };
    let fatal = match directive {
        Some(Directive::Fatal) => fatal::failure(&reason),
        _ => fatal,
    };
    let report = ShutdownReport::default();
    let ends = match (fatal, directive) {
        (Some(error), _) => {
            let path = Arc::clone(&state.services[slot].path);
            fatal::end_fatally(state, path, error, report)
        }
        (None, Some(Directive::Escalate)) => escalate(state, slot, reason, report),
        (None, _) => return tell_loss(state, slot, loss, now),
    };
    // First, since to whoever waits for a start the reason is the end of the supervisor, and not the loss.
    Next::Then(Box::new((ends, Next::TellLoss { slot, loss })))
}

/// Tells those who wait for a service that it is lost. Whoever wanted it removed, or awaits its first start, is told that it is forgotten.
pub(super) fn tell_loss(state: &mut SupervisorState, slot: u32, loss: Loss, now: Instant) -> Next {
    let reason = state.services[slot].last_exit();
    let serial = state.services[slot].serial;
    if loss.wanted == Wanted::Removal || state.waiters.has(serial, Want::FirstReady) {
        dependencies::forget(state, slot, &reason, now);
        return Next::Settle;
    }
    state.tell(slot, Milestone::Ended);
    state.tell(slot, Milestone::Failed(&reason));
    if loss.starting && state.is_needed(slot) {
        return fatal::start_failed(state, slot, Exit::from(reason));
    }
    dependencies::became_unavailable(state, slot, now);
    let by_itself = !loss.over && !matches!(loss.wanted, Wanted::Stop | Wanted::End);
    // One that waits for its thread has not ended for good.
    if by_itself && state.services[slot].on_blocked == OnBlocked::Fail {
        let significance = state.services[slot].significance;
        return dependencies::auto_shutdown(state, significance);
    }
    Next::Settle
}

fn report_lost(
    state: &mut SupervisorState,
    slot: u32,
    reason: &ExitReason,
    wanted: Wanted,
    now: Instant,
) {
    let unresponsive = *reason == ExitReason::Killed(KillCause::Unresponsive);
    if wanted != Wanted::Nothing
        && !unresponsive
        && let Some(ending) = &mut state.ending
    {
        ending.failed(&state.services[slot].path, reason);
    }
    let count = limits::counted(state, slot, now);
    let reason = reason.clone();
    let kind = if wanted != Wanted::Nothing && unresponsive {
        // The end of a stop that was wanted, which is told like any other.
        EventKind::ServiceStopped { reason }
    } else {
        EventKind::ended(reason, count, Restarting::No)
    };
    state.report(slot, kind, now);
}

/// The thread is back that a service was lost on: what could not be judged then is judged now.
pub(super) fn thread_back(state: &mut SupervisorState, slot: u32, now: Instant) -> Next {
    let service = &mut state.services[slot];
    let waits = service.on_blocked;
    if service.phase() != Phase::Lost || waits == OnBlocked::Fail {
        return Next::Settle;
    }
    service.on_blocked = OnBlocked::AwaitThread;
    if waits == OnBlocked::AwaitThreadAndStop || state.is_ending() {
        state.set_phase(slot, Phase::Stopped);
        return Next::Settle;
    }
    state.set_phase(slot, Phase::Undecided);
    let exit = Exit::from(state.services[slot].last_exit());
    let mut end = End {
        exit,
        ready_for: None,
        asked: Asked::NotYet,
        directive: None,
    };
    end.directive = directive(state, slot, &end);
    if state.status != Status::Running {
        // Its supervisor starts, and judges what has ended meanwhile when it has.
        state.show_undecided(slot);
        state.deferred.push_back((state.services.token(slot), end));
        return Next::Settle;
    }
    // Its end was told when it was lost.
    let judgement = judge(state, slot, &end, now);
    let finish = end.finish();
    apply(state, slot, judgement, end.exit, finish, now)
}

/// What is told of the restart that follows.
fn restarting(state: &SupervisorState, slot: u32, judgement: &Judgement) -> Restarting {
    match judgement {
        Judgement::Bounce(delay) => outlook::of_start(state, slot, *delay),
        Judgement::Restart(delay) => outlook::of_revival(state, slot, *delay),
        Judgement::Rest(_) | Judgement::Pause(_) | Judgement::Queue => Restarting::AfterPause,
        Judgement::Park => Restarting::WhenUnblocked,
        Judgement::Fatal(_)
        | Judgement::Terminate { .. }
        | Judgement::Refuse
        | Judgement::Decline
        | Judgement::DeclineAwaited
        | Judgement::StayDown(_)
        | Judgement::Finish
        | Judgement::Uninstall
        | Judgement::GiveUp
        | Judgement::Escalate
        | Judgement::Exceed => Restarting::No,
    }
}
