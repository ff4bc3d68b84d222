//! A service that does not run on its supervisor's thread: where it runs, and what becomes of it if it blocks that thread.
//!
//! # Invariants
//!
//! 1. The cell of the present epoch runs where the service is placed, or, while that thread is blocked and shared with others, on the
//!    supervisor's own arbiter: there it runs nothing, and only looks after the mailbox.

use std::{any::Any, io, sync::Arc};

use actix_rt::{Arbiter, ArbiterHandle};

use crate::{
    service::{AnyLink, AnySeed, AnySlot, Placement, ServiceKind},
    tree::{Tree, new_thread},
};

/// Where a service runs.
pub(super) struct Elsewhere {
    placement: Placement,
    /// Its mailbox and its factory, once it was launched.
    slot: Option<Arc<dyn AnySlot>>,
    /// The thread of a dedicated service, once it was launched.
    thread: Option<Arbiter>,
    /// The epoch of the cell on the shared thread that is blocked.
    stuck: Option<u32>,
    cell: Cell,
}

/// Where the present cell runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cell {
    /// Where the service is placed, or nowhere yet.
    InPlace,
    /// On the supervisor's arbiter.
    Parked,
}

/// What becomes of a service that was abandoned.
pub(super) enum Abandoned {
    /// It was never launched: there is nothing to abandon.
    Nothing,
    /// It can be started again, from this.
    Restartable(Box<dyn AnySeed>),
    /// This looks after its mailbox until its thread is back, or until it is removed.
    Parked(Box<dyn AnySeed>),
    /// Likewise for ever: its factory did not return from a call.
    FactoryLost(Box<dyn AnySeed>),
}

impl Elsewhere {
    pub(super) const fn new(placement: Placement) -> Self {
        Self {
            placement,
            slot: None,
            thread: None,
            stuck: None,
            cell: Cell::InPlace,
        }
    }

    /// The arbiter that the service is placed on. Makes the thread of a dedicated one.
    pub(super) fn arbiter(&mut self, tree: &Tree) -> io::Result<Option<ArbiterHandle>> {
        Ok(match &self.placement {
            Placement::Inherit => None,
            Placement::Arbiter(arbiter) => Some(arbiter.clone()),
            Placement::Pool => Some(tree.pooled()?),
            Placement::Dedicated => {
                let thread = new_thread()?;
                let arbiter = thread.handle();
                self.thread = Some(thread);
                Some(arbiter)
            }
        })
    }

    /// Runs the cell on its arbiter.
    pub(super) fn launch(&mut self, mut seed: Box<dyn AnySeed>, arbiter: &ArbiterHandle) {
        self.slot = seed.lend();
        seed.launch_on(arbiter);
    }

    /// Writes off the present cell, which blocks its thread.
    pub(super) fn abandon(&mut self, link: &Arc<dyn AnyLink>, tree: &Tree) -> Abandoned {
        let Some(slot) = self.slot.clone() else {
            return Abandoned::Nothing;
        };
        let late = link.core().epoch();
        let written_off = tree.write_off(&**link, slot.thread());
        let on_return = written_off.map(|thread| Box::new(thread) as Box<dyn Any + Send>);
        let Some(seed) = hand_over(&slot, link, on_return) else {
            return Abandoned::Nothing;
        };
        if let Some(thread) = self.thread.take() {
            // It ends when it comes back.
            thread.stop();
        } else {
            self.stuck = Some(late);
        }
        if !slot.has_factory() {
            self.stuck = None;
            self.cell = Cell::Parked;
            return Abandoned::FactoryLost(seed);
        }
        // What makes a supervisor is lost with its thread, whosever that is: it is not started again.
        let supervisor = link.core().kind() == ServiceKind::Supervisor;
        if matches!(self.placement, Placement::Dedicated) && !supervisor {
            Abandoned::Restartable(seed)
        } else {
            self.cell = Cell::Parked;
            Abandoned::Parked(seed)
        }
    }

    /// The cell of this epoch has come back. Reports whether it was the one that the service waits for.
    pub(super) fn is_back(&mut self, epoch: u32) -> bool {
        let awaited = self.stuck == Some(epoch);
        if awaited {
            self.stuck = None;
        }
        awaited
    }

    /// Runs the cell on the supervisor's arbiter, where it looks after the mailbox until the service is started.
    pub(super) fn park(&mut self, mut seed: Box<dyn AnySeed>) {
        self.slot = seed.lend();
        self.cell = Cell::Parked;
        seed.launch_here();
    }

