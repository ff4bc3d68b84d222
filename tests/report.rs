//! Reports of whole trees: what they say, how they print, and what they are for machines. In paused time.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

use std::{
    cell::Cell,
    convert::Infallible,
    future::poll_fn,
    rc::Rc,
    task::Poll,
    thread,
    time::{Duration, SystemTime},
};

use actix::prelude::*;
use futures::future::join_all;
use resurgam::{
    Backoff, BlockingContext, Placement, Report, ReportedKind as Kind, ReportedPlacement as Place,
    RestartLimit, RestartType, ServiceContext, ServiceReport, ServiceSpec, ServiceState,
    StartContext, SupervisorActor, SupervisorRef, SupervisorSpec, TaskContext, keyed::KeyedSpec,
    message, scope::Scope, table::MemoryTable,
};
use tokio::time;

#[derive(Default)]
struct Store;

impl Actor for Store {
    type Context = ServiceContext<Self>;
}

#[derive(Default)]
struct Poller;

impl Actor for Poller {
    type Context = ServiceContext<Self>;
}

/// A plain actor of actix.
#[derive(Default)]
struct Plain;

impl Actor for Plain {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
enum Do {
    Fail(Unreachable),
    Panic,
    Work,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot reach {0}")]
struct Unreachable(&'static str, #[source] std::io::Error);

fn unreachable(what: &'static str) -> Do {
    Do::Fail(Unreachable(what, std::io::Error::other("no route to host")))
}

macro_rules! works {
    ($($actor:ty),*) => {
        $(impl Handler<Do> for $actor {
            type Result = ();

            fn handle(&mut self, what: Do, ctx: &mut Self::Context) {
                match what {
                    Do::Fail(error) => ctx.fail(error),
                    Do::Panic => panic!("on purpose"),
                    Do::Work => {}
                }
            }
        })*
    };
}

works!(Store, Poller);

impl Handler<Do> for Plain {
    type Result = ();

    fn handle(&mut self, what: Do, _: &mut Context<Self>) {
        assert!(matches!(what, Do::Work), "on purpose");
    }
}

fn find<'a>(report: &'a Report, path: &str) -> &'a ServiceReport {
    report
        .find(path)
        .unwrap_or_else(|| panic!("no {path} in {report}"))
}

/// How long it is until then.
fn left(report: &ServiceReport, then: SystemTime) -> Duration {
    then.duration_since(report.at()).unwrap()
}

async fn root() -> SupervisorRef {
    let root = SupervisorActor::with_defaults("root");
    root.start().await.unwrap()
}

/// The tree whose picture is in the documentation.
async fn site() -> SupervisorRef {
    let mut root = SupervisorActor::with_defaults("root");
    let store = root.add(ServiceSpec::new("store", Store::default)).unwrap();
    let migrate = ServiceSpec::task("migrate", |_: TaskContext| async {});
    root.add(migrate.restart(RestartType::Transient)).unwrap();
    let limit = RestartLimit::window(2, Duration::from_secs(60)).pause(Duration::from_secs(15));
    let mut north = SupervisorActor::new("north", SupervisorSpec::default().limit(limit));
    let gateway = ServiceSpec::new("gateway", Poller::default)
        .backoff(Backoff::constant(Duration::from_secs(40)));
    let gateway = north.add(gateway).unwrap();
    let camera = ServiceSpec::blocking("camera", |cx: BlockingContext| {
        while !cx.is_stopping() {
            thread::park_timeout(Duration::from_millis(1));
        }
    });
    north.add(camera).unwrap();
    let own = RestartLimit::window(1, Duration::from_secs(3_600)).give_up();
    let device = ServiceSpec::new("device[1]", Poller::default).limit(own);
    let device = north.add(device).unwrap();
    root.add(ServiceSpec::supervisor(north)).unwrap();
    let root = root.start().await.unwrap();
    let north = root.lookup::<SupervisorActor>("north").await.unwrap();
    let north = SupervisorRef::try_from(north).unwrap();
    let reader = ServiceSpec::new("reader", Poller::default).requires("gateway");
    for _ in 0..1_204 {
        store.send(Do::Work).await.unwrap();
    }
    time::sleep(Duration::from_secs(11_000)).await;
    gateway.send(unreachable("10.0.0.7")).await.unwrap();
    device.send(Do::Work).await.unwrap();
    for _ in 0..2 {
        device.send(unreachable("10.0.0.11")).await.unwrap();
        time::sleep(Duration::from_millis(10_300)).await;
    }
    north.add(reader).await.unwrap();
    root
}

#[actix::test]
async fn picture_in_the_documentation_is_what_is_printed() {
    time::pause();
    let root = site().await;
    let printed = root.report().await.unwrap().to_string();
    let documented = include_str!("../src/docs/report.md");
    let picture = documented.split("```").nth(1).unwrap();
    let picture = picture.strip_prefix("text\n").unwrap().trim_end();
    assert_eq!(printed, picture, "printed now:\n{printed}\n");
    assert!(printed.lines().all(|line| line.chars().count() <= 100));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn report_says_of_each_service_what_it_is_and_what_has_become_of_it() {
    time::pause();
    let root = site().await;
    let before = SystemTime::now();
    let report = root.report().await.unwrap();
    let paths: Vec<_> = report.walk().map(ServiceReport::path).collect();
    assert_eq!(
        paths,
        [
            "root/store",
            "root/migrate",
            "root/north",
            "root/north/gateway",
            "root/north/camera",
            "root/north/device[1]",
            "root/north/reader",
        ]
    );
    assert_eq!((report.path(), report.token()), ("root", root.token()));
    assert_eq!(report.state(), ServiceState::Ready);
    assert!(report.at() >= before && report.age().is_none());
    let store = find(&report, "root/store");
    assert_eq!(store.type_name(), std::any::type_name::<Store>());
    assert_eq!((store.handled(), store.restarts()), (1_204, 0));
    let since = store.since().unwrap();
    assert_eq!(store.uptime().map(|up| up.as_secs()), Some(11_020));
    assert!(since <= before - Duration::from_secs(11_019));
    let migrate = find(&report, "root/migrate");
    assert_eq!(
        (migrate.kind(), migrate.state(), migrate.uptime()),
        (Kind::Task, ServiceState::Stopped, None)
    );
    // Since it has ended.
    assert!(migrate.since().is_some());
    let gateway = find(&report, "root/north/gateway");
    assert_eq!(gateway.state(), ServiceState::BackingOff);
    let next = left(gateway, gateway.next_start().unwrap());
    assert_eq!(next.as_secs(), 19);
    let down = gateway.at().duration_since(gateway.since().unwrap());
    assert_eq!(down.unwrap().as_secs(), 20);
    let reader = find(&report, "root/north/reader");
    assert_eq!(reader.waits_for(), Some("gateway"));
    assert_eq!((reader.since(), reader.last_exit()), (None, None));
    let device = find(&report, "root/north/device[1]");
    assert_eq!(device.state(), ServiceState::Failed);
    assert_eq!((device.generation(), device.restarts()), (1, 1));
    assert_eq!((device.handled(), device.limit()), (3, Some(1.0)));
    assert_eq!(device.failure_count(), Some(1.0));
    let north = find(&report, "root/north").supervisor().unwrap();
    assert_eq!(north.limit(), Some(2.0));
    assert_eq!(north.window(), Some(Duration::from_secs(60)));
    assert_eq!((north.half_life(), north.paused_until()), (None, None));
    assert_eq!(report.half_life(), Some(Duration::from_secs(30)));
    assert_eq!(north.services().len(), 4);
    // The same of a supervisor that is asked itself, and by a message.
    let asked = root.lookup::<SupervisorActor>("north").await.unwrap();
    let asked = asked.send(message::Report::new()).await.unwrap();
    let paths = |report: &Report| -> Vec<String> {
        let paths = report.walk().map(ServiceReport::path);
        paths.map(String::from).collect()
    };
    assert_eq!(paths(&asked), paths(north));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn pause_of_all_restarts_is_told_with_its_end() {
    time::pause();
    let limit = RestartLimit::window(1, Duration::from_secs(60)).pause(Duration::from_secs(15));
    let root = SupervisorActor::new("root", SupervisorSpec::default().limit(limit));
    let root = root.start().await.unwrap();
    let a = root
        .add(ServiceSpec::new("a", Poller::default))
        .await
        .unwrap();
    for _ in 0..2 {
        let _lost = a.send(Do::Panic).await;
    }
    time::sleep(Duration::from_secs(5)).await;
    let report = root.report().await.unwrap();
    let a = &report.services()[0];
    assert_eq!(a.state(), ServiceState::Paused);
    assert_eq!(a.next_start(), report.paused_until());
    let left = left(a, report.paused_until().unwrap());
    assert_eq!((left + Duration::from_millis(50)).as_secs(), 10);
    assert!((report.failure_count() - 1.0).abs() < 0.01);
    time::sleep(Duration::from_secs(11)).await;
    let report = root.report().await.unwrap();
    assert_eq!(report.paused_until(), None);
    assert_eq!(report.services()[0].state(), ServiceState::Ready);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn every_kind_of_service_is_told_and_where_it_runs() {
    let mut root = SupervisorActor::with_defaults("root");
    let arbiter = Arbiter::new();
    let placed = Placement::Arbiter(arbiter.handle());
    let kept = root
        .add(ServiceSpec::new("service", Store::default))
        .unwrap();
    let plain = ServiceSpec::actor("plain", Plain::default).placement(Placement::Pool);
    let plain = root.add(plain).unwrap();
    root.add(ServiceSpec::create("framed", |_: &mut Context<Plain>| {
        Plain
    }))
    .unwrap();
    root.add(ServiceSpec::task("task", |cx: TaskContext| async move {
        cx.spawn_named("helper", |cx: TaskContext| async move {
            cx.shutdown().await;
        })
        .await
        .unwrap();
        cx.ready();
        cx.shutdown().await;
    }))
    .unwrap();
    root.add(
        ServiceSpec::blocking("blocking", |cx: BlockingContext| {
            while !cx.is_stopping() {
                thread::park_timeout(Duration::from_millis(1));
            }
        })
        .placement(placed),
    )
    .unwrap();
    root.add(ServiceSpec::supervisor(SupervisorActor::with_defaults(
        "supervisor",
    )))
    .unwrap();
    let made = |_: &StartContext| Ok::<_, Infallible>(SupervisorActor::with_defaults("inner"));
    root.add(ServiceSpec::try_new("made", made)).unwrap();
    root.add(ServiceSpec::scope("scope", |scope: Scope| async move {
        scope.ending().await;
    }))
    .unwrap();
    let table = MemoryTable::<String, u32>::new();
    table.insert(&"row".into(), &1).await;
    let rows = KeyedSpec::new("keyed", table, |_: &String, _: &u32| {
        ServiceSpec::new("any", Store::default)
    });
    let _rows = root.add_keyed(rows).unwrap();
    let root = root.start().await.unwrap();
    plain.send(Do::Work).await.unwrap();
    kept.send(Do::Work).await.unwrap();
    root.when_ready::<Store>("root/keyed/row").await.unwrap();
    let report = root.report().await.unwrap();
    let expected = [
        ("root/service", Kind::Actor, Place::Inherit),
        ("root/plain", Kind::Actor, Place::Pool),
        ("root/framed", Kind::Actor, Place::Inherit),
        ("root/task", Kind::Task, Place::Inherit),
        ("root/task.helper", Kind::Task, Place::Inherit),
        ("root/blocking", Kind::Blocking, Place::Arbiter),
        ("root/supervisor", Kind::Supervisor, Place::Inherit),
        ("root/made", Kind::Supervisor, Place::Inherit),
        ("root/scope", Kind::Scope, Place::Inherit),
        ("root/scope/work", Kind::Task, Place::Inherit),
        ("root/keyed", Kind::Keyed, Place::Inherit),
        ("root/keyed/row", Kind::Actor, Place::Inherit),
    ];
    let mut told: Vec<_> = report
        .walk()
        .map(|service| (service.path(), service.kind(), service.placement()))
        .collect();
    // Where a task's helper stands among the others depends on when it was spawned.
    let sorted = |told: &mut Vec<(_, Kind, Place)>| told.sort_unstable_by_key(|(path, ..)| *path);
    sorted(&mut told);
    let mut expected = expected.to_vec();
    sorted(&mut expected);
    assert_eq!(told, expected, "{report}");
    for path in ["root/service", "root/plain"] {
        assert_eq!(find(&report, path).handled(), 1);
    }
    for service in report.walk() {
        let below = service.supervisor().is_some();
        assert_eq!(below, service.kind().is_supervisor(), "{service}");
    }
    root.shutdown().await.unwrap();
    arbiter.stop();
    arbiter.join().unwrap();
}

#[actix::test]
async fn messages_are_counted_through_all_lives_and_refused_ones_are_not() {
    time::pause();
    let root = root().await;
    let own = RestartLimit::window(1, Duration::from_secs(60)).give_up();
    let store = ServiceSpec::new("store", Store::default).limit(own);
    let store = root.add(store).await.unwrap();
    let handled = || async {
        let report = root.report().await.unwrap();
        report.services()[0].handled()
    };
    for n in 1..=3 {
        store.send(Do::Work).await.unwrap();
        assert_eq!(handled().await, n);
    }
    for n in 4..=5 {
        let _lost = store.send(Do::Panic).await;
        assert_eq!(handled().await, n);
    }
    assert!(store.send(Do::Work).await.is_err());
    assert_eq!(handled().await, 5);
    root.reset(&store).await.unwrap();
    store.send(Do::Work).await.unwrap();
    assert_eq!(handled().await, 6);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn tree_of_a_thousand_levels_is_told() {
    let mut below = SupervisorActor::with_defaults("s");
    below.add(ServiceSpec::new("leaf", Store::default)).unwrap();
    for _ in 0..LEVELS {
        let mut above = SupervisorActor::with_defaults("s");
        above.add(ServiceSpec::supervisor(below)).unwrap();
        below = above;
    }
    let root = below.start().await.unwrap();
    let report = root.report().await.unwrap();
    assert_eq!(report.walk().count(), LEVELS + 1);
    assert!(report.walk().all(|service| service.age().is_none()));
    let leaf = report.walk().last().unwrap();
    assert_eq!(report.find(leaf.path()).unwrap().name(), "leaf");
    let printed = report.to_string();
    assert_eq!(printed.lines().count(), LEVELS + 2);
    assert!(printed.lines().all(|line| line.chars().count() <= 100));
    #[cfg(feature = "serde")]
    assert!(
        serde_json::to_string(&report)
            .unwrap()
            .contains(leaf.path())
    );
    // Of one half way down, and when all of it is over.
    let middle = report.walk().nth(LEVELS / 2).unwrap().path();
    let middle = root.lookup::<SupervisorActor>(middle).await.unwrap();
    let middle = SupervisorRef::try_from(middle).unwrap();
    assert_eq!(middle.report().await.unwrap().walk().count(), LEVELS / 2);
    root.shutdown().await.unwrap();
}

/// More than are told in one turn: others have theirs meanwhile, each service is there once, in start order.
#[actix::test]
async fn many_services_are_told_in_parts() {
    time::pause();
    let root = root().await;
    for n in 0..MANY {
        let name = format!("service{n}");
        root.add(ServiceSpec::new(name, Store::default))
            .await
            .unwrap();
    }
    let meanwhile = async {
        for n in 0..100 {
            let name = format!("later{n}");
            root.add(ServiceSpec::new(name, Store::default))
                .await
                .unwrap();
            let gone = format!("service{}", n * 37);
            root.remove(gone.as_str()).await.unwrap();
        }
    };
    let (report, ()) = tokio::join!(root.report(), meanwhile);
    let report = report.unwrap();
    assert_eq!(report.age(), None);
    let services = report.services();
    assert!(services.len() >= MANY - 100 && services.len() <= MANY);
    let numbers = services.iter().map(|service| {
        let number = service.name().strip_prefix("service").unwrap();
        number.parse::<usize>().unwrap()
    });
    assert!(numbers.is_sorted_by(|one, other| one < other));
    root.shutdown().await.unwrap();
}

/// However many ask at once, and whether the supervisor is up: it does no more than one part of one picture in a turn of its thread.
#[actix::test]
async fn others_have_their_turns_between_the_parts() {
    time::pause();
    let root = root().await;
    let sub = root
        .add_supervisor(SupervisorActor::with_defaults("sub"))
        .await
        .unwrap();
    for n in 0..MANY / 2 {
        let name = format!("service{n}");
        sub.add(ServiceSpec::new(name, Store::default))
            .await
            .unwrap();
    }
    for state in [ServiceState::Ready, ServiceState::Stopped] {
        if state == ServiceState::Stopped {
            root.stop(&sub).await.unwrap();
        }
        let turns = Rc::new(Cell::new(0));
        let watch = actix::spawn({
            let turns = Rc::clone(&turns);
            poll_fn(move |cx| {
                turns.set(turns.get() + 1);
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            })
        });
        let reports = (0..CALLERS).map(|_| {
            let (root, turns) = (root.clone(), Rc::clone(&turns));
            actix::spawn(async move { (root.report().await.unwrap(), turns.get()) })
        });
        let reports: Vec<_> = reports.collect();
        let mut last = 0;
        for told in join_all(reports).await {
            let (report, after) = told.unwrap();
            last = last.max(after);
            assert_eq!(report.services()[0].state(), state);
            assert_eq!(report.walk().count(), 1 + MANY / 2);
            assert!(report.walk().all(|service| service.age().is_none()));
        }
        watch.abort();
        // Two parts for each.
        assert!(last >= 2 * CALLERS, "{last} in {state}");
    }
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn supervisor_is_told_while_it_starts_and_while_it_ends() {
    time::pause();
    let root = root().await;
    let mut sub = SupervisorActor::with_defaults("sub");
    let slow = || {
        ServiceSpec::task("slow", |cx: TaskContext| async move {
            time::sleep(Duration::from_secs(5)).await;
            cx.ready();
            cx.shutdown().await;
            time::sleep(Duration::from_secs(5)).await;
        })
        .readiness(resurgam::Readiness::Explicit)
    };
    sub.add(slow()).unwrap();
    let sub = root.add_supervisor(sub).await.unwrap();
    let states = || async {
        let report = root.report().await.unwrap();
        assert_eq!(report.age(), None);
        let states: Vec<_> = report.walk().map(ServiceReport::state).collect();
        assert!(report.walk().all(|service| service.age().is_none()));
        states
    };
    time::sleep(Duration::from_secs(1)).await;
    let starting = [ServiceState::Starting; 2];
    assert_eq!(states().await, starting);
    assert_eq!(sub.report().await.unwrap().services().len(), 1);
    time::sleep(Duration::from_secs(5)).await;
    assert_eq!(states().await, [ServiceState::Ready; 2]);
    let (ended, ()) = tokio::join!(root.stop(&sub), async {
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(states().await, [ServiceState::Stopping; 2]);
        assert_eq!(sub.report().await.unwrap().state(), ServiceState::Stopping);
    });
    ended.unwrap();
    assert_eq!(states().await, [ServiceState::Stopped; 2]);
    assert!(sub.report().await.is_err());
    root.shutdown().await.unwrap();
    assert!(root.report().await.is_err());
}

#[cfg(feature = "serde")]
#[actix::test]
async fn report_is_one_object_with_a_flat_list_of_services() {
    use serde_json::{Value, json, to_value};

    time::pause();
    let root = site().await;
    let report = root.report().await.unwrap();
    let mut told = to_value(&report).unwrap();
    // What differs from run to run.
    let at = told["at"].take();
    assert_eq!(
        at.as_str().unwrap().len(),
        "2026-11-26T15:33:16.000250Z".len()
    );
    assert_eq!(told["token"].take(), json!(root.token().to_string()));
    let services = told["services"].as_array_mut().unwrap();
    assert_eq!(services.len(), report.walk().count());
    for (told, service) in services.iter_mut().zip(report.walk()) {
        assert_eq!(told["token"].take(), json!(service.token().to_string()));
        let since = told["since"].take();
        assert_eq!(since.is_string(), service.since().is_some());
        let next = told["next_start"].take();
        assert_eq!(next.is_string(), service.next_start().is_some());
    }
    let of_root = json!({
        "failure_count": 0.0, "limit": 5.0, "half_life": 30.0, "window": null, "paused_until": null, "table_unreachable": null, "age": null,
    });
    assert_eq!(
        [
            &told["path"],
            &told["kind"],
            &told["state"],
            &told["age"],
            &told["supervisor"]
        ],
        [
            &json!("root"),
            &json!("supervisor"),
            &json!("ready"),
            &Value::Null,
            &of_root
        ]
    );
    let services = told["services"].as_array().unwrap();
    assert_eq!(
        services[3],
        json!({
            "path": "root/north/gateway", "token": null, "kind": "actor", "type_name": "report::Poller", "placement": "inherit",
            "state": "backing_off", "since": null, "generation": 0, "restarts": 0, "handled": 1, "failure_count": null, "limit": null,
            "next_start": null, "waits_for": null, "blocked": null, "age": null, "supervisor": null,
            "last_exit": {
                "kind": "failed", "text": "failed: cannot reach 10.0.0.7", "causes": ["no route to host"],
            },
        })
    );
    assert_eq!(services[2]["supervisor"]["window"], json!(60.0));
    let blocked = &services[6]["blocked"];
    assert!(
        blocked["delayed"]["after"].as_f64().unwrap() > 19.0,
        "{blocked}"
    );
    assert_eq!(services[6]["waits_for"], json!("gateway"));
    assert_eq!(services[0]["supervisor"], Value::Null);
    root.shutdown().await.unwrap();
}

const MANY: usize = 6_000;
const CALLERS: usize = 20;
const LEVELS: usize = 1_000;
