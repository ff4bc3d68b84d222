//! What is printed of panics, and what is told. Each scenario is a process of its own, since the hook is the whole program's: this file runs
//! itself, and reads what its standard error says.
#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "services that panic, hooks that print, and helpers of tests"
)]

use std::{
    env,
    fmt::Write as _,
    panic::{catch_unwind, set_hook, take_hook},
    pin::pin,
    process::Command,
    sync::{Arc, Mutex, mpsc},
    task::{self, Wake, Waker},
    thread,
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    EventKind, Events, ExitReason, Placement, RestartLimit, RestartType, ServiceContext,
    ServiceSpec, Shutdown, StartError, SupervisorActor, SupervisorRef, SupervisorSpec, TaskContext,
    quiet_panics,
};
use tokio::time;

/// The variable that says which scenario a process is to run.
const SCENARIO: &str = "RESURGAM_SCENARIO";

/// Runs a scenario in a process of its own, and returns what that has printed to its standard error.
fn stderr_of(scenario: &str, backtrace: Option<&str>) -> String {
    let mut child = Command::new(env::current_exe().unwrap());
    child
        .args(["--exact", "scenario", "--ignored", "--nocapture"])
        .env(SCENARIO, scenario)
        .env_remove("RUST_LIB_BACKTRACE");
    match backtrace {
        Some(asked) => child.env("RUST_BACKTRACE", asked),
        None => child.env_remove("RUST_BACKTRACE"),
    };
    let output = child.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{scenario}: {stderr}");
    stderr
}

/// Which of these words the standard hook, or another one, has printed, in the order of the words.
fn printed<'a>(scenario: &str, words: &[&'a str]) -> Vec<&'a str> {
    let stderr = stderr_of(scenario, None);
    let words = words.iter().filter(|word| stderr.contains(**word));
    words.copied().collect()
}

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn scenario() {
    let scenario = env::var(SCENARIO).unwrap_or_default();
    System::new().block_on(async {
        match &*scenario {
            "loud" => every_kind().await,
            "quiet" => {
                quiet_panics();
                every_kind().await;
            }
            "others" => {
                quiet_panics();
                others().await;
            }
            "backtrace" => {
                quiet_panics();
                tell_backtrace().await;
            }
            "twice" => {
                crash("before").await;
                let threads: Vec<_> = (0..8).map(|_| thread::spawn(quiet_panics)).collect();
                for thread in threads {
                    thread.join().unwrap();
                }
                quiet_panics();
                crash("after").await;
                quiet_panics();
                crash("again").await;
                panic_elsewhere("elsewhere");
            }
            "own hook before" => {
                set_hook(Box::new(|info| eprintln!("own: {info}")));
                quiet_panics();
                crash("service").await;
                panic_elsewhere("elsewhere");
            }
            "own hook after" => {
                quiet_panics();
                set_hook(Box::new(|info| eprintln!("own: {info}")));
                crash("service").await;
                panic_elsewhere("elsewhere");
                // And quiet as well, once it is asked for again.
                quiet_panics();
                crash("silence").await;
            }
            "own hook that calls the one before" => {
                quiet_panics();
                let before = take_hook();
                set_hook(Box::new(move |info| {
                    eprintln!("own: {info}");
                    before(info);
                }));
                crash("service").await;
                panic_elsewhere("elsewhere");
            }
            "undone" => {
                quiet_panics();
                drop(take_hook());
                crash("service").await;
            }
            "caught" => {
                quiet_panics();
                caught().await;
            }
            unknown => panic!("no scenario `{unknown}`"),
        }
    });
}

fn panic_elsewhere(message: &'static str) {
    let joined = thread::spawn(move || panic!("{message}")).join();
    assert!(joined.is_err());
}

async fn root() -> (SupervisorRef, Events) {
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    let root = SupervisorActor::new("root", spec).start().await.unwrap();
    let events = root.events();
    (root, events)
}

