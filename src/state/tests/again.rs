//! A supervisor that is started again: it is not stricter than in the life before.

use super::*;

fn requiring(name: &str, required: &str) -> ServiceRules {
    let mut rules = named(name);
    rules.rare().requires = vec![Arc::from(required)];
    rules
}

fn limited(name: &str, on_limit: OnLimit) -> ServiceRules {
    let mut rules = named(name);
    rules.rare().limit = Some(over(
        RestartLimit::decay(seconds(30), 0.5, seconds(60)),
        on_limit,
    ));
    rules
}

impl Bench {
    /// Stops the supervisor, or drops it as it is, and starts it again.
    fn again(&mut self, killed: bool) {
        if !killed {
            self.shutdown();
            self.get_stopped();
            self.pass(seconds(1));
        }
        self.ended = None;
        self.started = 0;
        self.forget();
        self.state.restart_fresh(self.now);
        self.run();
    }
}

#[test]
fn service_that_was_added_and_waits_for_another_one_waits_again() {
    for killed in [false, true] {
        let mut bench = Bench::running(unlimited(), vec![named("a")]);
        bench.add(requiring("w", "later")).unwrap();
        bench.again(killed);
        bench.get_ready();
        assert_eq!(bench.started, 1);
        assert_eq!(bench.state_of("w"), ServiceState::Waiting);
        assert!(bench.story().contains(&String::from("w ServiceBlocked")));
        bench.add(named("later")).unwrap();
        bench.get_ready();
        assert_eq!(bench.state_of("w"), ServiceState::Ready);
    }
}

#[test]
fn service_whose_requirement_was_removed_waits_for_the_next_one() {
    for killed in [false, true] {
        let services = vec![named("db"), requiring("api", "db"), named("c")];
        let mut bench = Bench::running(unlimited(), services);
        let db = bench.token("db");
        bench.state.remove(db, Waiter(1), bench.now).unwrap();
        bench.run();
        bench.get_stopped();
        assert_eq!(bench.state_of("api"), ServiceState::Ready);
        bench.again(killed);
        bench.get_ready();
        assert_eq!(bench.started, 1);
        assert_eq!(bench.state_of("api"), ServiceState::Waiting);
        assert_eq!(bench.state_of("c"), ServiceState::Ready);
        // Once more, now that it did not even run in the life before.
        bench.again(killed);
        bench.get_ready();
        bench.add(named("db")).unwrap();
        bench.get_ready();
        assert_eq!(bench.state_of("api"), ServiceState::Ready);
    }
}

#[test]
fn service_that_was_added_stays_given_up() {
    for killed in [false, true] {
        let mut bench = Bench::running(unlimited(), vec![named("a")]);
        let token = bench.add(limited("sick", OnLimit::GiveUp)).unwrap();
        bench.add(requiring("patient", "sick")).unwrap();
        bench.fail("sick");
        assert_eq!(bench.state_of("sick"), ServiceState::Failed);
        bench.again(killed);
        bench.get_ready();
        assert_eq!(bench.started, 1);
        assert_eq!(bench.state_of("sick"), ServiceState::Failed);
        assert_eq!(bench.state_of("patient"), ServiceState::Waiting);
        bench.state.reset(token, Waiter(1), bench.now).unwrap();
        bench.run();
        bench.get_ready();
        assert_eq!(bench.state_of("patient"), ServiceState::Ready);
    }
}

#[test]
fn service_that_was_added_waits_out_its_own_delay_and_its_own_pause() {
    for killed in [false, true] {
        for which in [Strategy::OneForOne, Strategy::RestForOne] {
            let mut bench = Bench::running(strategy(which), vec![named("a")]);
            let mut slow = named("slow");
            slow.rare().backoff = Some(Backoff::exponential(seconds(60), seconds(3600)));
            bench.add(slow).unwrap();
            bench.add(limited("sick", OnLimit::Pause)).unwrap();
            bench.get_ready();
            bench.fail("sick");
            bench.fail("slow");
            bench.get_stopped();
            bench.get_ready();
            let due = bench.view("slow").next_start;
            assert!(due.is_some());
            bench.again(killed);
            bench.get_ready();
            assert_eq!(bench.started, 1);
            assert_eq!(bench.state_of("slow"), ServiceState::BackingOff);
            assert_eq!(bench.view("slow").next_start, due);
            assert_eq!(bench.state_of("sick"), ServiceState::Paused);
            bench.pass(seconds(60));
            bench.get_ready();
            assert_eq!(bench.state_of("slow"), ServiceState::Ready);
            assert_eq!(bench.state_of("sick"), ServiceState::Ready);
            // The row of its failures goes on.
            bench.fail("slow");
            let next = bench.view("slow").next_start;
            assert_eq!(next, Some(bench.now + seconds(120)));
        }
    }
}

