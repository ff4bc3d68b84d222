//! Starting a supervisor and its services.

use super::*;

#[test]
fn services_start_one_after_the_other_in_the_given_order() {
    let mut bench = Bench::new(unlimited());
    for name in ["c", "a", "b"] {
        bench.add(named(name)).unwrap();
    }
    bench.state.start(bench.now);
    bench.run();
    assert_eq!(bench.actions(), ["start c 0"]);
    bench.ready("c");
    assert_eq!(bench.actions(), ["start a 0"]);
    bench.ready("a");
    bench.ready("b");
    assert_eq!(bench.actions(), ["start b 0"]);
    assert_eq!(bench.started, 1);
    assert_eq!(
        bench.story(),
        [
            "c ServiceAdded",
            "a ServiceAdded",
            "b ServiceAdded",
            "c ServiceStarted",
            "c ServiceReady",
            "a ServiceStarted",
            "a ServiceReady",
            "b ServiceStarted",
            "b ServiceReady",
            "root SupervisorStarted",
        ]
    );
}

#[test]
fn supervisor_without_services_is_started_at_once() {
    let mut bench = Bench::new(unlimited());
    bench.state.start(bench.now);
    bench.run();
    assert_eq!(bench.started, 1);
    assert_eq!(bench.story(), ["root SupervisorStarted"]);
}

#[test]
fn service_comes_after_what_it_requires_though_it_was_added_before() {
    let mut bench = Bench::new(unlimited());
    let mut api = named("api");
    api.rare().requires = vec![Arc::from("db")];
    bench.add(api).unwrap();
    bench.add(named("x")).unwrap();
    bench.add(named("db")).unwrap();
    bench.state.start(bench.now);
    bench.run();
    bench.get_ready();
    assert_eq!(bench.actions(), ["start x 0", "start db 0", "start api 0"]);
}

#[test]
fn failed_start_stops_the_started_ones_in_reverse_order_and_starts_no_other() {
    let mut bench = Bench::new(unlimited());
    for name in ["a", "b", "c", "d"] {
        bench.add(named(name)).unwrap();
    }
    bench.state.start(bench.now);
    bench.run();
    bench.ready("a");
    bench.ready("b");
    bench.forget();
    let cause = failed();
    bench.exit("c", cause.clone());
    assert_eq!(bench.actions(), ["stop b"]);
    let unwound = failed();
    bench.exit("b", unwound.clone());
    assert_eq!(bench.actions(), ["stop a"]);
    bench.exit("a", ExitReason::Shutdown);
    assert_eq!(
        bench.story(),
        [
            "c ServiceStartFailed",
            "b ServiceFailed",
            "a ServiceStopped",
            "root SupervisorStartFailed",
        ]
    );
    let failed = Cause::StartFailed {
        path: Arc::from("root/c"),
        reason: cause,
    };
    assert_eq!(bench.cause(), Some(&failed));
    let unwinding = bench.ended.as_ref().map(|ended| ended.report.failures());
    assert_eq!(unwinding, Some(&[(Arc::from("root/b"), unwound)][..]));
    assert_eq!(bench.started, 0);
}

#[test]
fn end_before_ready_is_a_failed_start_unless_it_is_a_normal_one() {
    for reason in [ExitReason::Shutdown, failed()] {
        let mut bench = Bench::new(unlimited());
        bench.add(named("a")).unwrap();
        bench.state.start(bench.now);
        bench.run();
        bench.exit("a", reason);
        assert!(matches!(bench.cause(), Some(Cause::StartFailed { .. })));
    }
}

#[test]
fn requirement_that_nobody_has_fails_the_start_before_anything_has_begun() {
    let mut bench = Bench::new(unlimited());
    bench.add(named("a")).unwrap();
    let mut api = named("api");
    api.rare().requires = vec![Arc::from("db")];
    bench.add(api).unwrap();
    bench.state.start(bench.now);
    bench.run();
    assert_eq!(bench.actions(), Vec::<String>::new());
    let Some(Cause::StartFailed { path, reason }) = bench.cause() else {
        panic!("{:?}", bench.ended);
    };
    assert_eq!(&**path, "root/api");
    assert_eq!(
        reason.to_string(),
        "failed: required service `db` does not exist"
    );
}

