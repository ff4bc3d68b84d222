//! Many services, many restarts, and slow ones, without a cost that grows where it must not.
//!
//! Costs are those of the thread, where the system tells them, so that other work on the machine does not matter. They are compared
//! with each other only, with room to spare: what is looked for is a cost that grows with the square. `tests/isolation/scale.rs` has
//! 100 000 services.

use std::{fs, time::Duration};

use resurgam::{
    EventKind, Placement, RestartLimit, RestartType, ServiceRef, ServiceSpec, SupervisorRef,
    SupervisorSpec,
};
use tokio::time::{self, Instant};

use crate::support::{End, Generation, Journal, Log, Probe, journal, probe, root, root_with, secs};

async fn many(
    root: &SupervisorRef,
    number: usize,
    journal: &Journal,
    restart: RestartType,
) -> Vec<ServiceRef<Probe>> {
    let mut all = Vec::with_capacity(number);
    for index in 0..number {
        let spec = probe(&index.to_string(), journal).restart(restart);
        all.push(root.add(spec).await.unwrap());
    }
    // Answered when the supervisor is through with what came before.
    while root.counts().await.unwrap().ready < number {
        time::sleep(Duration::from_millis(1)).await;
    }
    all
}

/// Measures what this thread does: the time that it had a processor, or else the time that has passed.
struct Meter {
    processor: Option<Duration>,
    start: Instant,
}

impl Meter {
    fn start() -> Self {
        Self {
            processor: Self::processor(),
            start: Instant::now(),
        }
    }

    fn elapsed(&self) -> Duration {
        let used = Self::processor().zip(self.processor);
        used.map_or_else(
            || self.start.elapsed(),
            |(now, start)| now.saturating_sub(start),
        )
    }

    /// Linux counts it for each thread in nanoseconds, and brings it up to date when the thread yields.
    fn processor() -> Option<Duration> {
        std::thread::yield_now();
        let line = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let used = line.split(' ').next()?.parse().ok()?;
        Some(Duration::from_nanos(used)).filter(|used| !used.is_zero())
    }
}

/// The shortest of three, since other work on the machine only ever prolongs one.
async fn shortest(mut measure: impl AsyncFnMut() -> Duration) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..3 {
        shortest = shortest.min(measure().await);
    }
    shortest
}

async fn removal(number: usize) -> Duration {
    let (journal, _log): (Journal, Log) = journal();
    let root = root().await;
    let all = many(&root, number, &journal, RestartType::Temporary).await;
    let start = Meter::start();
    for service in &all {
        root.remove(service.token()).await.unwrap();
    }
    let cost = start.elapsed();
    root.shutdown().await.unwrap();
    cost
}

#[actix::test]
async fn removing_services_one_by_one_costs_no_more_for_each_if_there_are_many() {
    let few = shortest(async || removal(200).await).await;
    let lots = shortest(async || removal(2_000).await).await;
    assert!(lots < few * 50, "{few:?} for 200, {lots:?} for 2 000");
}

async fn start_and_stop(number: usize) -> Duration {
    let (journal, _log) = journal();
    let start = Meter::start();
    let root = root().await;
    many(&root, number, &journal, RestartType::Permanent).await;
    root.shutdown().await.unwrap();
    start.elapsed()
}

#[actix::test]
async fn starting_and_stopping_all_costs_no_more_for_each_if_there_are_many() {
    let few = shortest(async || start_and_stop(200).await).await;
    let lots = shortest(async || start_and_stop(4_000).await).await;
    assert!(lots < few * 200, "{few:?} for 200, {lots:?} for 4 000");
}

async fn mass_exit(number: usize) -> Duration {
    let (journal, _log) = journal();
    let root = root().await;
    let all = many(&root, number, &journal, RestartType::Temporary).await;
    let start = Meter::start();
    for service in &all {
        service.do_send(End::Normally);
    }
    while root.counts().await.unwrap().services > 0 {
        tokio::task::yield_now().await;
    }
    let cost = start.elapsed();
    root.shutdown().await.unwrap();
    cost
}

