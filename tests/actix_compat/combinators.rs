//! actix's combinators of futures and streams, inside a service.

use std::{
    pin::Pin,
    task::{self, Poll},
};

use actix::{
    fut::{self, LocalBoxActorFuture},
    prelude::*,
};
use futures::{
    future::{self, Either},
    stream::{self, FuturesOrdered},
};
use tokio::time::{self, Instant};

use crate::{
    kind::SubjectContext,
    support::{Probe, Subject, ms},
};

/// Is answered with what the future that it makes comes to.
struct Compute<F, T>(F, std::marker::PhantomData<fn() -> T>);

impl<F, T: 'static> Message for Compute<F, T> {
    type Result = T;
}

impl<F, T> Handler<Compute<F, T>> for Probe
where
    F: FnOnce(&mut Self) -> LocalBoxActorFuture<Self, T>,
    T: 'static,
{
    type Result = ResponseActFuture<Self, T>;

    fn handle(&mut self, msg: Compute<F, T>, _: &mut Self::Context) -> Self::Result {
        (msg.0)(self)
    }
}

/// Lets a probe compute something in an actor future.
async fn computed<T: Send + 'static>(
    make: impl FnOnce(&mut Probe) -> LocalBoxActorFuture<Probe, T> + Send + 'static,
) -> T {
    let subject = Subject::with_defaults().await;
    let answer = subject.send(Compute(make, std::marker::PhantomData));
    answer.await.unwrap()
}

#[actix::test]
async fn map_works_on_the_actor() {
    let count = computed(|probe| {
        future::ready(2)
            .into_actor(probe)
            .map(|n, probe, _| {
                probe.count += n;
                probe.count
            })
            .boxed_local()
    });

    assert_eq!(count.await, 2);
}

#[actix::test]
async fn then_goes_on_with_another_future() {
    time::pause();
    let begun = Instant::now();

    let sum = computed(|probe| {
        time::sleep(ms(10))
            .into_actor(probe)
            .then(|(), probe, _| {
                probe.count = 3;
                time::sleep(ms(10)).into_actor(probe)
            })
            .map(|(), probe, _| probe.count + 1)
            .boxed_local()
    });

    assert_eq!(sum.await, 4);
    assert!(begun.elapsed() >= ms(20));
}

#[actix::test]
async fn timeout_of_a_future_is_an_error() {
    time::pause();
    let begun = Instant::now();

    let late = computed(|probe| {
        time::sleep(ms(20))
            .into_actor(probe)
            .timeout(ms(1))
            .boxed_local()
    });

    assert_eq!(late.await, Err(()));
    assert!(begun.elapsed() < ms(20));
}

#[actix::test]
async fn future_that_is_in_time_has_no_timeout() {
    time::pause();

    let early = computed(|probe| {
        time::sleep(ms(1))
            .into_actor(probe)
            .timeout(ms(20))
            .boxed_local()
    });

    assert_eq!(early.await, Ok(()));
}

#[actix::test]
async fn timeout_ends_a_wait() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            future::pending::<()>()
                .into_actor(probe)
                .timeout(ms(100))
                .map(|late, probe, _| probe.note(format!("{late:?}")))
                .wait(ctx);
        })
        .await;
    subject.act(|_, _| ()).await; // behind the wait

    assert_eq!(subject.entries.so_far(), ["Err(())"]);
}

#[actix::test]
async fn result_is_mapped_and_chained() {
    let failed = computed(|probe| {
        async { Ok::<_, &str>(5) }
            .into_actor(probe)
            .map_ok(|n, _, _| n * 2)
            .and_then(|n, probe, _| {
                probe.count = n;
                fut::err::<u64, _>("996")
            })
            .map_err(|error, probe, _| (error, probe.count))
            .boxed_local()
    });

    assert_eq!(failed.await, Err(("996", 10)));
}

#[actix::test]
async fn error_skips_the_rest_of_a_chain() {
    let failed = computed(|probe| {
        fut::err::<u64, _>("first")
            .into_actor(probe)
            .and_then(|_, _, _| -> fut::Ready<Result<u64, &str>> { unreachable!("skipped") })
            .map_ok(|_, _, _| -> u64 { unreachable!("skipped") })
            .boxed_local()
    });

    assert_eq!(failed.await, Err("first"));
}

#[actix::test]
async fn ready_values_are_actor_futures() {
    let values = computed(|_| {
        fut::ready(1)
            .then(|n, _: &mut Probe, _| fut::ok::<_, ()>(n))
            .boxed_local()
    });

    assert_eq!(values.await, Ok(1));
}

