//! Limits of single services, and what is said for each service of a supervisor.

use super::{limits::decay, *};

fn limited(on_limit: OnLimit) -> ServiceRules {
    let mut rules = named("a");
    rules.rare().limit = Some(over(RestartLimit::window(1, seconds(60)), on_limit));
    rules
}

#[test]
fn service_that_gives_up_is_kept_as_failed_until_it_is_reset() {
    let mut bench = Bench::running(unlimited(), vec![limited(OnLimit::GiveUp), named("b")]);
    bench.fail("a");
    bench.ready("a");
    bench.forget();
    bench.fail("a");
    assert_eq!(bench.story(), ["a ServiceFailed", "a ServiceGaveUp"]);
    assert_eq!(bench.state_of("a"), ServiceState::Failed);
    bench.pass(seconds(3600));
    assert_eq!(bench.actions(), Vec::<String>::new());
    let a = bench.token("a");
    bench.state.reset(a, Waiter(1), bench.now).unwrap();
    bench.run();
    assert_eq!(bench.actions(), ["start a 2"]);
    bench.ready("a");
    assert_eq!(bench.answers, [(Waiter(1), Answer::Reset(Ok(())))]);
    // Its failures are forgotten.
    bench.fail("a");
    assert_eq!(bench.state_of("a"), ServiceState::Starting);
}

#[test]
fn service_may_escalate_by_its_own_limit() {
    let mut bench = Bench::running(unlimited(), vec![limited(OnLimit::Escalate)]);
    bench.fail("a");
    bench.ready("a");
    bench.fail("a");
    assert!(matches!(bench.cause(), Some(Cause::Escalated { .. })));
}

/// One device that fails often, and its sibling that fails once.
#[test]
fn service_with_a_limit_of_its_own_is_counted_by_that_alone() {
    let limits = [
        RestartLimit::window(7, seconds(60)),
        RestartLimit::window(3, seconds(60)).pause(seconds(1)),
        RestartLimit::unlimited(),
    ];
    for limit in limits {
        let mut device = named("device");
        device.rare().limit = Some(limit);
        let mut bench = Bench::running(SupervisorRules::default(), vec![device, named("b")]);
        for _ in 0..7 {
            bench.fail("device");
            bench.pass(seconds(2));
            bench.get_ready();
        }
        assert!(bench.state.failure_count(bench.now) < f64::EPSILON);
        bench.forget();
        bench.fail("b");
        assert_eq!(bench.actions(), ["start b 1"]);
        let counted = bench.state.failure_count(bench.now);
        assert!((counted - 1.0).abs() < f64::EPSILON, "{counted}");
    }
}

