//! What is decided about failures on the supervisor's side.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A service about whose failures this is decided, and how often that was asked.
fn decided(name: &str, directive: Directive) -> (ServiceRules, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let mut rules = named(name);
    rules.rare().decide = Some(Decide(Arc::new(move |failure| {
        assert!(failure.reason().is_abnormal(), "{failure}");
        count.fetch_add(1, Ordering::Relaxed);
        directive
    })));
    (rules, asked)
}

/// An error that is a verdict.
fn said(verdict: Verdict) -> ExitReason {
    ExitReason::Failed(ServiceError::new(verdict))
}

fn times(asked: &AtomicUsize) -> usize {
    asked.load(Ordering::Relaxed)
}

/// A running `a` about whose failures this is decided, and `b`.
fn running(directive: Directive) -> (Bench, Arc<AtomicUsize>) {
    let (rules, asked) = decided("a", directive);
    (Bench::running(unlimited(), vec![rules, named("b")]), asked)
}

const ALL: [Directive; 5] = [
    Directive::Restart,
    Directive::RestartAfter(Duration::from_secs(7)),
    Directive::Stop,
    Directive::Escalate,
    Directive::Fatal,
];

fn failures() -> [ExitReason; 4] {
    [
        failed(),
        ExitReason::panicked("boom", "here.rs:1:1"),
        ExitReason::Killed(KillCause::Unresponsive),
        ExitReason::escalated(Arc::from("root/a/deep"), failed()),
    ]
}

/// Checks that what was decided is done with `a` after a failure.
fn assert_obeyed(bench: &mut Bench, directive: Directive, reason: &ExitReason) {
    let told = format!("{directive:?}, {reason}: {:?}", bench.story);
    match directive {
        Directive::Restart => assert_eq!(bench.state_of("a"), ServiceState::Starting, "{told}"),
        Directive::RestartAfter(after) => {
            bench.forget();
            assert_eq!(bench.view("a").next_start, Some(bench.now + after));
            bench.pass(just_before(after));
            assert_eq!(bench.actions(), Vec::<String>::new(), "{told}");
            bench.pass(millis(1));
            assert_eq!(bench.actions().len(), 1, "{told}");
        }
        Directive::Stop => assert_eq!(bench.state_of("a"), ServiceState::Stopped, "{told}"),
        Directive::Escalate => {
            bench.get_stopped();
            let (path, reason) = (Arc::from("root/a"), reason.clone());
            let expected = Cause::Escalated {
                path: Arc::from("root"),
                reason: ExitReason::escalated(path, reason),
            };
            assert_eq!(bench.cause(), Some(&expected), "{told}");
        }
        Directive::Fatal => {
            bench.get_stopped();
            let Some(Cause::Fatal { path, error }) = bench.cause() else {
                panic!("{told}");
            };
            assert_eq!(&**path, "root/a");
            match reason {
                ExitReason::Failed(own) => assert_eq!(error, own),
                other => assert_eq!(error.downcast_ref(), Some(other)),
            }
        }
    }
}

#[test]
fn what_is_decided_about_a_failure_is_done() {
    for directive in ALL {
        for reason in failures() {
            let (mut bench, asked) = running(directive);
            bench.exit("a", reason.clone());
            assert_eq!(times(&asked), 1);
            assert_obeyed(&mut bench, directive, &reason);
        }
    }
}

#[test]
fn what_is_decided_about_a_start_that_failed_is_done() {
    for directive in ALL {
        let (mut rules, asked) = decided("a", directive);
        rules.rare().start_timeout = Some(seconds(1));
        let mut bench = Bench::running(unlimited(), vec![named("b")]);
        bench.add(rules.clone()).unwrap();
        bench.fail("a");
        assert_eq!(times(&asked), 1);
        // Added later: forgotten when it has ended for good.
        if directive == Directive::Stop {
            assert_eq!(bench.state.named("a"), None);
        } else {
            let Some(ExitReason::Failed(error)) = bench.view("a").last_exit else {
                panic!("{:?}", bench.story);
            };
            assert_obeyed(&mut bench, directive, &ExitReason::Failed(error));
        }
        // Of one that was not ready in time, too.
        let mut bench = Bench::running(unlimited(), vec![named("b")]);
        bench.add(rules).unwrap();
        bench.pass(seconds(1));
        bench.exit("a", ExitReason::Killed(KillCause::StartTimeout));
        assert_eq!(times(&asked), 2);
    }
}

