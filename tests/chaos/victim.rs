//! The service to which everything happens.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix::prelude::*;
use futures::{StreamExt, stream};
use resurgam::{
    Placement, Readiness, ServiceContext, ServiceSpec, Shutdown, StartContext, Verdict,
};
use tokio::task::yield_now;

use crate::{
    ledger::{Alive, Instance, Place, Ticket},
    random::Random,
};

type Ctx = ServiceContext<Victim>;

/// What a message makes of the service that handles it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Work {
    /// Answers from a future that holds up everything else.
    Atomic,
    Bounce,
    Fail,
    Notify,
    Panic,
    Reply,
    /// Answers from a future.
    Slow,
    Spawn,
    Stop,
    StopBadly,
    Stream,
    Terminate,
    Timer,
    Wait,
}

/// All that does harm.
pub(crate) const MISCHIEF: [Work; 12] = [
    Work::Bounce,
    Work::Fail,
    Work::Notify,
    Work::Panic,
    Work::Panic,
    Work::Spawn,
    Work::Stop,
    Work::StopBadly,
    Work::Stream,
    Work::Terminate,
    Work::Timer,
    Work::Wait,
];

/// Does its work at once.
#[derive(Debug, Message)]
#[rtype(result = "u64")]
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) ticket: Ticket,
}

/// Answers later, from a future of the actor.
#[derive(Debug, Message)]
#[rtype(result = "u64")]
pub(crate) struct SlowJob(pub(crate) Ticket);

/// Answers later; nothing else happens meanwhile.
#[derive(Debug, Message)]
#[rtype(result = "u64")]
pub(crate) struct AtomicJob(pub(crate) Ticket);

/// Answered when everything that was sent before has been handled.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Barrier;

#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Explode;

pub(crate) struct Victim {
    instance: Arc<Instance>,
    fate: Fate,
    dice: Random,
    /// Whether it has said that it is ready.
    ready: bool,
    _alive: Alive,
}

/// What an incarnation will do wrong by itself.
#[derive(Clone, Copy, Debug)]
struct Fate {
    factory: Luck,
    started: Luck,
    /// Bad: it never says that it is ready.
    ready: Luck,
    /// Bad: it does not stop when it is first asked to.
    patient: Luck,
    stopping: Luck,
    stopped: Luck,
    dropped: Luck,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Luck {
    Bad,
    Good,
}

impl Luck {
    fn draw(dice: &mut Random, one_in: u64) -> Self {
        if dice.one_in(one_in) {
            Self::Bad
        } else {
            Self::Good
        }
    }
}

impl Fate {
    fn draw(dice: &mut Random) -> Self {
        Self {
            factory: Luck::draw(dice, 24),
            started: Luck::draw(dice, 24),
            ready: Luck::draw(dice, 12),
            patient: Luck::draw(dice, 6),
            stopping: Luck::draw(dice, 12),
            stopped: Luck::draw(dice, 12),
            dropped: Luck::draw(dice, 12),
        }
    }
}

impl Victim {
    /// A service whose incarnations do what the seed says. Each third one has another kind of factory.
    pub(crate) fn spec(
        seed: u64,
        instance: Arc<Instance>,
        placement: Placement,
    ) -> ServiceSpec<Self> {
        let name = instance.name.clone();
        let number = instance.number;
        let spec = match number % 3 {
            0 => {
                let mut generation = 0;
                ServiceSpec::new(name, move || {
                    generation += 1;
                    Self::new(seed, &instance, generation).unwrap_or_else(|_| {
                        instance.ledger.panic(Place::Factory);
                    })
                })
            }
            1 => ServiceSpec::try_new(name, move |cx: &StartContext| {
                Self::new(seed, &instance, cx.generation())
            }),
            _ => ServiceSpec::new_async(name, move |cx: StartContext| {
                let instance = Arc::clone(&instance);
                async move {
                    yield_now().await;
                    let made = Self::new(seed, &instance, cx.generation());
                    if made.is_err() {
                        instance.ledger.panic(Place::Factory);
                    }
                    yield_now().await;
                    made
                }
            }),
        };
        let mut dice = Random::new(seed, number << 32);
        let capacities = [0, 1, 16, 1024];
        let shutdowns = [
            Shutdown::Timeout(Duration::from_secs(60)),
            Shutdown::Timeout(Duration::from_millis(1)),
            Shutdown::Timeout(Duration::ZERO),
            Shutdown::BrutalKill,
        ];
        // In time, too late, or never: see `started`.
        let spec = match dice.below(3) {
            0 => spec
                .readiness(Readiness::Explicit)
                .start_timeout(Duration::from_millis(2)),
            _ => spec,
        };
        spec.placement(placement)
            .mailbox_capacity(*dice.pick(&capacities))
            .shutdown(*dice.pick(&shutdowns))
    }

    fn new(seed: u64, instance: &Arc<Instance>, generation: u64) -> Result<Self, ChaosError> {
        let mut dice = Random::new(seed, (instance.number << 32) + (1 << 20) + generation);
        let fate = Fate::draw(&mut dice);
        if fate.factory == Luck::Bad {
            return Err(ChaosError);
        }
        Ok(Self {
            instance: Arc::clone(instance),
            fate,
            dice,
            ready: false,
            _alive: instance.live(),
        })
    }

    /// Panics if it is the actor's fate.
    fn suffer(&self, luck: Luck, place: Place) {
        if luck == Luck::Bad {
            self.instance.ledger.panic(place);
        }
    }

