//! A server starts after the services that it requires, and outlives their panics.

use resurgam::{EventKind, TaskActor};

use crate::{
    client::{Answer, Port, event, get, is_refused, soon, starts},
    site::{Gate, Site, root, slow_store, store},
};

#[actix::test]
async fn server_listens_when_the_service_that_it_requires_is_ready_and_not_before() {
    let (port, gate) = (Port::new(), Gate::new());
    let root = root().await;
    let mut events = root.events();
    let (site, _handles) = Site::new(port.address);
    root.add(slow_store(&gate)).await.unwrap();
    root.add(site.spec()).await.unwrap();
    soon(gate.arrived.notified()).await;
    for _ in 0..10 {
        assert!(is_refused(port.address).await);
    }

    gate.open.add_permits(1);
    event(&mut events, "root/store", |kind| {
        matches!(kind, EventKind::ServiceReady)
    })
    .await;
    event(&mut events, "root/web", |kind| {
        matches!(kind, EventKind::ServiceStarted)
    })
    .await;
    soon(root.when_ready::<TaskActor>("root/web"))
        .await
        .unwrap();
    let answer = soon(get(port.address, "/quick")).await.unwrap();
    assert_eq!(answer, Answer::ok("store 0"));
    soon(root.shutdown()).await.unwrap();
}

#[actix::test]
async fn request_gets_an_error_if_the_service_behind_the_server_panics_and_the_next_one_an_answer()
{
    let (port, gate) = (Port::new(), Gate::new());
    let root = root().await;
    let (site, _handles) = Site::new(port.address);
    root.add_and_wait(store(&gate)).await.unwrap();
    root.add_and_wait(site.spec()).await.unwrap();
    let mut events = root.events();
    for generation in 0..5 {
        let answer = soon(get(port.address, "/quick")).await.unwrap();
        assert_eq!(answer, Answer::ok(&format!("store {generation}")));
        let answer = soon(get(port.address, "/crash")).await.unwrap();
        assert_eq!(answer.status, 503);
    }
    let answer = soon(get(port.address, "/quick")).await.unwrap();
    assert_eq!(answer, Answer::ok("store 5"));
    assert_eq!(starts(&mut events, "root/web"), 0);
    soon(root.shutdown()).await.unwrap();
}
