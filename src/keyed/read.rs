//! Reads a table, beside the turn of the supervisor that asks: in tasks on its arbiter, each with a time limit, each caught when it panics.

use std::{
    future::poll_fn, panic::AssertUnwindSafe, pin::pin, sync::Arc, task::Poll, time::Duration,
};

use actix_rt::task::JoinHandle;
use futures::{FutureExt, Stream, StreamExt};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::plan::Begun;
use crate::{
    policy::{Backoff, ServiceError},
    service::guard,
    supervisor::Awaited,
    table::{Change, RowError, RowResult, Table},
    token::ServiceToken,
    user_value::{Each, UserValue},
};

/// What was read.
pub(super) enum Reading<T: Table> {
    /// Some rows of the scan.
    Rows(Each<Vec<RowResult<T>>>),
    /// There are no more, because all were read, or for this reason.
    End(Result<(), ServiceError>),
}

/// The row of one key, as it was read.
pub(super) struct Row<T: Table> {
    pub(super) key: T::Key,
    pub(super) why: Why,
    /// Whether the table is still being asked.
    pub(super) goes_on: bool,
    pub(super) begun: Begun,
    pub(super) value: Result<Option<UserValue<T::Value>>, ServiceError>,
}

/// For what the row of one key is read.
#[derive(Debug)]
pub(super) enum Why {
    /// Its service has ended, and may be restarted: the number of that question.
    End(ServiceToken, u64),
    /// Its service is about to be started again.
    Restart(ServiceToken, u64, Awaited),
    /// Something has changed.
    Change,
    /// What was not waited for any longer has come all the same.
    Late,
    /// Somebody starts the key: the number of that start.
    Start(u64),
    /// A scan has missed it.
    Suspect,
}

/// A task that ends with this.
#[derive(Debug)]
pub(super) struct Task(JoinHandle<()>);

