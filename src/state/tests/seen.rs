//! What can be seen of services, for reports.

use super::*;

fn since(bench: &Bench, name: &str) -> Option<Duration> {
    let since = bench.view(name).since?;
    Some(bench.now.duration_since(since))
}

#[test]
fn service_is_seen_since_it_is_up_ready_or_down() {
    let second = Duration::from_secs(1);
    let mut delayed = named("a");
    delayed.rare().backoff = Some(Backoff::constant(10 * second));
    let mut bench = Bench::new(unlimited());
    bench.add(named("registered")).unwrap();
    assert_eq!(since(&bench, "registered"), None);
    let mut bench = Bench::running(unlimited(), vec![named("b")]);
    bench.add(delayed).unwrap();
    bench.pass(2 * second);
    assert_eq!(since(&bench, "a"), Some(2 * second));
    bench.ready("a");
    assert_eq!(since(&bench, "a"), Some(Duration::ZERO));
    bench.pass(3 * second);
    assert_eq!(since(&bench, "a"), Some(3 * second));
    bench.fail("a");
    bench.pass(4 * second);
    assert_eq!(bench.state_of("a"), ServiceState::BackingOff);
    assert_eq!(since(&bench, "a"), Some(4 * second));
    bench.pass(6 * second);
    assert_eq!(bench.state_of("a"), ServiceState::Starting);
    assert_eq!(since(&bench, "a"), Some(Duration::ZERO));
    bench.pass(second);
    // Its supervisor is dropped, and it with that.
    bench.drop_all();
    bench.pass(5 * second);
    assert_eq!(since(&bench, "a"), Some(5 * second));
}

#[test]
fn services_are_seen_from_any_place_on_with_their_places() {
    let mut bench = Bench::running(unlimited(), vec![named("a"), named("b"), named("c")]);
    let seen = |bench: &Bench, from| -> Vec<String> {
        let seen = bench.state.services_from(from);
        seen.map(|(_, view)| String::from(name_of(&view.path)))
            .collect()
    };
    assert_eq!(seen(&bench, 0), ["a", "b", "c"]);
    let places: Vec<u64> = bench.state.services_from(0).map(|(at, _)| at).collect();
    assert_eq!(seen(&bench, places[1]), ["b", "c"]);
    assert_eq!(bench.state.last_place(), places[2]);
    assert_eq!(seen(&bench, places[2] + 1), [""; 0]);
    bench.add(named("d")).unwrap();
    assert!(bench.state.last_place() > places[2]);
    let none = Bench::new(unlimited());
    assert_eq!(none.state.last_place(), 0);
    assert_eq!(none.state.services_from(0).count(), 0);
}

#[test]
fn pause_is_seen_until_it_is_over_and_own_limits_with_what_they_allow() {
    let minute = Duration::from_secs(60);
    let rules = SupervisorRules {
        limit: RestartLimit::window(1, minute).pause(minute),
        ..SupervisorRules::default()
    };
    let mut own = named("own");
    own.rare().limit = Some(RestartLimit::window(3, minute).give_up());
    let mut bench = Bench::running(rules, vec![named("a"), own]);
    assert_eq!(bench.state.paused_until(), None);
    let limit = |bench: &Bench, name| bench.state.own_limit(bench.token(name), bench.now);
    assert_eq!(limit(&bench, "own"), Some((0.0, Some(3.0))));
    assert_eq!(limit(&bench, "a"), None);
    for _ in 0..2 {
        bench.fail("a");
    }
    assert_eq!(bench.state.paused_until(), Some(bench.now + minute));
    assert_eq!(bench.state.limit().threshold(), Some(1.0));
    bench.pass(minute);
    assert_eq!(bench.state.paused_until(), None);
}
