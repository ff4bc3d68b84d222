//! What a service is that an existing actor makes.

use std::error::Error;

use actix::prelude::*;
use resurgam::{
    AddError, Backoff, EventKind, ExitReason, LookupError, Placement, Readiness, RestartType,
    ServiceRef, ServiceSpec, Shutdown, StartContext, StartError, SupervisorActor, SupervisorRef,
    message,
};
use tokio::{
    sync::{mpsc, oneshot},
    time,
};

use crate::support::ms;

/// Counts what it is sent. It knows nothing of services.
struct Plain {
    count: u64,
    log: mpsc::UnboundedSender<&'static str>,
    stop: Running,
}

impl Actor for Plain {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.note("started");
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        self.note("stopping");
        if self.stop == Running::Continue {
            ctx.run_later(ms(5000), |plain, ctx| {
                plain.stop = Running::Stop;
                ctx.stop();
            });
        }
        self.stop
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.note("stopped");
    }
}

impl Supervised for Plain {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.note("restarting");
    }
}

impl Plain {
    fn note(&self, entry: &'static str) {
        // The test may be over before the actor is.
        let _ = self.log.send(entry);
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.note("dropped");
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Count;

impl Handler<Count> for Plain {
    type Result = u64;

    fn handle(&mut self, _: Count, _: &mut Context<Self>) -> u64 {
        self.count += 1;
        self.count
    }
}

/// Something that an actor may do.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
enum Do {
    CancelItself,
    Panic,
    PanicLater,
    Stop,
    Terminate,
}

impl Handler<Do> for Plain {
    type Result = ();

    fn handle(&mut self, msg: Do, ctx: &mut Context<Self>) {
        match msg {
            Do::CancelItself => {
                ctx.cancel_future(ctx.handle());
            }
            Do::Panic => panic!("on request"),
            Do::PanicLater => {
                ctx.run_later(ms(10), |_, _| panic!("later"));
            }
            Do::Stop => ctx.stop(),
            Do::Terminate => ctx.terminate(),
        }
    }
}

/// Asks for the address that the actor's own context gives.
#[derive(Message)]
#[rtype(result = "Addr<Plain>")]
struct OwnAddress;

impl Handler<OwnAddress> for Plain {
    type Result = Addr<Self>;

    fn handle(&mut self, _: OwnAddress, ctx: &mut Context<Self>) -> Addr<Self> {
        ctx.address()
    }
}

/// Holds up the actor until the sender is used or dropped.
#[derive(Message)]
#[rtype(result = "()")]
struct Hold(oneshot::Receiver<()>);

impl Handler<Hold> for Plain {
    type Result = ();

    fn handle(&mut self, msg: Hold, ctx: &mut Context<Self>) {
        msg.0.into_actor(self).map(|_, _, _| ()).wait(ctx);
    }
}

/// Says that it is handled, and blocks the actor's thread until the other sender is used or dropped.
#[derive(Message)]
#[rtype(result = "()")]
struct Block(oneshot::Sender<()>, std::sync::mpsc::Receiver<()>);

impl Handler<Block> for Plain {
    type Result = ();

    fn handle(&mut self, msg: Block, _: &mut Context<Self>) {
        msg.0.send(()).unwrap();
        let _sent_or_dropped = msg.1.recv();
    }
}

struct Subject {
    root: SupervisorRef,
    plain: ServiceRef<Plain>,
    log: mpsc::UnboundedReceiver<&'static str>,
}

impl Subject {
    async fn run(rules: impl FnOnce(ServiceSpec<Plain>) -> ServiceSpec<Plain>) -> Self {
        Self::stopping(Running::Stop, rules).await
    }

    async fn stopping(
        stop: Running,
        rules: impl FnOnce(ServiceSpec<Plain>) -> ServiceSpec<Plain>,
    ) -> Self {
        let (tx, log) = mpsc::unbounded_channel();
        let spec = ServiceSpec::actor("plain", move || Plain {
            count: 0,
            log: tx.clone(),
            stop,
        });
        let root = SupervisorActor::with_defaults("root")
            .start()
            .await
            .unwrap();
        let plain = root.add_and_wait(rules(spec)).await.unwrap();
        Self { root, plain, log }
    }

    async fn log_until(&mut self, last: &str) -> Vec<&'static str> {
        let mut entries = Vec::new();
        while entries.last() != Some(&last) {
            entries.push(self.log.recv().await.unwrap());
        }
        entries
    }

    /// How the present incarnation ends, once it does what it is told.
    async fn end(&self, cause: Do) -> EventKind {
        let mut events = self.root.events();
        self.plain.do_send(cause);
        loop {
            let event = events.next().await.unwrap();
            if matches!(
                event.kind(),
                EventKind::ServicePanicked { .. } | EventKind::ServiceCompleted { .. }
            ) {
                return event.kind().clone();
            }
        }
    }
}

#[actix::test]
async fn address_and_queue_survive_a_panic() {
    let mut subject = Subject::run(|spec| spec).await;
    assert_eq!(subject.plain.send(Count).await, Ok(1));
    assert_eq!(subject.plain.send(Count).await, Ok(2));

    subject.plain.do_send(Do::Panic);
    let queued = [subject.plain.send(Count), subject.plain.send(Count)];

    assert_eq!(
        futures::future::join_all(queued).await,
        [Ok(1), Ok(2)],
        "a fresh actor, with all that was queued"
    );
    assert_eq!(
        subject.log_until("started").await,
        ["started"],
        "the first one"
    );
    assert_eq!(subject.log_until("started").await, ["dropped", "started"]);
}

#[actix::test]
async fn sender_of_the_message_that_panics_gets_an_error() {
    let subject = Subject::run(|spec| spec).await;

    assert_eq!(
        subject.plain.send(Do::Panic).await,
        Err(MailboxError::Closed)
    );
    assert_eq!(subject.plain.send(Count).await, Ok(1));
}

#[actix::test]
async fn own_address_of_an_incarnation_leads_to_the_next_one() {
    let subject = Subject::run(|spec| spec).await;
    let own = subject.plain.send(OwnAddress).await.unwrap();
    assert_eq!(own, *subject.plain.addr());

    subject.end(Do::Panic).await;

    assert_eq!(own.send(Count).await, Ok(1));
}

#[actix::test]
async fn panic_in_a_future_is_the_end_of_the_incarnation_with_its_message_and_place() {
    time::pause();
    let subject = Subject::run(|spec| spec).await;

    let end = subject.end(Do::PanicLater).await;

    let EventKind::ServicePanicked {
        message, location, ..
    } = end
    else {
        unreachable!("{end:?}");
    };
    assert_eq!(message, "later");
    assert!(location.contains("life.rs"), "{location}");
    assert_eq!(subject.plain.send(Count).await, Ok(1));
}

#[actix::test]
async fn no_hook_is_called_after_a_panic() {
    let mut subject = Subject::run(|spec| spec.restart(RestartType::Temporary)).await;

    subject.plain.do_send(Do::Panic);

    assert_eq!(subject.log_until("dropped").await, ["started", "dropped"]);
}

#[actix::test]
async fn stop_and_terminate_are_normal_ends() {
    let mut subject = Subject::run(|spec| spec).await;

    let end = subject.end(Do::Stop).await;
    assert!(matches!(end, EventKind::ServiceCompleted { .. }), "{end:?}");
    assert_eq!(
        subject.log_until("dropped").await,
        ["started", "stopping", "stopped", "dropped"]
    );

    let end = subject.end(Do::Terminate).await;
    assert!(matches!(end, EventKind::ServiceCompleted { .. }), "{end:?}");
    assert_eq!(
        subject.log_until("dropped").await,
        ["started", "stopped", "dropped"]
    );
}

#[actix::test]
async fn restart_makes_a_new_value_and_does_not_call_restarting() {
    let mut subject = Subject::run(|spec| spec).await;
    assert_eq!(subject.plain.send(Count).await, Ok(1));

    subject.root.restart(subject.plain.token()).await.unwrap();

    assert_eq!(subject.plain.send(Count).await, Ok(1));
    assert_eq!(
        subject.log_until("dropped").await,
        ["started", "stopping", "stopped", "dropped"]
    );
    assert_eq!(subject.log_until("started").await, ["started"]);
}

#[actix::test]
async fn removal_is_a_shutdown_with_the_hooks_of_a_stop() {
    let mut subject = Subject::run(|spec| spec).await;

    let reason = subject.root.remove(subject.plain.token()).await;

    assert_eq!(reason, Ok(ExitReason::Shutdown));
    assert_eq!(
        subject.log_until("dropped").await,
        ["started", "stopping", "stopped", "dropped"]
    );
    assert_eq!(subject.plain.send(Count).await, Err(MailboxError::Closed));
}

#[actix::test]
async fn removal_waits_for_one_that_goes_on_when_it_is_asked_to_stop() {
    time::pause();
    let mut subject = Subject::stopping(Running::Continue, |spec| spec).await;
    let before = time::Instant::now();

    let reason = subject.root.remove(subject.plain.token()).await;

    assert_eq!(reason, Ok(ExitReason::Shutdown));
    assert!(before.elapsed() >= ms(5000));
    assert_eq!(
        subject.log_until("dropped").await,
        ["started", "stopping", "stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn removal_does_not_queue_behind_messages_or_a_wait() {
    let mut subject = Subject::run(|spec| spec).await;
    let (_held, hold) = oneshot::channel();
    subject.plain.do_send(Hold(hold));
    let behind = subject.plain.send(Count);

    let reason = subject.root.remove(subject.plain.token()).await;

    assert_eq!(reason, Ok(ExitReason::Shutdown));
    assert_eq!(behind.await, Err(MailboxError::Closed));
    assert_eq!(
        subject.log_until("dropped").await,
        ["started", "stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn kill_drops_it_without_its_hooks() {
    let mut subject = Subject::run(|spec| spec.shutdown(Shutdown::BrutalKill)).await;

    let reason = subject.root.remove(subject.plain.token()).await.unwrap();

    assert!(matches!(reason, ExitReason::Killed(_)), "{reason}");
    assert_eq!(subject.log_until("dropped").await, ["started", "dropped"]);
}

#[actix::test]
async fn no_message_is_handled_after_a_kill() {
    let subject = Subject::run(|spec| {
        spec.placement(Placement::Dedicated)
            .shutdown(Shutdown::BrutalKill)
    })
    .await;
    let (blocks, blocked) = oneshot::channel();
    let (release, block) = std::sync::mpsc::channel();
    subject.plain.do_send(Block(blocks, block));
    let behind = subject.plain.send(Count);
    blocked.await.unwrap();

    let removal = subject.root.remove(subject.plain.token());
    let released = async {
        subject.root.report().await.unwrap(); // behind the removal
        release.send(()).unwrap();
    };
    let (reason, ()) = futures::join!(removal, released);

    assert!(matches!(reason, Ok(ExitReason::Killed(_))), "{reason:?}");
    assert_eq!(behind.await, Err(MailboxError::Closed));
}

#[actix::test]
async fn messages_wait_while_it_is_down() {
    time::pause();
    let subject = Subject::run(|spec| spec.backoff(Backoff::constant(ms(1000)))).await;
    subject.end(Do::Panic).await;
    let before = time::Instant::now();

    assert_eq!(subject.plain.send(Count).await, Ok(1));

    assert!(before.elapsed() >= ms(1000));
}

#[actix::test]
async fn it_runs_on_a_thread_of_its_own_and_comes_back_there() {
    let subject = Subject::run(|spec| spec.placement(Placement::Dedicated)).await;
    assert_eq!(subject.plain.send(Count).await, Ok(1));

    subject.end(Do::Panic).await;

    assert_eq!(subject.plain.send(Count).await, Ok(1));
    let reason = subject.root.remove(subject.plain.token()).await;
    assert_eq!(reason, Ok(ExitReason::Shutdown));
}

#[actix::test]
async fn it_is_looked_up_by_its_type_and_added_by_a_message() {
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let (log, _) = mpsc::unbounded_channel();
    let spec = ServiceSpec::actor("plain", move || Plain {
        count: 0,
        log: log.clone(),
        stop: Running::Stop,
    });

    let plain = root.addr().send(message::Add::new(spec)).await.unwrap();

    let token = plain.unwrap().token();
    let found: ServiceRef<Plain> = root.lookup("root/plain").await.unwrap();
    assert_eq!(found.token(), token);
    let wrong = root.lookup::<SupervisorActor>(token).await;
    assert!(
        matches!(wrong, Err(LookupError::WrongType { .. })),
        "{wrong:?}"
    );
}

#[actix::test]
async fn factory_that_may_fail_gets_what_the_service_requires() {
    struct Front(Addr<Plain>);
    impl Actor for Front {
        type Context = Context<Self>;
    }
    impl Handler<OwnAddress> for Front {
        type Result = Addr<Plain>;
        fn handle(&mut self, _: OwnAddress, _: &mut Context<Self>) -> Addr<Plain> {
            self.0.clone()
        }
    }
    let subject = Subject::run(|spec| spec).await;
    let front = |cx: &StartContext| Ok::<_, StartError>(Front(cx.get("plain")?.addr().clone()));

    let spec = ServiceSpec::try_actor("front", front).requires("plain");
    let service = subject.root.add_and_wait(spec).await.unwrap();

    assert_eq!(
        service.send(OwnAddress).await.unwrap(),
        *subject.plain.addr()
    );
    let spec = ServiceSpec::try_actor("lost", front);
    let error = subject.root.add_and_wait(spec).await.unwrap_err();
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("plain"), "{cause}");
}

#[actix::test]
async fn explicit_readiness_is_refused_since_it_could_never_come() {
    struct Mute;
    impl Actor for Mute {
        type Context = Context<Self>;
    }
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();

    let refused = root
        .add(ServiceSpec::actor("mute", || Mute).readiness(Readiness::Explicit))
        .await;

    let Err(AddError::Spec(error)) = refused else {
        unreachable!("{refused:?}");
    };
    let text = error.to_string();
    assert!(
        text.contains("readiness") && text.contains("Explicit"),
        "{text}"
    );
}

#[actix::test]
async fn panic_in_started_is_a_failed_start() {
    struct Broken;
    impl Actor for Broken {
        type Context = Context<Self>;
        fn started(&mut self, _: &mut Context<Self>) {
            panic!("cannot start");
        }
    }
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let spec = ServiceSpec::actor("broken", || Broken).restart(RestartType::Temporary);

    let error = root.add_and_wait(spec).await.unwrap_err();

    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("cannot start"), "{cause}");
}

#[actix::test]
async fn it_is_ready_before_its_first_message() {
    let mut root = SupervisorActor::with_defaults("root");
    let (log, _) = mpsc::unbounded_channel();
    let spec = ServiceSpec::actor("plain", move || Plain {
        count: 0,
        log: log.clone(),
        stop: Running::Stop,
    });
    let plain = root.add(spec).unwrap();
    plain.do_send(Do::Panic);

    let root = root.start().await.expect("the start is over by then");

    assert_eq!(plain.send(Count).await, Ok(1));
    drop(root);
}

#[actix::test]
async fn those_that_go_on_when_they_are_asked_to_stop_do_so_at_the_same_time() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    let mut tokens = Vec::new();
    for name in ["a", "b", "c"] {
        let (log, _) = mpsc::unbounded_channel();
        let spec = ServiceSpec::actor(name, move || Plain {
            count: 0,
            log: log.clone(),
            stop: Running::Continue,
        });
        tokens.push(root.add(spec).unwrap().token());
    }
    let root = root.start().await.unwrap();
    for token in tokens {
        root.restart(token).await.unwrap(); // and asked to stop once before
    }
    let before = time::Instant::now();

    root.shutdown().await.unwrap();

    // One that does not say so is waited for, for a while.
    assert!(before.elapsed() < ms(5050), "{:?}", before.elapsed());
}

#[actix::test]
async fn handler_that_cancels_what_its_context_names_as_the_running_future_loses_no_messages() {
    let subject = Subject::run(|spec| spec).await;
    assert_eq!(subject.plain.send(Count).await, Ok(1));

    for count in 2..5 {
        subject.plain.send(Do::CancelItself).await.unwrap();
        assert_eq!(subject.plain.send(Count).await, Ok(count));
    }
}

#[actix::test]
async fn panic_when_it_is_dropped_ends_nothing_but_itself() {
    struct Bomb;
    impl Actor for Bomb {
        type Context = Context<Self>;
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let subject = Subject::run(|spec| spec).await;
    let spec = ServiceSpec::actor("bomb", || Bomb);
    let bomb = subject.root.add_and_wait(spec).await.unwrap();

    let reason = subject.root.remove(bomb.token()).await.unwrap();

    assert!(matches!(reason, ExitReason::Panicked { .. }), "{reason}");
    assert_eq!(subject.plain.send(Count).await, Ok(1));
}
