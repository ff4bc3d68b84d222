//! Hostile cases.
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests"
)]
use std::{
    error::Error,
    fmt,
    process::Command as Process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use resurgam::*;
use tokio::time::{sleep, timeout};

struct Bomb(Arc<AtomicBool>);
impl Bomb {
    fn armed() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}
impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0.swap(false, Ordering::SeqCst) {
            panic!("broken in Drop");
        }
    }
}

#[derive(Default)]
struct Plain;
impl Actor for Plain {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct FailWith(Box<dyn Error + Send + Sync>);
impl Handler<FailWith> for Plain {
    type Result = ();
    fn handle(&mut self, msg: FailWith, ctx: &mut Self::Context) {
        ctx.fail(msg.0);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Ping;
impl Handler<Ping> for Plain {
    type Result = ();
    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

#[derive(Message)]
#[rtype(result = "()")]
struct Explosive(#[allow(dead_code)] Bomb);
impl Handler<Explosive> for Plain {
    type Result = ();
    fn handle(&mut self, m: Explosive, _: &mut Self::Context) {
        m.0.0.store(false, Ordering::SeqCst);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct FailThenPanic;
impl Handler<FailThenPanic> for Plain {
    type Result = ();
    fn handle(&mut self, _: FailThenPanic, ctx: &mut Self::Context) {
        ctx.fail(DropError(Bomb::armed()));
        panic!("and on top of it");
    }
}

struct DropError(#[allow(dead_code)] Bomb);
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

async fn root() -> SupervisorRef {
    SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap()
}

async fn assert_alive(root: &SupervisorRef) {
    sleep(Duration::from_millis(50)).await;
    let probe = timeout(Duration::from_secs(2), root.counts()).await;
    assert!(
        matches!(probe, Ok(Ok(_))),
        "the root is gone: {:?}",
        timeout(Duration::from_secs(1), root.join()).await
    );
}

#[actix::test]
async fn error_that_panics_in_drop_does_not_end_the_tree() {
    let root = root().await;
    let plain = root
        .add_and_wait(ServiceSpec::new("plain", Plain::default))
        .await
        .unwrap();
    plain.do_send(FailWith(Box::new(DropError(Bomb::armed()))));
    plain.do_send(FailWith("second".into()));
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn error_that_panics_in_source_does_not_end_the_tree() {
    let root = root().await;
    let plain = root
        .add_and_wait(ServiceSpec::new("plain", Plain::default))
        .await
        .unwrap();
    plain.do_send(FailWith(Box::new(SourceError)));
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

/// Formats everything.
struct Formats {
    panics: AtomicBool,
}
impl tracing::Subscriber for Formats {
    fn enabled(&self, m: &tracing::Metadata<'_>) -> bool {
        m.target() == "resurgam"
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct V;
        impl tracing::field::Visit for V {
            fn record_debug(&mut self, _: &tracing::field::Field, v: &dyn fmt::Debug) {
                let _ = format!("{v:?}");
            }
        }
        if self.panics.load(Ordering::SeqCst) && *event.metadata().level() == tracing::Level::WARN {
            panic!("broken subscriber");
        }
        event.record(&mut V);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[actix::test]
async fn error_that_panics_in_display_does_not_end_the_tree() {
    let _guard = tracing::subscriber::set_default(Formats {
        panics: AtomicBool::new(false),
    });
    let root = root().await;
    let plain = root
        .add_and_wait(ServiceSpec::new("plain", Plain::default))
        .await
        .unwrap();
    plain.do_send(FailWith(Box::new(DisplayError)));
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn tracing_subscriber_that_panics_does_not_end_the_tree() {
    let _guard = tracing::subscriber::set_default(Formats {
        panics: AtomicBool::new(true),
    });
    let root = root().await;
    let plain = root
        .add_and_wait(ServiceSpec::new("plain", Plain::default))
        .await
        .unwrap();
    plain.do_send(FailWith("boom".into()));
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn refused_factory_that_panics_in_drop_does_not_end_the_tree() {
    let root = root().await;
    root.add_and_wait(ServiceSpec::new("plain", Plain::default))
        .await
        .unwrap();
    let bomb = Bomb::armed();
    let spec = ServiceSpec::new("plain", move || {
        let _b = &bomb;
        Plain
    });
    let refused = root.add(spec).await;
    assert!(
        matches!(refused, Err(AddError::DuplicateName { .. })),
        "{refused:?}"
    );
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn unlaunched_factory_that_panics_in_drop_does_not_end_the_tree() {
    let root = root().await;
    let bomb = Bomb::armed();
    let spec = ServiceSpec::new("plain", move || {
        let _b = &bomb;
        Plain
    })
    .requires("missing");
    let gated = root.add(spec).await.unwrap();
    let removed = timeout(Duration::from_secs(2), root.remove(gated.token())).await;
    assert!(matches!(removed, Ok(Ok(_))), "{removed:?}");
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn message_queued_for_unlaunched_service_that_panics_in_drop() {
    let root = root().await;
    let gated = root
        .add(ServiceSpec::new("plain", Plain::default).requires("missing"))
        .await
        .unwrap();
    gated.do_send(Explosive(Bomb::armed()));
    let removed = timeout(Duration::from_secs(2), root.remove(gated.token())).await;
    assert!(matches!(removed, Ok(Ok(_))), "{removed:?}");
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn factory_for_a_dead_arbiter_that_panics_in_drop() {
    let root = root().await;
    let arbiter = Arbiter::new();
    let handle = arbiter.handle();
    arbiter.stop();
    arbiter.join().unwrap();
    let bomb = Bomb::armed();
    let spec = ServiceSpec::new("plain", move || {
        let _b = &bomb;
        Plain
    })
    .placement(Placement::Arbiter(handle));
    let added = root.add(spec).await;
    assert!(added.is_ok(), "{added:?}");
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn failure_with_panicking_drop_and_then_a_panic_loses_the_service() {
    let root = root().await;
    let plain = root
        .add_and_wait(ServiceSpec::new("plain", Plain::default))
        .await
        .unwrap();
    plain.do_send(FailThenPanic);
    sleep(Duration::from_millis(100)).await;
    let answer = timeout(Duration::from_secs(2), plain.send(Ping)).await;
    assert!(
        matches!(answer, Ok(Ok(()))),
        "{answer:?} {:?}",
        root.services().await
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn build_that_fails_once_in_the_middle_finds_its_services_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let spec = SupervisorSpec::default()
        .limit(RestartLimit::window(0, Duration::from_secs(60)))
        .on_limit(OnLimit::Escalate)
        .build(move |services| {
            let n = seen.fetch_add(1, Ordering::SeqCst);
            services.add(ServiceSpec::new("a", Plain::default))?;
            if n == 1 {
                return Err(Box::<dyn Error + Send + Sync>::from("not now"));
            }
            services.add(ServiceSpec::new("b", Plain::default))?;
            Ok(())
        });
    let root = SupervisorActor::new(
        "root",
        SupervisorSpec::default().limit(RestartLimit::Unlimited),
    )
    .start()
    .await
    .unwrap();
    let sub = root
        .add_and_wait(
            ServiceSpec::supervisor(SupervisorActor::new("sub", spec))
                .backoff(Backoff::constant(Duration::from_millis(20))),
        )
        .await
        .unwrap();
    let b = root.lookup::<Plain>("root/sub/b").await.unwrap();
    let mut events = root.events();
    b.do_send(FailWith("escalates".into()));
    sleep(Duration::from_millis(300)).await;
    let answer = timeout(Duration::from_secs(1), b.send(Ping)).await;
    let mut log = String::new();
    while let Some(e) = events.try_next() {
        log += &format!("{e}\n");
    }
    assert!(
        matches!(answer, Ok(Ok(()))),
        "{answer:?}, {} builds\n{}",
        calls.load(Ordering::SeqCst),
        &log[..log.len().min(1500)]
    );
    let _ = sub;
    root.shutdown().await.unwrap();
}

#[derive(Default)]
struct Stubborn;
impl Actor for Stubborn {
    type Context = ServiceContext<Self>;
    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue
    }
}

#[actix::test]
async fn operations_on_a_nested_supervisor_that_is_killed_and_kept_are_answered() {
    let mut top = SupervisorActor::with_defaults("root");
    let sub = top
        .add(
            ServiceSpec::supervisor(SupervisorActor::with_defaults("sub"))
                .shutdown(Shutdown::BrutalKill),
        )
        .unwrap();
    let root = top.start().await.unwrap();
    let sub_ref = SupervisorRef::try_from(&sub).unwrap();
    let child = sub_ref
        .add_and_wait(ServiceSpec::new("stubborn", Stubborn::default).shutdown(Shutdown::Infinity))
        .await
        .unwrap();
    let asked = sub_ref.clone();
    let token = child.token();
    let pending = actix::spawn(async move { asked.remove(token).await });
    sleep(Duration::from_millis(50)).await;
    root.stop(sub.token()).await.unwrap();
    let answer = timeout(Duration::from_secs(2), pending).await;
    assert!(answer.is_ok(), "remove is never answered");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn add_and_wait_on_a_nested_supervisor_that_is_killed_and_kept_is_answered() {
    let mut top = SupervisorActor::with_defaults("root");
    let sub = top
        .add(
            ServiceSpec::supervisor(SupervisorActor::with_defaults("sub"))
                .shutdown(Shutdown::BrutalKill),
        )
        .unwrap();
    let root = top.start().await.unwrap();
    let sub_ref = SupervisorRef::try_from(&sub).unwrap();
    let asked = sub_ref.clone();
    let pending = actix::spawn(async move {
        asked
            .add_and_wait(ServiceSpec::new("never", Plain::default).readiness(Readiness::Explicit))
            .await
    });
    sleep(Duration::from_millis(50)).await;
    root.stop(sub.token()).await.unwrap();
    let answer = timeout(Duration::from_secs(2), pending).await;
    assert!(answer.is_ok(), "add_and_wait is never answered");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn shutdown_of_a_nested_supervisor_that_is_stopped() {
    let mut top = SupervisorActor::with_defaults("root");
    let sub = top
        .add(ServiceSpec::supervisor(SupervisorActor::with_defaults(
            "sub",
        )))
        .unwrap();
    let root = top.start().await.unwrap();
    let sub_ref = SupervisorRef::try_from(&sub).unwrap();
    root.stop(sub.token()).await.unwrap();
    let answer = timeout(Duration::from_secs(2), sub_ref.shutdown()).await;
    assert!(answer.is_ok(), "shutdown hangs");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn children_of_a_killed_nested_supervisor_are_not_ready() {
    let mut top = SupervisorActor::with_defaults("root");
    let sub = top
        .add(
            ServiceSpec::supervisor(SupervisorActor::with_defaults("sub"))
                .shutdown(Shutdown::BrutalKill),
        )
        .unwrap();
    let root = top.start().await.unwrap();
    let sub_ref = SupervisorRef::try_from(&sub).unwrap();
    sub_ref
        .add_and_wait(ServiceSpec::new("child", Plain::default))
        .await
        .unwrap();
    root.stop(sub.token()).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    let found = timeout(
        Duration::from_millis(500),
        root.when_ready::<Plain>("root/sub/child"),
    )
    .await;
    let list = sub_ref.services().await.unwrap();
    assert!(
        found.is_err(),
        "when_ready: {found:?} though it is dead: {list:?}"
    );
    root.shutdown().await.unwrap();
}

/// Done at once, and panics when it is dropped.
struct DoneBomb(#[allow(dead_code)] Bomb);
impl ActorFuture<Twice> for DoneBomb {
    type Output = ();
    fn poll(
        self: std::pin::Pin<&mut Self>,
        _: &mut Twice,
        _: &mut ServiceContext<Twice>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<()> {
        std::task::Poll::Ready(())
    }
}
struct Twice(bool);
impl Actor for Twice {
    type Context = ServiceContext<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        if self.0 {
            ctx.spawn(DoneBomb(Bomb::armed()));
            ctx.spawn(DoneBomb(Bomb::armed()));
        }
    }
}

async fn two_done_bombs() {
    let root = root().await;
    let first = AtomicBool::new(true);
    root.add(ServiceSpec::new("twice", move || {
        Twice(first.swap(false, Ordering::SeqCst))
    }))
    .await
    .unwrap();
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

/// Sends itself again when it is dropped unhandled.
#[derive(Message)]
#[rtype(result = "()")]
struct Requeue(Option<Addr<Down>>);
impl Drop for Requeue {
    fn drop(&mut self) {
        if let Some(addr) = self.0.take() {
            if addr.connected() {
                addr.do_send(Requeue(Some(addr.clone())));
            }
        }
    }
}
struct Down;
impl Actor for Down {
    type Context = ServiceContext<Self>;
}
impl Handler<Requeue> for Down {
    type Result = ();
    fn handle(&mut self, mut msg: Requeue, ctx: &mut Self::Context) {
        msg.0 = None;
        ctx.stop();
    }
}

async fn requeue() {
    let root = root().await;
    let down = root
        .add_and_wait(ServiceSpec::new("down", || Down))
        .await
        .unwrap();
    root.stop(down.token()).await.unwrap();
    down.do_send(Requeue(Some(down.addr().clone())));
    root.remove(down.token()).await.unwrap();
    assert_alive(&root).await;
    root.shutdown().await.unwrap();
}

fn alone(case: &str) {
    let exe = std::env::current_exe().unwrap();
    let mut child = Process::new(exe)
        .args(["child", "--exact", "--nocapture", "--ignored"])
        .env("CASE", case)
        .spawn()
        .unwrap();
    for _ in 0..100 {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{case}: {status}");
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("{case}: hangs");
}

#[actix::test]
#[ignore = "in a process of its own"]
async fn child() {
    match std::env::var("CASE").unwrap_or_default().as_str() {
        "two_done_bombs" => two_done_bombs().await,
        "requeue" => requeue().await,
        _ => {}
    }
}

#[test]
fn two_futures_that_are_done_and_panic_in_drop() {
    alone("two_done_bombs");
}

#[test]
fn message_that_sends_itself_again_when_dropped() {
    alone("requeue");
}
