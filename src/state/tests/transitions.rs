//! The directed and the random tests take every transition that the table of phases has, and no other.
//!
//! No other, since each of them is checked as it is taken.

use std::{collections::BTreeSet, fmt::Write};

use super::{
    super::transitions::taken::{self, Transition},
    generate::Random,
    random::World,
    *,
};

/// Begins random walks that together with the directed ones take every transition. Any others would do that take as many: after a
/// change of the rules or of the generator, the failing test says which transitions are missing, and what to do.
const SEEDS: [u64; 57] = [
    1, 2, 3, 2172, 531, 964, 82, 1588, 4974, 20, 277, 14, 27, 57, 71, 88, 149, 161, 241, 455, 463,
    652, 718, 825, 1014, 1028, 1037, 1168, 1248, 1406, 1501, 1974, 3115, 3177, 3886, 4234, 4271,
    4638, 5186, 5412, 5820, 5922, 10383, 13913, 18571, 20026, 28326, 39411, 1389, 1423, 2258, 2662,
    2963, 3712, 7555, 14330, 19731,
];

#[test]
fn every_transition_of_the_table_is_taken() {
    taken::take();
    directed();
    let mut missing: BTreeSet<Transition> = taken::all();
    missing.retain({
        let taken = taken::take();
        move |transition| !taken.contains(transition)
    });
    let mut seeds = Vec::new();
    let search = std::env::var_os("RESURGAM_SEARCH_SEEDS").map(|_| 1..100_000);
    for seed in SEEDS.into_iter().chain(search.into_iter().flatten()) {
        let taken = walk(seed);
        let before = missing.len();
        missing.retain(|transition| !taken.contains(transition));
        if missing.len() < before {
            seeds.push(seed);
        }
        if missing.is_empty() {
            break;
        }
    }
    let mut text = String::new();
    for (from, input, to) in &missing {
        writeln!(text, "{from:?} by {input:?} to {to:?}").unwrap();
    }
    assert!(
        missing.is_empty(),
        "nobody takes these; remove those that are impossible, write a directed walk for the rare ones, and find seeds for the rest \
        with RESURGAM_SEARCH_SEEDS=1:\n{text}"
    );
    assert_eq!(seeds, SEEDS, "these seeds are enough");
}

#[test]
fn table_in_the_docs_is_the_one_in_the_code() {
    let mut rows: BTreeMap<_, BTreeMap<Vec<_>, Vec<_>>> = BTreeMap::new();
    let mut follow: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (from, input, to) in taken::all() {
        follow.entry((from, input)).or_default().push(to);
    }
    for ((from, input), to) in follow {
        rows.entry(from)
            .or_default()
            .entry(to)
            .or_default()
            .push(input);
    }
    let mut table = String::from("| phase | input | phases that may follow |\n|-|-|-|\n");
    for (from, cells) in rows {
        let mut first = format!("{from:?}");
        for (to, inputs) in cells {
            writeln!(table, "| {first} | {} | {} |", list(&inputs), list(&to)).unwrap();
            first.clear();
        }
    }
    assert!(
        include_str!("../transitions.md") == table,
        "this belongs into src/state/transitions.md:\n{table}"
    );
}

fn list<T: std::fmt::Debug>(items: &[T]) -> String {
    let names: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
    names.join(", ")
}

/// One random walk: which transitions it takes.
fn walk(seed: u64) -> BTreeSet<Transition> {
    let mut temper = Random(seed.wrapping_mul(0xd134_2543_de82_ef95) | 1);
    let loses = temper.pick(&[3, 10, 100, 1000]);
    let restarts = temper.pick(&[20, 60, 1000]);
    let operates = temper.pick(&[2, 4, 100]);
    let mut world = World::new(seed);
    for _ in 0..world.random.below(6) {
        world.add();
        world.carry_out();
    }
    for _ in 0..200 {
        if temper.chance(loses) {
            world.lose();
        } else if temper.chance(restarts) {
            let now = world.bench.now;
            if temper.chance(2) {
                world
                    .state()
                    .shutdown(Some(dropping(now + seconds(1))), now);
                world.carry_out();
                if temper.chance(2) {
                    world.pass(seconds(3));
                }
            }
            let refused = temper.chance(4).then(failed);
            world.begin_again(refused);
        } else if temper.chance(operates) {
            world.operate();
        } else {
            world.step();
            continue;
        }
        world.carry_out();
    }
    taken::take()
}

