mod finding;

use actix::dev::{MessageResponse, channel::channel};
use tokio::sync::oneshot;

use super::*;
use crate::{
    policy::Readiness,
    service::{Link, NoticeKind, Parent, Reply, ServiceKind},
    state::{EndedAs, Mirrored, Over, Senders},
};

struct Leaf;

impl Actor for Leaf {
    type Context = Context<Self>;
}

/// A service of the supervisor with this number.
fn link(supervisor: SupervisorId, slot: u32, path: &str) -> Arc<dyn AnyLink> {
    let (sender, _) = channel::<Leaf>(1);
    let (parent, _) = Parent::new();
    Arc::new(Link::new(
        ServiceToken::issue(supervisor, slot),
        Arc::from(path),
        Arc::new(parent),
        Addr::new(sender).downgrade(),
        Readiness::OnStart,
        ServiceKind::Actor,
    ))
}

fn token(link: &Arc<dyn AnyLink>) -> ServiceToken {
    link.core().token()
}

fn set(link: &Arc<dyn AnyLink>, state: impl Into<Mirrored>) {
    let _told_by_hand = link.core().set_state(state, None);
}

type Answer = oneshot::Receiver<Result<Located, LookupError>>;

/// Asks as `when_ready` does.
fn wait_for(registry: &mut RegistryActor, token: ServiceToken) -> Answer {
    let (waiter, answer) = oneshot::channel();
    registry.when_ready(&token.into(), Reply::new(waiter));
    answer
}

fn answer_of(answer: &mut Answer) -> Option<LookupError> {
    answer.try_recv().ok().and_then(Result::err)
}

#[test]
fn waiters_are_looked_at_a_constant_number_of_times() {
    let mut waiters = Waiters::<()>::default();
    let kept: Vec<_> = (0..10_000)
        .map(|_| {
            let (waiter, answer) = oneshot::channel();
            waiters.push(Reply::new(waiter));
            answer
        })
        .collect();
    assert_eq!(waiters.len(), 10_000);
    assert!(waiters.looked_at <= 20_000, "{}", waiters.looked_at);
    drop(kept);
}

#[test]
fn waiters_that_have_left_are_not_kept() {
    let mut registry = RegistryActor::new();
    let service = link(SupervisorId::issue(), 0, "root/a");
    let supervisor = link(SupervisorId::issue(), 0, "root");
    registry.register(token(&supervisor), [Arc::clone(&service)]);
    // Not ready yet.
    set(&service, ServiceState::Starting);
    for _ in 0..10_000 {
        drop(wait_for(&mut registry, token(&service)));
    }
    assert!(registry.waiting[&token(&service)].len() <= 8);
}

#[test]
fn service_that_is_forgotten_leaves_nothing_behind() {
    let mut registry = RegistryActor::new();
    let root = link(SupervisorId::issue(), 0, "root");
    registry.register(token(&root), [Arc::clone(&root)]);
    let below_root = SupervisorId::issue();
    for round in 0..100 {
        let supervisor = link(below_root, 0, "root/sub");
        registry.register(token(&root), [Arc::clone(&supervisor)]);
        let below = SupervisorId::issue();
        let services: Vec<_> = (0..4).map(|slot| link(below, slot, "root/sub/a")).collect();
        registry.register(token(&supervisor), services.clone());
        assert!(registry.paths().len() >= 2);
        let answers: Vec<_> = services
            .iter()
            .map(|service| wait_for(&mut registry, token(service)))
            .collect();
        for service in &services {
            registry.forget(token(service));
        }
        registry.forget(token(&supervisor));
        // A supervisor that was abandoned and forgotten may go on for a while.
        let late = link(below, 5, "root/sub/late");
        registry.register(token(&supervisor), [Arc::clone(&late)]);
        registry.forget(token(&late));
        drop(answers);
        let kept = (
            registry.families.len(),
            registry.heads.len(),
            registry.paths().len(),
            registry.waiting.len(),
        );
        assert_eq!(kept, (1, 0, 1, 0), "after {round} rounds");
    }
}