/// The reason of the next end of a service at this path.
async fn next_end(events: &mut Events, path: &str) -> String {
    let reading = async {
        loop {
            let event = events.next().await.unwrap();
            let ended = matches!(
                event.kind(),
                EventKind::ServicePanicked { .. }
                    | EventKind::ServiceStartFailed { .. }
                    | EventKind::ServiceFailed { .. }
                    | EventKind::ServiceStopped { .. }
            );
            if ended && event.path() == path {
                return event.to_string();
            }
        }
    };
    time::timeout(Duration::from_secs(20), reading)
        .await
        .unwrap()
}

/// A service that panics with this, and is told of with that.
async fn crash(message: &'static str) {
    let (root, mut events) = root().await;
    let task = ServiceSpec::task("fragile", move |_: TaskContext| async move {
        panic!("{message}")
    });
    root.add(task.restart(RestartType::Temporary))
        .await
        .unwrap();
    let told = next_end(&mut events, "root/fragile").await;
    assert!(told.contains(message), "{told}");
    assert!(told.contains("quiet_panics.rs:"), "{told}");
    root.shutdown().await.unwrap();
}

/// Panics where it is told to.
struct Fragile(&'static str);

impl Actor for Fragile {
    type Context = ServiceContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        assert!(self.0 != "in started", "in started");
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        assert!(self.0 != "in stopping", "in stopping");
        Running::Stop
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(self.0 != "in drop", "in drop");
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl Handler<Crash> for Fragile {
    type Result = ();
    fn handle(&mut self, _: Crash, ctx: &mut Self::Context) {
        match self.0 {
            "in a future" => drop(ctx.spawn(fut::wrap_future(async {
                panic!("in a future");
            }))),
            "in stopping" | "in drop" => ctx.stop(),
            where_it_is => panic!("{where_it_is}"),
        }
    }
}

/// In actix's own context.
struct Adopted;

impl Actor for Adopted {
    type Context = Context<Self>;
}

impl Handler<Crash> for Adopted {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("in an adopted actor");
    }
}

/// What every kind of service may panic with.
const KINDS: [&str; 11] = [
    "in a factory",
    "in started",
    "in a handler",
    "in a future",
    "in stopping",
    "in drop",
    "in an adopted actor",
    "in a blocking function",
    "in blocking work",
    "in an async factory",
    "in a start function",
];

fn in_an_async_factory() -> Result<Fragile, String> {
    panic!("in an async factory")
}

fn in_a_start_function() -> Result<(), String> {
    panic!("in a start function")
}

async fn every_kind() {
    let (root, mut events) = root().await;
    let told = |told: String, what: &str| assert!(told.contains(what), "{told}");
    for what in [
        "in started",
        "in a handler",
        "in a future",
        "in stopping",
        "in drop",
    ] {
        for placement in [Placement::Inherit, Placement::Dedicated] {
            let name = format!("{what}, {placement:?}");
            let service = ServiceSpec::new(&*name, move || Fragile(what));
            let service = service
                .restart(RestartType::Temporary)
                .placement(placement.clone());
            let service = root.add(service).await.unwrap();
            service.do_send(Crash);
            told(next_end(&mut events, &format!("root/{name}")).await, what);
        }
    }
    let broken = ServiceSpec::new("factory", || -> Fragile { panic!("in a factory") });
    root.add(broken.restart(RestartType::Temporary))
        .await
        .unwrap();
    told(next_end(&mut events, "root/factory").await, "in a factory");
    let broken = ServiceSpec::new_async("async", |_| async {
        tokio::task::yield_now().await;
        in_an_async_factory()
    });
    root.add(broken.restart(RestartType::Temporary))
        .await
        .unwrap();
    told(
        next_end(&mut events, "root/async").await,
        "in an async factory",
    );
    let adopted = ServiceSpec::actor("adopted", || Adopted).restart(RestartType::Temporary);
    root.add(adopted).await.unwrap().do_send(Crash);
    told(
        next_end(&mut events, "root/adopted").await,
        "in an adopted actor",
    );
    let blocking = ServiceSpec::blocking("blocking", |_| panic!("in a blocking function"));
    root.add(blocking.restart(RestartType::Temporary))
        .await
        .unwrap();
    told(
        next_end(&mut events, "root/blocking").await,
        "in a blocking function",
    );
    let work = ServiceSpec::task("work", |cx: TaskContext| async move {
        let _work = cx.run_blocking(|| panic!("in blocking work"));
        cx.shutdown().await;
    });
    root.add(work.restart(RestartType::Temporary))
        .await
        .unwrap();
    told(next_end(&mut events, "root/work").await, "in blocking work");
    let spec = SupervisorSpec::default().on_start(|_| in_a_start_function());
    let site = ServiceSpec::supervisor(SupervisorActor::new("site", spec));
    let error = root.add_and_wait(site).await.unwrap_err();
    let StartError::Failed { reason, .. } = &error else {
        panic!("{error:?}");
    };
    told(format!("{reason:#}"), "in a start function");
    root.shutdown().await.unwrap();
}

#[test]
fn panics_of_services_are_printed_by_the_standard_hook() {
    assert_eq!(printed("loud", &KINDS), KINDS);
}

#[test]
fn panics_of_services_are_told_and_not_printed_if_the_program_wants_that() {
    assert_eq!(stderr_of("quiet", None), "");
}

#[test]
fn panics_of_services_are_not_printed_either_with_a_backtrace() {
    assert_eq!(stderr_of("quiet", Some("1")), "");
}

/// Drops it as a queued message, which nobody is told of.
#[derive(Message)]
#[rtype(result = "()")]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in the drop of a message");
    }
}