#[test]
fn only_failures_are_asked_about_that_the_service_has_not_decided_itself() {
    let verdicts = [
        Verdict::DoNotRestart,
        Verdict::TerminateTree { propagate: false },
        Verdict::Bounce,
        Verdict::Uninstall,
    ];
    for verdict in verdicts {
        let (mut bench, asked) = running(Directive::Fatal);
        bench.exit("a", said(verdict));
        assert_eq!(times(&asked), 0, "{verdict}");
        assert!(!matches!(bench.cause(), Some(Cause::Fatal { .. })));
    }
    // It requires nothing, so that it would wait for ever: what it says has no meaning.
    let (mut bench, asked) = running(Directive::Stop);
    bench.exit("a", said(Verdict::Missing));
    assert_eq!(times(&asked), 1);
    assert_eq!(bench.state_of("a"), ServiceState::Stopped);
    let unasked = [
        ExitReason::Normal,
        ExitReason::Shutdown,
        ExitReason::Killed(KillCause::Requested),
    ];
    for reason in unasked {
        let (mut bench, asked) = running(Directive::Fatal);
        bench.exit("a", reason);
        assert_eq!(times(&asked), 0);
        assert_eq!(bench.state_of("a"), ServiceState::Starting);
    }
}

#[test]
fn failure_of_one_that_is_being_stopped_is_not_asked_about() {
    for directive in ALL {
        let (mut bench, asked) = running(directive);
        let a = bench.token("a");
        bench.state.stop(a, Waiter(1), bench.now).unwrap();
        bench.run();
        bench.fail("a");
        assert_eq!(times(&asked), 0);
        assert_eq!(bench.state_of("a"), ServiceState::Stopped);
    }
}

#[test]
fn who_awaits_a_first_start_gets_its_error_whatever_would_be_decided() {
    for directive in ALL {
        let (rules, asked) = decided("a", directive);
        let mut bench = Bench::running(unlimited(), vec![named("b")]);
        let a = bench.add(rules).unwrap();
        bench.state.await_ready(a, Waiter(1), bench.now);
        bench.run();
        bench.fail("a");
        assert_eq!(times(&asked), 0);
        assert!(matches!(
            bench.answers[..],
            [(Waiter(1), Answer::Ready(Err(_)))]
        ));
        assert_eq!(bench.state.named("a"), None);
        assert_eq!(bench.ended, None);
    }
}

#[test]
fn fatal_errors_of_the_supervisor_are_asked_for_first() {
    let (rules, asked) = decided("a", Directive::Stop);
    let fatal = SupervisorRules {
        fatal: Some(Arc::new(|_| true)),
        ..unlimited()
    };
    let mut bench = Bench::running(fatal, vec![rules]);
    bench.fail("a");
    assert_eq!(times(&asked), 0);
    assert!(matches!(bench.cause(), Some(Cause::Fatal { .. })));
}

#[test]
fn temporary_service_is_restarted_if_that_is_decided() {
    for directive in [Directive::Restart, Directive::RestartAfter(Duration::ZERO)] {
        let (mut rules, _) = decided("a", directive);
        rules.restart = RestartType::Temporary;
        let mut bench = Bench::running(unlimited(), vec![rules]);
        bench.fail("a");
        assert_eq!(bench.actions(), ["start a 1"]);
        // A normal end is no failure: the restart type says what follows.
        bench.ready("a");
        bench.exit("a", ExitReason::Normal);
        assert_eq!(bench.state_of("a"), ServiceState::Stopped);
    }
}

#[test]
fn restart_that_is_decided_is_counted_and_others_are_not() {
    let rules = || SupervisorRules {
        limit: RestartLimit::decay(seconds(3600), 1.5, seconds(15)),
        ..SupervisorRules::default()
    };
    let (service, _) = decided("a", Directive::RestartAfter(millis(1)));
    let mut bench = Bench::running(rules(), vec![service]);
    bench.fail("a");
    assert_eq!(bench.state_of("a"), ServiceState::BackingOff);
    bench.pass(millis(1));
    bench.ready("a");
    bench.fail("a");
    assert_eq!(bench.state_of("a"), ServiceState::Paused);

    let (service, _) = decided("a", Directive::Stop);
    let mut bench = Bench::running(rules(), vec![service]);
    bench.fail("a");
    assert!(bench.state.failure_count(bench.now) < f64::EPSILON);
}

