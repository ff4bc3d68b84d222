//! Supervisors whose services are made anew at each start, and cleaned up on every way out. In paused time.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    AddError, EventKind, Events, JoinError, OnStart, RestartLimit, ServiceContext, ServiceRef,
    ServiceSpec, StartError, SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

/// What has happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Holds the resource that it was made with.
struct Leaf {
    resource: u64,
    log: Log,
}

impl Actor for Leaf {
    type Context = ServiceContext<Self>;
    fn stopped(&mut self, _: &mut Self::Context) {
        self.log.note("stopped");
    }
}

/// Another kind of service.
struct Other;

impl Actor for Other {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Resource;

impl Handler<Resource> for Leaf {
    type Result = u64;
    fn handle(&mut self, _: Resource, _: &mut Self::Context) -> u64 {
        self.resource
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl Handler<Crash> for Leaf {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on purpose");
    }
}

/// A start function that fails is tried again for ever.
async fn soon<F: Future>(future: F) -> F::Output {
    time::timeout(Duration::from_secs(5), future).await.unwrap()
}

type Outcome = Result<(), AddError>;

/// A spec whose resource is the number of the start; it gives up at the first failure.
fn spec(
    log: &Log,
    mut more: impl FnMut(u64, &mut OnStart<'_>) -> Outcome + Send + 'static,
) -> SupervisorSpec {
    let log = log.clone();
    let mut number = 0;
    SupervisorSpec::default()
        .limit(RestartLimit::window(0, Duration::from_secs(1)).escalate())
        .on_start(move |services| {
            number += 1;
            let (resource, notes, log) = (number, log.clone(), log.clone());
            log.note(format!("start {resource}"));
            services.on_cleanup(move || notes.note(format!("clean {resource}")));
            services.add(ServiceSpec::new("leaf", move || Leaf {
                resource,
                log: log.clone(),
            }))?;
            more(resource, services)
        })
}

async fn root() -> SupervisorRef {
    SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap()
}

#[actix::test]
async fn resources_are_made_anew_for_each_start_and_the_address_stays() {
    time::pause();
    let (root, log) = (root().await, Log::default());
    let tier = SupervisorActor::new("tier", spec(&log, |_, _| Ok(())));
    root.add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let leaf: ServiceRef<Leaf> = root.lookup("root/tier/leaf").await.unwrap();
    assert_eq!(leaf.send(Resource).await, Ok(1));
    leaf.do_send(Crash);
    assert_eq!(leaf.send(Resource).await, Ok(2));
    assert_eq!(
        leaf.token(),
        root.lookup::<Leaf>("root/tier/leaf").await.unwrap().token()
    );
    root.shutdown().await.unwrap();
    assert_eq!(
        log.take(),
        ["start 1", "clean 1", "start 2", "stopped", "clean 2"]
    );
}

#[actix::test]
async fn clean_up_is_after_the_services_and_before_the_supervisor_says_that_it_has_stopped() {
    time::pause();
    let log = Log::default();
    let root = SupervisorActor::new("root", spec(&log, |_, _| Ok(())));
    let root = root.start().await.unwrap();
    let mut events = root.events();
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(log.take(), ["start 1", "stopped", "clean 1"]);
    let last = std::iter::from_fn(|| events.try_next()).last().unwrap();
    assert!(
        matches!(last.kind(), EventKind::SupervisorStopped { .. }),
        "{last}"
    );
}

#[actix::test]
async fn clean_up_is_done_when_a_service_fails_to_start() {
    time::pause();
    let log = Log::default();
    let spec = spec(&log, |_, services| {
        services.add(ServiceSpec::try_new("broken", |_| {
            Err::<Other, _>("no device")
        }))?;
        Ok(())
    });
    let failed = SupervisorActor::new("root", spec)
        .start()
        .await
        .unwrap_err();
    assert!(failed.to_string().contains("root/broken"), "{failed}");
    assert_eq!(log.take(), ["start 1", "stopped", "clean 1"]);
}

#[actix::test]
async fn error_of_a_start_function_is_a_start_that_failed_and_is_cleaned_up() {
    time::pause();
    let log = Log::default();
    let spec = spec(&log, |_, _| Err(AddError::ShuttingDown));
    let failed = SupervisorActor::new("root", spec)
        .start()
        .await
        .unwrap_err();
    let StartError::Failed { path, reason, .. } = failed else {
        panic!("{failed}");
    };
    assert_eq!(&*path, "root");
    assert!(reason.error().unwrap().downcast_ref::<AddError>().is_some());
    assert_eq!(log.take(), ["start 1", "clean 1"]);
}

#[actix::test]
async fn panic_of_a_start_function_and_of_a_clean_up_are_caught() {
    time::pause();
    let log = Log::default();
    let spec = spec(&log, |_, services| {
        services.on_cleanup(|| panic!("in the clean-up"));
        panic!("in the function");
    });
    let failed = SupervisorActor::new("root", spec)
        .start()
        .await
        .unwrap_err();
    let StartError::Failed { reason, .. } = failed else {
        panic!("{failed}");
    };
    assert!(reason.to_string().contains("in the function"), "{reason}");
    assert_eq!(log.take(), ["start 1", "clean 1"]);
}

#[actix::test]
async fn panic_of_a_clean_up_is_in_the_report() {
    time::pause();
    let log = Log::default();
    let spec = spec(&log, |_, services| {
        services.on_cleanup(|| panic!("in the clean-up"));
        Ok(())
    });
    let root = SupervisorActor::new("root", spec).start().await.unwrap();
    let report = root.shutdown().await.unwrap();
    let [(path, reason)] = report.failures() else {
        panic!("{report}");
    };
    assert_eq!(&**path, "root");
    assert!(reason.to_string().contains("in the clean-up"), "{reason}");
    assert_eq!(log.take(), ["start 1", "stopped", "clean 1"]);
}

#[actix::test]
async fn clean_up_is_done_when_the_root_gives_up() {
    time::pause();
    let log = Log::default();
    let root = SupervisorActor::new("root", spec(&log, |_, _| Ok(())));
    let root = root.start().await.unwrap();
    let leaf: ServiceRef<Leaf> = root.lookup("root/leaf").await.unwrap();
    leaf.do_send(Crash);
    let ended = root.join().await.unwrap_err();
    assert!(matches!(ended, JoinError::Escalated { .. }), "{ended}");
    assert_eq!(log.take(), ["start 1", "clean 1"]);
}

#[actix::test]
async fn service_that_is_not_built_again_is_forgotten_and_another_kind_takes_its_name() {
    time::pause();
    let (root, log) = (root().await, Log::default());
    let spec = spec(&log, |number, services| {
        if number == 1 {
            services.add(ServiceSpec::new("once", || Other))?;
            services.add(ServiceSpec::new("changes", || Other))?;
        } else {
            let log = Log::default();
            services.add(ServiceSpec::new("changes", move || Leaf {
                resource: 9,
                log: log.clone(),
            }))?;
        }
        Ok(())
    });
    let tier = ServiceSpec::supervisor(SupervisorActor::new("tier", spec));
    root.add_and_wait(tier).await.unwrap();
    let leaf: ServiceRef<Leaf> = root.lookup("root/tier/leaf").await.unwrap();
    let once: ServiceRef<Other> = root.lookup("root/tier/once").await.unwrap();
    leaf.do_send(Crash);
    assert_eq!(leaf.send(Resource).await, Ok(2));
    let changed: ServiceRef<Leaf> = root.when_ready("root/tier/changes").await.unwrap();
    assert_eq!(changed.send(Resource).await, Ok(9));
    assert!(root.lookup::<Other>("root/tier/once").await.is_err());
    assert!(!once.connected());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn services_that_a_build_replaces_do_not_count_for_the_maximum() {
    time::pause();
    let (root, log) = (root().await, Log::default());
    let spec = spec(&log, |number, services| {
        services.add(ServiceSpec::new(format!("other {number}"), || Other))?;
        let third = services.add(ServiceSpec::new("third", || Other));
        assert!(matches!(third, Err(AddError::Full { max: 2, .. })));
        Ok(())
    });
    let tier = SupervisorActor::new("tier", spec.max_services(2));
    let tier = root.add_supervisor(tier).await.unwrap();
    let leaf: ServiceRef<Leaf> = root.when_ready("root/tier/leaf").await.unwrap();
    for number in 1..3 {
        assert_eq!(soon(leaf.send(Resource)).await, Ok(number));
        let other = format!("other {number}");
        root.when_ready::<Other>(format!("root/tier/{other}"))
            .await
            .unwrap();
        // What was removed by hand is not there to be counted.
        if number == 2 {
            tier.remove(&*other).await.unwrap();
        }
        leaf.do_send(Crash);
    }
    assert_eq!(soon(leaf.send(Resource)).await, Ok(3));
    assert_eq!(tier.counts().await.unwrap().services, 2);
    // Crashed again, so that the latest start has replaced one that was there.
    leaf.do_send(Crash);
    assert_eq!(soon(leaf.send(Resource)).await, Ok(4));
    let one_more = tier.add(ServiceSpec::new("one more", || Other)).await;
    assert!(matches!(one_more, Err(AddError::Full { max: 2, .. })));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_was_added_later_survives_the_build() {
    time::pause();
    let (root, log) = (root().await, Log::default());
    let tier = SupervisorActor::new("tier", spec(&log, |_, _| Ok(())));
    let tier = root
        .add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let added = ServiceSpec::new("added", || Leaf {
        resource: 5,
        log: Log::default(),
    });
    let added = SupervisorRef::try_from(&tier)
        .unwrap()
        .add(added)
        .await
        .unwrap();
    let leaf: ServiceRef<Leaf> = root.lookup("root/tier/leaf").await.unwrap();
    leaf.do_send(Crash);
    assert_eq!(leaf.send(Resource).await, Ok(2));
    assert_eq!(added.send(Resource).await, Ok(5));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn clean_up_comes_after_the_events_of_the_services_and_before_that_of_the_supervisor() {
    time::pause();
    let events: Arc<Mutex<Option<Events>>> = Arc::default();
    let told_before = Log::default();
    let (subscription, told) = (Arc::clone(&events), told_before.clone());
    let spec = spec(&Log::default(), move |_, services| {
        let (subscription, told) = (Arc::clone(&subscription), told.clone());
        services.on_cleanup(move || {
            let mut events = subscription.lock().unwrap();
            while let Some(event) = events.as_mut().and_then(Events::try_next) {
                told.note(event.to_string());
            }
        });
        Ok(())
    });
    let root = SupervisorActor::new("root", spec).start().await.unwrap();
    *events.lock().unwrap() = Some(root.events());

    root.shutdown().await.unwrap();

    assert_eq!(
        told_before.take().last().unwrap(),
        "root/leaf#0: stopped: shutdown"
    );
    let closing = events.lock().unwrap().as_mut().unwrap().try_next();
    assert!(
        closing.is_some_and(|event| matches!(event.kind(), EventKind::SupervisorStopped { .. }))
    );
}
