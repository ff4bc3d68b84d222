//! By when a stop has to be over.

use super::{
    super::bounds::{LONGEST, allowance},
    *,
};

fn sub(shutdown: Shutdown) -> ServiceRules {
    ServiceRules {
        shutdown: Some(shutdown),
        kind: ServiceKind::Supervisor,
        ..named("sub")
    }
}

/// What the supervisor below was told when it was asked to stop, or to hurry.
fn told(bench: &mut Bench) -> Option<StopBy> {
    let mut told = None;
    while let Some(effect) = bench.state.next_effect() {
        match &effect {
            Effect::Stop { by, .. } => told = *by,
            Effect::Hurry { by, .. } => told = Some(*by),
            _ => {}
        }
        bench.note(effect);
    }
    told
}

#[test]
fn what_is_dropped_has_a_tenth_of_its_time_to_be_gone_and_at_most_a_tenth_of_a_second() {
    let table = [
        (0, 10),
        (50, 10),
        (300, 30),
        (1_000, 100),
        (60_000, 100),
        (u64::MAX, 100),
    ];
    for (given, allowed) in table {
        assert_eq!(allowance(millis(given)), millis(allowed), "{given}");
    }
}

#[test]
fn bound_of_a_whole_stop_holds_everything_that_belongs_to_it() {
    let now = Bench::new(unlimited()).now;
    for limit in [10, 50, 200, 300, 1_000, 3_600_000].map(millis) {
        let by = StopBy::within(limit, now).unwrap();
        assert!(by.drop >= now, "{limit:?}");
        assert!(by.drop < by.abandoned() && by.abandoned() < by.end);
        assert!(by.end < now + limit, "whoever waits is told in time");
        assert_eq!(now + limit - by.drop, allowance(limit), "{limit:?}");
    }
    let at_once = StopBy::within(Duration::ZERO, now).unwrap();
    assert_eq!(at_once.drop, now);
    assert!(at_once.end > now, "what is dropped is given a moment");
    assert_eq!(StopBy::within(Duration::MAX, now), None);
}

#[test]
fn each_level_below_has_nearly_the_same_time_and_tells_before_it_is_given_up() {
    let now = Bench::new(unlimited()).now;
    for limit in [200, 1_000].map(millis) {
        let whole = StopBy::within(limit, now).unwrap();
        let mut by = whole;
        for level in 0..60 {
            let below = by.below();
            assert_eq!(below.drop, whole.drop, "level {level}");
            assert!(below.end < by.given_up() && by.given_up() < by.end);
            assert!(below.drop < below.abandoned(), "level {level}");
            by = below;
        }
        let (left, of) = (by.end - by.drop, whole.end - whole.drop);
        assert!(left > of / 3, "{left:?} of {of:?}");
    }
}

#[test]
fn of_two_bounds_both_hold() {
    let now = Bench::new(unlimited()).now;
    let long = StopBy::within(seconds(10), now).unwrap();
    let short = StopBy::within(seconds(1), now).unwrap();
    assert_eq!(long.and(short), short);
    assert_eq!(short.and(long), short);
    let at_once = StopBy::at_once(KillCause::Requested, now);
    let both = short.and(at_once);
    assert_eq!((both.drop, both.end), (now, now + LONGEST));
    assert_eq!(both.cause, KillCause::Requested);
}

#[test]
fn supervisor_that_is_killed_is_told_to_drop_everything_and_is_dropped_itself_if_it_does_not_answer()
 {
    let mut bench = Bench::running(unlimited(), vec![sub(Shutdown::BrutalKill)]);
    let token = bench.token("sub");
    bench.state.remove(token, Waiter(0), bench.now).unwrap();
    let by = told(&mut bench).unwrap();
    assert_eq!((by.drop, by.cause), (bench.now, KillCause::Requested));
    assert_eq!(bench.actions(), ["stop sub"]);
    bench.pass(LONGEST);
    assert_eq!(bench.actions(), ["abandon sub", "release sub"]);
    let unresponsive = ExitReason::Killed(KillCause::Unresponsive);
    assert_eq!(
        bench.answers,
        [(Waiter(0), Answer::Removed(Ok(unresponsive)))]
    );
    assert_eq!(
        bench.story(),
        [
            "sub ServiceAbandoned",
            "sub ServiceStopped",
            "sub ServiceRemoved"
        ]
    );
}

#[test]
fn supervisor_below_drops_at_its_own_time_or_at_that_of_the_whole_stop() {
    // With a timeout of its own everything below is gone or abandoned when that is over.
    for (own, whole, drop) in [(5, None, 4_900), (5, Some(9), 4_900), (9, Some(5), 5_000)] {
        let own = Shutdown::Timeout(seconds(own));
        let mut bench = Bench::running(unlimited(), vec![sub(own)]);
        let whole = whole.map(|whole| dropping(bench.now + seconds(whole)));
        bench.state.shutdown(whole, bench.now);
        let by = told(&mut bench).unwrap();
        assert_eq!(by.drop, bench.now + millis(drop));
        // As long as it may still tell, nobody drops it.
        bench.pass(by.end - bench.now);
        assert_eq!(bench.actions(), ["stop sub"]);
        bench.pass(millis(2));
        assert_eq!(bench.actions(), ["abandon sub"]);
        assert_eq!(bench.ended.unwrap().report.unstopped().len(), 1);
    }
}

#[test]
fn supervisor_that_is_being_stopped_is_told_that_there_is_less_time() {
    let mut bench = Bench::running(unlimited(), vec![sub(Shutdown::Infinity), named("z")]);
    bench.shutdown();
    bench.exit("z", ExitReason::Shutdown);
    assert_eq!(bench.actions(), ["stop z", "stop sub"]);
    for (within, sooner) in [(9, true), (5, true), (7, false)] {
        let by = dropping(bench.now + seconds(within));
        bench.state.shutdown(Some(by), bench.now);
        let told = told(&mut bench);
        assert_eq!(told.map(|told| told.drop), sooner.then_some(by.drop));
    }
    bench.forget();
    bench.pass(millis(5_101));
    assert_eq!(bench.actions(), ["abandon sub"]);
}

#[test]
fn service_that_was_dropped_before_there_was_a_bound_is_abandoned_within_it() {
    let mut bench = Bench::running(unlimited(), vec![named("stuck"), named("z")]);
    bench.state.rules.shutdown_timeout = seconds(1);
    let stuck = bench.token("stuck");
    bench.state.stop(stuck, Waiter(0), bench.now).unwrap();
    bench.pass(seconds(1));
    assert_eq!(bench.actions(), ["stop stuck", "kill stuck stop timeout"]);
    let by = StopBy::within(millis(20), bench.now);
    bench.state.shutdown(by, bench.now);
    bench.exit("z", ExitReason::Shutdown);
    bench.pass(millis(20));
    assert_eq!(stopped_in(&bench), ["root/stuck"]);
}

fn stopped_in(bench: &Bench) -> Vec<&str> {
    let report = &bench.ended.as_ref().expect("has not ended").report;
    report
        .unstopped()
        .iter()
        .map(UnstoppedService::path)
        .collect()
}
