//! Maps live tokens and paths to services, for a whole tree.
//!
//! The registry is an actor of its own, so that a look-up never waits for a busy supervisor. Supervisors tell it what
//! exists; what state a service is in it reads from the service's link.
//!
//! # Invariants
//!
//! 1. A service is registered before the caller of `add` learns its token, and forgotten before the caller of `remove` gets
//!    its answer: both go through this mailbox before anything that such a caller can send.
//! 2. Every waiter is answered: when the service is ready, when it is forgotten, or when the registry ends.

mod message;

use std::{collections::HashMap, fmt, sync::Arc};

use actix::prelude::*;
use tokio::sync::oneshot;

pub(crate) use self::message::{Changed, Forget, Located, Lookup, Register, Siblings, WhenReady};
pub use self::message::{LookupError, ServiceKey, ServiceSummary};
use crate::{
    service::AnyLink,
    state::ServiceState,
    token::{ServiceToken, SupervisorId},
};

/// The directory of one supervision tree.
///
/// Started with the root supervisor. Use [`SupervisorRef::lookup`](crate::SupervisorRef::lookup),
/// [`when_ready`](crate::SupervisorRef::when_ready) and [`services`](crate::SupervisorRef::services).
#[derive(Default)]
pub struct RegistryActor {
    /// By supervisor, so that a snapshot of one costs what that one holds.
    services: HashMap<SupervisorId, HashMap<ServiceToken, Arc<dyn AnyLink>>>,
    /// The services of which supervisor go by which token.
    supervisors: HashMap<ServiceToken, SupervisorId>,
    paths: HashMap<Arc<str>, ServiceToken>,
    waiting: HashMap<ServiceToken, Vec<oneshot::Sender<Result<Located, LookupError>>>>,
}

impl RegistryActor {
    fn find(&self, key: &ServiceKey) -> Result<&Arc<dyn AnyLink>, LookupError> {
        let (token, unknown) = match key {
            ServiceKey::Token(token) => (Some(token), LookupError::UnknownToken { token: *token }),
            ServiceKey::Path(path) => {
                let path = Arc::clone(path);
                (self.paths.get(&*path), LookupError::UnknownPath { path })
            }
        };
        token
            .and_then(|token| self.services.get(&token.supervisor())?.get(token))
            .ok_or(unknown)
    }

    fn forget(&mut self, token: ServiceToken) {
        let Some(siblings) = self.services.get_mut(&token.supervisor()) else {
            return;
        };
        let Some(link) = siblings.remove(&token) else {
            return;
        };
        if siblings.is_empty() {
            self.services.remove(&token.supervisor());
        }
        self.supervisors.remove(&token);
        let path = link.core().path();
        // The name may have been given to another service meanwhile.
        if self.paths.get(path) == Some(&token) {
            self.paths.remove(path);
        }
        for waiter in self.waiting.remove(&token).unwrap_or_default() {
            let gone = LookupError::Removed {
                path: Arc::clone(path),
            };
            // A caller that went away needs no answer.
            let _caller_gone = waiter.send(Err(gone));
        }
    }

    fn answer_if_ready(&mut self, token: ServiceToken) {
        let Ok(link) = self.find(&ServiceKey::Token(token)) else {
            return;
        };
        if link.core().state() != ServiceState::Ready {
            return;
        }
        let link = Arc::clone(link);
        for waiter in self.waiting.remove(&token).unwrap_or_default() {
            let _caller_gone = waiter.send(Ok(Located(Arc::clone(&link))));
        }
    }
}

impl Actor for RegistryActor {
    type Context = Context<Self>;
}

impl Handler<Register> for RegistryActor {
    type Result = ();

    fn handle(&mut self, msg: Register, _: &mut Context<Self>) {
        for link in msg.links {
            let core = link.core();
            let token = core.token();
            self.supervisors.insert(msg.owner, token.supervisor());
            self.paths.insert(Arc::clone(core.path()), token);
            self.services
                .entry(token.supervisor())
                .or_default()
                .insert(token, link);
        }
    }
}

impl Handler<Forget> for RegistryActor {
    type Result = ();

    fn handle(&mut self, msg: Forget, _: &mut Context<Self>) {
        self.forget(msg.0);
    }
}

impl Handler<Changed> for RegistryActor {
    type Result = ();

    fn handle(&mut self, msg: Changed, _: &mut Context<Self>) {
        self.answer_if_ready(msg.0);
    }
}

impl Handler<Lookup> for RegistryActor {
    type Result = Result<Located, LookupError>;

    fn handle(&mut self, msg: Lookup, _: &mut Context<Self>) -> Self::Result {
        self.find(&msg.0).map(|link| Located(Arc::clone(link)))
    }
}

impl Handler<WhenReady> for RegistryActor {
    type Result = ();

    fn handle(&mut self, msg: WhenReady, _: &mut Context<Self>) {
        let WhenReady { key, waiter } = msg;
        match self.find(&key) {
            Err(unknown) => {
                let _caller_gone = waiter.send(Err(unknown));
            }
            Ok(link) => {
                let token = link.core().token();
                // Watch first, then look: either this sees that the service is ready, or its supervisor
                // sees that somebody waits.
                link.core().watch();
                let waiting = self.waiting.entry(token).or_default();
                waiting.retain(|other| !other.is_closed());
                waiting.push(waiter);
                self.answer_if_ready(token);
            }
        }
    }
}

impl Handler<Siblings> for RegistryActor {
    type Result = Vec<ServiceSummary>;

    fn handle(&mut self, msg: Siblings, _: &mut Context<Self>) -> Self::Result {
        let siblings = self
            .supervisors
            .get(&msg.0)
            .and_then(|supervisor| self.services.get(supervisor));
        let mut links: Vec<_> = siblings
            .map(|siblings| siblings.values().collect())
            .unwrap_or_default();
        links.sort_unstable_by_key(|link| link.core().position());
        links
            .into_iter()
            .map(|link| ServiceSummary::new(&**link))
            .collect()
    }
}

impl fmt::Debug for RegistryActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryActor")
            .field("services", &self.paths.len())
            .finish_non_exhaustive()
    }
}
