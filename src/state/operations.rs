//! What users ask for: stop, restart, reset, remove, await, reconfigure.

use std::time::Instant;

use super::{
    address::address,
    dependencies::{self, blocker},
    ends::tell_unjudged,
    error::{RemoveError, ResetError, RestartError, StopError},
    fatal::is_bound,
    machine::{Status, SupervisorState},
    next::Next,
    output::{Answer, Unready, Waiter},
    paths,
    phase::{Gate, Phase, Registered},
    rules::SupervisorRules,
    service::Wanted,
    waiters::{Milestone, Revives, Want},
};
use crate::{
    event::{EventKind, Restarting},
    policy::{ExitReason, SpecError},
    token::ServiceToken,
};

/// Stops a service and forgets it. Answered with why it ended, at once if it does not run.
pub(super) fn remove(
    state: &mut SupervisorState,
    token: ServiceToken,
    waiter: Waiter,
    now: Instant,
) -> Result<Next, RemoveError> {
    let slot = address(state, token)?;
    // Whoever waits for a start waits in vain from here on.
    state.tell(slot, Milestone::Interrupted);
    let service = &state.services[slot];
    state.waiters.push(service.serial, waiter, Want::Removed);
    let wanted = Wanted::Removal;
    if !service.phase().is_live() {
        tell_unjudged(state, slot, Restarting::No, now);
        let reason = state.services[slot].last_exit();
        dependencies::forget(state, slot, &reason, now);
    } else if service.wanted == Wanted::Nothing {
        return Ok(Next::Stop { slot, wanted });
    } else {
        // It is being stopped for another reason, which takes its course; only what becomes of it changes.
        state.set_wanted(slot, wanted);
    }
    Ok(Next::Settle)
}

/// Forgets a service that has shut itself down while it had no incarnation.
pub(super) fn uninstall(state: &mut SupervisorState, slot: u32, now: Instant) -> Next {
    if !state.services[slot].phase().is_live() {
        state.tell(slot, Milestone::Interrupted);
        tell_unjudged(state, slot, Restarting::No, now);
        let reason = state.services[slot].last_exit();
        dependencies::forget(state, slot, &reason, now);
    }
    Next::Settle
}

/// Stops a service and keeps it. Answered when it has ended, at once if it does not run.
pub(super) fn stop(
    state: &mut SupervisorState,
    token: ServiceToken,
    waiter: Waiter,
    now: Instant,
) -> Result<Next, StopError> {
    let slot = address(state, token)?;
    state.tell(slot, Milestone::Interrupted);
    let service = &state.services[slot];
    if !service.phase().is_live() {
        if !service.phase().is_over() {
            stop_waiting(state, slot, now);
        }
        state.output.answer(waiter, Answer::Stopped(Ok(())));
        return Ok(Next::Settle);
    }
    let wanted = Wanted::Stop;
    state.waiters.push(service.serial, waiter, Want::Stopped);
    match service.wanted {
        Wanted::Nothing => return Ok(Next::Stop { slot, wanted }),
        // Both end the service as well, and for good.
        Wanted::Removal | Wanted::End => {}
        Wanted::Stop | Wanted::Restart | Wanted::Bounce | Wanted::GroupRestart => {
            state.set_wanted(slot, wanted);
        }
    }
    Ok(Next::Settle)
}

/// Stops a service from waiting for its start.
fn stop_waiting(state: &mut SupervisorState, slot: u32, now: Instant) {
    tell_unjudged(state, slot, Restarting::No, now);
    state.services[slot].spare();
    state.set_phase(slot, Phase::Stopped);
    let reason = state.services[slot].last_exit();
    state.report(slot, EventKind::ServiceStopped { reason }, now);
    dependencies::became_unavailable(state, slot, now);
}

/// Stops a service if it runs, and starts it. Not counted. Answered when it is ready, or with why it is not.
pub(super) fn restart(
    state: &mut SupervisorState,
    token: ServiceToken,
    waiter: Waiter,
    now: Instant,
) -> Result<Next, RestartError> {
    let slot = address(state, token)?;
    let service = &state.services[slot];
    let (phase, before) = (service.phase(), service.wanted);
    if phase == Phase::Lost {
        return Err(RestartError::Failed {
            reason: service.last_exit(),
        });
    }
    if before == Wanted::Removal {
        return Err(RestartError::Interrupted);
    }
    let want = match phase {
        Phase::Stopped => Want::Revived(Revives::Stopped),
        Phase::Finished(_) => Want::Revived(Revives::Finished),
        _ => Want::Restarted,
    };
    state.waiters.push(service.serial, waiter, want);
    if !phase.is_live() {
        return Ok(start_now(state, slot, now));
    }
    let wanted = Wanted::Restart;
    match before {
        Wanted::Nothing => return Ok(Next::Stop { slot, wanted }),
        Wanted::Stop => state.set_wanted(slot, wanted),
        // It will be started again anyway. The last two do not come here: a removal is refused above, and an ending supervisor by `address`.
        Wanted::Restart | Wanted::Bounce | Wanted::GroupRestart | Wanted::Removal | Wanted::End => {
        }
    }
    Ok(Next::Settle)
}

