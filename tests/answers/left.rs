//! The caller goes away before the supervisor has read what it was asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use futures::{FutureExt, future};
use resurgam::{
    Backoff, Events, Readiness, RestartError, RestartLimit, ServiceContext, ServiceRef,
    ServiceSpec, ServiceToken, SupervisorActor, SupervisorRef, SupervisorSpec, message,
};
use tokio::{sync::mpsc, time};

use crate::support::{FailWith, Operation, Plain, SOON, Way, soon, told};

/// Where the supervisor that is asked stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Level {
    Nested,
    Root,
}

/// What the supervisor is about when it is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Paused,
    Running,
    Starting,
}

/// Says who its supervisor is.
struct Teller(mpsc::UnboundedSender<SupervisorRef>);

impl Actor for Teller {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let _told_once = self.0.send(ctx.supervisor());
    }
}

/// A supervisor with a service `plain`, and whatever keeps it in its state.
struct Asked {
    supervisor: SupervisorRef,
    plain: ServiceToken,
    events: Events,
}

impl Asked {
    async fn new(level: Level, state: State) -> Self {
        let limit = RestartLimit::decay(Duration::from_secs(60), 0.5, Duration::from_secs(3600));
        let spec = SupervisorSpec::default().limit(limit);
        let name = match level {
            Level::Nested => "sub",
            Level::Root => "root",
        };
        let mut supervisor = SupervisorActor::new(name, spec);
        let (teller, mut told) = mpsc::unbounded_channel();
        let plain = ServiceSpec::new("plain", move || Teller(teller.clone()));
        let plain = supervisor.add(plain).unwrap().token();
        let weak = supervisor.add(ServiceSpec::new("weak", Plain::default));
        let weak: ServiceRef<Plain> = weak.unwrap();
        if state == State::Starting {
            let slow = ServiceSpec::new("slow", Plain::default).readiness(Readiness::Explicit);
            supervisor.add(slow).unwrap();
        }
        let root = match level {
            Level::Root => supervisor,
            Level::Nested => {
                let mut root = SupervisorActor::with_defaults("root");
                root.add(ServiceSpec::supervisor(supervisor)).unwrap();
                root
            }
        };
        // A root that is starting is known to its services alone.
        actix_rt::spawn(async move {
            let started = root.start().await;
            if let Ok(root) = started {
                let _ended = root.join().await;
            }
        });
        let supervisor = told.recv().await.unwrap();
        let mut events = supervisor.events();
        if state == State::Paused {
            soon(supervisor.counts(), "counts").await.unwrap();
            weak.do_send(FailWith("once too often".into()));
        }
        // Everything comes to rest.
        time::sleep(Duration::from_millis(10)).await;
        while events.next().now_or_never().flatten().is_some() {}
        Self {
            supervisor,
            plain,
            events,
        }
    }
}

#[actix::test]
async fn what_was_asked_is_done_though_its_caller_left_before_it_was_read() {
    time::pause();
    for level in [Level::Nested, Level::Root] {
        for state in [State::Paused, State::Running, State::Starting] {
            for operation in Operation::ALL {
                for way in Way::ALL {
                    let mut asked = Asked::new(level, state).await;
                    let path = asked.supervisor.path().to_owned();

                    operation.ask_and_leave(way, &asked.supervisor, asked.plain);

                    let what = format!("{operation:?} by {way:?}, {level:?}, {state:?}");
                    let fits = |event: &_| operation.is_told_by(event, &path);
                    told(&mut asked.events, fits, &what).await;
                    let _report = soon(asked.supervisor.shutdown(), "shutdown").await;
                }
            }
        }
    }
}

#[actix::test]
async fn mailbox_of_a_supervisor_takes_any_number_of_requests_whatever_its_spec_says() {
    time::pause();
    for capacity in [1, 16] {
        let root = SupervisorActor::with_defaults("root")
            .start()
            .await
            .unwrap();
        let sub = ServiceSpec::supervisor(SupervisorActor::with_defaults("sub"));
        let sub = root.add_and_wait(sub.mailbox_capacity(capacity)).await;
        let sub = SupervisorRef::try_from(&sub.unwrap()).unwrap();
        for supervisor in [&root, &sub] {
            for number in 0..100 {
                let name = format!("plain-{number}");
                let add = message::Add::new(ServiceSpec::new(name, Plain::default));
                // Refused at once where there is a limit, and sent again by nobody.
                assert!(supervisor.addr().try_send(add).is_ok(), "{number}");
            }
        }
        let counts = soon(root.counts(), "counts").await.unwrap();
        assert_eq!(counts.services, 101);
        let counts = soon(sub.counts(), "counts").await.unwrap();
        assert_eq!(counts.services, 100);
        root.shutdown().await.unwrap();
    }
}