#[test]
fn service_of_the_first_start_that_was_down_begins_anew_and_does_not_fail_the_start() {
    let mut slow = named("slow");
    slow.rare().backoff = Some(Backoff::constant(seconds(60)));
    let services = || {
        vec![
            slow.clone(),
            limited("sick", OnLimit::GiveUp),
            named("stopped"),
            named("a"),
        ]
    };
    for killed in [false, true] {
        let mut bench = Bench::running(unlimited(), services());
        bench.fail("slow");
        bench.fail("sick");
        let stopped = bench.token("stopped");
        bench.state.stop(stopped, Waiter(1), bench.now).unwrap();
        bench.run();
        bench.get_stopped();
        bench.again(killed);
        // All are started, also the one that was stopped on request: a life of the supervisor begins anew, as in OTP.
        for name in ["slow", "sick", "stopped", "a"] {
            assert_eq!(bench.state_of(name), ServiceState::Starting, "{name}");
        }
        for name in ["slow", "sick", "stopped"] {
            bench.fail(name);
        }
        bench.get_ready();
        assert_eq!(bench.started, 1, "{:?}", bench.ended);
        assert_eq!(bench.state_of("slow"), ServiceState::BackingOff);
        assert_eq!(bench.state_of("sick"), ServiceState::Failed);
        bench.pass(seconds(60));
        bench.get_ready();
        // Ready once, it is needed again.
        bench.again(killed);
        bench.fail("slow");
        bench.get_stopped();
        let failed = Some(bench.cause().cloned());
        assert!(
            matches!(&failed, Some(Some(Cause::StartFailed { path, .. })) if **path == *"root/slow"),
            "{failed:?}"
        );
    }
}

#[test]
fn service_that_was_added_does_not_hold_up_or_fail_the_start() {
    let mut bench = Bench::running(unlimited(), vec![named("a"), named("b")]);
    bench.add(named("hangs")).unwrap();
    bench.add(named("fails")).unwrap();
    bench.get_ready();
    bench.again(false);
    bench.ready("a");
    bench.ready("b");
    assert_eq!(bench.started, 1);
    assert_eq!(bench.state_of("hangs"), ServiceState::Starting);
    bench.again(false);
    bench.ready("a");
    bench.fail("b");
    bench.get_stopped();
    // What is needed still is.
    assert!(matches!(bench.cause(), Some(Cause::StartFailed { .. })));
    bench.again(false);
    bench.ready("a");
    bench.ready("b");
    bench.fail("fails");
    assert_eq!(bench.cause(), None);
    assert_eq!(bench.state_of("fails"), ServiceState::Starting);
}

#[test]
fn service_whose_failure_has_ended_the_supervisor_is_needed_by_the_next_start() {
    let rules = SupervisorRules {
        limit: RestartLimit::window(0, seconds(5)).escalate(),
        ..SupervisorRules::default()
    };
    let mut bench = Bench::running(rules, vec![named("a"), named("b")]);
    bench.fail("b");
    bench.get_stopped();
    assert!(matches!(bench.cause(), Some(Cause::Escalated { .. })));
    bench.again(true);
    bench.ready("a");
    bench.fail("b");
    bench.get_stopped();
    assert!(matches!(bench.cause(), Some(Cause::StartFailed { .. })));
}

#[test]
fn requests_between_two_lives_hold_for_the_next_one() {
    let mut bench = Bench::running(unlimited(), vec![named("a"), named("b")]);
    let sick = bench.add(limited("sick", OnLimit::GiveUp)).unwrap();
    let mut slow = named("slow");
    slow.rare().backoff = Some(Backoff::constant(seconds(60)));
    let slow = bench.add(slow).unwrap();
    bench.get_ready();
    bench.fail("sick");
    bench.fail("slow");
    bench.shutdown();
    bench.get_stopped();
    bench.ended = None;
    bench.state.reopen(bench.now);
    bench.run();
    // No time is waited for while the supervisor is down.
    assert_eq!(bench.state.next_timeout(), None);
    let (a, now) = (bench.token("a"), bench.now);
    bench.state.stop(a, Waiter(1), now).unwrap();
    bench.state.reset(sick, Waiter(2), now).unwrap();
    bench.state.restart(slow, Waiter(3), now).unwrap();
    bench.state.start(now);
    bench.forget();
    bench.run();
    bench.get_ready();
    assert_eq!(bench.state_of("a"), ServiceState::Stopped);
    for name in ["b", "sick", "slow"] {
        assert_eq!(bench.state_of(name), ServiceState::Ready, "{name}");
    }
    let mut answers = bench.answers.clone();
    answers.sort_by_key(|(waiter, _)| *waiter);
    assert_eq!(
        answers,
        [
            (Waiter(1), Answer::Stopped(Ok(()))),
            (Waiter(2), Answer::Reset(Ok(()))),
            (Waiter(3), Answer::Restarted(Ok(()))),
        ]
    );
}
