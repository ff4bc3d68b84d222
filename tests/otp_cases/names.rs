//! Whose a name is, and who answers to it.

use actix::prelude::*;
use resurgam::{AddError, RestartType, ServiceContext, ServiceSpec, ServiceState, SupervisorActor};
use tokio::time;

use crate::support::{End, Generation, idle, journal, probe, root, states, unlimited};

#[actix::test]
async fn name_of_a_running_or_stopped_service_is_taken_and_it_is_said_by_whom() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    let taken = AddError::duplicate_name("child", child.token());
    assert_eq!(root.add(probe("child", &journal)).await.unwrap_err(), taken);
    root.stop(child.token()).await.unwrap();
    assert_eq!(root.add(probe("child", &journal)).await.unwrap_err(), taken);
    assert_eq!(
        states(&root).await,
        [("child".to_owned(), ServiceState::Stopped)]
    );
}

#[actix::test]
async fn name_of_a_temporary_service_is_free_whatever_it_ended_with() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    for end in [End::Normally, End::Failing, End::Panicking] {
        let spec = probe("child", &journal).restart(RestartType::Temporary);
        let child = root.add_and_wait(spec).await.unwrap();
        child.do_send(end);
        idle().await;
        assert_eq!(states(&root).await, [], "{end:?}");
        assert_eq!(child.send(Generation).await, Err(MailboxError::Closed));
    }
    let again = root.add_and_wait(probe("child", &journal)).await;
    assert_eq!(again.unwrap().send(Generation).await, Ok(0));
}

#[actix::test]
async fn name_of_a_permanent_or_transient_service_of_the_start_stays_taken() {
    time::pause();
    let (journal, _log) = journal();
    let mut root = SupervisorActor::new("root", unlimited());
    let transient = probe("transient", &journal).restart(RestartType::Transient);
    let transient = root.add(transient).unwrap();
    let permanent = root.add(probe("permanent", &journal)).unwrap();
    let root = root.start().await.unwrap();
    transient.do_send(End::Normally);
    permanent.do_send(End::Normally);
    idle().await;
    assert_eq!(
        states(&root).await,
        [
            ("transient".to_owned(), ServiceState::Stopped),
            ("permanent".to_owned(), ServiceState::Ready)
        ]
    );
    for name in ["transient", "permanent"] {
        let added = root.add(probe(name, &journal)).await;
        assert!(matches!(added, Err(AddError::DuplicateName { .. })));
    }
}

#[actix::test]
async fn supervisors_are_services_of_their_own_names() {
    time::pause();
    let root = root().await;
    let tier = |name| ServiceSpec::supervisor(SupervisorActor::new(name, unlimited()));
    for name in ["one", "two"] {
        root.add_and_wait(tier(name)).await.unwrap();
    }
    let again = root.add(tier("one")).await;
    assert!(matches!(again, Err(AddError::DuplicateName { .. })));
    let ready = ServiceState::Ready;
    assert_eq!(
        states(&root).await,
        [("one".to_owned(), ready), ("two".to_owned(), ready)]
    );
}

/// Counts what it has heard, from nothing in each incarnation.
#[derive(Default)]
struct Stack(Vec<u8>);

impl Actor for Stack {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "usize")]
struct Push(u8);

impl Handler<Push> for Stack {
    type Result = usize;

    fn handle(&mut self, push: Push, ctx: &mut Self::Context) -> usize {
        self.0.push(push.0);
        if push.0 == 0 {
            ctx.stop();
        }
        self.0.len()
    }
}

#[actix::test]
async fn callers_by_name_reach_the_next_incarnation_in_its_first_state() {
    time::pause();
    let root = root().await;
    let spec = ServiceSpec::new("stack", Stack::default);
    root.add_and_wait(spec).await.unwrap();
    let by_name = root.lookup::<Stack>("root/stack").await.unwrap();
    assert_eq!(by_name.send(Push(7)).await, Ok(1));
    assert_eq!(by_name.send(Push(0)).await, Ok(2));
    let again = root.when_ready::<Stack>("root/stack").await.unwrap();
    assert_eq!(again.send(Push(7)).await, Ok(1));
}
