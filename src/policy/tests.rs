//! Tests of the rules.

use std::{
    error::Error,
    fmt, io,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{
    order::{Node, start_order},
    *,
};

#[expect(
    clippy::disallowed_methods,
    reason = "the standard library has no other way to an instant"
)]
fn some_time() -> Instant {
    Instant::now()
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// An error around another one.
#[derive(Debug)]
struct Around(Box<dyn Error + Send + Sync>);

impl fmt::Display for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("around")
    }
}

impl Error for Around {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

#[test]
fn verdict_is_found_at_any_depth() {
    let verdict = Verdict::TerminateTree { propagate: true };
    assert_eq!(Verdict::find(&verdict), Some(verdict));
    let mut error: Box<dyn Error + Send + Sync> = Box::new(verdict);
    for _ in 0..20 {
        error = Box::new(Around(error));
        error = Box::new(io::Error::other(error));
        error = Box::new(ServiceError::new(error));
    }
    assert_eq!(Verdict::find(&*error), Some(verdict));
    let reason = ExitReason::Failed(ServiceError::new(error));
    assert_eq!(Verdict::find(&reason), Some(verdict));
}

#[test]
fn error_without_a_verdict_has_none() {
    assert_eq!(Verdict::find(&io::Error::other("plain")), None);
    assert_eq!(Verdict::find(&Around("plain".into())), None);
    assert_eq!(Verdict::find(&ExitReason::Normal), None);
}

#[test]
fn exit_reasons_print_with_their_causes() {
    let inner = ServiceError::new(Around("disk full".into()));
    let failed = ExitReason::Failed(inner);
    assert_eq!(failed.to_string(), "failed: around");
    assert_eq!(format!("{failed:#}"), "failed: around: disk full");
    let pool = ExitReason::escalated("root/db/pool".into(), failed);
    let escalated = ExitReason::escalated("root/db".into(), pool);
    assert_eq!(escalated.to_string(), "escalated by `root/db`");
    assert_eq!(
        format!("{escalated:#}"),
        "escalated by `root/db`: escalated by `root/db/pool`: failed: around: disk full"
    );
    let panicked = ExitReason::panicked("ouch", "src/a.rs:1:2");
    assert_eq!(panicked.to_string(), "panicked at src/a.rs:1:2: ouch");
    let killed = ExitReason::Killed(KillCause::StopTimeout);
    assert_eq!(killed.to_string(), "killed: stop timeout");
}

#[test]
fn all_reasons_but_normal_and_shutdown_are_abnormal() {
    assert!(!ExitReason::Normal.is_abnormal());
    assert!(!ExitReason::Shutdown.is_abnormal());
    let cause = ExitReason::Normal;
    for reason in [
        ExitReason::Failed(ServiceError::new("x")),
        ExitReason::panicked("x", "y"),
        ExitReason::Killed(KillCause::Requested),
        ExitReason::escalated("root/a".into(), cause),
    ] {
        assert!(reason.is_abnormal(), "{reason}");
    }
}

#[test]
fn service_errors_are_equal_if_they_are_the_same_occurrence() {
    let first = ServiceError::new("x");
    assert_eq!(first, first.clone());
    assert_ne!(first, ServiceError::new("x"));
    let error = ServiceError::new(io::Error::from(io::ErrorKind::NotFound));
    let held = error.downcast_ref::<io::Error>().map(io::Error::kind);
    assert_eq!(held, Some(io::ErrorKind::NotFound));
}

#[test]
fn service_error_made_of_one_is_the_same_occurrence() {
    let first = ServiceError::new("x");
    assert_eq!(ServiceError::new(first.clone()), first);
    assert_eq!(first.clone().into_service_error(), first);
}

#[test]
fn error_that_cannot_be_sent_keeps_its_texts_and_sources() {
    let local: Box<dyn Error> = Box::new(Around(Box::new(Around("disk full".into()))));

    let error = ExitReason::Failed(local.into_service_error());

    assert_eq!(format!("{error:#}"), "failed: around: around: disk full");
    assert!(format!("{error:?}").contains("Around"), "{error:?}");
}

/// As many errors do whose source is an `io::Error`.
#[test]
fn cause_that_an_error_names_itself_is_printed_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("store: {0}")]
    struct Named(#[source] Box<dyn Error + Send + Sync>);

    let printed = |error: Named| format!("{:#}", ExitReason::Failed(ServiceError::new(error)));
    let two_levels = Named(Box::new(Named("disk full".into())));
    assert_eq!(printed(two_levels), "failed: store: store: disk full");
    // Its own end, and not any text in it.
    let unnamed_below = Named(Box::new(Around("disk full".into())));
    assert_eq!(printed(unnamed_below), "failed: store: around: disk full");
    assert_eq!(
        printed(Named(Box::new(Around("ound".into())))),
        "failed: store: around: ound"
    );
}

