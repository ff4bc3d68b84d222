//! Anything happens anywhere in a tree of three levels: whoever waits is answered, and the events of each service balance: what starts ends
//! once before it starts again or is removed, and nothing runs when the tree has ended.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    future::Future,
    rc::Rc,
    time::Duration,
};

use resurgam::{
    Backoff, Event, EventKind, Readiness, RestartLimit, RestartType, ServiceRef, ServiceSpec,
    Shutdown, StartOrder, Strategy, SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

use crate::storm::{Dice, Leaf, Tell};

/// How long an answer may take.
const BOUND: Duration = Duration::from_secs(600);

/// Names of services that may be anywhere.
const MIDS: [&str; 2] = ["root/mid", "root/mid2"];

/// What the events so far say of one service.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Known {
    exists: bool,
    runs: bool,
    /// The incarnation whose end was told last.
    ended: Option<u64>,
}

/// What the events say of all services.
#[derive(Default)]
struct Balance {
    services: BTreeMap<String, Known>,
    told: Vec<(String, String)>,
}

impl Balance {
    fn take(&mut self, event: &Event) -> Result<(), String> {
        let (path, generation) = (event.path().to_owned(), event.generation());
        self.told.push((path.clone(), event.to_string()));
        let known = self.services.entry(path.clone()).or_default();
        let right = match event.kind() {
            EventKind::EventsLost { .. } => false,
            EventKind::ServiceAdded => {
                let was = std::mem::take(known);
                known.exists = true;
                !was.exists
            }
            EventKind::ServiceStarted => {
                let ran = std::mem::replace(&mut known.runs, true);
                known.exists && !ran && known.ended < Some(generation)
            }
            EventKind::ServiceRemoved { .. } => {
                let was = std::mem::take(known);
                was.exists && !was.runs
            }
            // One whose start was not told yet can end as well: while it is made, or asked to stop meanwhile.
            EventKind::ServiceStartFailed { .. }
            | EventKind::ServiceDeclined { .. }
            | EventKind::ServiceFailed { .. }
            | EventKind::ServicePanicked { .. }
            | EventKind::ServiceCompleted { .. } => {
                known.runs = false;
                known.exists && known.ended.replace(generation) < Some(generation)
            }
            EventKind::ServiceStopped { .. } => {
                known.runs = false;
                known.exists && known.ended.replace(generation) <= Some(generation)
            }
            EventKind::ServiceReady => known.runs,
            _ => true,
        };
        if right {
            return Ok(());
        }
        Err(format!("{event} does not fit: {:#?}", self.history(&path)))
    }

    /// What was told of this one and of those above it.
    fn history(&self, path: &str) -> Vec<&String> {
        let of = self
            .told
            .iter()
            .filter(|(other, _)| path.starts_with(other.as_str()));
        of.map(|(_, text)| text).collect()
    }
}

/// One run.
struct Storm {
    dice: Dice,
    root: SupervisorRef,
    supervisors: Vec<SupervisorRef>,
    leaves: Rc<RefCell<Vec<ServiceRef<Leaf>>>>,
    /// What was asked and is not answered.
    open: Rc<RefCell<BTreeSet<(usize, String)>>>,
    asked: Cell<usize>,
    balance: Balance,
}

fn leaf(name: &str, stubborn: bool) -> ServiceSpec<Leaf> {
    ServiceSpec::new(name, move || Leaf { stubborn })
}

fn shutdown(dice: &Dice) -> Shutdown {
    match dice.roll(4) {
        0 => Shutdown::BrutalKill,
        1 => Shutdown::Timeout(Duration::from_millis(10)),
        _ => Shutdown::Timeout(Duration::from_millis(100)),
    }
}

fn rules(dice: &Dice) -> SupervisorSpec {
    let strategy = match dice.roll(3) {
        0 => Strategy::OneForOne,
        1 => Strategy::OneForAll,
        _ => Strategy::RestForOne,
    };
    let limit = match dice.roll(3) {
        0 => RestartLimit::unlimited(),
        1 => RestartLimit::window(2, Duration::from_secs(1)).escalate(),
        _ => RestartLimit::window(1, Duration::from_secs(1)).pause(Duration::from_millis(50)),
    };
    SupervisorSpec::default()
        .strategy(strategy)
        .limit(limit)
        .shutdown_timeout(dice.millis(50))
}

