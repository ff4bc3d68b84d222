//! What follows from the end of an incarnation.

use super::{limits::window, *};

#[test]
fn restart_type_and_reason_decide() {
    use RestartType::{Permanent, Temporary, Transient};
    let panicked = || ExitReason::panicked("ouch", "here");
    let killed = || ExitReason::Killed(KillCause::Unresponsive);
    let escalated = || ExitReason::escalated(Arc::from("root/a/b"), failed());
    let table = [
        (Permanent, ExitReason::Normal, true),
        (Permanent, ExitReason::Shutdown, true),
        (Permanent, failed(), true),
        (Permanent, panicked(), true),
        (Permanent, killed(), true),
        (Permanent, escalated(), true),
        (Transient, ExitReason::Normal, false),
        (Transient, ExitReason::Shutdown, false),
        (Transient, failed(), true),
        (Transient, panicked(), true),
        (Transient, killed(), true),
        (Transient, escalated(), true),
        (Temporary, ExitReason::Normal, false),
        (Temporary, ExitReason::Shutdown, false),
        (Temporary, failed(), false),
        (Temporary, panicked(), false),
        (Temporary, killed(), false),
        (Temporary, escalated(), false),
    ];
    for (restart, reason, restarted) in table {
        let mut service = named("static");
        service.restart = restart;
        let mut bench = Bench::running(unlimited(), vec![service]);
        let mut service = named("dynamic");
        service.restart = restart;
        bench.add(service).unwrap();
        bench.get_ready();
        bench.forget();
        bench.exit("static", reason.clone());
        bench.exit("dynamic", reason.clone());
        let expected: &[&str] = if restarted {
            &["start static 1", "start dynamic 1"]
        } else {
            &["release dynamic"]
        };
        assert_eq!(bench.actions(), expected, "{restart} {reason}");
        if !restarted {
            assert_eq!(bench.state_of("static"), ServiceState::Stopped);
            assert!(bench.state.named("dynamic").is_none());
        }
        assert!(bench.state.failure_count(bench.now) < f64::EPSILON);
    }
}

#[test]
fn failure_is_reported_before_the_restart_with_what_it_was() {
    let mut bench = Bench::running(SupervisorRules::default(), vec![named("a")]);
    bench.fail("a");
    bench.ready("a");
    bench.exit("a", ExitReason::panicked("ouch", "src/a.rs:7:1"));
    bench.ready("a");
    bench.exit("a", ExitReason::Normal);
    bench.fail("a");
    assert_eq!(
        bench.story(),
        [
            "a ServiceFailed",
            "a ServiceStarted",
            "a ServiceReady",
            "a ServicePanicked",
            "a ServiceStarted",
            "a ServiceReady",
            "a ServiceCompleted",
            "a ServiceStartFailed",
        ]
    );
    let lines: Vec<String> = bench.events.iter().map(ToString::to_string).collect();
    assert_eq!(lines[0], "root/a#0: failed: boom; restarting (count 1.00)");
    assert_eq!(
        lines[3],
        "root/a#1: panicked at src/a.rs:7:1: ouch; restarting (count 2.00)"
    );
    assert_eq!(lines[6], "root/a#2: completed; restarting (count 3.00)");
    assert_eq!(
        lines[7],
        "root/a#3: failed to start: failed: boom; restarting (count 4.00)"
    );
}

#[test]
fn notice_of_another_incarnation_or_service_is_dropped() {
    let mut bench = Bench::running(unlimited(), vec![named("a")]);
    let a = bench.token("a");
    bench.fail("a");
    bench.ready("a");
    bench.forget();
    for generation in [0, 2, u64::MAX] {
        bench.exit_at(a, generation, failed());
        bench.ready_at(a, generation);
        bench.state.stop_acknowledged(a, generation, bench.now);
    }
    let stranger = Bench::running(unlimited(), vec![named("b")]).token("b");
    bench.exit_at(stranger, 0, failed());
    bench.state.lost(stranger, bench.now);
    bench.run();
    assert_eq!(bench.actions(), Vec::<String>::new());
    assert_eq!(bench.story(), Vec::<String>::new());
    assert_eq!(bench.view("a").generation, 1);
}

