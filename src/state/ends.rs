//! What is told of the end of an incarnation that nobody asked for.
//!
//! Told when it is judged, with what follows. Some are judged later: what ends while the supervisor starts, and what somebody is asked about
//! first. If something else comes in between, as a request or the end of the supervisor, they are not judged any more, and told then.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Instant,
};

use super::{end::End, limits, machine::SupervisorState, phase::Phase};
use crate::{
    event::{EventKind, Restarting},
    policy::ExitReason,
    token::ServiceToken,
};

/// Tells the end of an incarnation, with what follows.
pub(super) fn report_end(
    state: &mut SupervisorState,
    slot: u32,
    end: &End,
    restarting: Restarting,
    now: Instant,
) {
    if !state.output.is_reporting() {
        return;
    }
    let count = limits::counted(state, slot, now);
    let reason = end.exit.reason.clone();
    let kind = if end.ready_for.is_some() {
        EventKind::ended(reason, count, restarting)
    } else if end.declines() && restarting == Restarting::No && reason != ExitReason::Shutdown {
        EventKind::ServiceDeclined { reason }
    } else {
        EventKind::ServiceStartFailed {
            reason,
            count,
            restarting,
        }
    };
    state.report(slot, kind, now);
}

/// Tells the end of a service that is not judged any more, if there is one.
pub(super) fn tell_unjudged(
    state: &mut SupervisorState,
    slot: u32,
    restarting: Restarting,
    now: Instant,
) {
    if state.services[slot].phase() != Phase::Undecided {
        return;
    }
    let token = state.services.token(slot);
    let consulted = state.consulted.remove(&token).map(|known| known.end);
    let end = consulted.or_else(|| {
        let all = &mut state.deferred;
        let latest = all.iter().rposition(|(known, _)| *known == token)?;
        all.remove(latest).map(|(_, end)| end)
    });
    let Some(end) = end else {
        return;
    };
    report_end(state, slot, &end, restarting, now);
}

/// Tells the ends of all services that are not judged any more, because the supervisor ends, and returns them.
pub(super) fn tell_all_unjudged(state: &mut SupervisorState, now: Instant) -> Vec<End> {
    let mut all = std::mem::take(&mut state.deferred);
    let consulted = std::mem::take(&mut state.consulted).into_iter();
    all.extend(consulted.map(|(token, known)| (token, known.end)));
    forget_earlier(&mut all);
    for (token, end) in &all {
        if let Some(slot) = state.services.slot(*token)
            && state.services[slot].phase() == Phase::Undecided
        {
            report_end(state, slot, end, Restarting::No, now);
        }
    }
    all.into_iter().map(|(_, end)| end).collect()
}

/// Of a service that has ended again since it was started on request only the last end counts: the others were told with that request.
pub(super) fn forget_earlier(ends: &mut VecDeque<(ServiceToken, End)>) {
    let mut seen = BTreeSet::new();
    ends.make_contiguous().reverse();
    ends.retain(|(token, _)| seen.insert(*token));
    ends.make_contiguous().reverse();
}
