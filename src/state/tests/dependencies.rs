//! Services that require others.

use super::{super::output::Unready, *};

pub(super) fn requiring(name: &str, requires: &[&str]) -> ServiceRules {
    let mut rules = named(name);
    rules.rare().requires = requires.iter().map(|name| Arc::from(*name)).collect();
    rules
}

pub(super) fn bound(name: &str, binds_to: &[&str]) -> ServiceRules {
    let mut rules = named(name);
    rules.rare().binds_to = binds_to.iter().map(|name| Arc::from(*name)).collect();
    rules
}

pub(super) fn blocked_on(bench: &Bench) -> Vec<(String, String, Blocked)> {
    let blocked = |event: &Occurrence| match event.kind() {
        EventKind::ServiceBlocked { on, why } => {
            let name = event.path().trim_start_matches("root/").to_owned();
            Some((name, on.to_string(), *why))
        }
        _ => None,
    };
    bench.events.iter().filter_map(blocked).collect()
}

#[test]
fn service_waits_until_what_it_requires_is_ready() {
    let mut bench = Bench::running(unlimited(), vec![]);
    bench.add(named("db")).unwrap();
    bench.add(requiring("api", &["db"])).unwrap();
    assert_eq!(bench.actions(), ["start db 0"]);
    assert_eq!(bench.state_of("api"), ServiceState::Waiting);
    bench.ready("db");
    assert_eq!(bench.actions(), ["start api 0"]);
}

#[test]
fn service_that_requires_nobody_known_waits_for_it_to_be_added() {
    let mut bench = Bench::running(unlimited(), vec![]);
    bench.add(requiring("api", &["db"])).unwrap();
    let expected = (String::from("api"), String::from("db"), Blocked::Missing);
    assert_eq!(blocked_on(&bench), [expected]);
    bench.add(named("db")).unwrap();
    bench.ready("db");
    assert_eq!(bench.actions(), ["start db 0", "start api 0"]);
    // It comes after what it requires, though it was added before.
    let names: Vec<_> = bench.state.services().map(|view| view.path).collect();
    assert_eq!(names, [Arc::from("root/db"), Arc::from("root/api")]);
}

#[test]
fn restart_of_a_requirement_leaves_those_that_run_alone() {
    let mut bench = Bench::running(unlimited(), vec![named("db"), requiring("api", &["db"])]);
    bench.fail("db");
    assert_eq!(bench.state_of("api"), ServiceState::Ready);
    bench.fail("api");
    assert_eq!(bench.actions(), ["start db 1"]);
    bench.ready("db");
    assert_eq!(bench.actions(), ["start api 1"]);
}

#[test]
fn bound_service_is_restarted_once_and_not_charged() {
    let services = vec![named("db"), bound("api", &["db"])];
    let mut bench = Bench::running(SupervisorRules::default(), services);
    bench.fail("db");
    assert_eq!(bench.actions(), ["start db 1", "stop api"]);
    bench.ready("db");
    bench.get_stopped();
    assert_eq!(bench.actions(), ["start api 1"]);
    bench.get_ready();
    assert!((bench.state.failure_count(bench.now) - 1.0).abs() < f64::EPSILON);
    assert_eq!(
        bench.story(),
        [
            "db ServiceFailed",
            "db ServiceStarted",
            "db ServiceReady",
            "api ServiceStopped",
            "api ServiceStarted",
            "api ServiceReady",
        ]
    );
}

#[test]
fn one_change_bounces_each_of_a_chain_once() {
    let services = vec![
        named("a"),
        bound("b", &["a"]),
        bound("c", &["b"]),
        bound("d", &["c"]),
    ];
    let mut bench = Bench::running(unlimited(), services);
    bench.fail("a");
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(
        bench.actions(),
        [
            "start a 1",
            "stop d",
            "stop c",
            "stop b",
            "start b 1",
            "start c 1",
            "start d 1",
        ]
    );
}

