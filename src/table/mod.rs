//! Tables: what says which services are to run, for [`keyed`](crate::keyed) supervisors.
//!
//! A [`Table`] has rows, each a key and a value. It may be a file, a database, a service elsewhere, or a [`MemoryTable`]. Who implements one
//! says how to read a row, how to read all of them, and, if it can, that something has changed.

mod memory;

use std::{
    error::Error,
    fmt::{self, Display},
    future::Future,
    hash::Hash,
};

use futures::{Stream, stream};

pub use self::memory::MemoryTable;

/// Rows of keys and values that say which services are to run.
///
/// All is read beside the turn of the supervisor that asks, in tasks on its arbiter: it may take its time, fail or panic, and must not block the
/// thread. What takes longer than the [`table_timeout`](crate::keyed::KeyedSpec::table_timeout) is given up for this time.
///
/// # Examples
///
/// A table whose rows are the lines of a file:
///
/// ```
/// use std::{io, path::PathBuf};
///
/// use futures::{Stream, StreamExt, TryStreamExt, stream};
/// use resurgam::table::{RowError, Table};
///
/// struct Lines(PathBuf);
///
/// impl Lines {
///     fn read(&self) -> io::Result<Vec<(String, String)>> {
///         // A small file. What may take long belongs onto a thread of its own.
///         let text = std::fs::read_to_string(&self.0)?;
///         let rows = text.lines().filter_map(|line| line.split_once('='));
///         Ok(rows.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
///     }
/// }
///
/// impl Table for Lines {
///     type Key = String;
///     type Value = String;
///     type Error = io::Error;
///
///     async fn get(&self, key: &String) -> io::Result<Option<String>> {
///         let rows = self.read()?;
///         Ok(rows.into_iter().find(|(known, _)| known == key).map(|(_, value)| value))
///     }
///
///     fn rows(&self) -> impl Stream<Item = Result<(String, String), RowError<String, io::Error>>> + Send {
///         let rows = async { self.read().map_err(RowError::scan) };
///         stream::once(rows).map_ok(|rows| stream::iter(rows).map(Ok)).try_flatten()
///     }
/// }
/// ```
pub trait Table: Send + Sync + 'static {
    /// What names a row. Its [`Display`] form, percent-encoded where it has to be, is the name of the service.
    type Key: Clone + Eq + Hash + Display + Send + Sync + 'static;

    /// What a service is made of. Two that are equal are the same service: then nothing is restarted.
    type Value: Clone + PartialEq + Send + Sync + 'static;

    /// Why something could not be read.
    type Error: Error + Send + Sync + 'static;

    /// Reads one row; `None` if there is none.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time.
    fn get(
        &self,
        key: &Self::Key,
    ) -> impl Future<Output = Result<Option<Self::Value>, Self::Error>> + Send;

    /// Reads all rows, in any order.
    ///
    /// No snapshot is promised: a row that is added, changed or removed meanwhile may be there or not. After an error of a
    /// [row](RowError::row) the others follow; after one of the [scan](RowError::scan) nothing is read any more.
    fn rows(&self) -> impl Stream<Item = RowResult<Self>> + Send;

    /// Says that something may have changed since the call. By default never: whoever follows the table then reads it at intervals.
    ///
    /// Called before all rows are read for the first time. A stream that ends is asked for again, after a delay, and then all rows are read. One
    /// that has to connect before it hears anything says [`Change::Any`] once it has: what came between is not known otherwise.
    fn changes(&self) -> impl Stream<Item = Change<Self::Key>> + Send {
        stream::pending()
    }
}

/// One row of a table, or why it could not be read.
pub type RowResult<T> = Result<
    (<T as Table>::Key, <T as Table>::Value),
    RowError<<T as Table>::Key, <T as Table>::Error>,
>;

/// What may have changed in a table.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Change<K> {
    /// Anything: all rows are to be read.
    Any,
    /// The row of this key was added, changed or removed.
    Row(K),
}

/// Why a row could not be read, or no more rows could.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RowError<K, E> {
    /// One row, and the others follow.
    #[non_exhaustive]
    Row {
        /// Of which key, if that could be read.
        key: Option<K>,
        /// What is wrong with it.
        error: E,
    },
    /// All that were still to come.
    #[non_exhaustive]
    Scan {
        /// Why.
        error: E,
    },
}

impl<K, E> RowError<K, E> {
    /// One row could not be read, of this key if that is known.
    pub const fn row(key: Option<K>, error: E) -> Self {
        Self::Row { key, error }
    }

    /// The rows that were still to come could not be read.
    pub const fn scan(error: E) -> Self {
        Self::Scan { error }
    }
}

impl<K: Display, E: Display> Display for RowError<K, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row {
                key: Some(key),
                error,
            } => write!(f, "the row of `{key}` could not be read: {error}"),
            Self::Row { key: None, error } => write!(f, "a row could not be read: {error}"),
            Self::Scan { error } => write!(f, "the rows could not be read: {error}"),
        }
    }
}

impl<K: Display + fmt::Debug, E: Error + 'static> Error for RowError<K, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Row { error, .. } | Self::Scan { error } => error.source(),
        }
    }
}
