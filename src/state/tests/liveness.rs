//! Whoever waits is answered within a bound, or somebody will by himself do what he waits for.
//!
//! Random operations in random states, with random requirements; then nobody asks for anything any more, and the time goes on.

use std::collections::BTreeSet;

use super::{
    random::{Temper, World},
    *,
};

/// Why somebody may wait for ever, if nobody does anything: all that there is, in one place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Excuse {
    /// The supervisor was not started, or is down: whoever starts it answers, or whoever drops it.
    NotStarted,
    /// The service is being started, says itself when it is ready, and has no start timeout: only its own `ready` helps.
    Silent,
    /// What it requires, directly or not, is excused, or is to end and runs.
    Requires,
    /// It waits for its turn, and the one whose turn it is is excused.
    Turn,
    /// It has ended during the start of its supervisor, which waits for one that is excused.
    Undecided,
}

/// Says whether a service never says that it is ready: some, if nothing bounds their start. By slot, since that is the same on each run.
fn is_silent(state: &SupervisorState, token: ServiceToken) -> bool {
    let slot = state.services.slot(token);
    (token.slot() % 5 == 1)
        && slot.is_some_and(|slot| state.services[slot].start_timeout().is_none())
}

/// Why those who wait for a service may do so for ever.
fn excuse(state: &SupervisorState, slot: u32) -> Option<Excuse> {
    excuse_of(state, slot, &mut BTreeSet::new())
}

fn excuse_of(state: &SupervisorState, slot: u32, seen: &mut BTreeSet<u32>) -> Option<Excuse> {
    // Two that wait for each other have no excuse.
    if !seen.insert(slot) {
        return None;
    }
    let service = &state.services[slot];
    let token = state.services.token(slot);
    let current = |seen: &mut BTreeSet<u32>| {
        let mut awaited = state.line.awaited();
        awaited.any(|awaited| excuse_of(state, awaited, seen).is_some())
    };
    match service.phase() {
        _ if state.status == Status::Idle => Some(Excuse::NotStarted),
        Phase::Starting { .. } if is_silent(state, token) => Some(Excuse::Silent),
        Phase::InLine if current(seen) => Some(Excuse::Turn),
        // One that was added later is judged at once.
        Phase::Undecided if state.is_static(slot) && current(seen) => Some(Excuse::Undecided),
        Phase::Gated(_) | Phase::Parked => {
            let mut required = service.required().iter();
            let excused = |name: &Arc<str>| {
                let Some(required) = state.services.named(name) else {
                    return false;
                };
                // Only that one itself ends it.
                let runs = state.services[required].phase() == Phase::Ready;
                let awaits_end = service.requires_end_of(name) && runs;
                awaits_end || excuse_of(state, required, seen).is_some()
            };
            required.any(excused).then_some(Excuse::Requires)
        }
        _ => None,
    }
}

/// Walks at random, and returns whether the supervisor has run before its present life.
fn walk(world: &mut World) -> bool {
    let initial = match world.temper {
        Temper::Mixed => 5,
        // Most would fail to start, since what they require is not there.
        Temper::Entangled => 2,
    };
    for _ in 0..world.random.below(initial) {
        world.add();
        world.carry_out();
    }
    let restarts = world.random.pick(&[20, 60, 1000]);
    let operates = world.random.pick(&[2, 3, 10]);
    let (mut ran, mut ran_before) = (false, false);
    for _ in 0..120 {
        let ended = world.bench.state.status == Status::Ended;
        if world.random.chance(restarts) || (ended && world.begins_again()) {
            if world.random.chance(2) {
                let now = world.bench.now;
                world
                    .state()
                    .shutdown(Some(dropping(now + seconds(1))), now);
                world.carry_out();
                world.pass(seconds(3));
            }
            ran_before = ran;
            let refused = world.random.chance(8).then(failed);
            world.begin_again(refused);
        } else if world.random.chance(operates) {
            world.operate();
            world.carry_out();
        } else {
            world.step();
        }
        ran |= world.bench.state.status == Status::Running;
    }
    // Many ask at the same time.
    for _ in 0..world.random.below(8) {
        if world.random.chance(3) {
            world.add();
        } else {
            world.operate();
        }
        world.carry_out();
    }
    ran_before
}

impl World {
    /// Whether a supervisor that has ended is started again at once.
    fn begins_again(&mut self) -> bool {
        self.temper == Temper::Entangled || self.random.chance(2)
    }
}

