//! Starts, stops and releases the cells of a supervisor's services.

use std::{sync::Arc, time::Duration};

use actix_rt::Arbiter;

use super::{
    SupervisorActor,
    clock::now,
    core::{Core, LastEnd},
    message::Shutdown,
};
use crate::{
    registry::{Changed, Forget},
    service::{AnyLink, AnySeed, Placement, ServiceKind, Watched, downcast},
    state::ServiceState,
    token::ServiceToken,
};

impl Core {
    pub(super) fn link(&self, token: ServiceToken) -> Option<&Arc<dyn AnyLink>> {
        let entry = self.entries.get(token.slot() as usize)?.as_ref()?;
        (entry.link.core().token() == token).then_some(&entry.link)
    }

    pub(super) fn with_link(&self, token: ServiceToken, act: impl FnOnce(&dyn AnyLink)) {
        if let Some(link) = self.link(token) {
            act(&**link);
        }
    }

    pub(super) fn stop(&self, token: ServiceToken) {
        if let Some(link) = self.link(token) {
            link.core().stop();
            self.pass_on_limit(link);
        }
    }

    /// Tells a supervisor below how much time it has, a little less than is left: so that it drops whoever is late, and says who
    /// that was, before it is dropped itself.
    fn pass_on_limit(&self, link: &Arc<dyn AnyLink>) {
        let Some(deadline) = self.state.stop_deadline(link.core().token()) else {
            return;
        };
        let Ok(link) = downcast::<SupervisorActor>(Arc::clone(link)) else {
            return;
        };
        if let Some(address) = link.address() {
            let left = deadline.saturating_duration_since(now());
            let margin = (left / 10).min(LONGEST_MARGIN);
            // If it does not get to this any more, it has ended.
            address.do_send(Shutdown::within(left.saturating_sub(margin)));
        }
    }

    /// Tells all supervisors below that there is less time than they were told.
    pub(super) fn pass_on_limits(&self) {
        if self.supervisors > 0 {
            // Those that were not asked yet are told when they are.
            let links = self.entries.iter().flatten().map(|entry| &entry.link);
            for link in links.filter(|link| link.core().state() == ServiceState::Stopping) {
                self.pass_on_limit(link);
            }
        }
    }

    pub(super) fn mirror(&mut self, token: ServiceToken, state: ServiceState) {
        let Some(link) = self.link(token) else {
            return;
        };
        if self.last_end == LastEnd::Begun && !state.is_live() {
            let _everybody_is_told = link.core().set_state(state);
            return self.release(token);
        }
        if link.core().set_state(state) == Watched::Yes
            && let Some(tree) = &self.tree
        {
            tree.registry.do_send(Changed(token));
        }
    }

    pub(super) fn start(&mut self, token: ServiceToken, generation: u64) {
        let Some(link) = self.link(token) else {
            return;
        };
        if let Some(names) = self.requirements.get(&token.slot()) {
            let found = names.iter().filter_map(|name| {
                let required = self.link(self.state.named(name)?)?;
                Some((Arc::clone(name), Arc::clone(required)))
            });
            link.core().set_requirements(found.collect());
        }
        link.core().start(generation);
        let entry = self.entries.get_mut(token.slot() as usize);
        if let Some(seed) = entry.and_then(|entry| entry.as_mut()?.seed.take()) {
            self.launch(token, seed);
        }
    }

    /// Runs a cell for the first time. A seed that finds no arbiter is dropped, and says that its service is lost.
    fn launch(&mut self, token: ServiceToken, seed: Box<dyn AnySeed>) {
        match self.placements.remove(&token.slot()).unwrap_or_default() {
            Placement::Inherit => seed.launch_here(),
            Placement::Arbiter(arbiter) => seed.launch_on(&arbiter),
            Placement::Pool => {
                if let Some(Ok(arbiter)) = self.tree.as_ref().map(|tree| tree.pooled()) {
                    seed.launch_on(&arbiter);
                }
            }
            Placement::Dedicated => {
                if let Ok(arbiter) = Arbiter::try_new() {
                    seed.launch_on(&arbiter.handle());
                    self.arbiters.insert(token.slot(), arbiter);
                }
            }
        }
    }

    /// Drops everything that is kept for a service.
    pub(super) fn release(&mut self, token: ServiceToken) {
        let slot = token.slot();
        if self.link(token).is_none() {
            return;
        }
        if let Some(entry) = self.entries[slot as usize].take() {
            self.supervisors -= usize::from(entry.link.core().kind() == ServiceKind::Supervisor);
            entry.link.core().release();
        }
        if let Some(tree) = &self.tree {
            tree.registry.do_send(Forget(token));
        }
        self.requirements.remove(&slot);
        self.placements.remove(&slot);
        if let Some(arbiter) = self.arbiters.remove(&slot) {
            // Queued behind the launch; a cell that is still there is dropped with its thread.
            arbiter.stop();
        }
    }
}

/// How much earlier than its own supervisor a supervisor drops those that are late, at the most.
const LONGEST_MARGIN: Duration = Duration::from_millis(50);