#[test]
fn error_that_cannot_be_sent_keeps_a_verdict_at_any_depth() {
    let verdict = Verdict::DoNotRestart;
    let held = ServiceError::new(Around(Box::new(verdict)));
    for inner in [
        Box::new(verdict) as Box<dyn Error + Send + Sync>,
        Box::new(io::Error::other(verdict)),
        Box::new(held),
        Box::new(ExitReason::Failed(ServiceError::new(verdict))),
    ] {
        let local: Box<dyn Error> = Box::new(Around(Box::new(Around(inner))));
        let error = local.into_service_error();
        assert_eq!(Verdict::find(&error), Some(verdict), "{error:?}");
    }
}

#[test]
fn error_with_itself_among_its_sources_is_copied_to_an_end() {
    #[derive(Debug)]
    struct Ring;
    impl fmt::Display for Ring {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("ring")
        }
    }
    impl Error for Ring {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Self)
        }
    }
    let local: Box<dyn Error> = Box::new(Ring);

    let error = ExitReason::Failed(local.into_service_error());

    assert!(format!("{error:#}").matches("ring").count() <= 70);
}

/// Counts a row of failures; returns after how many the limit was exceeded.
fn trips_after(limit: &RestartLimit, gap: f64, failures: u32) -> Option<u32> {
    let start = some_time();
    let mut counter = LimitCounter::default();
    (1..=failures).find(|number| {
        let now = start + seconds(gap * f64::from(number - 1));
        counter.record(limit, now) == Tally::Exceeded
    })
}

#[test]
fn steady_failures_trip_below_the_critical_gap_only() {
    for (decay, threshold, critical, trips, at_once) in [
        (30.0, 5.0, 9.6578, 22, 6),
        (30.0, 3.5, 14.5628, 15, 4),
        (30.0, 2.0, 30.0000, 8, 3),
        (10.0, 5.0, 3.2193, 22, 6),
        (1.0, 5.0, 0.3219, 22, 6),
    ] {
        let limit = RestartLimit::decay(seconds(decay), threshold, seconds(15.0));
        let exact = decay * f64::log2(threshold / (threshold - 1.0));
        assert!((exact - critical).abs() < 1e-4);
        assert_eq!(trips_after(&limit, exact * 0.99, 1000), Some(trips));
        assert_eq!(trips_after(&limit, exact * 1.01, 1000), None);
        assert_eq!(trips_after(&limit, 0.0, 1000), Some(at_once));
    }
    let fast = RestartLimit::decay(seconds(1.0), 5.0, seconds(15.0));
    assert_eq!(trips_after(&fast, 1.0, 1000), None);
    let default = RestartLimit::default();
    assert_eq!(trips_after(&default, 1.0, 1000), Some(6));
}

#[test]
fn threshold_below_one_trips_at_the_first_failure() {
    for threshold in [0.0, 0.5, 0.999] {
        let limit = RestartLimit::decay(seconds(30.0), threshold, seconds(15.0));
        assert_eq!(trips_after(&limit, 1.0, 9), Some(1));
    }
    let never = RestartLimit::decay(seconds(30.0), f64::INFINITY, seconds(15.0));
    assert_eq!(trips_after(&never, 0.0, 1000), None);
}