/// Walks for what random ones hardly ever come to.
fn directed() {
    member_of_a_group_does_not_wait_for_its_turn();
    service_that_gave_up_is_wanted_by_the_next_life();
    service_that_gave_up_and_was_there_at_the_start_begins_anew();
    service_is_lost_before_its_supervisor_is_started();
    service_misses_something();
    service_waits_for_its_thread();
    service_that_is_down_requires_one_that_is_not_ready();
    time_of_a_service_is_over_during_a_pause();
    one_shot_service_runs_again_with_what_it_is_bound_to();
}

fn one_shot_service_runs_again_with_what_it_is_bound_to() {
    let mut job = named("job");
    job.restart = RestartType::Transient;
    job.rare().binds_to = vec![Arc::from("db")];
    let mut bench = Bench::running(unlimited(), vec![named("db"), job]);
    bench.exit("job", ExitReason::Normal);
    bench.fail("db");
    bench.ready("db");
    assert_eq!(bench.view("job").generation, 1);
}

fn member_of_a_group_does_not_wait_for_its_turn() {
    // All of these wait for the delay of `a`, and some for their own.
    let rest = || {
        let delayed = |name| {
            let mut rules = named(name);
            rules.rare().backoff = Some(Backoff::constant(seconds(60)));
            rules
        };
        let requiring = |mut rules: ServiceRules| {
            rules.rare().requires = vec![Arc::from("b")];
            rules
        };
        let services = vec![
            delayed("a"),
            delayed("b"),
            requiring(delayed("c")),
            named("d"),
            requiring(named("e")),
        ];
        let mut bench = Bench::running(strategy(Strategy::RestForOne), services);
        for name in ["c", "b", "a"] {
            bench.fail(name);
        }
        bench.get_stopped();
        bench
    };
    for operation in [Operation::Restart, Operation::Reset] {
        for (name, expected) in [
            ("b", ServiceState::Starting),
            ("c", ServiceState::Waiting),
            ("d", ServiceState::Starting),
            ("e", ServiceState::Waiting),
        ] {
            let mut bench = rest();
            bench.ask_for(name, operation);
            assert_eq!(bench.state_of(name), expected, "{name}");
        }
    }
    let mut bench = rest();
    let token = bench.token("d");
    bench.state.lost(token, bench.now);
    bench.run();
    assert_eq!(bench.state_of("d"), ServiceState::Failed);
    let mut bench = rest();
    let token = bench.token("d");
    bench.state.remove(token, Waiter(1), bench.now).unwrap();
    bench.run();
    assert_eq!(bench.state.named("d"), None);
}

fn service_that_gave_up_is_wanted_by_the_next_life() {
    for operation in [Operation::Restart, Operation::Reset] {
        let mut sick = named("a");
        sick.rare().limit = Some(RestartLimit::window(0, seconds(5)).give_up());
        let mut bench = Bench::running(unlimited(), vec![]);
        bench.add(sick).unwrap();
        bench.fail("a");
        bench.state.reopen(bench.now);
        bench.run();
        assert_eq!(bench.state_of("a"), ServiceState::Failed);
        bench.ask_for("a", operation);
        assert_eq!(bench.state_of("a"), ServiceState::Waiting);
    }
}

fn service_that_gave_up_and_was_there_at_the_start_begins_anew() {
    let mut sick = named("a");
    sick.rare().limit = Some(RestartLimit::window(0, seconds(5)).give_up());
    let mut bench = Bench::running(unlimited(), vec![sick]);
    bench.fail("a");
    assert_eq!(bench.state_of("a"), ServiceState::Failed);
    bench.state.restart_fresh(bench.now);
    bench.run();
    assert_eq!(bench.state_of("a"), ServiceState::Starting);
}

fn service_is_lost_before_its_supervisor_is_started() {
    let mut bench = Bench::new(unlimited());
    let token = bench.add(named("a")).unwrap();
    bench.state.lost(token, bench.now);
    bench.run();
    assert_eq!(bench.state_of("a"), ServiceState::Failed);
}