#[test]
fn one_change_bounces_each_of_a_diamond_once() {
    let services = vec![
        named("a"),
        bound("b", &["a"]),
        bound("c", &["a"]),
        bound("d", &["b", "c"]),
    ];
    let mut bench = Bench::running(unlimited(), services);
    bench.fail("a");
    bench.ready("a");
    bench.get_stopped();
    bench.get_ready();
    for name in ["a", "b", "c", "d"] {
        assert_eq!(bench.view(name).generation, 1, "{name}");
    }
}

#[test]
fn bound_services_are_stopped_before_what_is_restarted_on_request() {
    let services = vec![named("db"), bound("api", &["db"])];
    let mut bench = Bench::running(unlimited(), services);
    let db = bench.token("db");
    bench.state.restart(db, Waiter(1), bench.now).unwrap();
    bench.run();
    assert_eq!(bench.actions(), ["stop api"]);
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(bench.actions(), ["stop db", "start db 1", "start api 1"]);
    assert_eq!(bench.answers, [(Waiter(1), Answer::Restarted(Ok(())))]);
}

#[test]
fn bound_service_waits_for_one_that_was_stopped() {
    let services = vec![named("db"), bound("api", &["db"])];
    let mut bench = Bench::running(unlimited(), services);
    let db = bench.token("db");
    bench.state.stop(db, Waiter(1), bench.now).unwrap();
    bench.run();
    bench.get_stopped();
    assert_eq!(bench.actions(), ["stop api", "stop db"]);
    assert_eq!(bench.state_of("api"), ServiceState::Waiting);
    let expected = (String::from("api"), String::from("db"), Blocked::Stopped);
    assert_eq!(blocked_on(&bench), [expected]);
    bench.state.restart(db, Waiter(2), bench.now).unwrap();
    bench.run();
    bench.get_ready();
    assert_eq!(bench.actions(), ["start db 1", "start api 1"]);
}

#[test]
fn verdict_to_bounce_takes_bound_services_along() {
    let services = vec![named("db"), bound("api", &["db"])];
    let mut bench = Bench::running(unlimited(), services);
    bench.exit_with("db", Verdict::Bounce);
    bench.get_stopped();
    bench.pass(millis(10));
    bench.ready("db");
    // It has no delay of its own, though it is a bounce as well: what it waits for is that the other one is ready.
    assert_eq!(bench.actions(), ["stop api", "start db 1", "start api 1"]);
}

#[test]
fn uninstalled_requirement_leaves_its_name_to_another_one() {
    let services = vec![named("db"), bound("api", &["db"])];
    let mut bench = Bench::running(unlimited(), services);
    bench.exit_with("db", Verdict::Uninstall);
    bench.get_stopped();
    assert_eq!(bench.actions(), ["release db", "stop api"]);
    let expected = (String::from("api"), String::from("db"), Blocked::Missing);
    assert_eq!(blocked_on(&bench), [expected]);
    bench.add(named("db")).unwrap();
    bench.get_ready();
    assert_eq!(bench.actions(), ["start db 0", "start api 1"]);
}

#[test]
fn those_that_wait_are_told_when_waiting_is_in_vain() {
    let mut bench = Bench::running(unlimited(), vec![]);
    bench.add(named("job")).unwrap();
    bench.add(requiring("api", &["job"])).unwrap();
    bench.add(requiring("web", &["api"])).unwrap();
    bench.forget();
    bench.exit_with("job", Verdict::Uninstall);
    let blocked: Vec<_> = blocked_on(&bench)
        .into_iter()
        .map(|(name, _, why)| (name, why))
        .collect();
    assert_eq!(
        blocked,
        [
            (String::from("api"), Blocked::Missing),
            (String::from("web"), Blocked::Missing),
        ]
    );
}