#[test]
fn window_slides_and_a_restart_at_its_end_is_out() {
    let limit = RestartLimit::window(2, seconds(5.0));
    let start = some_time();
    let mut counter = LimitCounter::default();
    for (at, tally) in [
        (0.0, Tally::Within),
        (3.0, Tally::Within),
        // The first one is exactly as old as the window is long.
        (5.0, Tally::Within),
        (7.999, Tally::Exceeded),
        (12.999, Tally::Within),
    ] {
        assert_eq!(counter.record(&limit, start + seconds(at)), tally, "{at}");
    }
}

#[test]
fn unlimited_is_never_exceeded() {
    assert_eq!(trips_after(&RestartLimit::unlimited(), 0.0, 10_000), None);
}

#[test]
fn pause_is_prolonged_by_jitter_and_never_shortened() {
    let limit = RestartLimit::decay(seconds(30.0), 5.0, seconds(10.0)).jitter(0.5);
    let counter = LimitCounter::default();
    let now = some_time();
    assert_eq!(counter.pause(&limit, 0.0, now), seconds(10.0));
    assert_eq!(counter.pause(&limit, 0.5, now), seconds(12.5));
    assert!(counter.pause(&limit, f64::NAN, now) >= seconds(10.0));
    let huge = RestartLimit::decay(seconds(1.0), 5.0, Duration::MAX).jitter(9.0);
    assert_eq!(counter.pause(&huge, 1.0, now), Duration::MAX);
}

#[test]
fn delays_grow_to_the_maximum_and_stay_there() {
    let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(3));
    let delays: Vec<u128> = (1..=8).map(|n| backoff.delay(n, 0.9).as_millis()).collect();
    assert_eq!(delays, [100, 200, 400, 800, 1600, 3000, 3000, 3000]);
    assert_eq!(backoff.delay(0, 0.0), Duration::from_millis(100));
    for failures in [200, 5000, u32::MAX] {
        assert_eq!(backoff.delay(failures, 0.0), Duration::from_secs(3));
    }
    assert_eq!(Backoff::none().delay(9, 0.9), Duration::ZERO);
    assert_eq!(
        Backoff::constant(Duration::from_secs(3)).delay(9, 0.9),
        Duration::from_secs(3)
    );
    let unbounded = Backoff::exponential(Duration::from_secs(1), Duration::MAX).jitter(1.0);
    assert_eq!(unbounded.delay(200, 1.0), Duration::MAX);
}

#[test]
fn delays_grow_by_their_factor() {
    let backoff =
        Backoff::exponential(Duration::from_millis(10), Duration::from_secs(9)).factor(3.0);
    assert_eq!(backoff.delay(3, 0.0), Duration::from_millis(90));
}

#[test]
fn nonsense_is_refused_with_the_field_and_the_value() {
    let one = Duration::from_secs(1);
    let zero = Duration::ZERO;
    let limits = [
        (
            RestartLimit::decay(zero, 5.0, one),
            "limit.half_life",
            "0ns",
        ),
        (RestartLimit::decay(one, -1.0, one), "limit.threshold", "-1"),
        (
            RestartLimit::decay(one, f64::NAN, one),
            "limit.threshold",
            "NaN",
        ),
        (
            RestartLimit::decay(one, 5.0, one).jitter(-0.1),
            "limit.jitter",
            "-0.1",
        ),
        (
            RestartLimit::decay(one, 5.0, one).jitter(f64::INFINITY),
            "limit.jitter",
            "inf",
        ),
        (RestartLimit::window(3, zero), "limit.within", "0ns"),
    ];
    for (limit, field, value) in limits {
        let message = limit.validate(LimitOf::Service).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("`{field}` is `{value}`")),
            "{message}"
        );
    }
    let backoffs = [
        (
            Backoff::exponential(one, one).factor(0.5),
            "backoff.factor",
            "0.5",
        ),
        (
            Backoff::exponential(one, one).factor(f64::NAN),
            "backoff.factor",
            "NaN",
        ),
        (
            Backoff::constant(one).jitter(f64::NAN),
            "backoff.jitter",
            "NaN",
        ),
        (Backoff::exponential(one, zero), "backoff.max", "0ns"),
        (
            Backoff::constant(one).reset_after(zero),
            "backoff.reset_after",
            "0ns",
        ),
    ];
    for (backoff, field, value) in backoffs {
        let message = backoff.validate().unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("`{field}` is `{value}`")),
            "{message}"
        );
    }
}

