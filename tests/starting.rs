//! In which order services start, in paused time.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{convert::Infallible, io, time::Duration};

use actix::prelude::*;
use resurgam::{
    RestartType, ServiceContext, ServiceRef, ServiceSpec, ServiceState, StartContext, StartOrder,
    Strategy, SupervisorActor, SupervisorSpec, TaskContext,
};
use tokio::time::{self, Instant};

struct Slow;

impl Actor for Slow {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Fail;

impl Handler<Fail> for Slow {
    type Result = ();
    fn handle(&mut self, _: Fail, ctx: &mut Self::Context) {
        ctx.fail("failed on purpose");
    }
}

/// A service that takes 50 ms to start.
fn slow(name: &str) -> ServiceSpec<Slow> {
    ServiceSpec::new_async(name, |_: StartContext| async {
        time::sleep(Duration::from_millis(50)).await;
        Ok::<_, Infallible>(Slow)
    })
}

/// How long the start of twenty slow services takes, and then that of their group.
async fn starts(order: StartOrder) -> (Duration, Duration) {
    let spec = SupervisorSpec::default()
        .strategy(Strategy::OneForAll)
        .start_order(order);
    let mut root = SupervisorActor::new("root", spec);
    let all: Vec<ServiceRef<Slow>> = (0..20)
        .map(|number| root.add(slow(&format!("s{number}"))).unwrap())
        .collect();
    let begun = Instant::now();
    let root = root.start().await.unwrap();
    let first = begun.elapsed();
    let states = root.services().await.unwrap();
    assert!(states.iter().all(|one| one.state() == ServiceState::Ready));
    let begun = Instant::now();
    all[7].do_send(Fail);
    for one in &all {
        // Until it is the next incarnation that is ready.
        while root.lookup::<Slow>(one).await.is_ok() {
            let summary = root.services().await.unwrap();
            if summary.iter().all(|one| one.generation() == 1) {
                break;
            }
            time::sleep(Duration::from_millis(1)).await;
        }
        root.when_ready::<Slow>(one).await.unwrap();
    }
    let group = begun.elapsed();
    root.shutdown().await.unwrap();
    (first, group)
}

#[actix::test]
async fn services_of_a_parallel_start_do_not_wait_for_each_other() {
    time::pause();
    let (first, group) = starts(StartOrder::Parallel).await;
    assert!(first < Duration::from_millis(60), "{first:?}");
    assert!(group < Duration::from_millis(60), "{group:?}");
    let (first, group) = starts(StartOrder::Sequential).await;
    assert!(first >= Duration::from_secs(1), "{first:?}");
    assert!(group >= Duration::from_secs(1), "{group:?}");
}

#[actix::test]
async fn server_starts_when_the_migration_is_done_and_does_not_wait_for_it_again() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    let migrate = ServiceSpec::task("migrate", |_: TaskContext| async {
        time::sleep(Duration::from_secs(3)).await;
        Ok::<_, io::Error>(())
    });
    root.add(migrate.restart(RestartType::Transient)).unwrap();
    let server = slow("server").requires_completed("migrate");
    let server = root.add(server).unwrap();
    let begun = Instant::now();
    let root = root.start().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(3050));
    let begun = Instant::now();
    server.do_send(Fail);
    root.restart("server").await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
    let states = root.services().await.unwrap();
    assert_eq!(states[0].state(), ServiceState::Stopped);
    assert_eq!(states[1].state(), ServiceState::Ready);
    root.shutdown().await.unwrap();
}
