//! Services about which somebody outside is asked before they are started again: the steward of their supervisor.
//!
//! Asked twice: when an incarnation has ended, before that is judged, so that the end of one that is not to go on is neither counted nor
//! followed by a delay; and before each later start, which may come after a delay. Whoever is asked answers within a bound. A service waits
//! for the answer as one waits for what is elsewhere: everything that is asked about it is done meanwhile, and a late answer is none.

use std::time::Instant;

use super::{
    end::{Consulted, End},
    machine::SupervisorState,
    next::Next,
    output::Effect,
    phase::Phase,
    transitions::Input,
    waiters::Want,
};
use crate::{policy::Verdict, token::ServiceToken};

/// Whether a service is to go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Goes {
    On,
    /// It has ended for good, and is forgotten.
    Away,
}

/// Reports whether somebody is asked about a service whose incarnation has ended like this, before that is judged.
pub(super) fn concerns(state: &SupervisorState, slot: u32, end: &End) -> bool {
    let service = &state.services[slot];
    // Whoever awaits a first start gets its error, and what a service has decided itself needs nobody's leave.
    service.consults()
        && end.exit.verdict().is_none()
        && !(end.ready_for.is_none() && state.waiters.has(service.serial, Want::FirstReady))
}

/// Asks whether a service is to go on whose incarnation has ended.
pub(super) fn ask(state: &mut SupervisorState, slot: u32, end: End) -> Next {
    state.show_undecided(slot);
    let ticket = state.services[slot].ask();
    let token = state.services.token(slot);
    // At most one of each service: an earlier one was followed by a start on request.
    state.consulted.insert(token, Consulted { ticket, end });
    state.output.push(Effect::Consult { token, ticket });
    Next::Settle
}

/// Reports whether it is to be asked before this start. Not if that was done in the same turn, and not before the first.
pub(super) fn is_due(state: &SupervisorState, slot: u32, now: Instant) -> bool {
    let service = &state.services[slot];
    service.starts > 0 && service.consults() && service.consulted_at() != Some(now)
}

impl SupervisorState {
    /// It is known whether a service is to go on whose incarnation has ended.
    pub(crate) fn answered(
        &mut self,
        token: ServiceToken,
        ticket: u64,
        answer: Goes,
        now: Instant,
    ) {
        self.set_input(Input::Exited, Some(token));
        // A late answer to an earlier question is none.
        let known = self.consulted.get(&token);
        if known.is_none_or(|known| known.ticket != ticket) {
            return;
        }
        let known = self.consulted.remove(&token);
        // Stopped, removed or started on request meanwhile.
        let slot = self.services.slot(token);
        let slot = slot.filter(|slot| self.services[*slot].phase() == Phase::Undecided);
        let (Some(Consulted { mut end, .. }), Some(slot)) = (known, slot) else {
            return;
        };
        match answer {
            Goes::On => self.services[slot].set_consulted_at(now),
            Goes::Away => end.exit.verdict = Some(Verdict::Uninstall),
        }
        self.carry_on(Next::Judge { slot, end }, now);
    }
}
