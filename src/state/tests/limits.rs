//! Limits, pauses and backoffs.

use super::*;

pub(super) fn decay(threshold: f64) -> SupervisorRules {
    SupervisorRules {
        limit: RestartLimit::decay(seconds(30), threshold, seconds(15)),
        ..SupervisorRules::default()
    }
}

pub(super) fn window(max: u32, within: u64, on_limit: OnLimit) -> SupervisorRules {
    SupervisorRules {
        limit: over(RestartLimit::window(max, seconds(within)), on_limit),
        ..SupervisorRules::default()
    }
}

#[test]
fn crash_loop_pauses_after_the_sixth_failure_and_goes_on_at_twenty_seconds() {
    let mut bench = Bench::running(SupervisorRules::default(), vec![named("a")]);
    let counts = [1.0, 1.977_160, 2.932_002, 3.865_035, 4.776_757, 5.667_656];
    for (second, count) in (0..).zip(counts) {
        let wait = bench.at(second);
        bench.pass(wait);
        bench.fail("a");
        assert!((bench.state.failure_count(bench.now) - count).abs() < 1e-6);
        if second < 5 {
            assert_eq!(bench.actions(), [format!("start a {}", second + 1)]);
            bench.ready("a");
        }
    }
    assert_eq!(bench.actions(), Vec::<String>::new());
    assert_eq!(bench.state_of("a"), ServiceState::Paused);
    assert_eq!(
        bench.story.split_off(bench.story.len() - 2),
        ["a ServiceFailed", "root PauseStarted"]
    );
    let almost = just_before(bench.at(20));
    bench.pass(almost);
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.story();
    bench.pass(millis(1));
    assert_eq!(bench.actions(), ["start a 6"]);
    assert_eq!(bench.story(), ["root PauseEnded"]);
    assert!(bench.state.failure_count(bench.now) < f64::EPSILON);
}

#[test]
fn failures_of_all_services_add_up() {
    let mut bench = Bench::running(decay(3.5), vec![named("s1"), named("s2")]);
    for (second, name, restarted) in [
        (0, "s1", true),
        (0, "s2", true),
        (30, "s2", true),
        (30, "s1", true),
        (30, "s1", false),
    ] {
        let wait = bench.at(second);
        bench.pass(wait);
        bench.fail(name);
        assert_eq!(!bench.actions().is_empty(), restarted, "{second} {name}");
        bench.get_ready();
    }
    let wait = bench.at(45);
    bench.pass(wait);
    assert_eq!(bench.actions(), ["start s1 3"]);
}

#[test]
fn threshold_itself_is_not_too_much() {
    let mut bench = Bench::running(decay(3.0), vec![named("a")]);
    for restarted in [true, true, true, false] {
        bench.fail("a");
        assert_eq!(!bench.actions().is_empty(), restarted);
        bench.get_ready();
    }
}

#[test]
fn healthy_services_run_on_during_a_pause_and_new_ones_start_at_once() {
    let mut bench = Bench::running(decay(0.0), vec![named("a"), named("b")]);
    bench.fail("a");
    assert_eq!(bench.state_of("b"), ServiceState::Ready);
    bench.add(named("c")).unwrap();
    assert_eq!(bench.actions(), ["start c 0"]);
    assert!(matches!(
        bench.state.status(),
        SupervisorStatus::Paused { .. }
    ));
}

