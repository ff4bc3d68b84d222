//! Anything is asked of a supervisor below another one at any time: whoever waits is answered, and what was asked for good is done.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    Backoff, Readiness, RestartLimit, ServiceContext, ServiceRef, ServiceSpec, ServiceToken,
    Shutdown, SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

/// Does what it is told, or what the storm has planned for it.
pub(crate) struct Leaf {
    pub(crate) stubborn: bool,
}

#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) enum Tell {
    Fail,
    Panic,
    Ready,
    Stop,
}

impl Actor for Leaf {
    type Context = ServiceContext<Self>;

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        if self.stubborn {
            self.stubborn = false;
            ctx.run_later(Duration::from_millis(30), |_, ctx| ctx.stop());
            return Running::Continue;
        }
        Running::Stop
    }
}

impl Handler<Tell> for Leaf {
    type Result = ();

    fn handle(&mut self, msg: Tell, ctx: &mut Self::Context) {
        match msg {
            Tell::Fail => ctx.fail("told to"),
            Tell::Panic => panic!("told to"),
            Tell::Ready => ctx.ready(),
            Tell::Stop => ctx.stop(),
        }
    }
}

/// Numbers that look random, and are the same for the same seed.
pub(crate) struct Dice(pub(crate) Cell<u64>);

impl Dice {
    pub(crate) fn roll(&self, sides: u64) -> u64 {
        let next = self
            .0
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0.set(next);
        (next >> 33) % sides
    }

    pub(crate) fn millis(&self, most: u64) -> Duration {
        Duration::from_millis(self.roll(most + 1))
    }
}

/// One run.
struct Storm {
    dice: Dice,
    root: SupervisorRef,
    sub: SupervisorRef,
    token: ServiceToken,
    leaves: Rc<RefCell<Vec<ServiceRef<Leaf>>>>,
    /// What was asked and is not answered.
    open: Rc<RefCell<Vec<(usize, String)>>>,
    asked: Cell<usize>,
    names: Cell<usize>,
    is_shut_down: Cell<bool>,
}

impl Storm {
    async fn new(seed: u64) -> Self {
        let dice = Dice(Cell::new(seed));
        let fragile = SupervisorSpec::default()
            .limit(RestartLimit::window(0, Duration::from_secs(60)).escalate())
            .shutdown_timeout(Duration::from_millis(20));
        let mut sub = SupervisorActor::new("sub", fragile);
        let leaves: Vec<_> = (0..3)
            .map(|number| {
                let spec = ServiceSpec::new(format!("leaf-{number}"), move || Leaf {
                    stubborn: number == 1,
                });
                sub.add(spec).unwrap()
            })
            .collect();
        let mut spec = ServiceSpec::supervisor(sub).backoff(Backoff::constant(dice.millis(100)));
        spec = match dice.roll(4) {
            0 => spec.shutdown(Shutdown::BrutalKill),
            1 => spec.shutdown(Shutdown::Timeout(Duration::from_millis(10))),
            2 => {
                let limit = RestartLimit::window(2, Duration::from_secs(1));
                spec.limit(limit.give_up())
            }
            _ => spec,
        };
        let unlimited = SupervisorSpec::default().limit(RestartLimit::unlimited());
        let mut root = SupervisorActor::new("root", unlimited);
        let service = root.add(spec).unwrap();
        let root = root.start().await.unwrap();
        Self {
            dice,
            root,
            sub: SupervisorRef::try_from(&service).unwrap(),
            token: service.token(),
            leaves: Rc::new(RefCell::new(leaves)),
            open: Rc::default(),
            asked: Cell::new(0),
            names: Cell::new(0),
            is_shut_down: Cell::new(false),
        }
    }

    fn leaf(&self) -> Option<ServiceRef<Leaf>> {
        let leaves = self.leaves.borrow();
        let index = self.dice.roll(leaves.len() as u64).try_into().unwrap_or(0);
        leaves.get(index).cloned()
    }

    /// Asks, and waits for a while or for the answer.
    fn ask<F>(&self, what: &str, request: F)
    where
        F: Future<Output: Send> + 'static,
    {
        let number = self.asked.get();
        self.asked.set(number + 1);
        let patience = (self.dice.roll(3) == 0).then(|| self.dice.millis(20));
        self.open.borrow_mut().push((number, what.to_owned()));
        let open = Rc::clone(&self.open);
        actix_rt::spawn(async move {
            match patience {
                Some(patience) => drop(time::timeout(patience, request).await),
                None => drop(request.await),
            }
            open.borrow_mut().retain(|(other, _)| *other != number);
        });
    }