fn service_waits_for_its_thread() {
    for wanted in [None, Some(Waiter(1))] {
        let mut rules = named("a");
        rules.on_blocked = OnBlocked::AwaitThread;
        let mut bench = Bench::running(unlimited(), vec![rules]);
        let token = bench.token("a");
        match wanted {
            None => bench.state.restart(token, Waiter(1), bench.now).unwrap(),
            Some(waiter) => bench.state.stop(token, waiter, bench.now).unwrap(),
        }
        bench.run();
        bench.pass(seconds(20));
        assert_eq!(bench.state_of("a"), ServiceState::Failed);
        bench.state.thread_back(token, bench.now);
        bench.run();
        assert_ne!(bench.state_of("a"), ServiceState::Failed);
    }
}

fn service_misses_something() {
    let parked = || {
        let mut bench = with_dependent(unlimited(), named("b"));
        bench.exit_with("b", Verdict::Missing);
        assert_eq!(bench.state_of("b"), ServiceState::Waiting);
        bench
    };
    parked().shutdown();
    let mut bench = parked();
    bench.state.reopen(bench.now);
    bench.run();
    let mut bench = parked();
    let token = bench.token("b");
    bench.state.remove(token, Waiter(1), bench.now).unwrap();
    bench.run();
    assert_eq!(bench.state.service(token), None);
    let mut bench = parked();
    let token = bench.token("b");
    bench.state.lost(token, bench.now);
    bench.run();
    assert_eq!(bench.state_of("b"), ServiceState::Failed);
    let mut bench = parked();
    bench.fail("a");
    bench.ready("a");
    assert_eq!(bench.state_of("b"), ServiceState::Starting);
    for operation in [Operation::Restart, Operation::Reset] {
        let mut bench = parked();
        bench.fail("a");
        bench.ask_for("b", operation);
        assert_eq!(bench.state_of("b"), ServiceState::Waiting);
    }
}

fn service_that_is_down_requires_one_that_is_not_ready() {
    let pause = RestartLimit::decay(seconds(30), 0.5, seconds(5));
    let backoff = || {
        let mut rules = named("b");
        rules.rare().backoff = Some(Backoff::constant(seconds(5)));
        rules
    };
    let limited = |on_limit| {
        let mut rules = named("b");
        rules.rare().limit = Some(over(
            RestartLimit::decay(seconds(30), 0.5, seconds(5)),
            on_limit,
        ));
        rules
    };
    let pausing = || SupervisorRules {
        limit: pause.clone(),
        ..SupervisorRules::default()
    };
    let ways = [
        (unlimited(), backoff()),
        (strategy(Strategy::OneForAll), backoff()),
        (unlimited(), limited(OnLimit::Pause)),
        (unlimited(), limited(OnLimit::GiveUp)),
        (pausing(), named("b")),
    ];
    for (rules, service) in ways {
        for operation in [Some(Operation::Restart), Some(Operation::Reset), None] {
            let mut bench = with_dependent(rules.clone(), service.clone());
            bench.fail("b");
            bench.fail("a");
            match operation {
                Some(operation) => bench.ask_for("b", operation),
                None => bench.pass(seconds(6)),
            }
            assert_ne!(bench.state_of("b"), ServiceState::Ready);
        }
    }
}

fn time_of_a_service_is_over_during_a_pause() {
    let rules = SupervisorRules {
        limit: RestartLimit::decay(seconds(30), 1.5, seconds(60)),
        ..SupervisorRules::default()
    };
    let mut delayed = named("a");
    delayed.rare().backoff = Some(Backoff::constant(seconds(5)));
    let mut resting = named("b");
    resting.rare().limit = Some(RestartLimit::decay(seconds(30), 0.5, seconds(5)));
    let mut bench = Bench::running(rules, vec![delayed, resting, named("c")]);
    for name in ["a", "b", "c"] {
        bench.fail(name);
    }
    bench.pass(seconds(6));
    for name in ["a", "b", "c"] {
        assert_eq!(bench.state_of(name), ServiceState::Paused, "{name}");
    }
}

/// A running `a`, and this service as one that requires it.
fn with_dependent(rules: SupervisorRules, mut dependent: ServiceRules) -> Bench {
    dependent.rare().requires = vec![Arc::from("a")];
    Bench::running(rules, vec![named("a"), dependent])
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Reset,
    Restart,
}

impl Bench {
    fn ask_for(&mut self, name: &str, operation: Operation) {
        let token = self.token(name);
        let (waiter, now) = (Waiter(1), self.now);
        match operation {
            Operation::Reset => self.state.reset(token, waiter, now).unwrap(),
            Operation::Restart => self.state.restart(token, waiter, now).unwrap(),
        }
        self.run();
    }
}