    /// A panic to come.
    fn bomb(&self, place: Place) -> impl FnOnce() + 'static {
        let instance = Arc::clone(&self.instance);
        move || instance.ledger.panic(place)
    }

    fn work(&mut self, work: Work, ctx: &mut Ctx) {
        match work {
            Work::Reply | Work::Slow | Work::Atomic => {}
            Work::Bounce => ctx.exit(Verdict::Bounce),
            Work::Fail => ctx.fail(ChaosError),
            Work::Notify => ctx.notify(Explode),
            Work::Panic => self.instance.ledger.panic(Place::Handler),
            Work::Spawn => {
                let bomb = self.bomb(Place::Spawned);
                let rounds = self.dice.below(4);
                ctx.spawn(rest(rounds).into_actor(self).map(move |(), _, _| bomb()));
            }
            // It would decline its start, and never come back.
            Work::Stop | Work::StopBadly | Work::Terminate if !self.ready => {
                ctx.exit(Verdict::Bounce);
            }
            Work::Stop => ctx.stop(),
            Work::StopBadly => {
                // One of the hooks panics, and so does what is dropped after it.
                match self.dice.below(3) {
                    0 => self.fate.stopping = Luck::Bad,
                    1 => self.fate.stopped = Luck::Bad,
                    _ => self.fate.dropped = Luck::Bad,
                }
                let mine = Mine(Arc::clone(&self.instance));
                ctx.spawn(mine.into_actor(self));
                ctx.stop();
            }
            Work::Stream => {
                let count = self.dice.below(20);
                ctx.add_stream(stream::iter(0..=count).map(move |item| Item {
                    is_last: item == count,
                }));
            }
            Work::Terminate => ctx.terminate(),
            Work::Timer => {
                let after = Duration::from_micros(self.dice.below(3000));
                let bomb = self.bomb(Place::Timer);
                ctx.run_later(after, |_, _| bomb());
            }
            Work::Wait => {
                let bomb = self.bomb(Place::Waited);
                let rounds = self.dice.below(4);
                ctx.wait(rest(rounds).into_actor(self).map(move |(), _, _| bomb()));
            }
        }
    }
}

impl Actor for Victim {
    type Context = Ctx;

    fn started(&mut self, ctx: &mut Ctx) {
        self.suffer(self.fate.started, Place::Started);
        match self.fate.ready {
            Luck::Good => {
                let rounds = self.dice.below(4);
                let rest = rest(rounds).into_actor(self);
                ctx.spawn(rest.map(|(), victim: &mut Self, ctx: &mut Ctx| {
                    victim.ready = true;
                    ctx.ready();
                }));
            }
            Luck::Bad => {}
        }
    }

    fn stopping(&mut self, ctx: &mut Ctx) -> Running {
        self.suffer(self.fate.stopping, Place::Stopping);
        if self.fate.patient == Luck::Bad {
            self.fate.patient = Luck::Good;
            ctx.run_later(Duration::from_micros(200), |_, ctx| ctx.stop());
            return Running::Continue;
        }
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Ctx) {
        self.suffer(self.fate.stopped, Place::Stopped);
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.suffer(self.fate.dropped, Place::ActorDrop);
    }
}

impl Handler<Job> for Victim {
    type Result = u64;

    fn handle(&mut self, job: Job, ctx: &mut Ctx) -> u64 {
        self.instance.begin(&job.ticket);
        self.work(job.work, ctx);
        job.ticket.finish()
    }
}

impl Handler<SlowJob> for Victim {
    type Result = ResponseActFuture<Self, u64>;

    fn handle(&mut self, SlowJob(ticket): SlowJob, _: &mut Ctx) -> Self::Result {
        self.instance.begin(&ticket);
        let rounds = self.dice.below(8);
        Box::pin(
            rest(rounds)
                .into_actor(self)
                .map(|(), _, _| ticket.finish()),
        )
    }
}

impl Handler<AtomicJob> for Victim {
    type Result = AtomicResponse<Self, u64>;

    fn handle(&mut self, AtomicJob(ticket): AtomicJob, _: &mut Ctx) -> Self::Result {
        self.instance.begin(&ticket);
        let rounds = self.dice.below(8);
        AtomicResponse::new(Box::pin(
            rest(rounds)
                .into_actor(self)
                .map(|(), _, _| ticket.finish()),
        ))
    }
}

impl Handler<Barrier> for Victim {
    type Result = ();

    fn handle(&mut self, _: Barrier, _: &mut Ctx) {}
}

impl Handler<Explode> for Victim {
    type Result = ();

    fn handle(&mut self, _: Explode, _: &mut Ctx) {
        self.instance.ledger.panic(Place::Notified);
    }
}

/// An item of a stream.
struct Item {
    is_last: bool,
}

impl StreamHandler<Item> for Victim {
    fn handle(&mut self, item: Item, _: &mut Ctx) {
        if item.is_last {
            self.instance.ledger.panic(Place::Stream);
        }
    }

    fn finished(&mut self, _: &mut Ctx) {}
}

/// Takes so many turns of the runtime.
async fn rest(rounds: u64) {
    for _ in 0..rounds {
        yield_now().await;
    }
}

/// A future that never ends, and panics when it is dropped.
struct Mine(Arc<Instance>);

impl Future for Mine {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        self.0.ledger.panic(Place::FutureDrop);
    }
}

/// What a victim fails with.
#[derive(Debug)]
pub(crate) struct ChaosError;

impl fmt::Display for ChaosError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("chaos")
    }
}

impl std::error::Error for ChaosError {}
