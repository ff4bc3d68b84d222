//! What is told of a service that has ended: whether it is started again, and when. Decides nothing, and changes nothing.
//!
//! Told before it is done, so that a listener hears the cause first. Whoever decides names the way that the service will take, and what is
//! in that way is looked up here, in one place.

use std::time::Duration;

use super::{
    dependencies,
    machine::{Status, SupervisorState},
    obstacle::Obstacle,
};
use crate::{event::Restarting, policy::Strategy};

/// Of one that is started by itself after this delay, without its turn.
pub(super) fn of_start(state: &SupervisorState, slot: u32, delay: Duration) -> Restarting {
    if !delay.is_zero() {
        // Whoever is in the way then is told when the delay is over.
        Restarting::After(delay)
    } else if dependencies::blocker(state, slot).is_some() {
        Restarting::WhenUnblocked
    } else {
        Restarting::Now
    }
}

/// Of one that is started after this delay as the strategy says.
pub(super) fn of_revival(state: &SupervisorState, slot: u32, delay: Duration) -> Restarting {
    match state.rules.strategy {
        // The group is not there yet.
        _ if state.status == Status::Starting => of_start(state, slot, delay),
        Strategy::OneForOne => of_start(state, slot, delay),
        Strategy::OneForAll | Strategy::RestForOne if delay.is_zero() => of_turn(state, slot),
        Strategy::OneForAll | Strategy::RestForOne => Restarting::After(delay),
    }
}

/// Of one that is started in its turn.
pub(super) fn of_turn(state: &SupervisorState, slot: u32) -> Restarting {
    if state.pause.is_some() {
        return Restarting::AfterPause;
    }
    // What it requires and is not ready is as a rule in the line as well, and comes before it.
    let blocked = dependencies::blocker(state, slot)
        .is_some_and(|(_, why)| why != Obstacle::NotReady)
        || dependencies::holder(state, slot).is_some();
    if blocked {
        Restarting::WhenUnblocked
    } else {
        Restarting::Now
    }
}
