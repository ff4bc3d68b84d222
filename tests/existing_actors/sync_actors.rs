//! The way to supervise a sync actor: a service owns its arbiter.

use actix::prelude::*;
use resurgam::{ServiceContext, ServiceSpec, SupervisorActor};

/// Computes on a thread of its own, in an actix `SyncContext`.
struct Crunch;

impl Actor for Crunch {
    type Context = SyncContext<Self>;
}

#[derive(Clone, Copy, Message)]
#[rtype(result = "u32")]
struct Halve(u32);

impl Handler<Halve> for Crunch {
    type Result = u32;

    fn handle(&mut self, msg: Halve, _: &mut SyncContext<Self>) -> u32 {
        assert!(msg.0.is_multiple_of(2), "odd");
        msg.0 / 2
    }
}

/// Forwards to the sync actor, and fails when that is gone.
struct Front(Addr<Crunch>);

impl Actor for Front {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "Result<u32, MailboxError>")]
struct Forward(Halve);

impl Handler<Forward> for Front {
    type Result = ResponseActFuture<Self, Result<u32, MailboxError>>;

    fn handle(&mut self, msg: Forward, _: &mut Self::Context) -> Self::Result {
        let answer = self.0.send(msg.0).into_actor(self);
        Box::pin(answer.map(|answer, _, ctx: &mut Self::Context| {
            if answer == Err(MailboxError::Closed) {
                ctx.fail(MailboxError::Closed);
            }
            answer
        }))
    }
}

#[actix::test]
async fn service_that_owns_a_sync_arbiter_makes_a_new_one_when_its_thread_has_panicked() {
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let spec = ServiceSpec::new("crunch", || Front(SyncArbiter::start(1, || Crunch)));
    let front = root.add_and_wait(spec).await.unwrap();
    assert_eq!(front.send(Forward(Halve(4))).await, Ok(Ok(2)));

    assert_eq!(
        front.send(Forward(Halve(3))).await,
        Ok(Err(MailboxError::Closed))
    );

    assert_eq!(front.send(Forward(Halve(8))).await, Ok(Ok(4)));
}
