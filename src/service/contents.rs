//! The mailbox and the factory of a service, which outlive its incarnations.
//!
//! A cell on its supervisor's own thread owns them. One on another thread finds them in a [`Slot`], which lends them for one look into the
//! mailbox or one call of the factory: were that thread to hang, another cell could go on with them.
//!
//! # Invariants
//!
//! 1. A slot belongs to the cell of one epoch. Any other finds nothing there, and no lock is held while code of the user's runs.
//! 2. A factory that does not return from its call is lost: what comes back late finds that the epoch is over.

use std::{
    any::Any,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    thread::{self, ThreadId},
};

use actix::{
    Actor, Addr, AsyncContext,
    dev::{
        ContextParts, Envelope,
        channel::{AddressReceiver, channel},
    },
};
use futures::Stream;

use super::{
    factory::UserFactory,
    link::Link,
    panic::{Drained, close, drain},
    shown::Handled,
};

/// The mailbox and the factory of a service, as its cell has them.
pub(super) enum Contents<A: Actor> {
    Owned {
        mailbox: AddressReceiver<A>,
        /// Empty while it is being called.
        factory: UserFactory<A>,
    },
    Lent(Arc<Slot<A>>),
}

/// The mailbox and the factory of a service whose thread may hang.
// A mutex, since another thread takes over what is in it from one that hangs. It is held for one look into the mailbox.
pub(super) struct Slot<A: Actor> {
    inner: Mutex<Inner<A>>,
    grow: Grow<A>,
}

struct Inner<A: Actor> {
    /// Of whose cell this is.
    epoch: u32,
    /// `None` once it is closed.
    mailbox: Option<AddressReceiver<A>>,
    /// `None` while it is being called, and once it is lost or dropped.
    factory: Option<UserFactory<A>>,
    /// On which thread the cell was last seen.
    thread: Option<ThreadId>,
    /// What ends with the cells that were written off and are still there, by epoch.
    late: Vec<(u32, Box<dyn Any + Send>)>,
}

/// Runs a cell on this thread's arbiter.
pub(super) type Grow<A> = fn(Contents<A>, Arc<Link<A>>, u32);

