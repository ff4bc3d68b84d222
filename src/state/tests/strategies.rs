//! Who is restarted with whom.

use super::*;

fn abc() -> Vec<ServiceRules> {
    ["a", "b", "c"].map(named).to_vec()
}

#[test]
fn strategy_and_position_decide_who_is_restarted() {
    use Strategy::{OneForAll, OneForOne, RestForOne};
    let table: [(Strategy, &str, &[&str]); 9] = [
        (OneForOne, "a", &["start a 1"]),
        (OneForOne, "b", &["start b 1"]),
        (OneForOne, "c", &["start c 1"]),
        (
            OneForAll,
            "a",
            &["stop c", "stop b", "start a 1", "start b 1", "start c 1"],
        ),
        (
            OneForAll,
            "b",
            &["stop c", "stop a", "start a 1", "start b 1", "start c 1"],
        ),
        (
            OneForAll,
            "c",
            &["stop b", "stop a", "start a 1", "start b 1", "start c 1"],
        ),
        (
            RestForOne,
            "a",
            &["stop c", "stop b", "start a 1", "start b 1", "start c 1"],
        ),
        (RestForOne, "b", &["stop c", "start b 1", "start c 1"]),
        (RestForOne, "c", &["start c 1"]),
    ];
    for (which, failing, actions) in table {
        let rules = SupervisorRules {
            strategy: which,
            ..SupervisorRules::default()
        };
        let mut bench = Bench::running(rules, abc());
        bench.fail(failing);
        bench.get_stopped();
        bench.get_ready();
        assert_eq!(bench.actions(), actions, "{which} {failing}");
        let counted = bench.state.failure_count(bench.now);
        assert!((counted - 1.0).abs() < f64::EPSILON, "{which} {failing}");
        assert!(
            bench
                .state
                .services()
                .all(|view| view.state == ServiceState::Ready)
        );
    }
}

#[test]
fn group_restart_is_told_in_order() {
    let mut bench = Bench::running(strategy(Strategy::OneForAll), abc());
    bench.fail("b");
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(
        bench.story()[..7],
        [
            "b ServiceFailed",
            "b GroupRestarted",
            "c ServiceStopped",
            "a ServiceStopped",
            "a ServiceStarted",
            "a ServiceReady",
            "b ServiceStarted",
        ]
    );
}

#[test]
fn one_that_fails_to_start_in_a_group_of_all_takes_the_started_ones_with_it() {
    let mut bench = Bench::running(strategy(Strategy::OneForAll), abc());
    bench.fail("c");
    bench.get_stopped();
    bench.ready("a");
    bench.forget();
    bench.fail("b");
    assert_eq!(bench.actions(), ["stop a"]);
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(bench.actions(), ["start a 2", "start b 2", "start c 1"]);
}

#[test]
fn one_that_fails_to_start_in_the_rest_leaves_those_before_it_alone() {
    let mut bench = Bench::running(strategy(Strategy::RestForOne), abc());
    bench.fail("a");
    bench.get_stopped();
    bench.ready("a");
    bench.forget();
    bench.fail("b");
    assert_eq!(bench.actions(), ["start b 2"]);
    bench.get_ready();
    assert_eq!(bench.actions(), ["start c 1"]);
    assert_eq!(bench.view("a").generation, 1);
}

#[test]
fn group_restart_that_fails_too_often_escalates() {
    for which in [Strategy::OneForAll, Strategy::RestForOne] {
        let rules = SupervisorRules {
            strategy: which,
            limit: RestartLimit::window(4, seconds(3600)).escalate(),
            ..SupervisorRules::default()
        };
        let mut bench = Bench::running(rules, abc());
        bench.fail("b");
        let mut attempts = 0;
        while bench.ended.is_none() {
            bench.get_stopped();
            if bench.state_of("b") == ServiceState::Starting {
                attempts += 1;
                bench.fail("b");
            } else if bench.ended.is_none() {
                bench.ready("a");
            }
        }
        assert_eq!(attempts, 4, "{which}");
        assert!(matches!(bench.cause(), Some(Cause::Escalated { .. })));
    }
}

