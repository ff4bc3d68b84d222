//! Supervisors as services of supervisors, in paused time.
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
    AddError, OnLimit, RestartLimit, ServiceContext, ServiceRef, ServiceSpec, StartError, Strategy,
    SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

#[derive(Default)]
struct Leaf;

impl Actor for Leaf {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Generation;

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl Handler<Generation> for Leaf {
    type Result = u64;
    fn handle(&mut self, _: Generation, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

impl Handler<Crash> for Leaf {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on purpose");
    }
}

#[actix::test]
async fn restarted_supervisor_keeps_the_addresses_of_its_services() {
    time::pause();
    let spec = SupervisorSpec::default()
        .limit(RestartLimit::window(0, Duration::from_secs(1)))
        .on_limit(OnLimit::Escalate);
    let mut tier = SupervisorActor::new("tier", spec);
    let fixed = tier.add(ServiceSpec::new("fixed", Leaf::default)).unwrap();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let tier: ServiceRef<SupervisorActor> = root
        .add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let tier = SupervisorRef::from(&tier);
    let added = tier
        .add_and_wait(ServiceSpec::new("added", Leaf::default))
        .await
        .unwrap();
    assert_eq!(fixed.path(), "root/tier/fixed");
    assert_eq!(added.path(), "root/tier/added");

    let mut events = root.events();
    fixed.do_send(Crash);
    assert_eq!(fixed.send(Generation).await, Ok(1));
    assert_eq!(added.send(Generation).await, Ok(1));
    let mut kinds = Vec::new();
    while let Some(event) = events.try_next() {
        kinds.push(event.to_string());
    }
    assert!(
        kinds.iter().any(|line| line.contains("gave up")),
        "{kinds:#?}"
    );
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn one_for_all_restarts_everybody() {
    time::pause();
    let spec = SupervisorSpec::default().strategy(Strategy::OneForAll);
    let mut root = SupervisorActor::new("root", spec);
    let a = root.add(ServiceSpec::new("a", Leaf::default)).unwrap();
    let b = root.add(ServiceSpec::new("b", Leaf::default)).unwrap();
    let root = root.start().await.unwrap();
    b.do_send(Crash);
    assert_eq!(b.send(Generation).await, Ok(1));
    assert_eq!(a.send(Generation).await, Ok(1));
    root.shutdown().await.unwrap();
}

/// A supervisor that is built anew for each start, and a log of what it does.
fn building(
    log: &Arc<Mutex<Vec<String>>>,
    fails: impl Fn(usize) -> bool + Send + 'static,
) -> SupervisorSpec {
    let log = Arc::clone(log);
    let mut builds = 0;
    SupervisorSpec::default()
        .limit(RestartLimit::window(0, Duration::from_secs(1)))
        .on_limit(OnLimit::Escalate)
        .build(move |services| {
            let number = builds;
            builds += 1;
            log.lock().unwrap().push(format!("build {number}"));
            let notes = Arc::clone(&log);
            services.on_cleanup(move || notes.lock().unwrap().push(format!("clean {number}")));
            services.add(ServiceSpec::new("built", Leaf::default))?;
            assert!(number != 7, "panic in build");
            if fails(number) {
                return Err(Box::<dyn std::error::Error + Send + Sync>::from(
                    "no socket",
                ));
            }
            Ok(())
        })
}

#[actix::test]
async fn supervisor_is_built_anew_for_each_start_and_cleaned_up_after_each() {
    time::pause();
    let log = Arc::new(Mutex::new(Vec::new()));
    let tier = SupervisorActor::new("tier", building(&log, |_| false));
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    root.add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let built: ServiceRef<Leaf> = root.lookup("root/tier/built").await.unwrap();
    built.do_send(Crash);
    // The address survives the build.
    assert_eq!(built.send(Generation).await, Ok(1));
    root.shutdown().await.unwrap();
    let log = log.lock().unwrap();
    assert_eq!(*log, ["build 0", "clean 0", "build 1", "clean 1"]);
}

#[actix::test]
async fn failed_build_is_a_failed_start_and_is_cleaned_up() {
    time::pause();
    let log = Arc::new(Mutex::new(Vec::new()));
    let spec = building(&log, |number| number == 0);
    let failed = SupervisorActor::new("root", spec)
        .start()
        .await
        .unwrap_err();
    assert!(failed.to_string().contains("root"), "{failed}");
    assert_eq!(*log.lock().unwrap(), ["build 0", "clean 0"]);
}

#[actix::test]
async fn panic_in_a_build_is_a_failed_start_and_is_cleaned_up() {
    time::pause();
    let cleaned = Arc::new(Mutex::new(0));
    let count = Arc::clone(&cleaned);
    let spec = SupervisorSpec::default().build(move |services| {
        let count = Arc::clone(&count);
        services.on_cleanup(move || *count.lock().unwrap() += 1);
        services.on_cleanup(|| panic!("in the clean-up"));
        panic!("in the build");
        #[expect(unreachable_code, reason = "says which error the function has")]
        Ok::<_, AddError>(())
    });
    let failed = SupervisorActor::new("root", spec)
        .start()
        .await
        .unwrap_err();
    let StartError::Failed { reason, .. } = failed else {
        panic!("{failed}");
    };
    assert!(reason.to_string().contains("in the build"), "{reason}");
    assert_eq!(*cleaned.lock().unwrap(), 1);
}
