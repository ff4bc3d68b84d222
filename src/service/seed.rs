//! A mailbox that does not run yet.
//!
//! A service can be sent messages as soon as it is added, and its cell runs only when the supervisor starts it for the first time, perhaps on
//! another arbiter. Until then the service is a [`Seed`].

use std::sync::Arc;

use actix::{
    Actor, Addr,
    dev::channel::{AddressReceiver, channel},
};
use actix_rt::ArbiterHandle;

use super::{
    cell::ServiceCell,
    factory::UserFactory,
    host::Host,
    link::{AnyLink, Link},
    panic::drain,
    parent::NoticeKind,
};
use crate::user_value::UserValue;

/// The mailbox and the factory of a service whose cell does not run yet: all of it is `Send`.
///
/// First [`tie`](Self::tie) it to its link, then launch it. One that is tied and dropped without a launch, as when the arbiter has ended
/// that it was sent to, tells its supervisor that the service is lost.
pub(crate) struct Seed<A: Actor> {
    /// `None` once it is launched.
    contents: Option<(AddressReceiver<A>, UserFactory<A>)>,
    link: Option<Arc<Link<A>>>,
    grow: Grow<A>,
}

/// Runs a cell on this thread's arbiter.
pub(super) type Grow<A> = fn(AddressReceiver<A>, Arc<Link<A>>, UserFactory<A>);

/// A [`Seed`] whose actor type is not known here.
pub(crate) trait AnySeed: Send {
    /// Drops what is queued; whoever waits for an answer gets `Closed`.
    fn refuse(&mut self);

    /// Runs the cell on this thread's arbiter.
    fn launch_here(self: Box<Self>);

    /// Runs the cell on another arbiter.
    fn launch_on(self: Box<Self>, arbiter: &ArbiterHandle);
}

impl<A: Actor> Seed<A> {
    /// Opens a mailbox. `grow` knows in which kind of context the actor lives.
    pub(super) fn new(capacity: usize, factory: UserFactory<A>, grow: Grow<A>) -> (Addr<A>, Self) {
        let (sender, mailbox) = channel(capacity);
        let seed = Self {
            contents: Some((mailbox, factory)),
            link: None,
            grow,
        };
        (Addr::new(sender), seed)
    }

    /// Says which service this is.
    pub(crate) fn tie(&mut self, link: Arc<Link<A>>) {
        self.link = Some(link);
    }
}

impl<A: Actor> AnySeed for Seed<A> {
    fn refuse(&mut self) {
        if let Some((mailbox, _)) = &mut self.contents {
            drain(mailbox);
        }
    }

    fn launch_here(mut self: Box<Self>) {
        // Without a link there is nobody to command the cell: the seed is dropped.
        if let Some(link) = self.link.take()
            && let Some((mailbox, factory)) = self.contents.take()
        {
            (self.grow)(mailbox, link, factory);
        }
    }

    fn launch_on(self: Box<Self>, arbiter: &ArbiterHandle) {
        // An arbiter that has ended refuses the closure; one that ends before its turn never runs it. In both cases the seed is dropped.
        let _accepted = arbiter.spawn_fn(move || self.launch_here());
    }
}

impl<A: Actor> Drop for Seed<A> {
    fn drop(&mut self) {
        let Some((mut mailbox, factory)) = self.contents.take() else {
            return;
        };
        // Message by message first, for the second one may panic, too. The supervisor is told last: it may then forget the service.
        drain(&mut mailbox);
        drop(UserValue::new(mailbox));
        drop(factory);
        if let Some(link) = &self.link {
            let core = link.core();
            core.parent()
                .notify(core.token(), core.generation(), NoticeKind::Lost);
        }
    }
}

/// Runs a cell whose actor lives in a context of the kind `H`.
pub(super) fn grow<A: Actor, H: Host<A>>(
    mailbox: AddressReceiver<A>,
    link: Arc<Link<A>>,
    factory: UserFactory<A>,
) {
    // Boxed, since a task takes its memory in steps of 128 bytes, with the future in it.
    actix_rt::spawn(Box::pin(ServiceCell::<A, H>::new(mailbox, link, factory)));
}
