//! The public API as its users write it: it must compile, and mean what the comments say.
//!
//! The design's `contract.rs`, word for word, but for the feature that OS processes need.
#![expect(
    dead_code,
    unused_imports,
    unused_mut,
    unused_qualifications,
    unused_variables,
    clippy::many_single_char_names,
    clippy::panic,
    clippy::print_stdout,
    reason = "only the types matter here"
)]

use std::time::Duration;

use actix::prelude::*;
use resurgam::{
    AddError, AutoShutdown, Backoff, Event, EventKind, ExitReason, LookupError, Placement,
    Readiness, RemoveError, RestartLimit, RestartType, ServiceContext, ServiceRef, ServiceSpec,
    ServiceState, ServiceToken, Shutdown, ShutdownReport, StartContext, StartError, Strategy,
    SupervisorActor, SupervisorRef, SupervisorSpec, TaskContext, Verdict, message,
};

#[derive(Default)]
struct Counter(u64);

impl Actor for Counter {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (token, path, generation) = (ctx.token(), ctx.path().to_string(), ctx.generation()); // "root/counter", 0, 1, 2 …
        let supervisor: SupervisorRef = ctx.supervisor();
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Increment;

impl Handler<Increment> for Counter {
    type Result = u64;
    fn handle(&mut self, _: Increment, ctx: &mut Self::Context) -> u64 {
        match self.0 {
            7 => panic!("seven"),                          // ExitReason::Panicked
            8 => ctx.fail(std::io::Error::other("eight")), // ExitReason::Failed, ends the incarnation after this message
            9 => ctx.stop(),                               // ExitReason::Normal
            10 => ctx.exit(Verdict::DoNotRestart),
            11 => ctx.exit(Verdict::TerminateTree { propagate: true }),
            _ => {}
        }
        self.0 += 1;
        self.0
    }
}

async fn heart() -> Result<(), Box<dyn std::error::Error>> {
    // A supervisor with services in it starts all of them, in order, or none.
    let spec = SupervisorSpec::default()
        .limit(RestartLimit::decay(
            Duration::from_secs(30),
            5.0,
            Duration::from_secs(15),
        )) // the default, without jitter
        .shutdown_timeout(Duration::from_secs(10));
    let mut root = SupervisorActor::new("root", spec);
    let first: ServiceRef<Counter> = root.add(ServiceSpec::new("first", Counter::default))?;
    let root: SupervisorRef = root.start().await?; // StartError
    let simple = SupervisorActor::with_defaults("simple").start().await?;

    // Sugar, and the message that it sends. A ServiceRef derefs to Addr<A>.
    let counter = root
        .add(ServiceSpec::new("counter", Counter::default).placement(Placement::Dedicated))
        .await?;
    let n: u64 = counter.send(Increment).await?;
    let addr: &Addr<Counter> = counter.addr();
    let token: ServiceToken = counter.token();
    let also: ServiceRef<Counter> = root
        .addr()
        .send(message::Add::new(ServiceSpec::new("third", || Counter(3))))
        .await??;

    // Look-ups: typed, by token or by path; waiting until ready; a snapshot in start order.
    let found: ServiceRef<Counter> = root.lookup(token).await?;
    let found: Result<ServiceRef<Counter>, LookupError> = root.lookup("root/counter").await;
    let ready: ServiceRef<Counter> = root.when_ready("root/counter").await?;
    for service in root.services().await? {
        let (t, p, s, g) = (
            service.token(),
            service.path(),
            service.state(),
            service.generation(),
        );
        assert!(matches!(
            s,
            ServiceState::Ready
                | ServiceState::Starting
                | ServiceState::Paused
                | ServiceState::BackingOff
        ));
    }

    // Stop keeps, restart starts again or bounces, remove forgets and resolves with how it ended.
    root.stop(token).await?;
    root.restart(token).await?;
    let reason: ExitReason = root.remove(token).await?;
    assert!(matches!(
        root.remove(token).await,
        Err(RemoveError::UnknownToken { .. })
    ));
    assert!(matches!(
        simple.remove(first.token()).await,
        Err(RemoveError::WrongSupervisor { .. })
    ));
    assert!(matches!(
        root.add(ServiceSpec::new("first", Counter::default)).await,
        Err(AddError::DuplicateName { .. })
    ));
    let sent: Result<ExitReason, RemoveError> =
        root.addr().send(message::Remove::new(also.token())).await?;

    // Events in order, bounded, never blocking; report prints as a tree.
    let mut events = root.events(); // impl Stream<Item = Event>
    println!("{}", root.report().await?);

    let report: ShutdownReport = root.shutdown().await?;
    assert!(report.unstopped().is_empty());
    Ok(())
}

async fn policy(root: &SupervisorRef) -> Result<(), Box<dyn std::error::Error>> {
    let spec = SupervisorSpec::default()
        .strategy(Strategy::RestForOne)
        .limit(RestartLimit::window(3, Duration::from_secs(5)).escalate()) // `pause` is the default
        .auto_shutdown(AutoShutdown::AnySignificant)
        .fatal(|error| error.to_string().contains("disk"))
        .more_important(|new, kept| new.to_string() > kept.to_string());

    let mut tier = SupervisorActor::new("tier", spec);
    tier.add(
        ServiceSpec::new("db", Counter::default)
            .restart(RestartType::Permanent)
            .shutdown(Shutdown::Timeout(Duration::from_secs(2)))
            .readiness(Readiness::Explicit)
            .start_timeout(Duration::from_secs(5))
            .backoff(
                Backoff::exponential(Duration::from_millis(100), Duration::from_secs(30))
                    .jitter(0.2)
                    .reset_after(Duration::from_secs(60)),
            )
            .limit(RestartLimit::window(10, Duration::from_secs(60)).give_up())
            .mailbox_capacity(1024),
    )?;
    tier.add(
        ServiceSpec::try_new("cache", |cx: &StartContext| {
            let db: ServiceRef<Counter> = cx.get("db")?; // an error that says which service is missing
            Ok::<_, StartError>(Counter(0))
        })
        .requires("db"),
    )?;
    tier.add(
        ServiceSpec::new_async("api", |cx: StartContext| async move {
            Ok::<_, std::io::Error>(Counter(0))
        })
        .binds_to("cache")
        .significant()
        .restart(RestartType::Transient),
    )?;

    let tier: ServiceRef<SupervisorActor> = root.add(ServiceSpec::supervisor(tier)).await?; // root/tier/db …
    let ready = root
        .add_and_wait(ServiceSpec::new("now", Counter::default))
        .await?; // ready, or the error of its first start
    root.reset(ready.token()).await?; // a service that gave up starts again
    root.join().await?; // until the tree ends; the most important fatal error
    Ok(())
}

async fn kinds(root: &SupervisorRef) -> Result<(), Box<dyn std::error::Error>> {
    let poller = root
        .add(ServiceSpec::task("poller", |cx: TaskContext| async move {
            cx.ready();
            let child = cx
                .spawn(|cx| async move { Ok::<_, std::io::Error>(()) })
                .await; // "poller[1]"
            let named = cx
                .spawn_named("helper", |cx| async move { Ok::<_, std::io::Error>(()) })
                .await; // "poller.helper"
            let answer: u64 = cx.run_blocking(|| 42).await?;
            cx.shutdown().await; // resolves on a graceful stop
            Ok::<_, Box<dyn std::error::Error>>(())
        }))
        .await?;

    // An actix actor as it is, with `type Context = actix::Context<Self>`.
    root.add(ServiceSpec::actor("plain", || Plain)).await?;
    // A thread of its own, told to stop through its context.
    root.add(ServiceSpec::blocking("crunch", |cx| {
        while !cx.is_stopping() {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok::<_, std::io::Error>(())
    }))
    .await?;
    #[cfg(all(unix, feature = "process"))]
    processes(root).await?;
    // A program: until SIGINT or SIGTERM; the first stops in order.
    let code: std::process::ExitCode = root.run_until_signal().await;
    Ok(())
}

struct Plain;
impl Actor for Plain {
    type Context = actix::Context<Self>;
}

#[cfg(all(unix, feature = "process"))]
async fn processes(root: &SupervisorRef) -> Result<(), Box<dyn std::error::Error>> {
    // An OS process (feature `process`).
    let child = resurgam::process::Command::new("sh")
        .arg("-c")
        .arg("echo up; exec sleep 60")
        .env("LANG", "C");
    root.add(
        child
            .ready_on_line("up")
            .stop_signal(resurgam::process::Signal::Term)
            .service("sleeper"),
    )
    .await?;
    let out: String = resurgam::process::Command::new("echo")
        .arg("hello")
        .capture()
        .await?;
    Ok(())
}