/// What there is, to be printed.
fn picture(state: &SupervisorState) -> Vec<String> {
    let all = state.services.in_order();
    let line = |slot| {
        let service = &state.services[slot];
        format!(
            "{} {:?}, requires {:?}",
            service.name(),
            service.phase(),
            service.required()
        )
    };
    all.map(line).collect()
}

fn seeds() -> impl Iterator<Item = u64> {
    let count = std::env::var("RESURGAM_SEEDS").ok();
    let count = count.and_then(|count| count.parse().ok());
    1..=count.unwrap_or(1500)
}

/// Whoever waits has an excuse.
fn assert_nobody_waits_in_vain(world: &World, seed: u64) {
    let state = &world.bench.state;
    for (waiter, token) in &world.waiting {
        let slot = state.services.slot(*token);
        let excused = slot.and_then(|slot| excuse(state, slot));
        assert!(
            excused.is_some(),
            "seed {seed}: {waiter:?} waits in vain for {:?}; {:?}, {:#?}",
            slot.map(|slot| state.services[slot].name()),
            state.status,
            picture(state),
        );
    }
}

#[test]
fn whoever_waits_is_answered_or_will_see_it_happen() {
    for seed in seeds() {
        let temper = match seed % 2 {
            0 => Temper::Mixed,
            _ => Temper::Entangled,
        };
        let mut world = World::with_temper(seed, temper);
        walk(&mut world);
        world.settle(|state, token| !is_silent(state, token));
        assert_nobody_waits_in_vain(&world, seed);
        // Now those speak that were silent.
        if world.bench.state.status == Status::Idle {
            world.begin_again(None);
        }
        world.settle(|_, _| true);
        // Nobody is left but who waits for the end of a service that runs.
        assert_nobody_waits_in_vain(&world, seed);
    }
}

/// With services that behave: whatever was added, removed, stopped or had failed in the life before.
#[test]
fn restart_of_a_supervisor_is_not_stricter_than_the_life_before() {
    for seed in seeds() {
        let mut world = World::new(seed);
        walk(&mut world);
        if world.bench.state.starts == 0 {
            continue;
        }
        world.settle(|_, _| true);
        let ran = world.bench.state.status == Status::Running;
        for _ in 0..20 {
            world.operate();
            world.carry_out();
        }
        world.begin_again(None);
        world.settle(|_, _| true);
        let status = world.bench.state.status;
        assert!(
            !ran || status == Status::Running,
            "seed {seed}: {status:?} {:?}",
            world.bench.ended
        );
    }
}

fn requiring(name: &str, required: &str) -> ServiceRules {
    let mut rules = named(name);
    rules.rare().requires = vec![Arc::from(required)];
    rules
}

