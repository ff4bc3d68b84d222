//! Services that block their thread: they are abandoned, nobody waits for them, and they are started again when that is possible.

use super::{stopping::stopped_report, *};

/// Rules of a service that shares its thread with others.
fn shared(name: &str) -> ServiceRules {
    let mut rules = named(name);
    rules.on_blocked = OnBlocked::AwaitThread;
    rules.shutdown = Some(Shutdown::Timeout(seconds(5)));
    rules
}

/// What it ends with.
const UNRESPONSIVE: ExitReason = ExitReason::Killed(KillCause::Unresponsive);

impl Bench {
    fn thread_back(&mut self, name: &str) {
        let token = self.token(name);
        self.state.thread_back(token, self.now);
        self.run();
    }

    /// Asks for a restart that is refused.
    fn refused_restart(&mut self, name: &str) -> RestartError {
        let token = self.token(name);
        let refused = self.state.restart(token, Waiter(9), self.now).unwrap_err();
        self.run();
        refused
    }

    /// Has a service abandoned, because somebody restarts it and it blocks its thread.
    fn block(&mut self, name: &str) {
        let token = self.token(name);
        self.state.restart(token, Waiter(7), self.now).unwrap();
        self.run();
        self.pass(seconds(7));
    }
}

#[test]
fn service_on_a_shared_thread_has_failed_until_that_is_back() {
    let mut bench = Bench::running(unlimited(), vec![shared("stuck"), named("other")]);
    bench.actions();
    bench.block("stuck");
    assert_eq!(
        bench.actions(),
        ["stop stuck", "kill stuck stop timeout", "abandon stuck"]
    );
    assert_eq!(bench.state_of("stuck"), ServiceState::Failed);
    let failed = Err(RestartError::Failed {
        reason: UNRESPONSIVE,
    });
    assert_eq!(bench.answers, [(Waiter(7), Answer::Restarted(failed))]);
    // Refused at once, and with the reason.
    assert_eq!(
        bench.refused_restart("stuck"),
        RestartError::Failed {
            reason: UNRESPONSIVE
        }
    );
    let token = bench.token("stuck");
    assert_eq!(
        bench.state.reset(token, Waiter(8), bench.now),
        Err(ResetError::Failed {
            reason: UNRESPONSIVE
        })
    );
    bench.pass(seconds(3600));
    assert_eq!(bench.actions(), [] as [&str; 0]);

    bench.thread_back("stuck");
    assert_eq!(bench.actions(), ["start stuck 1"]);
    bench.ready("stuck");
    assert_eq!(bench.state_of("stuck"), ServiceState::Ready);
    // A second notice, or one that is late, is no news.
    bench.thread_back("stuck");
    assert_eq!(bench.actions(), [] as [&str; 0]);
}

#[test]
fn service_with_a_thread_of_its_own_is_started_again_at_once() {
    let mut bench = Bench::running(unlimited(), vec![named("stuck")]);
    bench.actions();
    bench.block("stuck");
    bench.pass(seconds(10));
    assert_eq!(
        bench.actions(),
        [
            "stop stuck",
            "kill stuck stop timeout",
            "abandon stuck",
            "start stuck 1"
        ]
    );
}

#[test]
fn return_of_a_thread_is_judged_by_type_limit_and_backoff() {
    let mut rules = shared("stuck");
    rules.rare().backoff = Some(Backoff::constant(seconds(30)));
    let mut bench = Bench::running(unlimited(), vec![rules]);
    bench.block("stuck");
    bench.actions();
    bench.thread_back("stuck");
    assert_eq!(bench.state_of("stuck"), ServiceState::BackingOff);

    let mut rules = shared("stuck");
    rules.restart = RestartType::Temporary;
    let mut bench = Bench::running(unlimited(), vec![rules]);
    bench.block("stuck");
    bench.actions();
    bench.thread_back("stuck");
    assert_eq!(bench.state_of("stuck"), ServiceState::Stopped);
    assert_eq!(bench.actions(), [] as [&str; 0]);

    let mut rules = shared("stuck");
    rules.rare().limit = Some(RestartLimit::window(0, seconds(60)).give_up());
    let mut bench = Bench::running(unlimited(), vec![rules]);
    bench.block("stuck");
    bench.actions();
    bench.thread_back("stuck");
    assert_eq!(bench.state_of("stuck"), ServiceState::Failed);
    assert_eq!(bench.actions(), [] as [&str; 0]);
    // Given up, and no longer out of reach.
    let token = bench.token("stuck");
    bench.state.reset(token, Waiter(8), bench.now).unwrap();
    bench.run();
    assert_eq!(bench.actions(), ["start stuck 1"]);
}

