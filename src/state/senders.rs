//! What becomes of messages to a service that is down.

use super::{
    phase::{Phase, Registered},
    rules::ServiceKind,
    service::Service,
};
use crate::policy::WhileDown;

/// What becomes of messages to a service that is down.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Senders {
    /// They wait in the mailbox.
    #[default]
    Wait,
    /// They are dropped, and counted.
    Refused,
}

impl Service {
    /// What becomes of messages to it in this phase.
    pub(super) fn senders(&self, phase: Phase) -> Senders {
        let while_down = match (self.kind, &self.extras) {
            // Asked by users, and by what is below, whether anybody will start it.
            (ServiceKind::Supervisor, _) | (_, None) => WhileDown::default(),
            (ServiceKind::Actor, Some(extras)) => extras.while_down,
        };
        let refused = match while_down {
            WhileDown::RefuseWhenEnded => has_ended_for_good(phase),
            // Before its first start it is not down, but not up yet, whatever it waits for that comes by itself: so that the order in which
            // services start changes nothing.
            WhileDown::Refuse if self.starts == 0 => {
                phase.is_over() || has_ended_for_good(phase) || self.waits_in_vain(phase)
            }
            WhileDown::Refuse => !phase.is_live(),
            WhileDown::Queue => false,
        };
        if refused {
            Senders::Refused
        } else {
            Senders::Wait
        }
    }

    /// Reports whether it waits for what it requires, and that will not be ready by itself.
    fn waits_in_vain(&self, phase: Phase) -> bool {
        let in_vain = self.extras.as_ref().is_some_and(|extras| extras.in_vain);
        in_vain && matches!(phase, Phase::Gated(_))
    }
}

/// Reports whether a service has ended for good, by itself or with its supervisor.
const fn has_ended_for_good(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Finished(_) | Phase::Failed | Phase::Lost | Phase::Registered(Registered::ForGood)
    )
}
