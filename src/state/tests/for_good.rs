//! Services that end for good, or that end all.

use std::sync::Mutex;

use super::{super::output::Unready, *};

fn significant(name: &str, restart: RestartType) -> ServiceRules {
    let mut rules = named(name);
    rules.restart = restart;
    rules.significance = Significance::Significant;
    rules
}

/// A running supervisor that ends with any significant service, with `a` as one, and an ordinary `b`.
fn with_significant(edit: impl FnOnce(&mut ServiceRules)) -> Bench {
    let mut rules = significant("a", RestartType::Transient);
    edit(&mut rules);
    let supervisor = SupervisorRules {
        auto_shutdown: AutoShutdown::AnySignificant,
        strategy: Strategy::OneForAll,
        ..unlimited()
    };
    Bench::running(supervisor, vec![rules, named("b")])
}

fn ends(mut bench: Bench) -> bool {
    bench.get_stopped();
    bench.cause() == Some(&Cause::AutoShutdown)
}

#[test]
fn significant_service_counts_however_it_ends_for_good() {
    let mut finishes = with_significant(|_| {});
    finishes.exit("a", ExitReason::Normal);
    assert!(ends(finishes), "finishes");

    for verdict in [Verdict::DoNotRestart, Verdict::Uninstall] {
        let mut decides = with_significant(|_| {});
        decides.exit_with("a", verdict);
        assert!(ends(decides), "{verdict:?}");
    }

    let mut gives_up = with_significant(|rules| {
        rules.rare().limit = Some(RestartLimit::window(0, seconds(5)).give_up());
    });
    gives_up.fail("a");
    assert!(ends(gives_up), "gives up");

    let mut lost = with_significant(|_| {});
    let a = lost.token("a");
    lost.state.lost(a, lost.now);
    lost.run();
    assert!(ends(lost), "lost");

    let mut lost_in_delay =
        with_significant(|rules| rules.rare().backoff = Some(Backoff::constant(seconds(60))));
    lost_in_delay.fail("a");
    lost_in_delay.get_stopped();
    lost_in_delay
        .state
        .lost(a_of(&lost_in_delay), lost_in_delay.now);
    lost_in_delay.run();
    assert!(ends(lost_in_delay), "lost in its delay");

    // It had said so before the group came to ask it. One that had just ended normally runs again with the group, and has not.
    let mut before_the_group = with_significant(|_| {});
    before_the_group.add(named("c")).unwrap();
    before_the_group.get_ready();
    before_the_group.fail("b");
    before_the_group.exit_with("a", Verdict::DoNotRestart);
    assert!(ends(before_the_group), "before the group");

    let mut declines = with_significant(|_| {});
    declines.fail("a");
    declines.get_stopped();
    declines.exit("a", ExitReason::Normal);
    assert!(ends(declines), "declines");
}

fn a_of(bench: &Bench) -> ServiceToken {
    bench.token("a")
}

#[test]
fn significant_service_does_not_count_that_ends_on_request_or_for_its_group() {
    for operation in ["stop", "remove", "lost after a stop", "restart that fails"] {
        let mut bench = with_significant(|_| {});
        let (a, now) = (bench.token("a"), bench.now);
        if operation == "remove" {
            bench.state.remove(a, Waiter(1), now).unwrap();
        } else {
            bench.state.stop(a, Waiter(1), now).unwrap();
        }
        bench.run();
        bench.get_stopped();
        match operation {
            "lost after a stop" => bench.state.lost(a, now),
            "restart that fails" => {
                bench.state.restart(a, Waiter(2), now).unwrap();
                bench.run();
                bench.fail("a");
                assert_eq!(bench.state_of("a"), ServiceState::Stopped);
            }
            _ => {}
        }
        bench.run();
        assert!(!ends(bench), "{operation}");
    }
    let mut bench = with_significant(|rules| rules.restart = RestartType::Temporary);
    bench.fail("b");
    bench.get_stopped();
    assert_eq!(bench.state_of("a"), ServiceState::Stopped);
    assert!(!ends(bench), "stopped for its group");

    // A supervisor that a user shuts down is removed on request.
    let mut bench = with_significant(|_| {});
    let view = bench.view("a");
    let exit = Exit {
        verdict: Some(Verdict::Uninstall),
        ..Exit::from(ExitReason::Shutdown)
    };
    bench
        .state
        .exited(view.token, view.generation, exit, bench.now);
    bench.run();
    assert!(bench.state.named("a").is_none());
    assert!(!ends(bench), "shut down by a user");
}

