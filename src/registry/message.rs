//! What the registry is asked and told.

use std::{fmt, sync::Arc};

use actix::{Actor, Message};

use crate::{
    policy::printable,
    service::{AnyLink, Parent, Reply, ServiceRef, downcast},
    state::{EndedAs, ServiceState},
    token::{ServiceKey, ServiceToken},
};

/// Why a look-up finds nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The service, or a supervisor above it, has ended for good: it will not become ready unless somebody asks for it, or a restart of its
    /// group or its supervisor brings it back. The answer of `when_ready`; not that for one that was stopped on request, which is
    /// awaited.
    #[error("service `{path}` {how}")]
    #[non_exhaustive]
    Ended {
        /// Who has ended: the service, or the supervisor above it.
        path: Arc<str>,
        /// In which way.
        how: EndedAs,
    },
    /// The service was removed while the caller waited for it to be ready.
    #[error("service `{path}` was removed")]
    #[non_exhaustive]
    Removed {
        /// The service.
        path: Arc<str>,
    },
    /// The whole tree is gone, and its registry with it.
    #[error("the supervisor is gone")]
    SupervisorGone,
    /// No service has this path, or this name among those of the supervisor that was asked, whose path it then begins with. Check the
    /// spelling: a path begins with the name of the root.
    #[error("no service has the path `{}`", printable(path))]
    #[non_exhaustive]
    UnknownPath {
        /// The path.
        path: Arc<str>,
    },
    /// No service of this tree has this token; it may have been removed.
    #[error("no service has the token `{token}`")]
    #[non_exhaustive]
    UnknownToken {
        /// The token.
        token: ServiceToken,
    },
    /// The service is another actor than asked for. A bug in the caller.
    #[error("service `{path}` is a `{found}`, not a `{expected}`")]
    #[non_exhaustive]
    WrongType {
        /// The service.
        path: Arc<str>,
        /// The type that was asked for.
        expected: &'static str,
        /// The type that it is.
        found: &'static str,
    },
}

impl LookupError {
    /// An [`Ended`](Self::Ended), to compare with.
    pub fn ended(path: impl Into<Arc<str>>, how: EndedAs) -> Self {
        let path = path.into();
        Self::Ended { path, how }
    }

    /// A [`Removed`](Self::Removed), to compare with.
    pub fn removed(path: impl Into<Arc<str>>) -> Self {
        let path = path.into();
        Self::Removed { path }
    }

    /// An [`UnknownPath`](Self::UnknownPath), to compare with.
    pub fn unknown_path(path: impl Into<Arc<str>>) -> Self {
        let path = path.into();
        Self::UnknownPath { path }
    }

    /// An [`UnknownToken`](Self::UnknownToken), to compare with.
    pub const fn unknown_token(token: ServiceToken) -> Self {
        Self::UnknownToken { token }
    }
}

/// A service that was found, before its type is known.
#[derive(Clone)]
pub(crate) struct Located(pub(super) Arc<dyn AnyLink>);

impl Located {
    /// A typed reference to the service.
    ///
    /// # Errors
    ///
    /// [`LookupError::WrongType`] if it is not an `A`; [`LookupError::Removed`] if it was released meanwhile.
    pub(crate) fn typed<A>(self) -> Result<ServiceRef<A>, LookupError>
    where
        A: Actor,
    {
        match downcast(self.0) {
            Ok(link) => {
                // Its supervisor releases a service first, and tells the registry then: there may be no address any more.
                let path = Arc::clone(link.core().path());
                ServiceRef::from_link(link).ok_or(LookupError::Removed { path })
            }
            Err(found) => Err(LookupError::WrongType {
                path: Arc::clone(found.core().path()),
                expected: std::any::type_name::<A>(),
                found: found.type_name(),
            }),
        }
    }
}

impl fmt::Debug for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Located")
            .field(self.0.core().path())
            .finish()
    }
}

/// One service in a snapshot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceSummary {
    token: ServiceToken,
    path: Arc<str>,
    type_name: &'static str,
    state: ServiceState,
    generation: u64,
}

impl ServiceSummary {
    pub(crate) fn new(link: &dyn AnyLink) -> Self {
        let core = link.core();
        Self {
            token: core.token(),
            path: Arc::clone(core.path()),
            type_name: link.type_name(),
            state: core.state(),
            generation: core.generation(),
        }
    }

    /// The token of the service.
    pub fn token(&self) -> ServiceToken {
        self.token
    }

    /// The names from the root to the service.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The Rust type of the actor.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// What the service is doing.
    pub fn state(&self) -> ServiceState {
        self.state
    }

    /// The number of its present or latest incarnation, from 0.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// Adds a service of the supervisor that `owner` names.
pub(crate) struct Register {
    pub(crate) owner: ServiceToken,
    pub(crate) link: Arc<dyn AnyLink>,
}

impl Message for Register {
    type Result = ();
}

/// Adds services that the supervisor starts with which `owner` names.
pub(crate) struct RegisterAll {
    pub(crate) owner: ServiceToken,
    pub(crate) links: Vec<Arc<dyn AnyLink>>,
}

impl Message for RegisterAll {
    type Result = ();
}

/// Says when all services are ready that one requires elsewhere in the tree, and until then which is not.
pub(crate) struct Find {
    /// Who requires them, and its path.
    pub(crate) token: ServiceToken,
    pub(crate) path: Arc<str>,
    /// The number of the question.
    pub(crate) ticket: u64,
    pub(crate) paths: Box<[Arc<str>]>,
    /// Whether its supervisor does not start without it.
    pub(crate) needed: bool,
    /// Where the answer goes.
    pub(crate) parent: Arc<Parent>,
}

impl Message for Find {
    type Result = ();
}

/// Nobody waits any more for what a service requires elsewhere.
pub(crate) struct StopFinding(pub(crate) ServiceToken);

impl Message for StopFinding {
    type Result = ();
}

/// Forgets a service, and answers those who wait for it.
pub(crate) struct Forget(pub(crate) ServiceToken);

impl Message for Forget {
    type Result = ();
}

/// A watched service has changed its state.
pub(crate) struct Changed(pub(crate) ServiceToken);

impl Message for Changed {
    type Result = ();
}

/// Closes the registry, whose tree has ended: nobody is found any more.
pub(crate) struct Close;

impl Message for Close {
    type Result = ();
}

/// What is looked up.
#[derive(Clone, Debug)]
pub(crate) struct Sought {
    pub(crate) key: ServiceKey,
    /// The path of the supervisor that is asked: a name is one among its services. The root, if none is.
    pub(crate) of: Option<Arc<str>>,
}

impl Sought {
    pub(super) const fn in_tree(key: ServiceKey) -> Self {
        Self { key, of: None }
    }
}

impl From<ServiceToken> for Sought {
    fn from(token: ServiceToken) -> Self {
        Self::in_tree(token.into())
    }
}

/// Answers once the service is ready.
pub(crate) struct Await {
    pub(crate) sought: Sought,
    pub(crate) waiter: Reply<Result<Located, LookupError>>,
}

impl Message for Await {
    type Result = ();
}

/// Answers once nobody will start the service any more: it, or a supervisor above it, has ended for good or is forgotten.
pub(crate) struct WhenEnded {
    pub(crate) token: ServiceToken,
    pub(crate) waiter: Reply<()>,
}

impl Message for WhenEnded {
    type Result = ();
}

/// The services of the supervisor that a token names, in start order.
pub(crate) struct Siblings(pub(crate) ServiceToken);

impl Message for Siblings {
    type Result = Vec<ServiceSummary>;
}
