//! What users hold of a service.

use std::{fmt, ops::Deref, sync::Arc};

use actix::{Actor, Addr};

use super::link::{AnyLink, Link, LinkCore};
use crate::token::ServiceToken;

/// An address of a service, with the token and path that name it.
///
/// Stays valid through restarts. It derefs to [`Addr`], so that [`send`](Addr::send), [`do_send`](Addr::do_send) and
/// [`recipient`](Addr::recipient) are at hand. Holding one keeps nothing alive: once the service is removed, messages fail with
/// [`MailboxError::Closed`](actix::MailboxError).
pub struct ServiceRef<A: Actor> {
    address: Addr<A>,
    link: Arc<Link<A>>,
}

impl<A: Actor> ServiceRef<A> {
    pub(crate) fn new(address: Addr<A>, link: Arc<Link<A>>) -> Self {
        Self { address, link }
    }

    /// A reference to a service whose mailbox may be dropped by now.
    pub(crate) fn from_link(link: Arc<Link<A>>) -> Option<Self> {
        let address = link.address()?;
        Some(Self { address, link })
    }

    /// The address of the service.
    pub fn addr(&self) -> &Addr<A> {
        &self.address
    }

    /// The token of the service.
    pub fn token(&self) -> ServiceToken {
        self.core().token()
    }

    /// The names from the root to the service, as in `root/db/pool`.
    ///
    /// Before its supervisor is part of a tree, the path begins with that supervisor.
    pub fn path(&self) -> &str {
        self.core().path()
    }

    pub(crate) fn link(&self) -> &Arc<Link<A>> {
        &self.link
    }

    pub(crate) fn core(&self) -> &LinkCore {
        self.link.core()
    }
}

impl<A: Actor> Deref for ServiceRef<A> {
    type Target = Addr<A>;

    fn deref(&self) -> &Addr<A> {
        &self.address
    }
}

impl<A: Actor> Clone for ServiceRef<A> {
    fn clone(&self) -> Self {
        Self {
            address: self.address.clone(),
            link: Arc::clone(&self.link),
        }
    }
}

impl<A: Actor> PartialEq for ServiceRef<A> {
    fn eq(&self, other: &Self) -> bool {
        self.token() == other.token()
    }
}

impl<A: Actor> Eq for ServiceRef<A> {}

impl<A: Actor> fmt::Debug for ServiceRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRef")
            .field("token", &self.token())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