#[test]
fn siblings_that_are_temporary_or_have_said_so_are_not_revived_and_one_shot_ones_run_again() {
    let mut once = named("once");
    once.restart = RestartType::Temporary;
    let mut job = named("job");
    job.restart = RestartType::Transient;
    let services = vec![named("a"), once, job, named("over"), named("away")];
    let mut bench = Bench::running(strategy(Strategy::OneForAll), services);
    let mut dynamic = named("dynamic");
    dynamic.restart = RestartType::Temporary;
    bench.add(dynamic).unwrap();
    bench.get_ready();
    bench.exit("job", ExitReason::Normal);
    bench.exit_with("over", Verdict::DoNotRestart);
    let away = bench.token("away");
    bench.state.stop(away, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    bench.forget();
    bench.fail("a");
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(
        bench.actions(),
        [
            "stop dynamic",
            "release dynamic",
            "stop once",
            "start a 1",
            "start job 1",
            "start away 1"
        ]
    );
    assert_eq!(bench.state_of("once"), ServiceState::Stopped);
    assert_eq!(bench.state_of("over"), ServiceState::Stopped);
}

#[test]
fn sibling_that_fails_while_it_is_stopped_for_the_group_is_reported_and_not_counted() {
    let rules = SupervisorRules {
        strategy: Strategy::OneForAll,
        ..SupervisorRules::default()
    };
    let mut bench = Bench::running(rules, abc());
    bench.fail("a");
    bench.fail("c");
    bench.get_stopped();
    bench.get_ready();
    assert!(bench.story().contains(&String::from("c ServiceFailed")));
    assert!((bench.state.failure_count(bench.now) - 1.0).abs() < f64::EPSILON);
    assert_eq!(bench.view("c").generation, 1);
}

#[test]
fn failure_in_a_group_that_is_being_stopped_widens_it() {
    let mut bench = Bench::running(strategy(Strategy::RestForOne), abc());
    bench.fail("b");
    assert_eq!(bench.actions(), ["stop c"]);
    bench.fail("a");
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(bench.actions(), ["start a 1", "start b 1", "start c 1"]);
}

#[test]
fn ready_member_that_fails_while_the_group_starts_begins_it_anew() {
    let mut bench = Bench::running(strategy(Strategy::OneForAll), abc());
    bench.fail("a");
    bench.get_stopped();
    bench.ready("a");
    bench.forget();
    bench.fail("a");
    // `b` is starting.
    assert_eq!(bench.actions(), ["stop b"]);
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(bench.actions(), ["start a 2", "start b 2", "start c 1"]);
}

fn delayed(name: &str, delay: Duration) -> ServiceRules {
    let mut rules = named(name);
    rules.rare().backoff = Some(Backoff::constant(delay));
    rules
}

fn requiring(name: &str, required: &str) -> ServiceRules {
    let mut rules = named(name);
    rules.rare().requires = vec![Arc::from(required)];
    rules
}

/// Who was told to wait for whom, for how long.
fn told_to_wait(bench: &Bench) -> Vec<(&str, &str, Duration)> {
    let told = |event: &'_ Occurrence| match event.kind() {
        EventKind::ServiceBlocked {
            why: Blocked::Delayed { after },
            ..
        } => Some(*after),
        _ => None,
    };
    let mut all = Vec::new();
    for event in &bench.events {
        if let (Some(after), EventKind::ServiceBlocked { on, .. }) = (told(event), event.kind()) {
            all.push((event.path().trim_start_matches("root/"), &**on, after));
        }
    }
    all
}

#[test]
fn group_starts_without_the_one_whose_delay_is_not_over() {
    let services = vec![named("a"), delayed("b", seconds(5)), named("c")];
    let mut bench = Bench::running(strategy(Strategy::OneForAll), services);
    bench.fail("b");
    assert_eq!(bench.state_of("b"), ServiceState::BackingOff);
    assert_eq!(bench.view("b").next_start, Some(bench.now + seconds(5)));
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(
        bench.actions(),
        ["stop c", "stop a", "start a 1", "start c 1"]
    );
    bench.pass(millis(4999));
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.pass(millis(1));
    bench.get_ready();
    // Alone: the others have been started for this failure already.
    assert_eq!(bench.actions(), ["start b 1"]);
}

