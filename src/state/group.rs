//! Who is restarted with whom.

use std::time::{Duration, Instant};

use super::{
    machine::{Status, SupervisorState, later},
    next::Next,
    phase::Phase,
    service::Wanted,
};
use crate::{event::EventKind, policy::Strategy};

/// Starts a service again, as the strategy says, after a delay.
pub(super) fn revive(
    state: &mut SupervisorState,
    slot: u32,
    delay: Duration,
    now: Instant,
) -> Next {
    if !delay.is_zero() {
        state.report(slot, EventKind::RestartScheduled { after: delay }, now);
    }
    // While the supervisor starts, one that the start does not need is restarted alone: the group is not there yet.
    let strategy = match state.status {
        Status::Starting => Strategy::OneForOne,
        _ => state.rules.strategy,
    };
    match strategy {
        Strategy::OneForOne if delay.is_zero() => return Next::Begin(slot),
        Strategy::OneForOne => {
            let until = later(now, delay);
            state.set_phase(slot, Phase::BackingOff { until });
        }
        Strategy::OneForAll => restart_group(state, slot, 0, delay, now),
        Strategy::RestForOne => {
            let from = state.services[slot].order;
            restart_group(state, slot, from, delay, now);
        }
    }
    Next::Settle
}

/// Stops those that run from a place in start order on; all of them are started when that is done, and `root` when its delay is over, too.
///
/// A group restart that is under way takes the new one in.
fn restart_group(state: &mut SupervisorState, root: u32, from: u64, delay: Duration, now: Instant) {
    // Services that wait for a delay, a pause or a requirement of their own are left out: they are started after that. So nobody waits for
    // the delay of another one here, and none is cut short.
    let others: Vec<u32> = state
        .services
        .starting_at(from)
        .filter(|slot| *slot != root && is_stopped_with_group(state, *slot))
        .collect();
    for slot in &others {
        state.set_wanted(*slot, Wanted::GroupRestart);
        state.join_sequence(*slot);
    }
    if !others.is_empty() {
        let kind = EventKind::GroupRestarted {
            strategy: state.rules.strategy,
            members: others.len() + 1,
        };
        state.report(root, kind, now);
    }
    // As in OTP, one that was stopped on request starts with its group, and so does one that has ended normally and is not temporary.
    let down: Vec<u32> = state
        .services
        .starting_at(from)
        .filter(|slot| *slot != root && state.services[*slot].runs_again())
        .collect();
    for slot in down {
        state.set_phase(slot, Phase::InLine);
    }
    let phase = if delay.is_zero() {
        Phase::InLine
    } else {
        // It is passed over until then. Who waits for it is decided when the others have their turn.
        let until = later(now, delay);
        Phase::Delayed { until }
    };
    state.set_phase(root, phase);
}

/// The delay of a member is over: its turn comes when the group has stopped, and those before it in the line are ready.
pub(super) fn delay_is_over(state: &mut SupervisorState, slot: u32) -> Next {
    state.set_phase(slot, Phase::InLine);
    Next::Settle
}

/// Reports whether a service is stopped and started with a group that it belongs to.
fn is_stopped_with_group(state: &SupervisorState, slot: u32) -> bool {
    let service = &state.services[slot];
    // One under removal or stopped by hand stays that, and one of an earlier group restart is in it already.
    let free = matches!(
        service.wanted,
        Wanted::Nothing | Wanted::Restart | Wanted::Bounce
    );
    free && service.phase().is_live()
}