#[test]
fn failure_of_a_ready_service_during_the_start_is_handled_after_it() {
    let mut bench = Bench::new(unlimited());
    bench.add(named("a")).unwrap();
    bench.add(named("b")).unwrap();
    bench.state.start(bench.now);
    bench.run();
    bench.ready("a");
    bench.forget();
    bench.fail("a");
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.ready("b");
    assert_eq!(
        bench.story(),
        [
            "b ServiceStarted",
            "b ServiceReady",
            "root SupervisorStarted",
            "a ServiceFailed",
        ]
    );
    assert_eq!(bench.actions(), ["start a 1"]);
}

#[test]
fn service_that_is_not_ready_in_time_is_killed_and_has_failed_to_start() {
    let mut bench = Bench::new(unlimited());
    let mut slow = named("slow");
    slow.rare().start_timeout = Some(seconds(5));
    bench.add(slow).unwrap();
    bench.state.start(bench.now);
    bench.run();
    bench.pass(seconds(5));
    assert_eq!(bench.actions(), ["start slow 0", "kill slow start timeout"]);
    // Too late.
    bench.ready("slow");
    bench.exit("slow", ExitReason::Killed(KillCause::StartTimeout));
    assert!(matches!(
        bench.cause(),
        Some(Cause::StartFailed {
            reason: ExitReason::Killed(KillCause::StartTimeout),
            ..
        })
    ));
}

#[test]
fn start_that_cannot_even_be_killed_is_abandoned_a_tenth_of_a_second_later() {
    let mut bench = Bench::running(unlimited(), vec![]);
    let mut slow = named("slow");
    slow.rare().start_timeout = Some(seconds(5));
    bench.add(slow).unwrap();
    bench.pass(millis(5_099));
    assert_eq!(bench.actions(), ["start slow 0", "kill slow start timeout"]);
    bench.pass(millis(1));
    assert_eq!(bench.actions(), ["abandon slow", "start slow 1"]);
    let late = bench.token("slow");
    bench.exit_at(late, 0, failed());
    assert_eq!(bench.state_of("slow"), ServiceState::Starting);
}

#[test]
fn shutdown_during_the_start_stops_also_the_one_that_starts() {
    let mut bench = Bench::new(unlimited());
    bench.add(named("a")).unwrap();
    bench.add(named("b")).unwrap();
    bench.add(named("c")).unwrap();
    bench.state.start(bench.now);
    bench.run();
    bench.ready("a");
    bench.forget();
    bench.shutdown();
    bench.get_stopped();
    assert_eq!(bench.actions(), ["stop b", "stop a"]);
    assert!(bench.cause() == Some(&Cause::Stopped));
}

#[test]
fn shutdown_before_the_start_ends_at_once() {
    let mut bench = Bench::new(unlimited());
    bench.add(named("a")).unwrap();
    bench.shutdown();
    assert!(bench.cause() == Some(&Cause::Stopped));
    bench.state.start(bench.now);
    bench.run();
    assert_eq!(bench.actions(), Vec::<String>::new());
}

#[test]
fn service_stopped_before_the_start_is_left_out() {
    let mut bench = Bench::new(unlimited());
    let a = bench.add(named("a")).unwrap();
    bench.add(named("b")).unwrap();
    bench.state.stop(a, Waiter(1), bench.now).unwrap();
    bench.state.start(bench.now);
    bench.run();
    bench.get_ready();
    assert_eq!(bench.actions(), ["start b 0"]);
    assert_eq!(bench.started, 1);
}

#[test]
fn names_are_checked() {
    let mut bench = Bench::new(unlimited());
    let first = bench.add(named("a")).unwrap();
    assert_eq!(
        bench.add(named("a")),
        Err(AddError::DuplicateName {
            name: Arc::from("a"),
            token: first,
        })
    );
    for name in ["", "x/y"] {
        let refused = bench.add(named(name)).unwrap_err();
        assert!(matches!(refused, AddError::Spec(_)), "{refused}");
    }
    // A path is no name.
    assert!(bench.add(named("other/b")).is_err());
    bench.add(named("b")).unwrap();
}