impl Task {
    fn spawn(future: impl Future<Output = ()> + 'static) -> Self {
        Self(actix_rt::spawn(future))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How many rows are handed over at once.
const BATCH: usize = 64;

/// Why a table was given up for this time.
#[derive(Debug, thiserror::Error)]
#[error("the table did not answer within {0:?}")]
struct TooLate(Duration);

/// Reads all rows.
pub(super) fn scan<T: Table>(table: Arc<T>, limit: Duration) -> (Task, mpsc::Receiver<Reading<T>>) {
    let (tx, rx) = mpsc::channel(1);
    let task = Task::spawn(async move {
        let end = read_all(&*table, limit, &tx).await;
        let _nobody_wants_it = tx.send(Reading::End(end)).await;
    });
    (task, rx)
}

async fn read_all<T: Table>(
    table: &T,
    limit: Duration,
    tx: &mpsc::Sender<Reading<T>>,
) -> Result<(), ServiceError> {
    let rows = guard(|| table.rows()).map_err(ServiceError::new)?;
    let mut rows = pin!(rows.ready_chunks(BATCH));
    loop {
        let next = poll_fn(|cx| match guard(|| rows.as_mut().poll_next(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(ServiceError::new(panic))),
        });
        let next = timeout(limit, next).await;
        let Some(mut batch) = next.map_err(|_| ServiceError::new(TooLate(limit)))?? else {
            return Ok(());
        };
        let broken = batch
            .iter()
            .position(|row| matches!(row, Err(RowError::Scan { .. })));
        let Some(at) = broken else {
            if tx.send(Reading::Rows(Each(batch))).await.is_err() {
                return Ok(());
            }
            continue;
        };
        let end = batch.drain(at..).next();
        let _nobody_wants_it = tx.send(Reading::Rows(Each(batch))).await;
        if let Some(Err(RowError::Scan { error })) = end {
            return Err(ServiceError::new(error));
        }
    }
}

/// Reads the row of one key. Whatever panics there, also when it is dropped, is an error.
async fn get<T: Table>(
    table: Arc<T>,
    key: &T::Key,
    limit: Duration,
) -> Result<Option<UserValue<T::Value>>, ServiceError> {
    let row = get_unguarded(table, key, limit);
    let row = AssertUnwindSafe(row).catch_unwind().await;
    row.unwrap_or_else(|_panic| Err(ServiceError::new(Interrupted)))
}

async fn get_unguarded<T: Table>(
    table: Arc<T>,
    key: &T::Key,
    limit: Duration,
) -> Result<Option<UserValue<T::Value>>, ServiceError> {
    let row = guard(|| table.get(key)).map_err(ServiceError::new)?;
    let mut row = pin!(row);
    let row = poll_fn(|cx| match guard(|| row.as_mut().poll(cx)) {
        Ok(polled) => polled.map(|value| match value {
            Ok(value) => Ok(value.map(UserValue::new)),
            Err(error) => Err(ServiceError::new(error)),
        }),
        Err(panic) => Poll::Ready(Err(ServiceError::new(panic))),
    });
    let row = timeout(limit, row).await;
    row.map_err(|_| ServiceError::new(TooLate(limit)))?
}

/// How long the restart of a service waits for its row. A table that hangs is to hold nothing up.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads the row of one key, and says so there. Of one that a restart waits for it says after a while that it cannot be read, and again what
/// comes in the end.
pub(super) fn look<T: Table>(
    table: Arc<T>,
    key: T::Key,
    (why, begun): (Why, Begun),
    limit: Duration,
    tx: mpsc::UnboundedSender<Row<T>>,
) {
    actix_rt::spawn(async move {
        let restarts = matches!(why, Why::End(..) | Why::Restart(..));
        let mut why = why;
        let value = {
            let mut read = pin!(get(table, &key, limit));
            let soon = match timeout(PATIENCE.min(limit), read.as_mut()).await {
                Ok(value) => Some(value),
                // A key that cannot be copied is one that is waited for.
                Err(_) if restarts && PATIENCE < limit => {
                    if let Ok(key) = guard(|| key.clone()) {
                        let slow = Row {
                            key,
                            why: std::mem::replace(&mut why, Why::Late),
                            goes_on: true,
                            begun,
                            value: Err(ServiceError::new(TooLate(PATIENCE))),
                        };
                        let _nobody_wants_it = tx.send(slow);
                    }
                    None
                }
                Err(_) => None,
            };
            match soon {
                Some(value) => value,
                None => read.await,
            }
        };
        let row = Row {
            key,
            why,
            goes_on: false,
            begun,
            value,
        };
        let _nobody_wants_it = tx.send(row);
    });
}

/// What was to read the table has ended without a word.
#[derive(Debug, thiserror::Error)]
#[error("reading the table was interrupted by a panic")]
pub(super) struct Interrupted;

/// Listens for changes, for ever: a stream that ends, or panics, is asked for again, and then anything may have changed.
///
/// The first is asked for with the first poll of the task: before that of any task that is spawned later.
pub(super) fn listen<T: Table>(
    table: Arc<T>,
    retry: Backoff,
) -> (Task, mpsc::Receiver<Change<T::Key>>) {
    let (tx, rx) = mpsc::channel(BATCH);
    let task = Task::spawn(async move {
        let mut tries = 0;
        loop {
            // Caught as a whole: what panics when the stream is dropped is to be its end, and not that of all listening.
            let heard = AssertUnwindSafe(follow(&*table, &tx)).catch_unwind();
            if heard.await.unwrap_or(Heard::Something) == Heard::Something {
                tries = 0;
            }
            tries += 1;
            sleep(retry.delay(tries, 0.0)).await;
            if tx.send(Change::Any).await.is_err() {
                return;
            }
        }
    });
    (task, rx)
}

/// Whether a stream of changes has said anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Heard {
    Nothing,
    Something,
}

/// Passes changes on until their stream ends.
async fn follow<T: Table>(table: &T, tx: &mpsc::Sender<Change<T::Key>>) -> Heard {
    let mut heard = Heard::Nothing;
    let Ok(changes) = guard(|| table.changes()) else {
        return heard;
    };
    let mut changes = pin!(changes);
    loop {
        let change = poll_fn(|cx| match guard(|| changes.as_mut().poll_next(cx)) {
            Ok(polled) => polled,
            Err(_panic) => Poll::Ready(None),
        });
        let Some(change) = change.await else {
            return heard;
        };
        heard = Heard::Something;
        if tx.send(change).await.is_err() {
            return heard;
        }
    }
}
