//! The count that halves: worked tables that were checked against suture itself.

use std::time::Duration;

use resurgam::{EventKind, RestartLimit, Restarting, ServiceRef, SupervisorRef, SupervisorSpec};
use tokio::time;

use super::support::{Act, Generation, Log, Probe, Recorder, probe, root, settle};

fn limit(decay: f64, threshold: f64) -> SupervisorSpec {
    let limit = RestartLimit::decay(
        Duration::from_secs_f64(decay),
        threshold,
        Duration::from_secs(15),
    );
    SupervisorSpec::default().limit(limit)
}

/// Two services under failure decay.
async fn pair(spec: SupervisorSpec) -> (SupervisorRef, [ServiceRef<Probe>; 2]) {
    let root = root(spec).await;
    let log = Log::default();
    let one = root.add_and_wait(probe("s1", &log)).await.unwrap();
    let two = root.add_and_wait(probe("s2", &log)).await.unwrap();
    (root, [one, two])
}

/// Lets services fail at these seconds; tells the count after each failure and whether it was followed by a restart.
async fn table(spec: SupervisorSpec, failures: &[(u64, usize)]) -> Vec<(String, Restarting)> {
    let (root, services) = pair(spec).await;
    let mut events = Recorder::new(&root);
    let mut clock = 0;
    let mut rows = Vec::new();
    for (at, service) in failures {
        time::advance(Duration::from_secs(at - clock)).await;
        clock = *at;
        services[*service].do_send(Act::Fail);
        let event = events
            .until(|kind| matches!(kind, EventKind::ServiceFailed { .. }))
            .await;
        let EventKind::ServiceFailed {
            count, restarting, ..
        } = event.kind()
        else {
            unreachable!();
        };
        rows.push((format!("{count:.6}"), *restarting));
    }
    rows
}

#[actix::test]
async fn crash_loop_of_one_a_second_pauses_at_the_sixth_failure() {
    time::pause();
    let failures: Vec<(u64, usize)> = (0..6).map(|second| (second, 0)).collect();
    let rows = table(SupervisorSpec::default(), &failures).await;
    let counts: Vec<&str> = rows.iter().map(|(count, _)| count.as_str()).collect();
    assert_eq!(
        counts,
        [
            "1.000000", "1.977160", "2.932002", "3.865035", "4.776757", "5.667656"
        ]
    );
    assert!(rows[..5].iter().all(|(_, after)| *after == Restarting::Now));
    assert_eq!(rows[5].1, Restarting::AfterPause);
}

#[actix::test]
async fn failures_of_all_services_are_counted_together() {
    time::pause();
    let rows = table(
        limit(30.0, 3.5),
        &[(0, 0), (0, 1), (30, 1), (30, 0), (30, 0)],
    )
    .await;
    let expected = [
        ("1.000000", Restarting::Now),
        ("2.000000", Restarting::Now),
        ("2.000000", Restarting::Now),
        ("3.000000", Restarting::Now),
        ("4.000000", Restarting::AfterPause),
    ];
    assert_eq!(
        rows,
        expected.map(|(count, after)| (count.to_owned(), after))
    );
}

#[actix::test]
async fn count_that_equals_the_threshold_is_not_over_it() {
    time::pause();
    let rows = table(limit(30.0, 3.0), &[(0, 0); 4]).await;
    let expected = [
        ("1.000000", Restarting::Now),
        ("2.000000", Restarting::Now),
        ("3.000000", Restarting::Now),
        ("4.000000", Restarting::AfterPause),
    ];
    assert_eq!(
        rows,
        expected.map(|(count, after)| (count.to_owned(), after))
    );
}

#[actix::test]
async fn threshold_below_one_is_exceeded_by_the_first_failure() {
    time::pause();
    let rows = table(limit(30.0, 0.5), &[(0, 0)]).await;
    assert_eq!(rows, [("1.000000".to_owned(), Restarting::AfterPause)]);
}