#[test]
fn services_that_require_each_other_are_refused_with_their_names_in_order() {
    let mut bench = Bench::new(unlimited());
    for (name, requires) in [("a", "b"), ("b", "c")] {
        let mut rules = named(name);
        rules.rare().requires = vec![Arc::from(requires)];
        bench.add(rules).unwrap();
    }
    let mut last = named("c");
    last.rare().binds_to = vec![Arc::from("a")];
    let refused = bench.add(last).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "services require each other: c -> a -> b -> c"
    );
    assert!(bench.state.named("c").is_none());

    let mut own = named("d");
    own.rare().requires = vec![Arc::from("d")];
    let refused = bench.add(own).unwrap_err();
    assert_eq!(refused.to_string(), "services require each other: d -> d");
    bench.add(named("c")).unwrap();
}

#[test]
fn significance_is_refused_where_it_has_no_meaning() {
    for mode in [
        AutoShutdown::Never,
        AutoShutdown::AnySignificant,
        AutoShutdown::AllSignificant,
    ] {
        for restart in [
            RestartType::Permanent,
            RestartType::Transient,
            RestartType::Temporary,
        ] {
            let mut bench = Bench::new(SupervisorRules {
                auto_shutdown: mode,
                ..unlimited()
            });
            let mut rules = named("a");
            rules.restart = restart;
            rules.significance = Significance::Significant;
            let accepted = mode != AutoShutdown::Never && restart != RestartType::Permanent;
            assert_eq!(bench.add(rules).is_ok(), accepted, "{mode:?} {restart}");
        }
    }
}

#[test]
fn explicit_readiness_is_refused_for_a_service_that_cannot_announce_it() {
    for readiness in [Readiness::OnStart, Readiness::Explicit] {
        for announces in [Announces::Never, Announces::OnDemand] {
            let mut bench = Bench::new(unlimited());
            let mut rules = named("a");
            rules.readiness = readiness;
            rules.announces = announces;
            let refused = readiness == Readiness::Explicit && announces == Announces::Never;
            assert_eq!(
                bench.add(rules).is_err(),
                refused,
                "{readiness:?} {announces:?}"
            );
        }
    }
}

#[test]
fn restarted_supervisor_starts_its_services_anew_with_the_same_tokens() {
    let mut bench = Bench::running(SupervisorRules::default(), vec![named("a"), named("b")]);
    let dynamic = bench.add(named("dynamic")).unwrap();
    let mut rules = named("once");
    rules.restart = RestartType::Temporary;
    bench.add(rules).unwrap();
    bench.get_ready();
    let stopped = bench.token("b");
    bench.state.stop(stopped, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    for _ in 0..3 {
        bench.fail("a");
        bench.ready("a");
    }
    bench.shutdown();
    bench.get_stopped();
    bench.forget();
    bench.ended = None;

    bench.state.restart_fresh(bench.now);
    bench.run();
    bench.get_ready();
    assert_eq!(
        bench.actions(),
        ["release once", "start a 4", "start b 1", "start dynamic 1"]
    );
    assert_eq!(bench.token("dynamic"), dynamic);
    assert_eq!(bench.started, 2);
    assert!(bench.state.failure_count(bench.now) < f64::EPSILON);
}

#[test]
fn supervisor_moves_with_its_services() {
    let mut bench = Bench::new(unlimited());
    let token = bench.add(named("a")).unwrap();
    bench.state.relocate(Arc::from("top/tier"));
    assert_eq!(&*bench.state.service(token).unwrap().path, "top/tier/a");
    assert_eq!(bench.token("a"), token);
    assert!(bench.add(named("a")).is_err());
}

#[test]
fn started_is_reported_before_ready_if_the_cell_tells() {
    let mut bench = Bench::running(unlimited(), vec![]);
    let token = bench.add(named("a")).unwrap();
    bench.state.started(token, 0, bench.now);
    bench.run();
    assert_eq!(bench.story(), ["a ServiceAdded", "a ServiceStarted"]);
    bench.ready("a");
    assert_eq!(bench.story(), ["a ServiceReady"]);
}

#[test]
fn nothing_is_reported_while_nobody_listens() {
    let mut bench = Bench::running(unlimited(), vec![named("a")]);
    bench.state.set_reporting(Reporting::Off);
    bench.fail("a");
    assert_eq!(bench.story(), Vec::<String>::new());
    assert_eq!(bench.actions(), ["start a 1"]);
}

#[test]
fn service_that_is_restarted_and_fails_again_and_again_while_its_supervisor_starts_is_judged_once()
{
    let mut bench = Bench::new(unlimited());
    bench.add(named("a")).unwrap();
    bench.add(named("b")).unwrap();
    bench.state.start(bench.now);
    bench.run();
    bench.ready("a");
    let token = bench.token("a");
    for round in 0..200 {
        bench.fail("a");
        bench
            .state
            .restart(token, Waiter(round), bench.now)
            .unwrap();
        bench.run();
        bench.ready("a");
    }
    bench.fail("a");
    bench.forget();
    bench.ready("b");
    assert_eq!(
        bench.story(),
        [
            "b ServiceStarted",
            "b ServiceReady",
            "root SupervisorStarted",
            "a ServiceFailed"
        ]
    );
    assert_eq!(bench.actions(), ["start a 201"]);
}

/// A service, and what happens to it.
type Way<'a> = (ServiceRules, &'a dyn Fn(&mut Bench));

