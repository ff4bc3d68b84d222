//! What juju's dependency engine refuses, and what a factory is given.

use std::time::Duration;

use actix::prelude::*;
use resurgam::{
    AddError, Backoff, ReconfigureError, RestartLimit, ServiceContext, ServiceSpec, SpecError,
    StartContext, StartError, SupervisorActor, SupervisorSpec, message,
};
use tokio::time;

use crate::support::{
    Habit, Log, Probe, What, act, add, ask, probe, quiet, root, spec, spec_with, unlimited,
};

const SECOND: Duration = Duration::from_secs(1);

struct Other;

impl Actor for Other {
    type Context = ServiceContext<Self>;
}

#[actix::test]
async fn value_without_meaning_is_refused_with_the_name_of_its_field() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let ok = || Backoff::exponential(SECOND, 2 * SECOND);
    let decay = |threshold| RestartLimit::decay(SECOND, threshold, SECOND);
    let cases = [
        ("backoff.factor", spec("a", &log).backoff(ok().factor(0.5))),
        (
            "backoff.factor",
            spec("a", &log).backoff(ok().factor(f64::NAN)),
        ),
        ("backoff.jitter", spec("a", &log).backoff(ok().jitter(-0.1))),
        (
            "backoff.max",
            spec("a", &log).backoff(Backoff::exponential(2 * SECOND, SECOND)),
        ),
        (
            "backoff.reset_after",
            spec("a", &log).backoff(ok().reset_after(Duration::ZERO)),
        ),
        (
            "start_timeout",
            spec("a", &log).start_timeout(Duration::ZERO),
        ),
        (
            "limit.threshold",
            spec("a", &log).limit(decay(-1.0).give_up()),
        ),
    ];
    for (expected, refused) in cases {
        let error = root.add(refused).await.unwrap_err();
        assert!(
            matches!(&error, AddError::Spec(SpecError::InvalidValue { field, .. }) if *field == expected),
            "{expected}: {error}"
        );
    }
    assert!(log.names(What::Made).is_empty());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn supervisor_with_a_value_without_meaning_is_refused() {
    time::pause();
    let wrong = || SupervisorSpec::default().limit(RestartLimit::window(1, Duration::ZERO));
    let refused = SupervisorActor::new("root", wrong())
        .start()
        .await
        .unwrap_err();
    assert!(
        matches!(
            &refused,
            StartError::Refused(AddError::Spec(SpecError::InvalidValue { field, .. })) if *field == "limit.within"
        ),
        "{refused}"
    );
    let root = root().await;
    let refused = root.reconfigure(wrong()).await.unwrap_err();
    assert!(matches!(refused, ReconfigureError::Spec(_)), "{refused}");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn refused_service_leaves_everything_untouched() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).requires("c")).await;
    add(&root, spec("b", &log).requires("a")).await;
    let cycle = root.add(spec("c", &log).requires("b")).await.unwrap_err();
    let AddError::Cycle { mut members, .. } = cycle else {
        panic!("{cycle:?}");
    };
    members.sort();
    assert_eq!(members, ["a".into(), "b".into(), "c".into()]);
    let own = root.add(spec("d", &log).requires("d")).await;
    assert!(matches!(own, Err(AddError::Cycle { .. })));
    assert_eq!(root.counts().await.unwrap().services, 2);
    assert!(log.names(What::Made).is_empty());
    add(&root, spec("c", &log)).await;
    assert_eq!(a.send(ask()).await, Ok(0));
    assert_eq!(log.names(What::Started), ["c", "a", "b"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn requirement_may_be_added_after_those_that_require_it() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, spec("web", &log).requires("api")).await;
    add(&root, spec("api", &log).requires("db")).await;
    assert!(log.names(What::Made).is_empty());
    add(&root, spec("db", &log)).await;
    assert_eq!(log.names(What::Started), ["db", "api", "web"]);
    root.shutdown().await.unwrap();
    assert_eq!(log.names(What::Asked), ["web", "api", "db"]);
}