/// A running `b` in its delay, whose requirement `a` was removed.
fn delayed_without_its_requirement() -> Bench {
    let mut b = requiring("b", "a");
    b.rare().backoff = Some(Backoff::constant(seconds(3600)));
    let mut bench = Bench::running(unlimited(), vec![named("a"), b, requiring("c", "b")]);
    bench.fail("b");
    let a = bench.token("a");
    bench.state.remove(a, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    bench.forget();
    bench
}

#[test]
fn who_waits_for_a_service_that_will_wait_in_vain_after_its_delay_is_told_so() {
    let mut bench = delayed_without_its_requirement();
    let c = bench.token("c");
    bench.state.restart(c, Waiter(2), bench.now).unwrap();
    bench.run();
    bench.exit("c", ExitReason::Shutdown);
    let d = bench.add(requiring("d", "b")).unwrap();
    bench.state.await_ready(d, Waiter(3), bench.now);
    bench.run();
    assert!(
        matches!(
            bench.answers[..],
            [
                (
                    Waiter(2),
                    Answer::Restarted(Err(RestartError::Failed { .. }))
                ),
                (Waiter(3), Answer::Ready(Err(_))),
            ]
        ),
        "{:?}",
        bench.answers
    );
    // Told as well, and for whom: `a` is what is missing, though it is `b` that they require.
    let blocked = |event: &Occurrence| match event.kind() {
        EventKind::ServiceBlocked { on, why } => Some((on.to_string(), *why)),
        _ => None,
    };
    let told: Vec<_> = bench.events.iter().filter_map(blocked).collect();
    let expected = (String::from("a"), Blocked::Missing);
    assert_eq!(told, [expected.clone(), expected]);
    assert!(bench.state.named("d").is_none());
    assert_eq!(bench.state_of("c"), ServiceState::Waiting);
}

#[test]
fn who_waits_is_told_when_the_requirement_goes_while_the_one_between_is_in_its_delay() {
    let mut b = requiring("b", "a");
    b.rare().backoff = Some(Backoff::constant(seconds(3600)));
    let mut bench = Bench::running(unlimited(), vec![named("a"), b]);
    bench.fail("b");
    let c = bench.add(requiring("c", "b")).unwrap();
    bench.state.await_ready(c, Waiter(1), bench.now);
    bench.run();
    assert_eq!(bench.answers, []);
    let a = bench.token("a");
    bench.state.stop(a, Waiter(2), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    assert!(
        matches!(
            bench.answers[..],
            [
                (Waiter(2), Answer::Stopped(Ok(()))),
                (Waiter(1), Answer::Ready(Err(_))),
            ]
        ),
        "{:?}",
        bench.answers
    );
}

#[test]
fn who_waits_for_one_that_misses_something_is_told_unless_that_is_on_its_way() {
    for on_its_way in [false, true] {
        let mut bench = Bench::running(unlimited(), vec![named("a"), requiring("b", "a")]);
        bench.fail("b");
        let c = bench.add(requiring("c", "b")).unwrap();
        bench.state.await_ready(c, Waiter(1), bench.now);
        bench.run();
        if on_its_way {
            bench.fail("a");
        }
        bench.exit_with("b", Verdict::Missing);
        if !on_its_way {
            assert!(matches!(
                bench.answers[..],
                [(Waiter(1), Answer::Ready(Err(_)))]
            ));
            continue;
        }
        assert_eq!(bench.answers, []);
        bench.get_ready();
        assert_eq!(bench.answers, [(Waiter(1), Answer::Ready(Ok(())))]);
    }
}

/// A supervisor whose start takes its time, because of `slow`.
fn starting() -> Bench {
    let mut bench = Bench::new(unlimited());
    bench.add(named("a")).unwrap();
    bench.add(named("slow")).unwrap();
    bench.state.start(bench.now);
    bench.run();
    bench.ready("a");
    bench.forget();
    bench
}

#[test]
fn service_that_is_added_while_its_supervisor_starts_is_judged_at_once() {
    let mut bench = starting();
    let b = bench.add(named("b")).unwrap();
    bench.state.await_ready(b, Waiter(1), bench.now);
    bench.run();
    bench.fail("b");
    assert!(matches!(
        bench.answers[..],
        [(Waiter(1), Answer::Ready(Err(_)))]
    ));
    assert!(bench.state.named("b").is_none());
    bench.add(named("c")).unwrap();
    bench.ready("c");
    bench.forget();
    bench.fail("c");
    assert_eq!(bench.story(), ["c ServiceFailed"]);
    assert_eq!(bench.actions(), ["start c 1"]);
    bench.get_ready();
    assert_eq!(bench.started, 1);
}

#[test]
fn restart_of_a_service_of_the_start_that_fails_is_answered_while_its_supervisor_starts() {
    let mut bench = starting();
    bench.fail("a");
    let a = bench.token("a");
    bench.state.restart(a, Waiter(1), bench.now).unwrap();
    bench.run();
    let last = failed();
    bench.exit("a", last.clone());
    assert!(matches!(
        bench.answers[..],
        [(
            Waiter(1),
            Answer::Restarted(Err(RestartError::Failed { .. }))
        )]
    ));
    bench.forget();
    bench.ready("slow");
    // Judged once, by its last end.
    let reason = |event: &Occurrence| match event.kind() {
        EventKind::ServiceStartFailed { reason, .. } | EventKind::ServiceFailed { reason, .. } => {
            Some(reason.clone())
        }
        _ => None,
    };
    let told: Vec<_> = bench.events.iter().filter_map(reason).collect();
    assert_eq!(told, [last]);
    assert_eq!(bench.actions(), ["start a 2"]);
}

#[test]
fn temporary_service_that_stops_with_its_group_is_restarted_if_somebody_asks_meanwhile() {
    let mut once = named("once");
    once.restart = RestartType::Temporary;
    let services = vec![named("a"), once];
    let mut bench = Bench::running(strategy(Strategy::OneForAll), services);
    bench.fail("a");
    let once = bench.token("once");
    bench.state.restart(once, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(bench.answers, [(Waiter(1), Answer::Restarted(Ok(())))]);
    assert_eq!(bench.view("once").generation, 1);
}