#[test]
fn every_service_that_is_kept_counts_for_the_maximum() {
    let rules = || SupervisorRules {
        max_services: Some(2),
        ..unlimited()
    };
    let mut gives_up = named("a");
    gives_up.rare().limit = Some(RestartLimit::window(0, seconds(5)).give_up());
    let mut waits = named("a");
    waits.rare().requires = vec![Arc::from("missing")];
    let removal = |bench: &mut Bench| {
        let a = bench.token("a");
        bench.state.remove(a, Waiter(1), bench.now).unwrap();
        bench.run();
    };
    let ways: [Way<'_>; 5] = [
        (named("a"), &|bench| bench.ready("a")),
        (named("a"), &|_| {}),
        (gives_up, &|bench| bench.fail("a")),
        (waits, &|_| {}),
        (named("a"), &removal),
    ];
    for (rules_of_a, way) in ways {
        let mut bench = Bench::running(rules(), vec![named("b")]);
        bench.add(rules_of_a).unwrap();
        way(&mut bench);
        bench.forget();
        assert_eq!(bench.add(named("c")), Err(AddError::Full { max: 2 }));
        assert_eq!(bench.actions(), Vec::<String>::new());
        if bench.state_of("a") == ServiceState::Stopping {
            bench.exit("a", ExitReason::Shutdown);
        } else {
            removal(&mut bench);
            bench.get_stopped();
        }
        bench.add(named("c")).unwrap();
    }
}

/// Those that are not added again are forgotten only when the whole start function has succeeded.
#[test]
fn services_of_an_earlier_start_do_not_count_for_the_maximum_unless_they_are_added_again() {
    let rules = SupervisorRules {
        max_services: Some(2),
        ..unlimited()
    };
    let mut bench = Bench::running(rules, vec![named("a"), named("b")]);
    bench.shutdown();
    bench.get_stopped();
    bench.state.reopen(bench.now);
    bench.state.begin_anew();
    bench.run();
    assert_eq!(bench.add(named("c")), Err(AddError::Full { max: 2 }));
    bench.state.set_leftover(2);
    bench.add(named("c")).unwrap();
    bench.state.given_again();
    assert_eq!(bench.add(named("d")), Err(AddError::Full { max: 2 }));
}

#[test]
fn maximum_of_none_is_refused() {
    let rules = SupervisorRules {
        max_services: Some(0),
        ..unlimited()
    };
    let text = rules.validate().unwrap_err().to_string();
    assert_eq!(text, "`max_services` is `0`, expected a number above zero");
}
