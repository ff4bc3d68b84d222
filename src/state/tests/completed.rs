//! Services that end, and whom others wait for until then; and those that start at once.

use super::{
    dependencies::{blocked_on, bound, requiring},
    *,
};

/// A supervisor whose start has begun.
fn start(rules: SupervisorRules, services: Vec<ServiceRules>) -> Bench {
    let mut bench = Bench::new(rules);
    for service in services {
        bench.add(service).unwrap();
    }
    bench.state.start(bench.now);
    bench.run();
    bench
}

/// A service that ends by itself.
fn job(name: &str, restart: RestartType) -> ServiceRules {
    let mut job = named(name);
    job.restart = restart;
    job
}

/// A service that requires the end of others.
fn after(name: &str, jobs: &[&str]) -> ServiceRules {
    let mut rules = named(name);
    rules.rare().requires_completed = jobs.iter().map(|job| Arc::from(*job)).collect();
    rules
}

#[test]
fn start_waits_for_the_end_of_what_is_to_complete() {
    for declines in [false, true] {
        let services = vec![
            job("migrate", RestartType::Transient),
            after("server", &["migrate"]),
            named("last"),
        ];
        let mut bench = start(unlimited(), services);
        if !declines {
            bench.ready("migrate");
            assert_eq!(bench.actions(), ["start migrate 0"]);
            let view = bench.view("server");
            assert_eq!(view.state, ServiceState::Waiting);
            let told = blocked_on(&bench);
            let expected = ("server".into(), "migrate".into(), Blocked::NotCompleted);
            assert_eq!(told, [expected]);
        }
        bench.exit("migrate", ExitReason::Normal);
        assert_eq!(bench.state_of("migrate"), ServiceState::Stopped);
        bench.ready("server");
        assert_eq!(bench.state.status(), SupervisorStatus::Starting);
        bench.ready("last");
        assert_eq!(bench.state.status(), SupervisorStatus::Running);
        assert!(
            bench
                .actions()
                .ends_with(&["start server 0".into(), "start last 0".into()])
        );

        // After its own crash it does not wait for one that has completed; nor does one that requires it, if it ever was ready.
        bench.fail("server");
        assert_eq!(bench.actions(), ["start server 1"]);
        bench.add(requiring("late", &["migrate"])).unwrap();
        let expected: &[&str] = if declines { &[] } else { &["start late 0"] };
        assert_eq!(bench.actions(), expected);
    }
}

#[test]
fn what_is_to_complete_is_restarted_until_it_has_and_gives_up_with_the_start() {
    let mut migrate = job("migrate", RestartType::Transient);
    migrate.rare().limit = Some(RestartLimit::window(1, seconds(60)).give_up());
    let services = vec![migrate, after("server", &["migrate"])];
    for completes in [true, false] {
        let mut bench = start(unlimited(), services.clone());
        bench.ready("migrate");
        bench.fail("migrate");
        bench.ready("migrate");
        assert_eq!(bench.actions(), ["start migrate 0", "start migrate 1"]);
        if completes {
            bench.exit("migrate", ExitReason::Normal);
            bench.ready("server");
            assert_eq!(bench.state.status(), SupervisorStatus::Running);
            continue;
        }
        bench.fail("migrate");
        let Some(Cause::StartFailed { path, reason }) = bench.cause() else {
            panic!("{:?}", bench.cause());
        };
        assert_eq!(&**path, "root/server");
        assert_eq!(
            reason.to_string(),
            "failed: required service `migrate` has failed"
        );
    }
}

