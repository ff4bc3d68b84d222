//! Members that do as they are told, a log, and waiting with a deadline.

use std::{
    error::Error,
    fmt,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    ServiceContext, ServiceSpec, TaskActor, TaskContext,
    scope::{Scope, ScopeError, ScopeSpec},
};

/// Any error of a task.
pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// An error with a type of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Boom(pub(crate) &'static str);

impl fmt::Display for Boom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Boom {}

/// Waits for something; the time limit is for a test that has failed.
pub(crate) async fn soon<T>(wanted: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(600), wanted)
        .await
        .expect("it did not happen in time")
}

/// Lets everything happen that needs no time. After `time::pause()` only.
pub(crate) async fn quiet() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Runs a scope whose work waits to be ended, after `prepare`.
pub(crate) async fn idle_after<F, T>(prepare: F) -> Result<(), ScopeError>
where
    F: FnOnce(Scope) -> T + Send + 'static,
    T: Future<Output = Result<(), AnyError>> + 'static,
{
    let run = ScopeSpec::new("s").run(|scope| async move {
        prepare(scope.clone()).await?;
        scope.ending().await;
        Ok::<_, AnyError>(())
    });
    soon(run).await
}

/// A member that waits to be stopped, and then ends like this.
pub(crate) fn member(
    name: &'static str,
    log: &Log,
    end: Result<(), Boom>,
) -> ServiceSpec<TaskActor> {
    let log = log.clone();
    ServiceSpec::task(name, move |cx: TaskContext| {
        let (log, end) = (log.clone(), end.clone());
        async move {
            let _trace = Tracer(log.clone(), name);
            cx.shutdown().await;
            log.write(format!("{name} stops"));
            end
        }
    })
}

/// A member that is an actor, and fails on request.
pub(crate) struct Clerk(pub(crate) Tracer);

impl Actor for Clerk {
    type Context = ServiceContext<Self>;
}

pub(crate) fn clerk(name: &'static str, log: &Log) -> ServiceSpec<Clerk> {
    let log = log.clone();
    ServiceSpec::new(name, move || Clerk(Tracer(log.clone(), name)))
}

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum Order {
    Fail(&'static str),
    Panic,
    Stop,
}

impl Handler<Order> for Clerk {
    type Result = ();

    fn handle(&mut self, order: Order, ctx: &mut Self::Context) {
        match order {
            Order::Fail(why) => ctx.fail(Boom(why)),
            Order::Panic => panic!("{} panics", self.0.1),
            Order::Stop => ctx.stop(),
        }
    }
}

/// Which member ended a scope, and with what.
pub(crate) fn blame<T: fmt::Debug>(result: Result<T, ScopeError>) -> (String, String) {
    match result.unwrap_err() {
        ScopeError::Member { member, reason, .. } => (member.to_string(), reason.to_string()),
        ScopeError::Failed { path, error, .. } => (path.to_string(), error.to_string()),
        other => panic!("{other:?}"),
    }
}

/// What has happened, in order.
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
