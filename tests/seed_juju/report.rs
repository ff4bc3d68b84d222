//! What a report says of services, and that it is true.

use std::time::Duration;

use resurgam::{
    Backoff, EventKind, Report, RestartLimit, ServiceSpec, ServiceState, SupervisorActor,
    SupervisorGone,
};
use tokio::time;

use crate::support::{
    Habit, Log, add, ask, fail, failing, quiet, root, rounded, spec, spec_with, unlimited,
};

const SECOND: Duration = Duration::from_secs(1);

/// State, generation, uptime and next start of the only service.
fn only(report: &Report) -> (ServiceState, u64, Option<u128>, Option<u128>) {
    let [service] = report.services() else {
        unreachable!("{report}");
    };
    (
        service.state(),
        service.generation(),
        service.uptime().map(rounded),
        service.next_start().map(|next| {
            let left = next.duration_since(service.at());
            rounded(left.unwrap_or_default())
        }),
    )
}

#[actix::test]
async fn report_follows_a_service_through_its_lives() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let slow = spec_with("a", &log, Habit::Slow(SECOND)).backoff(Backoff::constant(SECOND));
    let a = add(&root, slow).await;
    time::sleep(5 * SECOND).await;
    let report = root.report().await.unwrap();
    assert_eq!(only(&report), (ServiceState::Ready, 0, Some(5_000), None));

    a.do_send(fail("boom"));
    quiet().await;
    let report = root.report().await.unwrap();
    assert_eq!(
        only(&report),
        (ServiceState::BackingOff, 0, None, Some(1_000))
    );
    let last = report.services()[0].last_exit().unwrap().to_string();
    assert_eq!(last, "failed: boom");

    time::sleep(3 * SECOND).await;
    let report = root.report().await.unwrap();
    assert_eq!(only(&report), (ServiceState::Ready, 1, Some(2_000), None));

    let (stopped, report) = tokio::join!(root.stop(a.token()), async {
        quiet().await;
        root.report().await.unwrap()
    });
    stopped.unwrap();
    assert_eq!(only(&report).0, ServiceState::Stopping);
    let report = root.report().await.unwrap();
    assert_eq!(only(&report), (ServiceState::Stopped, 1, None, None));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn report_has_the_count_of_a_service_with_a_limit_of_its_own() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let own = RestartLimit::decay(30 * SECOND, 2.5, 60 * SECOND);
    let a = add(&root, spec("a", &log).limit(own)).await;
    let b = add(&root, spec("b", &log)).await;
    for _ in 0..2 {
        a.do_send(fail("boom"));
        b.do_send(fail("boom"));
    }
    quiet().await;
    let report = root.report().await.unwrap();
    let rounded = |count: f64| (count * 100.0).round() / 100.0;
    let own: Vec<_> = report
        .services()
        .iter()
        .map(|service| service.failure_count().map(rounded))
        .collect();
    // Whoever has no limit of its own is counted by its supervisor, with all others.
    assert_eq!(own, [Some(2.0), None]);
    let printed = report.to_string();
    assert!(printed.contains("2 restarts, 2 handled, failures 2.00 of 2.5"));
    // It halves as it does for the limit, and is what the pause was told with.
    time::sleep(30 * SECOND).await;
    let report = root.report().await.unwrap();
    let count = report.services()[0].failure_count();
    assert_eq!(count.map(rounded), Some(1.0));
    let mut events = root.events();
    for _ in 0..2 {
        a.do_send(fail("boom"));
    }
    quiet().await;
    let mut told = None;
    while let Some(event) = events.try_next() {
        if let EventKind::ServicePaused { count, .. } = event.kind() {
            told = Some(rounded(*count));
        }
    }
    let report = root.report().await.unwrap();
    assert_eq!(report.services()[0].failure_count().map(rounded), told);
    assert_eq!(told, Some(3.0));
    root.reset(a.token()).await.unwrap();
    let report = root.report().await.unwrap();
    assert_eq!(report.services()[0].failure_count(), Some(0.0));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn report_prints_a_line_for_each_service() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, spec("a", &log)).await;
    add(&root, spec("b", &log).requires("nobody")).await;
    time::sleep(63 * SECOND).await;
    let report = root.report().await.unwrap().to_string();
    let lines: Vec<_> = report.lines().collect();
    assert_eq!(
        lines,
        [
            "root  ready        supervisor",
            "├─ a  ready        Probe, up 1 min 3 s",
            "└─ b  waiting      Probe, waits for `nobody`, which does not exist",
        ],
        "{report}"
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn each_start_that_succeeds_is_told_once() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let mut events = root.events();
    let a = root.add(failing("a", &log, 2)).await.unwrap();
    for _ in 0..3 {
        a.send(fail("boom")).await.unwrap();
    }
    assert_eq!(a.send(ask()).await, Ok(5));
    let mut started = Vec::new();
    while let Some(event) = events.try_next() {
        if *event.kind() == EventKind::ServiceStarted {
            started.push(event.generation());
        }
    }
    assert_eq!(started, [2, 3, 4, 5]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn report_of_a_tree_that_has_ended_is_an_error() {
    time::pause();
    let root = root().await;
    root.shutdown().await.unwrap();
    assert_eq!(root.report().await, Err(SupervisorGone));
}

#[actix::test]
async fn supervisor_in_a_supervisor_is_reported_like_any_service() {
    time::pause();
    let log = Log::default();
    let mut tier = SupervisorActor::new("tier", unlimited());
    tier.add(spec("leaf", &log)).unwrap();
    let root = root().await;
    root.add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let report = root.report().await.unwrap();
    assert_eq!(report.services()[0].path(), "root/tier");
    assert_eq!(report.services()[0].state(), ServiceState::Ready);
    root.shutdown().await.unwrap();
}
