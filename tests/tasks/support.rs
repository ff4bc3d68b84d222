//! Roots, waiting for events with a deadline, and a log.

use std::{
    error::Error,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use resurgam::{
    Event, EventKind, Events, RestartLimit, ServiceSpec, ServiceSummary, SupervisorActor,
    SupervisorRef, SupervisorSpec, TaskActor, TaskContext,
};

/// Any error of a task.
pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// A root that restarts without limit.
pub(crate) async fn root() -> SupervisorRef {
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    SupervisorActor::new("root", spec).start().await.unwrap()
}

/// A task that waits to be stopped.
pub(crate) fn idle(name: &'static str) -> ServiceSpec<TaskActor> {
    ServiceSpec::task(name, wait_for_stop)
}

pub(crate) async fn wait_for_stop(cx: TaskContext) -> Result<(), AnyError> {
    cx.shutdown().await;
    Ok(())
}

/// Waits for something; the time limit is for a test that has failed.
pub(crate) async fn soon<T>(wanted: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), wanted)
        .await
        .expect("it did not happen in time")
}

/// The next event of one service that is of interest.
pub(crate) async fn event(
    events: &mut Events,
    path: &str,
    wanted: impl Fn(&EventKind) -> bool,
) -> Event {
    soon(async {
        while let Some(event) = events.next().await {
            if event.path() == path && wanted(event.kind()) {
                return event;
            }
        }
        panic!("the events ended");
    })
    .await
}

/// Waits until a service is forgotten, and says how it ended.
pub(crate) async fn removed(events: &mut Events, path: &str) -> String {
    let event = event(events, path, |kind| {
        matches!(kind, EventKind::ServiceRemoved { .. })
    })
    .await;
    let EventKind::ServiceRemoved { reason, .. } = event.kind() else {
        panic!("{event}");
    };
    reason.to_string()
}

/// The names of the services of a root.
pub(crate) async fn names(root: &SupervisorRef) -> Vec<String> {
    let services = root.services().await.unwrap();
    let names = services.iter().map(ServiceSummary::path);
    names.map(|path| path.replacen("root/", "", 1)).collect()
}

/// What has happened, in order, in whichever thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn write(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Writes down that it is dropped.
#[derive(Debug)]
pub(crate) struct Tracer(pub(crate) Log, pub(crate) &'static str);

impl Drop for Tracer {
    fn drop(&mut self) {
        self.0.write(format!("{} dropped", self.1));
    }
}