impl Handler<Bomb> for Fragile {
    type Result = ();
    fn handle(&mut self, _: Bomb, _: &mut Self::Context) {}
}

/// Panics when it wakes somebody.
struct Hostile;

impl Wake for Hostile {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

/// Panics when it is dropped.
struct Loud(&'static str);

impl Drop for Loud {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// Stops, and leaves two things to be dropped.
struct TwoBombs(#[expect(dead_code, reason = "it is dropped")] Loud);

impl Actor for TwoBombs {
    type Context = ServiceContext<Self>;
}

impl Handler<Crash> for TwoBombs {
    type Result = ();
    fn handle(&mut self, _: Crash, ctx: &mut Self::Context) {
        let first = Loud("the first of two");
        ctx.spawn(fut::wrap_future(async move {
            let _first = first;
            std::future::pending::<()>().await;
        }));
        ctx.stop();
    }
}

/// Fails, and panics when it is dropped.
#[derive(Message)]
#[rtype(result = "()")]
struct FailFirst;

impl Handler<FailFirst> for Fragile {
    type Result = ();
    fn handle(&mut self, _: FailFirst, ctx: &mut Self::Context) {
        ctx.fail("failed first");
    }
}

/// Panics of code that is no service, and those of services that nobody would be told.
const OTHERS: [&str; 8] = [
    "in a thread of a service",
    "in a task of a service",
    "in the drop of a message",
    "in a waker",
    "the second of two",
    "in drop",
    "in a decision",
    "in the program",
];

async fn others() {
    let (root, mut events) = root().await;
    let task = ServiceSpec::task("task", |cx: TaskContext| async move {
        thread::spawn(|| panic!("in a thread of a service"))
            .join()
            .unwrap_err();
        actix::spawn(async { panic!("in a task of a service") })
            .await
            .unwrap_err();
        cx.shutdown().await;
    });
    let task = root.add_and_wait(task).await.unwrap();
    while root.remove(&task).await.is_err() {}
    // Queued for one that is removed.
    let service = root.add(ServiceSpec::new("idle", || Fragile("nowhere")));
    let service = service.await.unwrap();
    root.stop(&service).await.unwrap();
    service.do_send(Bomb);
    root.remove(&service).await.unwrap();
    // The waker of somebody who waits for a supervisor.
    {
        let mut asked = pin!(root.counts());
        let waker = Waker::from(Arc::new(Hostile));
        assert!(
            asked
                .as_mut()
                .poll(&mut task::Context::from_waker(&waker))
                .is_pending()
        );
        // Answered after the first.
        root.counts().await.unwrap();
    }
    // The second of two that panic: the first is told.
    let two = ServiceSpec::new("two", || TwoBombs(Loud("the second of two")));
    let two = root.add_and_wait(two.restart(RestartType::Temporary));
    two.await.unwrap().do_send(Crash);
    let told = next_end(&mut events, "root/two").await;
    assert!(told.contains("the first of two"), "{told}");
    // Dropped after it had failed: the failure is told.
    let service = ServiceSpec::new("failing", || Fragile("in drop"));
    let service = root
        .add(service.restart(RestartType::Temporary))
        .await
        .unwrap();
    service.do_send(FailFirst);
    let told = next_end(&mut events, "root/failing").await;
    assert!(told.contains("failed first"), "{told}");
    // Asked about an error.
    let undecided = ServiceSpec::task("undecided", |_: TaskContext| async { Err::<(), _>("no") });
    let undecided = undecided
        .restart(RestartType::Temporary)
        .decide(|_| panic!("in a decision"));
    root.add(undecided).await.unwrap();
    next_end(&mut events, "root/undecided").await;
    root.shutdown().await.unwrap();
    assert!(catch_unwind(|| panic!("in the program")).is_err());
}

#[test]
fn other_panics_are_printed_as_ever() {
    let stderr = stderr_of("others", None);
    for what in OTHERS {
        assert!(stderr.contains(what), "{what}: {stderr}");
    }
    assert!(!stderr.contains("the first of two"), "{stderr}");
}

#[test]
fn it_may_be_asked_for_again_and_from_any_thread() {
    let words = ["before", "after", "again", "elsewhere"];
    assert_eq!(printed("twice", &words), ["before", "elsewhere"]);
    let once = stderr_of("twice", None);
    assert_eq!(once.matches("elsewhere").count(), 1, "{once}");
}

#[test]
fn hook_that_was_set_before_is_called_for_what_is_no_service() {
    let words = ["own: ", "service", "elsewhere"];
    assert_eq!(printed("own hook before", &words), ["own: ", "elsewhere"]);
}

#[test]
fn hook_that_is_set_later_is_called_for_all() {
    let words = ["service", "elsewhere", "silence", "note: run with"];
    assert_eq!(printed("own hook after", &words), ["service", "elsewhere"]);
}

#[test]
fn hook_that_calls_the_one_before_prints_alone_what_a_service_does() {
    let stderr = stderr_of("own hook that calls the one before", None);
    assert_eq!(stderr.matches("service").count(), 1, "{stderr}");
    assert_eq!(stderr.matches("elsewhere").count(), 2, "{stderr}");
}

#[test]
fn taking_the_hook_undoes_it() {
    assert_eq!(printed("undone", &["service"]), ["service"]);
}

fn deep_in_a_service() {
    panic!("with a backtrace");
}

async fn tell_backtrace() {
    let (root, mut events) = root().await;
    let task = ServiceSpec::task("fragile", |_: TaskContext| async { deep_in_a_service() });
    let task = root
        .add(task.restart(RestartType::Temporary))
        .await
        .unwrap();
    let ended = task.ended();
    let told = loop {
        let event = events.next().await.unwrap();
        if let EventKind::ServicePanicked { backtrace, .. } = event.kind() {
            break backtrace.clone();
        }
    };
    let ExitReason::Panicked { backtrace, .. } = ended.await else {
        panic!("it has panicked");
    };
    assert_eq!(backtrace, told);
    eprintln!("{}", told.as_deref().unwrap_or("none"));
    root.shutdown().await.unwrap();
}

#[test]
fn backtrace_is_told_if_the_environment_asks_for_one() {
    let without = stderr_of("backtrace", None);
    assert_eq!(without, "none\n");
    assert_eq!(stderr_of("backtrace", Some("0")), "none\n");
    for asked in ["1", "full"] {
        let stderr = stderr_of("backtrace", Some(asked));
        assert!(stderr.contains("deep_in_a_service"), "{stderr}");
        assert!(!stderr.contains("panicked at"), "{stderr}");
    }
    let short = stderr_of("backtrace", Some("1"));
    for others in ["panic_with_hook", "block_on"] {
        assert!(!short.contains(others), "{short}");
    }
}

/// Keeps the text of warnings.
struct Warnings(Arc<Mutex<String>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields<'a>(&'a mut String);
        impl tracing::field::Visit for Fields<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                write!(self.0, "{field}={value:?} ").unwrap();
            }
        }
        let mut text = self.0.lock().unwrap();
        event.record(&mut Fields(&mut text));
        text.push('\n');
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

async fn caught() {
    let text = Arc::<Mutex<String>>::default();
    tracing::subscriber::set_global_default(Warnings(Arc::clone(&text))).unwrap();
    let (root, mut events) = root().await;
    let careful = ServiceSpec::task("careful", |cx: TaskContext| async move {
        for _ in 0..6 {
            assert!(catch_unwind(|| panic!("caught by itself")).is_err());
        }
        cx.shutdown().await;
    });
    root.add_and_wait(careful).await.unwrap();
    // It says first that it has failed.
    let failing = ServiceSpec::new("failing", || Both).restart(RestartType::Temporary);
    root.add(failing).await.unwrap().do_send(Crash);
    let told = next_end(&mut events, "root/failing").await;
    assert!(told.contains("failed first"), "{told}");
    // It blocks its thread until it is given up, and panics then.
    let late = ServiceSpec::new("late", || Late).placement(Placement::Dedicated);
    let late = late.shutdown(Shutdown::Timeout(Duration::from_millis(10)));
    let late = root.add_and_wait(late).await.unwrap();
    let (entered, is_entered) = mpsc::channel();
    let (release, until) = mpsc::channel();
    late.do_send(Block(entered, until));
    is_entered.recv().unwrap();
    root.restart(&late).await.unwrap();
    drop(release);
    while root.tree_abandoned_threads() > 0 {
        tokio::task::yield_now().await;
    }
    root.shutdown().await.unwrap();
    let text = text.lock().unwrap();
    assert_eq!(text.matches("much too late").count(), 1, "{text}");
    // Those of one place as one.
    assert_eq!(text.matches("caught by itself").count(), 1, "{text}");
    assert_eq!(text.matches("5 more").count(), 1, "{text}");
    assert_eq!(text.matches("panicked as well").count(), 1, "{text}");
    assert!(text.contains("quiet_panics.rs:"), "{text}");
}

/// Blocks its thread, and panics.
struct Late;

impl Actor for Late {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Block(mpsc::Sender<()>, mpsc::Receiver<()>);

impl Handler<Block> for Late {
    type Result = ();
    fn handle(&mut self, Block(entered, until): Block, _: &mut Self::Context) {
        entered.send(()).unwrap();
        let _released = until.recv();
        panic!("much too late");
    }
}

/// Fails and panics.
struct Both;

impl Actor for Both {
    type Context = ServiceContext<Self>;
}

impl Handler<Crash> for Both {
    type Result = ();
    fn handle(&mut self, _: Crash, ctx: &mut Self::Context) {
        ctx.fail("failed first");
        panic!("panicked as well");
    }
}

#[test]
fn panic_that_a_service_catches_itself_or_that_ends_nothing_is_told_to_tracing() {
    assert_eq!(stderr_of("caught", None), "");
}