#[test]
fn end_of_a_service_is_told_with_the_count_of_the_limit_that_holds_for_it() {
    let mut own = named("own");
    own.rare().limit = Some(RestartLimit::window(2, seconds(60)).escalate());
    let mut bench = Bench::running(decay(9.0), vec![own, named("b"), named("sick")]);
    let count_of = |bench: &Bench, name: &str| {
        let told = bench
            .events
            .iter()
            .rev()
            .find_map(|event| match event.kind() {
                EventKind::ServiceFailed { count, .. } if event.path().ends_with(name) => {
                    Some(*count)
                }
                _ => None,
            });
        told.unwrap()
    };
    bench.fail("b");
    bench.ready("b");
    for count in [1.0, 2.0] {
        bench.fail("own");
        bench.ready("own");
        assert!((count_of(&bench, "own") - count).abs() < f64::EPSILON);
    }
    // Also of one that fails while it is being stopped.
    let own = bench.token("own");
    bench.state.restart(own, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.exit("own", failed());
    bench.ready("own");
    assert!((count_of(&bench, "own") - 2.0).abs() < f64::EPSILON);
    let told = bench.events.iter();
    let failures = told.filter(|event| event.path().ends_with("own"));
    let failures = failures.filter(|event| matches!(event.kind(), EventKind::ServiceFailed { .. }));
    assert_eq!(failures.count(), 3);
    bench.fail("b");
    bench.ready("b");
    assert!((count_of(&bench, "b") - 2.0).abs() < f64::EPSILON);
    let sick = bench.token("sick");
    bench.state.lost(sick, bench.now);
    bench.run();
    assert!((count_of(&bench, "sick") - 2.0).abs() < f64::EPSILON);
    // The supervisor counts it when it escalates; what is told is the limit that was exceeded.
    bench.fail("own");
    let counted = bench.state.failure_count(bench.now);
    assert!((counted - 3.0).abs() < f64::EPSILON, "{counted}");
    let exceeded = bench.events.iter().find_map(|event| match event.kind() {
        EventKind::LimitExceeded { count } => Some(*count),
        _ => None,
    });
    assert_eq!(exceeded, Some(2.0));
}

#[test]
fn service_may_wait_alone_until_its_window_frees() {
    let mut bench = Bench::running(unlimited(), vec![limited(OnLimit::Pause), named("b")]);
    bench.fail("a");
    bench.ready("a");
    bench.pass(seconds(20));
    bench.fail("a");
    bench.forget();
    assert_eq!(bench.state_of("a"), ServiceState::Paused);
    bench.fail("b");
    assert_eq!(bench.actions(), ["start b 1"]);
    bench.pass(seconds(59));
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.pass(seconds(1));
    assert_eq!(bench.actions(), ["start a 2"]);
}

#[test]
fn pause_of_one_service_is_told_as_such_with_its_own_count() {
    let mut own = named("a");
    let limit = RestartLimit::decay(seconds(30), 1.5, seconds(5));
    own.rare().limit = Some(limit);
    let mut bench = Bench::running(unlimited(), vec![own, named("b")]);
    bench.fail("a");
    bench.ready("a");
    bench.forget();
    bench.fail("a");
    assert_eq!(bench.state_of("a"), ServiceState::Paused);
    assert_eq!(bench.view("a").next_start, Some(bench.now + seconds(5)));
    let kinds: Vec<_> = bench.events.iter().map(Occurrence::kind).collect();
    let [
        EventKind::ServiceFailed {
            restarting: Restarting::AfterPause,
            ..
        },
        EventKind::ServicePaused { lasting, count },
    ] = kinds[..]
    else {
        panic!("{kinds:?}");
    };
    assert_eq!(*lasting, seconds(5));
    assert!((count - 2.0).abs() < f64::EPSILON, "{count}");
    bench.forget();
    bench.pass(seconds(5));
    assert_eq!(bench.story(), ["a ServiceResumed"]);
    assert_eq!(bench.actions(), ["start a 2"]);
}

#[test]
fn pause_of_one_service_has_a_length_a_random_part_and_a_bound_of_its_own() {
    let window = || RestartLimit::window(1, seconds(60));
    // The benches' random number is a half.
    for (limit, lasting) in [
        (window(), 60),
        (window().pause(seconds(16)), 16),
        (window().pause(seconds(16)).jitter(0.5), 20),
        (window().jitter(0.5).max_pause(seconds(70)), 70),
    ] {
        let mut own = named("a");
        own.rare().limit = Some(limit);
        let mut bench = Bench::running(unlimited(), vec![own]);
        bench.fail("a");
        bench.ready("a");
        bench.fail("a");
        let next = bench.now + seconds(lasting);
        assert_eq!(bench.view("a").next_start, Some(next));
    }
}

/// A service that pauses by its own limit does not wait for the end of the supervisor's pause.
#[test]
fn end_of_a_pause_counts_those_that_waited_for_it() {
    let rules = SupervisorRules {
        limit: RestartLimit::decay(seconds(30), 0.5, seconds(5)),
        ..SupervisorRules::default()
    };
    let mut own = named("a");
    let limit = RestartLimit::decay(seconds(30), 0.5, seconds(60));
    own.rare().limit = Some(limit);
    let mut bench = Bench::running(rules, vec![own, named("b")]);
    bench.fail("a");
    bench.fail("b");
    let b = bench.token("b");
    // Twice in the queue.
    bench.state.restart(b, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.ready("b");
    bench.fail("b");
    bench.pass(seconds(5));
    let ended = bench.events.iter().find_map(|event| match event.kind() {
        EventKind::PauseEnded { queued } => Some(*queued),
        _ => None,
    });
    assert_eq!(ended, Some(1));
}

/// What is said for each service.
fn defaults() -> DefaultRules {
    DefaultRules {
        backoff: Some(Backoff::constant(seconds(3))),
        limit: Some(RestartLimit::window(1, seconds(60)).give_up()),
        shutdown: Some(Shutdown::Timeout(seconds(4))),
        start_timeout: Some(seconds(5)),
    }
}

fn each(each_service: DefaultRules) -> SupervisorRules {
    SupervisorRules {
        each_service,
        ..unlimited()
    }
}

#[test]
fn service_that_says_nothing_gets_what_is_said_for_each() {
    let mut bench = Bench::running(each(defaults()), Vec::new());
    let a = bench.add(named("a")).unwrap();
    assert_eq!(bench.actions(), ["start a 0"]);
    bench.pass(just_before(seconds(5)));
    bench.ready("a");
    bench.fail("a");
    bench.forget();
    bench.pass(just_before(seconds(3)));
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.pass(millis(1));
    assert_eq!(bench.actions(), ["start a 1"]);
    // Not ready in time.
    bench.pass(seconds(5));
    assert_eq!(bench.actions(), ["kill a start timeout"]);
    bench.exit("a", ExitReason::Killed(KillCause::StartTimeout));
    assert_eq!(bench.state_of("a"), ServiceState::Failed);
    bench.state.reset(a, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.ready("a");
    bench.forget();
    bench.state.stop(a, Waiter(2), bench.now).unwrap();
    bench.run();
    bench.pass(just_before(seconds(4)));
    assert_eq!(bench.actions(), ["stop a"]);
    bench.pass(millis(1));
    assert_eq!(bench.actions(), ["kill a stop timeout"]);
}

#[test]
fn what_a_service_says_itself_counts() {
    let mut own = named("a");
    own.shutdown = Some(Shutdown::BrutalKill);
    own.rare().backoff = Some(Backoff::none());
    own.rare().limit = Some(RestartLimit::unlimited());
    own.rare().start_timeout = Some(seconds(50));
    let mut bench = Bench::running(each(defaults()), Vec::new());
    let a = bench.add(own).unwrap();
    bench.pass(just_before(seconds(50)));
    for generation in 1..4 {
        bench.ready("a");
        bench.forget();
        bench.fail("a");
        assert_eq!(bench.actions(), [format!("start a {generation}")]);
    }
    bench.ready("a");
    bench.forget();
    bench.state.stop(a, Waiter(1), bench.now).unwrap();
    bench.run();
    assert_eq!(bench.actions(), ["kill a requested"]);
}

/// A time that is meant for one service would bound everything below a supervisor.
#[test]
fn supervisor_below_gets_limit_and_backoff_of_each_and_no_times() {
    let mut sub = named("sub");
    sub.kind = ServiceKind::Supervisor;
    let mut bench = Bench::running(each(defaults()), Vec::new());
    let token = bench.add(sub).unwrap();
    bench.pass(seconds(3600));
    assert_eq!(bench.actions(), ["start sub 0"]);
    bench.ready("sub");
    bench.state.stop(token, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.forget();
    // As long as its supervisor says, since nothing was said by itself.
    bench.pass(just_before(SupervisorRules::default().shutdown_timeout));
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.exit("sub", ExitReason::Shutdown);
    bench.state.restart(token, Waiter(2), bench.now).unwrap();
    bench.run();
    bench.ready("sub");
    bench.fail("sub");
    assert_eq!(bench.state_of("sub"), ServiceState::BackingOff);
    bench.pass(seconds(3));
    bench.ready("sub");
    bench.fail("sub");
    assert_eq!(bench.state_of("sub"), ServiceState::Failed);
}

#[test]
fn what_is_said_for_each_later_is_for_those_that_are_added_later() {
    let mut bench = Bench::running(unlimited(), vec![named("a")]);
    let rules = each(DefaultRules {
        limit: Some(RestartLimit::window(0, seconds(60)).give_up()),
        ..DefaultRules::default()
    });
    bench.state.reconfigure(rules, bench.now).unwrap();
    bench.run();
    bench.add(named("b")).unwrap();
    bench.ready("b");
    bench.fail("a");
    bench.fail("b");
    assert_eq!(bench.state_of("a"), ServiceState::Starting);
    assert_eq!(bench.state_of("b"), ServiceState::Failed);
}

#[test]
fn nonsense_that_is_said_for_each_service_is_refused_with_its_field() {
    let zero = Duration::ZERO;
    let table = [
        (
            DefaultRules {
                limit: Some(RestartLimit::window(0, seconds(1))),
                ..defaults()
            },
            "limit.max = 0",
        ),
        (
            DefaultRules {
                backoff: Some(Backoff::exponential(seconds(2), seconds(1))),
                ..defaults()
            },
            "backoff.max = 1s",
        ),
        (
            DefaultRules {
                start_timeout: Some(zero),
                ..defaults()
            },
            "start_timeout = 0ns",
        ),
    ];
    for (nonsense, text) in table {
        let refused = each(nonsense).validate().unwrap_err();
        let SpecError::InvalidValue { field, value, .. } = refused else {
            panic!("{refused}");
        };
        assert_eq!((field, &*value), ("each_service", text));
    }
    // Only a service gives up, and this is what is said for services.
    each(defaults()).validate().unwrap();
}
