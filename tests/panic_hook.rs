//! Where a panic has happened is known whatever hooks the program sets. One test, since the hook is the whole program's.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a service that panics, and helpers of tests"
)]

use std::{
    panic::{set_hook, take_hook},
    sync::atomic::{AtomicU32, Ordering},
};

use actix::prelude::*;
use resurgam::{
    EventKind, Events, RestartLimit, ServiceContext, ServiceRef, ServiceSpec, SupervisorActor,
    SupervisorSpec,
};

struct Fragile;

impl Actor for Fragile {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl Handler<Crash> for Fragile {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on purpose");
    }
}

/// How often the program's own hook was called.
static CALLED: AtomicU32 = AtomicU32::new(0);

/// Where the service panics.
async fn place(fragile: &ServiceRef<Fragile>, events: &mut Events) -> String {
    fragile.do_send(Crash);
    loop {
        let event = events.next().await.unwrap();
        if let EventKind::ServicePanicked { location, .. } = event.kind() {
            return location.clone();
        }
    }
}

fn is_here(place: &str) -> bool {
    place.contains("panic_hook.rs:")
}

#[actix::test]
async fn place_of_a_panic_is_known_whatever_hooks_the_program_sets() {
    set_hook(Box::new(|_| {
        CALLED.fetch_add(1, Ordering::Relaxed);
    }));
    let called = || CALLED.swap(0, Ordering::Relaxed);
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    let root = SupervisorActor::new("root", spec).start().await.unwrap();
    let fragile = root
        .add_and_wait(ServiceSpec::new("fragile", || Fragile))
        .await
        .unwrap();
    let mut events = root.events();
    let seen = place(&fragile, &mut events).await;
    assert!(is_here(&seen), "{seen}");
    assert_eq!(called(), 1);

    // Takes the place of what is installed, which is dropped, while the service runs.
    set_hook(Box::new(|_| {
        CALLED.fetch_add(10, Ordering::Relaxed);
    }));
    let seen = place(&fragile, &mut events).await;
    assert!(is_here(&seen), "{seen}");
    assert_eq!(called(), 10);

    // Calls what was installed before.
    let before = take_hook();
    set_hook(Box::new(move |info| {
        CALLED.fetch_add(100, Ordering::Relaxed);
        before(info);
    }));
    let seen = place(&fragile, &mut events).await;
    assert!(is_here(&seen), "{seen}");
    assert_eq!(called(), 110);

    // Keeps what was installed, and does not call it: nobody can tell before the first panic, and that is told honestly.
    let aside = take_hook();
    set_hook(Box::new(|_| {
        CALLED.fetch_add(1000, Ordering::Relaxed);
    }));
    let seen = place(&fragile, &mut events).await;
    assert_eq!(seen, "unknown location");
    let seen = place(&fragile, &mut events).await;
    assert!(is_here(&seen), "{seen}");
    assert_eq!(called(), 2000);

    // Comes back from the side.
    set_hook(aside);
    let seen = place(&fragile, &mut events).await;
    assert!(is_here(&seen), "{seen}");
    assert_eq!(called(), 110);
    root.shutdown().await.unwrap();
}
