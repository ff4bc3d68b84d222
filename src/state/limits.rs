//! Counts restarts, pauses them, and goes on with them.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    end::End,
    machine::{Pause, SupervisorState, later},
    next::Next,
    phase::Phase,
};
use crate::{
    event::EventKind,
    policy::{OnLimit, ServiceError, Tally, Verdict},
    token::ServiceToken,
};

/// What follows from a restart that is one too many.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub(super) enum Exceeded {
    /// The service is kept as failed.
    GiveUp,
    /// The supervisor gives up.
    Escalate,
    /// The service waits, because of its own limit.
    Rest(Duration),
    /// All restarts of the supervisor wait.
    Pause(Duration),
}

/// Counts a restart: against the service's own limit if it has one, or else against the supervisor's.
pub(super) fn count(state: &mut SupervisorState, slot: u32, now: Instant) -> Option<Exceeded> {
    // By that alone: one service is not to use up what all share.
    if let Some(own) = state.services[slot].own_limit_mut() {
        if own.counter.record(&own.limit, now) == Tally::Within {
            return None;
        }
        return Some(match own.limit.on_limit() {
            OnLimit::GiveUp => Exceeded::GiveUp,
            OnLimit::Escalate => {
                // From here on it is the supervisor's business. Whether that is within its own limit makes no difference.
                let _ends_anyway = state.counter.record(&state.rules.limit, now);
                Exceeded::Escalate
            }
            OnLimit::Pause => Exceeded::Rest(own.counter.pause(&own.limit, (state.random)(), now)),
        });
    }
    match state.counter.record(&state.rules.limit, now) {
        Tally::Within => None,
        Tally::Exceeded if state.rules.limit.on_limit() == OnLimit::Escalate => {
            Some(Exceeded::Escalate)
        }
        Tally::Exceeded => {
            let random = (state.random)();
            let pause = state.counter.pause(&state.rules.limit, random, now);
            Some(Exceeded::Pause(pause))
        }
    }
}

/// What is counted at `now` against the limit by which this service is counted.
pub(super) fn counted(state: &SupervisorState, slot: u32, now: Instant) -> f64 {
    match state.services[slot].own_limit() {
        Some(own) => own.counter.count(&own.limit, now),
        None => state.failure_count(now),
    }
}

/// How long a service waits after its failures in a row, this one included.
pub(super) fn backoff_delay(
    state: &mut SupervisorState,
    slot: u32,
    ready_for: Option<Duration>,
) -> Duration {
    let Some(extras) = &mut state.services[slot].extras else {
        return Duration::ZERO;
    };
    let backoff = &extras.backoff;
    if backoff.is_none() {
        return Duration::ZERO;
    }
    let healthy = ready_for.is_some_and(|ready| ready >= backoff.healthy_after());
    let before = if healthy { 0 } else { extras.failures };
    extras.failures = before.saturating_add(1);
    backoff.delay(extras.failures, (state.random)())
}

/// How long a service waits that bounces: as long as any, or as after its last failure if that is longer and the row of its failures lasts.
///
/// An error that has the verdict among its sources is a failure for this, though not one that counts; a bare verdict is none.
pub(super) fn bounce_delay(state: &mut SupervisorState, slot: u32, end: &End) -> Duration {
    let least = state.rules.bounce_delay;
    let Some(extras) = &mut state.services[slot].extras else {
        return least;
    };
    let backoff = &extras.backoff;
    let bare = |error: &ServiceError| error.downcast_ref::<Verdict>().is_some();
    let failed = end.exit.reason.is_abnormal() && !end.exit.reason.error().is_some_and(bare);
    let healthy = end
        .ready_for
        .is_some_and(|ready| ready >= backoff.healthy_after());
    if healthy {
        extras.failures = 0;
    }
    let failures = extras.failures.max(u32::from(failed));
    if backoff.is_none() || failures == 0 {
        return least;
    }
    least.max(backoff.delay(failures, (state.random)()))
}

/// Starts a service again that bounces, after its delay.
pub(super) fn bounce(
    state: &mut SupervisorState,
    slot: u32,
    delay: Duration,
    now: Instant,
) -> Next {
    if delay.is_zero() {
        return Next::Begin(slot);
    }
    state.report(slot, EventKind::RestartScheduled { after: delay }, now);
    let until = later(now, delay);
    state.set_phase(slot, Phase::BackingOff { until });
    Next::Settle
}

