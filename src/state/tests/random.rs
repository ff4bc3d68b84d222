//! Random inputs: cells that behave, cells that do not, and users who change their minds.

use std::collections::BTreeSet;

use super::{
    super::{
        dependencies::{blocker, holder},
        fatal::is_bound,
        phase::Gate,
        service::{Member, Wanted},
    },
    findings::assert_found_anew,
    generate::{Random, entangled_service, lasting_rules, random_rules, random_service},
    *,
};

/// What a cell would know of itself.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// The incarnation that runs.
    live: Option<u64>,
    /// How many were begun.
    begun: u64,
    asked: bool,
    killed: bool,
    /// Whether the supervisor has given up on the incarnation.
    abandoned: bool,
}

/// How much services have to do with each other, and users with them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Temper {
    /// A little of everything.
    Mixed,
    /// They require each other, and have delays; somebody waits for nearly every start.
    Entangled,
}

/// A supervisor, its cells, and everything that must hold of them.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) bench: Bench,
    cells: BTreeMap<ServiceToken, Cell>,
    released: BTreeSet<ServiceToken>,
    /// Who waits for an answer, and for what service.
    pub(super) waiting: BTreeMap<Waiter, ServiceToken>,
    waiters: u64,
    /// What the last effects have started.
    started: Vec<ServiceToken>,
    threads: Threads,
    pub(super) temper: Temper,
}

