//! What users hold.

use std::{
    fmt::{self, Display},
    future::poll_fn,
    hash::Hash,
    marker::PhantomData,
    path::Path,
    str::FromStr,
    sync::Arc,
    task::Poll,
    thread,
};

use futures::{Stream, StreamExt, stream};
use resurgam::table::{Change, RowResult, Table};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use crate::{
    changes::Changes,
    error::{OpenError, SqliteError},
    identity::Identity,
    options::SqliteOptions,
    reader::{self, Reader},
    row,
    schema::{Place, STEPS},
    writer::{Write, Writer},
};

/// So much is written down in one turn; each row counts for a little more than its text.
const PIECE_BYTES: usize = 64 << 10;
const ROW_BYTES: usize = 128;

/// Comes back when others have had their turn.
async fn let_others_on() {
    let mut passed = false;
    poll_fn(|cx| {
        if passed {
            return Poll::Ready(());
        }
        passed = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A [`Table`] in a SQLite file. Clones are the same table, and the file is closed with the last of them.
///
/// The columns are `key`, by [`Display`] and [`FromStr`], and `value`, as JSON.
///
/// # Examples
///
/// ```
/// use resurgam::table::Table;
/// use resurgam_sqlite::SqliteTable;
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = std::env::temp_dir().join(format!("resurgam-sqlite-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let file = directory.join("fleet.db");
/// let intervals = SqliteTable::<String, u64>::open(file, "intervals").await?;
/// intervals.insert(&"pump-7".to_owned(), &500).await?;
/// assert_eq!(intervals.get(&"pump-7".to_owned()).await?, Some(500));
/// assert!(intervals.remove(&"pump-7".to_owned()).await?);
/// # std::fs::remove_dir_all(directory)?;
/// # Ok(())
/// # }
/// ```
pub struct SqliteTable<K, V> {
    inner: Arc<Inner<K>>,
    value: PhantomData<fn(V) -> V>,
}

/// What clones share.
pub(crate) struct Inner<K> {
    place: Place,
    pub(crate) writer: Writer,
    reader: Reader,
    changes: Arc<Changes<K>>,
}

impl<K, V> SqliteTable<K, V>
where
    K: Clone + Display + Eq + FromStr + Hash + Send + Sync + 'static,
    K::Err: Display,
    V: Clone + DeserializeOwned + PartialEq + Send + Serialize + Sync + 'static,
{
    /// Opens a table of a file. Both are made if they are not there.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    ///
    /// # Cancel safety
    ///
    /// The table may have been made when the future is dropped.
    pub async fn open(file: impl AsRef<Path>, table: &str) -> Result<Self, OpenError> {
        Self::open_with(file, table, SqliteOptions::default()).await
    }

    /// As [`open`](Self::open), with other times than the default ones.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    ///
    /// # Cancel safety
    ///
    /// As [`open`](Self::open).
    pub async fn open_with(
        file: impl AsRef<Path>,
        table: &str,
        options: SqliteOptions,
    ) -> Result<Self, OpenError> {
        let place = Place::new(file.as_ref(), table)?;
        let file = Arc::clone(&place.file);
        let (tx, opened) = oneshot::channel();
        let open = move || {
            let _nobody_waits = tx.send(Inner::open(place, &options));
        };
        // It may wait for others who write.
        let thread = thread::Builder::new().name("sqlite-open".to_owned());
        if let Err(error) = thread.spawn(open) {
            return Err(SqliteError::failed(&file, error.to_string()).into());
        }
        let inner = opened.await.map_err(|_| SqliteError::NoAnswer { file })??;
        Ok(Self::of(inner))
    }

    pub(crate) fn of(inner: Inner<K>) -> Self {
        Self {
            inner: Arc::new(inner),
            value: PhantomData,
        }
    }

    /// The file, as an absolute path.
    pub fn file(&self) -> &Path {
        &self.inner.place.file
    }

    /// Adds a row or changes it. It is on disk when this returns.
    ///
    /// # Errors
    ///
    /// See [`SqliteError`]. Then nothing was written, or, where the file was [replaced](SqliteError::Replaced) meanwhile, nothing that is found
    /// again. Also if the code for the key or the value panics.
    ///
    /// # Cancel safety
    ///
    /// Once this was polled the row is written all the same.
    pub async fn insert(&self, key: &K, value: &V) -> Result<(), SqliteError> {
        let (text, value) = row::write(&self.inner.place, key, value)?;
        let write = Write::Insert { key: text, value };
        self.inner.write(write, Change::Row(key.clone())).await?;
        Ok(())
    }

    /// Removes a row, and says whether there was one. That it is gone is on disk when this returns.
    ///
    /// # Errors
    ///
    /// See [`SqliteError`]. Then nothing was removed.
    ///
    /// # Cancel safety
    ///
    /// Once this was polled the row is removed all the same.
    pub async fn remove(&self, key: &K) -> Result<bool, SqliteError> {
        let text = row::write_key(&self.inner.place, key)?;
        let write = Write::Remove { key: text };
        self.inner.write(write, Change::Row(key.clone())).await
    }

    /// Has the table consist of these rows and no others, all at once: nobody sees some of them. Of two rows with the same key the later counts.
    ///
    /// Rows that stay as they are are not written.
    ///
    /// # Errors
    ///
    /// See [`SqliteError`]. Then all is as it was.
    ///
    /// # Cancel safety
    ///
    /// When this is dropped before all rows were taken in, which is done in pieces, none is written. From then on they are written all the same.
    pub async fn replace_all<'a>(
        &self,
        rows: impl IntoIterator<Item = (&'a K, &'a V)>,
    ) -> Result<(), SqliteError> {
        let (mut texts, mut piece) = (Vec::new(), 0);
        for (key, value) in rows {
            // Many rows take long to be written down, and this may be the thread of an arbiter: others have their turn between two pieces.
            if piece >= PIECE_BYTES {
                piece = 0;
                let_others_on().await;
            }
            let (key, value) = row::write(&self.inner.place, key, value)?;
            piece += ROW_BYTES + key.len() + value.len();
            texts.push((key, value));
        }
        let rows = texts;
        self.inner
            .write(Write::Replace { rows }, Change::Any)
            .await?;
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn inner(&self) -> &Inner<K> {
        &self.inner
    }
}

impl<K: Clone + Send + 'static> Inner<K> {
    /// Blocks its thread for as long as it has to wait for others.
    fn open(place: Place, options: &SqliteOptions) -> Result<Self, OpenError> {
        let mut writes = place.connect(options.busy_timeout)?;
        place.migrate(&mut writes, STEPS)?;
        let reads = place.connect(options.busy_timeout)?;
        Ok(Self::start(place, writes, reads, options)?)
    }

    pub(crate) fn start(
        place: Place,
        writes: rusqlite::Connection,
        reads: rusqlite::Connection,
        options: &SqliteOptions,
    ) -> Result<Self, SqliteError> {
        let changes = Arc::new(Changes::new());
        let listeners = Arc::clone(&changes) as _;
        let identity = Identity::of(&place.file);
        let identity = identity.map_err(|error| place.replaced(error.to_string()))?;
        let identity = Arc::new(identity);
        let reader = Reader::start(place.clone(), reads, Arc::clone(&identity))?;
        Ok(Self {
            writer: Writer::start(place.clone(), writes, identity, options, listeners)?,
            reader,
            place,
            changes,
        })
    }

    /// Has something written, and whoever listens told of it.
    async fn write(&self, write: Write, change: Change<K>) -> Result<bool, SqliteError> {
        let (tx, done) = oneshot::channel();
        let changes = Arc::clone(&self.changes);
        let tell = Box::new(move |result: Result<bool, SqliteError>| {
            if result == Ok(true) {
                // Whoever listens may have a waker that panics. That it is written is as true.
                let _told_or_not = row::guard(|| {
                    changes.tell(change);
                    Ok(())
                });
            }
            let _nobody_waits = tx.send(result);
        });
        self.writer.ask(write, tell);
        let done = done.await;
        done.unwrap_or_else(|_| Err(self.reader.no_answer()))
    }
}

impl<K, V> Table for SqliteTable<K, V>
where
    K: Clone + Display + Eq + FromStr + Hash + Send + Sync + 'static,
    K::Err: Display,
    V: Clone + DeserializeOwned + PartialEq + Send + Serialize + Sync + 'static,
{
    type Key = K;
    type Value = V;
    type Error = SqliteError;

    async fn get(&self, key: &K) -> Result<Option<V>, SqliteError> {
        self.inner.reader.get(key).await
    }

    fn rows(&self) -> impl Stream<Item = RowResult<Self>> + Send {
        let reader = &self.inner.reader;
        let first = Some(reader.page(None));
        let pages = stream::unfold(first, move |page| async move {
            let (rows, next) = match page?.await {
                // The next page is read while this one is worked on.
                Ok(Ok(page)) => (page.rows, page.next.map(|last| reader.page(Some(last)))),
                Ok(Err(error)) => (reader::failed(error), None),
                Err(_) => (reader::failed(reader.no_answer()), None),
            };
            Some((stream::iter(rows), next))
        });
        pages.flatten()
    }

    /// Changes by this table and its clones are told at once and by their key; that others have changed the file, at the
    /// [next look](SqliteOptions::poll_every).
    fn changes(&self) -> impl Stream<Item = Change<K>> + Send {
        self.inner.changes.listen()
    }
}

impl<K, V> Clone for SqliteTable<K, V> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            value: self.value,
        }
    }
}

impl<K, V> fmt::Debug for SqliteTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTable")
            .field("file", &self.inner.place.file)
            .field("table", &self.inner.place.table)
            .finish_non_exhaustive()
    }
}
