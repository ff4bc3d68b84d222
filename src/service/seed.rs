//! A mailbox that does not run yet.
//!
//! A service can be sent messages as soon as it is added, and its cell runs only when the supervisor starts it for the first time, perhaps on
//! another arbiter. Until then the service is a [`Seed`]; and it is one again when its cell was written off.

use std::{any::Any, sync::Arc, thread::ThreadId};

use actix::{Actor, Addr, dev::channel::channel};
use actix_rt::ArbiterHandle;

use super::{
    cell::ServiceCell,
    contents::{Contents, Grow, Slot, drop_contents},
    factory::UserFactory,
    host::Host,
    link::{AnyLink, Link, downcast},
    parent::NoticeKind,
};
use crate::user_value::drop_in_turn;

/// The mailbox and the factory of a service whose cell does not run yet: all of it is `Send`.
///
/// First [`tie`](Self::tie) it to its link, then launch it. One that is tied and dropped without a launch, as when the arbiter has ended
/// that it was sent to, tells its supervisor that the service is lost.
pub(crate) struct Seed<A: Actor> {
    /// `None` once it is launched.
    contents: Option<Contents<A>>,
    link: Option<Arc<Link<A>>>,
    epoch: u32,
    grow: Grow<A>,
}

/// A [`Seed`] whose actor type is not known here.
pub(crate) trait AnySeed: Send {
    /// Puts mailbox and factory into a slot, before the launch on another thread.
    fn lend(&mut self) -> Option<Arc<dyn AnySlot>>;

    /// Runs the cell on this thread's arbiter.
    fn launch_here(self: Box<Self>);

    /// Runs the cell on another arbiter.
    fn launch_on(self: Box<Self>, arbiter: &ArbiterHandle);
}

/// A [`Slot`] whose actor type is not known here.
pub(crate) trait AnySlot: Send + Sync {
    /// Gives what is in the slot to the cell of a later epoch, which is still to be launched.
    ///
    /// `on_return` is dropped when the cell before has come back, or is gone with its thread.
    fn hand_over(
        self: Arc<Self>,
        link: &Arc<dyn AnyLink>,
        epoch: u32,
        on_return: Option<Box<dyn Any + Send>>,
    ) -> Option<Box<dyn AnySeed>>;

    /// Whether there is a factory: it is lost if its call does not return.
    fn has_factory(&self) -> bool;

    /// On which thread the present cell was launched, if it was.
    fn thread(&self) -> Option<ThreadId>;

    /// Closes the mailbox, whoever has it, and drops what is in it.
    fn close(&self);
}

impl<A: Actor> AnySlot for Slot<A> {
    fn hand_over(
        self: Arc<Self>,
        link: &Arc<dyn AnyLink>,
        epoch: u32,
        on_return: Option<Box<dyn Any + Send>>,
    ) -> Option<Box<dyn AnySeed>> {
        let link = downcast::<A>(Arc::clone(link)).ok()?;
        self.pass_on(epoch, on_return);
        let grow = self.grow();
        let seed = Seed {
            contents: Some(Contents::Lent(self)),
            link: Some(link),
            epoch,
            grow,
        };
        Some(Box::new(seed))
    }

    fn has_factory(&self) -> bool {
        self.has_factory()
    }

    fn thread(&self) -> Option<ThreadId> {
        self.thread()
    }

    fn close(&self) {
        self.close();
    }
}

impl<A: Actor> Seed<A> {
    /// Opens a mailbox. `grow` knows in which kind of context the actor lives.
    pub(super) fn new(capacity: usize, factory: UserFactory<A>, grow: Grow<A>) -> (Addr<A>, Self) {
        let (sender, mailbox) = channel(capacity);
        let seed = Self {
            contents: Some(Contents::Owned { mailbox, factory }),
            link: None,
            epoch: 0,
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
    fn lend(&mut self) -> Option<Arc<dyn AnySlot>> {
        let slot = self.contents.take()?.lend(self.epoch, self.grow);
        self.contents = Some(Contents::Lent(Arc::clone(&slot)));
        Some(slot)
    }

    fn launch_here(mut self: Box<Self>) {
        // Without a link there is nobody to command the cell: the seed is dropped.
        if let Some(link) = self.link.take()
            && let Some(contents) = self.contents.take()
        {
            (self.grow)(contents, link, self.epoch);
        }
    }

    fn launch_on(self: Box<Self>, arbiter: &ArbiterHandle) {
        // An arbiter that has ended refuses the closure; one that ends before its turn never runs it. In both cases the seed is dropped.
        let _accepted = arbiter.spawn_fn(move || self.launch_here());
    }
}

impl<A: Actor> Drop for Seed<A> {
    fn drop(&mut self) {
        let Some(mut contents) = self.contents.take() else {
            return;
        };
        let epoch = self.epoch;
        let link = self.link.take();
        // The factory of a supervisor holds the seeds of its services.
        drop_in_turn(move || {
            contents.release(epoch);
            contents.forget_late(epoch);
            if let Contents::Owned { mailbox, factory } = contents {
                drop_contents(Some(mailbox), Some(factory));
            }
            // The supervisor is told last: it may then forget the service.
            if let Some(link) = link {
                let core = link.core();
                let kind = if core.is_written_off(epoch) {
                    NoticeKind::ThreadBack { epoch }
                } else {
                    NoticeKind::Lost
                };
                core.parent().notify(core.token(), core.generation(), kind);
            }
        });
    }
}

/// Runs a cell whose actor lives in a context of the kind `H`.
pub(super) fn grow<A: Actor, H: Host<A>>(contents: Contents<A>, link: Arc<Link<A>>, epoch: u32) {
    contents.note_thread(epoch);
    // Boxed, since a task takes its memory in steps of 128 bytes, with the future in it.
    actix_rt::spawn(Box::pin(ServiceCell::<A, H>::new(contents, link, epoch)));
}
