//! What references and tokens are good for beside messages: in collections, as text, and where an address is wanted.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a service that panics, and helpers of tests"
)]

mod leaf;

use std::{collections::HashSet, sync::mpsc};

use actix::prelude::*;
use resurgam::{
    LookupError, Placement, RemoveError, ServiceContext, ServiceRef, ServiceSpec, ServiceToken,
    StartError, SupervisorActor, SupervisorRef,
};

use self::leaf::{Crash, Generation, Leaf};

async fn root() -> SupervisorRef {
    SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap()
}

fn leaf(name: &str) -> ServiceSpec<Leaf> {
    ServiceSpec::new(name, Leaf::default)
}

#[expect(
    clippy::mutable_key_type,
    reason = "the hash is that of the token, which never changes"
)]
#[actix::test]
async fn reference_is_a_key_and_prints_its_path() {
    let root = root().await;
    let one = root.add(leaf("one")).await.unwrap();
    let two = root.add(leaf("two")).await.unwrap();
    let found: ServiceRef<Leaf> = root.lookup("one").await.unwrap();
    let known = HashSet::from([one.clone(), two, found]);
    assert_eq!(known.len(), 2);
    assert!(known.contains(&one));
    assert_eq!(format!("{one:>10}"), "  root/one");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn reference_becomes_an_address_and_a_recipient() {
    let root = root().await;
    let leaf = root.add_and_wait(leaf("leaf")).await.unwrap();
    let recipient = Recipient::<Generation>::from(leaf.clone());
    let address: Addr<Leaf> = leaf.clone().into();
    assert_eq!(leaf.as_ref(), &address);
    root.restart(&leaf).await.unwrap();
    assert_eq!(recipient.send(Generation).await.unwrap(), 1);
    assert!(leaf.send(Crash).await.is_err());
    assert_eq!(address.send(Generation).await.unwrap(), 2);
    root.shutdown().await.unwrap();
}

/// As an HTTP API does, which gives tokens out as text.
#[actix::test]
async fn token_is_what_it_prints() {
    let root = root().await;
    let below = root
        .add_supervisor(SupervisorActor::with_defaults("below"))
        .await
        .unwrap();
    let leaf = below.add(leaf("leaf")).await.unwrap();
    let text = leaf.token().to_string();
    let token: ServiceToken = text.parse().unwrap();
    assert_eq!(root.lookup::<Leaf>(token).await.unwrap(), leaf);
    assert_eq!(
        root.remove(token).await,
        Err(RemoveError::wrong_supervisor(token))
    );
    below.remove(token).await.unwrap();
    assert_eq!(
        below.remove(token).await,
        Err(RemoveError::unknown_token(token))
    );
    // Of a service that never was, and a supervisor that never was.
    let (_, place) = text.split_once('.').unwrap();
    for text in [format!("0.{place}"), "1.4294967295.0".to_owned()] {
        let token: ServiceToken = text.parse().unwrap();
        let unknown = Err(RemoveError::unknown_token(token));
        assert_eq!(below.remove(token).await, unknown);
        assert_eq!(
            root.lookup::<Leaf>(token).await,
            Err(LookupError::unknown_token(token))
        );
    }
    root.shutdown().await.unwrap();
}

/// An actor of plain actix, whose context knows of no supervisor.
struct Listener(SupervisorRef);

impl Actor for Listener {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "String")]
struct Accept;

impl Handler<Accept> for Listener {
    type Result = ResponseFuture<String>;
    fn handle(&mut self, _: Accept, _: &mut Self::Context) -> Self::Result {
        let supervisor = self.0.clone();
        Box::pin(async move {
            let session = ServiceSpec::unnamed("session", Leaf::default);
            supervisor.add(session).await.unwrap().to_string()
        })
    }
}

#[actix::test]
async fn existing_actor_adds_services_to_its_supervisor() {
    let root = root().await;
    let below = root
        .add_supervisor(SupervisorActor::with_defaults("below"))
        .await
        .unwrap();
    let spec = ServiceSpec::try_actor("listener", |cx| {
        Ok::<_, StartError>(Listener(cx.supervisor()))
    });
    let listener = below.add_and_wait(spec).await.unwrap();
    assert_eq!(
        listener.send(Accept).await.unwrap(),
        "root/below/session[1]"
    );
    below.restart("session[1]").await.unwrap();
    // A restart of the listener leaves the sessions alone.
    below.restart(&listener).await.unwrap();
    assert_eq!(
        listener.send(Accept).await.unwrap(),
        "root/below/session[2]"
    );
    root.shutdown().await.unwrap();
}

/// A writer whose handler blocks until the test says so.
struct Writer(Option<mpsc::Receiver<()>>);

impl Actor for Writer {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Write;

impl Handler<Write> for Writer {
    type Result = ();
    fn handle(&mut self, _: Write, _: &mut Self::Context) {
        let written = self.0.take().unwrap();
        written.recv().unwrap();
    }
}

/// What `ServiceSpec::blocking` says of a service that blocks and has a mailbox.
#[actix::test]
async fn actor_on_a_thread_of_its_own_blocks_nobody() {
    let root = root().await;
    let (write, written) = mpsc::channel();
    let mut written = Some(written);
    let writer = ServiceSpec::new("writer", move || Writer(written.take()));
    let writer = root
        .add_and_wait(writer.placement(Placement::Dedicated))
        .await
        .unwrap();
    let writing = writer.send(Write);
    let waiting = actix_rt::spawn(writing);
    // Its supervisor and its siblings go on meanwhile.
    let leaf = root.add_and_wait(leaf("leaf")).await.unwrap();
    root.restart(&leaf).await.unwrap();
    assert_eq!(leaf.send(Generation).await.unwrap(), 1);
    write.send(()).unwrap();
    waiting.await.unwrap().unwrap();
    root.shutdown().await.unwrap();
}
