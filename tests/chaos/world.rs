//! Supervisors, the services that suffer, and the threads from which they are spoken to.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use actix::prelude::*;
use futures::{
    channel::oneshot,
    future::LocalBoxFuture,
    lock,
    stream::{FuturesUnordered, StreamExt},
};
use resurgam::{
    AddError, Placement, RemoveError, RestartError, ServiceRef, ServiceSpec, StopError,
    SupervisorActor, message,
};

use tokio::{runtime::Builder, task::yield_now};

use crate::{
    ledger::{How, Instance, Ledger},
    random::Random,
    victim::{AtomicJob, Barrier, Job, MISCHIEF, SlowJob, Victim, Work},
};

/// How many senders there are: one beside the supervisor, two on arbiters of their own, one on a bare thread.
pub(crate) const SENDERS: usize = 4;

/// All that senders need to know.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) ledger: Arc<Ledger>,
    supervisor: Addr<SupervisorActor>,
    slots: Vec<Slot>,
    /// How many messages each sender sends, at most.
    messages: usize,
    /// One message in so many does harm, and one in twice so many is an operation on the service instead.
    mischief: u64,
    bonds: Bonds,
    operations: AtomicUsize,
}

/// Whether services depend on each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bonds {
    None,
    /// Each one in two or three requires the one before, and some are bound to it.
    Some,
}

impl Bonds {
    fn tie(self, spec: ServiceSpec<Victim>, index: usize) -> ServiceSpec<Victim> {
        match (self, index) {
            (Self::Some, 1 | 2 | 5) => spec.requires(format!("victim-{}", index - 1)),
            (Self::Some, 3 | 6) => spec.binds_to(format!("victim-{}", index - 1)),
            _ => spec,
        }
    }
}

/// A name, and the service that has it at present.
struct Slot {
    index: usize,
    placement: Placement,
    present: Mutex<Present>,
    /// Held while the service is replaced: the name is free in between.
    replacing: lock::Mutex<()>,
}

#[derive(Clone)]
struct Present {
    instance: Arc<Instance>,
    service: ServiceRef<Victim>,
}

impl World {
    /// Adds one service for each placement to the supervisor.
    pub(crate) async fn new(
        seed: u64,
        messages: usize,
        mischief: u64,
        supervisor: Addr<SupervisorActor>,
        placements: Vec<Placement>,
        bonds: Bonds,
    ) -> Self {
        let ledger = Ledger::new(SENDERS * messages);
        let mut slots = Vec::new();
        for (index, placement) in placements.into_iter().enumerate() {
            let instance = ledger.open(format!("victim-{index}"), SENDERS);
            let spec = Victim::spec(seed, Arc::clone(&instance), placement.clone());
            let spec = bonds.tie(spec, index);
            let service = supervisor.send(message::Add::new(spec)).await;
            slots.push(Slot {
                index,
                placement,
                present: Mutex::new(Present {
                    instance,
                    service: service.unwrap().unwrap(),
                }),
                replacing: lock::Mutex::new(()),
            });
        }
        Self {
            seed,
            ledger,
            supervisor,
            slots,
            messages,
            mischief,
            bonds,
            operations: AtomicUsize::new(0),
        }
    }