#[actix::test]
async fn either_of_two_futures_is_an_actor_future() {
    let value = computed(|probe| {
        let either = if probe.count == 0 {
            Either::Left(fut::wrap_future::<_, Probe>(async { "left" }))
        } else {
            Either::Right(fut::ready("right"))
        };
        either.boxed_local()
    });

    assert_eq!(value.await, "left");
}

/// An actor future without combinators: counts up to its limit, one step for each poll.
struct CountUp {
    limit: u64,
}

impl ActorFuture<Probe> for CountUp {
    type Output = ActorState;

    fn poll(
        self: Pin<&mut Self>,
        probe: &mut Probe,
        ctx: &mut SubjectContext<Probe>,
        task: &mut task::Context<'_>,
    ) -> Poll<ActorState> {
        if probe.count == self.limit {
            return Poll::Ready(ctx.state());
        }
        probe.count += 1;
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

#[actix::test]
async fn future_written_by_hand_sees_actor_and_context() {
    let state = computed(|_| CountUp { limit: 1000 }.boxed_local());

    assert_eq!(state.await, ActorState::Running);
}

#[actix::test]
async fn stream_is_mapped_and_collected() {
    let counts = computed(|probe| {
        stream::iter([10, 20, 30])
            .into_actor(probe)
            .map(|n, probe, _| {
                probe.count += n;
                probe.count
            })
            .collect::<Vec<u64>>()
            .boxed_local()
    });

    assert_eq!(counts.await, [10, 30, 60]);
}

#[actix::test]
async fn stream_is_taken_while_the_actor_says_so() {
    let taken = computed(|probe| {
        stream::repeat('x')
            .into_actor(probe)
            .take_while(|_, probe, ctx| {
                ctx.spawn(tokio::task::yield_now().into_actor(probe));
                probe.count += 1;
                future::ready(probe.count <= 10)
            })
            .collect::<String>()
            .boxed_local()
    });

    assert_eq!(taken.await, "xxxxxxxxxx");
}

#[actix::test]
async fn stream_is_skipped_while_the_actor_says_so() {
    let kept = computed(|probe| {
        stream::iter("abcdef".chars())
            .into_actor(probe)
            .skip_while(|_, probe, ctx| {
                ctx.spawn(tokio::task::yield_now().into_actor(probe));
                probe.count += 1;
                future::ready(probe.count < 4)
            })
            .collect::<String>()
            .boxed_local()
    });

    assert_eq!(kept.await, "def");
}

#[actix::test]
async fn stream_is_folded() {
    let sum = computed(|probe| {
        stream::iter([1, 2, 3])
            .into_actor(probe)
            .fold(0, |sum, n, _, _| fut::ready(sum + n))
            .boxed_local()
    });

    assert_eq!(sum.await, 6);
}

#[actix::test]
async fn each_item_of_a_stream_may_take_its_time() {
    time::pause();
    let begun = Instant::now();

    let items = computed(|probe| {
        stream::iter([1, 2, 3])
            .into_actor(probe)
            .then(|n, probe, _| time::sleep(ms(10)).into_actor(probe).map(move |(), _, _| n))
            .collect::<Vec<_>>()
            .boxed_local()
    });

    assert_eq!(items.await, [1, 2, 3]);
    assert!(begun.elapsed() >= ms(30));
}

#[actix::test]
async fn timeout_of_a_stream_is_an_item() {
    time::pause();

    let items = computed(|probe| {
        let slow: FuturesOrdered<_> = [20, 20]
            .map(|millis| time::sleep(ms(millis)))
            .into_iter()
            .collect();
        slow.into_actor(probe)
            .timeout(ms(1))
            .take_while(|_, probe, _| {
                probe.count += 1;
                future::ready(probe.count == 1)
            })
            .collect::<Vec<_>>()
            .boxed_local()
    });

    assert_eq!(items.await, [Err(())]);
}

#[actix::test]
async fn finish_runs_a_stream_for_its_effects() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            stream::iter(["a", "b"])
                .into_actor(probe)
                .map(|item, probe, _| probe.note(item))
                .finish()
                .wait(ctx);
        })
        .await;
    subject.act(|_, _| ()).await; // behind the wait

    assert_eq!(subject.entries.so_far(), ["a", "b"]);
}

#[actix::test]
async fn wrapped_stream_is_an_actor_stream() {
    let items = computed(|_| {
        fut::wrap_stream::<_, Probe>(stream::iter([1, 2]))
            .collect::<Vec<_>>()
            .boxed_local()
    });

    assert_eq!(items.await, [1, 2]);
}
