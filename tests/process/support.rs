//! Commands, waiting with a deadline, and looks into `/proc`.

use std::{fs, future::Future, time::Duration};

use resurgam::{
    EventKind, Events, ExitReason, RestartLimit, ServiceRef, SupervisorActor, SupervisorRef,
    SupervisorSpec,
    process::{Command, ExitError, Lines, Output, ProcessActor, ProcessId},
};

/// How long a test waits for something that is to happen.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("not within ten seconds")
}

pub(crate) async fn root() -> SupervisorRef {
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    SupervisorActor::new("root", spec).start().await.unwrap()
}

pub(crate) fn sh(script: &str) -> Command {
    Command::new("sh").arg("-c").arg(script)
}

/// The text of the next line.
pub(crate) async fn text(lines: &mut Lines) -> String {
    let line = soon(lines.next()).await.expect("no line any more");
    line.text().to_owned()
}

/// The next line, as a number.
pub(crate) async fn number(lines: &mut Lines) -> u32 {
    text(lines).await.parse().expect("not a number")
}

/// What is still written to standard output until the service is gone.
///
/// A shell says on the other output that its command was terminated, sooner or later.
pub(crate) async fn written(lines: &mut Lines) -> Vec<String> {
    let mut written = Vec::new();
    while let Some(line) = soon(lines.next()).await {
        if line.output() == Output::Stdout {
            written.push(line.text().to_owned());
        }
    }
    written
}

/// Waits for an event, and returns it.
pub(crate) async fn event(
    events: &mut Events,
    wanted: impl Fn(&EventKind) -> bool,
) -> resurgam::Event {
    soon(async {
        while let Some(event) = events.next().await {
            if wanted(event.kind()) {
                return event;
            }
        }
        panic!("the events ended");
    })
    .await
}

/// Why the next incarnation to end has ended.
pub(crate) async fn end(events: &mut Events) -> ExitReason {
    let ended = event(events, |kind| reason(kind).is_some()).await;
    reason(ended.kind()).expect("just looked at")
}

fn reason(kind: &EventKind) -> Option<ExitReason> {
    match kind {
        EventKind::ServiceCompleted { .. } => Some(ExitReason::Normal),
        EventKind::ServiceFailed { reason, .. }
        | EventKind::ServiceStartFailed { reason, .. }
        | EventKind::ServiceStopped { reason, .. } => Some(reason.clone()),
        _ => None,
    }
}

/// The error of a process that has failed.
pub(crate) fn exit_error(reason: &ExitReason) -> ExitError {
    let error = reason.error().expect("not an error");
    error.downcast_ref::<ExitError>().unwrap().clone()
}

pub(crate) async fn group_of(service: &ServiceRef<ProcessActor>) -> u32 {
    soon(service.send(ProcessId)).await.unwrap()
}

/// A process as `/proc` shows it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: u32,
    state: String,
    parent: u32,
    group: u32,
}

pub(crate) fn entry(id: u32) -> Option<Entry> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in front may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    Some(Entry {
        id,
        state: fields.next()?.to_owned(),
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
    })
}

impl Entry {
    pub(crate) fn is_suspended(&self) -> bool {
        self.state == "T"
    }

    /// A zombie is the business of its parent: ours if it is this program's child, and not if it was inherited by process 1.
    fn is_left_behind(&self) -> bool {
        self.state != "Z" || self.parent == std::process::id()
    }
}

/// The processes of a group that run, and this program's zombies in it.
pub(crate) fn members(group: u32) -> Vec<Entry> {
    let ids = fs::read_dir("/proc").unwrap();
    let ids = ids.filter_map(|dir| dir.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(entry)
        .filter(|entry| entry.group == group && entry.is_left_behind())
        .collect()
}

/// Waits until nothing is left of a group: neither a process nor a zombie of ours. `/proc` cannot be waited for, hence the polling.
pub(crate) async fn group_is_gone(group: u32) {
    soon(async {
        while !members(group).is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}
