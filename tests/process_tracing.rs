//! What processes write to `tracing`. In a program of its own: its subscriber is there before anything is traced.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    cell::Cell,
    fmt::{Debug, Write},
    sync::{Mutex, Once},
    time::Duration,
};

use resurgam::{RestartType, SupervisorActor, process::Command};

#[actix::test]
async fn run_of_a_command_is_traced_from_its_start_to_its_end() {
    record();
    let script = "read line; echo $line; echo err >&2; exit 4";
    let captured = Command::new("/bin/sh").args(["-c", script]).stdin("in\n");
    let captured = tokio::time::timeout(DEADLINE, captured.capture());
    assert!(captured.await.unwrap().is_err());
    let mut records = records_of("/bin/sh");
    // Both outputs are read side by side.
    records[1..3].sort();
    assert_eq!(
        records,
        [
            "DEBUG generation=0 started `/bin/sh -c 'read line; echo $line; echo err >&2; exit 4'`",
            "INFO generation=0 output=stderr err",
            "INFO generation=0 output=stdout in",
            "WARN generation=0 `/bin/sh` exited with status 4",
        ]
    );
}

#[actix::test]
async fn success_of_a_command_is_traced_and_what_could_not_start_is_only_an_error() {
    record();
    Command::new("/bin/true").capture().await.unwrap();
    assert_eq!(
        records_of("/bin/true"),
        [
            "DEBUG generation=0 started `/bin/true`",
            "DEBUG generation=0 exited successfully",
        ]
    );
    assert!(Command::new("/no/such").capture().await.is_err());
    assert!(records_of("/no/such").is_empty());
}

#[actix::test]
async fn lines_of_a_service_are_traced_with_its_path() {
    record();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let command = Command::new("echo").arg("hello");
    let mut lines = command.lines();
    let spec = command.service("greeter").restart(RestartType::Temporary);
    root.add(spec).await.unwrap();
    tokio::time::timeout(DEADLINE, lines.next()).await.unwrap();
    let expected = "INFO generation=0 output=stdout hello";
    assert_eq!(records_of("root/greeter"), [expected]);
    root.shutdown().await.unwrap();
}

thread_local! {
    /// Whether the subscriber panics on this thread.
    static HOSTILE: Cell<bool> = const { Cell::new(false) };
}

#[actix::test]
async fn subscriber_that_panics_harms_no_process() {
    record();
    HOSTILE.set(true);
    let captured = Command::new("/bin/echo").arg("hello").capture();
    let captured = tokio::time::timeout(DEADLINE, captured).await;
    assert_eq!(captured.unwrap().unwrap(), "hello\n");
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let command = Command::new("/bin/sh").args(["-c", "echo up; exec sleep 60"]);
    let mut lines = command.lines();
    let spec = command.ready_on_line("up");
    tokio::time::timeout(DEADLINE, root.add_and_wait(spec.service("server")))
        .await
        .unwrap()
        .unwrap();
    let line = tokio::time::timeout(DEADLINE, lines.next()).await.unwrap();
    assert_eq!(line.unwrap().text(), "up");
    root.shutdown().await.unwrap();
}

/// How long a test waits for something that is to happen.
const DEADLINE: Duration = Duration::from_secs(10);

/// Path and text of what was traced.
static RECORDS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

fn record() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| tracing::subscriber::set_global_default(Recorder).unwrap());
}

fn records_of(path: &str) -> Vec<String> {
    let records = RECORDS.lock().unwrap();
    let records = records.iter().filter(|(of, _)| of == path);
    records.map(|(_, text)| text.clone()).collect()
}

/// Keeps what processes write to `tracing`.
struct Recorder;

impl tracing::Subscriber for Recorder {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "resurgam::process"
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        assert!(!HOSTILE.get(), "a subscriber that panics on purpose");
        let mut text = Text {
            path: String::new(),
            fields: event.metadata().level().to_string(),
            message: String::new(),
        };
        event.record(&mut text);
        let line = format!("{} {}", text.fields, text.message);
        RECORDS.lock().unwrap().push((text.path, line));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

struct Text {
    path: String,
    fields: String,
    message: String,
}

impl tracing::field::Visit for Text {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        match field.name() {
            "path" => value.clone_into(&mut self.path),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
        written.unwrap();
    }
}
