//! The span of a task. In paused time.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use resurgam::{Readiness, ServiceSpec, TaskContext};
use tokio::time;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::{DefaultGuard, set_default},
};

use crate::support::{AnyError, Log, root, soon, wait_for_stop};

/// `tracing` keeps for the whole process which records anybody wants. While subscribers come and go on several threads it may miss one, so the
/// tests that have one take turns.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Writes down the spans of tasks, and what is said inside of them.
struct Recorder {
    log: Log,
    next: AtomicU64,
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        target == "resurgam::service" || target == "test"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields(String::new());
        attributes.record(&mut fields);
        self.log.write(format!("new{}", fields.0));
        Id::from_u64(self.next.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        self.log.write(format!("said{}", fields.0));
    }

    fn enter(&self, span: &Id) {
        self.log.write(format!("enter {}", span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        self.log.write(format!("exit {}", span.into_u64()));
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write;
        if field.name() != "token" {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}

fn record() -> (Log, DefaultGuard) {
    let log = Log::default();
    let recorder = Recorder {
        log: log.clone(),
        next: AtomicU64::new(0),
    };
    (log, set_default(recorder))
}

#[actix::test]
async fn blocking_work_runs_inside_the_span() {
    let _alone = ALONE.lock().await;
    let (log, _guard) = record();
    let root = root().await;
    let notes = log.clone();
    let task = ServiceSpec::task("task", move |cx: TaskContext| {
        let notes = notes.clone();
        async move {
            let (open, gate) = std::sync::mpsc::channel();
            let work = cx.run_blocking(move || {
                gate.recv().unwrap();
                notes.write("in the work");
            });
            // Runs when the poll of this function is over.
            actix::spawn(async move { open.send(()).unwrap() });
            work.await?;
            cx.ready();
            wait_for_stop(cx).await
        }
    })
    .readiness(Readiness::Explicit);
    soon(root.add_and_wait(task)).await.unwrap();
    let lines = log.lines();
    let depth_before = |line: &str| {
        let before = lines.iter().take_while(|known| *known != line);
        before.fold(0, |depth, line| match line.as_str() {
            "enter 1" => depth + 1,
            "exit 1" => depth - 1,
            _ => depth,
        })
    };
    assert_eq!(depth_before("in the work"), 1, "{lines:#?}");
    soon(root.shutdown()).await.unwrap();
}

#[actix::test]
async fn span_of_a_task_is_entered_at_every_poll() {
    let _alone = ALONE.lock().await;
    time::pause();
    let (log, _guard) = record();
    let root = root().await;
    let task = ServiceSpec::task("task", |cx: TaskContext| async move {
        tracing::info!(target: "test", "begins");
        tokio::task::yield_now().await;
        tracing::info!(target: "test", "goes on");
        cx.shutdown().await;
        tracing::info!(target: "test", "ends");
        Ok::<_, AnyError>(())
    });
    root.add_and_wait(task).await.unwrap();
    tokio::task::yield_now().await;
    soon(root.shutdown()).await.unwrap();
    let lines = log.lines();
    assert_eq!(lines[0], r#"new path="root/task" generation=0"#);
    let mut depth = 0;
    let mut said = Vec::new();
    for line in &lines[1..] {
        match line.as_str() {
            "enter 1" => depth += 1,
            "exit 1" => depth -= 1,
            other => said.push(format!("{depth} {other}")),
        }
    }
    assert_eq!(depth, 0, "{lines:#?}");
    let expected = ["begins", "goes on", "ends"];
    assert_eq!(said, expected.map(|what| format!("1 said message={what}")));
    let entered = lines.iter().filter(|line| *line == "enter 1").count();
    assert!(entered >= 3, "{lines:#?}"); // one for each poll, at least
}

/// A subscriber that panics whatever it is told.
struct Hostile;

#[expect(clippy::panic, reason = "what this subscriber does")]
impl Subscriber for Hostile {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // One span in two is there, so that it is also entered.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(next.is_multiple_of(2), "no span");
        Id::from_u64(next)
    }

    fn event(&self, _: &Event<'_>) {
        panic!("no event");
    }

    fn enter(&self, _: &Id) {
        panic!("not entered");
    }

    fn exit(&self, _: &Id) {
        panic!("not left");
    }

    fn clone_span(&self, _: &Id) -> Id {
        panic!("not cloned");
    }

    fn try_close(&self, _: Id) -> bool {
        panic!("not closed");
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}
}

#[actix::test]
async fn subscriber_that_panics_harms_no_task() {
    time::pause();
    let _guard = set_default(Hostile);
    let root = root().await;
    for name in ["first", "second"] {
        let task = ServiceSpec::task(name, |cx: TaskContext| async move {
            let sum: u64 = cx.run_blocking(|| (1..=4).sum()).await?;
            assert_eq!(sum, 10);
            cx.ready();
            wait_for_stop(cx).await
        })
        .readiness(Readiness::Explicit);
        let task = soon(root.add_and_wait(task)).await.unwrap();
        soon(root.restart(task.token())).await.unwrap();
    }
    let services = root.services().await.unwrap();
    let generations = services.iter();
    let generations: Vec<_> = generations
        .map(resurgam::ServiceSummary::generation)
        .collect();
    assert_eq!(generations, [1, 1]);
    let report = soon(root.shutdown()).await.unwrap();
    assert!(report.is_clean(), "{report}");
}
