//! What users give us panics in `Drop`, in `Display` and in `source`, and nothing but their service is harmed.

use std::{error::Error, fmt, time::Duration};

use actix::prelude::*;
use resurgam::{
    AddError, Directive, EventKind, Placement, RestartLimit, ServiceRef, ServiceSpec,
    SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;
use tracing::{Level, Metadata, Subscriber, field, span};

use crate::support::{
    Bomb, FailWith, Generation, Plain, SOON, assert_alive, happened, quiet, root,
};

struct DropError {
    _bomb: Bomb,
}

impl DropError {
    fn armed() -> Self {
        Self {
            _bomb: Bomb::armed(),
        }
    }
}

impl fmt::Debug for DropError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DropError")
    }
}

impl fmt::Display for DropError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("drop error")
    }
}

impl Error for DropError {}

#[derive(Debug)]
struct DisplayError;

impl fmt::Display for DisplayError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("broken in Display")
    }
}

impl Error for DisplayError {}

#[derive(Debug)]
struct SourceError;

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("source error")
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        panic!("broken in source")
    }
}

/// Panics if it is dropped unhandled.
#[derive(Message)]
#[rtype(result = "()")]
struct Explosive(Bomb);

impl Handler<Explosive> for Plain {
    type Result = ();

    fn handle(&mut self, Explosive(bomb): Explosive, _: &mut Self::Context) {
        bomb.disarm();
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct FailThenPanic;

impl Handler<FailThenPanic> for Plain {
    type Result = ();

    fn handle(&mut self, _: FailThenPanic, ctx: &mut Self::Context) {
        ctx.fail(DropError::armed());
        panic!("and on top of it");
    }
}

/// Formats every event, or panics instead at warnings.
struct Formats {
    panics: bool,
}

struct Formatter;

impl field::Visit for Formatter {
    fn record_debug(&mut self, _: &field::Field, value: &dyn fmt::Debug) {
        drop(format!("{value:?}"));
    }
}

impl Subscriber for Formats {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "resurgam"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let breaks = self.panics && *event.metadata().level() == Level::WARN;
        assert!(!breaks, "broken subscriber");
        event.record(&mut Formatter);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// A root with a service that is ready.
async fn root_and_plain() -> (SupervisorRef, ServiceRef<Plain>) {
    let root = root().await;
    let spec = ServiceSpec::new("plain", Plain::default);
    let plain = root.add_and_wait(spec).await.unwrap();
    (root, plain)
}

/// A service whose factory panics in its `Drop`.
fn explosive_factory() -> ServiceSpec<Plain> {
    let bomb = Bomb::armed();
    ServiceSpec::new("plain", move || {
        let _owned = &bomb;
        Plain
    })
}

async fn fails_and_tree_survives(errors: Vec<Box<dyn Error + Send + Sync>>) {
    let (root, plain) = root_and_plain().await;
    for error in errors {
        plain.do_send(FailWith(error));
    }
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn error_that_panics_in_drop_does_not_end_the_tree() {
    time::pause();
    fails_and_tree_survives(vec![Box::new(DropError::armed()), "second".into()]).await;
}

#[actix::test]
async fn error_that_panics_in_source_does_not_end_the_tree() {
    time::pause();
    fails_and_tree_survives(vec![Box::new(SourceError)]).await;
}

#[actix::test]
async fn error_that_panics_in_display_does_not_end_the_tree() {
    time::pause();
    let _guard = tracing::subscriber::set_default(Formats { panics: false });
    fails_and_tree_survives(vec![Box::new(DisplayError)]).await;
}

#[actix::test]
async fn tracing_subscriber_that_panics_does_not_end_the_tree() {
    time::pause();
    let _guard = tracing::subscriber::set_default(Formats { panics: true });
    fails_and_tree_survives(vec!["boom".into()]).await;
}

#[actix::test]
async fn refused_factory_that_panics_in_drop_does_not_end_the_tree() {
    time::pause();
    let (root, _plain) = root_and_plain().await;
    let refused = root.add(explosive_factory()).await;
    assert!(
        matches!(refused, Err(AddError::DuplicateName { .. })),
        "{refused:?}"
    );
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn factory_that_was_never_called_and_panics_in_drop_does_not_end_the_tree() {
    time::pause();
    let root = root().await;
    let spec = explosive_factory().requires("missing");
    let gated = root.add(spec).await.unwrap();
    let removed = time::timeout(SOON, root.remove(gated.token())).await;
    assert!(matches!(removed, Ok(Ok(_))), "{removed:?}");
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn message_for_a_service_that_never_ran_and_panics_in_drop_does_not_end_the_tree() {
    time::pause();
    let root = root().await;
    let spec = ServiceSpec::new("plain", Plain::default).requires("missing");
    let gated = root.add(spec).await.unwrap();
    gated.do_send(Explosive(Bomb::armed()));
    let removed = time::timeout(SOON, root.remove(gated.token())).await;
    assert!(matches!(removed, Ok(Ok(_))), "{removed:?}");
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn factory_for_a_dead_arbiter_that_panics_in_drop_does_not_end_the_tree() {
    time::pause();
    let root = root().await;
    let arbiter = Arbiter::new();
    let handle = arbiter.handle();
    arbiter.stop();
    arbiter.join().unwrap();
    let spec = explosive_factory().placement(Placement::Arbiter(handle));
    let added = root.add(spec).await;
    assert!(added.is_ok(), "{added:?}");
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn failure_with_a_panicking_drop_and_then_a_panic_does_not_lose_the_service() {
    time::pause();
    let (root, plain) = root_and_plain().await;
    let mut events = root.events();
    plain.do_send(FailThenPanic);
    happened(&mut events, "root/plain", EventKind::is_failure).await;
    let answer = time::timeout(SOON, plain.send(Generation)).await;
    assert!(
        matches!(answer, Ok(Ok(_))),
        "{answer:?} {:?}",
        root.services().await
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn rules_that_panic_when_they_are_replaced_do_not_end_their_supervisor() {
    time::pause();
    let root = root().await;
    let service = root
        .add_and_wait(ServiceSpec::new("plain", Plain::default))
        .await
        .unwrap();
    let hostile = || {
        let bomb = Bomb::armed();
        SupervisorSpec::default().fatal(move |_| {
            let _held = &bomb;
            false
        })
    };

    root.reconfigure(hostile()).await.unwrap();
    let refused = root
        .reconfigure(hostile().limit(RestartLimit::default().give_up()))
        .await;
    assert!(refused.is_err());
    root.reconfigure(SupervisorSpec::default()).await.unwrap();

    assert_eq!(service.send(Generation).await, Ok(0));
    assert_alive(&root).await;
}

#[actix::test]
async fn build_function_that_panics_when_a_reconfigure_drops_it_does_not_end_its_supervisor() {
    time::pause();
    let root = root().await;
    let service = root
        .add_and_wait(ServiceSpec::new("plain", Plain::default))
        .await
        .unwrap();
    let bomb = Bomb::armed();
    let spec = SupervisorSpec::default().on_start(move |_| {
        let _held = &bomb;
        Ok::<_, AddError>(())
    });

    // A running supervisor is not started anew: refused, and dropped with what it holds.
    let refused = root.reconfigure(spec).await.unwrap_err();
    assert!(refused.to_string().contains("`on_start`"), "{refused}");

    assert_eq!(service.send(Generation).await, Ok(0));
    assert_alive(&root).await;
}

/// Everything of the user's that is in a spec which is refused for whatever reason.
#[actix::test]
async fn whatever_is_in_a_refused_spec_may_panic_in_drop() {
    time::pause();
    let (root, _plain) = root_and_plain().await;
    let explosive = |name: &str| {
        let (factory, decide) = (Bomb::armed(), Bomb::armed());
        let spec = ServiceSpec::new(name, move || {
            let _owned = &factory;
            Plain
        });
        spec.decide(move |_| {
            let _owned = &decide;
            Directive::Restart
        })
    };
    let nested = |name: &str| {
        let (fatal, rank, start) = (Bomb::armed(), Bomb::armed(), Bomb::armed());
        let spec = SupervisorSpec::default()
            .fatal(move |_| {
                let _owned = &fatal;
                false
            })
            .more_important(move |_, _| {
                let _owned = &rank;
                false
            })
            .on_start(move |_| {
                let _owned = &start;
                Ok::<_, AddError>(())
            });
        let mut nested = SupervisorActor::new(name, spec);
        nested.add(explosive("below")).unwrap();
        nested
    };
    let long = "x".repeat(253);
    for spec in [
        explosive("plain"),
        explosive("a\nb"),
        explosive("a").mailbox_capacity(usize::MAX),
        explosive("a").start_timeout(Duration::ZERO),
        explosive("a").requires("a"),
        explosive(&long).numbered(),
    ] {
        assert!(root.add(spec).await.is_err());
    }
    assert!(root.add_supervisor(nested("plain")).await.is_err());
    let endless = ServiceSpec::supervisor(nested("sub")).limit(RestartLimit::unlimited().give_up());
    assert!(root.add(endless).await.is_err());
    let refused = root.reconfigure(SupervisorSpec::default().max_services(0));
    assert!(refused.await.is_err());
    assert_alive(&root).await;
    // Kept, and removed before it has run.
    let waits = explosive("waits").requires("missing");
    let waits = root.add(waits).await.unwrap();
    root.remove(waits.token()).await.unwrap();
    let sub = ServiceSpec::supervisor(nested("sub")).requires("missing");
    let sub = root.add(sub).await.unwrap();
    root.remove(sub.token()).await.unwrap();
    let sub = root.add_supervisor(nested("sub")).await.unwrap();
    quiet().await;
    root.remove(&sub).await.unwrap();
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

/// What an error or a panic says may not look like other services in the report.
#[actix::test]
async fn report_has_one_line_for_each_service_whatever_an_error_says() {
    time::pause();
    let (root, plain) = root_and_plain().await;
    plain.do_send(FailWith("boom\n  other [9.9.9] ready\u{2028}more".into()));
    quiet().await;
    let report = root.report().await.unwrap().to_string();
    // The first is the supervisor, the second the service; what its error says stands below that, and nowhere else.
    let (head, told) = report.split_once("last exit").unwrap();
    assert_eq!(head.lines().count(), 3, "{report}");
    assert_eq!(head.matches(['├', '└']).count(), 1, "{report}");
    assert!(head.lines().last().unwrap().trim().is_empty(), "{report}");
    assert_eq!(told.lines().count(), 1, "{report}");
    assert!(report.contains("boom\\n") && !report.contains('\u{2028}'));
    root.shutdown().await.unwrap();
}