#[actix::test]
async fn factory_gets_what_is_declared_and_is_told_what_is_not() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, spec("db", &log)).await;
    add(&root, spec("secret", &log)).await;
    root.add_and_wait(ServiceSpec::new("other", || Other))
        .await
        .unwrap();
    let (book, held) = (Log::default(), log.clone());
    let told = book.clone();
    let factory = move |cx: &StartContext| {
        let db = cx.get::<Probe>("db").map(|db| db.path().to_owned());
        told.write(What::Made, &db?);
        let undeclared = cx.get::<Probe>("secret").unwrap_err();
        told.write(What::Made, &undeclared.to_string());
        let mistyped = cx.get::<Probe>("other").unwrap_err();
        assert!(matches!(mistyped, StartError::WrongType { .. }));
        Ok::<_, StartError>(probe("api", &held, Habit::Prompt))
    };
    let api = ServiceSpec::try_new("api", factory);
    root.add_and_wait(api.requires("db").binds_to("other"))
        .await
        .unwrap();
    assert_eq!(
        book.names(What::Made),
        [
            "root/db",
            "service `root/api` requires `secret`, which is not there"
        ]
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn missing_requirement_that_a_factory_returns_names_what_is_missing() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let held = log.clone();
    let careless = ServiceSpec::try_new("api", move |cx: &StartContext| {
        cx.get::<Probe>("db")?;
        Ok::<_, StartError>(probe("api", &held, Habit::Prompt))
    });
    let failed = root.add_and_wait(careless).await.unwrap_err();
    let StartError::Failed { reason, .. } = &failed else {
        panic!("{failed:?}");
    };
    assert!(
        format!("{reason:#}").contains("requires `db`"),
        "{reason:#}"
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn reference_that_a_factory_keeps_outlives_the_runs_of_what_it_refers_to() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, spec("db", &log)).await;
    let (book, held) = (Log::default(), log.clone());
    let (kept_by, mut kept) = (book.clone(), None);
    let factory = move |cx: &StartContext| {
        let known = kept.get_or_insert(cx.get::<Probe>("db")?).clone();
        kept_by.write(What::Made, &format!("{:?}", known.token()));
        Ok::<_, StartError>(probe("api", &held, Habit::Prompt))
    };
    add(&root, ServiceSpec::try_new("api", factory).binds_to("db")).await;
    root.restart(db.token()).await.unwrap();
    quiet().await;
    let tokens = book.names(What::Made);
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokens[0], tokens[1]);
    assert_eq!(db.send(ask()).await, Ok(1));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn shutdown_stops_everybody_and_restarts_nobody() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, spec_with("db", &log, Habit::Sore("lost"))).await;
    add(&root, spec("api", &log).binds_to("db")).await;
    add(&root, spec("web", &log).requires("nobody")).await;
    root.shutdown().await.unwrap();
    time::sleep(3600 * SECOND).await;
    assert_eq!(log.names(What::Made), ["db", "api"]);
    assert_eq!(log.names(What::Dropped), ["api", "db"]);
}

#[actix::test]
async fn service_may_add_siblings_through_its_own_supervisor() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log)).await;
    for number in 0..100 {
        let held = log.clone();
        a.do_send(act(move |ctx| {
            let supervisor = ctx.supervisor().addr().clone();
            let sibling = spec(&format!("b{number}"), &held);
            supervisor.do_send(message::Add::new(sibling));
        }));
    }
    quiet().await;
    assert_eq!(root.counts().await.unwrap().ready, 101);
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(log.names(What::Dropped).len(), 101);
}

#[actix::test]
async fn service_may_report_on_its_own_supervisor() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    let a = root.add(spec("a", &log)).unwrap();
    let root = root.start().await.unwrap();
    let book = Log::default();
    let told = book.clone();
    a.do_send(act(move |ctx| {
        let supervisor = ctx.supervisor();
        ctx.spawn(fut::wrap_future(async move {
            let report = supervisor.report().await.unwrap();
            told.write(What::Made, report.services()[0].path());
        }));
    }));
    quiet().await;
    assert_eq!(book.names(What::Made), ["root/a"]);
    root.shutdown().await.unwrap();
}
