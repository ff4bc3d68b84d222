//! What the registry answers to messages, in paused time.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use actix::prelude::*;
use futures::FutureExt;
use resurgam::{
    LookupError, Readiness, RegistryActor, ServiceContext, ServiceRef, ServiceSpec, ServiceSummary,
    SupervisorActor, SupervisorRef, message,
};
use tokio::time;

#[derive(Default)]
struct Store;

impl Actor for Store {
    type Context = ServiceContext<Self>;
}

/// Ready two seconds after its start.
struct Slow;

impl Actor for Slow {
    type Context = ServiceContext<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(Duration::from_secs(2), |_, ctx| ctx.ready());
    }
}

struct World {
    root: SupervisorRef,
    site: SupervisorRef,
    store: ServiceRef<Store>,
    registry: Addr<RegistryActor>,
}

/// `root/store`, `root/site` and `root/site/store`.
async fn world() -> World {
    time::pause();
    let root = SupervisorActor::with_defaults("root");
    let root = root.start().await.unwrap();
    let spec = || ServiceSpec::new("store", Store::default);
    let store = root.add(spec()).await.unwrap();
    let site = SupervisorActor::with_defaults("site");
    let site = root.add_supervisor(site).await.unwrap();
    site.add(spec()).await.unwrap();
    let registry = site.registry().clone();
    World {
        root,
        site,
        store,
        registry,
    }
}

fn paths(services: &[ServiceSummary]) -> Vec<&str> {
    services.iter().map(ServiceSummary::path).collect()
}

#[actix::test]
async fn service_is_found_by_token_path_and_name_of_the_roots() {
    let world = world().await;
    let store = &world.store;
    for request in [
        message::Lookup::<Store>::new(store.token()),
        message::Lookup::new(store),
        message::Lookup::new("root/store"),
        message::Lookup::new("store"),
    ] {
        assert_eq!(
            world.registry.send(request).await.unwrap().as_ref(),
            Ok(store)
        );
    }
    let deep = message::Lookup::<Store>::new("root/site/store");
    let deep = world.registry.send(deep).await.unwrap().unwrap();
    assert_eq!(deep, world.site.lookup("store").await.unwrap());
    let unknown = message::Lookup::<Store>::new("nobody");
    assert_eq!(
        world.registry.send(unknown).await.unwrap().unwrap_err(),
        LookupError::unknown_path("root/nobody")
    );
    let wrong = message::Lookup::<Slow>::new("store");
    let wrong = world.registry.send(wrong).await.unwrap();
    assert!(matches!(wrong, Err(LookupError::WrongType { .. })));
    world.root.shutdown().await.unwrap();
}

#[actix::test]
async fn services_are_those_of_the_root_and_services_of_those_of_any_supervisor() {
    let world = world().await;
    let services = world.registry.send(message::Services::new()).await.unwrap();
    assert_eq!(services, world.root.services().await.unwrap());
    assert_eq!(paths(&services), ["root/store", "root/site"]);
    let of = |key: &str| world.registry.send(message::ServicesOf::new(key));
    assert_eq!(of("root").await.unwrap().unwrap(), services);
    for key in ["site", "root/site"] {
        let below = of(key).await.unwrap().unwrap();
        assert_eq!(paths(&below), ["root/site/store"]);
    }
    let none = of("root/nobody").await.unwrap();
    assert_eq!(none, Err(LookupError::unknown_path("root/nobody")));
    let wrong = of("store").await.unwrap().unwrap_err();
    assert!(
        wrong.to_string().contains("not a `SupervisorActor`"),
        "{wrong}"
    );
    world.root.shutdown().await.unwrap();
}

#[actix::test]
async fn readiness_is_told_when_it_is_there_or_can_be_no_more() {
    let world = world().await;
    let slow = ServiceSpec::new("slow", || Slow).readiness(Readiness::Explicit);
    let slow = world.root.add(slow).await.unwrap();
    let request = || message::WhenReady::<Slow>::new("slow");
    let mut ready = Box::pin(world.registry.send(request()));
    // One that nobody waits for, and one whose caller leaves.
    world.registry.do_send(request());
    assert!((&mut ready).now_or_never().is_none());
    assert!(world.registry.send(request()).now_or_never().is_none());
    time::sleep(Duration::from_secs(1)).await;
    assert!((&mut ready).now_or_never().is_none());
    assert_eq!(ready.await.unwrap().unwrap(), slow);

    let other = message::WhenReady::<Store>::new("slow");
    let other = world.registry.send(other).await.unwrap();
    assert!(matches!(other, Err(LookupError::WrongType { .. })));

    world.root.stop(&slow).await.unwrap();
    let removed = Box::pin(world.registry.send(request()));
    let (removed, _) = futures::join!(removed, world.root.remove(&slow));
    assert_eq!(removed.unwrap(), Err(LookupError::removed("root/slow")));
    world.root.shutdown().await.unwrap();
}

#[actix::test]
async fn mailbox_of_the_registry_is_closed_when_the_tree_has_ended() {
    let world = world().await;
    world.root.shutdown().await.unwrap();
    let late = world.registry.send(message::Services::new()).await;
    assert_eq!(late.unwrap_err(), MailboxError::Closed);
}