impl Storm {
    async fn new(seed: u64) -> Self {
        let dice = Dice(Cell::new(seed));
        let mut known = vec!["root/mid".to_owned(), "root/mid2".to_owned()];
        let unlimited = SupervisorSpec::default().limit(RestartLimit::unlimited());
        let mut root = SupervisorActor::new("root", unlimited);
        let (mut supervisors, mut leaves) = (Vec::new(), Vec::new());
        for path in MIDS {
            let name = path.rsplit('/').next().unwrap();
            let mut mid_rules = rules(&dice);
            if name == "mid2" {
                mid_rules = mid_rules.start_order(StartOrder::Parallel);
            }
            let mut mid = SupervisorActor::new(name, mid_rules);
            let mut low = SupervisorActor::new("low", rules(&dice));
            for number in 0..3 {
                let name = format!("leaf-{number}");
                let behind = leaf(&name, number == 1);
                known.push(format!("{path}/low/{name}"));
                leaves.push(low.add(behind).unwrap());
                let mut spec = leaf(&name, number == 1);
                if number == 2 {
                    spec = spec.requires("leaf-0");
                }
                known.push(format!("{path}/{name}"));
                leaves.push(mid.add(spec).unwrap());
            }
            known.push(format!("{path}/low"));
            let low = mid.add(
                ServiceSpec::supervisor(low)
                    .backoff(Backoff::constant(dice.millis(50)))
                    .shutdown(shutdown(&dice)),
            );
            let mid = root.add(
                ServiceSpec::supervisor(mid)
                    .backoff(Backoff::constant(dice.millis(100)))
                    .shutdown(shutdown(&dice)),
            );
            supervisors.extend([low.unwrap(), mid.unwrap()]);
        }
        let root = root.start().await.unwrap();
        let supervisors = supervisors.iter().map(SupervisorRef::try_from);
        let supervisors = supervisors.map(Result::unwrap).collect();
        let running = Known {
            exists: true,
            runs: true,
            ended: None,
        };
        let services = known.into_iter().map(|path| (path, running)).collect();
        Self {
            dice,
            root,
            supervisors,
            leaves: Rc::new(RefCell::new(leaves)),
            open: Rc::default(),
            asked: Cell::new(0),
            balance: Balance {
                services,
                told: Vec::new(),
            },
        }
    }

    fn one_of<T: Clone>(&self, some: &[T]) -> T {
        let index = self.dice.roll(some.len() as u64);
        some[usize::try_from(index).unwrap()].clone()
    }