#[test]
fn last_of_all_significant_services_counts_however_it_ends() {
    let mut gives_up = significant("a", RestartType::Transient);
    gives_up.rare().limit = Some(RestartLimit::window(0, seconds(5)).give_up());
    let rules = SupervisorRules {
        auto_shutdown: AutoShutdown::AllSignificant,
        ..unlimited()
    };
    let services = vec![gives_up, significant("b", RestartType::Temporary)];
    let mut bench = Bench::running(rules, services);
    bench.fail("a");
    assert_eq!(bench.cause(), None);
    let b = bench.token("b");
    bench.state.lost(b, bench.now);
    bench.run();
    assert_eq!(bench.cause(), Some(&Cause::AutoShutdown));
}

/// A supervisor that keeps what its `fatal` was asked about, and says yes if the text has this in it.
fn asked(yes: &'static str) -> (SupervisorRules, Arc<Mutex<Vec<String>>>) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = Arc::clone(&asked);
    let rules = SupervisorRules {
        fatal: Some(Arc::new(move |error| {
            let text = error.to_string();
            let fatal = text.contains(yes);
            keep.lock().unwrap().push(text);
            fatal
        })),
        shutdown_timeout: seconds(1),
        ..unlimited()
    };
    (rules, asked)
}

fn taken(asked: &Mutex<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut *asked.lock().unwrap())
}

#[test]
fn fatal_is_asked_once_about_every_failure() {
    let (rules, asked) = asked("never");
    let mut bench = Bench::running(rules, vec![named("a"), named("b")]);
    bench.fail("a");
    assert_eq!(taken(&asked), ["boom"]);
    // A failed start.
    bench.fail("a");
    assert_eq!(taken(&asked), ["boom"]);
    bench.exit("a", ExitReason::panicked("ouch", "here"));
    assert_eq!(taken(&asked), ["panicked at here: ouch"]);
    bench.ready("a");
    bench.exit("a", ExitReason::Killed(KillCause::Unresponsive));
    assert_eq!(taken(&asked), ["killed: unresponsive"]);
    bench.exit("a", ExitReason::Normal);
    assert_eq!(taken(&asked), Vec::<String>::new());

    // While it stops: an error, and that it takes too long; but not that it was dropped as somebody wanted.
    for (reason, expected) in [
        (failed(), &["boom"][..]),
        (
            ExitReason::Killed(KillCause::StopTimeout),
            &["killed: stop timeout"],
        ),
        (ExitReason::Killed(KillCause::Requested), &[]),
        (ExitReason::Shutdown, &[]),
    ] {
        let b = bench.token("b");
        bench.state.restart(b, Waiter(1), bench.now).unwrap();
        bench.run();
        bench.ready("b");
        bench.state.restart(b, Waiter(2), bench.now).unwrap();
        bench.run();
        taken(&asked);
        bench.exit("b", reason.clone());
        assert_eq!(taken(&asked), expected, "{reason}");
        bench.ready("b");
    }
    let b = bench.token("b");
    bench.state.lost(b, bench.now);
    bench.run();
    assert_eq!(taken(&asked), ["killed: arbiter stopped"]);
}

#[test]
fn fatal_error_of_a_start_ends_the_supervisor_as_one() {
    for ready in [false, true] {
        let (rules, asked) = asked("panicked");
        let mut bench = Bench::new(rules);
        for name in ["a", "b"] {
            bench.add(named(name)).unwrap();
        }
        bench.state.start(bench.now);
        bench.run();
        if ready {
            bench.ready("a");
        }
        bench.exit("a", ExitReason::panicked("ouch", "here"));
        bench.get_stopped();
        assert_eq!(taken(&asked), ["panicked at here: ouch"]);
        assert!(
            matches!(bench.cause(), Some(Cause::Fatal { path, .. }) if **path == *"root/a"),
            "{:?}",
            bench.cause()
        );
    }
}

#[test]
fn lost_service_is_fatal_if_that_is_what_the_rules_say() {
    let (rules, _) = asked("arbiter");
    let mut bench = Bench::running(rules, vec![named("a"), named("b")]);
    let a = bench.token("a");
    bench.state.lost(a, bench.now);
    bench.run();
    bench.get_stopped();
    assert!(matches!(bench.cause(), Some(Cause::Fatal { .. })));
}