/// On which threads services run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Threads {
    /// Each on one that nobody else uses.
    Own,
    /// Some share theirs, which may be blocked and come back.
    Shared,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self::with_temper(seed, Temper::Mixed)
    }

    pub(super) fn with_temper(seed: u64, temper: Temper) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let rules = match temper {
            Temper::Mixed => random_rules(&mut random),
            Temper::Entangled => lasting_rules(&mut random),
        };
        let bench = Bench::new(rules);
        Self {
            random,
            bench,
            cells: BTreeMap::new(),
            released: BTreeSet::new(),
            waiting: BTreeMap::new(),
            waiters: 0,
            started: Vec::new(),
            threads: Threads::Own,
            temper,
        }
    }

    pub(super) fn state(&mut self) -> &mut SupervisorState {
        &mut self.bench.state
    }

    /// Carries out what the state asks for, and checks that it makes sense.
    pub(super) fn carry_out(&mut self) {
        self.started.clear();
        while let Some(effect) = self.bench.state.next_effect() {
            match &effect {
                Effect::Start { token, generation } => {
                    assert!(
                        !self.released.contains(token),
                        "start of a forgotten service"
                    );
                    let cell = self.cells.entry(*token).or_default();
                    assert!(cell.live.is_none() || cell.abandoned, "two at once");
                    assert_eq!(*generation, cell.begun, "a generation was left out");
                    *cell = Cell {
                        live: Some(*generation),
                        begun: generation + 1,
                        ..Cell::default()
                    };
                    self.started.push(*token);
                }
                Effect::Stop { token, .. } => {
                    let cell = self.cells.get_mut(token).expect("stop of nobody");
                    assert!(cell.live.is_some() && !cell.asked, "asked in vain");
                    cell.asked = true;
                }
                Effect::Kill { token, .. } => {
                    let cell = self.cells.get_mut(token).expect("kill of nobody");
                    assert!(cell.live.is_some() && !cell.killed, "killed in vain");
                    cell.killed = true;
                }
                Effect::Release { token, .. } => {
                    let live = self
                        .cells
                        .remove(token)
                        .is_some_and(|cell| cell.live.is_some() && !cell.abandoned);
                    assert!(!live, "forgotten while it runs");
                    self.released.insert(*token);
                }
                Effect::Answer { waiter, .. } => {
                    let waited = self.waiting.remove(waiter).is_some();
                    assert!(waited, "answered twice: {effect:?}");
                }
                Effect::Event(event) if *event.kind() == EventKind::ServiceAbandoned => {
                    let token = event.token().expect("a service is abandoned");
                    self.cells
                        .get_mut(&token)
                        .expect("it was started")
                        .abandoned = true;
                }
                Effect::End { .. } => {
                    let runs = |cell: &Cell| cell.live.is_some() && !cell.abandoned;
                    assert!(!self.cells.values().any(runs), "ended while one runs");
                }
                _ => {}
            }
            self.bench.note(effect);
        }
        self.bench.run();
        self.check();
    }

    /// What must hold between two inputs.
    fn check(&self) {
        let state = &self.bench.state;
        let (mut live, mut members, mut holding, mut grouping, mut significant) = (0, 0, 0, 0, 0);
        let (mut sequence, mut group) = ((0, 0), 0);
        let mut orders = Vec::new();
        for slot in state.services.in_order() {
            let service = &state.services[slot];
            let token = state.services.token(slot);
            live += usize::from(service.phase().is_live());
            members += usize::from(service.member != Member::Outside);
            holding += usize::from(service.member == Member::Holding);
            grouping += usize::from(service.wanted == Wanted::GroupRestart);
            let counts = service.significance == Significance::Significant;
            significant += usize::from(counts && !service.phase().is_over());
            orders.push(service.name());
            let (pending, held, joined) = state.sequence.accounts(service.order, slot);
            assert_eq!(pending, service.member == Member::Pending, "{service:?}");
            sequence = (held, joined);
            let (waits, stopping) = state.line.accounts(service.order, slot);
            group = stopping;
            let in_line: Vec<_> = service.phase().waits_in_line().into_iter().collect();
            assert_eq!(waits, in_line, "{service:?}");
            let gated = matches!(service.phase(), Phase::Gated(Gate::Elsewhere { .. }));
            let counted = state.line.is_elsewhere(slot) || !state.line.awaits(slot);
            assert!(!gated || counted, "{service:?}");
            let runs = self
                .cells
                .get(&token)
                .is_some_and(|cell| cell.live.is_some() && !cell.abandoned);
            assert_eq!(runs, service.phase().is_live(), "{service:?}");
            assert_found_anew(state, slot);
            match service.phase() {
                Phase::Gated(Gate::Sibling) => {
                    assert!(blocker(state, slot).is_some(), "a wake was missed");
                }
                Phase::Gated(Gate::Elsewhere { .. }) => {
                    let question = (token, service.ticket());
                    assert!(self.bench.asked.contains(&question), "nobody was asked");
                }
                Phase::Held => assert!(
                    holder(state, slot).is_some() || state.status == Status::Starting,
                    "a wake was missed"
                ),
                Phase::BackingOff { until }
                | Phase::Delayed { until }
                | Phase::Resting { until } => {
                    assert!(until.is_some(), "{service:?}");
                }
                Phase::Queued => assert!(
                    state.queue.contains(&token)
                        && (state.pause.is_some() || state.next_resume.is_some()),
                    "{service:?}"
                ),
                Phase::Undecided => {
                    let question = (token, service.ticket());
                    let asked = self.bench.consulted.contains(&question);
                    assert!(asked || state.status == Status::Starting, "{service:?}");
                }
                _ => {}
            }
        }
        assert_eq!(live, state.services.live());
        assert_eq!((holding, members), sequence);
        assert_eq!(grouping, group);
        assert_eq!(significant, state.services.significant());
        for (place, name) in orders.iter().enumerate() {
            for dependent in state.services.dependents(name) {
                let later = state.services[dependent].name();
                assert!(
                    orders[place..].contains(&later),
                    "{later} comes before {name}"
                );
            }
        }
    }

    fn some_token(&mut self) -> Option<ServiceToken> {
        if self.temper == Temper::Entangled && !self.random.chance(10) {
            let present: Vec<ServiceToken> = self.bench.state.tokens().collect();
            return (!present.is_empty()).then(|| self.random.pick(&present));
        }
        // Also those that are gone: nothing may come of them.
        let known: Vec<ServiceToken> = self.bench.names.keys().copied().collect();
        (!known.is_empty()).then(|| self.random.pick(&known))
    }

    fn waiter(&mut self) -> Waiter {
        self.waiters += 1;
        Waiter(self.waiters)
    }

    pub(super) fn step(&mut self) {
        // There is to be somebody who can be in the way.
        let few = self.temper == Temper::Entangled && self.bench.state.services.len() < 6;
        match self.random.below(20) {
            _ if few && self.random.chance(2) => self.add(),
            0 | 1 => self.add(),
            17 => self.find(),
            2 => {
                let now = self.bench.now;
                self.state().start(now);
            }
            3..=6 => self.get_ready(),
            7..=9 => self.end(),
            10 | 11 => self.obey(),
            12 => self.lie(),
            13..=15 => self.operate(),
            16 | 18 => {
                let wait = self.random.below(4000);
                self.pass(millis(wait));
            }
            _ if self.random.chance(3) => {
                let rules = match self.temper {
                    Temper::Mixed => random_rules(&mut self.random),
                    Temper::Entangled => lasting_rules(&mut self.random),
                };
                let now = self.bench.now;
                self.state().reconfigure(rules, now).unwrap();
            }
            _ if self.random.chance(4) => self.lose(),
            _ => {}
        }
        self.carry_out();
    }

    pub(super) fn add(&mut self) {
        let entangled = self.temper == Temper::Entangled;
        let mut rules = if entangled {
            entangled_service(&mut self.random)
        } else {
            random_service(&mut self.random)
        };
        if self.threads == Threads::Shared {
            rules.on_blocked = self.random.pick(&[
                OnBlocked::AwaitThread,
                OnBlocked::AwaitThread,
                OnBlocked::Judge,
                OnBlocked::Fail,
            ]);
        }
        let now = self.bench.now;
        let name = rules.name.to_string();
        let Ok(token) = self.state().add(rules, now) else {
            return;
        };
        assert!(!self.released.contains(&token), "a token was issued again");
        self.bench.names.insert(token, name);
        if self.random.chance(3) || (entangled && self.random.chance(2)) {
            let waiter = self.waiter();
            self.waiting.insert(waiter, token);
            self.state().await_ready(token, waiter, now);
        }
    }

    fn get_ready(&mut self) {
        if let Some(token) = self.some_token()
            && let Some(cell) = self.cells.get(&token)
            && let Some(generation) = cell.live
        {
            let now = self.bench.now;
            self.state().ready(token, generation, now);
        }
    }

    /// An incarnation ends by itself.
    fn end(&mut self) {
        let Some(token) = self.some_token() else {
            return;
        };
        let Some(Cell {
            live: Some(generation),
            abandoned: false,
            asked,
            ..
        }) = self.cells.get(&token).copied()
        else {
            return;
        };
        let verdicts = match self.temper {
            Temper::Mixed => 30,
            Temper::Entangled => 10,
        };
        let verdict = match self.random.below(verdicts) {
            0 => Some(Verdict::Bounce),
            1 => Some(Verdict::Missing),
            2 => Some(Verdict::DoNotRestart),
            3 => Some(Verdict::Uninstall),
            4 | 5 if self.temper == Temper::Entangled => Some(Verdict::Missing),
            _ => None,
        };
        let reason = self.random.pick(&[
            ExitReason::Normal,
            failed(),
            failed(),
            ExitReason::panicked("ouch", "here"),
        ]);
        self.cells.get_mut(&token).unwrap().live = None;
        let service = self.bench.state.service(token).unwrap();
        let paused = matches!(self.bench.state.status(), SupervisorStatus::Paused { .. });
        let slot = token.slot();
        let alone = self.bench.state.services[slot].wanted == Wanted::Nothing;
        let now = self.bench.now;
        let before = self.bench.state.failure_count(now);
        let exit = Exit {
            verdict,
            ..Exit::from(reason)
        };
        self.state().exited(token, generation, exit, now);
        self.carry_out();
        assert!(self.bench.state.failure_count(now) <= before + 1.0 + 1e-9);
        if paused && alone && !asked && verdict.is_none() {
            assert!(
                !self.started.contains(&token),
                "restarted in a pause: {service:?}"
            );
        }
    }

    /// An incarnation does what it is told, sooner or later.
    pub(super) fn obey(&mut self) {
        let Some(token) = self.some_token() else {
            return;
        };
        let Some(cell) = self.cells.get_mut(&token) else {
            return;
        };
        let Some(generation) = cell.live else { return };
        let now = self.bench.now;
        if cell.killed {
            cell.live = None;
            let exit = Exit::from(ExitReason::Killed(KillCause::StopTimeout));
            self.bench.state.exited(token, generation, exit, now);
        } else if cell.asked && self.random.chance(2) {
            cell.live = None;
            let exit = Exit::from(ExitReason::Shutdown);
            self.bench.state.exited(token, generation, exit, now);
        } else if cell.asked {
            self.bench.state.stop_acknowledged(token, generation, now);
        }
    }

    /// Somebody tells what is not true any more, or never was.
    fn lie(&mut self) {
        let Some(token) = self.some_token() else {
            return;
        };
        let begun = self.cells.get(&token).map_or(0, |cell| cell.begun);
        let live = self
            .cells
            .get(&token)
            .and_then(|cell| cell.live.filter(|_| !cell.abandoned));
        let generation = self.random.below(begun + 2);
        if live == Some(generation) {
            return;
        }
        let now = self.bench.now;
        let before = self.bench.state.failure_count(now);
        let state = self.state();
        state.exited(token, generation, Exit::from(failed()), now);
        state.ready(token, generation, now);
        state.started(token, generation, now);
        state.stop_acknowledged(token, generation, now);
        let after = self.bench.state.failure_count(now);
        assert!((before - after).abs() < f64::EPSILON);
        assert!(self.bench.state.output.is_empty(), "a lie was believed");
    }

    pub(super) fn operate(&mut self) {
        let Some(token) = self.some_token() else {
            return;
        };
        let waiter = self.waiter();
        let now = self.bench.now;
        let kinds = match self.temper {
            Temper::Mixed => 4,
            Temper::Entangled => 8,
        };
        let which = self.random.below(kinds);
        let ends = self.random.below(30);
        let state = self.state();
        if is_bound(state) && ends < 2 {
            let error = (ends == 0).then(|| ServiceError::new("told"));
            state.end_scope(error, now);
            self.carry_out();
        }
        let state = self.state();
        let accepted = match which {
            0 => state.remove(token, waiter, now).is_ok(),
            1 => state.stop(token, waiter, now).is_ok(),
            2 | 4..8 => state.restart(token, waiter, now).is_ok(),
            _ => state.reset(token, waiter, now).is_ok(),
        };
        if accepted {
            self.waiting.insert(waiter, token);
        }
    }

    pub(super) fn lose(&mut self) {
        if let Some(token) = self.some_token()
            && let Some(cell) = self.cells.get_mut(&token)
        {
            cell.live = None;
            let now = self.bench.now;
            self.state().lost(token, now);
        }
    }

    /// The supervisor is started again, or cannot be: its cells drop whatever still runs.
    pub(super) fn begin_again(&mut self, refused: Option<ExitReason>) {
        self.bench.ended = None;
        // Whatever still runs is killed with the incarnation of its supervisor, and not reckoned with any more.
        for cell in self.cells.values_mut() {
            cell.abandoned = true;
            cell.killed = false;
        }
        let now = self.bench.now;
        self.state().reopen(now);
        self.carry_out();
        for cell in self.cells.values_mut() {
            cell.abandoned = false;
            cell.live = None;
        }
        match refused {
            Some(reason) => self.state().refuse_start(reason, now),
            None => self.state().start(now),
        }
        self.carry_out();
    }

    pub(super) fn pass(&mut self, duration: Duration) {
        let until = self.bench.now + duration;
        let mut rounds = 0;
        while let Some(at) = self.bench.state.next_timeout()
            && at <= until
        {
            self.bench.now = self.bench.now.max(at);
            let now = self.bench.now;
            self.state().timeout(now);
            self.carry_out();
            rounds += 1;
            assert!(rounds < 10_000, "timers without end");
        }
        self.bench.now = until;
    }

    /// Lets all cells behave, but those that do not say that they are ready, until nothing happens any more.
    pub(super) fn settle(&mut self, speaks: impl Fn(&SupervisorState, ServiceToken) -> bool) {
        let until = self.bench.now + seconds(1000);
        loop {
            let mut acted = !self.bench.asked.is_empty() || !self.bench.consulted.is_empty();
            self.find_all();
            let tokens: Vec<ServiceToken> = self.cells.keys().copied().collect();
            for token in tokens {
                let cell = self.cells.get(&token).copied().unwrap_or_default();
                let Some(generation) = cell.live.filter(|_| !cell.abandoned) else {
                    continue;
                };
                let now = self.bench.now;
                let starts = self
                    .bench
                    .state
                    .service(token)
                    .is_some_and(|view| view.state == ServiceState::Starting);
                if cell.asked || cell.killed {
                    self.cells.get_mut(&token).unwrap().live = None;
                    let exit = Exit::from(ExitReason::Shutdown);
                    self.state().exited(token, generation, exit, now);
                } else if starts && speaks(&self.bench.state, token) {
                    self.state().ready(token, generation, now);
                } else {
                    continue;
                }
                acted = true;
                self.carry_out();
            }
            if acted {
                continue;
            }
            match self.bench.state.next_timeout() {
                Some(at) if at <= until => {
                    let wait = at.saturating_duration_since(self.bench.now);
                    self.pass(wait);
                }
                _ => return,
            }
        }
    }

    /// Lets all cells behave, until nothing happens any more.
    pub(super) fn calm_down(&mut self) {
        for _ in 0..200 {
            let now = self.bench.now;
            let tokens: Vec<ServiceToken> = self.cells.keys().copied().collect();
            for token in tokens {
                let cell = self.cells.get(&token).copied().unwrap_or_default();
                let Some(generation) = cell.live else {
                    continue;
                };
                if cell.asked || cell.killed {
                    self.cells.get_mut(&token).unwrap().live = None;
                    let exit = Exit::from(ExitReason::Shutdown);
                    self.state().exited(token, generation, exit, now);
                } else {
                    self.state().ready(token, generation, now);
                }
                self.carry_out();
            }
            self.pass(seconds(1));
        }
    }
}