#[test]
fn queued_services_start_in_the_order_in_which_they_failed() {
    let mut bench = Bench::running(
        decay(0.0),
        vec![named("a"), named("b"), named("c"), named("d")],
    );
    for name in ["c", "a", "d", "b"] {
        bench.fail(name);
    }
    let d = bench.token("d");
    bench.state.remove(d, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.forget();
    bench.pass(seconds(15));
    assert_eq!(bench.actions(), ["start c 1", "start a 1", "start b 1"]);
    let ended = bench.events.iter().find_map(|event| match event.kind() {
        EventKind::PauseEnded { queued } => Some(*queued),
        _ => None,
    });
    assert_eq!(ended, Some(3));
}

#[test]
fn queued_services_start_spaced() {
    let rules = SupervisorRules {
        resume_spacing: seconds(2),
        ..decay(0.0)
    };
    let mut bench = Bench::running(rules, vec![named("a"), named("b"), named("c")]);
    for name in ["a", "b", "c"] {
        bench.fail(name);
    }
    bench.pass(seconds(15));
    assert_eq!(bench.actions(), ["start a 1"]);
    assert_eq!(bench.state_of("b"), ServiceState::Paused);
    bench.pass(seconds(2));
    assert_eq!(bench.actions(), ["start b 1"]);
    bench.pass(seconds(2));
    assert_eq!(bench.actions(), ["start c 1"]);
    assert_eq!(bench.state.next_timeout(), None);
}

#[test]
fn failure_during_a_pause_that_leaves_the_count_above_prolongs_it() {
    let mut bench = Bench::running(decay(0.5), vec![named("a"), named("b")]);
    bench.fail("a");
    bench.pass(seconds(10));
    bench.fail("b");
    bench.pass(seconds(14));
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.pass(seconds(1));
    assert_eq!(bench.actions(), ["start a 1", "start b 1"]);
}

#[test]
fn pause_is_bounded_however_often_it_is_prolonged() {
    let rules = SupervisorRules {
        limit: RestartLimit::decay(seconds(30), 0.0, seconds(15)).max_pause(seconds(20)),
        ..SupervisorRules::default()
    };
    let mut bench = Bench::running(rules, vec![named("a"), named("b"), named("c")]);
    bench.fail("a");
    bench.pass(seconds(10));
    bench.fail("b");
    bench.pass(seconds(5));
    bench.fail("c");
    bench.pass(millis(4999));
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.pass(millis(1));
    assert_eq!(bench.actions().len(), 3);
}

#[test]
fn jitter_prolongs_the_pause() {
    let rules = SupervisorRules {
        limit: RestartLimit::decay(seconds(30), 0.0, seconds(10)).jitter(0.4),
        ..SupervisorRules::default()
    };
    let mut bench = Bench::running(rules, vec![named("a")]);
    bench.fail("a");
    assert_eq!(bench.state.next_timeout(), Some(bench.now + seconds(12)));
}

#[test]
fn pause_of_zero_does_not_hold_up_restarts() {
    let rules = SupervisorRules {
        limit: RestartLimit::decay(seconds(30), 0.0, Duration::ZERO),
        ..SupervisorRules::default()
    };
    let mut bench = Bench::running(rules, vec![named("a")]);
    bench.fail("a");
    bench.pass(Duration::ZERO);
    assert_eq!(bench.actions(), ["start a 1"]);
}

#[test]
fn window_slides_and_escalates_with_the_chain_of_causes() {
    let rules = window(2, 5, OnLimit::Escalate);
    let mut bench = Bench::running(rules, vec![named("a"), named("b"), named("c")]);
    for second in [0, 4, 8, 12, 16] {
        let wait = bench.at(second);
        bench.pass(wait);
        bench.fail("b");
        bench.get_ready();
    }
    bench.forget();
    bench.pass(millis(1500));
    bench.fail("a");
    bench.ready("a");
    bench.forget();
    let cause = failed();
    bench.exit("b", cause.clone());
    assert_eq!(bench.actions(), ["stop c"]);
    bench.get_stopped();
    assert_eq!(
        bench.story(),
        [
            "b ServiceFailed",
            "root LimitExceeded",
            "c ServiceStopped",
            "a ServiceStopped",
            "root SupervisorEscalated",
        ]
    );
    let reason = ExitReason::escalated(Arc::from("root/b"), cause);
    assert!(reason.is_abnormal());
    assert_eq!(
        bench.ended,
        Some(Ended::from(Cause::Escalated {
            path: Arc::from("root"),
            reason,
        }))
    );
}

#[test]
fn window_of_none_escalates_at_the_first_failure_without_a_restart() {
    let mut bench = Bench::running(window(0, 5, OnLimit::Escalate), vec![named("a")]);
    bench.fail("a");
    assert_eq!(bench.actions(), Vec::<String>::new());
    assert!(matches!(bench.cause(), Some(Cause::Escalated { .. })));
}

#[test]
fn window_pauses_until_it_frees() {
    let mut bench = Bench::running(window(2, 10, OnLimit::Pause), vec![named("a")]);
    for second in [0, 4, 6] {
        let wait = bench.at(second);
        bench.pass(wait);
        bench.fail("a");
        bench.get_ready();
    }
    assert_eq!(bench.state_of("a"), ServiceState::Paused);
    bench.forget();
    let wait = bench.at(14);
    bench.pass(just_before(wait));
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.pass(millis(1));
    assert_eq!(bench.actions(), ["start a 3"]);
}

#[test]
fn window_with_a_pause_of_its_own_slides_on_during_it() {
    let limit = RestartLimit::window(2, seconds(60)).pause(seconds(15));
    let rules = SupervisorRules {
        limit: limit.max_pause(seconds(20)),
        ..SupervisorRules::default()
    };
    let mut bench = Bench::running(rules, vec![named("a"), named("b")]);
    for _ in 0..3 {
        bench.fail("a");
        bench.get_ready();
    }
    bench.forget();
    bench.pass(seconds(10));
    // Prolongs it, but not beyond its bound.
    bench.fail("b");
    assert_eq!(bench.story(), ["b ServiceFailed", "root PauseStarted"]);
    bench.pass(just_before(seconds(10)));
    assert_eq!(bench.actions(), Vec::<String>::new());
    bench.pass(millis(1));
    assert_eq!(bench.actions(), ["start a 3", "start b 1"]);
    bench.get_ready();
    // At 59 s two of the four are still in the window, at 74 s one.
    bench.forget();
    let wait = bench.at(59);
    bench.pass(wait);
    bench.fail("a");
    assert_eq!(bench.story(), ["a ServiceFailed", "root PauseStarted"]);
    bench.pass(seconds(15));
    bench.get_ready();
    bench.forget();
    bench.fail("a");
    assert_eq!(bench.actions(), ["start a 5"]);
}

#[test]
fn window_of_none_pauses_each_restart() {
    let rules = SupervisorRules {
        limit: RestartLimit::window(0, seconds(60)).pause(seconds(15)),
        ..SupervisorRules::default()
    };
    let mut bench = Bench::running(rules, vec![named("a")]);
    for generation in 1..4 {
        bench.fail("a");
        bench.pass(just_before(seconds(15)));
        bench.forget();
        bench.pass(millis(1));
        assert_eq!(bench.actions(), [format!("start a {generation}")]);
        bench.ready("a");
    }
}

#[test]
fn what_needs_no_restart_does_not_count() {
    let mut once = named("once");
    once.restart = RestartType::Temporary;
    let mut job = named("job");
    job.restart = RestartType::Transient;
    let mut bench = Bench::running(SupervisorRules::default(), vec![once, job, named("a")]);
    bench.fail("once");
    bench.exit("job", ExitReason::Normal);
    let a = bench.token("a");
    bench.state.restart(a, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.fail("a");
    assert!(bench.state.failure_count(bench.now) < f64::EPSILON);
}

#[test]
fn failed_start_during_a_restart_counts() {
    let mut bench = Bench::running(decay(3.0), vec![named("a")]);
    for _ in 0..3 {
        bench.fail("a");
    }
    assert_eq!(bench.state_of("a"), ServiceState::Starting);
    bench.fail("a");
    assert_eq!(bench.state_of("a"), ServiceState::Paused);
}

fn delayed(backoff: Backoff) -> ServiceRules {
    let mut rules = named("a");
    rules.rare().backoff = Some(backoff);
    rules
}

#[test]
fn delays_grow_and_begin_anew_after_health() {
    let backoff = Backoff::exponential(seconds(1), seconds(4)).reset_after(seconds(60));
    let mut bench = Bench::running(unlimited(), vec![delayed(backoff)]);
    for (ran, delay) in [(0, 1), (0, 2), (59, 4), (0, 4), (60, 1), (0, 2)] {
        bench.pass(seconds(ran));
        bench.fail("a");
        assert_eq!(bench.state_of("a"), ServiceState::BackingOff);
        assert_eq!(bench.view("a").next_start, Some(bench.now + seconds(delay)));
        bench.pass(just_before(seconds(delay)));
        assert_eq!(bench.state_of("a"), ServiceState::BackingOff);
        bench.pass(millis(1));
        assert_eq!(bench.state_of("a"), ServiceState::Starting);
        bench.ready("a");
    }
}

#[test]
fn delay_is_cancelled_by_stop_remove_and_shutdown() {
    for operation in ["stop", "remove", "shutdown"] {
        let mut bench = Bench::running(unlimited(), vec![delayed(Backoff::constant(seconds(9)))]);
        bench.fail("a");
        let a = bench.token("a");
        match operation {
            "stop" => bench.state.stop(a, Waiter(1), bench.now).unwrap(),
            "remove" => bench.state.remove(a, Waiter(1), bench.now).unwrap(),
            _ => bench.state.shutdown(None, bench.now),
        }
        bench.run();
        assert_eq!(bench.state.next_timeout(), None, "{operation}");
        bench.pass(seconds(99));
        assert!(!bench.actions().iter().any(|a| a.starts_with("start")));
    }
}

#[test]
fn delay_that_ends_during_a_pause_goes_on_with_it() {
    let rules = decay(1.5);
    let services = vec![delayed(Backoff::constant(seconds(5))), named("b")];
    let mut bench = Bench::running(rules, services);
    bench.fail("a");
    bench.fail("b");
    bench.pass(seconds(10));
    assert_eq!(bench.actions(), Vec::<String>::new());
    assert_eq!(bench.state_of("a"), ServiceState::Paused);
    bench.pass(seconds(5));
    assert_eq!(bench.actions(), ["start b 1", "start a 1"]);
}

#[test]
fn reconfiguration_that_is_refused_changes_nothing() {
    let mut bench = Bench::running(decay(0.0), vec![named("a")]);
    assert!(bench.state.reconfigure(decay(f64::NAN), bench.now).is_err());
    assert!(
        bench
            .state
            .reconfigure(window(1, 1, OnLimit::GiveUp), bench.now)
            .is_err()
    );
    bench.fail("a");
    assert_eq!(bench.state_of("a"), ServiceState::Paused);
}

#[test]
fn reconfigured_limit_holds_from_then_on() {
    let mut bench = Bench::running(decay(0.0), vec![named("a")]);
    bench.state.reconfigure(decay(9.0), bench.now).unwrap();
    bench.run();
    assert_eq!(bench.story(), ["root Reconfigured"]);
    bench.fail("a");
    assert_eq!(bench.actions(), ["start a 1"]);
}

#[test]
fn huge_durations_never_end_and_never_overflow() {
    let mut rules = delayed(Backoff::constant(Duration::MAX));
    rules.rare().start_timeout = Some(Duration::MAX);
    rules.shutdown = Some(Shutdown::Timeout(Duration::MAX));
    let mut bench = Bench::running(unlimited(), vec![rules]);
    bench.fail("a");
    assert_eq!(bench.state.next_timeout(), None);
    bench
        .state
        .shutdown(StopBy::within(Duration::MAX, bench.now), bench.now);
    bench.run();
    assert!(bench.ended.is_some());
}

#[test]
fn failure_during_a_pause_waits_though_the_count_has_fallen() {
    let rules = SupervisorRules {
        limit: RestartLimit::decay(seconds(1), 1.5, seconds(30)),
        ..SupervisorRules::default()
    };
    let mut bench = Bench::running(rules, vec![named("a"), named("b")]);
    bench.fail("a");
    bench.fail("a");
    bench.pass(seconds(20));
    bench.forget();
    bench.fail("b");
    // The pause is not prolonged either.
    assert_eq!(bench.story(), ["b ServiceFailed"]);
    assert_eq!(bench.state_of("b"), ServiceState::Paused);
    bench.pass(seconds(10));
    assert_eq!(bench.actions(), ["start a 2", "start b 1"]);
}

#[test]
fn service_that_is_restarted_again_and_again_in_a_pause_is_resumed_once_and_queued_once() {
    let rules = SupervisorRules {
        limit: RestartLimit::decay(seconds(30), 0.5, seconds(60)),
        ..SupervisorRules::default()
    };
    let mut bench = Bench::running(rules, vec![named("a"), named("b")]);
    bench.fail("b");
    bench.fail("a");
    let token = bench.token("a");
    for round in 0..1000 {
        bench
            .state
            .restart(token, Waiter(round), bench.now)
            .unwrap();
        bench.run();
        bench.ready("a");
        bench.fail("a");
    }
    assert!(bench.state.queue.len() < 50, "{}", bench.state.queue.len());
    bench.actions();
    bench.pass(seconds(61));
    assert_eq!(bench.actions(), ["start b 1", "start a 1001"]);
}