/// Fails its first starts, and is ready then.
struct Weak;

impl Actor for Weak {
    type Context = ServiceContext<Self>;
}

fn weak(starts: &Arc<AtomicUsize>) -> ServiceSpec<Weak> {
    let starts = Arc::clone(starts);
    let backoff = Backoff::constant(Duration::from_millis(10));
    ServiceSpec::try_new("weak", move |_| {
        match starts.fetch_add(1, Ordering::SeqCst) {
            0..2 => Err("not yet"),
            _ => Ok(Weak),
        }
    })
    .backoff(backoff)
}

#[actix::test]
async fn add_and_wait_keeps_the_service_of_a_caller_that_left_before_it_was_read() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let starts = Arc::default();
    assert!(root.add_and_wait(weak(&starts)).now_or_never().is_none());
    let ready = soon(root.when_ready::<Weak>("root/weak"), "when_ready");
    // Not there yet: the request was not read.
    soon(root.counts(), "counts").await.unwrap();
    assert!(ready.await.is_ok());
    assert_eq!(starts.load(Ordering::SeqCst), 3);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn add_and_wait_keeps_the_service_of_a_caller_that_leaves_while_it_waits() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let starts = Arc::default();
    let never = ServiceSpec::new("never", Plain::default).readiness(Readiness::Explicit);
    let gate = soon(root.add(never), "add").await.unwrap();
    // Waits for the gate, and so longer than its caller.
    let waits = root.add_and_wait(weak(&starts).requires("never"));
    assert!(time::timeout(SOON / 2, waits).await.is_err());
    let counts = soon(root.counts(), "counts").await.unwrap();
    assert_eq!(counts.services, 2);
    // What it requires is gone for ever. One that somebody waits for would be forgotten.
    soon(root.remove(gate.token()), "remove").await.unwrap();
    let counts = soon(root.counts(), "counts").await.unwrap();
    assert_eq!(counts.services, 1);
    let gate = ServiceSpec::new("never", Plain::default);
    soon(root.add(gate), "add").await.unwrap();
    let ready = root.when_ready::<Weak>("root/weak");
    assert!(soon(ready, "when_ready").await.is_ok());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn add_and_wait_still_forgets_the_service_whose_first_start_fails() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let starts = Arc::default();
    let added = soon(root.add_and_wait(weak(&starts)), "add_and_wait").await;
    assert!(added.is_err());
    assert_eq!(root.counts().await.unwrap().services, 0);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn restart_of_a_stopped_service_that_fails_leaves_it_stopped_though_its_caller_left() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let starts = Arc::new(AtomicUsize::new(2));
    let weak = soon(root.add_and_wait(weak(&starts)), "add_and_wait").await;
    let token = weak.unwrap().token();
    soon(root.stop(token), "stop").await.unwrap();
    starts.store(0, Ordering::SeqCst);
    assert!(root.restart(token).now_or_never().is_none());
    time::sleep(SOON).await;
    assert_eq!(starts.load(Ordering::SeqCst), 1);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_of_the_users_still_passes_over_a_message_whose_caller_left() {
    #[derive(Message)]
    #[rtype(result = "()")]
    struct Count(Arc<AtomicUsize>);

    struct Counter;

    impl Actor for Counter {
        type Context = ServiceContext<Self>;
    }

    impl Handler<Count> for Counter {
        type Result = ();

        fn handle(&mut self, Count(count): Count, _: &mut Self::Context) {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }

    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let counter = root.add_and_wait(ServiceSpec::new("counter", || Counter));
    let counter = counter.await.unwrap();
    let count = Arc::default();
    assert!(
        counter
            .send(Count(Arc::clone(&count)))
            .now_or_never()
            .is_none()
    );
    counter.do_send(Count(Arc::clone(&count)));
    counter.send(Count(Arc::clone(&count))).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 2);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn caller_that_waits_among_many_that_have_left_is_answered() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let never = ServiceSpec::new("never", Plain::default).readiness(Readiness::Explicit);
    let token = root.add(never).await.unwrap().token();
    let leave = async |count| {
        for _ in 0..count {
            assert!(root.restart(token).now_or_never().is_none());
        }
        soon(root.counts(), "counts").await.unwrap();
    };
    leave(1_000).await;
    let stays = root.restart(token);
    let removed = async {
        leave(1_000).await;
        root.remove(token).await
    };
    let (stays, removed) = soon(future::join(stays, removed), "an operation").await;
    assert_eq!(stays, Err(RestartError::Interrupted));
    assert!(removed.is_ok(), "{removed:?}");
    root.shutdown().await.unwrap();
}
