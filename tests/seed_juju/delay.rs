//! How long a service waits for its restart, to the millisecond.

use std::time::Duration;

use resurgam::{Backoff, ServiceRef};
use tokio::time;

use crate::support::{Log, Probe, What, add, ask, fail, failing, root, spec};

const SECOND: Duration = Duration::from_secs(1);

/// The engine's example: one second, doubled, at most three.
fn example() -> Backoff {
    Backoff::exponential(SECOND, 3 * SECOND)
}

/// Lets a service run for so long, and fail.
async fn run(service: &ServiceRef<Probe>, healthy: Duration) {
    service.send(ask()).await.expect("the service is there");
    time::sleep(healthy).await;
    service.do_send(fail("boom"));
}

#[actix::test]
async fn delay_grows_by_its_factor_up_to_its_maximum() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = root
        .add(failing("a", &log, 5).backoff(example()))
        .await
        .unwrap();
    a.send(ask()).await.unwrap();
    assert_eq!(log.delays("a"), [1_000, 2_000, 3_000, 3_000, 3_000]);
    let by_four = example().factor(4.0);
    let b = root.add(failing("b", &log, 3).backoff(by_four));
    b.await.unwrap().send(ask()).await.unwrap();
    assert_eq!(log.delays("b"), [1_000, 3_000, 3_000]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn delay_stays_at_its_maximum_after_two_hundred_failures() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = root
        .add(failing("a", &log, 200).backoff(example()))
        .await
        .unwrap();
    a.send(ask()).await.unwrap();
    let delays = log.delays("a");
    assert_eq!(delays.len(), 200);
    assert_eq!(delays[2..], [3_000; 198]);
    let steep = Backoff::exponential(SECOND, Duration::MAX).factor(1e300);
    let b = root
        .add(failing("b", &log, 3).backoff(steep))
        .await
        .unwrap();
    time::sleep(3600 * SECOND).await;
    assert_eq!(log.delays("b"), [1_000]);
    root.remove(b.token()).await.unwrap();
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn random_part_of_a_delay_is_added_on_top_and_is_random() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let random = Backoff::constant(10 * SECOND).jitter(0.1);
    let a = root
        .add(failing("a", &log, 50).backoff(random))
        .await
        .unwrap();
    a.send(ask()).await.unwrap();
    let mut delays = log.delays("a");
    assert!(
        delays.iter().all(|delay| (10_000..=11_000).contains(delay)),
        "{delays:?}"
    );
    delays.sort_unstable();
    delays.dedup();
    assert!(delays.len() > 5, "{delays:?}");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn delay_counts_from_the_end_of_a_run_and_not_from_its_start() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).backoff(Backoff::constant(SECOND))).await;
    for healthy in [0, 10, 60] {
        run(&a, healthy * SECOND).await;
    }
    a.send(ask()).await.unwrap();
    assert_eq!(log.delays("a"), [1_000; 3]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn failures_in_a_row_count_until_a_run_was_long_enough() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let backoff = Backoff::exponential(SECOND, 60 * SECOND).reset_after(10 * SECOND);
    let a = add(&root, spec("a", &log).backoff(backoff)).await;
    for healthy in [0, 9, 9, 10, 0, 11] {
        run(&a, healthy * SECOND).await;
    }
    a.send(ask()).await.unwrap();
    assert_eq!(log.delays("a"), [1_000, 2_000, 4_000, 1_000, 2_000, 1_000]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn start_that_fails_counts_like_a_run_that_was_too_short() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let backoff = Backoff::exponential(SECOND, 60 * SECOND).reset_after(10 * SECOND);
    let a = root
        .add(failing("a", &log, 2).backoff(backoff))
        .await
        .unwrap();
    run(&a, Duration::ZERO).await;
    a.send(ask()).await.unwrap();
    assert_eq!(log.delays("a"), [1_000, 2_000, 4_000]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn restart_on_request_or_with_another_has_no_delay_and_leaves_the_next_one_as_it_was() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, spec("db", &log)).await;
    let backoff = Backoff::exponential(SECOND, 60 * SECOND).factor(4.0);
    let a = add(&root, spec("a", &log).binds_to("db").backoff(backoff)).await;
    db.send(fail("boom")).await.unwrap();
    root.when_ready::<Probe>("root/a").await.unwrap();
    assert_eq!(a.send(ask()).await, Ok(1));
    root.restart(a.token()).await.unwrap();
    assert_eq!(log.delays("a"), [0, 0]);
    for _ in 0..2 {
        run(&a, Duration::ZERO).await;
    }
    a.send(ask()).await.unwrap();
    assert_eq!(log.delays("a"), [0, 0, 1_000, 4_000]);
    assert_eq!(log.count(What::Made, "a"), 5);
    root.shutdown().await.unwrap();
}
