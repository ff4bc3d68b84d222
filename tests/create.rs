//! Factories that see the context of their actor, in both kinds of context.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "factories that panic, and helpers of tests"
)]

use std::sync::{Arc, Mutex};

use actix::{fut, prelude::*};
use futures::stream;
use resurgam::{
    EventKind, ExitReason, HostedContext, Readiness, RestartType, ServiceContext, ServiceError,
    ServiceSpec, ServiceState, StartError, SupervisorActor, SupervisorRef, Verdict,
};

/// What has happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// An actor in the crate's context, and one in actix's: both note what happens to them.
struct Ours(Log);
struct Theirs(Log);

macro_rules! noting {
    ($actor:ident, $context:ident) => {
        impl Actor for $actor {
            type Context = $context<Self>;

            fn started(&mut self, _: &mut Self::Context) {
                self.0.note("started");
            }

            fn stopping(&mut self, _: &mut Self::Context) -> Running {
                self.0.note("stopping");
                Running::Stop
            }

            fn stopped(&mut self, _: &mut Self::Context) {
                self.0.note("stopped");
            }
        }

        impl StreamHandler<&'static str> for $actor {
            fn handle(&mut self, item: &'static str, _: &mut Self::Context) {
                self.0.note(item);
            }

            fn finished(&mut self, _: &mut Self::Context) {}
        }

        impl Handler<Note> for $actor {
            type Result = ();
            fn handle(&mut self, note: Note, _: &mut Self::Context) {
                self.0.note(note.0);
            }
        }

        impl From<Log> for $actor {
            fn from(log: Log) -> Self {
                Self(log)
            }
        }
    };
}

noting!(Ours, ServiceContext);
noting!(Theirs, Context);

#[derive(Message)]
#[rtype(result = "()")]
struct Note(&'static str);

/// Panics when it is dropped, after a note.
struct Bomb(Log);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.note("bomb dropped");
        panic!("in the drop");
    }
}

async fn root() -> SupervisorRef {
    SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap()
}

async fn runs_after_started<A>()
where
    A: Actor + From<Log> + StreamHandler<&'static str> + Handler<Note>,
    A::Context: HostedContext<A> + dev::ToEnvelope<A, Note>,
{
    let (root, log) = (root().await, Log::default());
    let noted = log.clone();
    let made = root
        .add_and_wait(ServiceSpec::create("made", move |ctx: &mut A::Context| {
            noted.note("factory");
            let later = noted.clone();
            ctx.wait(fut::ready(()).map(move |(), _: &mut A, _| later.note("awaited")));
            A::add_stream(stream::iter(["streamed"]), ctx);
            ctx.address().do_send(Note("sent"));
            A::from(noted.clone())
        }))
        .await
        .unwrap();
    made.send(Note("from outside")).await.unwrap();
    let all = log.take();
    assert_eq!(all[..3], ["factory", "started", "awaited"]);
    let at = |what| all.iter().position(|&noted| noted == what);
    assert!(
        at("streamed").is_some() && at("sent") < at("from outside"),
        "{all:?}"
    );
    root.shutdown().await.unwrap();
    assert_eq!(log.take(), ["stopping", "stopped"]);
}

#[actix::test]
async fn what_a_factory_spawns_runs_after_started() {
    runs_after_started::<Ours>().await;
    runs_after_started::<Theirs>().await;
}

/// A restarted service gets a new context; its address is the same.
#[actix::test]
async fn each_incarnation_has_a_fresh_context() {
    let (root, log) = (root().await, Log::default());
    let noted = log.clone();
    let spec = ServiceSpec::create("made", move |ctx: &mut Context<Theirs>| {
        Theirs::add_stream(stream::iter(["streamed"]), ctx);
        Theirs(noted.clone())
    });
    let made = root.add_and_wait(spec).await.unwrap();
    root.restart(&made).await.unwrap();
    made.send(Note("sent")).await.unwrap();
    let streamed = log
        .take()
        .iter()
        .filter(|&&what| what == "streamed")
        .count();
    assert_eq!(streamed, 2);
    root.shutdown().await.unwrap();
}