/// Begins a pause of all restarts, or prolongs the present one.
pub(super) fn start_pause(state: &mut SupervisorState, lasting: Duration, now: Instant) {
    // From the beginning of the first pause: `max_pause` bounds the whole, however often failures prolong it.
    let since = state.pause.map_or(now, |pause| pause.since);
    let mut until = later(now, lasting);
    if let Some(longest) = state.rules.limit.longest_pause()
        && let Some(last) = later(since, longest)
    {
        until = Some(until.map_or(last, |until| until.min(last)));
    }
    state.pause = Some(Pause { since, until });
    // Of the pause before, whose services were still being started one by one: the rest waits anew.
    state.next_resume = None;
    let lasting = until.map_or(lasting, |until| until.saturating_duration_since(now));
    let count = state.failure_count(now);
    state.report_self(EventKind::PauseStarted { lasting, count }, now);
}

/// Lets a service wait for the end of the pause.
pub(super) fn wait_for_resume(state: &mut SupervisorState, slot: u32) {
    state.set_phase(slot, Phase::Queued);
    state.queue.push_back(state.services.token(slot));
    // A service that fails, is restarted by hand and fails again leaves an entry each time: they must not pile up in a long pause.
    if state.queue.len() > 2 * state.services.len() + 16 {
        let services = &state.services;
        let mut seen = BTreeSet::new();
        state.queue.retain(|token| {
            let queued = |slot| services[slot].phase() == Phase::Queued && seen.insert(slot);
            services.slot(*token).is_some_and(queued)
        });
    }
}

/// The pause is over: restarts go on.
pub(super) fn end_pause(state: &mut SupervisorState, now: Instant) -> Next {
    state.pause = None;
    state.counter.resume();
    let queued = queued(state);
    state.report_self(EventKind::PauseEnded { queued }, now);
    resume(state, now)
}

/// How many services wait for the end of the pause.
fn queued(state: &SupervisorState) -> usize {
    let waiting = |token: &&ServiceToken| {
        let slot = state.services.slot(**token);
        slot.is_some_and(|slot| state.services[slot].phase() == Phase::Queued)
    };
    // One that was restarted by hand and failed again stands there more than once.
    let all: BTreeSet<&ServiceToken> = state.queue.iter().filter(waiting).collect();
    all.len()
}

/// Those that waited for the end of a pause are started: all at once, or only the next one if they are to be spaced.
pub(super) fn resume(state: &mut SupervisorState, now: Instant) -> Next {
    state.next_resume = None;
    let mut resumed = Vec::new();
    let mut seen = BTreeSet::new();
    while let Some(token) = state.queue.pop_front() {
        let queued = |slot: &u32| state.services[*slot].phase() == Phase::Queued;
        let slot = state.services.slot(token).filter(queued);
        let Some(slot) = slot.filter(|slot| seen.insert(*slot)) else {
            continue;
        };
        resumed.push(slot);
        if !state.rules.resume_spacing.is_zero() && !state.queue.is_empty() {
            state.next_resume = later(now, state.rules.resume_spacing);
            break;
        }
    }
    Next::ReviveAll(resumed.into_iter())
}

/// Has a service rest, because it is over its own limit.
pub(super) fn rest(state: &mut SupervisorState, slot: u32, lasting: Duration, now: Instant) {
    let count = counted(state, slot, now);
    state.report(slot, EventKind::ServicePaused { lasting, count }, now);
    let until = later(now, lasting);
    state.set_phase(slot, Phase::Resting { until });
}

/// The rest of a service is over.
pub(super) fn rested(state: &mut SupervisorState, slot: u32, now: Instant) -> Next {
    state.report(slot, EventKind::ServiceResumed, now);
    if let Some(own) = state.services[slot].own_limit_mut() {
        own.counter.resume();
    }
    if state.pause.is_some() {
        wait_for_resume(state, slot);
        Next::Settle
    } else {
        Next::Revive {
            slot,
            delay: Duration::ZERO,
        }
    }
}

/// The backoff of a service is over.
pub(super) fn backed_off(state: &mut SupervisorState, slot: u32) -> Next {
    // Not counted again. But a pause that has begun meanwhile holds for all.
    if state.pause.is_some() {
        wait_for_resume(state, slot);
        Next::Settle
    } else {
        Next::Begin(slot)
    }
}
