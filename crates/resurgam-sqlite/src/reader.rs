//! The thread that reads.

use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
    str::FromStr,
    sync::{Arc, mpsc},
    thread,
};

use resurgam::table::RowError;
use rusqlite::{Connection, OptionalExtension, types::ValueRef};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::{
    error::SqliteError,
    row::{self, RawKey, Read},
    schema::Place,
};

/// At most so many rows are read at once, and no more after so many bytes. Nothing else is read meanwhile, and no checkpoint gets past it.
const PAGE: usize = 256;
const PAGE_BYTES: usize = 1 << 20;

/// Reads at the request of others. Ends when the last handle is gone.
pub(crate) struct Reader {
    jobs: mpsc::Sender<Job>,
    place: Place,
}

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// Some rows in the order of their keys.
pub(crate) struct Page<K, V> {
    pub(crate) rows: Vec<Read<K, V>>,
    /// The key that the next one begins behind.
    pub(crate) next: Option<RawKey>,
}

impl Reader {
    pub(crate) fn start(place: Place, connection: Connection) -> Result<Self, SqliteError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let run = move || {
            for job in queue {
                // What users have written may panic when it is dropped. Whoever waits for that answer is told that there is none.
                let _answered_or_not = catch_unwind(AssertUnwindSafe(|| job(&connection)));
            }
        };
        let thread = thread::Builder::new().name("sqlite-reader".to_owned());
        match thread.spawn(run) {
            Ok(_ends_by_itself) => Ok(Self { jobs, place }),
            Err(error) => Err(SqliteError::failed(&place.file, error.to_string())),
        }
    }

    /// Has something read. What nobody waits for any longer when its turn comes is not read.
    fn ask<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, &Place) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (tx, rx) = oneshot::channel();
        let place = self.place.clone();
        let job: Job = Box::new(move |connection| {
            if !tx.is_closed() {
                let _nobody_waits = tx.send(read(connection, &place));
            }
        });
        // If the thread is gone, so is the sender of the answer.
        let _gone = self.jobs.send(job);
        rx
    }

    /// Reads the value of a key.
    pub(crate) async fn get<V>(&self, key: String) -> Result<Option<V>, SqliteError>
    where
        V: DeserializeOwned + Send + 'static,
    {
        let value = self.ask(move |connection, place| {
            let sql = format!("SELECT value FROM main.\"{}\" WHERE key = ?1", place.table);
            let read = connection.prepare_cached(&sql).and_then(|mut statement| {
                let value = |row: &rusqlite::Row<'_>| Ok(row::value(row.get_ref(0)?));
                statement.query_row([&key], value).optional()
            });
            match read {
                Ok(None) => Ok(None),
                Ok(Some(Ok(value))) => Ok(Some(value)),
                Ok(Some(Err(message))) => {
                    let key = ValueRef::Text(key.as_bytes());
                    Err(row::unreadable(place, key, "value", message))
                }
                Err(error) => Err(place.error(&error)),
            }
        });
        value.await.unwrap_or_else(|_| Err(self.no_answer()))
    }

    /// Begins to read the page behind this key; the first one if there is none.
    pub(crate) fn page<K, V>(
        &self,
        last: Option<RawKey>,
    ) -> oneshot::Receiver<Result<Page<K, V>, SqliteError>>
    where
        K: Display + FromStr + Send + 'static,
        K::Err: Display,
        V: DeserializeOwned + Send + 'static,
    {
        self.ask(move |connection, place| {
            page(connection, place, last.as_ref()).map_err(|error| place.error(&error))
        })
    }

    pub(crate) fn no_answer(&self) -> SqliteError {
        SqliteError::NoAnswer {
            file: Arc::clone(&self.place.file),
        }
    }
}

fn page<K, V>(
    connection: &Connection,
    place: &Place,
    last: Option<&RawKey>,
) -> rusqlite::Result<Page<K, V>>
where
    K: Display + FromStr,
    K::Err: Display,
    V: DeserializeOwned,
{
    // The first page leaves out what is no text and no blob: a table that was made by hand may have rows whose key is NULL, which is none.
    let (behind, last) = match last {
        None => (">=", &RawKey::Text(Vec::new())),
        Some(last) => (">", last),
    };
    let table = &place.table;
    let sql = format!(
        "SELECT key, value FROM main.\"{table}\" WHERE key {behind} ?1 ORDER BY key LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query((last, i64::try_from(PAGE).unwrap_or(i64::MAX)))?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let (key, value) = (row.get_ref(0)?, row.get_ref(1)?);
        rows.push(row::read(place, key, value));
        bytes += size(key) + size(value);
        if rows.len() < PAGE && bytes < PAGE_BYTES {
            continue;
        }
        let next = Some(key.into());
        return Ok(Page { rows, next });
    }
    Ok(Page { rows, next: None })
}

fn size(column: ValueRef<'_>) -> usize {
    match column {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        _ => 8,
    }
}

/// What ends a scan, or the rows of a page.
pub(crate) fn failed<K, V>(error: SqliteError) -> Vec<Read<K, V>> {
    vec![Err(RowError::scan(error))]
}
