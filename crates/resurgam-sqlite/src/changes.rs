//! Who hears of changes.

use std::{
    sync::Arc,
    task::{Context, Wake, Waker},
};

use futures::{Stream, StreamExt, stream};
use resurgam::table::Change;
use tokio::sync::broadcast;

use crate::row;

/// How many changes are kept for one that does not read them: then it is told that anything may have changed.
const KEPT: usize = 1024;

/// The senders of changes, for a thread that knows nothing of keys.
pub(crate) trait Listeners: Send + Sync {
    /// Reports whether anybody listens.
    fn any(&self) -> bool;

    /// Says that anything may have changed.
    fn tell_anything(&self);
}

/// What all streams of changes of a table hang on.
pub(crate) struct Changes<K>(broadcast::Sender<Change<K>>);

impl<K: Clone + Send + 'static> Changes<K> {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(KEPT).0)
    }

    pub(crate) fn tell(&self, change: Change<K>) {
        let _nobody_listens = self.0.send(change);
    }

    /// Whatever is told from now on. Listening begins with this call, not with the first poll.
    pub(crate) fn listen(&self) -> impl Stream<Item = Change<K>> + Send + use<K> {
        let changes = stream::unfold(self.0.subscribe(), |mut receiver| async {
            let change = match receiver.recv().await {
                Ok(change) => change,
                Err(broadcast::error::RecvError::Lagged(_)) => Change::Any,
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            Some((change, receiver))
        });
        let mut changes = Box::pin(changes);
        stream::poll_fn(move |cx| {
            let waker = Waker::from(Arc::new(Quiet(cx.waker().clone())));
            changes.poll_next_unpin(&mut Context::from_waker(&waker))
        })
    }
}

impl<K: Clone + Send + 'static> Listeners for Changes<K> {
    fn any(&self) -> bool {
        self.0.receiver_count() > 0
    }

    fn tell_anything(&self) {
        self.tell(Change::Any);
    }
}

/// Whoever is woken after one whose waker panics is woken all the same, and the thread that tells of a change goes on.
struct Quiet(Waker);

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {
        let _woken_or_not = row::guard(|| {
            self.0.wake_by_ref();
            Ok(())
        });
    }
}
