//! An import whose parts live and end together: a reader, a parser and a store. At first the parser meets a line that it cannot read:
//! all are stopped, and the import is started again as a whole by its supervisor, with nothing left of the first try.
//!
//! ```text
//! try 0: store closed with 1 of 3 lines
//! root/import: failed: service `root/import/parser` ended scope `root/import`: failed: no number: `x`
//! try 1: store closed with 3 of 3 lines
//! root/import: completed
//! all services stopped
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use actix::prelude::*;
use resurgam::{
    EventKind, RestartType, ServiceContext, ServiceSpec, SupervisorActor, scope::Scope,
};
use tokio::sync::mpsc;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// A member that is an actor.
struct Store {
    attempt: usize,
    lines: Vec<u32>,
}

impl Actor for Store {
    type Context = ServiceContext<Self>;
}

impl Drop for Store {
    fn drop(&mut self) {
        let (attempt, stored) = (self.attempt, self.lines.len());
        println!("try {attempt}: store closed with {stored} of 3 lines");
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Line(u32);

impl Handler<Line> for Store {
    type Result = ();

    fn handle(&mut self, Line(line): Line, _: &mut Self::Context) {
        self.lines.push(line);
    }
}

/// The work: what runs in the scope is added here, and the scope ends when this returns.
async fn import(scope: Scope, attempt: usize) -> Result<(), AnyError> {
    let lines = Vec::new();
    let mut store = Some(Store { attempt, lines });
    let store = move || store.take().expect("a member is made once");
    let store = scope.add(ServiceSpec::new("store", store)).await?;
    let (read, mut unread) = mpsc::channel(1);
    let second = if attempt == 0 { "x" } else { "2" };
    scope
        .spawn_named("reader", move |_| async move {
            for line in ["1", second, "3"] {
                read.send(line).await?;
            }
            Ok::<_, mpsc::error::SendError<_>>(())
        })
        .await?;
    let parser = scope.spawn_named("parser", move |_| async move {
        while let Some(line) = unread.recv().await {
            let number = line.parse().map_err(|_| format!("no number: `{line}`"))?;
            store.send(Line(number)).await?;
        }
        Ok::<_, AnyError>(())
    });
    // A parser that is significant ends the scope when it has parsed everything.
    parser.spec(ServiceSpec::significant).await?;
    scope.ending().await;
    Ok(())
}

#[actix::main]
async fn main() -> Result<(), AnyError> {
    let root = SupervisorActor::with_defaults("root").start().await?;
    let mut events = root.events();
    let mut attempts = 0..;
    let scope = ServiceSpec::scope("import", move |scope| {
        import(scope, attempts.next().unwrap_or_default())
    });
    root.add(scope.restart(RestartType::Transient)).await?;
    while let Some(event) = events.next().await {
        match event.kind() {
            EventKind::ServiceFailed { reason, .. } if event.path() == "root/import" => {
                println!("root/import: {reason:#}");
            }
            EventKind::ServiceCompleted { .. } if event.path() == "root/import" => break,
            _ => {}
        }
    }
    println!("root/import: completed");
    println!("{}", root.shutdown().await?);
    Ok(())
}
