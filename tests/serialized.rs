//! What events and reasons are for machines.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

use std::time::{Duration, SystemTime};

use actix::prelude::*;
use resurgam::{
    Backoff, Event, EventKind, ExitReason, RestartLimit, ServiceContext, ServiceError, ServiceSpec,
    ServiceState, SupervisorActor, SupervisorSpec,
};
use serde_json::{Value, json, to_value};
use tokio::time;

#[derive(Debug, thiserror::Error)]
#[error("cannot write")]
struct Outer(#[source] std::io::Error);

/// Fails whenever it is told to.
struct Writer;

impl Actor for Writer {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
enum Do {
    Fail,
    Panic,
}

impl Handler<Do> for Writer {
    type Result = ();

    fn handle(&mut self, what: Do, ctx: &mut Self::Context) {
        match what {
            Do::Fail => ctx.fail(Outer(std::io::Error::other("disk full"))),
            Do::Panic => panic!("a <b>\"bold\"</b>\nclaim"),
        }
    }
}

/// An event without what differs from run to run.
fn stable(event: &Event) -> Value {
    let mut value = to_value(event).unwrap();
    let fields = value.as_object_mut().unwrap();
    let at = fields.remove("at").unwrap();
    let at = humantime::parse_rfc3339(at.as_str().unwrap()).unwrap();
    let off = event.at().duration_since(at).unwrap();
    assert!(off < Duration::from_micros(1), "{off:?}");
    let token = fields.remove("token").unwrap();
    match event.token() {
        Some(of) => assert_eq!(token, json!(of.to_string())),
        None => assert_eq!(token, Value::Null),
    }
    value
}

#[actix::test]
async fn event_is_one_object_with_a_number_and_a_time() {
    time::pause();
    let before = SystemTime::now();
    let limit = RestartLimit::window(1, Duration::from_secs(60)).give_up();
    let root = SupervisorActor::with_defaults("root");
    let mut events = root.events();
    let root = root.start().await.unwrap();
    let backoff = Backoff::constant(Duration::from_millis(1500));
    let writer = ServiceSpec::new("writer", || Writer)
        .backoff(backoff)
        .limit(limit);
    let writer = root.add_and_wait(writer).await.unwrap();
    writer.do_send(Do::Fail);
    let _lost = writer.send(Do::Panic).await;
    root.remove(&writer).await.unwrap();
    let mut told = Vec::new();
    while let Some(event) = events.try_next() {
        assert!(event.at() >= before);
        told.push(event);
    }
    let numbers = told.iter().map(Event::sequence);
    assert!(numbers.eq(1..=told.len() as u64));
    for event in &told {
        assert_eq!(to_value(event).unwrap()["kind"], event.kind().name());
    }
    let failed = told.iter().find(|event| event.kind().is_failure()).unwrap();
    let reason = json!({
        "kind": "failed", "text": "failed: cannot write", "causes": ["disk full"],
    });
    assert_eq!(
        stable(failed),
        json!({
            "sequence": 5, "path": "root/writer", "generation": 0, "kind": "service_failed",
            "text": "failed: cannot write: disk full; restarting in 1.5s (count 1.00)",
            "details": {"reason": reason, "count": 1.0, "restarting": {"after": 1.5}},
        })
    );
    let panicked = told
        .iter()
        .find(|event| matches!(event.kind(), EventKind::ServicePanicked { .. }));
    let panicked = stable(panicked.unwrap());
    assert_eq!(panicked["details"]["restarting"], "no");
    assert_eq!(panicked["details"]["message"], "a <b>\"bold\"</b>\nclaim");
    let first = stable(&told[0]);
    assert_eq!(
        first,
        json!({
            "sequence": 1, "path": "root", "generation": 0, "kind": "supervisor_started",
            "text": "supervisor started",
        })
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn reason_names_its_kind_its_text_and_all_causes() {
    let failed = ExitReason::Failed(ServiceError::new(Outer(std::io::Error::other("disk full"))));
    assert_eq!(
        to_value(&failed).unwrap(),
        json!({"kind": "failed", "text": "failed: cannot write", "causes": ["disk full"]})
    );
    let normal = json!({"kind": "normal", "text": "normal", "causes": []});
    assert_eq!(to_value(ExitReason::Normal).unwrap(), normal);
    assert_eq!(to_value(ServiceState::BackingOff).unwrap(), "backing_off");
}

#[actix::test]
async fn escalation_through_levels_is_a_flat_list() {
    time::pause();
    let escalate = || {
        let limit = RestartLimit::window(0, Duration::from_secs(1)).escalate();
        SupervisorSpec::default().limit(limit)
    };
    let root = SupervisorActor::new("root", escalate());
    let mut events = root.events().failures();
    let root = root.start().await.unwrap();
    let site = SupervisorActor::new("site", escalate());
    let site = root.add_supervisor(site).await.unwrap();
    let writer = ServiceSpec::new("writer", || Writer);
    let writer = site.add_and_wait(writer).await.unwrap();
    writer.do_send(Do::Fail);
    root.join().await.unwrap_err();
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    let last = to_value(last.unwrap()).unwrap();
    assert_eq!(
        last["details"]["reason"],
        json!({
            "kind": "escalated", "text": "escalated by `root/site`", "path": "root/site",
            "causes": ["escalated by `root/site/writer`", "failed: cannot write", "disk full"],
        })
    );
}
