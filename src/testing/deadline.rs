//! A deadline in real time, since the clock of a test may be paused.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    task::{Poll, Waker},
    thread,
    time::Duration,
};

/// What the thread and the future share: a lock, held for one look.
#[derive(Debug, Default)]
struct Shared(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    over: bool,
    waker: Option<Waker>,
}

/// The output of the future, or `None` if that is not there after so long by the clock of the operating system.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    // Without a thread as long as there is nothing to wait for.
    if let Some(output) = poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
    {
        return Some(output);
    }
    let shared = Arc::new(Shared::default());
    // Nothing is ever sent: the thread ends when this is dropped.
    let (_stop, stopped) = mpsc::channel::<()>();
    let there = Arc::clone(&shared);
    let watch = move || {
        if let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(limit) {
            let mut waiting = there.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.over = true;
            let waker = waiting.waker.take();
            drop(waiting);
            waker.into_iter().for_each(Waker::wake);
        }
    };
    let name = String::from("resurgam-deadline");
    let thread = thread::Builder::new().name(name).spawn(watch);
    // Without a thread there is no deadline: the test may hang, and does not fail for that.
    drop(thread);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        let mut waiting = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.over {
            return Poll::Ready(None);
        }
        waiting.waker = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[test]
    fn what_is_there_needs_no_thread_and_what_never_comes_is_given_up_in_real_time() {
        let limit = Duration::from_millis(20);
        let there = futures::executor::block_on(within(limit, ready(1)));
        assert_eq!(there, Some(1));
        let never = within(limit, pending::<()>());
        assert_eq!(futures::executor::block_on(never), None);
    }

    #[actix::test]
    async fn paused_clock_does_not_bring_the_deadline() {
        tokio::time::pause();
        let day = Duration::from_secs(24 * 60 * 60);
        let slept = within(Duration::from_secs(10), tokio::time::sleep(day));
        assert_eq!(slept.await, Some(()));
    }
}
