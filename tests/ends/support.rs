//! A service that ends as it is told, and trees of it.

use std::time::Duration;

use actix::prelude::*;
use resurgam::{
    ServiceContext, ServiceRef, ServiceSpec, SupervisorActor, SupervisorRef, SupervisorSpec,
    Verdict,
};
use tokio::time;

/// How long is waited for what must happen before a test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Fails the test instead of waiting for ever.
pub(crate) async fn patiently<F: Future>(future: F, what: &str) -> F::Output {
    let output = time::timeout(PATIENCE, future).await;
    output.unwrap_or_else(|_| panic!("{what} hangs"))
}

/// Ends as it is told, and fails while it stops if it was made so.
#[derive(Clone, Copy, Default)]
pub(crate) struct Plain {
    pub(crate) last_words: Option<&'static str>,
}

impl Actor for Plain {
    type Context = ServiceContext<Self>;

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        if let Some(words) = self.last_words {
            ctx.fail(words);
        }
        Running::Stop
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FailWith(pub(crate) &'static str);

impl Handler<FailWith> for Plain {
    type Result = ();

    fn handle(&mut self, FailWith(error): FailWith, ctx: &mut Self::Context) {
        ctx.fail(error);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct ExitWith(pub(crate) Verdict);

impl Handler<ExitWith> for Plain {
    type Result = ();

    fn handle(&mut self, ExitWith(verdict): ExitWith, ctx: &mut Self::Context) {
        ctx.exit(verdict);
    }
}

pub(crate) fn plain(name: &'static str) -> ServiceSpec<Plain> {
    ServiceSpec::new(name, Plain::default)
}

/// One that fails with this while it stops.
pub(crate) fn failing_last(name: &'static str, words: &'static str) -> ServiceSpec<Plain> {
    ServiceSpec::new(name, move || Plain {
        last_words: Some(words),
    })
}

/// The tree `root/mid/low`, with these services in `low`, and each supervisor made of this spec.
pub(crate) fn three_levels(
    spec: impl Fn() -> SupervisorSpec,
    services: impl IntoIterator<Item = ServiceSpec<Plain>>,
) -> (SupervisorActor, Vec<ServiceRef<Plain>>) {
    let mut low = SupervisorActor::new("low", spec());
    let services = services.into_iter().map(|spec| low.add(spec).unwrap());
    let services = services.collect();
    let mut mid = SupervisorActor::new("mid", spec());
    mid.add(ServiceSpec::supervisor(low)).unwrap();
    let mut root = SupervisorActor::new("root", spec());
    root.add(ServiceSpec::supervisor(mid)).unwrap();
    (root, services)
}

/// A supervisor of the tree, by its path.
pub(crate) async fn supervisor(root: &SupervisorRef, path: &str) -> SupervisorRef {
    let found = root.lookup::<SupervisorActor>(path).await.unwrap();
    SupervisorRef::try_from(found).unwrap()
}