    /// Takes the mailbox back from the cell on the supervisor's arbiter, if that has it: for a cell where the service is placed.
    pub(super) fn unpark(&mut self, link: &Arc<dyn AnyLink>) -> Option<Box<dyn AnySeed>> {
        if self.cell != Cell::Parked {
            return None;
        }
        let seed = hand_over(self.slot.as_ref()?, link, None)?;
        self.cell = Cell::InPlace;
        Some(seed)
    }

    /// Lets go of the service, which is released.
    pub(super) fn release(self) {
        if let Some(slot) = self.slot
            && self.cell == Cell::Parked
        {
            // At once: the parked cell would come to it only in its next poll, and its supervisor answers before that.
            slot.close();
        }
        if let Some(thread) = self.thread {
            // Queued behind the launch. A cell that has not obeyed the release by then is dropped with its thread, which closes its mailbox
            // as well.
            thread.stop();
        }
    }
}

/// Gives mailbox and factory to a cell of the next epoch.
fn hand_over(
    slot: &Arc<dyn AnySlot>,
    link: &Arc<dyn AnyLink>,
    on_return: Option<Box<dyn Any + Send>>,
) -> Option<Box<dyn AnySeed>> {
    // The slot first: a cell that finds itself written off leaves nothing behind there.
    let epoch = link.core().epoch() + 1;
    let seed = Arc::clone(slot).hand_over(link, epoch, on_return);
    link.core().write_off();
    seed
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix::prelude::*;

    use crate::{
        Backoff, EventKind, ExitReason, Placement, ServiceContext, ServiceSpec, StartError,
        SupervisorActor, tree::scarce,
    };

    struct Leaf;

    impl Actor for Leaf {
        type Context = ServiceContext<Self>;
    }

    /// Takes the error apart that a start without a thread ends with.
    fn assert_no_thread(reason: &ExitReason) {
        let error = reason.error().expect("a failed start").as_error();
        let Some(StartError::NoThread { path, error }) = error.downcast_ref::<StartError>() else {
            panic!("{error:?}");
        };
        assert_eq!(
            (&**path, &*error.to_string()),
            ("root/leaf", "no threads are left")
        );
    }

    #[actix::test]
    async fn service_without_a_thread_has_failed_to_start_and_is_started_again_by_policy() {
        for placement in [Placement::Dedicated, Placement::Pool] {
            let root = SupervisorActor::with_defaults("root");
            let root = root.start().await.unwrap();
            let leaf = || ServiceSpec::new("leaf", || Leaf).placement(placement.clone());
            scarce::allow(Some(0));
            let refused = root.add_and_wait(leaf()).await.unwrap_err();
            let StartError::Failed { reason, .. } = &refused else {
                panic!("{refused:?}");
            };
            assert_no_thread(reason);

            let mut events = root.events();
            let again = leaf().backoff(Backoff::constant(Duration::from_millis(1)));
            let leaf = root.add(again).await.unwrap();
            let mut failures = 0;
            loop {
                let event = futures::StreamExt::next(&mut events).await.unwrap();
                match event.kind() {
                    EventKind::ServiceStartFailed { reason, .. } => {
                        assert_no_thread(reason);
                        failures += 1;
                        if failures == 3 {
                            scarce::allow(None);
                        }
                    }
                    EventKind::ServiceReady => break,
                    _ => {}
                }
            }
            assert_eq!(failures, 3);
            assert!(leaf.connected());
            assert!(root.shutdown().await.unwrap().is_clean());
        }
    }

    #[actix::test]
    async fn start_without_a_thread_fails_the_start_of_its_supervisor() {
        let mut root = SupervisorActor::with_defaults("root");
        let leaf = ServiceSpec::new("leaf", || Leaf).placement(Placement::Dedicated);
        root.add(leaf).unwrap();
        scarce::allow(Some(0));
        let refused = root.start().await.unwrap_err();
        let StartError::Failed { reason, .. } = &refused else {
            panic!("{refused:?}");
        };
        assert_no_thread(reason);
        scarce::allow(None);
    }

    #[actix::test]
    async fn table_that_any_thread_reads_has_the_services_of_the_tree_and_nothing_of_what_is_gone()
    {
        let mut root = SupervisorActor::with_defaults("root");
        root.add(ServiceSpec::new("first", || Leaf)).unwrap();
        let root = root.start().await.unwrap();
        let links = &root.tree().links;
        assert_eq!(links.len(), 1);
        let leaf = ServiceSpec::new("leaf", || Leaf).placement(Placement::Dedicated);
        let leaf = root.add_and_wait(leaf).await.unwrap();
        assert_eq!(links.len(), 2);
        root.remove(leaf.token()).await.unwrap();
        assert_eq!(links.len(), 1);
        root.shutdown().await.unwrap();
        assert_eq!(links.len(), 0);
    }
}
