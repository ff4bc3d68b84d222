//! Supervisors that are made by a factory of the user's, and not by [`ServiceSpec::supervisor`]: they are supervisors all the same.

use std::time::Duration;

use actix::prelude::*;
use resurgam::{ServiceContext, ServiceSpec, Shutdown, SupervisorActor, SupervisorRef};
use tokio::time;

/// Never stops by itself.
#[derive(Default)]
struct Stubborn;

impl Actor for Stubborn {
    type Context = ServiceContext<Self>;

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue
    }
}

fn made() -> SupervisorActor {
    let mut tier = SupervisorActor::with_defaults("tier");
    let stubborn = ServiceSpec::new("stubborn", Stubborn::default).shutdown(Shutdown::Infinity);
    tier.add(stubborn).expect("names are unique");
    tier
}

async fn tree() -> SupervisorRef {
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::new("tier", made).shutdown(Shutdown::Infinity))
        .expect("names are unique");
    root.start().await.expect("its services start")
}

#[actix::test]
async fn made_supervisor_is_counted_as_one() {
    let root = tree().await;
    assert_eq!(root.counts().await.unwrap().supervisors, 1);
    let _report = root.shutdown_within(Duration::from_millis(50)).await;
}

#[actix::test]
async fn made_supervisor_that_stops_is_told_a_shorter_limit() {
    time::pause();
    let root = tree().await;
    let first = {
        let root = root.clone();
        actix_rt::spawn(async move { root.shutdown().await })
    };
    time::sleep(Duration::from_millis(200)).await;
    let report = root.shutdown_within(Duration::from_secs(1)).await.unwrap();
    let _same = first.await;
    let failed: Vec<&str> = report.failures().iter().map(|(path, _)| &**path).collect();
    // The supervisor below kills its service in time, and says which one that was, before it is killed itself.
    assert_eq!(failed, ["root/tier/stubborn"]);
}
