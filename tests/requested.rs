//! Who has asked for an operation, in paused time.

use std::time::Duration;

use actix::prelude::*;
use resurgam::{
    EventKind, Events, Operation, RemoveError, ServiceContext, ServiceSpec, SupervisorActor,
    SupervisorSpec, message,
};
use tokio::time;

struct Store;

impl Actor for Store {
    type Context = ServiceContext<Self>;
}

fn store(name: &str) -> ServiceSpec<Store> {
    ServiceSpec::new(name, || Store)
}

fn lines(events: &mut Events) -> Vec<String> {
    std::iter::from_fn(|| events.try_next())
        .map(|event| event.to_string())
        .collect()
}

fn requests(events: &mut Events) -> Vec<String> {
    let mut lines = lines(events);
    lines.retain(|line| line.contains("requested by"));
    lines
}

#[actix::test]
async fn operation_says_who_asked_before_what_follows() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let site = root
        .add_supervisor(SupervisorActor::with_defaults("site"))
        .await
        .unwrap();
    site.add_and_wait(store("store")).await.unwrap();
    let mut events = root.events();
    let ada = root.by("ada");

    ada.restart("root/site/store").await.unwrap();
    assert_eq!(
        lines(&mut events)[..3],
        [
            "root/site/store#0: restart requested by ada",
            "root/site/store#0: stopped: shutdown",
            "root/site/store#1: started",
        ]
    );
    ada.stop("root/site/store").await.unwrap();
    ada.reset("root/site/store").await.unwrap();
    ada.add(store("one")).await.unwrap();
    ada.add_and_wait(store("two")).await.unwrap();
    let spec = SupervisorSpec::default();
    site.by("bob").reconfigure(spec).await.unwrap();
    ada.remove("two").await.unwrap();
    let own = message::Remove::new("one").by("line\nbreak");
    root.addr().send(own).await.unwrap().unwrap();
    assert_eq!(
        requests(&mut events),
        [
            "root/site/store#1: stop requested by ada",
            "root/site/store#1: reset requested by ada",
            "root/one#0: add requested by ada",
            "root/two#0: add requested by ada",
            "root/site: reconfigure requested by bob",
            "root/two#0: remove requested by ada",
            "root/one#0: remove requested by line\\nbreak",
        ]
    );

    // What concerns no service is refused, and nothing was done.
    let refused = ada.remove("two").await.unwrap_err();
    assert!(
        matches!(refused, RemoveError::UnknownName { .. }),
        "{refused:?}"
    );
    // A reference that says nothing, and one that was got through one that does.
    root.restart("root/site/store").await.unwrap();
    let again = ada.add_supervisor(SupervisorActor::with_defaults("again"));
    let again = again.await.unwrap();
    again.add(store("store")).await.unwrap();
    assert_eq!(
        requests(&mut events),
        ["root/again#0: add requested by ada"]
    );

    site.by("bob").shutdown().await.unwrap();
    ada.shutdown_within(Duration::from_secs(1)).await.unwrap();
    let all = lines(&mut events);
    assert_eq!(all[0], "root/site: shutdown requested by bob");
    let of_root = "root: shutdown requested by ada";
    let place = all.iter().position(|line| line == of_root).unwrap();
    assert!(all[place + 1].starts_with("root/"), "{all:#?}");
}

#[actix::test]
async fn request_is_a_kind_to_match() {
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let mut events = root.events();
    root.by("ada").add(store("store")).await.unwrap();
    let asked = loop {
        let event = events.next().await.unwrap();
        if let EventKind::Requested { operation, by, .. } = event.kind() {
            break (*operation, by.to_string(), event.kind().is_failure());
        }
    };
    assert_eq!(asked, (Operation::Add, "ada".to_owned(), false));
    root.shutdown().await.unwrap();
}