#[test]
fn supervisor_that_is_forgotten_before_its_services_has_none() {
    let mut registry = RegistryActor::new();
    let root = link(SupervisorId::issue(), 0, "root");
    registry.register(token(&root), [Arc::clone(&root)]);
    let supervisor = link(SupervisorId::issue(), 0, "root/sub");
    registry.register(token(&root), [Arc::clone(&supervisor)]);
    // It was abandoned: its thread is blocked, and its services cannot be asked.
    let below = link(SupervisorId::issue(), 0, "root/sub/a");
    registry.register(token(&supervisor), [Arc::clone(&below)]);
    registry.forget(token(&supervisor));
    assert!(!registry.heads.contains_key(&token(&supervisor)));
    assert!(registry.by_token(token(&below)).is_some());
    registry.forget(token(&below));
    // Of the root itself, which has no service left.
    assert_eq!((registry.heads.len(), registry.families.len()), (0, 1));
}

#[test]
fn end_of_a_supervisor_is_told_to_those_who_wait_for_services_below() {
    let mut registry = RegistryActor::new();
    let root = link(SupervisorId::issue(), 0, "root");
    registry.register(token(&root), [Arc::clone(&root)]);
    let of_root = SupervisorId::issue();
    let supervisor = link(of_root, 0, "root/sub");
    let beside = link(of_root, 1, "root/beside");
    registry.register(token(&root), [Arc::clone(&supervisor), Arc::clone(&beside)]);
    let inner = link(SupervisorId::issue(), 0, "root/sub/inner");
    registry.register(token(&supervisor), [Arc::clone(&inner)]);
    let leaf = link(SupervisorId::issue(), 0, "root/sub/inner/leaf");
    registry.register(token(&inner), [Arc::clone(&leaf)]);
    set(&leaf, ServiceState::Stopped);
    set(&beside, ServiceState::Stopped);

    let mut early = wait_for(&mut registry, token(&leaf));
    let mut elsewhere = wait_for(&mut registry, token(&beside));
    assert_eq!(answer_of(&mut early), None);
    let gave_up = Mirrored {
        state: ServiceState::Failed,
        over: Over::Ended(EndedAs::GaveUp),
        senders: Senders::Refused,
    };
    // The supervisor above is told that somebody waits.
    assert!(supervisor.core().set_state(gave_up, None) == crate::service::Asked::Yes);
    registry.changed(token(&supervisor));
    let told = LookupError::Ended {
        path: Arc::from("root/sub"),
        how: EndedAs::GaveUp,
    };
    assert_eq!(answer_of(&mut early), Some(told.clone()));
    assert_eq!(answer_of(&mut elsewhere), None);
    // Who asks later is told as well.
    let mut late = wait_for(&mut registry, token(&leaf));
    assert_eq!(answer_of(&mut late), Some(told));
    // A request has started it again.
    set(&supervisor, ServiceState::Starting);
    let mut again = wait_for(&mut registry, token(&leaf));
    assert_eq!(answer_of(&mut again), None);
    set(&leaf, ServiceState::Ready);
    registry.changed(token(&leaf));
    assert!(matches!(again.try_recv(), Ok(Ok(_))));
}

/// Whoever asks by a message and leaves takes its place along, so that asking for ever does not fill the registry.
#[actix::test]
async fn caller_of_a_message_that_leaves_is_not_kept() {
    let (waiter, ready) = oneshot::channel();
    let (tx, rx) = oneshot::channel();
    let ctx = &mut Context::<Leaf>::new();
    let mut handle = |awaited: Awaited, reply| {
        MessageResponse::<Leaf, WhenReady<Leaf>>::handle(awaited, ctx, Some(reply));
    };
    handle(Awaited(ready), tx);
    tokio::task::yield_now().await;
    assert!(!waiter.is_closed());
    drop(rx);
    tokio::task::yield_now().await;
    assert!(waiter.is_closed());

    // One that stays is told that the tree has ended, and the registry with it.
    let (waiter, ready) = oneshot::channel();
    let (tx, rx) = oneshot::channel();
    handle(Awaited(ready), tx);
    drop(waiter);
    assert_eq!(rx.await.unwrap(), Err(LookupError::SupervisorGone));
}