/// Forgets the failures of a service, and starts it if it waits because of them or gave up.
///
/// Answered when it is ready, or with why it is not; at once if there is nothing to start.
pub(super) fn reset(
    state: &mut SupervisorState,
    token: ServiceToken,
    waiter: Waiter,
    now: Instant,
) -> Result<Next, ResetError> {
    let slot = address(state, token)?;
    if state.services[slot].phase() == Phase::Lost {
        return Err(ResetError::Failed {
            reason: state.services[slot].last_exit(),
        });
    }
    state.services[slot].forget_failures();
    state.report(slot, EventKind::ServiceReset, now);
    let service = &state.services[slot];
    let kept_down = matches!(service.wanted, Wanted::Stop | Wanted::Removal | Wanted::End);
    match service.phase() {
        // Nothing to start: it runs, or is down because somebody or it itself wanted so.
        Phase::Ready | Phase::Stopped | Phase::Finished(_) => {
            state.output.answer(waiter, Answer::Reset(Ok(())));
        }
        Phase::Stopping { .. } if kept_down => {
            state.output.answer(waiter, Answer::Reset(Ok(())));
        }
        phase => {
            state.waiters.push(service.serial, waiter, Want::Reset);
            if !phase.is_live() {
                return Ok(start_now(state, slot, now));
            }
        }
    }
    Ok(Next::Settle)
}

/// Waits for the first start of a service. If that fails, the service is forgotten.
pub(super) fn await_ready(
    state: &mut SupervisorState,
    token: ServiceToken,
    waiter: Waiter,
    now: Instant,
) -> Next {
    let Ok(slot) = address(state, token) else {
        let answer = Answer::Ready(Err(Unready::from(ExitReason::Shutdown)));
        state.output.answer(waiter, answer);
        return Next::Settle;
    };
    let service = &state.services[slot];
    if service.phase() == Phase::Ready {
        state.output.answer(waiter, Answer::Ready(Ok(())));
        return Next::Settle;
    }
    state.waiters.push(service.serial, waiter, Want::FirstReady);
    paths::bound(state, slot, now);
    // One that waits in vain has reported that when it was added.
    let phase = state.services[slot].phase();
    if matches!(phase, Phase::Gated(Gate::Sibling))
        && let Some((on, why)) = blocker(state, slot)
        && !why.resolves_itself()
    {
        let reason = dependencies::blocked(on, why);
        dependencies::forget(state, slot, &reason, now);
    }
    Next::Settle
}

/// Follows other rules from now on, and returns the ones before. Services are left alone; refused rules change nothing.
pub(super) fn reconfigure(
    state: &mut SupervisorState,
    mut rules: SupervisorRules,
    now: Instant,
) -> Result<SupervisorRules, SpecError> {
    rules.validate()?;
    // A scope stays one.
    rules.binding = state.rules.binding;
    if is_bound(state) {
        rules.auto_shutdown = state.rules.auto_shutdown;
    }
    let before = std::mem::replace(&mut state.rules, rules);
    state.report_self(EventKind::Reconfigured, now);
    Ok(before)
}

/// Starts a service that has no incarnation, unless its turn will come with the start of its supervisor.
fn start_now(state: &mut SupervisorState, slot: u32, now: Instant) -> Next {
    tell_unjudged(state, slot, Restarting::Now, now);
    // A delay from the life before of a supervisor that is down is cut short, too.
    state.services[slot].forget_resumes();
    match state.services[slot].phase() {
        Phase::Registered(_) => {}
        // It is started in its turn, after those that come before it; in a pause the line stands still, and only a request helps.
        Phase::InLine if state.pause.is_none() => {}
        // Its delay is cut short. It is started in its turn all the same, so that those behind it in the line wait until it is ready; but it
        // does not wait for the delay of another one.
        Phase::Delayed { .. } if in_turn(state, slot) => state.set_phase(slot, Phase::InLine),
        _ if state.status == Status::Idle => {
            state.set_phase(slot, Phase::Registered(Registered::New));
        }
        _ => return Next::Begin(slot),
    }
    Next::Settle
}

/// Reports whether a service whose delay is cut short will be started in its turn without waiting for anybody's delay.
fn in_turn(state: &SupervisorState, slot: u32) -> bool {
    state.pause.is_none()
        && state.status == Status::Running
        && dependencies::holder(state, slot).is_none()
}