#[test]
fn awaiting_a_service_that_waits_in_vain_is_an_error_at_once() {
    let mut bench = Bench::running(unlimited(), vec![]);
    let api = bench.add(requiring("api", &["db"])).unwrap();
    bench.state.await_ready(api, Waiter(1), bench.now);
    bench.run();
    let [(Waiter(1), Answer::Ready(Err(Unready::Failed { reason, .. })))] = &bench.answers[..]
    else {
        panic!("{:?}", bench.answers);
    };
    assert_eq!(
        reason.to_string(),
        "failed: required service `db` does not exist"
    );
    assert!(bench.state.named("api").is_none());
}

#[test]
fn awaiting_a_service_is_an_error_when_what_it_requires_ends_for_good() {
    let mut bench = Bench::running(unlimited(), vec![]);
    let mut job = named("job");
    job.restart = RestartType::Temporary;
    bench.add(job).unwrap();
    let api = bench.add(requiring("api", &["job"])).unwrap();
    bench.state.await_ready(api, Waiter(1), bench.now);
    bench.run();
    assert_eq!(bench.answers, []);
    bench.fail("job");
    assert!(matches!(
        bench.answers[..],
        [(Waiter(1), Answer::Ready(Err(_)))]
    ));
    assert!(bench.state.is_empty());
}

#[test]
fn failed_attempts_to_start_a_requirement_bounce_nobody() {
    let services = vec![named("db"), bound("api", &["db"])];
    let mut bench = Bench::running(unlimited(), services);
    bench.fail("db");
    bench.get_stopped();
    for _ in 0..5 {
        bench.fail("db");
    }
    bench.get_ready();
    assert_eq!(bench.view("db").generation, 6);
    assert_eq!(bench.view("api").generation, 1);
}

#[test]
fn bound_service_that_fails_meanwhile_waits_without_being_charged() {
    let services = vec![named("db"), named("x"), bound("api", &["db"])];
    let mut bench = Bench::running(SupervisorRules::default(), services);
    bench.fail("db");
    bench.fail("api");
    assert_eq!(bench.state_of("api"), ServiceState::Waiting);
    bench.get_ready();
    assert!((bench.state.failure_count(bench.now) - 1.0).abs() < f64::EPSILON);
}

#[test]
fn dependencies_work_with_groups() {
    let services = vec![named("db"), bound("api", &["db"]), named("x")];
    let mut bench = Bench::running(strategy(Strategy::OneForAll), services);
    bench.fail("db");
    bench.get_stopped();
    bench.get_ready();
    assert_eq!(
        bench.actions(),
        [
            "stop x",
            "stop api",
            "start db 1",
            "start api 1",
            "start x 1"
        ]
    );
}

/// A supervisor was killed while somebody awaited the first start of a service that waited for a temporary one: the temporary one is
/// forgotten when the supervisor is started again, which took the other one along while it was still to be looked at.
#[test]
fn supervisor_that_was_killed_starts_again_whoever_waited_for_a_service_that_it_forgets() {
    let mut bench = Bench::running(unlimited(), vec![]);
    let mut temporary = named("a");
    temporary.restart = RestartType::Temporary;
    bench.add(temporary).unwrap();
    let waiting = bench.add(requiring("b", &["a"])).unwrap();
    bench.state.await_ready(waiting, Waiter(1), bench.now);
    bench.run();
    bench.forget();
    bench.state.reopen(bench.now);
    bench.run();
    assert_eq!(
        bench.answers,
        [(
            Waiter(1),
            Answer::Ready(Err(Unready::from(ExitReason::Shutdown)))
        )]
    );
    assert_eq!(bench.story(), ["a ServiceRemoved"]);
    // It stays what it was stopped as, until the supervisor is started.
    assert_eq!(bench.state_of("b"), ServiceState::Stopped);
    bench.state.start(bench.now);
    bench.run();
    assert_eq!(bench.mirror[&waiting].state, bench.state_of("b"));
}