#[test]
fn whatever_happens_every_service_is_accounted_for_and_every_caller_answered() {
    for seed in 1..400 {
        let mut world = World::new(seed);
        for _ in 0..world.random.below(5) {
            world.add();
            world.carry_out();
        }
        for _ in 0..250 {
            world.step();
        }
        check_that_all_ends_well(world, seed);
    }
}

#[test]
fn services_on_threads_that_are_blocked_and_come_back_are_accounted_for() {
    let mut back = 0;
    for seed in 5000..5300 {
        let mut world = World::new(seed);
        world.threads = Threads::Shared;
        for _ in 0..250 {
            if world.random.chance(8)
                && let Some(token) = world.some_token()
            {
                let now = world.bench.now;
                let count = |world: &World| world.bench.state.counts().failed;
                let before = count(&world);
                world.state().thread_back(token, now);
                world.carry_out();
                back += u32::from(count(&world) < before);
            } else if world.random.chance(200)
                && let Some(token) = world.some_token()
            {
                let now = world.bench.now;
                if let Some(cell) = world.cells.get_mut(&token) {
                    cell.live = None;
                    world.state().factory_lost(token, now);
                    world.carry_out();
                }
            } else {
                world.step();
            }
        }
        check_that_all_ends_well(world, seed);
    }
    assert!(back > 10, "only {back} have come back");
}

