//! `notify_later`, `run_later`, `run_interval`, `run_interval_at`, and how they are called off.

use actix::prelude::*;
use tokio::time::{self, Instant};

use crate::support::{Note, Probe, Script, Subject, idle, ms};

/// Says whether so many milliseconds have passed; a timer may be late by the one that it is rounded up to.
fn assert_elapsed(begun: Instant, millis: u64) {
    let elapsed = begun.elapsed();
    assert!(elapsed >= ms(millis), "{elapsed:?}");
    assert!(elapsed < ms(millis + 2), "{elapsed:?}");
}

#[actix::test]
async fn message_to_itself_arrives_after_the_delay() {
    time::pause();
    let mut subject = Subject::with_defaults().await;
    let begun = Instant::now();

    subject
        .act(|_, ctx| {
            ctx.notify_later(Note("later"), ms(100));
        })
        .await;

    assert_eq!(subject.entries.next().await, "later");
    assert_elapsed(begun, 100);
}

#[actix::test]
async fn messages_to_itself_arrive_in_order_of_time() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| {
            ctx.notify_later(Note("c"), ms(300));
            ctx.notify_later(Note("a"), ms(100));
            ctx.notify_later(Note("b"), ms(200));
        })
        .await;

    assert_eq!(subject.entries.until("c").await, ["a", "b", "c"]);
}

#[actix::test]
async fn delayed_messages_that_are_cancelled_never_arrive() {
    time::pause();
    let mut subject = Script::new()
        .started(|_, ctx| {
            let first = ctx.notify_later(Note("first"), ms(1));
            let second = ctx.notify_later(Note("second"), ms(1));
            assert!(ctx.cancel_future(second));
            assert!(ctx.cancel_future(first));
        })
        .run()
        .await;

    time::sleep(ms(100)).await;

    assert_eq!(subject.entries.so_far(), [""; 0]);
}

#[actix::test]
async fn delayed_message_is_cancelled_while_it_waits() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    let handle = subject
        .act(|_, ctx| ctx.notify_later(Note("later"), ms(100)))
        .await;
    time::sleep(ms(50)).await;
    subject
        .act(move |_, ctx| assert!(ctx.cancel_future(handle)))
        .await;
    time::sleep(ms(100)).await;

    assert_eq!(subject.entries.so_far(), [""; 0]);
}

#[actix::test]
async fn delayed_message_is_dropped_by_a_stop() {
    time::pause();
    let mut subject = Script::new()
        .started(|_, ctx| {
            ctx.notify_later(Note("later"), ms(1));
            ctx.stop();
        })
        .run()
        .await;

    time::sleep(ms(100)).await;

    assert_eq!(subject.entries.so_far(), ["stopping", "stopped", "dropped"]);
}

#[actix::test]
async fn closure_runs_after_the_delay() {
    time::pause();
    let mut subject = Script::new()
        .started(|_, ctx| {
            ctx.run_later(ms(100), |probe, _| probe.note("ran"));
        })
        .run()
        .await;
    let begun = Instant::now();

    assert_eq!(subject.entries.next().await, "ran");
    assert_elapsed(begun, 100);
}

#[actix::test]
async fn closure_without_delay_runs_soon() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| {
            ctx.run_later(ms(0), |probe, _| probe.note("ran"));
        })
        .await;

    assert_eq!(subject.entries.next().await, "ran");
}

#[actix::test]
async fn closure_schedules_the_next_one() {
    time::pause();
    let mut subject = Subject::with_defaults().await;
    let begun = Instant::now();

    subject
        .act(|_, ctx| {
            ctx.run_later(ms(100), |_, ctx| {
                ctx.run_later(ms(100), |probe, _| probe.note("ran"));
            });
        })
        .await;

    assert_eq!(subject.entries.next().await, "ran");
    assert!(begun.elapsed() >= ms(200));
}

#[actix::test]
async fn delayed_closure_stops_the_service() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| {
            ctx.run_later(ms(100), |_, ctx| ctx.stop());
        })
        .await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn closure_is_dropped_by_a_stop() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let held = probe.tombstone("closure dropped");
            ctx.run_later(ms(1000), move |probe, _| {
                let _held = held;
                probe.note("ran");
            });
            ctx.stop();
        })
        .await;
    let entries = subject.entries.until("closure dropped").await;

    assert!(entries.iter().all(|entry| entry != "ran"), "{entries:?}");
}

#[actix::test]
async fn closure_cancelled_by_the_handler_that_scheduled_it_never_runs() {
    time::pause();
    let mut subject = Script::new()
        .started(|probe, ctx| {
            // Something else to poll.
            ctx.spawn(tokio::task::yield_now().into_actor(probe));
        })
        .run()
        .await;

    subject
        .act(|probe, ctx| {
            let held = probe.tombstone("closure dropped");
            let handle = ctx.run_later(ms(0), move |probe, _| {
                let _held = held;
                probe.note("ran");
            });
            ctx.cancel_future(handle);
        })
        .await;
    idle().await;

    assert_eq!(subject.entries.so_far(), ["closure dropped"]);
}

