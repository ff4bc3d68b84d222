//! Fatal errors: which one counts, and what they do not wait for.

use std::{future::pending, io::Error, time::Duration};

use resurgam::{Backoff, JoinError, ServiceSpec, SupervisorRef, SupervisorSpec};
use tokio::time::{self, Instant};

use crate::support::{
    Habit, Log, Probe, What, add, ask, fail, joined, quiet, root_with, rounded, spec, spec_with,
    unlimited,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Every error is fatal but `again`.
fn strict() -> SupervisorSpec {
    unlimited().fatal(|error| error.to_string() != "again")
}

/// The error that ended a tree, with the path of its service.
async fn ended(root: &SupervisorRef) -> (String, String) {
    match joined(root).await {
        Err(JoinError::Fatal { path, error, .. }) => (path.to_string(), error.to_string()),
        other => unreachable!("{other:?}"),
    }
}

#[actix::test]
async fn most_important_fatal_error_is_the_one_that_is_kept() {
    time::pause();
    let log = Log::default();
    let root = root_with(strict().more_important(|new, kept| new.to_string() > kept.to_string()));
    let root = root.await;
    for (name, error) in [
        ("a", "3"),
        ("b", "9"),
        ("c", "1"),
        ("d", "7"),
        ("e", "0"),
        ("f", "8"),
    ] {
        add(&root, spec_with(name, &log, Habit::Sore(error))).await;
    }
    let last = add(&root, spec("last", &log)).await;
    last.do_send(fail("5"));
    assert_eq!(ended(&root).await, ("root/b".into(), "9".into()));
}

#[actix::test]
async fn first_fatal_error_is_kept_without_a_comparison() {
    time::pause();
    let log = Log::default();
    let root = root_with(strict()).await;
    add(&root, spec_with("a", &log, Habit::Sore("later"))).await;
    add(&root, spec_with("b", &log, Habit::Sore("late"))).await;
    let c = add(&root, spec("c", &log)).await;
    c.do_send(fail("first"));
    assert_eq!(ended(&root).await, ("root/c".into(), "first".into()));
}

#[actix::test]
async fn each_error_is_judged_once_and_compared_once() {
    time::pause();
    let (log, book) = (Log::default(), Log::default());
    let (judge, scales) = (book.clone(), book.clone());
    let rules = unlimited()
        .fatal(move |error| {
            judge.write(What::Asked, &error.to_string());
            true
        })
        .more_important(move |new, kept| {
            scales.write(What::Made, &format!("{new} {kept}"));
            true
        });
    let root = root_with(rules).await;
    add(&root, spec_with("a", &log, Habit::Sore("3"))).await;
    add(&root, spec_with("b", &log, Habit::Sore("2"))).await;
    let c = add(&root, spec("c", &log)).await;
    c.do_send(fail("1"));
    assert_eq!(ended(&root).await, ("root/a".into(), "3".into()));
    assert_eq!(book.names(What::Asked), ["1", "2", "3"]);
    assert_eq!(book.names(What::Made), ["2 1", "3 2"]);
}

#[actix::test]
async fn fatal_error_of_a_service_that_is_being_stopped_ends_the_tree() {
    time::pause();
    let log = Log::default();
    let root = root_with(strict()).await;
    add(&root, spec("a", &log)).await;
    let b = add(&root, spec_with("b", &log, Habit::Sore("boom"))).await;
    let (stopped, end) = tokio::join!(root.stop(b.token()), ended(&root));
    stopped.unwrap();
    assert_eq!(end, ("root/b".into(), "boom".into()));
    assert_eq!(log.names(What::Asked), ["b", "a"]);
}

#[actix::test]
async fn fatal_error_does_not_wait_out_the_delay_of_another() {
    time::pause();
    let log = Log::default();
    let root = root_with(strict()).await;
    let a = add(&root, spec("a", &log).backoff(Backoff::constant(HOUR))).await;
    let b = add(&root, spec("b", &log)).await;
    a.do_send(fail("again"));
    quiet().await;
    let begun = Instant::now();
    b.do_send(fail("boom"));
    assert_eq!(ended(&root).await, ("root/b".into(), "boom".into()));
    assert_eq!(rounded(begun.elapsed()), 0);
    time::sleep(2 * HOUR).await;
    assert_eq!(log.count(What::Made, "a"), 1);
}

#[actix::test]
async fn fatal_error_does_not_wait_for_a_service_that_is_still_being_made() {
    time::pause();
    let log = Log::default();
    let root = root_with(strict()).await;
    let never = ServiceSpec::<Probe>::new_async("never", |_| pending::<Result<Probe, Error>>());
    root.add(never).await.unwrap();
    let b = add(&root, spec("b", &log)).await;
    let begun = Instant::now();
    b.do_send(fail("boom"));
    assert_eq!(ended(&root).await, ("root/b".into(), "boom".into()));
    assert_eq!(rounded(begun.elapsed()), 0);
}

#[actix::test]
async fn error_that_is_not_fatal_never_surfaces() {
    time::pause();
    let log = Log::default();
    let root = root_with(strict()).await;
    let a = add(&root, spec("a", &log)).await;
    a.do_send(fail("again"));
    assert_eq!(a.send(ask()).await, Ok(1));
    root.shutdown().await.unwrap();
    joined(&root).await.unwrap();
}

#[actix::test]
async fn error_during_a_shutdown_that_was_asked_for_is_reported_and_is_not_the_reason() {
    time::pause();
    let log = Log::default();
    let root = root_with(strict()).await;
    add(&root, spec_with("a", &log, Habit::Sore("boom"))).await;
    let report = root.shutdown().await.unwrap();
    assert_eq!(report.failures().len(), 1);
    joined(&root).await.unwrap();
}

#[actix::test]
async fn judge_that_panics_ends_nothing() {
    time::pause();
    let log = Log::default();
    let root = root_with(unlimited().fatal(|_| panic!("no judgement"))).await;
    let a = add(&root, spec("a", &log)).await;
    a.do_send(fail("boom"));
    assert_eq!(a.send(ask()).await, Ok(1));
    root.shutdown().await.unwrap();
}
