//! What becomes of messages to a service that is down. In paused time, but where other threads are involved.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use futures::future::join_all;
use resurgam::{
    Backoff, EndedAs, EventKind, Events, ExitReason, Placement, RestartLimit, RestartType,
    ServiceContext, ServiceRef, ServiceSpec, ServiceState, Shutdown, StartOrder, Strategy,
    SupervisorActor, SupervisorGone, SupervisorRef, SupervisorSpec, Verdict, WhileDown, WhyClosed,
    message,
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

impl Handler<Generation> for Leaf {
    type Result = u64;
    fn handle(&mut self, _: Generation, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
enum Act {
    Finish,
    Panic,
}

impl Handler<Act> for Leaf {
    type Result = ();
    fn handle(&mut self, msg: Act, ctx: &mut Self::Context) {
        match msg {
            Act::Finish => ctx.exit(Verdict::DoNotRestart),
            Act::Panic => panic!("on purpose"),
        }
    }
}

/// A service that gives up at the first failure.
fn leaf(name: &str) -> ServiceSpec<Leaf> {
    let limit = RestartLimit::window(0, Duration::from_secs(60));
    ServiceSpec::new(name, Leaf::default).limit(limit.give_up())
}

/// A supervisor that has this service from the start, so that it is kept when it has ended.
async fn with(service: ServiceSpec<Leaf>) -> (SupervisorRef, ServiceRef<Leaf>) {
    let mut root = SupervisorActor::with_defaults("root");
    let service = root.add(service).unwrap();
    (root.start().await.unwrap(), service)
}

async fn until(root: &SupervisorRef, service: &ServiceRef<Leaf>, state: ServiceState) {
    loop {
        let services = root.services().await.unwrap();
        let found = services.iter().find(|one| one.token() == service.token());
        if found.unwrap().state() == state {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn refusals(events: &mut Events) -> usize {
    let mut count = 0;
    while let Some(event) = events.try_next() {
        count += usize::from(matches!(event.kind(), EventKind::MessagesRefused));
    }
    count
}

#[actix::test]
async fn messages_to_one_that_has_ended_for_good_are_refused_counted_and_told_once() {
    let placements = [
        Placement::Inherit,
        Placement::Dedicated,
        Placement::Pool,
        Placement::Arbiter(Arbiter::new().handle()),
    ];
    for placement in placements {
        for (act, how) in [
            (Act::Finish, EndedAs::Finished),
            (Act::Panic, EndedAs::GaveUp),
        ] {
            let spec = leaf("leaf").placement(placement.clone());
            let (root, leaf) = with(spec.mailbox_capacity(0)).await;
            let mut events = root.events();
            leaf.do_send(act);
            // Queued before the end.
            let queued = join_all((0..200).map(|_| leaf.send(Generation))).await;
            assert!(queued.iter().all(|got| *got == Err(MailboxError::Closed)));
            assert_eq!(leaf.send(Generation).await, Err(MailboxError::Closed));
            // These cannot tell.
            leaf.try_send(Generation).unwrap();
            leaf.do_send(Generation);
            while leaf.refused() < 203 {
                tokio::task::yield_now().await;
            }
            assert!(leaf.connected());
            let Some(WhyClosed::Ended {
                how: told, reason, ..
            }) = leaf.why_closed()
            else {
                panic!("{:?}", leaf.why_closed());
            };
            assert_eq!(told, how);
            assert_eq!(
                matches!(reason, ExitReason::Panicked { .. }),
                how == EndedAs::GaveUp
            );

            // It ends with the next start, and so does the spell.
            root.restart(leaf.token()).await.unwrap();
            assert_eq!(leaf.send(Generation).await, Ok(1));
            assert_eq!(refusals(&mut events), 1);
            leaf.do_send(act);
            assert_eq!(leaf.send(Generation).await, Err(MailboxError::Closed));
            root.restart(leaf.token()).await.unwrap();
            assert_eq!(refusals(&mut events), 1);
            assert_eq!(leaf.refused(), 204);
            assert!(root.shutdown().await.unwrap().is_clean());
            assert_eq!(leaf.why_closed(), Some(WhyClosed::Removed));
        }
    }
}

#[actix::test]
async fn messages_queue_while_the_supervisor_will_start_it_or_it_was_stopped_on_request() {
    time::pause();
    let backoff = Backoff::constant(Duration::from_secs(5));
    let service = ServiceSpec::new("leaf", Leaf::default).backoff(backoff);
    let (root, leaf) = with(service).await;
    leaf.do_send(Act::Panic);
    let queued = leaf.send(Generation);
    until(&root, &leaf, ServiceState::BackingOff).await;
    assert_eq!(queued.await, Ok(1));
    assert!(matches!(
        leaf.why_closed(),
        Some(WhyClosed::Panicked { .. })
    ));

    root.stop(leaf.token()).await.unwrap();
    let queued = leaf.send(Generation);
    time::sleep(Duration::from_secs(3600)).await;
    root.restart(leaf.token()).await.unwrap();
    assert_eq!(queued.await, Ok(2));
    assert_eq!(leaf.refused(), 0);
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn refuse_is_whenever_it_is_down() {
    time::pause();
    let backoff = Backoff::constant(Duration::from_secs(5));
    let service = ServiceSpec::new("leaf", Leaf::default)
        .backoff(backoff)
        .while_down(WhileDown::Refuse);
    let (root, leaf) = with(service).await;
    assert_eq!(leaf.send(Generation).await, Ok(0));
    leaf.do_send(Act::Panic);
    assert_eq!(leaf.send(Generation).await, Err(MailboxError::Closed));
    until(&root, &leaf, ServiceState::BackingOff).await;
    assert_eq!(leaf.send(Generation).await, Err(MailboxError::Closed));
    assert_eq!(leaf.why_closed(), Some(WhyClosed::Down));
    time::sleep(Duration::from_secs(6)).await;
    assert_eq!(leaf.send(Generation).await, Ok(1));
    root.stop(leaf.token()).await.unwrap();
    assert_eq!(leaf.send(Generation).await, Err(MailboxError::Closed));
    root.restart(leaf.token()).await.unwrap();
    assert_eq!(leaf.send(Generation).await, Ok(2));
    // One that was never started, on a thread that it does not have yet.
    for placement in [Placement::Inherit, Placement::Dedicated] {
        let waits = ServiceSpec::new("waits", Leaf::default)
            .while_down(WhileDown::Refuse)
            .placement(placement)
            // A clock that is paused does not wait for other threads: any timeout would be over before a busy machine comes to them.
            .shutdown(Shutdown::Infinity)
            .requires("missing");
        let waits = root.add(waits).await.unwrap();
        assert_eq!(waits.send(Generation).await, Err(MailboxError::Closed));
        let missing = root.add(ServiceSpec::new("missing", Leaf::default));
        let missing = missing.await.unwrap();
        root.when_ready::<Leaf>("root/waits").await.unwrap();
        assert_eq!(waits.send(Generation).await, Ok(0));
        root.remove(waits.token()).await.unwrap();
        root.remove(missing.token()).await.unwrap();
    }
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn queue_is_for_ever() {
    time::pause();
    let (root, leaf) = with(leaf("leaf").while_down(WhileDown::Queue)).await;
    leaf.do_send(Act::Panic);
    let queued = leaf.send(Generation);
    until(&root, &leaf, ServiceState::Failed).await;
    time::sleep(Duration::from_secs(3600)).await;
    root.reset(leaf.token()).await.unwrap();
    assert_eq!(queued.await, Ok(1));
    assert_eq!(leaf.refused(), 0);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn refusal_ends_with_the_restart_of_the_group() {
    time::pause();
    let spec = SupervisorSpec::default().strategy(Strategy::OneForAll);
    let mut root = SupervisorActor::new("root", spec);
    let given_up = root.add(leaf("given_up")).unwrap();
    let other = ServiceSpec::new("other", Leaf::default);
    let other = root.add(other).unwrap();
    let root = root.start().await.unwrap();
    given_up.do_send(Act::Panic);
    assert_eq!(given_up.send(Generation).await, Err(MailboxError::Closed));
    root.restart(given_up.token()).await.unwrap();
    assert_eq!(given_up.send(Generation).await, Ok(1));
    other.do_send(Act::Panic);
    assert_eq!(other.send(Generation).await, Ok(1));
    assert_eq!(given_up.send(Generation).await, Ok(2));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn refusal_ends_when_the_supervisor_is_to_start_it() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    let needed = root.add(leaf("needed")).unwrap();
    let given_up = root.add(leaf("given_up").requires("needed")).unwrap();
    let root = root.start().await.unwrap();
    given_up.do_send(Act::Panic);
    assert_eq!(given_up.send(Generation).await, Err(MailboxError::Closed));
    root.stop(needed.token()).await.unwrap();
    // Told that it waits: from now on it will be started by itself.
    assert!(root.reset(given_up.token()).await.is_err());
    let queued = given_up.send(Generation);
    root.restart(needed.token()).await.unwrap();
    assert_eq!(queued.await, Ok(1));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn message_whose_drop_panics_or_sends_again_holds_up_nobody() {
    struct Bomb {
        drops: Arc<AtomicU32>,
        again: Option<Addr<Leaf>>,
    }

    impl Message for Bomb {
        type Result = ();
    }

    impl Handler<Bomb> for Leaf {
        type Result = ();
        fn handle(&mut self, _: Bomb, _: &mut Self::Context) {}
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            self.drops.fetch_add(1, Ordering::SeqCst);
            // A closed mailbox would give it back, to be dropped again.
            if let Some(again) = self.again.as_ref().filter(|again| again.connected()) {
                again.do_send(Self {
                    drops: Arc::clone(&self.drops),
                    again: Some(again.clone()),
                });
            }
            // Each panic is printed, with a backtrace perhaps.
            let panics = self.again.is_none();
            assert!(!panics, "dropped on purpose");
        }
    }

    time::pause();
    let (root, leaf) = with(leaf("leaf")).await;
    leaf.do_send(Act::Panic);
    until(&root, &leaf, ServiceState::Failed).await;
    let drops = Arc::new(AtomicU32::new(0));
    let bomb = |again| Bomb {
        drops: Arc::clone(&drops),
        again,
    };
    assert_eq!(leaf.send(bomb(None)).await, Err(MailboxError::Closed));
    // One that sends itself again for ever: its siblings and its supervisor go on.
    leaf.do_send(bomb(Some(leaf.addr().clone())));
    while drops.load(Ordering::SeqCst) < 300 {
        assert_eq!(root.counts().await.unwrap().failed, 1);
    }
    let before = leaf.refused();
    assert!(before >= 299);
    root.remove(leaf.token()).await.unwrap();
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn why_a_sender_got_closed_is_told() {
    let service = ServiceSpec::new("leaf", Leaf::default)
        .restart(RestartType::Permanent)
        .shutdown(Shutdown::BrutalKill);
    let (root, leaf) = with(service).await;
    assert_eq!(leaf.why_closed(), None);
    assert_eq!(leaf.send(Act::Panic).await, Err(MailboxError::Closed));
    let Some(WhyClosed::Panicked {
        message, location, ..
    }) = leaf.why_closed()
    else {
        panic!("{:?}", leaf.why_closed());
    };
    assert_eq!(message, "on purpose");
    assert!(location.contains("while_down.rs"), "{location}");
    assert_eq!(leaf.send(Generation).await, Ok(1));
    root.restart(leaf.token()).await.unwrap();
    assert!(matches!(
        leaf.why_closed(),
        Some(WhyClosed::Interrupted { .. })
    ));
    root.remove(leaf.token()).await.unwrap();
    assert_eq!(leaf.why_closed(), Some(WhyClosed::Removed));
    for (why, text) in [
        (WhyClosed::Removed, "the service was removed"),
        (WhyClosed::Down, "the service is down and refuses messages"),
        (
            WhyClosed::ended(EndedAs::Finished, ExitReason::Normal),
            "the service has finished: normal",
        ),
    ] {
        assert_eq!(why.to_string(), text);
    }
    root.shutdown().await.unwrap();
}

/// Whether a message is answered at all, and how: on a paused clock, nothing else takes an hour.
async fn ask(service: &ServiceRef<Leaf>) -> Option<Result<u64, MailboxError>> {
    let hour = Duration::from_secs(3600);
    time::timeout(hour, service.send(Generation)).await.ok()
}

#[actix::test]
async fn messages_below_a_supervisor_that_has_ended_for_good_are_refused_until_it_is_started() {
    time::pause();
    let limit = || RestartLimit::window(0, Duration::from_secs(60));
    let mut deep = SupervisorActor::with_defaults("deep");
    let deepest = deep.add(ServiceSpec::new("deepest", Leaf::default));
    let deepest = deepest.unwrap();
    let spec = SupervisorSpec::default().limit(limit().escalate());
    let mut sub = SupervisorActor::new("sub", spec);
    sub.add(ServiceSpec::supervisor(deep)).unwrap();
    let below = sub.add(ServiceSpec::new("below", Leaf::default)).unwrap();
    let patient = ServiceSpec::new("patient", Leaf::default).while_down(WhileDown::Queue);
    let patient = sub.add(patient).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    let sub = ServiceSpec::supervisor(sub).limit(limit().give_up());
    let sub = root.add(sub).unwrap();
    let root = root.start().await.unwrap();
    let mut events = root.events();
    below.do_send(Act::Panic);
    let services = async || root.services().await.unwrap();
    while services().await[0].state() != ServiceState::Failed {
        tokio::task::yield_now().await;
    }
    for service in [&below, &deepest] {
        assert_eq!(ask(service).await, Some(Err(MailboxError::Closed)));
        assert_eq!(ask(service).await, Some(Err(MailboxError::Closed)));
        assert_eq!(service.refused(), 2);
        assert_eq!(service.why_closed(), Some(WhyClosed::Down));
    }
    assert_eq!(refusals(&mut events), 2);
    let queued = patient.send(Generation);

    root.reset(sub.token()).await.unwrap();
    assert_eq!(queued.await, Ok(1));
    for service in [&below, &deepest] {
        assert_eq!(ask(service).await, Some(Ok(1)));
    }
    // Stopped on request: they wait, as the supervisor does.
    root.stop(sub.token()).await.unwrap();
    let queued = (below.send(Generation), deepest.send(Generation));
    time::sleep(Duration::from_secs(3600)).await;
    root.restart(sub.token()).await.unwrap();
    assert_eq!((queued.0.await, queued.1.await), (Ok(2), Ok(2)));
    assert_eq!(refusals(&mut events), 0);
    assert!(root.shutdown().await.unwrap().is_clean());
}

/// It has had no cell yet that would answer.
#[actix::test]
async fn supervisor_that_is_down_before_its_first_start_refuses_whoever_asks() {
    time::pause();
    for placement in [Placement::Inherit, Placement::Dedicated] {
        let root = SupervisorActor::with_defaults("root");
        let root = root.start().await.unwrap();
        let mut sub = SupervisorActor::with_defaults("sub");
        let below = sub.add(ServiceSpec::new("below", Leaf::default)).unwrap();
        let sub = ServiceSpec::supervisor(sub).placement(placement);
        let sub = root.add(sub.requires("missing")).await.unwrap();
        root.stop(sub.token()).await.unwrap();
        let asked = SupervisorRef::try_from(&sub).unwrap();
        let hour = Duration::from_secs(3600);
        for _ in 0..2 {
            let counts = time::timeout(hour, asked.counts()).await;
            assert_eq!(counts, Ok(Err(SupervisorGone)));
            let services = time::timeout(hour, sub.send(message::Services)).await;
            assert!(
                matches!(services, Ok(Err(MailboxError::Closed))),
                "{services:?}"
            );
        }
        let queued = below.send(Generation);
        root.add(ServiceSpec::new("missing", Leaf::default))
            .await
            .unwrap();
        root.restart(sub.token()).await.unwrap();
        assert_eq!(queued.await, Ok(0));
        assert_eq!(below.path(), "root/sub/below");
        assert_eq!(asked.counts().await.unwrap().ready, 1);
        assert!(root.shutdown().await.unwrap().is_clean());
    }
}

/// In which order services start says nothing of what is down.
#[actix::test]
async fn messages_queue_in_a_parallel_start_and_each_spell_after_it_is_counted_and_told_once() {
    time::pause();
    let spec = SupervisorSpec::default().start_order(StartOrder::Parallel);
    let mut root = SupervisorActor::new("root", spec);
    let slow = ServiceSpec::new_async("slow", |_| async {
        time::sleep(Duration::from_secs(5)).await;
        Ok::<_, std::io::Error>(Leaf)
    });
    root.add(slow).unwrap();
    let backoff = Backoff::constant(Duration::from_secs(5));
    let waits = ServiceSpec::new("waits", Leaf::default)
        .while_down(WhileDown::Refuse)
        .backoff(backoff)
        .requires("slow");
    let waits = root.add(waits).unwrap();
    let started = actix::spawn(root.start());
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    assert_eq!(waits.send(Generation).await, Ok(0));
    let root = started.await.unwrap().unwrap();
    assert_eq!((waits.refused(), waits.why_closed()), (0, None));
    let mut events = root.events();
    for spell in 1..=3 {
        waits.do_send(Act::Panic);
        until(&root, &waits, ServiceState::BackingOff).await;
        for _ in 0..70 {
            assert_eq!(waits.send(Generation).await, Err(MailboxError::Closed));
            assert_eq!(waits.why_closed(), Some(WhyClosed::Down));
        }
        assert_eq!(waits.refused(), 70 * spell);
        time::sleep(Duration::from_secs(6)).await;
        assert_eq!(waits.send(Generation).await, Ok(spell));
        assert_eq!(refusals(&mut events), 1);
    }
    assert!(root.shutdown().await.unwrap().is_clean());
}
