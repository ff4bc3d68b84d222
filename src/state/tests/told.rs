//! What is told of restarts.

use super::{failures::fatal_rules, *};

/// What the last event about a service says of its restart.
fn told(bench: &Bench, name: &str) -> Restarting {
    let about = |event: &&Occurrence| event.path().trim_start_matches("root/") == name;
    let told = |event: &Occurrence| match event.kind() {
        EventKind::ServiceStartFailed { restarting, .. }
        | EventKind::ServiceFailed { restarting, .. }
        | EventKind::ServicePanicked { restarting, .. }
        | EventKind::ServiceCompleted { restarting, .. } => Some(*restarting),
        _ => None,
    };
    let mut events = bench.events.iter().filter(about).rev();
    events.find_map(told).expect("an end was told")
}

#[test]
fn member_of_a_group_that_errs_while_it_is_stopped_says_that_it_is_restarted() {
    let mut once = named("c");
    once.restart = RestartType::Temporary;
    for which in [Strategy::OneForAll, Strategy::RestForOne] {
        let services = vec![named("a"), named("b"), once.clone(), named("d")];
        let mut bench = Bench::running(strategy(which), services);
        bench.fail("a");
        for name in ["d", "c", "b"] {
            bench.fail(name);
        }
        bench.get_ready();
        assert_eq!(told(&bench, "b"), Restarting::Now, "{which}");
        assert_eq!(told(&bench, "c"), Restarting::No, "{which}");
        assert_eq!(told(&bench, "d"), Restarting::Now, "{which}");
        assert_eq!(bench.view("b").generation, 1);
        assert_eq!(bench.view("c").generation, 0);
    }
}

#[test]
fn member_of_a_group_that_errs_during_a_pause_says_that_it_waits_for_the_end_of_that() {
    let rules = SupervisorRules {
        strategy: Strategy::RestForOne,
        limit: RestartLimit::decay(seconds(30), 1.5, seconds(15)),
        ..SupervisorRules::default()
    };
    let services = ["a", "b", "c"].map(named).to_vec();
    let mut bench = Bench::running(rules, services);
    bench.fail("b");
    bench.fail("a");
    bench.fail("c");
    assert_eq!(told(&bench, "a"), Restarting::AfterPause);
    assert_eq!(told(&bench, "c"), Restarting::AfterPause);
    assert_eq!(bench.state_of("c"), ServiceState::Waiting);
}

#[test]
fn bound_service_that_errs_while_it_is_stopped_says_when_it_is_restarted() {
    for ready in [false, true] {
        let mut api = named("api");
        api.rare().binds_to = vec![Arc::from("db")];
        let mut bench = Bench::running(unlimited(), vec![named("db"), api]);
        bench.fail("db");
        if ready {
            bench.ready("db");
        }
        bench.fail("api");
        let expected = if ready {
            Restarting::Now
        } else {
            Restarting::WhenUnblocked
        };
        assert_eq!(told(&bench, "api"), expected);
        assert_eq!(bench.state_of("api") == ServiceState::Starting, ready);
    }
}

#[test]
fn service_that_errs_while_it_is_stopped_on_request_says_what_was_asked_for() {
    for restarted in [false, true] {
        let mut bench = Bench::running(unlimited(), vec![named("a")]);
        let a = bench.token("a");
        if restarted {
            bench.state.restart(a, Waiter(1), bench.now).unwrap();
        } else {
            bench.state.stop(a, Waiter(1), bench.now).unwrap();
        }
        bench.run();
        bench.fail("a");
        let expected = if restarted {
            Restarting::Now
        } else {
            Restarting::No
        };
        assert_eq!(told(&bench, "a"), expected);
    }
}

#[test]
fn fatal_error_while_a_service_is_stopped_for_a_restart_says_that_there_is_none() {
    let mut bench = Bench::running(fatal_rules(None), vec![named("a")]);
    let a = bench.token("a");
    bench.state.restart(a, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.exit("a", ExitReason::Failed(ServiceError::new("fatal: disk")));
    assert_eq!(told(&bench, "a"), Restarting::No);
    assert!(matches!(bench.cause(), Some(Cause::Fatal { .. })));
}

#[test]
fn service_that_fails_while_what_it_requires_is_down_says_that_it_waits_and_for_whom() {
    for which in [
        Strategy::OneForOne,
        Strategy::OneForAll,
        Strategy::RestForOne,
    ] {
        let mut db = named("db");
        db.rare().backoff = Some(Backoff::constant(seconds(10)));
        let mut api = named("api");
        api.rare().requires = vec![Arc::from("db")];
        let mut bench = Bench::running(strategy(which), vec![db, api]);
        bench.fail("db");
        bench.fail("api");
        let after = seconds(10);
        if which == Strategy::OneForOne {
            assert_eq!(told(&bench, "api"), Restarting::WhenUnblocked);
        }
        let blocked = bench.events.last().map(Occurrence::kind);
        let on = Arc::from("db");
        let why = Blocked::Delayed { after };
        assert_eq!(
            blocked,
            Some(&EventKind::ServiceBlocked { on, why }),
            "{which}"
        );
        bench.pass(after);
        bench.get_ready();
        assert_eq!(bench.state_of("api"), ServiceState::Ready, "{which}");
    }
}

#[test]
fn service_that_fails_after_what_it_requires_was_removed_says_that_it_waits_and_for_whom() {
    for delay in [0, 5] {
        let mut api = named("api");
        api.rare().requires = vec![Arc::from("db")];
        api.rare().backoff = Some(Backoff::constant(seconds(delay)));
        let mut bench = Bench::running(unlimited(), vec![named("db"), api]);
        let db = bench.token("db");
        bench.state.remove(db, Waiter(1), bench.now).unwrap();
        bench.run();
        bench.get_stopped();
        bench.fail("api");
        let expected = match delay {
            0 => Restarting::WhenUnblocked,
            _ => Restarting::After(seconds(delay)),
        };
        assert_eq!(told(&bench, "api"), expected);
        bench.pass(seconds(delay));
        let blocked = bench.events.last().map(Occurrence::kind);
        let (on, why) = (Arc::from("db"), Blocked::Missing);
        assert_eq!(blocked, Some(&EventKind::ServiceBlocked { on, why }));
    }
}