#[test]
fn one_that_ended_with_an_error_or_is_stopped_has_not_completed() {
    let mut bench = Bench::running(unlimited(), vec![job("migrate", RestartType::Temporary)]);
    bench.add(after("server", &["migrate"])).unwrap();
    let token = bench.token("migrate");
    bench.state.stop(token, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    bench.state.restart(token, Waiter(2), bench.now).unwrap();
    bench.run();
    bench.ready("migrate");
    bench.fail("migrate");
    let told: Vec<_> = blocked_on(&bench).into_iter().map(|told| told.2).collect();
    assert_eq!(
        told,
        [Blocked::NotCompleted, Blocked::Stopped, Blocked::Failed]
    );
    assert_eq!(bench.view("server").generation, 0);
    bench.forget();
    bench.state.restart(token, Waiter(3), bench.now).unwrap();
    bench.run();
    bench.exit("migrate", ExitReason::Normal);
    assert_eq!(bench.actions(), ["start migrate 2", "start server 0"]);
}

#[test]
fn dynamic_service_that_has_completed_is_kept_for_those_that_require_it() {
    for restart in [RestartType::Transient, RestartType::Temporary] {
        let mut bench = Bench::running(unlimited(), vec![]);
        bench.add(job("migrate", restart)).unwrap();
        bench.add(after("server", &["migrate"])).unwrap();
        bench.add(requiring("client", &["migrate"])).unwrap();
        bench.ready("migrate");
        bench.exit("migrate", ExitReason::Normal);
        bench.get_ready();
        assert_eq!(
            bench.actions(),
            ["start migrate 0", "start client 0", "start server 0"]
        );
        assert_eq!(bench.state_of("migrate"), ServiceState::Stopped);
        for name in ["server", "client"] {
            assert!(bench.state.named("migrate").is_some());
            let token = bench.token(name);
            bench.state.remove(token, Waiter(1), bench.now).unwrap();
            bench.run();
            bench.get_stopped();
        }
        assert_eq!(bench.state.named("migrate"), None);
    }
}

#[test]
fn one_shot_service_runs_again_when_what_it_is_bound_to_is_restarted() {
    let bound = |name: &str, restart| {
        let mut rules = bound(name, &["db"]);
        rules.restart = restart;
        rules
    };
    let services = vec![
        named("db"),
        bound("again", RestartType::Transient),
        bound("once", RestartType::Temporary),
        bound("over", RestartType::Transient),
    ];
    let mut bench = Bench::running(unlimited(), services);
    bench.exit("again", ExitReason::Normal);
    bench.exit("once", ExitReason::Normal);
    bench.exit_with("over", Verdict::DoNotRestart);
    bench.forget();
    bench.fail("db");
    bench.ready("db");
    assert_eq!(bench.actions(), ["start db 1", "start again 1"]);
}

#[test]
fn all_whose_requirements_are_met_start_at_once_if_the_order_is_parallel() {
    let rules = SupervisorRules {
        start_order: StartOrder::Parallel,
        ..unlimited()
    };
    let services = vec![
        named("a"),
        named("b"),
        requiring("c", &["a"]),
        requiring("d", &["b", "c"]),
        named("e"),
    ];
    let mut bench = start(rules.clone(), services.clone());
    assert_eq!(bench.actions(), ["start a 0", "start b 0", "start e 0"]);
    bench.ready("e");
    bench.ready("b");
    bench.ready("a");
    assert_eq!(bench.actions(), ["start c 0"]);
    bench.ready("c");
    assert_eq!(bench.actions(), ["start d 0"]);
    assert_eq!(bench.state.status(), SupervisorStatus::Starting);
    bench.ready("d");
    assert_eq!(bench.state.status(), SupervisorStatus::Running);

    // One that fails to start takes the others with it, in the reverse order of registration, whoever was ready first.
    let mut bench = start(rules.clone(), services.clone());
    bench.ready("b");
    bench.forget();
    bench.fail("e");
    bench.get_stopped();
    assert_eq!(bench.actions(), ["stop b", "stop a"]);
    assert!(matches!(bench.cause(), Some(Cause::StartFailed { path, .. }) if &**path == "root/e"));

    // One that was ready and has ended is judged after the start, and nobody waits for it.
    let mut bench = start(rules.clone(), services.clone());
    bench.ready("b");
    bench.fail("b");
    bench.get_stopped();
    assert!(
        matches!(bench.cause(), Some(Cause::StartFailed { path, .. }) if &**path == "root/d"),
        "{:?}",
        bench.cause()
    );

    // So does a group.
    let rules = SupervisorRules {
        strategy: Strategy::OneForAll,
        ..rules
    };
    let mut bench = Bench::running(rules, services);
    bench.fail("b");
    bench.get_stopped();
    bench.forget();
    bench.run();
    let started: Vec<_> = bench.story();
    bench.ready("a");
    bench.ready("b");
    assert_eq!(bench.actions(), ["start c 1"], "{started:?}");
}

#[test]
fn supervisor_that_is_removed_forgets_one_that_was_kept_for_another_one_once() {
    let mut bench = Bench::running(unlimited(), vec![]);
    bench.add(after("server", &["job"])).unwrap();
    bench.add(job("job", RestartType::Temporary)).unwrap();
    bench.ready("job");
    bench.exit("job", ExitReason::Normal);
    bench.ready("server");
    bench.state.drop_all(bench.now);
    bench.state.reopen(bench.now);
    bench.run();
    bench.forget();
    bench.state.forget_all(bench.now);
    bench.run();
    assert_eq!(bench.actions(), ["release server", "release job"]);
    assert_eq!(bench.state.counts().services, 0);
}

/// What people type: a migration is permanent, unless it says otherwise, and would run for ever.
#[test]
fn permanent_service_never_completes_and_whoever_requires_that_is_told_at_its_first_end() {
    let permanent = || job("migrate", RestartType::Permanent);
    let mut bench = start(
        unlimited(),
        vec![permanent(), after("server", &["migrate"])],
    );
    bench.ready("migrate");
    bench.exit("migrate", ExitReason::Normal);
    bench.get_stopped();
    let Some(Cause::StartFailed { path, reason }) = bench.cause() else {
        panic!("{:?}", bench.cause());
    };
    assert_eq!(&**path, "root/server");
    assert_eq!(
        reason.to_string(),
        "failed: required service `migrate` is permanent, and starts again instead of completing"
    );

    // Later it is an answer to whoever waits, and an event.
    let mut bench = Bench::running(unlimited(), vec![permanent()]);
    bench.ready("migrate");
    bench.add(after("server", &["migrate"])).unwrap();
    bench.forget();
    bench.exit("migrate", ExitReason::Normal);
    let expected = ("server".into(), "migrate".into(), Blocked::Recurring);
    assert_eq!(blocked_on(&bench), [expected]);
    assert_eq!(bench.actions(), ["start migrate 1"]);
    // It is ready for those that require no more than that.
    bench.ready("migrate");
    bench.add(requiring("other", &["migrate"])).unwrap();
    assert_eq!(bench.state_of("other"), ServiceState::Starting);
    assert_eq!(bench.state_of("server"), ServiceState::Waiting);
    // Unless it says itself that it is done.
    bench.exit_with("migrate", Verdict::DoNotRestart);
    assert_eq!(bench.state_of("server"), ServiceState::Starting);
}

#[test]
fn end_of_a_permanent_service_is_told_at_once_also_if_a_limit_delays_its_restart() {
    let limit = || RestartLimit::window(0, seconds(60)).pause(seconds(60));
    for own in [false, true] {
        let mut migrate = job("migrate", RestartType::Permanent);
        let mut rules = unlimited();
        if own {
            migrate.rare().limit = Some(limit());
        } else {
            rules.limit = limit();
        }
        let mut bench = start(rules, vec![migrate, after("server", &["migrate"])]);
        bench.ready("migrate");
        bench.exit("migrate", ExitReason::Normal);
        assert!(
            matches!(bench.cause(), Some(Cause::StartFailed { .. })),
            "{own}"
        );
    }
}

#[test]
fn permanent_service_that_bounces_or_says_that_it_is_done_may_complete() {
    let services = vec![
        job("migrate", RestartType::Permanent),
        after("server", &["migrate"]),
    ];
    let mut bench = start(unlimited(), services);
    bench.ready("migrate");
    bench.exit_with("migrate", Verdict::Bounce);
    bench.pass(millis(10));
    bench.ready("migrate");
    bench.exit("migrate", failed());
    bench.ready("migrate");
    assert_eq!(bench.state.status(), SupervisorStatus::Starting);
    bench.exit_with("migrate", Verdict::DoNotRestart);
    bench.ready("server");
    assert_eq!(bench.state.status(), SupervisorStatus::Running);
}

/// Its readiness is not what is waited for, also while it is not ready.
#[test]
fn one_that_is_only_starting_has_not_completed_either() {
    let rules = SupervisorRules {
        start_order: StartOrder::Parallel,
        ..unlimited()
    };
    let services = vec![
        job("migrate", RestartType::Transient),
        after("server", &["migrate"]),
    ];
    let mut bench = start(rules, services);
    let expected = ("server".into(), "migrate".into(), Blocked::NotCompleted);
    assert_eq!(blocked_on(&bench), [expected]);
    bench.forget();
    // It is news each time the service has to wait: after its own crash, too, if the other one runs again.
    bench.ready("migrate");
    bench.exit("migrate", ExitReason::Normal);
    bench.ready("server");
    let migrate = bench.token("migrate");
    bench.state.restart(migrate, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.forget();
    bench.fail("server");
    let expected = ("server".into(), "migrate".into(), Blocked::NotCompleted);
    assert_eq!(blocked_on(&bench), [expected]);
}

#[test]
fn one_that_completes_while_others_start_is_there_for_who_only_requires_it() {
    for restart in [RestartType::Transient, RestartType::Permanent] {
        let services = vec![
            job("migrate", restart),
            named("slow"),
            requiring("server", &["migrate"]),
        ];
        let mut bench = start(unlimited(), services);
        bench.ready("migrate");
        match restart {
            RestartType::Permanent => bench.exit_with("migrate", Verdict::DoNotRestart),
            _ => bench.exit("migrate", ExitReason::Normal),
        }
        bench.ready("slow");
        bench.ready("server");
        assert_eq!(bench.state.status(), SupervisorStatus::Running);
        assert_eq!(bench.state_of("migrate"), ServiceState::Stopped);
    }
}

/// As when they start one after the other: what was there at the first start is awaited by every start.
#[test]
fn parallel_start_of_a_supervisor_that_is_restarted_waits_for_all_that_requires_others() {
    let rules = SupervisorRules {
        start_order: StartOrder::Parallel,
        ..unlimited()
    };
    let mut bench = start(rules, vec![named("db"), requiring("api", &["db"])]);
    bench.ready("db");
    bench.ready("api");
    bench.shutdown();
    for name in ["api", "db"] {
        bench.exit(name, ExitReason::Shutdown);
    }
    bench.ended = None;
    bench.state.restart_fresh(bench.now);
    bench.run();
    bench.ready("db");
    assert_eq!(bench.state.status(), SupervisorStatus::Starting);
    bench.ready("api");
    assert_eq!(bench.state.status(), SupervisorStatus::Running);
}

/// A restart is never stricter than the life before: nobody waits for what was added later, nor for what waits for that.
#[test]
fn start_of_a_supervisor_that_is_restarted_waits_for_nobody_who_waits_for_what_was_added_later() {
    for order in [StartOrder::Sequential, StartOrder::Parallel] {
        let rules = SupervisorRules {
            start_order: order,
            ..unlimited()
        };
        let mut bench = start(rules, vec![named("db"), requiring("api", &["db"])]);
        bench.ready("db");
        bench.ready("api");
        let db = bench.token("db");
        bench.state.remove(db, Waiter(1), bench.now).unwrap();
        bench.run();
        bench.exit("db", ExitReason::Shutdown);
        bench.add(named("db")).unwrap();
        bench.ready("db");
        bench.shutdown();
        for name in ["api", "db"] {
            bench.exit(name, ExitReason::Shutdown);
        }
        bench.ended = None;
        bench.state.restart_fresh(bench.now);
        bench.run();
        assert_eq!(bench.state.status(), SupervisorStatus::Running, "{order:?}");
        assert_eq!(bench.state_of("api"), ServiceState::Waiting);
        bench.ready("db");
        assert_eq!(bench.state_of("api"), ServiceState::Starting);
    }
}

/// What was there runs again, and nobody who was started after its end is started before it.
#[test]
fn supervisor_that_is_restarted_waits_for_who_requires_an_end() {
    let services = vec![
        job("migrate", RestartType::Transient),
        after("server", &["migrate"]),
    ];
    let mut bench = start(unlimited(), services);
    bench.ready("migrate");
    bench.exit("migrate", ExitReason::Normal);
    bench.ready("server");
    bench.shutdown();
    bench.exit("server", ExitReason::Shutdown);
    bench.ended = None;
    bench.state.restart_fresh(bench.now);
    bench.run();
    bench.ready("migrate");
    assert_eq!(bench.state.status(), SupervisorStatus::Starting);
    bench.exit("migrate", ExitReason::Normal);
    bench.ready("server");
    assert_eq!(bench.state.status(), SupervisorStatus::Running);
}