#[test]
fn delay_that_is_over_while_the_group_stops_waits_for_the_turn() {
    let services = vec![named("a"), delayed("b", seconds(5)), named("c")];
    let mut bench = Bench::running(strategy(Strategy::OneForAll), services);
    bench.fail("b");
    bench.pass(seconds(6));
    assert_eq!(bench.state_of("b"), ServiceState::Waiting);
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(
        bench.actions(),
        ["stop c", "stop a", "start a 1", "start b 1", "start c 1"]
    );
}

#[test]
fn each_member_keeps_its_own_delay() {
    for which in [Strategy::OneForAll, Strategy::RestForOne] {
        let services = vec![
            delayed("a", millis(300)),
            named("b"),
            delayed("c", seconds(5)),
        ];
        let mut bench = Bench::running(strategy(which), services);
        let due = bench.now + seconds(5);
        bench.fail("c");
        bench.get_stopped();
        bench.get_ready();
        bench.pass(seconds(1));
        bench.forget();
        bench.fail("a");
        bench.get_stopped();
        assert_eq!(bench.view("c").next_start, Some(due), "{which}");
        bench.pass(millis(300));
        bench.get_ready();
        assert_eq!(bench.view("c").next_start, Some(due), "{which}");
        bench.pass(millis(3700));
        bench.get_ready();
        assert_eq!(bench.view("c").generation, 1, "{which}");
        assert_eq!(bench.state_of("c"), ServiceState::Ready, "{which}");
    }
}

#[test]
fn only_those_that_require_one_with_a_delay_wait_for_it_and_are_told_for_how_long() {
    let services = vec![
        named("x"),
        delayed("db", seconds(3600)),
        requiring("api", "db"),
        requiring("web", "api"),
        named("y"),
    ];
    let mut bench = Bench::running(strategy(Strategy::OneForAll), services);
    bench.fail("db");
    bench.get_stopped();
    bench.get_ready();
    for (name, expected) in [
        ("x", ServiceState::Ready),
        ("db", ServiceState::BackingOff),
        ("api", ServiceState::Waiting),
        ("web", ServiceState::Waiting),
        ("y", ServiceState::Ready),
    ] {
        assert_eq!(bench.state_of(name), expected, "{name}");
    }
    assert_eq!(
        told_to_wait(&bench),
        [("api", "db", seconds(3600)), ("web", "db", seconds(3600))]
    );
    let (on, why) = bench.view("web").waits_for.unwrap();
    assert_eq!(&*on, "db");
    let after = seconds(3600);
    assert_eq!(why.told(bench.now), Blocked::Delayed { after });
    // Nobody in the group is required: it starts at once.
    bench.add(named("z")).unwrap();
    assert_eq!(bench.state_of("z"), ServiceState::Starting);
    bench.pass(seconds(3600));
    bench.get_ready();
    for name in ["db", "api", "web"] {
        assert_eq!(bench.state_of(name), ServiceState::Ready, "{name}");
    }
}

#[test]
fn rest_waits_for_one_with_a_delay_and_is_told_for_how_long() {
    let services = vec![
        named("a"),
        delayed("b", seconds(60)),
        named("c"),
        named("d"),
    ];
    let mut bench = Bench::running(strategy(Strategy::RestForOne), services);
    bench.fail("b");
    assert_eq!(bench.actions(), ["stop d"]);
    bench.get_stopped();
    assert_eq!(bench.actions(), ["stop c"]);
    let after = seconds(60);
    assert_eq!(told_to_wait(&bench), [("c", "b", after), ("d", "b", after)]);
    bench.pass(seconds(10));
    let (on, why) = bench.view("d").waits_for.unwrap();
    assert_eq!(
        (&*on, why.told(bench.now)),
        ("b", Blocked::Delayed { after: seconds(50) })
    );
    // Added meanwhile, it is not of the rest that was stopped.
    bench.add(named("e")).unwrap();
    bench.get_ready();
    assert_eq!(bench.actions(), ["start e 0"]);
    bench.pass(seconds(50));
    bench.get_ready();
    assert_eq!(bench.actions(), ["start b 1", "start c 1", "start d 1"]);
}

