//! Which changes of a service are an end for good, and with which reason: what those are told who watch it.

use super::{dependencies::requiring, *};

/// The ends since the last call, as text: `a: normal`, `release a: shutdown`.
fn ends(bench: &mut Bench) -> Vec<String> {
    let ends = std::mem::take(&mut bench.ends);
    ends.into_iter()
        .map(|(name, reason)| format!("{name}: {reason}"))
        .collect()
}

fn with_restart(restart: RestartType) -> Bench {
    let mut rules = named("a");
    rules.restart = restart;
    Bench::running(unlimited(), vec![rules, named("b")])
}

#[test]
fn service_that_finishes_has_ended_and_has_not_any_more_once_it_is_started_by_hand() {
    let mut bench = with_restart(RestartType::Transient);
    bench.fail("a");
    bench.get_ready();
    assert_eq!(ends(&mut bench), [""; 0], "a restart");
    bench.exit("a", ExitReason::Normal);
    assert_eq!(ends(&mut bench), ["a: normal"]);
    let (a, now) = (bench.token("a"), bench.now);
    bench.state.restart(a, Waiter(1), now).unwrap();
    bench.run();
    assert_eq!(bench.mirror[&a].over, Over::No);
    bench.exit("a", ExitReason::Normal);
    assert_eq!(ends(&mut bench), ["a: normal"], "the end of another life");
    bench.state.remove(a, Waiter(2), now).unwrap();
    bench.run();
    assert_eq!(ends(&mut bench), ["release a: normal"]);
}

#[test]
fn service_that_gives_up_has_ended_until_it_is_reset() {
    let mut rules = named("a");
    rules.rare().limit = Some(RestartLimit::window(1, seconds(60)).give_up());
    let mut bench = Bench::running(unlimited(), vec![rules]);
    bench.fail("a");
    bench.get_ready();
    assert_eq!(ends(&mut bench), [""; 0]);
    bench.fail("a");
    assert_eq!(ends(&mut bench), ["a: failed: boom"]);
    let (a, now) = (bench.token("a"), bench.now);
    bench.state.reset(a, Waiter(1), now).unwrap();
    bench.run();
    assert_eq!(bench.mirror[&a].over, Over::No);
    bench.get_ready();
    assert_eq!(ends(&mut bench), [""; 0]);
}

#[test]
fn lost_service_has_ended_and_says_with_what() {
    let mut bench = with_restart(RestartType::Permanent);
    let (a, now) = (bench.token("a"), bench.now);
    bench.state.lost(a, now);
    bench.run();
    let lost = ExitReason::Killed(KillCause::ArbiterStopped);
    assert_eq!(ends(&mut bench), [format!("a: {lost}")]);
}

#[test]
fn stop_on_request_is_no_end_and_the_removal_after_it_is_one() {
    let mut bench = with_restart(RestartType::Temporary);
    let (a, now) = (bench.token("a"), bench.now);
    bench.state.stop(a, Waiter(1), now).unwrap();
    bench.run();
    bench.get_stopped();
    assert_eq!(bench.state_of("a"), ServiceState::Stopped);
    assert_eq!(ends(&mut bench), [""; 0]);
    bench.state.remove(a, Waiter(2), now).unwrap();
    bench.run();
    assert_eq!(ends(&mut bench), ["release a: shutdown"]);
}

#[test]
fn service_that_never_ran_is_removed_with_a_normal_end() {
    let mut bench = Bench::running(unlimited(), vec![named("b")]);
    bench.add(requiring("a", &["nobody"])).unwrap();
    let (a, now) = (bench.token("a"), bench.now);
    bench.state.remove(a, Waiter(1), now).unwrap();
    bench.run();
    assert_eq!(ends(&mut bench), ["release a: normal"]);
}

#[test]
fn service_survives_the_restart_of_its_supervisor_without_an_end() {
    let mut bench = with_restart(RestartType::Permanent);
    bench.drop_all();
    bench.state.reopen(bench.now);
    bench.run();
    assert_eq!(ends(&mut bench), [""; 0]);
    bench.state.start(bench.now);
    bench.run();
    bench.get_ready();
    assert_eq!(ends(&mut bench), [""; 0]);
}

#[test]
fn service_has_ended_with_its_supervisor_if_that_has_for_good() {
    let mut bench = with_restart(RestartType::Permanent);
    let now = bench.now;
    bench.state.shutdown(None, now);
    bench.run();
    bench.get_stopped();
    bench.state.reopen(now);
    bench.run();
    assert_eq!(ends(&mut bench), [""; 0]);
    bench.state.rest(true);
    bench.run();
    assert_eq!(ends(&mut bench), ["a: shutdown", "b: shutdown"]);
    // Somebody starts the supervisor by hand.
    bench.state.rest(false);
    bench.run();
    let a = bench.token("a");
    assert_eq!(bench.mirror[&a].over, Over::No);
    bench.state.start(now);
    bench.run();
    bench.get_ready();
    assert_eq!(ends(&mut bench), [""; 0]);
}

#[test]
fn service_that_had_finished_before_its_supervisor_ended_has_not_while_that_will_start_it_again() {
    let mut bench = with_restart(RestartType::Transient);
    bench.exit("a", ExitReason::Normal);
    assert_eq!(ends(&mut bench), ["a: normal"]);
    bench.drop_all();
    bench.state.reopen(bench.now);
    bench.run();
    let a = bench.token("a");
    assert_eq!(bench.mirror[&a].over, Over::No);
}

#[test]
fn every_service_that_ends_for_good_is_told_of_with_the_reason_that_its_view_has() {
    // Whatever ends a service: what is told is what `remove` would answer.
    for verdict in [Verdict::DoNotRestart, Verdict::Uninstall] {
        let mut bench = with_restart(RestartType::Permanent);
        bench.exit_with("a", verdict);
        let told = ends(&mut bench);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].ends_with("a: normal"), "{told:?}");
    }
}