#[test]
fn service_that_was_to_stop_is_stopped_when_its_thread_is_back() {
    let mut bench = Bench::running(unlimited(), vec![shared("stuck")]);
    let token = bench.token("stuck");
    bench.state.stop(token, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.pass(seconds(7));
    assert_eq!(bench.answers, [(Waiter(1), Answer::Stopped(Ok(())))]);
    assert_eq!(bench.state_of("stuck"), ServiceState::Failed);
    bench.actions();
    bench.thread_back("stuck");
    assert_eq!(bench.state_of("stuck"), ServiceState::Stopped);
    assert_eq!(bench.actions(), [] as [&str; 0]);
    bench.state.restart(token, Waiter(2), bench.now).unwrap();
    bench.run();
    assert_eq!(bench.actions(), ["start stuck 1"]);
    // What was wanted of the life before is forgotten.
    bench.ready("stuck");
    bench.block("stuck");
    bench.actions();
    bench.thread_back("stuck");
    assert_eq!(bench.actions(), ["start stuck 2"]);
}

#[test]
fn group_does_not_wait_for_a_member_that_was_abandoned() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let services = vec![named("first"), shared("stuck"), named("last")];
        let mut rules = unlimited();
        rules.strategy = strategy;
        let mut bench = Bench::running(rules, services);
        bench.fail("first");
        bench.exit("last", ExitReason::Shutdown);
        bench.actions();
        bench.pass(seconds(7));
        bench.ready("first");
        bench.ready("last");
        assert_eq!(
            bench.actions(),
            [
                "kill stuck stop timeout",
                "abandon stuck",
                "start first 1",
                "start last 1"
            ]
        );
    }
}

