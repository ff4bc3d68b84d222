//! Who is restarted with whom.

use std::time::{Duration, Instant};

use super::{
    machine::{SupervisorState, later},
    next::Next,
    service::{Phase, Wanted},
};
use crate::{
    event::EventKind,
    policy::{RestartType, Strategy},
};

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
    match state.rules.strategy {
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

/// Stops those that run from a place in start order on; all of them and `root` are started when that is done.
///
/// A group restart that is under way takes the new one in.
fn restart_group(state: &mut SupervisorState, root: u32, from: u64, delay: Duration, now: Instant) {
    // Services that wait for a delay, a pause or a requirement of their own are left out: they are started after that.
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
    // As in OTP, one that was stopped on request starts with its group; one that has ended for good does not.
    let by_hand: Vec<u32> = state
        .services
        .starting_at(from)
        .filter(|slot| *slot != root && was_stopped_by_hand(state, *slot))
        .collect();
    for slot in by_hand {
        state.enqueue(slot, Phase::InLine);
    }
    // The delay of the latest failure holds for the whole group, which is started in order and so from its first member on.
    if delay.is_zero() {
        state.line.not_before = None;
        state.enqueue(root, Phase::InLine);
    } else {
        state.line.not_before = later(now, delay);
        state.enqueue(root, Phase::Delayed);
    }
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

fn was_stopped_by_hand(state: &SupervisorState, slot: u32) -> bool {
    let service = &state.services[slot];
    service.phase() == Phase::Stopped && service.restart != RestartType::Temporary
}
