//! An error is user code as well: what it does when it is looked at, printed or dropped harms nobody.

use std::{error::Error, fmt};

use actix::prelude::*;
use resurgam::{
    ExitReason, RestartLimit, ServiceContext, ServiceSpec, SupervisorActor, SupervisorSpec,
};

use crate::support::patiently;

#[actix::test]
async fn error_whose_source_panics_ends_its_service_only() {
    assert_harmless(Evil::Source).await;
}

#[actix::test]
async fn error_whose_text_panics_ends_its_service_only() {
    assert_harmless(Evil::Text).await;
}

#[actix::test]
async fn error_whose_drop_panics_ends_its_service_only() {
    assert_harmless(Evil::Drop).await;
}

async fn assert_harmless(evil: Evil) {
    let spec = SupervisorSpec::default()
        .limit(RestartLimit::unlimited())
        .fatal(|error| error.to_string() == "fatal");
    let root = SupervisorActor::new("root", spec).start().await.unwrap();
    let failing = root
        .add_and_wait(ServiceSpec::new("failing", || Subject))
        .await
        .unwrap();
    let sibling = root
        .add_and_wait(ServiceSpec::new("sibling", || Subject))
        .await
        .unwrap();

    // Each failure replaces the one before, which is dropped.
    for generation in 1..4 {
        failing.do_send(Fail(evil));
        assert_eq!(patiently(failing.send(Generation)).await, Ok(generation));
    }
    failing.do_send(Fail(evil));
    let reason = patiently(root.remove(failing.token())).await.unwrap();
    assert!(
        matches!(reason, ExitReason::Shutdown | ExitReason::Failed(_)),
        "not what it ended with"
    );

    assert_eq!(patiently(sibling.send(Generation)).await, Ok(0));
    patiently(root.shutdown()).await.unwrap();
}

struct Subject;

impl Actor for Subject {
    type Context = ServiceContext<Self>;
}

/// Has the service fail with an error.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Fail(Evil);

impl Handler<Fail> for Subject {
    type Result = ();

    fn handle(&mut self, Fail(evil): Fail, ctx: &mut Self::Context) {
        ctx.fail(EvilError(evil));
    }
}

#[derive(Debug, Message)]
#[rtype(result = "u64")]
struct Generation;

impl Handler<Generation> for Subject {
    type Result = u64;

    fn handle(&mut self, _: Generation, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

/// What panics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Evil {
    Drop,
    Source,
    Text,
}

#[derive(Debug)]
struct EvilError(Evil);

impl EvilError {
    fn strike(&self, when: Evil) {
        assert!(self.0 != when || thread_is_panicking(), "evil");
    }
}

/// A second panic would be fatal, whoever catches the first one.
fn thread_is_panicking() -> bool {
    std::thread::panicking()
}

impl fmt::Display for EvilError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.strike(Evil::Text);
        f.write_str("evil")
    }
}

impl Error for EvilError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.strike(Evil::Source);
        None
    }
}

impl Drop for EvilError {
    fn drop(&mut self) {
        self.strike(Evil::Drop);
    }
}