#[test]
fn service_that_is_bound_to_one_that_was_abandoned_is_told() {
    let mut bound = named("bound");
    bound.rare().binds_to.push(Arc::from("stuck"));
    let mut bench = Bench::running(unlimited(), vec![shared("stuck"), bound, named("other")]);
    let token = bench.token("stuck");
    bench.state.restart(token, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.exit("bound", ExitReason::Shutdown);
    bench.pass(seconds(7));
    assert_eq!(bench.state_of("stuck"), ServiceState::Failed);
    assert_eq!(bench.state_of("bound"), ServiceState::Waiting);
    let token = bench.token("bound");
    bench.state.restart(token, Waiter(2), bench.now).unwrap();
    bench.run();
    assert!(
        matches!(
            bench.answers.last(),
            Some((Waiter(2), Answer::Restarted(Err(_))))
        ),
        "{:?}",
        bench.answers
    );
    bench.actions();
    bench.thread_back("stuck");
    bench.ready("stuck");
    assert_eq!(bench.actions(), ["start stuck 1", "start bound 1"]);
}

#[test]
fn removal_of_one_that_is_abandoned_is_answered() {
    let mut bench = Bench::running(unlimited(), vec![shared("stuck")]);
    let token = bench.token("stuck");
    bench.state.remove(token, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.actions();
    bench.pass(seconds(7));
    assert_eq!(
        bench.actions(),
        ["kill stuck stop timeout", "abandon stuck", "release stuck"]
    );
    let removed = Answer::Removed(Ok(UNRESPONSIVE));
    assert_eq!(bench.answers, [(Waiter(1), removed)]);
    bench.state.thread_back(token, bench.now);
    bench.run();
    assert_eq!(bench.actions(), [] as [&str; 0]);
}

#[test]
fn service_whose_factory_is_lost_has_failed_for_good() {
    let mut bench = Bench::running(unlimited(), vec![named("stuck")]);
    bench.block("stuck");
    let token = bench.token("stuck");
    bench.state.factory_lost(token, bench.now);
    bench.run();
    assert_eq!(bench.state_of("stuck"), ServiceState::Failed);
    assert_eq!(
        bench.refused_restart("stuck"),
        RestartError::Failed {
            reason: UNRESPONSIVE
        }
    );
    bench.actions();
    bench.thread_back("stuck");
    assert_eq!(bench.actions(), [] as [&str; 0]);
}

#[test]
fn thread_that_is_back_while_the_supervisor_starts_is_judged_when_it_has() {
    let mut bench = Bench::running(unlimited(), vec![named("first"), shared("stuck")]);
    bench.block("stuck");
    bench.shutdown();
    bench.exit("first", ExitReason::Shutdown);
    bench.ended = None;
    bench.state.reopen(bench.now);
    bench.run();
    bench.state.start(bench.now);
    bench.run();
    bench.actions();
    bench.thread_back("stuck");
    assert_eq!(bench.actions(), [] as [&str; 0]);
    bench.ready("first");
    assert_eq!(bench.actions(), ["start stuck 1"]);
}

#[test]
fn end_of_the_supervisor_lists_it_once_and_not_among_those_that_failed() {
    let mut bench = Bench::running(unlimited(), vec![shared("stuck")]);
    bench.shutdown();
    bench.pass(seconds(7));
    let report = stopped_report(&bench);
    assert_eq!(report.unstopped().len(), 1);
    assert_eq!(report.failures(), []);
    assert!(
        bench
            .story()
            .contains(&String::from("stuck ServiceStopped")),
        "told as any other stop"
    );
}

/// Rules of a service with a thread of its own.
fn dedicated(name: &str) -> ServiceRules {
    let mut rules = named(name);
    rules.on_blocked = OnBlocked::NewThread;
    rules
}

impl Bench {
    /// A supervisor that is dropped with its services, and started again.
    fn dropped(services: Vec<ServiceRules>) -> Self {
        let mut bench = Self::running(unlimited(), services);
        bench.drop_all();
        bench.ended = None;
        bench.state.restart_fresh(bench.now);
        bench.run();
        bench
    }
}

#[test]
fn next_life_of_one_that_was_dropped_with_its_supervisor_begins_when_it_is_gone() {
    let mut bench = Bench::dropped(vec![named("here"), dedicated("slow"), shared("other")]);
    assert_eq!(
        bench.actions(),
        [
            "kill other requested",
            "kill slow requested",
            "kill here requested",
            "start here 1",
        ]
    );
    bench.ready("here");
    assert_eq!(bench.actions(), [] as [&str; 0]);
    let (slow, other) = (bench.token("slow"), bench.token("other"));
    // Not the one that it waits for.
    bench.exit_at(other, 0, failed());
    bench.exit_at(slow, 7, failed());
    assert_eq!(bench.actions(), [] as [&str; 0]);
    bench.exit_at(slow, 0, failed());
    assert_eq!(bench.actions(), ["start slow 1"]);
    bench.ready("slow");
    // Gone before its turn came.
    assert_eq!(bench.actions(), ["start other 1"]);
    bench.ready("other");
    assert_eq!(bench.started, 2);
    // A second notice is no news.
    bench.exit_at(slow, 0, failed());
    bench.pass(seconds(3600));
    assert_eq!(bench.actions(), [] as [&str; 0]);
}

#[test]
fn next_life_does_not_wait_for_one_that_was_dropped_and_blocks_its_thread() {
    let mut bench = Bench::dropped(vec![dedicated("stuck"), named("z")]);
    bench.forget();
    bench.pass(millis(99));
    assert_eq!(bench.actions(), [] as [&str; 0]);
    bench.pass(millis(1));
    assert_eq!(bench.actions(), ["abandon stuck", "start stuck 1"]);
    assert_eq!(bench.story(), ["stuck ServiceAbandoned"]);
    assert_eq!(bench.events[0].generation(), 0);
    bench.ready("stuck");
    bench.ready("z");
    assert_eq!(bench.started, 2);
}

#[test]
fn supervisor_starts_without_one_whose_shared_thread_is_still_blocked() {
    let mut bench = Bench::dropped(vec![shared("stuck"), named("z")]);
    bench.forget();
    bench.pass(millis(100));
    assert_eq!(bench.actions(), ["abandon stuck", "start z 1"]);
    bench.ready("z");
    assert_eq!(bench.started, 2);
    assert_eq!(bench.state_of("stuck"), ServiceState::Failed);
    bench.actions();
    bench.thread_back("stuck");
    assert_eq!(bench.actions(), ["start stuck 2"]);
}

#[test]
fn one_that_waits_for_the_end_of_its_life_before_can_be_stopped_removed_and_dropped_again() {
    let mut bench = Bench::dropped(vec![dedicated("a")]);
    bench.forget();
    let a = bench.token("a");
    bench.state.stop(a, Waiter(1), bench.now).unwrap();
    bench.run();
    // So that there is one that ends.
    assert_eq!(bench.actions(), ["start a 1", "stop a"]);
    bench.exit("a", ExitReason::Shutdown);
    assert_eq!(bench.answers, [(Waiter(1), Answer::Stopped(Ok(())))]);

    let mut bench = Bench::dropped(vec![dedicated("a")]);
    bench.drop_all();
    bench.ended = None;
    bench.state.restart_fresh(bench.now);
    bench.run();
    bench.forget();
    let a = bench.token("a");
    // It is the first that may still be there: the second was never begun.
    bench.exit_at(a, 1, failed());
    assert_eq!(bench.actions(), [] as [&str; 0]);
    bench.exit_at(a, 0, failed());
    assert_eq!(bench.actions(), ["start a 2"]);

    let mut bench = Bench::dropped(vec![dedicated("a")]);
    bench.forget();
    bench.shutdown();
    assert_eq!(bench.actions(), ["start a 1", "stop a"]);
    bench.exit("a", ExitReason::Shutdown);
    assert!(bench.ended.is_some());
}

/// It was to stop with its supervisor, and not for good.
#[test]
fn service_that_was_abandoned_when_its_supervisor_stopped_runs_in_the_next_life() {
    for back_early in [true, false] {
        let mut bench = Bench::running(unlimited(), vec![named("first"), shared("stuck")]);
        bench.shutdown();
        bench.pass(seconds(7));
        bench.exit("first", ExitReason::Shutdown);
        assert!(bench.ended.take().is_some());
        bench.state.reopen(bench.now);
        bench.run();
        bench.actions();
        if back_early {
            bench.thread_back("stuck");
        }
        bench.state.start(bench.now);
        bench.run();
        bench.ready("first");
        if !back_early {
            assert_eq!(bench.state_of("stuck"), ServiceState::Failed);
            bench.thread_back("stuck");
        }
        assert_eq!(bench.actions(), ["start first 1", "start stuck 1"]);
    }
}