#[test]
fn rest_goes_on_without_one_with_a_delay_that_is_stopped_or_removed() {
    for removed in [false, true] {
        let services = vec![delayed("a", seconds(60)), named("b"), named("c")];
        let mut bench = Bench::running(strategy(Strategy::RestForOne), services);
        bench.fail("a");
        bench.get_stopped();
        bench.forget();
        let a = bench.token("a");
        if removed {
            bench.state.remove(a, Waiter(1), bench.now).unwrap();
        } else {
            bench.state.stop(a, Waiter(1), bench.now).unwrap();
        }
        bench.run();
        bench.get_ready();
        let started: Vec<String> = bench.actions();
        let started = started.iter().filter(|action| action.starts_with("start"));
        assert_eq!(started.collect::<Vec<_>>(), ["start b 1", "start c 1"]);
    }
}

#[test]
fn rest_that_waits_is_told_anew_when_somebody_else_holds_it_up() {
    let services = vec![
        delayed("a", seconds(60)),
        delayed("b", seconds(5)),
        named("c"),
    ];
    let mut bench = Bench::running(strategy(Strategy::RestForOne), services);
    bench.fail("b");
    bench.get_stopped();
    bench.fail("a");
    assert_eq!(
        told_to_wait(&bench),
        [("c", "b", seconds(5)), ("c", "a", seconds(60))]
    );
    bench.forget();
    bench.pass(seconds(5));
    // Its delay is over, and it waits for the one before it.
    assert_eq!(told_to_wait(&bench), [("b", "a", seconds(55))]);
    bench.pass(seconds(55));
    bench.get_ready();
    assert_eq!(bench.actions(), ["start a 1", "start b 1", "start c 1"]);
}

#[test]
fn request_by_hand_cuts_the_delay_of_a_member_short() {
    for which in [Strategy::OneForAll, Strategy::RestForOne] {
        let services = vec![delayed("a", seconds(3600)), named("b")];
        let mut bench = Bench::running(strategy(which), services);
        bench.fail("a");
        bench.get_stopped();
        bench.get_ready();
        let a = bench.token("a");
        bench.state.restart(a, Waiter(1), bench.now).unwrap();
        bench.run();
        assert_eq!(bench.state_of("a"), ServiceState::Starting, "{which}");
        // Those behind it still wait until it is ready.
        let waits = which == Strategy::RestForOne;
        assert_eq!(
            bench.state_of("b") == ServiceState::Waiting,
            waits,
            "{which}"
        );
        bench.ready("a");
        bench.get_ready();
        assert_eq!(bench.answers, [(Waiter(1), Answer::Restarted(Ok(())))]);
        assert_eq!(bench.state_of("b"), ServiceState::Ready, "{which}");
    }
}

#[test]
fn request_by_hand_starts_a_member_that_waits_for_the_delay_of_another() {
    let services = vec![
        delayed("a", seconds(3600)),
        delayed("b", seconds(3600)),
        named("c"),
    ];
    let mut bench = Bench::running(strategy(Strategy::RestForOne), services);
    bench.fail("b");
    bench.fail("a");
    bench.get_stopped();
    for name in ["b", "c"] {
        let token = bench.token(name);
        bench.state.restart(token, Waiter(1), bench.now).unwrap();
        bench.run();
        assert_eq!(bench.state_of(name), ServiceState::Starting, "{name}");
    }
    assert_eq!(bench.state_of("a"), ServiceState::BackingOff);
}