/// The longer of the two.
#[test]
fn delay_that_is_decided_is_not_shortened_by_the_end_of_a_pause_of_the_service() {
    for (after, lasting) in [(20, 20), (5, 10)] {
        let (mut rules, _) = decided("a", Directive::RestartAfter(seconds(after)));
        rules.rare().limit = Some(RestartLimit::window(0, seconds(60)).pause(seconds(10)));
        let mut bench = Bench::running(unlimited(), vec![rules]);
        bench.fail("a");
        let next = bench.now + seconds(lasting);
        assert_eq!(bench.view("a").next_start, Some(next));
    }
}

#[test]
fn delay_that_is_decided_takes_the_place_of_the_backoff_which_grows_on() {
    let fails = AtomicUsize::new(0);
    let mut rules = named("a");
    rules.rare().backoff = Some(Backoff::exponential(seconds(10), seconds(80)));
    rules.rare().decide = Some(Decide(Arc::new(move |_| {
        match fails.fetch_add(1, Ordering::Relaxed) {
            1 => Directive::RestartAfter(seconds(1)),
            _ => Directive::Restart,
        }
    })));
    let mut bench = Bench::running(unlimited(), vec![rules]);
    for delay in [10, 1, 40] {
        bench.fail("a");
        let next = bench.now + seconds(delay);
        assert_eq!(bench.view("a").next_start, Some(next));
        bench.pass(seconds(delay));
    }
}

/// A supervisor that is starting `a`, about which is decided like this, and `b` after it.
fn starting(directive: Directive) -> (Bench, Arc<AtomicUsize>) {
    let (rules, asked) = decided("a", directive);
    let mut bench = Bench::new(unlimited());
    bench.add(rules).unwrap();
    bench.add(named("b")).unwrap();
    bench.state.start(bench.now);
    bench.run();
    (bench, asked)
}

#[test]
fn supervisor_starts_without_one_whose_failed_start_is_to_be_left_at_that() {
    for directive in ALL {
        let (mut bench, asked) = starting(directive);
        bench.forget();
        bench.fail("a");
        assert_eq!(times(&asked), 1);
        match directive {
            Directive::Stop => {
                // A failure all the same.
                assert_eq!(bench.story(), ["a ServiceStartFailed"]);
                assert_eq!(bench.actions(), ["start b 0"]);
                bench.ready("b");
                assert_eq!(bench.started, 1);
                assert_eq!(bench.state_of("a"), ServiceState::Stopped);
            }
            Directive::Fatal => {
                assert!(matches!(bench.cause(), Some(Cause::Fatal { .. })));
            }
            Directive::Restart | Directive::RestartAfter(_) | Directive::Escalate => {
                assert!(matches!(bench.cause(), Some(Cause::StartFailed { .. })));
            }
        }
    }
}

/// At once if it is fatal, or else when the supervisor has started.
#[test]
fn failure_during_the_start_of_others_is_asked_about_once() {
    for directive in ALL {
        let (mut bench, asked) = starting(directive);
        bench.ready("a");
        bench.fail("a");
        assert_eq!(times(&asked), 1);
        if directive == Directive::Fatal {
            bench.get_stopped();
            assert!(matches!(bench.cause(), Some(Cause::Fatal { .. })));
            continue;
        }
        assert_eq!(bench.ended, None);
        bench.ready("b");
        assert_eq!(times(&asked), 1);
        let Some(reason) = bench.view("a").last_exit else {
            panic!("{:?}", bench.story);
        };
        assert_obeyed(&mut bench, directive, &reason);
    }
}

#[test]
fn escalation_that_is_decided_is_not_told_as_a_limit_that_was_exceeded() {
    let (mut bench, _) = running(Directive::Escalate);
    bench.fail("a");
    bench.get_stopped();
    assert_eq!(
        bench.story(),
        [
            "a ServiceFailed",
            "b ServiceStopped",
            "root SupervisorEscalated"
        ]
    );
}

/// Nothing can start it again, so that there are only two answers which have a meaning.
#[test]
fn loss_of_a_service_is_asked_about() {
    for directive in ALL {
        let (mut bench, asked) = running(directive);
        let a = bench.token("a");
        bench.state.lost(a, bench.now);
        bench.run();
        assert_eq!(times(&asked), 1);
        let lost = ExitReason::Killed(KillCause::ArbiterStopped);
        if matches!(directive, Directive::Escalate | Directive::Fatal) {
            assert_obeyed(&mut bench, directive, &lost);
        } else {
            assert_eq!(bench.state_of("a"), ServiceState::Failed);
            assert_eq!(bench.ended, None);
        }
        // It is lost once.
        bench.state.lost(a, bench.now);
        bench.run();
        assert_eq!(times(&asked), 1);
    }
}

