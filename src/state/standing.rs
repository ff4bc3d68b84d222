//! What whoever looks after services from outside needs to know of one, and may change.

use super::{
    machine::SupervisorState,
    phase::Phase,
    rules::{OnBlocked, ServiceRules},
    service::Wanted,
};
use crate::{policy::SpecError, token::ServiceToken};

/// How a service stands: whether it runs or will by itself, and if not, who has to do something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// It runs, or will be started by itself.
    Kept,
    /// It was stopped on request, or is being stopped: only a request starts it.
    HeldDown,
    /// It was given up, and is started by a reset.
    GivenUp,
    /// It has ended for good in another way, and is kept; or is out of reach until its thread is back.
    Finished,
    /// It was lost with its arbiter, or its factory: nothing can start it any more.
    Gone,
    /// It is being removed, and its name taken until it has ended.
    Leaving,
}

impl SupervisorState {
    /// How a service stands, if there is one of this token.
    pub(crate) fn standing(&self, token: ServiceToken) -> Option<Standing> {
        let service = &self.services[self.services.slot(token)?];
        Some(match (service.wanted, service.phase()) {
            (Wanted::Removal, _) => Standing::Leaving,
            (Wanted::Stop, _) | (_, Phase::Stopped) => Standing::HeldDown,
            (_, Phase::Lost) if service.on_blocked == OnBlocked::Fail => Standing::Gone,
            (_, Phase::Failed) => Standing::GivenUp,
            (_, Phase::Finished(_) | Phase::Lost) => Standing::Finished,
            _ => Standing::Kept,
        })
    }

    /// Gives a service other rules, from its next end on. Its name, what it requires and where it runs stay what they were.
    ///
    /// Rules that make no sense are refused, as they are when a service is added.
    pub(crate) fn renew(
        &mut self,
        token: ServiceToken,
        mut rules: ServiceRules,
    ) -> Result<(), SpecError> {
        rules.validate(self.rules.auto_shutdown)?;
        if let Some(slot) = self.services.slot(token) {
            rules.kind = self.services[slot].kind;
            rules.fill_in(&self.rules.each_service);
            self.services[slot].renew(rules);
        }
        Ok(())
    }
}