/// How a service may decline its start.
fn declining() -> [Exit; 3] {
    let verdict = |verdict| Exit {
        verdict: Some(verdict),
        ..Exit::from(ExitReason::Normal)
    };
    let error = ServiceError::new(Verdict::DoNotRestart);
    [
        Exit::from(ExitReason::Normal),
        verdict(Verdict::DoNotRestart),
        Exit::from(ExitReason::Failed(error)),
    ]
}

impl Bench {
    fn end(&mut self, name: &str, exit: Exit) {
        let view = self.view(name);
        self.state
            .exited(view.token, view.generation, exit, self.now);
        self.run();
    }
}

#[test]
fn service_that_declines_its_start_is_no_failed_start() {
    for exit in declining() {
        let mut bench = Bench::new(SupervisorRules::default());
        bench.add(named("a")).unwrap();
        bench.add(named("b")).unwrap();
        bench.state.start(bench.now);
        bench.run();
        bench.forget();
        bench.end("a", exit);
        assert_eq!(bench.story(), ["a ServiceDeclined"]);
        assert!(!bench.events[0].kind().is_failure());
        bench.get_ready();
        assert_eq!(bench.started, 1);
        assert_eq!(bench.state_of("a"), ServiceState::Stopped);
        assert!(bench.state.failure_count(bench.now) < f64::EPSILON);
    }
}

#[test]
fn who_awaits_a_service_that_declines_is_told_so() {
    for exit in declining() {
        let mut bench = Bench::running(SupervisorRules::default(), vec![named("static")]);
        let token = bench.add(named("a")).unwrap();
        bench.state.await_ready(token, Waiter(1), bench.now);
        bench.end("a", exit.clone());
        assert!(bench.state.named("a").is_none());
        let fixed = bench.token("static");
        bench.state.stop(fixed, Waiter(2), bench.now).unwrap();
        bench.run();
        bench.get_stopped();
        bench.state.restart(fixed, Waiter(3), bench.now).unwrap();
        bench.run();
        bench.end("static", exit.clone());
        bench.state.restart(fixed, Waiter(4), bench.now).unwrap();
        bench.state.reset(fixed, Waiter(5), bench.now).unwrap();
        bench.run();
        bench.end("static", exit);
        assert_eq!(
            bench.answers,
            [
                (Waiter(1), Answer::Ready(Err(Unready::Declined))),
                (Waiter(2), Answer::Stopped(Ok(()))),
                (Waiter(3), Answer::Restarted(Err(RestartError::Declined))),
                (Waiter(4), Answer::Restarted(Err(RestartError::Declined))),
                (Waiter(5), Answer::Reset(Err(ResetError::Declined))),
            ]
        );
        assert_eq!(bench.state_of("static"), ServiceState::Stopped);
    }
}

#[test]
fn service_that_ends_normally_after_it_was_ready_has_not_declined() {
    let mut bench = Bench::running(SupervisorRules::default(), vec![named("a")]);
    bench.exit("a", ExitReason::Normal);
    assert_eq!(bench.state_of("a"), ServiceState::Starting);
    assert_eq!(bench.story(), ["a ServiceCompleted"]);
}

/// It waits to be asked, since those after it are asked first, and becomes ready meanwhile.
#[test]
fn restart_is_not_answered_by_a_readiness_that_is_about_to_be_stopped() {
    let services = vec![named("a"), named("b"), named("c")];
    let mut bench = Bench::running(strategy(Strategy::OneForAll), services);
    bench.fail("a");
    bench.get_stopped();
    bench.add(named("d")).unwrap();
    bench.ready("d");
    bench.ready("a");
    // `b` is starting, and `d` is asked to stop before it.
    bench.fail("a");
    let b = bench.token("b");
    bench.state.restart(b, Waiter(1), bench.now).unwrap();
    bench.run();
    let generation = bench.view("b").generation;
    bench.ready("b");
    assert_eq!(bench.state_of("b"), ServiceState::Ready);
    assert_eq!(bench.answers, []);
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(bench.view("b").generation, generation + 1);
    assert_eq!(bench.answers, [(Waiter(1), Answer::Restarted(Ok(())))]);
}
