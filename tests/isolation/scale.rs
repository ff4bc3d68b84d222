//! 100 000 services under one supervisor.
//!
//! Whatever takes a time that grows with the number of services, for each of them, does not come to an end here.
//! Tests without optimization take 50 µs for a service from its `add` to its end, so only one of them has that many.

use std::collections::HashSet;

use actix::prelude::*;
use futures::future::join_all;
use resurgam::{
    EventKind, LookupError, RemoveError, RestartLimit, ServiceContext, ServiceRef, ServiceSpec,
    ServiceState, SupervisorActor, SupervisorRef, SupervisorSpec, message,
};

use crate::support::{Tally, patiently, root};

const MANY: usize = 100_000;

/// Enough for what is quadratic to be seen.
const SOME: usize = 20_000;

/// How many requests are under way at once.
const PIPELINE: usize = 1_000;

#[actix::test]
async fn a_hundred_thousand_services_are_added_found_removed_and_stopped() {
    let root = root().await;
    let life = Life::default();
    let services = patiently(add(&root, &life, 0..MANY)).await;
    life.started.until(MANY).await;

    // In start order.
    let listed = patiently(root.services()).await.unwrap();
    assert!(
        listed
            .iter()
            .map(resurgam::ServiceSummary::token)
            .eq(services.iter().map(ServiceRef::token))
    );
    assert!(
        listed
            .iter()
            .all(|service| service.state() == ServiceState::Ready)
    );

    for index in shuffled(MANY).into_iter().take(1_000) {
        let service = &services[index];
        assert_eq!(
            root.lookup::<Idle>(service.token()).await.unwrap(),
            *service
        );
        let path = format!("root/service-{index}");
        assert_eq!(root.lookup::<Idle>(path).await.unwrap(), *service);
    }

    // Some of them go, in no order.
    let gone: Vec<_> = shuffled(MANY).into_iter().take(SOME).collect();
    for part in gone.chunks(PIPELINE) {
        let removed = part
            .iter()
            .map(|index| root.remove(services[*index].token()));
        for reason in patiently(join_all(removed)).await {
            reason.unwrap();
        }
    }
    assert_eq!(life.dropped.get(), SOME);
    let gone: HashSet<_> = gone.into_iter().collect();
    let listed = root.services().await.unwrap();
    let kept = (0..MANY).filter(|index| !gone.contains(index));
    assert!(
        listed
            .iter()
            .map(resurgam::ServiceSummary::token)
            .eq(kept.map(|index| services[index].token()))
    );
    for index in gone.iter().take(500) {
        let token = services[*index].token();
        assert!(matches!(
            root.remove(token).await,
            Err(RemoveError::UnknownToken { .. })
        ));
        assert!(matches!(
            root.lookup::<Idle>(token).await,
            Err(LookupError::UnknownToken { .. })
        ));
    }

    // Their names are free again, and new services stand behind the others.
    let again = patiently(add(&root, &life, gone.iter().copied())).await;
    life.started.until(MANY + SOME).await;
    let listed = root.services().await.unwrap();
    assert!(
        listed[MANY - SOME..]
            .iter()
            .map(resurgam::ServiceSummary::token)
            .eq(again.iter().map(ServiceRef::token))
    );

    let report = patiently(root.shutdown()).await.unwrap();
    assert!(report.is_clean());
    assert_eq!(life.dropped.get(), MANY + SOME);
}

#[actix::test]
async fn supervisor_starts_with_many_services() {
    let life = Life::default();
    let mut root = SupervisorActor::with_defaults("root");
    for number in 0..SOME {
        root.add(life.spec(number)).unwrap();
    }
    assert_eq!(life.started.get(), 0);

    let root = patiently(root.start()).await.unwrap();
    assert_eq!(life.started.get(), SOME);

    let report = patiently(root.shutdown()).await.unwrap();
    assert!(report.is_clean());
    assert_eq!(life.dropped.get(), SOME);
}

#[actix::test]
async fn many_services_that_fail_wait_for_one_pause() {
    let spec = SupervisorSpec::default().limit(RestartLimit::decay(
        std::time::Duration::from_secs(3600),
        5.0,
        std::time::Duration::from_secs(3600),
    ));
    let root = SupervisorActor::new("root", spec).start().await.unwrap();
    let life = Life::default();
    let services = patiently(add(&root, &life, 0..SOME)).await;
    life.started.until(SOME).await;
    let mut events = root.events_with_capacity(16 * SOME);

    for index in shuffled(SOME) {
        services[index].do_send(Fail);
    }
    life.dropped.until(SOME).await;
    let mut failed = Vec::new();
    while failed.len() < SOME {
        let event = patiently(events.next()).await.unwrap();
        if matches!(event.kind(), EventKind::ServiceFailed { .. }) {
            failed.push(event.token().unwrap());
        }
    }
    // The first five were restarted before the pause.
    life.started.until(SOME + 5).await;

    // Some do not want to wait, some do not come back.
    for token in &failed[5..505] {
        root.remove(*token).await.unwrap();
    }
    for token in &failed[505..1_005] {
        root.restart(*token).await.unwrap();
    }
    assert_eq!(life.started.get(), SOME + 5 + 500);
    assert_eq!(events.lost(), 0);
    let report = patiently(root.shutdown()).await.unwrap();
    assert!(report.is_clean());
    assert_eq!(life.started.get(), life.dropped.get());
}

/// Adds services, many at once.
async fn add(
    root: &SupervisorRef,
    life: &Life,
    numbers: impl Iterator<Item = usize>,
) -> Vec<ServiceRef<Idle>> {
    let numbers: Vec<_> = numbers.collect();
    let mut services = Vec::new();
    for part in numbers.chunks(PIPELINE) {
        let added = part
            .iter()
            .map(|number| root.addr().send(message::Add::new(life.spec(*number))));
        for service in join_all(added).await {
            services.push(service.unwrap().unwrap());
        }
    }
    services
}

/// The numbers up to `end` in an order that is the same on each run, and no order.
fn shuffled(end: usize) -> Vec<usize> {
    let mut numbers: Vec<_> = (0..end).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for last in (1..end).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(state >> 33).unwrap() % (last + 1);
        numbers.swap(last, other);
    }
    numbers
}

/// Counts incarnations.
#[derive(Clone, Debug, Default)]
struct Life {
    started: Tally,
    dropped: Tally,
}

impl Life {
    fn spec(&self, number: usize) -> ServiceSpec<Idle> {
        let life = self.clone();
        ServiceSpec::new(format!("service-{number}"), move || Idle(life.clone()))
    }
}

/// Does nothing.
#[derive(Debug)]
struct Idle(Life);

impl Actor for Idle {
    type Context = ServiceContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.0.started.add();
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.dropped.add();
    }
}

#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Fail;

impl Handler<Fail> for Idle {
    type Result = ();

    fn handle(&mut self, _: Fail, ctx: &mut Self::Context) {
        ctx.fail("asked to");
    }
}
