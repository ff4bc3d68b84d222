//! What follows when the server itself fails.

use std::{
    io::{self, ErrorKind},
    net::TcpListener,
};

use resurgam::{EventKind, ServiceError, StartError};

use crate::{
    client::{Answer, Port, event, get_in_time, is_refused, refused, soon},
    site::{Gate, Site, root, store},
};

#[actix::test]
async fn server_whose_port_is_taken_has_failed_to_start_with_that_error() {
    let port = Port::new();
    let _taken = TcpListener::bind(port.address).unwrap();
    let root = root().await;
    let (site, _handles) = Site::new(port.address);
    root.add_and_wait(store(&Gate::new())).await.unwrap();
    let error = soon(root.add_and_wait(site.spec())).await.unwrap_err();
    let StartError::Failed { reason, .. } = &error else {
        panic!("{error}");
    };
    let reason: Option<&io::Error> = reason.error().and_then(ServiceError::downcast_ref);
    let reason = reason.unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!(reason.kind(), ErrorKind::AddrInUse);
    soon(root.shutdown()).await.unwrap();
}

#[actix::test]
async fn server_whose_port_is_taken_is_started_again_until_it_is_free() {
    let port = Port::new();
    let taken = TcpListener::bind(port.address).unwrap();
    let root = root().await;
    let mut events = root.events();
    let (site, _handles) = Site::new(port.address);
    root.add_and_wait(store(&Gate::new())).await.unwrap();
    root.add(site.spec()).await.unwrap();
    for _ in 0..3 {
        event(&mut events, "root/web", |kind| {
            matches!(kind, EventKind::ServiceStartFailed { .. })
        })
        .await;
        event(&mut events, "root/web", |kind| {
            matches!(kind, EventKind::RestartScheduled { .. })
        })
        .await;
    }
    drop(taken);
    let answer = get_in_time(port.address, "/quick").await;
    assert_eq!(answer, Answer::ok("store 0"));
    soon(root.shutdown()).await.unwrap();
}

#[actix::test]
async fn server_that_ends_by_itself_is_started_again_on_its_port() {
    let port = Port::new();
    let root = root().await;
    let mut events = root.events();
    let (site, mut handles) = Site::new(port.address);
    root.add_and_wait(store(&Gate::new())).await.unwrap();
    root.add_and_wait(site.spec()).await.unwrap();
    for _ in 0..3 {
        let server = soon(handles.recv()).await.unwrap();
        soon(server.stop(false)).await;
        event(&mut events, "root/web", |kind| {
            matches!(kind, EventKind::ServiceCompleted { .. })
        })
        .await;
        let answer = get_in_time(port.address, "/quick").await;
        assert_eq!(answer, Answer::ok("store 0"));
    }
    soon(root.shutdown()).await.unwrap();
    refused(port.address).await;
}

#[actix::test]
async fn server_that_panics_gives_up_its_port_and_is_started_again_on_it() {
    let port = Port::new();
    let root = root().await;
    let mut events = root.events();
    let (site, _handles) = Site::new(port.address);
    root.add_and_wait(store(&Gate::new())).await.unwrap();
    root.add_and_wait(site.spec()).await.unwrap();
    for _ in 0..3 {
        site.crash.notify_one();
        event(&mut events, "root/web", |kind| {
            matches!(kind, EventKind::ServicePanicked { .. })
        })
        .await;
        let ready = event(&mut events, "root/web", |kind| {
            matches!(
                kind,
                EventKind::ServiceReady | EventKind::ServiceStartFailed { .. }
            )
        })
        .await;
        assert!(matches!(ready.kind(), EventKind::ServiceReady), "{ready}");
        assert!(!is_refused(port.address).await);
        let answer = get_in_time(port.address, "/quick").await;
        assert_eq!(answer, Answer::ok("store 0"));
    }
    soon(root.shutdown()).await.unwrap();
}