#[test]
fn loss_is_asked_about_of_one_that_waits_for_its_start_and_not_of_one_that_is_to_stay_down() {
    let (mut waits, asked) = decided("a", Directive::Fatal);
    waits.rare().requires = vec![Arc::from("missing")];
    let mut bench = Bench::running(unlimited(), vec![named("b")]);
    let a = bench.add(waits).unwrap();
    bench.state.lost(a, bench.now);
    bench.run();
    bench.get_stopped();
    assert_eq!(times(&asked), 1);
    assert!(matches!(bench.cause(), Some(Cause::Fatal { .. })));

    let stop = |bench: &mut Bench| {
        let a = bench.token("a");
        bench.state.stop(a, Waiter(1), bench.now).unwrap();
        bench.run();
    };
    let stays_down: [&dyn Fn(&mut Bench); 3] = [
        &stop,
        &|bench| {
            stop(bench);
            bench.exit("a", ExitReason::Shutdown);
        },
        &|bench| bench.exit("a", said(Verdict::DoNotRestart)),
    ];
    for goes_down in stays_down {
        let (mut bench, asked) = running(Directive::Fatal);
        goes_down(&mut bench);
        let a = bench.token("a");
        bench.state.lost(a, bench.now);
        bench.run();
        assert_eq!(times(&asked), 0);
        assert_eq!(bench.ended, None);
    }
}

#[test]
fn service_on_a_blocked_thread_is_asked_about_when_that_is_back() {
    for directive in ALL {
        let (mut rules, asked) = decided("a", directive);
        rules.on_blocked = OnBlocked::AwaitThread;
        rules.rare().start_timeout = Some(seconds(1));
        let mut bench = Bench::running(unlimited(), vec![named("b")]);
        let a = bench.add(rules).unwrap();
        bench.pass(seconds(20));
        assert_eq!(bench.state_of("a"), ServiceState::Failed);
        assert_eq!(times(&asked), 0);
        bench.state.thread_back(a, bench.now);
        bench.run();
        assert_eq!(times(&asked), 1);
        if directive == Directive::Stop {
            assert_eq!(bench.state.named("a"), None);
        } else {
            let blocked = ExitReason::Killed(KillCause::Unresponsive);
            assert_obeyed(&mut bench, directive, &blocked);
        }
    }
}

#[test]
fn member_of_a_scope_is_not_asked_about() {
    let scope = SupervisorRules {
        binding: Binding::Bound,
        auto_shutdown: AutoShutdown::AnySignificant,
        ..unlimited()
    };
    for ends in [Bench::fail, |bench: &mut Bench, name: &str| {
        let token = bench.token(name);
        bench.state.lost(token, bench.now);
        bench.run();
    }] {
        let (rules, asked) = decided("a", Directive::Restart);
        let mut bench = Bench::running(scope.clone(), vec![rules]);
        ends(&mut bench, "a");
        assert_eq!(times(&asked), 0);
        assert!(matches!(bench.cause(), Some(Cause::Fatal { .. })));
    }
    let (rules, asked) = decided("a", Directive::Stop);
    let mut bench = Bench::new(scope);
    bench.add(rules).unwrap();
    bench.state.start(bench.now);
    bench.run();
    bench.fail("a");
    assert_eq!(times(&asked), 0);
    assert!(matches!(bench.cause(), Some(Cause::StartFailed { .. })));
}

#[test]
fn restart_by_hand_that_fails_leaves_a_stopped_service_stopped_whatever_is_decided() {
    let (mut bench, _) = running(Directive::RestartAfter(seconds(1)));
    let a = bench.token("a");
    bench.state.stop(a, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.exit("a", ExitReason::Shutdown);
    bench.state.restart(a, Waiter(2), bench.now).unwrap();
    bench.run();
    bench.fail("a");
    assert_eq!(bench.state_of("a"), ServiceState::Stopped);
}

#[test]
fn what_misses_something_that_it_requires_has_decided_itself() {
    let (mut rules, asked) = decided("api", Directive::Fatal);
    rules.rare().requires = vec![Arc::from("db")];
    let mut bench = Bench::running(unlimited(), vec![named("db"), rules]);
    bench.exit("api", said(Verdict::Missing));
    assert_eq!(times(&asked), 0);
    assert_eq!(bench.state_of("api"), ServiceState::Waiting);
    assert_eq!(bench.ended, None);
}
