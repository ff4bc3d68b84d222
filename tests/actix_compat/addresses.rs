//! Addresses, weak addresses and recipients of a service.

use std::collections::HashSet;

use actix::{WeakRecipient, prelude::*};
use resurgam::{ServiceRef, SupervisorRef};
use tokio::time;

use crate::{
    kind::SubjectContext,
    support::{Act, Note, Subject, ms, supervised, supervised_once},
};

/// Counts pings.
#[derive(Debug, Default)]
struct Counter {
    pings: usize,
}

impl Actor for Counter {
    type Context = SubjectContext<Self>;
}

#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Ping;

impl Handler<Ping> for Counter {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {
        self.pings += 1;
    }
}

#[derive(Message)]
#[rtype(usize)]
struct Pings;

impl Handler<Pings> for Counter {
    type Result = usize;

    fn handle(&mut self, _: Pings, _: &mut Self::Context) -> usize {
        self.pings
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Counter {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

async fn counter() -> (SupervisorRef, ServiceRef<Counter>) {
    supervised(Counter::default).await
}

/// A service that is gone for good, and an address that is left of it.
async fn gone() -> (SupervisorRef, Addr<Counter>) {
    let (root, counter) = supervised_once(Counter::default).await;
    let addr = counter.addr().clone();
    addr.send(Stop).await.unwrap();
    assert_eq!(addr.send(Ping).await, Err(MailboxError::Closed));
    (root, addr)
}

#[actix::test]
async fn clones_of_an_address_reach_the_same_service() {
    let (_root, counter) = counter().await;

    counter.addr().clone().do_send(Ping);
    counter.addr().clone().send(Ping).await.unwrap();

    assert_eq!(counter.send(Pings).await, Ok(2));
}

#[actix::test]
async fn address_equals_its_clones_and_no_other() {
    let (_root, counter) = counter().await;
    let (_other_root, other) = supervised(Counter::default).await;
    let clone = counter.addr().clone();

    assert_eq!(clone, *counter.addr());
    assert_eq!(clone.clone(), clone);
    assert_ne!(clone, *other.addr());
}

#[actix::test]
#[expect(
    clippy::mutable_key_type,
    reason = "actix hashes who is addressed, which does not change"
)]
async fn addresses_are_kept_in_a_set() {
    let (_root, counter) = counter().await;
    let (_other_root, other) = supervised(Counter::default).await;
    let mut addresses = HashSet::from([counter.addr().clone(), counter.addr().clone()]);

    assert_eq!(addresses.len(), 1);
    assert!(addresses.insert(other.addr().clone()));
    assert!(addresses.remove(counter.addr()));
    assert!(!addresses.contains(counter.addr()));
    assert!(addresses.contains(other.addr()));
}

#[actix::test]
async fn context_gives_the_address_of_the_service() {
    let subject = Subject::with_defaults().await;

    let addr = subject.act(|_, ctx| ctx.address()).await;

    assert_eq!(addr, *subject.service.addr());
}

#[actix::test]
async fn service_that_runs_is_connected() {
    let (_root, counter) = counter().await;

    assert!(counter.connected());
    assert!(counter.addr().clone().recipient::<Ping>().connected());
}

#[actix::test]
async fn service_that_is_gone_is_not_connected() {
    let (_root, addr) = gone().await;

    assert!(!addr.connected());
    assert!(!addr.recipient::<Ping>().connected());
}

#[actix::test]
async fn send_to_a_service_that_is_gone_fails() {
    let (_root, addr) = gone().await;

    assert_eq!(addr.send(Pings).await, Err(MailboxError::Closed));
    let recipient = addr.recipient::<Pings>();
    assert_eq!(recipient.send(Pings).await, Err(MailboxError::Closed));
}

#[actix::test]
async fn try_send_to_a_service_that_is_gone_gives_the_message_back() {
    let (_root, addr) = gone().await;

    assert!(matches!(addr.try_send(Ping), Err(SendError::Closed(Ping))));
    let recipient = addr.recipient::<Ping>();
    assert!(matches!(
        recipient.try_send(Ping),
        Err(SendError::Closed(Ping))
    ));
}

#[actix::test]
async fn do_send_to_a_service_that_is_gone_does_nothing() {
    let (_root, addr) = gone().await;

    addr.do_send(Ping);
    addr.recipient::<Ping>().do_send(Ping);
}

#[actix::test]
async fn weak_address_reaches_a_running_service() {
    let (_root, counter) = counter().await;

    let strong = counter.downgrade().upgrade().unwrap();
    strong.send(Ping).await.unwrap();

    assert_eq!(strong, *counter.addr());
    assert_eq!(counter.send(Pings).await, Ok(1));
}

#[actix::test]
async fn weak_address_does_not_reach_a_service_that_is_gone() {
    let (_root, addr) = gone().await;
    let weak = addr.downgrade();

    assert_eq!(weak.upgrade(), None);
    drop(addr);
    assert_eq!(weak.upgrade(), None);
}

#[actix::test]
async fn weak_address_equals_its_clones_and_no_other() {
    let (_root, counter) = counter().await;
    let (_other_root, other) = supervised(Counter::default).await;
    let weak = counter.downgrade();

    assert_eq!(weak, counter.downgrade());
    assert_eq!(weak.clone(), weak);
    assert_ne!(weak, other.downgrade());
}

#[actix::test]
async fn weak_addresses_stay_equal_after_the_service_is_gone() {
    let (_root, addr) = gone().await;
    let (weak, again) = (addr.downgrade(), addr.downgrade());
    let (_other_root, other) = gone().await;
    drop(addr);

    assert_eq!(weak, again);
    assert_ne!(weak, other.downgrade());
}

#[actix::test]
async fn recipient_delivers_in_every_way() {
    let (_root, counter) = counter().await;
    let recipient: Recipient<Ping> = counter.addr().clone().recipient();

    recipient.do_send(Ping);
    recipient.try_send(Ping).unwrap();
    recipient.send(Ping).await.unwrap();

    assert_eq!(counter.send(Pings).await, Ok(3));
}

#[actix::test]
async fn recipient_equals_the_ones_of_the_same_service_and_no_other() {
    let (_root, counter) = counter().await;
    let (_other_root, other) = supervised(Counter::default).await;
    let recipient = counter.addr().clone().recipient::<Ping>();

    assert!(recipient == counter.addr().clone().recipient());
    assert!(recipient == recipient.clone());
    assert!(recipient != other.addr().clone().recipient());
}

#[actix::test]
async fn recipients_are_kept_in_a_set() {
    let (_root, counter) = counter().await;
    let (_other_root, other) = supervised(Counter::default).await;
    let recipient = counter.addr().clone().recipient::<Ping>();
    let mut recipients = HashSet::from([recipient.clone(), recipient.clone()]);

    assert_eq!(recipients.len(), 1);
    assert!(recipients.insert(other.addr().clone().recipient()));
    assert!(recipients.remove(&recipient));
    assert!(!recipients.contains(&counter.addr().clone().recipient()));
    assert_eq!(recipients.len(), 1);
}

#[actix::test]
async fn recipients_of_different_actors_stand_side_by_side() {
    let (_root, counter) = counter().await;
    let plain = PlainCounter.start();
    let recipients: [Recipient<Ping>; 2] = [counter.addr().clone().recipient(), plain.recipient()];

    for recipient in &recipients {
        recipient.send(Ping).await.unwrap();
    }

    assert_eq!(counter.send(Pings).await, Ok(1));
}

/// An actor of plain actix.
struct PlainCounter;

impl Actor for PlainCounter {
    type Context = Context<Self>;
}

impl Handler<Ping> for PlainCounter {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

#[actix::test]
async fn weak_recipient_and_its_clone_reach_a_running_service() {
    let (_root, counter) = counter().await;
    let weak: WeakRecipient<Ping> = counter.downgrade().recipient();

    weak.upgrade().unwrap().send(Ping).await.unwrap();
    weak.clone().upgrade().unwrap().send(Ping).await.unwrap();

    assert_eq!(counter.send(Pings).await, Ok(2));
}

#[actix::test]
async fn recipient_can_be_downgraded() {
    let (_root, counter) = counter().await;
    let strong = counter.addr().clone().recipient::<Ping>();

    let weak = strong.downgrade();
    let converted = WeakRecipient::from(strong);
    weak.upgrade().unwrap().send(Ping).await.unwrap();
    converted.upgrade().unwrap().send(Ping).await.unwrap();

    assert_eq!(counter.send(Pings).await, Ok(2));
}

#[actix::test]
async fn weak_recipient_does_not_reach_a_service_that_is_gone() {
    let (root, addr) = gone().await;
    let weak = addr.downgrade().recipient::<Ping>();
    drop((root, addr));

    // What actix upgrades by mistake, while something of the service is left, is not connected.
    assert!(!weak.upgrade().is_some_and(|strong| strong.connected()));
}

#[actix::test]
async fn message_that_is_not_answered_in_time_fails_for_its_sender() {
    time::pause();
    let subject = Subject::with_defaults().await;
    let _held = subject.hold().await;

    let answer = subject.send(Note("late")).timeout(ms(1)).await;

    assert_eq!(answer, Err(MailboxError::Timeout));
}

#[actix::test]
async fn message_to_a_recipient_that_is_not_answered_in_time_fails_for_its_sender() {
    time::pause();
    let subject = Subject::with_defaults().await;
    let _held = subject.hold().await;
    let recipient = subject.service.addr().clone().recipient();

    let answer = recipient.send(Note("late")).timeout(ms(1)).await;

    assert_eq!(answer, Err(MailboxError::Timeout));
}

#[actix::test]
async fn message_that_is_answered_in_time_does_not_time_out() {
    time::pause();
    let subject = Subject::with_defaults().await;

    assert_eq!(subject.send(Note("soon")).timeout(ms(1)).await, Ok(()));
}

#[actix::test]
async fn message_that_timed_out_in_the_queue_is_not_handled() {
    time::pause();
    let mut subject = Subject::with_defaults().await;
    let held = subject.hold().await;

    let late = subject.send(Note("late")).timeout(ms(1)).await;
    drop(held);
    subject.send(Note("in time")).await.unwrap();

    assert_eq!(late, Err(MailboxError::Timeout));
    assert_eq!(subject.entries.so_far(), ["in time"]);
}

#[actix::test]
async fn service_sees_the_timeout_of_its_own_request_while_it_waits() {
    time::pause();
    let slow = Subject::with_defaults().await;
    let _held = slow.hold().await;
    let mut subject = Subject::with_defaults().await;
    let request = slow.send(Note("late")).timeout(ms(1));

    subject
        .act(move |probe, ctx| {
            request
                .into_actor(probe)
                .map(|answer, probe, _| probe.note(format!("{answer:?}")))
                .wait(ctx);
        })
        .await;

    assert_eq!(
        subject.entries.next().await,
        "Err(MailboxError(Message delivery timed out))"
    );
}

#[actix::test]
async fn services_ask_each_other() {
    let (_root, counter) = counter().await;
    let subject = Subject::with_defaults().await;
    let addr = counter.addr().clone();

    subject
        .act(move |probe, ctx| {
            addr.send(Ping)
                .into_actor(probe)
                .map(|answer, _, _| answer.unwrap())
                .wait(ctx);
        })
        .await;
    subject.act(|_, _| ()).await; // behind the wait

    assert_eq!(counter.send(Pings).await, Ok(1));
}

#[actix::test]
async fn service_asks_itself_without_waiting() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let question = ctx.address().send(Act::new(|_, _| 4_u8));
            question
                .into_actor(probe)
                .map(|answer, probe, _| probe.note(format!("{answer:?}")))
                .spawn(ctx);
        })
        .await;

    assert_eq!(subject.entries.next().await, "Ok(4)");
}