#[test]
fn zeroes_that_mean_something_are_accepted() {
    for limit in [
        RestartLimit::decay(seconds(1.0), 0.0, Duration::ZERO),
        RestartLimit::window(0, seconds(1.0)).escalate(),
        RestartLimit::default(),
        RestartLimit::unlimited(),
    ] {
        assert_eq!(limit.validate(LimitOf::Supervisor), Ok(()));
        assert_eq!(limit.validate(LimitOf::Service), Ok(()));
    }
    assert_eq!(Backoff::none().validate(), Ok(()));
    assert_eq!(Backoff::constant(Duration::MAX).validate(), Ok(()));
}

/// Sorts services given as `name: required required`.
fn sorted(services: &[(&'static str, &[&'static str])]) -> Result<Vec<&'static str>, Vec<String>> {
    let nodes: Vec<Node<'_>> = services
        .iter()
        .map(|(name, requires)| Node {
            name,
            requires: requires.to_vec(),
        })
        .collect();
    match start_order(&nodes) {
        Ok(order) => Ok(order.into_iter().map(|at| services[at].0).collect()),
        Err(cycle) => Err(cycle.members.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn order_is_that_of_the_list_but_for_requirements() {
    assert_eq!(sorted(&[]), Ok(vec![]));
    assert_eq!(
        sorted(&[
            ("c", &["a", "z"]),
            ("b", &[]),
            ("a", &["nobody"]),
            ("z", &["b"])
        ]),
        Ok(vec!["b", "a", "z", "c"])
    );
}

#[test]
fn cycle_names_its_members_in_order_and_nobody_else() {
    let services: &[(&str, &[&str])] = &[
        ("before", &[]),
        ("outside", &["a"]),
        ("a", &["before", "b"]),
        ("b", &["c"]),
        ("c", &["a"]),
    ];
    assert_eq!(
        sorted(services),
        Err(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()])
    );
    assert_eq!(sorted(&[("a", &["a"])]), Err(vec!["a".to_owned()]));
}

proptest! {
    #[test]
    fn graph_is_ordered_as_it_demands_or_has_a_cycle(
        edges in prop::collection::vec((0_usize..12, 0_usize..12), 0..30)
    ) {
        let names: Vec<String> = (0..12).map(|number| format!("s{number}")).collect();
        let requires = |at: usize| edges.iter().filter(move |(from, _)| *from == at).map(|(_, to)| *to);
        let nodes: Vec<Node<'_>> = (0..12)
            .map(|at| Node {
                name: &names[at],
                requires: requires(at).map(|to| &*names[to]).collect(),
            })
            .collect();
        match start_order(&nodes) {
            Ok(order) => {
                prop_assert_eq!(order.len(), 12);
                let place = |at: usize| order.iter().position(|other| *other == at);
                for (from, to) in &edges {
                    prop_assert!(place(*to) < place(*from));
                }
            }
            Err(cycle) => {
                prop_assert!(!cycle.members.is_empty());
                let next = cycle.members.iter().cycle().skip(1);
                for (from, to) in cycle.members.iter().zip(next) {
                    let known = edges.iter().any(|(a, b)| *names[*a] == **from && *names[*b] == **to);
                    prop_assert!(known, "{from} does not require {to}");
                }
            }
        }
    }

    #[test]
    fn count_lies_between_one_and_the_failures_so_far(
        gaps in prop::collection::vec(0.0_f64..100.0, 1..60),
        decay in 0.1_f64..100.0,
    ) {
        let limit = RestartLimit::decay(seconds(decay), 5.0, seconds(15.0));
        let mut counter = LimitCounter::default();
        let mut now = some_time();
        for (failures, gap) in (1..).zip(gaps) {
            now += seconds(gap);
            let before = counter.count(&limit, now);
            let tally = counter.record(&limit, now);
            let count = counter.count(&limit, now);
            prop_assert!(count >= 1.0 && count <= f64::from(failures) + 1e-9);
            prop_assert!((count - before - 1.0).abs() < 1e-9);
            prop_assert_eq!(tally == Tally::Exceeded, count > 5.0);
            prop_assert!(counter.count(&limit, now + seconds(gap)) <= count);
        }
    }

    #[test]
    fn window_agrees_with_a_list_of_all_restarts(
        gaps in prop::collection::vec(0_u64..40, 1..80),
        max in 0_u32..6,
    ) {
        let within = Duration::from_secs(30);
        let limit = RestartLimit::window(max, within);
        let mut counter = LimitCounter::default();
        let mut now = some_time();
        let mut all = Vec::new();
        for gap in gaps {
            now += Duration::from_secs(gap);
            all.push(now);
            let inside = all.iter().filter(|at| now.duration_since(**at) < within).count();
            let too_many = inside > usize::try_from(max).unwrap();
            prop_assert_eq!(counter.record(&limit, now) == Tally::Exceeded, too_many);
        }
    }

    #[test]
    fn delay_stays_between_base_and_prolonged_maximum(
        base in 1_u64..10_000,
        more in 0_u64..100_000,
        factor in 1.0_f64..10.0,
        jitter in 0.0_f64..2.0,
        failures in 0_u32..400,
        u in 0.0_f64..1.0,
    ) {
        let (base, max) = (Duration::from_millis(base), Duration::from_millis(base + more));
        let backoff = Backoff::exponential(base, max).factor(factor).jitter(jitter);
        prop_assert_eq!(backoff.validate(), Ok(()));
        let delay = backoff.delay(failures, u);
        let slack = Duration::from_micros(1);
        prop_assert!(delay + slack >= base);
        prop_assert!(delay <= max.mul_f64(1.0 + jitter) + slack);
        prop_assert!(backoff.delay(failures + 1, 0.0) + slack >= backoff.delay(failures, 0.0));
    }
}

#[test]
fn name_that_would_forge_a_line_or_is_endless_is_refused_and_printed_on_one_line() {
    let longest = "x".repeat(255);
    for name in ["poller", "session[17]", "größe", "it's", &longest] {
        assert_eq!(check_name(name), Ok(()), "{name}");
    }
    let too_long = "x".repeat(256);
    for name in [
        "",
        "a/b",
        "a\nroot/b: panicked",
        "a\u{7f}",
        "a\u{85}",
        &too_long,
    ] {
        let refused = check_name(name).unwrap_err();
        let text = refused.to_string();
        assert!(!text.contains(char::is_control), "{text}");
        assert!(text.starts_with("name `"), "{text}");
        assert!(matches!(refused, SpecError::InvalidName { name: given, .. } if given == name));
    }
    let text = check_name("a\n'b'").unwrap_err().to_string();
    assert_eq!(
        text,
        "name `a\\n'b'` is refused: it contains a control character"
    );
}

#[test]
fn setting_that_would_be_ignored_is_refused_with_its_field_and_value() {
    let (ms, second) = (Duration::from_millis(1), Duration::from_secs(1));
    let limits = [
        (
            RestartLimit::window(1, second).jitter(0.5).escalate(),
            "limit.jitter",
            "0.5",
        ),
        (
            RestartLimit::decay(second, 1.0, second)
                .give_up()
                .max_pause(second),
            "limit.max_pause",
            "1s",
        ),
        (
            RestartLimit::unlimited().max_pause(second),
            "limit.max_pause",
            "1s",
        ),
        (RestartLimit::unlimited().pause(second), "limit", "pause"),
        (RestartLimit::unlimited().escalate(), "limit", "escalate"),
        (RestartLimit::unlimited().give_up(), "limit", "give_up"),
        (
            RestartLimit::decay(second, 1.0, second).max_pause(Duration::ZERO),
            "limit.max_pause",
            "0ns",
        ),
    ];
    for (limit, field, value) in limits {
        assert_refused(limit.validate(LimitOf::Service), field, value);
    }
    let backoffs = [
        Backoff::exponential(Duration::ZERO, second),
        Backoff::exponential(Duration::ZERO, Duration::ZERO),
        Backoff::none().jitter(0.5),
        Backoff::none().factor(3.0),
        Backoff::constant(Duration::ZERO).reset_after(second),
    ];
    for backoff in backoffs {
        assert_refused(backoff.validate(), "backoff.base", "0ns");
    }
    Backoff::none().validate().unwrap();
    Backoff::constant(Duration::ZERO).validate().unwrap();
    Backoff::exponential(ms, second)
        .jitter(0.5)
        .validate()
        .unwrap();
    for limit in [
        RestartLimit::decay(second, 1.0, second),
        RestartLimit::window(1, second),
        RestartLimit::window(0, second).pause(ms),
        // What counts is said last.
        RestartLimit::window(1, second).escalate().pause(ms),
    ] {
        let limit = limit.jitter(0.5).max_pause(second);
        limit.validate(LimitOf::Supervisor).unwrap();
    }
}

#[test]
fn window_that_never_has_room_is_refused_unless_it_is_said_what_happens_then() {
    let none = || RestartLimit::window(0, seconds(5.0));
    assert_refused(none().validate(LimitOf::Service), "limit.max", "0");
    assert_refused(
        none().jitter(0.5).validate(LimitOf::Supervisor),
        "limit.max",
        "0",
    );
    for said in [
        none().pause(seconds(1.0)),
        none().escalate(),
        none().give_up(),
    ] {
        said.validate(LimitOf::Service).unwrap();
    }
}

#[test]
fn supervisor_cannot_give_up_a_service() {
    let second = seconds(1.0);
    for limit in [
        RestartLimit::decay(second, 1.0, second),
        RestartLimit::window(1, second),
    ] {
        let gives_up = limit.clone().give_up();
        assert_refused(gives_up.validate(LimitOf::Supervisor), "limit", "give_up");
        gives_up.validate(LimitOf::Service).unwrap();
        limit.validate(LimitOf::Supervisor).unwrap();
    }
}

#[test]
fn last_that_was_said_of_what_happens_over_a_limit_counts() {
    let second = seconds(1.0);
    for limit in [
        RestartLimit::decay(second, 1.0, second),
        RestartLimit::window(1, second),
    ] {
        assert_eq!(limit.on_limit(), OnLimit::Pause);
        let limit = limit.pause(second).give_up();
        assert_eq!(limit.on_limit(), OnLimit::GiveUp);
        let limit = limit.escalate();
        assert_eq!(limit.on_limit(), OnLimit::Escalate);
        let limit = limit.pause(seconds(3.0));
        assert_eq!(limit.on_limit(), OnLimit::Pause);
        let counter = LimitCounter::default();
        assert_eq!(counter.pause(&limit, 0.0, some_time()), seconds(3.0));
    }
}

#[test]
fn window_pauses_until_it_has_room_again_or_as_long_as_it_is_told() {
    let start = some_time();
    let limit = RestartLimit::window(2, seconds(60.0));
    let mut counter = LimitCounter::default();
    for at in [0.0, 20.0, 30.0] {
        let _ = counter.record(&limit, start + seconds(at));
    }
    // Of the three, the first has left its place to the last.
    let now = start + seconds(30.0);
    let cases = [
        (limit.clone(), 50.0),
        (limit.clone().jitter(0.5), 62.5),
        (limit.clone().max_pause(seconds(40.0)), 40.0),
        (limit.clone().pause(seconds(15.0)), 15.0),
        (limit.pause(seconds(16.0)).jitter(0.5), 20.0),
    ];
    for (limit, lasting) in cases {
        assert_eq!(
            counter.pause(&limit, 0.5, now),
            seconds(lasting),
            "{limit:?}"
        );
    }
}

fn assert_refused(checked: Result<(), SpecError>, field: &str, value: &str) {
    let refused = checked.unwrap_err();
    assert!(
        matches!(&refused, SpecError::InvalidValue { field: f, value: v, .. } if *f == field && v == value),
        "{refused}"
    );
}

#[test]
fn path_is_below_another_one_by_whole_names() {
    let below = [
        ("root/sub/low", "root", Some("sub/low")),
        ("root/sub/low", "root/sub", Some("low")),
        ("root/", "root", Some("")),
        ("root", "root", None),
        ("root/subway", "root/sub", None),
        ("root", "root/sub", None),
        ("/a", "root", None),
    ];
    for (path, above, expected) in below {
        assert_eq!(names_below(path, above), expected, "{path} {above}");
    }
}
