//! A table in memory.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt::{self, Display},
    future::{Future, ready},
    hash::Hash,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{Stream, StreamExt, stream};
use tokio::sync::broadcast;

use super::{Change, RowResult, Table};

/// A [`Table`] in memory, which says at once what has changed. Clones are the same table.
///
/// # Examples
///
/// ```
/// use resurgam::table::{MemoryTable, Table};
///
/// # #[actix::main]
/// # async fn main() {
/// let table = MemoryTable::new();
/// assert_eq!(table.insert(&"pump-7", &500).await, None);
/// assert_eq!(table.insert(&"pump-7", &700).await, Some(500));
/// assert_eq!(table.clone().get(&"pump-7").await, Ok(Some(700)));
/// assert_eq!(table.remove(&"pump-7").await, Some(700));
/// assert!(table.is_empty());
/// # }
/// ```
pub struct MemoryTable<K, V> {
    shared: Arc<Shared<K, V>>,
}

/// What clones share.
// A mutex, since a table is for any number of threads. It is held for one change or for one page of rows; the user's `Clone`, `Ord` and
// `Drop` of keys and values are the only foreign code that runs meanwhile.
struct Shared<K, V> {
    rows: Mutex<BTreeMap<K, V>>,
    changes: broadcast::Sender<K>,
}

/// How many rows are copied while the lock is held.
const PAGE: usize = 128;

/// How many changes are kept for one that does not read them: then it is told that anything may have changed.
const KEPT: usize = 1024;

impl<K, V> MemoryTable<K, V>
where
    K: Clone + Ord,
    V: Clone,
{
    /// An empty table.
    pub fn new() -> Self {
        Self::from_iter([])
    }

    /// Adds a row or changes it, and returns the value that it had.
    ///
    /// Done when it is called; the future is ready at once.
    pub fn insert(&self, key: &K, value: &V) -> impl Future<Output = Option<V>> + Send + use<K, V>
    where
        V: Send,
    {
        let before = self.rows().insert(key.clone(), value.clone());
        self.tell(key);
        ready(before)
    }

    /// Removes a row, and returns the value that it had.
    ///
    /// Done when it is called; the future is ready at once.
    pub fn remove(&self, key: &K) -> impl Future<Output = Option<V>> + Send + use<K, V>
    where
        V: Send,
    {
        let before = self.rows().remove(key);
        if before.is_some() {
            self.tell(key);
        }
        ready(before)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows().len()
    }

    /// Reports whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows().is_empty()
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<K, V>> {
        // Poisoned if a user's `Ord` or `Clone` has panicked: the rows are as they were before, or after.
        self.shared
            .rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, key: &K) {
        let _nobody_listens = self.shared.changes.send(key.clone());
    }

    /// The rows behind this key, as many as fit into a page.
    fn page(&self, after: Option<&K>) -> Vec<(K, V)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.rows();
        let page = rows.range((from, Bound::Unbounded)).take(PAGE);
        page.map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

impl<K, V> Table for MemoryTable<K, V>
where
    K: Clone + Display + Hash + Ord + Send + Sync + 'static,
    V: Clone + PartialEq + Send + Sync + 'static,
{
    type Key = K;
    type Value = V;
    type Error = Infallible;

    async fn get(&self, key: &K) -> Result<Option<V>, Infallible> {
        Ok(self.rows().get(key).cloned())
    }

    fn rows(&self) -> impl Stream<Item = RowResult<Self>> + Send {
        let pages = stream::unfold(None, move |after: Option<K>| async move {
            let page = self.page(after.as_ref());
            let last = page.last()?.0.clone();
            Some((stream::iter(page), Some(last)))
        });
        pages.flatten().map(Ok)
    }

    fn changes(&self) -> impl Stream<Item = Change<K>> + Send {
        let receiver = self.shared.changes.subscribe();
        stream::unfold(receiver, |mut receiver| async {
            let change = match receiver.recv().await {
                Ok(key) => Change::Row(key),
                Err(broadcast::error::RecvError::Lagged(_)) => Change::Any,
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            Some((change, receiver))
        })
    }
}

impl<K, V> FromIterator<(K, V)> for MemoryTable<K, V>
where
    K: Clone + Ord,
{
    fn from_iter<I: IntoIterator<Item = (K, V)>>(rows: I) -> Self {
        let shared = Shared {
            rows: Mutex::new(rows.into_iter().collect()),
            changes: broadcast::channel(KEPT).0,
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl<K, V> Default for MemoryTable<K, V>
where
    K: Clone + Ord,
    V: Clone,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Clone for MemoryTable<K, V> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K, V> fmt::Debug for MemoryTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTable").finish_non_exhaustive()
    }
}