/// Which failure of a steady row pauses, if one of the first hundred does.
async fn trips_at(decay: f64, threshold: f64, gap: f64) -> Option<usize> {
    let (root, [service, _]) = pair(limit(decay, threshold)).await;
    let mut events = Recorder::new(&root);
    for number in 1..=100 {
        service.do_send(Act::Fail);
        let event = events
            .until(|kind| matches!(kind, EventKind::ServiceFailed { .. }))
            .await;
        if let EventKind::ServiceFailed {
            restarting: Restarting::AfterPause,
            ..
        } = event.kind()
        {
            return Some(number);
        }
        service.send(Generation).await.unwrap();
        time::advance(Duration::from_secs_f64(gap)).await;
    }
    None
}

/// The gap above which steady failures are tolerated for ever.
fn critical_gap(decay: f64, threshold: f64) -> f64 {
    decay * (threshold / (threshold - 1.0)).log2()
}

#[actix::test]
async fn steady_failures_that_are_rare_enough_never_pause() {
    time::pause();
    for (decay, threshold) in [
        (30.0, 5.0),
        (30.0, 3.5),
        (30.0, 2.0),
        (10.0, 5.0),
        (1.0, 5.0),
    ] {
        let gap = critical_gap(decay, threshold) * 1.01;
        assert_eq!(
            trips_at(decay, threshold, gap).await,
            None,
            "{decay} {threshold}"
        );
    }
}

#[actix::test]
async fn steady_failures_a_little_too_often_pause_in_the_end() {
    time::pause();
    let rows = [
        (30.0, 5.0, 22),
        (30.0, 3.5, 15),
        (30.0, 2.0, 8),
        (10.0, 5.0, 22),
        (1.0, 5.0, 22),
    ];
    for (decay, threshold, expected) in rows {
        let gap = critical_gap(decay, threshold) * 0.99;
        let tripped = trips_at(decay, threshold, gap).await;
        assert_eq!(tripped, Some(expected), "{decay} {threshold}");
    }
}

#[actix::test]
async fn failures_at_once_and_a_second_apart_pause_where_suture_does() {
    time::pause();
    let rows = [
        (30.0, 5.0, Some(6), Some(6)),
        (30.0, 3.5, Some(4), Some(4)),
        (30.0, 2.0, Some(3), Some(3)),
        (10.0, 5.0, Some(6), Some(6)),
        (1.0, 5.0, Some(6), None),
    ];
    for (decay, threshold, at_once, each_second) in rows {
        assert_eq!(
            trips_at(decay, threshold, 0.0).await,
            at_once,
            "{decay} {threshold}"
        );
        assert_eq!(
            trips_at(decay, threshold, 1.0).await,
            each_second,
            "{decay} {threshold}"
        );
    }
}

#[actix::test]
async fn nothing_but_time_lowers_the_count() {
    time::pause();
    let (root, [one, two]) = pair(SupervisorSpec::default()).await;
    for _ in 0..3 {
        one.do_send(Act::Fail);
    }
    assert_eq!(one.send(Generation).await, Ok(3));
    root.remove(two.token()).await.unwrap();
    root.add_and_wait(probe("s3", &Log::default()))
        .await
        .unwrap();
    for _ in 0..100 {
        one.send(Generation).await.unwrap();
    }
    let count = root.report().await.unwrap().failure_count();
    assert!((count - 3.0).abs() < 1e-9, "{count}");
    time::advance(Duration::from_secs(30)).await;
    let count = root.report().await.unwrap().failure_count();
    assert!((count - 1.5).abs() < 1e-9, "{count}");
}

#[actix::test]
async fn removing_and_adding_anew_does_not_wash_a_service_clean() {
    time::pause();
    let (root, [one, two]) = pair(SupervisorSpec::default()).await;
    for _ in 0..5 {
        one.do_send(Act::Fail);
    }
    assert_eq!(one.send(Generation).await, Ok(5));
    root.remove(one.token()).await.unwrap();
    let again = root.add_and_wait(probe("s1", &Log::default())).await;
    let mut events = Recorder::new(&root);
    again.unwrap().do_send(Act::Fail);
    events
        .until(|kind| matches!(kind, EventKind::PauseStarted { .. }))
        .await;
    settle().await;
    assert_eq!(two.send(Generation).await, Ok(0));
}