    /// Starts all senders, and returns when they have sent everything and got every answer.
    pub(crate) async fn rage(self: &Arc<Self>, arbiters: &[ArbiterHandle]) {
        let mut ends = Vec::new();
        let (done, end) = oneshot::channel();
        let world = Arc::clone(self);
        actix_rt::spawn(async move {
            Sender::new(world, 0).run().await;
            done.send(())
        });
        ends.push(end);
        for (sender, arbiter) in (1..).zip(arbiters) {
            let (done, end) = oneshot::channel();
            let world = Arc::clone(self);
            arbiter.spawn_fn(move || {
                actix_rt::spawn(async move {
                    Sender::new(world, sender).run().await;
                    done.send(())
                });
            });
            ends.push(end);
        }
        let (done, end) = oneshot::channel();
        let world = Arc::clone(self);
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().build()?;
            runtime.block_on(Sender::new(world, SENDERS - 1).run());
            let _test_is_over = done.send(());
            Ok::<_, io::Error>(())
        });
        ends.push(end);
        assert_eq!(ends.len(), SENDERS);
        for end in ends {
            end.await.expect("a sender panicked");
        }
    }

    /// Returns when every service has handled what was sent to it before.
    pub(crate) async fn settle(&self) {
        for slot in &self.slots {
            // It is lost if the service has one more panic to come.
            while slot.present().service.send(Barrier).await.is_err() {}
        }
    }

    pub(crate) fn operations(&self) -> usize {
        self.operations.load(Ordering::SeqCst)
    }

    /// Stops a service, and starts it again.
    async fn stop_and_restart(&self, slot: &Slot) {
        let token = slot.present().service.token();
        match self.supervisor.send(message::Stop::new(token)).await {
            Ok(Ok(()) | Err(StopError::UnknownToken { .. } | StopError::ShuttingDown)) => {}
            other => self.ledger.complain(format!("stop: {other:?}")),
        }
        self.restart(slot).await;
    }

    async fn restart(&self, slot: &Slot) {
        loop {
            let token = slot.present().service.token();
            match self.supervisor.send(message::Restart::new(token)).await {
                // Or it is started by the one who has stopped it meanwhile, or under its new token.
                Ok(Ok(()) | Err(RestartError::Interrupted | RestartError::UnknownToken { .. })) => {
                    return;
                }
                // A service that was stopped stays so if its start fails.
                Ok(Err(RestartError::Failed { .. } | RestartError::ShuttingDown)) => {
                    yield_now().await;
                }
                other => return self.ledger.complain(format!("restart: {other:?}")),
            }
        }
    }

    /// Removes a service, and adds another one with its name.
    async fn replace(&self, slot: &Slot) {
        let _only_one_at_a_time = slot.replacing.lock().await;
        let Present { instance, service } = slot.present();
        instance.retire();
        loop {
            match self
                .supervisor
                .send(message::Remove::new(service.token()))
                .await
            {
                Ok(Ok(_)) => break,
                Ok(Err(RemoveError::ShuttingDown)) => yield_now().await,
                other => return self.ledger.complain(format!("remove: {other:?}")),
            }
        }
        let instance = self.ledger.open(instance.name.clone(), SENDERS);
        loop {
            let placement = slot.placement.clone();
            let spec = Victim::spec(self.seed, Arc::clone(&instance), placement);
            let spec = self.bonds.tie(spec, slot.index);
            match self.supervisor.send(message::Add::new(spec)).await {
                Ok(Ok(service)) => {
                    *slot.lock() = Present { instance, service };
                    return;
                }
                Ok(Err(AddError::ShuttingDown)) => yield_now().await,
                other => return self.ledger.complain(format!("add: {other:?}")),
            }
        }
    }
}

impl Slot {
    fn present(&self) -> Present {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends messages of all kinds to all services, and writes down what it is told of them.
struct Sender {
    world: Arc<World>,
    id: usize,
    dice: Random,
    /// Answers that have not come yet.
    pending: FuturesUnordered<LocalBoxFuture<'static, (usize, Result<u64, MailboxError>)>>,
}

impl Sender {
    fn new(world: Arc<World>, id: usize) -> Self {
        let dice = Random::new(world.seed, 1 + id as u64);
        Self {
            world,
            id,
            dice,
            pending: FuturesUnordered::new(),
        }
    }

    async fn run(mut self) {
        let world = Arc::clone(&self.world);
        let first = self.id * world.messages;
        for number in first..first + world.messages {
            let slot = self.dice.pick(&world.slots);
            if self.dice.one_in(2 * world.mischief) {
                world.operations.fetch_add(1, Ordering::SeqCst);
                match self.dice.below(3) {
                    0 => world.stop_and_restart(slot).await,
                    1 => world.restart(slot).await,
                    _ => world.replace(slot).await,
                }
            } else {
                self.send(number, &slot.present()).await;
            }
        }
        while let Some((number, answer)) = self.pending.next().await {
            world.ledger.answered(number, answer);
        }
    }

    async fn send(&mut self, number: usize, Present { instance, service }: &Present) {
        let ledger = &self.world.ledger;
        let how = match self.dice.below(10) {
            0..4 => How::Tell,
            4 => How::Try,
            _ => How::Ask,
        };
        let work = if self.dice.one_in(self.world.mischief) {
            *self.dice.pick(&MISCHIEF)
        } else {
            *self
                .dice
                .pick(&[Work::Reply, Work::Reply, Work::Slow, Work::Atomic])
        };
        let ticket = ledger.send(number, self.id, instance, how, work);
        match work {
            Work::Slow => self.deliver(number, service, how, SlowJob(ticket)),
            Work::Atomic => self.deliver(number, service, how, AtomicJob(ticket)),
            _ => self.deliver(number, service, how, Job { work, ticket }),
        }
        // Up to eight questions at once.
        if self.pending.len() >= 8
            && let Some((number, answer)) = self.pending.next().await
        {
            self.world.ledger.answered(number, answer);
        }
    }

    fn deliver<M>(&self, number: usize, service: &ServiceRef<Victim>, how: How, msg: M)
    where
        M: Message<Result = u64> + Send + 'static,
        Victim: Handler<M>,
    {
        match how {
            How::Ask => {
                let answer = service.send(msg);
                self.pending
                    .push(Box::pin(async move { (number, answer.await) }));
            }
            How::Tell => service.do_send(msg),
            How::Try => {
                let result = service.try_send(msg);
                self.world.ledger.tried(number, &result);
            }
        }
    }
}