    /// Asks, and waits for a while or for the answer.
    fn ask<F: Future + 'static>(&self, what: &str, request: F) {
        let number = self.asked.get();
        self.asked.set(number + 1);
        let patience = (self.dice.roll(3) == 0).then(|| self.dice.millis(20));
        let key = (number, what.to_owned());
        self.open.borrow_mut().insert(key.clone());
        let open = Rc::clone(&self.open);
        actix_rt::spawn(async move {
            match patience {
                Some(patience) => drop(time::timeout(patience, request).await),
                None => drop(request.await),
            }
            open.borrow_mut().remove(&key);
        });
    }

    fn spec(&self) -> ServiceSpec<Leaf> {
        let spec = leaf(
            &format!("late-{}", self.asked.get()),
            self.dice.roll(4) == 0,
        );
        match self.dice.roll(8) {
            // One that is never told to be ready would be started for ever, and those behind it wait.
            0 => spec
                .restart(RestartType::Temporary)
                .readiness(Readiness::Explicit)
                .start_timeout(Duration::from_millis(50)),
            1 => spec.restart(RestartType::Temporary),
            2 => spec.requires("leaf-0"),
            3 => spec.requires(self.one_of(&["root/mid/leaf-0", "root/mid2/low/leaf-1"])),
            _ => spec,
        }
    }

    /// The path of anything.
    fn path(&self) -> String {
        let supervisor = self.one_of(&self.supervisors);
        match self.dice.roll(5) {
            0 => supervisor.path().to_owned(),
            _ => format!("{}/leaf-{}", supervisor.path(), self.dice.roll(4)),
        }
    }

    fn step(&self) {
        let sub = match self.dice.roll(5) {
            0 => self.root.clone(),
            _ => self.one_of(&self.supervisors),
        };
        let told = self.one_of(&self.leaves.borrow());
        let (spec, path, leaves) = (self.spec(), self.path(), Rc::clone(&self.leaves));
        let text = |what: &str| format!("{what} of {path} by {}", sub.path());
        match self.dice.roll(60) {
            0..3 => self.ask(&text("add"), async move {
                if let Ok(leaf) = sub.add(spec).await {
                    leaves.borrow_mut().push(leaf);
                }
            }),
            3..7 => self.ask(&text("add_and_wait"), async move {
                if let Ok(leaf) = sub.add_and_wait(spec).await {
                    leaves.borrow_mut().push(leaf);
                }
            }),
            7..10 => self.ask(&text("stop"), async move { sub.stop(path).await }),
            10..17 => self.ask(&text("restart"), async move { sub.restart(path).await }),
            17..23 => self.ask(&text("reset"), async move { sub.reset(path).await }),
            23..25 => self.ask(&text("remove of a leaf"), async move {
                sub.remove(told.token()).await
            }),
            25 if self.dice.roll(4) == 0 => {
                self.ask(&text("remove"), async move { sub.remove(path).await });
            }
            26 if self.dice.roll(4) == 0 && sub.path() != "root" => {
                self.ask(&text("shutdown"), async move { sub.shutdown().await });
            }
            27..30 if sub.path() != "root" => {
                let rules = rules(&self.dice);
                self.ask(
                    &text("reconfigure"),
                    async move { sub.reconfigure(rules).await },
                );
            }
            30..33 => self.ask(&text("counts"), async move { sub.counts().await }),
            33..36 => self.ask(&text("report"), async move { sub.report().await }),
            36..44 => told.do_send(Tell::Fail),
            44..47 => told.do_send(Tell::Panic),
            47..50 => told.do_send(Tell::Stop),
            _ => told.do_send(Tell::Ready),
        }
    }

    async fn rage(mut self, seed: u64) -> Result<(), String> {
        let mut events = self.root.events_with_capacity(1 << 16);
        for _ in 0..self.dice.roll(150) {
            for _ in 0..=self.dice.roll(3) {
                self.step();
            }
            match self.dice.roll(4) {
                0 => actix_rt::task::yield_now().await,
                _ => time::sleep(self.dice.millis(15)).await,
            }
        }
        time::sleep(BOUND).await;
        let open = self.open.borrow().clone();
        let shutdown = time::timeout(BOUND, self.root.shutdown());
        let ended = shutdown.await.is_ok();
        while let Some(event) = events.next().await {
            let taken = self.balance.take(&event);
            taken.map_err(|why| format!("seed {seed}: {why}"))?;
        }
        if events.lost() > 0 {
            return Err(format!("seed {seed}: {} events lost", events.lost()));
        }
        let mut services = self.balance.services.iter();
        if let Some((path, _)) = services.find(|(_, known)| known.runs) {
            return Err(format!(
                "seed {seed}: {path} runs at the end: {:#?}",
                self.balance.history(path)
            ));
        }
        if !open.is_empty() || !ended {
            return Err(format!(
                "seed {seed}: never answered: {open:?}, shutdown: {ended}"
            ));
        }
        Ok(())
    }
}

#[actix::test]
async fn whatever_happens_in_a_tree_its_events_balance_and_everybody_is_answered() {
    time::pause();
    let seeds = std::env::var("RESURGAM_SEEDS").ok();
    let seeds: u64 = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(100);
    let mut wrong = Vec::new();
    for number in 0..seeds {
        let seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if let Err(why) = Storm::new(seed).await.rage(seed).await {
            wrong.push(format!("{number}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n"));
}
