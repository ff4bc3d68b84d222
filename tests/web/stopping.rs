//! A server stops before the services that it requires, without a signal.

use std::{io, time::Duration};

use resurgam::{EventKind, ServiceRef, Shutdown, SupervisorRef, TaskActor};
use tokio::task::JoinHandle;

use crate::{
    client::{Answer, Port, event, get, refused, soon},
    site::{Gate, Site, root, store},
};

/// The names of the services that have stopped, in order.
async fn stopped(mut events: resurgam::Events) -> Vec<String> {
    let mut stopped = Vec::new();
    while let Some(event) = soon(events.next()).await {
        if matches!(event.kind(), EventKind::ServiceStopped { .. }) {
            stopped.push(event.path().to_owned());
        }
    }
    stopped
}

/// A request that is under way.
///
/// actix-server counts a connection a moment after it has handed it to one of its threads; a server that stops in between takes that thread
/// for idle. A second request goes to the other thread, and by then the first one counts.
async fn under_way(port: &Port, gate: &Gate) -> JoinHandle<io::Result<Answer>> {
    let slow = actix::spawn(get(port.address, "/slow"));
    soon(gate.arrived.notified()).await;
    let quick = soon(get(port.address, "/quick")).await.unwrap();
    assert_eq!(quick, Answer::ok("store 0"));
    slow
}

#[actix::test]
async fn request_under_way_is_answered_before_the_services_behind_the_server_stop() {
    let (port, gate) = (Port::new(), Gate::new());
    let root = root().await;
    let (site, _handles) = Site::new(port.address);
    root.add_and_wait(store(&gate)).await.unwrap();
    root.add_and_wait(site.spec()).await.unwrap();
    let events = root.events();
    let slow = under_way(&port, &gate).await;

    let stopping = actix::spawn({
        let root = root.clone();
        async move { root.shutdown().await }
    });
    soon(site.stopping.notified()).await;
    refused(port.address).await;
    gate.open.add_permits(1);
    let answer = soon(slow).await.unwrap().unwrap();
    assert_eq!(answer, Answer::ok("store 0"));
    let report = soon(stopping).await.unwrap().unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(stopped(events).await, ["root/web", "root/store"]);
    refused(port.address).await;
}

#[actix::test]
async fn server_that_overruns_its_stop_timeout_is_dropped_and_answers_nobody() {
    let (port, gate) = (Port::new(), Gate::new());
    let root = root().await;
    let (site, _handles) = Site::new(port.address);
    root.add_and_wait(store(&gate)).await.unwrap();
    let little = Shutdown::Timeout(Duration::from_millis(50));
    let web = root.add_and_wait(site.spec().shutdown(little)).await;
    let web = web.unwrap();
    let mut events = root.events();
    let slow = under_way(&port, &gate).await;

    remove(&root, web).await;
    event(&mut events, "root/web", |kind| {
        matches!(kind, EventKind::StopTimedOut { .. })
    })
    .await;
    assert!(soon(slow).await.unwrap().is_err());
    refused(port.address).await;
    soon(root.shutdown()).await.unwrap();
}

async fn remove(root: &SupervisorRef, service: ServiceRef<TaskActor>) {
    let ended = soon(root.remove(service.token())).await.unwrap();
    assert!(ended.to_string().contains("killed"), "{ended}");
}