    fn spec(&self) -> ServiceSpec<Leaf> {
        self.names.set(self.names.get() + 1);
        let spec = ServiceSpec::new(format!("late-{}", self.names.get()), || Leaf {
            stubborn: false,
        });
        match self.dice.roll(4) {
            0 => spec
                .readiness(Readiness::Explicit)
                .start_timeout(Duration::from_millis(50)),
            1 => spec.restart(resurgam::RestartType::Temporary),
            _ => spec,
        }
    }

    fn step(&self) {
        let (root, sub, token) = (self.root.clone(), self.sub.clone(), self.token);
        let leaves = Rc::clone(&self.leaves);
        let spec = self.spec();
        let Some(leaf) = self.leaf() else { return };
        let service = leaf.token();
        match self.dice.roll(60) {
            0..4 => self.ask("add", async move {
                if let Ok(leaf) = sub.add(spec).await {
                    leaves.borrow_mut().push(leaf);
                }
            }),
            4..8 => self.ask("add_and_wait", async move {
                if let Ok(leaf) = sub.add_and_wait(spec).await {
                    leaves.borrow_mut().push(leaf);
                }
            }),
            8..12 => self.ask("remove", async move { sub.remove(service).await }),
            12..16 => self.ask("stop", async move { sub.stop(service).await }),
            16..22 => self.ask("restart", async move { sub.restart(service).await }),
            22..26 => self.ask("reset", async move { sub.reset(service).await }),
            26..28 => self.ask("counts", async move { sub.counts().await }),
            28..30 => self.ask("report", async move { sub.report().await }),
            30..34 => self.ask("root.stop", async move { root.stop(token).await }),
            34..40 => self.ask("root.restart", async move { root.restart(token).await }),
            40..43 => self.ask("root.reset", async move { root.reset(token).await }),
            43 if self.dice.roll(8) == 0 => {
                self.is_shut_down.set(true);
                self.ask("shutdown", async move { sub.shutdown().await });
            }
            44 if self.dice.roll(8) == 0 => {
                self.is_shut_down.set(true);
                self.ask("root.remove", async move { root.remove(token).await });
            }
            45..50 => leaf.do_send(Tell::Fail),
            50..52 => leaf.do_send(Tell::Panic),
            52..54 => leaf.do_send(Tell::Stop),
            _ => leaf.do_send(Tell::Ready),
        }
    }

    async fn rage(self, seed: u64) {
        for _ in 0..self.dice.roll(150) {
            for _ in 0..=self.dice.roll(3) {
                self.step();
            }
            match self.dice.roll(4) {
                0 => actix_rt::task::yield_now().await,
                _ => time::sleep(self.dice.millis(15)).await,
            }
        }
        time::sleep(Duration::from_secs(600)).await;
        let open = self.open.borrow().clone();
        assert!(open.is_empty(), "seed {seed}: never answered: {open:?}");
        let services = self.root.counts().await.unwrap().services;
        if self.is_shut_down.get() {
            assert_eq!(services, 0, "seed {seed}: it was to be removed");
        } else {
            assert_eq!(services, 1, "seed {seed}");
            let restarted = time::timeout(Duration::from_secs(600), self.root.restart(self.token));
            assert!(restarted.await.is_ok(), "seed {seed}: restart");
            let shutdown = time::timeout(Duration::from_secs(600), self.sub.shutdown());
            let report = shutdown.await.expect("shutdown is answered");
            assert!(report.is_ok(), "seed {seed}: {report:?}");
            time::sleep(Duration::from_millis(1)).await;
            assert_eq!(self.root.counts().await.unwrap().services, 0, "seed {seed}");
        }
        self.root.shutdown().await.unwrap();
    }
}

#[actix::test]
async fn whatever_is_asked_of_a_supervisor_at_whatever_time_is_answered() {
    time::pause();
    let seeds = std::env::var("RESURGAM_STORM_SEEDS").ok();
    let seeds: u64 = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(100);
    for seed in 0..seeds {
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Storm::new(seed).await.rage(seed).await;
    }
}
