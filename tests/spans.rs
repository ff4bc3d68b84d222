//! The span of an incarnation, in paused time.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    sync::{Arc, Mutex},
};

use actix::prelude::*;
use resurgam::{ServiceContext, ServiceSpec, SupervisorActor, TaskContext};
use tokio::time;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::set_default,
};

/// `tracing` keeps for the whole process which records anybody wants. While subscribers come and go on several threads it may miss one, so the
/// tests that have one take turns.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Writes down what is said, and inside of which spans.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    spans: BTreeMap<u64, String>,
    open: Vec<u64>,
    lines: Vec<String>,
}

impl Recorder {
    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().lines)
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        matches!(metadata.target(), "resurgam::service" | "test" | "resurgam")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields(String::new());
        attributes.record(&mut fields);
        let mut told = self.0.lock().unwrap();
        let id = told.spans.len() as u64 + 1;
        told.spans.insert(id, fields.0);
        Id::from_u64(id)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        let mut told = self.0.lock().unwrap();
        let mut open = told.open.clone();
        open.dedup();
        let inside: Vec<_> = open.iter().map(|id| told.spans[id].clone()).collect();
        let what = if event.metadata().target() == "test" {
            fields.0
        } else {
            " event".to_owned()
        };
        told.lines.push(format!("{inside:?}{what}"));
    }

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().open.push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        let mut told = self.0.lock().unwrap();
        assert_eq!(told.open.pop(), Some(span.into_u64()), "left in order");
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "token" => {}
            "message" => write!(self.0, " {value:?}").unwrap(),
            name => write!(self.0, "{name}={value:?} ").unwrap(),
        }
    }
}

fn say(what: &str) {
    tracing::info!(target: "test", "{what}");
}

/// Says what happens to it.
struct Talker;

impl Actor for Talker {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        say("started");
        ctx.spawn(
            async {
                say("spawned");
                tokio::task::yield_now().await;
                say("spawned, later");
            }
            .into_actor(self),
        );
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        say("stopping");
        Running::Stop
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        say("dropped");
    }
}

#[derive(Message)]
#[rtype(result = "()")]
enum Do {
    Panic,
    Talk,
}

impl Handler<Do> for Talker {
    type Result = ();

    fn handle(&mut self, what: Do, _: &mut Self::Context) {
        match what {
            Do::Panic => panic!("on purpose"),
            Do::Talk => say("handled"),
        }
    }
}

/// The same in a context of actix's own.
struct Adopted;

impl Actor for Adopted {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        say("adopted");
    }
}

fn of(path: &str, generation: u32, what: &str) -> String {
    let span = format!("path=\"{path}\" generation={generation} ");
    format!("{:?} {what}", [span])
}

#[actix::test]
async fn log_lines_of_a_service_carry_the_span_of_its_incarnation() {
    let _alone = ALONE.lock().await;
    time::pause();
    let recorder = Recorder::default();
    let _guard = set_default(recorder.clone());
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let made = || {
        say("made");
        Talker
    };
    let talker = root
        .add_and_wait(ServiceSpec::new("talker", made))
        .await
        .unwrap();
    talker.send(Do::Talk).await.unwrap();
    let _closed = talker.send(Do::Panic).await.unwrap_err();
    talker.send(Do::Talk).await.unwrap();
    root.remove(&talker).await.unwrap();
    let lines = recorder.lines();
    let path = "root/talker";
    let mut expected = Vec::new();
    for generation in 0..2 {
        for what in ["made", "started", "spawned", "handled", "spawned, later"] {
            expected.push(of(path, generation, what));
        }
        if generation == 1 {
            expected.push(of(path, generation, "stopping"));
        }
        expected.push(of(path, generation, "dropped"));
    }
    let (events, mut said): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| line.ends_with(" event"));
    // Which of the two comes first is not said.
    for lines in [&mut said, &mut expected] {
        for generation in 0..2 {
            let later = of(path, generation, "spawned, later");
            lines.retain(|line| *line != later);
        }
    }
    assert_eq!(said, expected);
    // What a supervisor says is not inside of any of them.
    assert!(events.iter().all(|line| line == "[] event"), "{events:#?}");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn every_kind_of_service_has_one_and_a_supervisor_has_none() {
    let _alone = ALONE.lock().await;
    time::pause();
    let recorder = Recorder::default();
    let _guard = set_default(recorder.clone());
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    root.add_and_wait(ServiceSpec::actor("adopted", || Adopted))
        .await
        .unwrap();
    let task = ServiceSpec::task("task", |cx: TaskContext| async move {
        say("task");
        cx.span().in_scope(|| say("task again"));
        cx.shutdown().await;
        say("task over");
    });
    root.add_and_wait(task).await.unwrap();
    let site = root
        .add_supervisor(SupervisorActor::with_defaults("site"))
        .await
        .unwrap();
    site.add_and_wait(ServiceSpec::new("talker", || Talker))
        .await
        .unwrap();
    root.shutdown().await.unwrap();
    let mut lines = recorder.lines();
    lines.retain(|line| !line.ends_with(" event"));
    for (path, what) in [
        ("root/adopted", "adopted"),
        ("root/task", "task"),
        ("root/task", "task again"),
        ("root/task", "task over"),
        ("root/site/talker", "started"),
        ("root/site/talker", "dropped"),
    ] {
        let line = of(path, 0, what);
        assert!(lines.contains(&line), "{line} {lines:#?}");
    }
    let told = recorder.0.lock().unwrap();
    assert_eq!(told.spans.len(), 3, "{:?}", told.spans);
    assert!(told.open.is_empty());
}

#[actix::test]
async fn incarnation_that_began_before_anybody_listened_has_none() {
    let _alone = ALONE.lock().await;
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let talker = root
        .add_and_wait(ServiceSpec::new("talker", || Talker))
        .await
        .unwrap();
    let recorder = Recorder::default();
    let _guard = set_default(recorder.clone());
    talker.send(Do::Talk).await.unwrap();
    let lines = recorder.lines();
    assert!(lines.contains(&"[] handled".to_owned()), "{lines:?}");
    assert!(
        lines.iter().all(|line| line.starts_with("[] ")),
        "{lines:?}"
    );
    root.restart(&talker).await.unwrap();
    recorder.lines();
    talker.send(Do::Talk).await.unwrap();
    let lines = recorder.lines();
    assert!(
        lines.contains(&of("root/talker", 1, "handled")),
        "{lines:#?}"
    );
    root.shutdown().await.unwrap();
}
