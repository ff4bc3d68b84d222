//! Those who wait, and those who have gone away.

use std::{
    cell::Cell,
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{super::waiters, *};

/// Has somebody wait for a first start, until this is set.
fn may_leave(bench: &mut Bench, token: ServiceToken) -> Arc<AtomicBool> {
    let left = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&left);
    let presence = Presence::new(move || !seen.load(Ordering::Relaxed));
    bench.state.await_ready(token, Waiter(1), bench.now);
    bench.state.set_presence(token, presence);
    bench.run();
    left
}

#[test]
fn service_whose_first_start_nobody_waits_for_any_more_is_started_again() {
    for leaves in [false, true] {
        let mut bench = Bench::running(unlimited(), vec![]);
        let a = bench.add(named("a")).unwrap();
        let left = may_leave(&mut bench, a);
        left.store(leaves, Ordering::Relaxed);
        bench.actions();

        bench.fail("a");

        let expected = if leaves { "start a 1" } else { "release a" };
        assert_eq!(bench.actions(), [expected]);
    }
}

#[test]
fn service_that_nobody_waits_for_any_more_is_kept_though_what_it_requires_is_gone() {
    for leaves in [false, true] {
        let mut bench = Bench::running(unlimited(), vec![]);
        let b = bench.add(named("b")).unwrap();
        let mut rules = named("a");
        rules.rare().requires = vec![Arc::from("b")];
        let a = bench.add(rules).unwrap();
        let left = may_leave(&mut bench, a);
        left.store(leaves, Ordering::Relaxed);

        bench.state.remove(b, Waiter(2), bench.now).unwrap();
        bench.run();
        bench.get_stopped();

        let kept = bench.state.service(a).is_some();
        assert_eq!(kept, leaves);
    }
}

#[test]
fn service_whose_cell_is_lost_is_kept_as_failed_if_nobody_waits_for_its_first_start() {
    for leaves in [false, true] {
        let mut bench = Bench::running(unlimited(), vec![]);
        let a = bench.add(named("a")).unwrap();
        let left = may_leave(&mut bench, a);
        left.store(leaves, Ordering::Relaxed);

        bench.state.lost(a, bench.now);
        bench.run();

        let state = bench.state.service(a).map(|view| view.state);
        assert_eq!(state, leaves.then_some(ServiceState::Failed));
    }
}

#[test]
fn waiters_that_are_forgotten_are_not_answered_and_change_nothing_else() {
    let mut bench = Bench::running(unlimited(), vec![named("a"), named("b")]);
    let (a, b) = (bench.token("a"), bench.token("b"));
    bench.state.stop(b, Waiter(0), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    bench.state.restart(b, Waiter(1), bench.now).unwrap();
    bench.state.remove(a, Waiter(2), bench.now).unwrap();
    bench.state.remove(a, Waiter(3), bench.now).unwrap();
    bench.run();
    bench.forget();

    bench.state.forget_waiters(|waiter| waiter != Waiter(3));

    bench.exit("a", ExitReason::Shutdown);
    // It stays as stopped as it was, although nobody is left of those who have started it.
    bench.fail("b");
    assert_eq!(bench.state_of("b"), ServiceState::Stopped);
    assert!(bench.state.service(a).is_none());
    let answered: Vec<_> = bench.answers.iter().map(|(waiter, _)| *waiter).collect();
    assert_eq!(answered, [Waiter(3)]);
    assert_eq!(bench.state.waiters.len(), 0);
}

#[test]
fn each_of_many_who_wait_for_one_service_is_looked_at_a_few_times() {
    const MANY: usize = 2_000;
    let looked = || waiters::LOOKED.with(Cell::get);
    let number = Rc::new(Cell::new(0));
    let next = || {
        number.set(number.get() + 1);
        Waiter(number.get())
    };
    let mut bench = Bench::running(unlimited(), vec![named("a"), named("b")]);
    let (a, b) = (bench.token("a"), bench.token("b"));
    let before = looked();
    for _ in 0..MANY {
        bench.state.restart(a, next(), bench.now).unwrap();
        bench.state.reset(b, next(), bench.now).unwrap();
    }
    for _ in 0..MANY {
        bench.state.stop(a, next(), bench.now).unwrap();
        bench.state.remove(b, next(), bench.now).unwrap();
    }
    for _ in 0..MANY {
        bench.state.remove(a, next(), bench.now).unwrap();
    }
    bench.run();
    bench.get_stopped();
    assert_eq!(bench.answers.len(), 5 * MANY);
    let steps = looked() - before;
    assert!(steps <= 15 * MANY, "{steps} steps");
}