#[actix::test]
async fn finding_the_dead_among_many_that_end_at_once_costs_no_more_for_each() {
    let few = shortest(async || mass_exit(300).await).await;
    let lots = shortest(async || mass_exit(3_000).await).await;
    assert!(lots < few * 50, "{few:?} for 300, {lots:?} for 3 000");
}

#[actix::test]
async fn late_restart_in_a_window_costs_what_an_early_one_does() {
    let (journal, mut log) = journal();
    let limit = RestartLimit::window(1_000_000, secs(3600));
    let root = root_with(SupervisorSpec::default().limit(limit)).await;
    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    let mut batches = Vec::new();
    log.take();
    for _ in 0..200 {
        let start = Meter::start();
        for _ in 0..100 {
            child.do_send(End::Failing);
            child.send(Generation).await.unwrap();
        }
        batches.push(start.elapsed());
        assert_eq!(log.take_only("make").len(), 100);
    }
    assert_eq!(child.send(Generation).await, Ok(20_000));
    let early = batches[..50].iter().min().unwrap();
    let late = batches[150..].iter().min().unwrap();
    assert!(*late < *early * 2, "{early:?} early, {late:?} late");
    root.shutdown().await.unwrap();
}

/// In real time, since the factory blocks a thread, and there is another one.
#[actix::test]
async fn factory_that_blocks_its_arbiter_holds_up_neither_repairs_nor_answers() {
    let (journal, _log) = journal();
    let root = root().await;
    let sibling = root.add_and_wait(probe("sibling", &journal)).await.unwrap();
    let (inside, begun) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let mut inside = Some(inside);
    let blocking = ServiceSpec::try_new("blocking", move |_| {
        if let Some(inside) = inside.take() {
            let _test_gone = inside.send(std::thread::current().id());
        }
        // Not for ever, so that the test fails and does not hang if this is its own thread.
        let _released = released.recv_timeout(secs(20));
        Err::<Probe, _>("made to block")
    });
    let blocking = blocking.placement(Placement::Dedicated);
    root.add(blocking.restart(RestartType::Temporary))
        .await
        .unwrap();
    let thread = begun.await.unwrap();
    assert_ne!(thread, std::thread::current().id());
    // It blocks until this test says otherwise.
    sibling.do_send(End::Panicking);
    assert_eq!(sibling.send(Generation).await, Ok(1));
    assert_eq!(root.counts().await.unwrap().services, 2);
    let third = root.add_and_wait(probe("third", &journal)).await.unwrap();
    assert_eq!(third.send(Generation).await, Ok(0));
    root.remove(third.token()).await.unwrap();
    let mut events = root.events();
    drop(release);
    while !matches!(
        events.next().await.unwrap().kind(),
        EventKind::ServiceRemoved { .. }
    ) {}
    assert_eq!(root.counts().await.unwrap().services, 1);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn slow_start_of_one_holds_up_neither_repairs_nor_answers() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let sibling = root.add_and_wait(probe("sibling", &journal)).await.unwrap();
    let maker = journal.clone();
    let slow = ServiceSpec::new_async("slow", move |_| {
        maker.write("begun".to_owned());
        async {
            time::sleep(secs(1)).await;
            Err::<Probe, _>("too slow to be tried twice")
        }
    });
    let start = Instant::now();
    root.add(slow.restart(RestartType::Temporary))
        .await
        .unwrap();
    sibling.do_send(End::Panicking);
    assert_eq!(sibling.send(Generation).await, Ok(1));
    assert_eq!(root.counts().await.unwrap().services, 2);
    assert_eq!(root.services().await.unwrap().len(), 2);
    assert_eq!(start.elapsed(), Duration::ZERO);
    time::sleep(secs(2)).await;
    assert_eq!(root.counts().await.unwrap().services, 1);
    root.shutdown().await.unwrap();
}