#[actix::test]
async fn interval_ticks_until_it_stops_the_service() {
    time::pause();
    let mut subject = Script::new()
        .started(|_, ctx| {
            ctx.run_interval(ms(110), |probe, ctx| {
                probe.note("tick");
                probe.count += 1;
                if probe.count == 3 {
                    ctx.stop();
                }
            });
        })
        .run()
        .await;
    let begun = Instant::now();

    assert_eq!(
        subject.entries.until("dropped").await,
        ["tick", "tick", "tick", "stopping", "stopped", "dropped"]
    );
    assert_elapsed(begun, 330);
}

#[actix::test]
async fn first_tick_comes_after_one_interval() {
    time::pause();
    let mut subject = Subject::with_defaults().await;
    let begun = Instant::now();

    subject
        .act(|_, ctx| {
            ctx.run_interval(ms(110), |probe, _| probe.note("tick"));
        })
        .await;

    for elapsed in [110, 220, 330] {
        assert_eq!(subject.entries.next().await, "tick");
        assert_elapsed(begun, elapsed);
    }
}

#[actix::test]
async fn interval_begins_when_it_is_told_to() {
    time::pause();
    let mut subject = Subject::with_defaults().await;
    let begun = Instant::now();

    subject
        .act(move |_, ctx| {
            let start = begun + ms(1000);
            ctx.run_interval_at(start, ms(110), |probe, _| probe.note("tick"));
        })
        .await;

    for elapsed in [1000, 1110, 1220] {
        assert_eq!(subject.entries.next().await, "tick");
        assert_elapsed(begun, elapsed);
    }
}

#[actix::test]
async fn interval_that_began_in_the_past_makes_up_for_its_ticks() {
    time::pause();
    let mut subject = Subject::with_defaults().await;
    let start = Instant::now();
    time::sleep(ms(250)).await;

    subject
        .act(move |_, ctx| {
            ctx.run_interval_at(start, ms(100), |probe, _| probe.note("tick"));
        })
        .await;
    idle().await;

    assert_eq!(subject.entries.so_far(), ["tick"; 3]);
}

#[actix::test]
async fn interval_cancels_itself() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| {
            ctx.run_interval(ms(100), |probe, ctx| {
                probe.note("tick");
                probe.count += 1;
                if probe.count == 2 {
                    let handle = ctx.handle();
                    ctx.cancel_future(handle);
                }
            });
        })
        .await;
    time::sleep(ms(1000)).await;

    assert_eq!(subject.entries.so_far(), ["tick", "tick"]);
}

#[actix::test]
async fn interval_is_cancelled_by_a_message() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    let handle = subject
        .act(|_, ctx| ctx.run_interval(ms(100), |probe, _| probe.note("tick")))
        .await;
    time::sleep(ms(250)).await;
    subject
        .act(move |_, ctx| assert!(ctx.cancel_future(handle)))
        .await;
    time::sleep(ms(1000)).await;

    assert_eq!(subject.entries.so_far(), ["tick", "tick"]);
}

#[actix::test]
async fn intervals_tick_side_by_side() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| {
            ctx.run_interval(ms(100), |probe, _| probe.note("fast"));
            ctx.run_interval(ms(250), |probe, _| probe.note("slow"));
        })
        .await;
    time::sleep(ms(450)).await;

    assert_eq!(
        subject.entries.so_far(),
        ["fast", "fast", "slow", "fast", "fast"]
    );
}

#[actix::test]
async fn interval_goes_on_beside_messages() {
    time::pause();
    let mut subject = Subject::with_defaults().await;
    subject
        .act(|_, ctx| {
            ctx.run_interval(ms(100), |probe, _| probe.note("tick"));
        })
        .await;

    time::sleep(ms(150)).await;
    subject.send(Note("message")).await.unwrap();
    time::sleep(ms(100)).await;

    assert_eq!(subject.entries.so_far(), ["tick", "message", "tick"]);
}

#[actix::test]
async fn timer_func_runs_a_method_later() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| TimerFunc::new(ms(100), Probe::tick).spawn(ctx))
        .await;
    time::sleep(ms(350)).await;

    assert_eq!(subject.entries.so_far(), ["tick"]);
}

#[actix::test]
async fn interval_func_runs_a_method_again_and_again() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| {
            IntervalFunc::new(ms(100), Probe::tick).finish().spawn(ctx);
        })
        .await;
    time::sleep(ms(350)).await;

    assert_eq!(subject.entries.so_far(), ["tick"; 3]);
}

impl Probe {
    fn tick(&mut self, _: &mut <Self as Actor>::Context) {
        self.count += 1;
        self.note("tick");
    }
}