async fn stopped_by_factory<A>()
where
    A: Actor + From<Log>,
    A::Context: HostedContext<A>,
{
    let (root, log) = (root().await, Log::default());
    let noted = log.clone();
    let spec = ServiceSpec::create("made", move |ctx: &mut A::Context| {
        ctx.stop();
        A::from(noted.clone())
    });
    let error = root.add_and_wait(spec).await.unwrap_err();
    let StartError::Failed {
        reason: ExitReason::Failed(error),
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(
        matches!(error.downcast_ref(), Some(StartError::StoppedByFactory { path, .. }) if &**path == "root/made"),
        "{error:?}"
    );
    // The actor has never been one.
    assert_eq!(log.take(), [""; 0]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn stop_in_the_factory_is_a_failed_start() {
    stopped_by_factory::<Ours>().await;
    stopped_by_factory::<Theirs>().await;
}

#[actix::test]
async fn failure_in_the_factory_is_a_failed_start_and_a_verdict_counts() {
    let (root, log) = (root().await, Log::default());
    let noted = log.clone();
    let spec = ServiceSpec::create("made", move |ctx: &mut ServiceContext<Ours>| {
        ctx.fail("no port");
        Ours(noted.clone())
    });
    let error = root.add_and_wait(spec).await.unwrap_err();
    assert!(
        matches!(&error, StartError::Failed { reason: ExitReason::Failed(error), .. } if error.to_string() == "no port"),
        "{error:?}"
    );
    let noted = log.clone();
    let spec = ServiceSpec::create("made", move |ctx: &mut ServiceContext<Ours>| {
        ctx.exit(Verdict::DoNotRestart);
        Ours(noted.clone())
    });
    let error = root.add_and_wait(spec).await.unwrap_err();
    assert!(matches!(error, StartError::Declined { .. }), "{error:?}");
    assert_eq!(log.take(), [""; 0]);
    root.shutdown().await.unwrap();
}

/// What an API answers, and what a log says of a service that passes it on.
#[actix::test]
async fn start_error_names_its_reason() {
    let root = root().await;
    let spec = ServiceSpec::try_create("made", |_: &mut ServiceContext<Ours>| {
        Err::<Ours, _>(std::io::Error::from(std::io::ErrorKind::AddrInUse))
    });
    let error = root.add_and_wait(spec).await.unwrap_err();
    let text = "service `root/made` failed to start: failed: address in use";
    assert_eq!(error.to_string(), text);
    assert_eq!(format!("{error:#}"), text);
    let passed_on = ExitReason::Failed(ServiceError::new(error));
    assert_eq!(format!("{passed_on:#}"), format!("failed: {text}"));
    let refused = root
        .add_and_wait(ServiceSpec::create("a/b", |_: &mut Context<Theirs>| {
            Theirs(Log::default())
        }))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("`/`"), "{refused}");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn factory_that_sees_the_context_may_fail() {
    let root = root().await;
    let spec = ServiceSpec::try_create("ours", |_: &mut ServiceContext<Ours>| {
        Err::<Ours, _>("no port")
    });
    let ours = root.add_and_wait(spec).await.unwrap_err();
    let spec = ServiceSpec::try_create("theirs", |_: &mut Context<Theirs>| {
        Err::<Theirs, _>("no port")
    });
    let theirs = root.add_and_wait(spec).await.unwrap_err();
    for error in [ours, theirs] {
        assert!(
            matches!(&error, StartError::Failed { reason: ExitReason::Failed(error), .. } if error.to_string() == "no port"),
            "{error:?}"
        );
    }
    root.shutdown().await.unwrap();
}

/// Two panics at once would abort the process.
#[actix::test]
async fn what_a_panicking_factory_has_spawned_is_dropped_piece_by_piece() {
    let (root, log) = (root().await, Log::default());
    let noted = log.clone();
    let mut first = true;
    let spec = ServiceSpec::create("ours", move |ctx: &mut ServiceContext<Ours>| {
        if std::mem::take(&mut first) {
            for _ in 0..2 {
                let (spawned, awaited) = (Bomb(noted.clone()), Bomb(noted.clone()));
                ctx.spawn(fut::ready(()).map(move |(), _, _| drop(spawned)));
                ctx.wait(fut::ready(()).map(move |(), _, _| drop(awaited)));
            }
            panic!("on purpose");
        }
        Ours(noted.clone())
    });
    let mut events = root.events();
    let ours = root.add(spec).await.unwrap();
    // Its next incarnation is none the worse for it.
    ours.send(Note("sent")).await.unwrap();
    assert_eq!(
        log.take(),
        [
            "bomb dropped",
            "bomb dropped",
            "bomb dropped",
            "bomb dropped",
            "started",
            "sent"
        ]
    );
    let panicked = loop {
        let event = events.next().await.unwrap();
        if let EventKind::ServiceStartFailed { reason, .. } = event.kind() {
            break reason.to_string();
        }
    };
    assert!(panicked.contains("on purpose"), "{panicked}");

    // actix gives out no part of its context: there it may be one.
    let noted = log.clone();
    let mut first = true;
    let spec = ServiceSpec::create("theirs", move |ctx: &mut Context<Theirs>| {
        if std::mem::take(&mut first) {
            let bomb = Bomb(noted.clone());
            ctx.spawn(fut::ready(()).map(move |(), _, _| drop(bomb)));
            panic!("on purpose");
        }
        Theirs(noted.clone())
    });
    let theirs = root.add(spec).await.unwrap();
    theirs.send(Note("sent")).await.unwrap();
    assert_eq!(log.take(), ["bomb dropped", "started", "sent"]);
    root.shutdown().await.unwrap();
}

/// Ready said by the factory is ready when `started` has returned: one that fails there never was.
#[actix::test]
async fn ready_in_the_factory_counts_after_started() {
    struct Fails(bool);
    impl Actor for Fails {
        type Context = ServiceContext<Self>;
        fn started(&mut self, ctx: &mut Self::Context) {
            if self.0 {
                ctx.fail("in started");
            }
        }
    }
    let root = root().await;
    let spec = |name: &'static str, fails| {
        ServiceSpec::create(name, move |ctx: &mut ServiceContext<Fails>| {
            ctx.ready();
            Fails(fails)
        })
        .readiness(Readiness::Explicit)
        .restart(RestartType::Temporary)
    };
    let good = root.add_and_wait(spec("good", false)).await.unwrap();
    assert_eq!(
        root.report().await.unwrap().services()[0].state(),
        ServiceState::Ready
    );
    assert!(good.connected());
    let error = root.add_and_wait(spec("bad", true)).await.unwrap_err();
    assert!(matches!(error, StartError::Failed { .. }), "{error:?}");
    root.shutdown().await.unwrap();
}

/// Adds a service for each item of its stream, as a listener does for each connection.
struct Listener {
    supervisor: SupervisorRef,
    log: Log,
}

impl Actor for Listener {
    type Context = Context<Self>;
}

impl StreamHandler<&'static str> for Listener {
    fn handle(&mut self, item: &'static str, ctx: &mut Self::Context) {
        let (supervisor, log) = (self.supervisor.clone(), self.log.clone());
        let session = ServiceSpec::unnamed(item, move || Ours(log.clone()));
        let session = session.restart(RestartType::Temporary);
        ctx.spawn(async move { supervisor.add(session).await.map(drop).unwrap() }.into_actor(self));
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

/// What plain actix does in one `Actor::create`: see the page for those who come from there.
#[actix::test]
async fn factory_sees_the_context_and_which_service_it_makes() {
    let (root, log) = (root().await, Log::default());
    let noted = log.clone();
    let (chat, sessions) = (Log::default(), log.clone());
    root.add(ServiceSpec::new("chat", move || Ours(chat.clone())))
        .await
        .unwrap();
    let mut events = root.events();
    let spec = ServiceSpec::try_create_with("listener", move |cx, ctx: &mut Context<Listener>| {
        let chat = cx.get::<Ours>("chat")?;
        assert_eq!((chat.path(), cx.path()), ("root/chat", "root/listener"));
        noted.note("made");
        Listener::add_stream(stream::iter(["session"; 2]), ctx);
        Ok::<_, StartError>(Listener {
            supervisor: cx.supervisor(),
            log: sessions.clone(),
        })
    });
    root.add_and_wait(spec.requires("chat")).await.unwrap();
    let mut ready = Vec::new();
    while ready.len() < 3 {
        let event = events.next().await.unwrap();
        if matches!(event.kind(), EventKind::ServiceReady) {
            ready.push(event.path().to_owned());
        }
    }
    ready.sort();
    assert_eq!(
        ready,
        ["root/listener", "root/session[1]", "root/session[2]"]
    );
    assert_eq!(log.take(), ["made", "started", "started"]);
    // Its error is a failed start.
    let failing = ServiceSpec::try_create_with("failing", |cx, _: &mut ServiceContext<Ours>| {
        cx.get::<Ours>("nobody").map(|_| Ours(Log::default()))
    });
    let error = root.add_and_wait(failing).await.unwrap_err();
    assert!(error.to_string().contains("requires `nobody`"), "{error}");
    root.shutdown().await.unwrap();
}