impl<A: Actor> Contents<A> {
    /// Looks for a message. A cell that is written off finds none.
    #[inline]
    pub(super) fn poll_next(
        &mut self,
        epoch: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Envelope<A>>> {
        match self {
            Self::Owned { mailbox, .. } => Pin::new(mailbox).poll_next(cx),
            Self::Lent(slot) => slot.poll_next(epoch, cx),
        }
    }

    /// As [`poll_next`](Self::poll_next), for a message that is handled.
    #[inline]
    pub(super) fn poll_handled(
        &mut self,
        epoch: u32,
        handled: &Handled,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Envelope<A>>> {
        match self {
            Self::Owned { mailbox, .. } => counted(Pin::new(mailbox).poll_next(cx), handled),
            Self::Lent(slot) => match slot.of(epoch) {
                // Counted under the lock: the cell of another epoch, which may take over at any time, counts behind it.
                Some(mut inner) => counted(inner.poll_next(cx), handled),
                None => Poll::Pending,
            },
        }
    }

    /// Takes the factory for one call. `None` if it is lost, or the cell is written off.
    pub(super) fn take_factory(&mut self, epoch: u32) -> Option<UserFactory<A>> {
        match self {
            Self::Owned { factory, .. } => factory.take(),
            Self::Lent(slot) => slot.of(epoch)?.factory.take(),
        }
    }

    /// Puts the factory back after its call, or another one in its place.
    pub(super) fn put_factory(&mut self, epoch: u32, returned: UserFactory<A>) {
        // Dropped after the lock is given back: the factory before, or the one that comes too late.
        let _dropped = match self {
            Self::Owned { factory, .. } => Some(std::mem::replace(factory, returned)),
            Self::Lent(slot) => match slot.of(epoch) {
                Some(mut inner) => inner.factory.replace(returned),
                None => Some(returned),
            },
        };
    }

    /// An address of the mailbox; of one that is closed if the mailbox is.
    pub(super) fn address(&self) -> Addr<A> {
        let sender = match self {
            Self::Owned { mailbox, .. } => Some(mailbox.sender()),
            Self::Lent(slot) => slot.lock().mailbox.as_ref().map(AddressReceiver::sender),
        };
        Addr::new(sender.unwrap_or_else(|| channel(0).0))
    }

    /// A context that gives out addresses of the mailbox.
    pub(super) fn context_parts(&self) -> ContextParts<A>
    where
        A::Context: AsyncContext<A>,
    {
        let producer = match self {
            Self::Owned { mailbox, .. } => Some(mailbox.sender_producer()),
            Self::Lent(slot) => {
                let inner = slot.lock();
                let mailbox = inner.mailbox.as_ref();
                mailbox.map(AddressReceiver::sender_producer)
            }
        };
        ContextParts::new(producer.unwrap_or_else(|| channel(0).1.sender_producer()))
    }

    pub(super) fn connected(&self) -> bool {
        match self {
            Self::Owned { mailbox, .. } => mailbox.connected(),
            Self::Lent(slot) => {
                let inner = slot.lock();
                inner
                    .mailbox
                    .as_ref()
                    .is_some_and(AddressReceiver::connected)
            }
        }
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        match self {
            Self::Owned { mailbox, .. } => mailbox.set_capacity(capacity),
            Self::Lent(slot) => {
                if let Some(mailbox) = &mut slot.lock().mailbox {
                    mailbox.set_capacity(capacity);
                }
            }
        }
    }

    /// Notes that the cell of this epoch runs on this thread.
    pub(super) fn note_thread(&self, epoch: u32) {
        if let Self::Lent(slot) = self
            && let Some(mut inner) = slot.of(epoch)
        {
            inner.thread = Some(thread::current().id());
        }
    }

    /// Drops what is queued. What a slot holds is dropped altogether, if it belongs to the cell of this epoch: others may hold the slot.
    pub(super) fn release(&mut self, epoch: u32) {
        match self {
            Self::Owned { mailbox, .. } => {
                if drain(mailbox) == Drained::Many {
                    // Closed here, since what is left may not be dropped with the cell.
                    close(std::mem::replace(mailbox, channel(0).1));
                }
            }
            Self::Lent(slot) => slot.release(epoch),
        }
    }

    /// Puts mailbox and factory into a slot, for a cell on another thread.
    pub(super) fn lend(self, epoch: u32, grow: Grow<A>) -> Arc<Slot<A>> {
        match self {
            Self::Owned { mailbox, factory } => Arc::new(Slot {
                inner: Mutex::new(Inner {
                    epoch,
                    mailbox: Some(mailbox),
                    factory: Some(factory),
                    thread: None,
                    late: Vec::new(),
                }),
                grow,
            }),
            Self::Lent(slot) => slot,
        }
    }

    /// The cell of this epoch is written off, and has come back or is gone.
    pub(super) fn forget_late(&self, epoch: u32) {
        if let Self::Lent(slot) = self {
            let mut inner = slot.lock();
            let place = inner.late.iter().position(|(late, _)| *late == epoch);
            let ended = place.map(|place| inner.late.swap_remove(place));
            drop(inner);
            drop(ended);
        }
    }
}

impl<A: Actor> Slot<A> {
    fn lock(&self) -> MutexGuard<'_, Inner<A>> {
        // Never poisoned in the middle of a change: each is one assignment, and nothing of the user's is dropped under the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in the slot, for the cell that it belongs to.
    fn of(&self, epoch: u32) -> Option<MutexGuard<'_, Inner<A>>> {
        let inner = self.lock();
        (inner.epoch == epoch).then_some(inner)
    }

    fn poll_next(&self, epoch: u32, cx: &mut Context<'_>) -> Poll<Option<Envelope<A>>> {
        match self.of(epoch) {
            Some(mut inner) => inner.poll_next(cx),
            None => Poll::Pending,
        }
    }

    /// Gives what is in the slot to the cell of a later epoch. What is given here ends when the cell before has come back, or is gone.
    pub(super) fn pass_on(&self, epoch: u32, on_return: Option<Box<dyn Any + Send>>) {
        let mut inner = self.lock();
        let before = std::mem::replace(&mut inner.epoch, epoch);
        inner.thread = None;
        if let Some(on_return) = on_return {
            inner.late.push((before, on_return));
        }
    }

    /// How a cell is run that uses this.
    pub(super) fn grow(&self) -> Grow<A> {
        self.grow
    }

    /// Whether there is a factory: it is lost if its call does not return.
    pub(super) fn has_factory(&self) -> bool {
        self.lock().factory.is_some()
    }

    /// On which thread the present cell was launched, if it was.
    pub(super) fn thread(&self) -> Option<ThreadId> {
        self.lock().thread
    }

    /// Closes the mailbox, whoever has it, and drops what is in the slot.
    pub(super) fn close(&self) {
        let epoch = self.lock().epoch;
        self.release(epoch);
    }

    fn release(&self, epoch: u32) {
        if let Some(mut inner) = self.of(epoch) {
            let (mailbox, factory) = (inner.mailbox.take(), inner.factory.take());
            drop(inner);
            drop_contents(mailbox, factory);
        }
    }
}

impl<A: Actor> Inner<A> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Envelope<A>>> {
        match &mut self.mailbox {
            Some(mailbox) => Pin::new(mailbox).poll_next(cx),
            None => Poll::Pending,
        }
    }
}

/// Counts the message that was found, if there is one.
#[inline]
fn counted<A: Actor>(
    found: Poll<Option<Envelope<A>>>,
    handled: &Handled,
) -> Poll<Option<Envelope<A>>> {
    if let Poll::Ready(Some(_)) = found {
        handled.count();
    }
    found
}

impl<A: Actor> Drop for Slot<A> {
    fn drop(&mut self) {
        let inner = self.inner.get_mut();
        let inner = inner.unwrap_or_else(PoisonError::into_inner);
        drop_contents(inner.mailbox.take(), inner.factory.take());
    }
}

/// Drops the messages one by one first, since the second one may panic, too; then the mailbox, and the factory.
pub(super) fn drop_contents<A: Actor>(
    mailbox: Option<AddressReceiver<A>>,
    factory: Option<UserFactory<A>>,
) {
    if let Some(mailbox) = mailbox {
        close(mailbox);
    }
    drop(factory);
}