#[test]
fn request_for_a_member_with_a_delay_while_the_group_stops_is_done_in_its_turn() {
    let services = vec![named("a"), delayed("b", seconds(3600)), named("c")];
    let mut bench = Bench::running(strategy(Strategy::OneForAll), services);
    bench.fail("b");
    let b = bench.token("b");
    bench.state.restart(b, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(
        bench.actions(),
        ["stop c", "stop a", "start a 1", "start b 1", "start c 1"]
    );
    assert_eq!(bench.answers, [(Waiter(1), Answer::Restarted(Ok(())))]);
}

#[test]
fn group_waits_for_the_end_of_a_pause() {
    let rules = SupervisorRules {
        strategy: Strategy::OneForAll,
        limit: RestartLimit::decay(seconds(30), 0.0, seconds(15)),
        ..SupervisorRules::default()
    };
    let mut bench = Bench::running(rules, abc());
    bench.fail("b");
    assert_eq!(bench.actions(), Vec::<String>::new());
    assert_eq!(bench.state_of("a"), ServiceState::Ready);
    bench.pass(seconds(15));
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(
        bench.actions(),
        ["stop c", "stop a", "start a 1", "start b 1", "start c 1"]
    );
}

#[test]
fn service_that_was_stopped_on_request_starts_with_its_group() {
    let mut bench = Bench::running(strategy(Strategy::OneForAll), abc());
    let b = bench.token("b");
    bench.state.stop(b, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    bench.fail("a");
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(bench.state_of("b"), ServiceState::Ready);
    assert_eq!(bench.view("c").generation, 1);
}

#[test]
fn one_removed_while_its_group_stops_is_forgotten() {
    let mut bench = Bench::running(strategy(Strategy::OneForAll), abc());
    bench.fail("a");
    let b = bench.token("b");
    bench.state.remove(b, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    bench.get_ready();
    assert!(bench.state.named("b").is_none());
    assert_eq!(bench.view("c").generation, 1);
    assert_eq!(
        bench.answers,
        [(Waiter(1), Answer::Removed(Ok(ExitReason::Shutdown)))]
    );
}

#[test]
fn pause_that_begins_while_a_group_starts_holds_up_the_rest_of_it() {
    let rules = SupervisorRules {
        strategy: Strategy::OneForAll,
        limit: RestartLimit::decay(seconds(30), 1.5, seconds(15)),
        ..SupervisorRules::default()
    };
    let mut bench = Bench::running(rules, abc());
    bench.fail("a");
    bench.get_stopped();
    bench.forget();
    bench.fail("a");
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.pass(seconds(15));
    bench.get_ready();
    assert_eq!(bench.actions(), ["start a 2", "start b 1", "start c 1"]);
}

#[test]
fn member_that_finishes_before_it_is_asked_runs_again_unless_it_has_said_otherwise() {
    for verdict in [None, Some(Verdict::DoNotRestart)] {
        let mut job = named("job");
        job.restart = RestartType::Transient;
        let mut bench = Bench::running(
            strategy(Strategy::OneForAll),
            vec![named("a"), job, named("c")],
        );
        bench.fail("a");
        assert_eq!(bench.actions(), ["stop c"]);
        match verdict {
            Some(verdict) => bench.exit_with("job", verdict),
            None => bench.exit("job", ExitReason::Normal),
        }
        bench.get_stopped();
        bench.get_ready();
        let started = bench.actions();
        if verdict.is_some() {
            assert_eq!(started, ["start a 1", "start c 1"]);
            assert_eq!(bench.state_of("job"), ServiceState::Stopped);
        } else {
            assert_eq!(started, ["start a 1", "start job 1", "start c 1"]);
        }
    }
}

/// A group of all that is being stopped, with `d` before `c`; what `d` requires was removed before.
fn group_without_a_requirement() -> Bench {
    let mut d = named("d");
    d.rare().requires = vec![Arc::from("x")];
    let mut bench = Bench::running(
        strategy(Strategy::OneForAll),
        vec![named("z"), named("x"), d, named("a"), named("c")],
    );
    let x = bench.token("x");
    bench.state.remove(x, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    bench.forget();
    bench.fail("a");
    bench
}

#[test]
fn service_that_moves_in_start_order_before_it_is_asked_is_asked_once() {
    let mut bench = group_without_a_requirement();
    bench.add(named("x")).unwrap();
    bench.exit("c", ExitReason::Shutdown);
    bench.exit("d", ExitReason::Shutdown);
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(
        bench.actions(),
        [
            "stop c",
            "start x 0",
            "stop d",
            "stop z",
            "start z 1",
            "start a 1",
            "start c 1",
            "start d 1",
        ]
    );
}

#[test]
fn service_that_moves_in_start_order_while_it_is_in_line_can_be_removed() {
    let mut bench = group_without_a_requirement();
    bench.acknowledge("c");
    bench.exit("d", ExitReason::Shutdown);
    bench.add(named("x")).unwrap();
    let d = bench.token("d");
    bench.state.remove(d, Waiter(2), bench.now).unwrap();
    bench.run();
    bench.forget();
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(bench.actions(), ["start z 1", "start a 1", "start c 1"]);
}