/// Lets everybody behave, and ends the supervisor.
fn check_that_all_ends_well(mut world: World, seed: u64) {
    world.calm_down();
    if world.bench.state.status == Status::Running {
        for view in world.bench.state.services() {
            assert!(
                matches!(
                    view.state,
                    ServiceState::Ready
                        | ServiceState::Stopped
                        | ServiceState::Failed
                        | ServiceState::Waiting
                ),
                "seed {seed}: {view:?}"
            );
        }
    }
    let now = world.bench.now;
    let within = world.random.chance(2).then(|| seconds(3));
    world
        .state()
        .shutdown(within.map(|within| dropping(now + within)), now);
    world.carry_out();
    for _ in 0..20 {
        world.obey();
        world.carry_out();
    }
    world.pass(seconds(100));
    assert!(world.bench.ended.is_some(), "seed {seed} does not end");
    assert_eq!(world.bench.state.next_timeout(), None, "seed {seed}");
    assert!(world.waiting.is_empty(), "seed {seed}: {:?}", world.waiting);
}

#[test]
fn restarted_supervisors_keep_their_accounts() {
    for seed in 1000..1100 {
        let mut world = World::new(seed);
        for round in 0..3 {
            for _ in 0..80 {
                world.step();
            }
            let now = world.bench.now;
            world
                .state()
                .shutdown(Some(dropping(now + seconds(3))), now);
            world.carry_out();
            world.pass(seconds(10));
            assert!(
                world.bench.ended.take().is_some(),
                "seed {seed} round {round}"
            );
            // The cell of one that was abandoned is still there: it is killed with its incarnation.
            world.begin_again(None);
        }
    }
}