#[test]
fn token_of_a_removed_service_stays_dead_when_its_place_is_taken() {
    let mut bench = Bench::running(unlimited(), vec![named("a")]);
    let old = bench.token("a");
    bench.state.remove(old, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    let new = bench.add(named("a")).unwrap();
    assert_eq!(old.slot(), new.slot());
    bench.ready("a");
    bench.forget();
    bench.exit_at(old, 0, failed());
    assert_eq!(bench.actions(), Vec::<String>::new());
    assert_eq!(
        bench.state.remove(old, Waiter(2), bench.now),
        Err(RemoveError::UnknownToken { token: old })
    );
}

#[test]
fn verdict_decides_whatever_the_restart_type() {
    for restart in [RestartType::Permanent, RestartType::Temporary] {
        let table: [(Verdict, &[&str], Option<ServiceState>); 3] = [
            (Verdict::DoNotRestart, &["release a"], None),
            (Verdict::Uninstall, &["release a"], None),
            (Verdict::Bounce, &[], Some(ServiceState::BackingOff)),
        ];
        for (verdict, actions, state) in table {
            let mut bench = Bench::running(SupervisorRules::default(), vec![]);
            let mut service = named("a");
            service.restart = restart;
            bench.add(service).unwrap();
            bench.get_ready();
            bench.forget();
            bench.exit_with("a", verdict);
            assert_eq!(bench.actions(), actions, "{restart} {verdict:?}");
            let now = bench.state.named("a").map(|_| bench.state_of("a"));
            assert_eq!(now, state);
            bench.pass(millis(10));
            let bounced = verdict == Verdict::Bounce;
            assert_eq!(bench.actions() == ["start a 1"], bounced, "{restart}");
            assert!(bench.state.failure_count(bench.now) < f64::EPSILON);
        }
    }
}

#[test]
fn bounce_has_a_delay_that_can_be_set() {
    for (delay, restarts) in [(millis(10), 100), (millis(250), 4)] {
        let rules = SupervisorRules {
            bounce_delay: delay,
            ..SupervisorRules::default()
        };
        let mut bench = Bench::running(rules, vec![named("a")]);
        let until = bench.now + seconds(1);
        while bench.now < until {
            bench.exit_with("a", Verdict::Bounce);
            assert_eq!(bench.view("a").next_start, Some(bench.now + delay));
            bench.pass(delay);
            bench.ready("a");
        }
        assert_eq!(bench.view("a").generation, restarts);
        assert!(bench.state.failure_count(bench.now) < f64::EPSILON);
    }
    let rules = SupervisorRules {
        bounce_delay: Duration::ZERO,
        ..SupervisorRules::default()
    };
    let mut bench = Bench::running(rules, vec![named("a")]);
    bench.exit_with("a", Verdict::Bounce);
    assert_eq!(bench.state_of("a"), ServiceState::Starting);
}

/// How a bounce may be returned: as it is, or within an error, which is then a failure all the same.
#[test]
fn bounce_does_not_shorten_the_delay_of_a_service_that_failed() {
    #[derive(Debug, thiserror::Error)]
    #[error("the disk is full")]
    struct Full(#[source] Verdict);
    let bare = || Exit {
        reason: ExitReason::Normal,
        verdict: Some(Verdict::Bounce),
        ended: None,
    };
    let returned = || Exit::from(ExitReason::Failed(ServiceError::new(Verdict::Bounce)));
    let within = || {
        let error = Full(Verdict::Bounce);
        Exit::from(ExitReason::Failed(ServiceError::new(error)))
    };
    // How often it failed before, for how long it was ready since, with what it ends, and the delay that follows.
    let table: [(u32, Duration, Exit, Duration); 7] = [
        (0, seconds(0), bare(), millis(10)),
        (0, seconds(0), returned(), millis(10)),
        (0, seconds(0), within(), seconds(1)),
        (2, seconds(0), bare(), seconds(2)),
        (2, seconds(0), within(), seconds(2)),
        (2, seconds(60), bare(), millis(10)),
        (2, seconds(60), within(), seconds(1)),
    ];
    for (failures, ready_for, exit, delay) in table {
        let mut service = named("a");
        service.rare().backoff = Some(Backoff::exponential(seconds(1), seconds(60)));
        let mut bench = Bench::running(unlimited(), vec![service]);
        for _ in 0..failures {
            bench.fail("a");
            bench.pass(seconds(60));
            bench.ready("a");
        }
        bench.pass(ready_for);
        let view = bench.view("a");
        let text = format!("{failures} {ready_for:?} {exit:?}");
        bench
            .state
            .exited(view.token, view.generation, exit, bench.now);
        bench.run();
        let next = bench.view("a").next_start;
        assert_eq!(next, Some(bench.now + delay), "{text}");
        // The bounce was not counted: the next failure has the delay that it would have had.
        bench.pass(delay);
        bench.ready("a");
        bench.fail("a");
        let row = if ready_for.is_zero() { failures } else { 0 };
        let expected = Backoff::exponential(seconds(1), seconds(60)).delay(row + 1, 0.0);
        let next = bench.view("a").next_start;
        assert_eq!(next, Some(bench.now + expected), "{text}");
    }
}

#[test]
fn verdict_is_found_in_the_error() {
    let mut bench = Bench::running(unlimited(), vec![named("a")]);
    let error = std::io::Error::other(Verdict::DoNotRestart);
    bench.exit("a", ExitReason::Failed(ServiceError::new(error)));
    assert_eq!(bench.actions(), Vec::<String>::new());
    assert_eq!(bench.state_of("a"), ServiceState::Stopped);
    let last = bench.events.last().unwrap();
    assert!(matches!(
        last.kind(),
        EventKind::ServiceFailed {
            restarting: Restarting::No,
            ..
        }
    ));
}

#[test]
fn terminated_tree_stops_in_reverse_order_and_says_whether_it_goes_on_above() {
    for propagate in [true, false] {
        let mut bench = Bench::running(unlimited(), vec![named("a"), named("b"), named("c")]);
        bench.exit_with("b", Verdict::TerminateTree { propagate });
        bench.get_stopped();
        assert_eq!(bench.actions(), ["stop c", "stop a"]);
        assert_eq!(
            bench.ended,
            Some(Ended::from(Cause::Terminated {
                path: Arc::from("root/b"),
                propagate,
                reason: ExitReason::Normal,
            }))
        );
    }
}

#[test]
fn service_that_misses_something_waits_until_a_requirement_becomes_ready() {
    let mut api = named("api");
    api.rare().requires = vec![Arc::from("db")];
    let mut bench = Bench::running(SupervisorRules::default(), vec![named("db"), api]);
    bench.exit_with("api", Verdict::Missing);
    bench.pass(seconds(3600));
    assert_eq!(bench.actions(), Vec::<String>::new());
    assert_eq!(bench.state_of("api"), ServiceState::Waiting);
    assert!(bench.state.failure_count(bench.now) < f64::EPSILON);
    bench.fail("db");
    bench.ready("db");
    assert_eq!(bench.actions(), ["start db 1", "start api 1"]);
}

/// It looked at the requirement before that was restarted, and said so only after: nothing would have woken it any more.
#[test]
fn service_that_misses_what_has_become_ready_meanwhile_looks_again() {
    let mut api = named("api");
    api.rare().requires = vec![Arc::from("db")];
    let mut bench = Bench::running(unlimited(), vec![named("db"), api]);
    bench.fail("api");
    bench.fail("db");
    bench.ready("db");
    bench.actions();
    bench.exit_with("api", Verdict::Missing);
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.pass(millis(10));
    assert_eq!(bench.actions(), ["start api 2"]);
    // It has seen what there is, and nothing has changed since.
    bench.exit_with("api", Verdict::Missing);
    assert_eq!(bench.actions(), Vec::<String>::new());
    assert_eq!(bench.state_of("api"), ServiceState::Waiting);
}

#[test]
fn service_that_misses_what_has_become_ready_meanwhile_waits_for_the_end_of_a_pause() {
    let rules = SupervisorRules {
        limit: RestartLimit::decay(seconds(30), 0.5, seconds(15)),
        ..SupervisorRules::default()
    };
    let mut api = named("api");
    api.rare().requires = vec![Arc::from("db")];
    let mut bench = Bench::running(rules, vec![named("db"), api, named("other")]);
    let token = bench.token("db");
    bench.state.restart(token, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.exit("db", ExitReason::Shutdown);
    bench.ready("db");
    bench.fail("other");
    bench.actions();
    bench.exit_with("api", Verdict::Missing);
    assert_eq!(bench.actions(), Vec::<String>::new());
    assert_eq!(bench.state_of("api"), ServiceState::Paused);
    bench.pass(seconds(16));
    assert_eq!(bench.actions(), ["start other 1", "start api 1"]);
}

#[test]
fn service_that_misses_something_and_requires_nobody_is_restarted() {
    let mut bench = Bench::running(unlimited(), vec![named("a")]);
    bench.exit_with("a", Verdict::Missing);
    assert_eq!(bench.actions(), ["start a 1"]);
}

pub(super) fn fatal_rules(compare: Option<rules::MoreImportant>) -> SupervisorRules {
    SupervisorRules {
        fatal: Some(Arc::new(|error| error.to_string().starts_with("fatal"))),
        more_important: compare,
        ..SupervisorRules::default()
    }
}

fn error(text: &str) -> ExitReason {
    ExitReason::Failed(ServiceError::new(text))
}

fn fatal_error_of(bench: &Bench) -> String {
    match bench.cause() {
        Some(Cause::Fatal { error, .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn first_fatal_error_counts_without_a_comparator() {
    let mut bench = Bench::running(fatal_rules(None), vec![named("a"), named("b"), named("c")]);
    bench.exit("b", error("fatal 5"));
    bench.exit("c", error("fatal 9"));
    bench.exit("a", error("fatal 1"));
    assert_eq!(fatal_error_of(&bench), "fatal 5");
}

#[test]
fn most_important_fatal_error_counts_with_a_comparator() {
    let compare: rules::MoreImportant = Arc::new(|new, kept| new.to_string() > kept.to_string());
    let rules = fatal_rules(Some(compare));
    let mut bench = Bench::running(rules, vec![named("a"), named("b"), named("c")]);
    bench.exit("b", error("fatal 5"));
    bench.exit("c", error("fatal 9"));
    bench.exit("a", error("zzz not fatal"));
    assert_eq!(fatal_error_of(&bench), "fatal 9");
}

#[test]
fn fatal_error_waits_out_no_delay_and_beats_the_restart_type_and_the_verdict() {
    let mut once = named("once");
    once.restart = RestartType::Temporary;
    let mut slow = named("slow");
    slow.rare().backoff = Some(Backoff::constant(seconds(60)));
    let mut bench = Bench::running(fatal_rules(None), vec![once, slow]);
    bench.exit("slow", error("later"));
    bench.exit("once", error("fatal"));
    assert_eq!(fatal_error_of(&bench), "fatal");
    assert_eq!(bench.state.next_timeout(), None);
}

#[test]
fn fatal_error_of_a_service_that_is_being_stopped_is_fatal() {
    let mut bench = Bench::running(fatal_rules(None), vec![named("a"), named("b")]);
    let b = bench.token("b");
    bench.state.remove(b, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.exit("b", error("fatal"));
    bench.get_stopped();
    assert_eq!(fatal_error_of(&bench), "fatal");
    assert!(matches!(
        bench.answers[..],
        [(Waiter(1), Answer::Removed(Ok(_)))]
    ));
}

#[test]
fn lost_service_is_reported_and_never_started_again() {
    let mut bench = Bench::running(SupervisorRules::default(), vec![named("a"), named("b")]);
    let a = bench.token("a");
    bench.state.lost(a, bench.now);
    bench.state.lost(a, bench.now);
    bench.run();
    assert_eq!(bench.story(), ["a ServiceFailed"]);
    assert_eq!(bench.actions(), Vec::<String>::new());
    assert_eq!(bench.state_of("a"), ServiceState::Failed);
    assert!(bench.state.restart(a, Waiter(1), bench.now).is_err());
    assert!(bench.state.reset(a, Waiter(1), bench.now).is_err());
    bench.state.stop(a, Waiter(2), bench.now).unwrap();
    bench.state.remove(a, Waiter(3), bench.now).unwrap();
    bench.run();
    assert_eq!(bench.answers.len(), 2);
    assert_eq!(bench.actions(), ["release a"]);
}

#[test]
fn significant_end_stops_the_supervisor_as_the_mode_says() {
    let ends = |mode, first: &str, second: Option<&str>| {
        let mut services = Vec::new();
        for (name, significance) in [
            ("one", Significance::Significant),
            ("two", Significance::Significant),
            ("plain", Significance::Ordinary),
        ] {
            let mut rules = named(name);
            rules.restart = RestartType::Transient;
            rules.significance = significance;
            services.push(rules);
        }
        let rules = SupervisorRules {
            auto_shutdown: mode,
            ..unlimited()
        };
        let mut bench = Bench::running(rules, services);
        bench.exit(first, ExitReason::Normal);
        if let Some(second) = second {
            bench.exit(second, ExitReason::Normal);
        }
        bench.get_stopped();
        bench.cause() == Some(&Cause::AutoShutdown)
    };
    assert!(ends(AutoShutdown::AnySignificant, "one", None));
    assert!(!ends(AutoShutdown::AnySignificant, "plain", None));
    assert!(!ends(AutoShutdown::AllSignificant, "one", None));
    assert!(!ends(AutoShutdown::AllSignificant, "one", Some("plain")));
    assert!(ends(AutoShutdown::AllSignificant, "one", Some("two")));
}

#[test]
fn significant_service_that_is_restarted_or_stopped_on_request_ends_nobody() {
    let rules = SupervisorRules {
        auto_shutdown: AutoShutdown::AnySignificant,
        ..unlimited()
    };
    let mut significant = named("a");
    significant.restart = RestartType::Transient;
    significant.significance = Significance::Significant;
    let mut bench = Bench::running(rules, vec![significant]);
    bench.fail("a");
    bench.ready("a");
    let a = bench.token("a");
    bench.state.stop(a, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    assert_eq!(bench.ended, None);
    assert_eq!(bench.state.status(), SupervisorStatus::Running);
}

#[test]
fn significant_service_stopped_by_a_group_restart_ends_nobody() {
    let rules = SupervisorRules {
        auto_shutdown: AutoShutdown::AnySignificant,
        ..strategy(Strategy::OneForAll)
    };
    for restart in [RestartType::Transient, RestartType::Temporary] {
        let mut significant = named("a");
        significant.restart = restart;
        significant.significance = Significance::Significant;
        let mut bench = Bench::running(rules.clone(), vec![significant, named("b")]);
        bench.fail("b");
        bench.get_stopped();
        assert_eq!(bench.ended, None);
    }
}

#[test]
fn service_that_was_to_be_restarted_is_not_after_a_fatal_error() {
    let mut bench = Bench::running(fatal_rules(None), vec![named("a"), named("b")]);
    let b = bench.token("b");
    bench.state.restart(b, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.forget();
    bench.exit("b", error("fatal"));
    assert_eq!(bench.actions(), ["stop a"]);
    assert_eq!(bench.answers.len(), 1);
    bench.get_stopped();
    assert_eq!(fatal_error_of(&bench), "fatal");
}

/// An end of a supervisor below, during which something else went wrong.
fn ended_below(cause: Cause) -> (Ended, ExitReason) {
    let mut ended = Ended::from(cause);
    let left = error("not saved");
    let report = &mut ended.report;
    report.push_failure(Arc::from("root/sub/x"), left.clone());
    report.push_unstopped(Arc::from("root/sub/y"), named_token(), 0);
    (ended, left)
}

fn named_token() -> ServiceToken {
    ServiceToken::issue(SupervisorId::issue(), 0)
}

#[test]
fn what_went_wrong_below_is_in_the_report_whatever_ends_the_supervisor_because_of_it() {
    let deep = || Arc::from("root/sub/deep/a");
    let terminated = Cause::Terminated {
        path: deep(),
        propagate: true,
        reason: ExitReason::Normal,
    };
    let fatal = Cause::Fatal {
        path: deep(),
        error: ServiceError::new("boom"),
    };
    let escalated = Cause::Escalated {
        path: Arc::from("root/sub"),
        reason: ExitReason::escalated(deep(), failed()),
    };
    for (cause, passed_on) in [(terminated, true), (fatal, true), (escalated, false)] {
        let rules = SupervisorRules {
            fatal: Some(Arc::new(|error| error.to_string() == "boom")),
            ..window(0, 5, OnLimit::Escalate)
        };
        let mut bench = Bench::running(rules, vec![named("sub"), named("z")]);
        let (ended, left) = ended_below(cause.clone());
        bench.end_below("sub", ended);
        bench.exit("z", error("not flushed"));
        let report = &bench.ended.as_ref().unwrap().report;
        assert_eq!(
            report.failures(),
            [
                (Arc::from("root/sub/x"), left),
                (Arc::from("root/z"), report.failures()[1].1.clone()),
            ]
        );
        assert_eq!(report.unstopped()[0].path(), "root/sub/y");
        // What is passed on names the service that did it; an escalation is the supervisor's own.
        assert_eq!(bench.cause() == Some(&cause), passed_on, "{cause:?}");
    }
}

#[test]
fn what_went_wrong_below_comes_before_the_end_of_that_supervisor_in_a_report() {
    let mut bench = Bench::running(unlimited(), vec![named("a"), named("sub")]);
    bench.shutdown();
    let (ended, left) = ended_below(Cause::Fatal {
        path: Arc::from("root/sub/a"),
        error: ServiceError::new("boom"),
    });
    bench.end_below("sub", ended);
    bench.get_stopped();
    let report = &bench.ended.as_ref().unwrap().report;
    let paths: Vec<_> = report.failures().iter().map(|(path, _)| &**path).collect();
    assert_eq!(paths, ["root/sub/x", "root/sub"]);
    assert_eq!(report.failures()[0].1, left);
}

#[test]
fn supervisor_that_ended_during_a_failing_start_is_in_the_report() {
    let mut bench = Bench::new(unlimited());
    bench.add(named("sub")).unwrap();
    bench.add(named("late")).unwrap();
    bench.state.start(bench.now);
    bench.run();
    bench.ready("sub");
    // Judged after the start, which fails first.
    let (ended, _) = ended_below(Cause::AutoShutdown);
    bench.end_below("sub", ended);
    bench.exit("late", failed());
    let report = &bench.ended.as_ref().unwrap().report;
    assert_eq!(&*report.failures()[0].0, "root/sub/x");
    assert_eq!(report.unstopped().len(), 1);
}
