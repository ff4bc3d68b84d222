//! The stream of events and its consumers, in paused time.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::prelude::*;
use futures::StreamExt;
use resurgam::{
    Backoff, EventKind, RestartLimit, RestartType, ServiceContext, ServiceSpec, SupervisorActor,
    SupervisorRef,
};
use tokio::time;

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

#[derive(Message)]
#[rtype(result = "()")]
struct Ping;

impl Handler<Ping> for Fragile {
    type Result = ();
    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

async fn root() -> SupervisorRef {
    SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap()
}

/// The events as lines, without what a panic says.
fn lines(events: &mut resurgam::Events) -> Vec<String> {
    std::iter::from_fn(|| events.try_next())
        .map(|event| {
            let line = event.to_string();
            match line.split_once(" panicked at ") {
                Some((who, _)) => format!("{who} panicked"),
                None => line,
            }
        })
        .collect()
}

#[actix::test]
async fn life_of_a_service_is_told_in_order() {
    time::pause();
    let root = root().await;
    let mut events = root.events();
    let fragile = root
        .add_and_wait(ServiceSpec::new("fragile", || Fragile))
        .await
        .unwrap();
    fragile.do_send(Crash);
    fragile.send(Ping).await.unwrap();
    root.remove(fragile.token()).await.unwrap();
    assert_eq!(
        lines(&mut events),
        [
            "root/fragile#0: added",
            "root/fragile#0: started",
            "root/fragile#0: ready",
            "root/fragile#0: panicked",
            "root/fragile#1: started",
            "root/fragile#1: ready",
            "root/fragile#1: stopped: shutdown",
            "root/fragile#1: removed: shutdown",
        ]
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn slow_subscriber_is_told_how_many_events_it_lost() {
    time::pause();
    let root = root().await;
    let mut slow = root.events_with_capacity(2);
    let mut quick = root.events();
    let fragile = root
        .add_and_wait(ServiceSpec::new("fragile", || Fragile).restart(RestartType::Transient))
        .await
        .unwrap();
    for _ in 0..3 {
        fragile.do_send(Crash);
        fragile.send(Ping).await.unwrap();
    }
    let all = lines(&mut quick).len();
    assert_eq!(all, 3 + 3 * 3);
    assert_eq!(slow.lost(), 10);
    assert!(matches!(
        slow.next().await.unwrap().kind(),
        EventKind::ServiceAdded
    ));
    assert!(matches!(
        slow.next().await.unwrap().kind(),
        EventKind::ServiceStarted
    ));
    root.remove(fragile.token()).await.unwrap();
    let note = slow.next().await.unwrap();
    assert!(matches!(
        note.kind(),
        EventKind::EventsLost { count: 10, .. }
    ));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn stream_of_events_ends_with_the_tree() {
    time::pause();
    let root = root().await;
    let events = root.events();
    root.add(ServiceSpec::new("fragile", || Fragile))
        .await
        .unwrap();
    root.shutdown().await.unwrap();
    let all: Vec<_> = events.map(|event| event.to_string()).collect().await;
    assert_eq!(all.last().unwrap(), "root: supervisor stopped: shutdown");
    assert!(
        all.contains(&"root/fragile#0: stopped: shutdown".into()),
        "{all:#?}"
    );
}

/// `tracing` keeps for the whole process which records anybody wants. While subscribers come and go on several threads it may miss one, so the
/// tests that have one take turns.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A consumer of `tracing` that keeps what it is told.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

struct Text<'a>(&'a mut String);

impl tracing::field::Visit for Text<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl tracing::Subscriber for Recorder {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "resurgam"
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = format!("{} ", event.metadata().level());
        event.record(&mut Text(&mut line));
        self.0.lock().unwrap().push(line);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[actix::test]
async fn tracing_is_told_without_any_subscription() {
    let _alone = ALONE.lock().await;
    time::pause();
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(recorder.clone());
    let root = root().await;
    let fragile = root
        .add_and_wait(ServiceSpec::new("fragile", || Fragile))
        .await
        .unwrap();
    fragile.do_send(Crash);
    fragile.send(Ping).await.unwrap();
    root.shutdown().await.unwrap();
    let lines = recorder.0.lock().unwrap();
    assert!(
        lines.iter().any(|line| line.starts_with("WARN")
            && line.contains("path=root/fragile")
            && line.contains("crashed on purpose")),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|line| line.contains("supervisor stopped")),
        "{lines:#?}"
    );
}

#[actix::test]
async fn failure_is_one_record_with_all_its_fields_and_a_loop_is_summarised() {
    let _alone = ALONE.lock().await;
    time::pause();
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(recorder.clone());
    let limit = RestartLimit::window(50, Duration::from_secs(600)).give_up();
    let backoff = Backoff::constant(Duration::from_millis(100));
    let spec = ServiceSpec::new("fragile", || Fragile)
        .backoff(backoff)
        .limit(limit);
    let root = root().await;
    let fragile = root.add_and_wait(spec).await.unwrap();
    let token = fragile.token();
    for _ in 0..51 {
        fragile.do_send(Crash);
        let _until_it_gave_up = fragile.send(Ping).await;
    }
    root.shutdown().await.unwrap();
    let lines = recorder.0.lock().unwrap();
    let all: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("path=root/fragile "))
        .collect();
    let failures = all.iter().filter(|line| line.starts_with("WARN"));
    let failures: Vec<_> = failures.collect();
    let first = failures[0];
    for field in [
        format!("token={token} generation=0 kind=\"service_panicked\" reason=panicked at "),
        " delay=0.1 count=1.0 ".into(),
    ] {
        assert!(first.contains(&field), "{first}");
    }
    assert!(!first.contains("repeats"), "{first}");
    // Three by themselves, and 47 at once when it gives up, beside the last of them.
    assert_eq!(failures.len(), 4, "{failures:#?}");
    assert!(failures[3].contains("repeats=47 over=4.8"), "{failures:#?}");
    let kinds = ["restart_scheduled", "service_started", "service_ready"].map(|kind| {
        let kind = format!("kind=\"{kind}\"");
        all.iter().filter(|line| line.contains(&kind)).count()
    });
    assert_eq!(kinds, [0, 4, 4], "{all:#?}");
}

#[actix::test]
async fn late_subscriber_is_told_first_how_everything_is() {
    time::pause();
    let root = root().await;
    let site = SupervisorActor::with_defaults("site");
    let site = root.add_supervisor(site).await.unwrap();
    let limit = RestartLimit::window(0, Duration::from_secs(1)).give_up();
    for (of, name) in [(&root, "late"), (&site, "down"), (&site, "broken")] {
        let spec = ServiceSpec::new(name, || Fragile).limit(limit.clone());
        of.add_and_wait(spec).await.unwrap();
    }
    site.stop("down").await.unwrap();
    let broken = root.lookup::<Fragile>("root/site/broken").await.unwrap();
    let mut before = root.events();
    broken.do_send(Crash);
    let last = loop {
        let event = before.next().await.unwrap();
        if matches!(event.kind(), EventKind::ServiceGaveUp { .. }) {
            break event.sequence();
        }
    };

    let mut events = root.events_with_present();
    let mut below = site.events_with_present().below("root/site/down");
    let mut failed = root.events_with_present().failures();
    // It takes no room of what is kept for what happens.
    root.restart("late").await.unwrap();
    let mut told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
    let later = told.split_off(5);
    assert!(told.iter().all(|event| event.sequence() == last));
    assert!(later.iter().all(|event| event.sequence() > last));
    let told: Vec<_> = told.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "root#0: is ready",
            "root/late#0: is ready",
            "root/site#0: is ready",
            "root/site/broken#0: is failed",
            "root/site/down#0: is stopped",
        ]
    );
    assert!(later[0].to_string().starts_with("root/late#0: stopped"));
    assert_eq!(lines(&mut below), ["root/site/down#0: is stopped"]);
    assert_eq!(lines(&mut failed), ["root/site/broken#0: is failed"]);
    root.shutdown().await.unwrap();
}

/// An error that cannot be printed.
#[derive(Debug)]
struct Unprintable;

impl std::fmt::Display for Unprintable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("not to be printed");
    }
}

impl std::error::Error for Unprintable {}

#[derive(Message)]
#[rtype(result = "()")]
struct FailUnprintably;

impl Handler<FailUnprintably> for Fragile {
    type Result = ();
    fn handle(&mut self, _: FailUnprintably, ctx: &mut Self::Context) {
        ctx.fail(Unprintable);
    }
}

#[actix::test]
async fn error_that_panics_when_it_is_printed_does_not_end_its_supervisor() {
    let _alone = ALONE.lock().await;
    time::pause();
    let _guard = tracing::subscriber::set_default(Recorder::default());
    let root = root().await;
    let fragile = root
        .add_and_wait(ServiceSpec::new("fragile", || Fragile))
        .await
        .unwrap();
    fragile.do_send(FailUnprintably);
    assert_eq!(fragile.send(Ping).await, Ok(()));
    root.shutdown().await.unwrap();
}
