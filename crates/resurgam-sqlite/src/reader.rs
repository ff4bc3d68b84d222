//! The thread that reads.

use std::{
    fmt::Display,
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
    identity::Identity,
    row::{self, RawKey, Read},
    schema::Place,
};

/// At most so many rows are read at once, and no more after so many bytes. Nothing else is read meanwhile, and no checkpoint gets past it.
/// Between two pages one thread wakes the other: with a quarter of that, reading all took a third longer, and with four times that hardly less.
const PAGE: usize = 1024;
const PAGE_BYTES: usize = 1 << 20;

/// Reads at the request of others. Ends when the last handle is gone.
pub(crate) struct Reader {
    jobs: mpsc::Sender<Job>,
    place: Place,
}

type Job = Box<dyn FnOnce(&Connection, &Identity) + Send>;

/// Some rows in the order of their keys.
pub(crate) struct Page<K, V> {
    pub(crate) rows: Vec<Read<K, V>>,
    /// The key that the next one begins behind.
    pub(crate) next: Option<RawKey>,
}

impl Reader {
    pub(crate) fn start(
        place: Place,
        connection: Connection,
        identity: Arc<Identity>,
    ) -> Result<Self, SqliteError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let run = move || {
            for job in queue {
                // What users have written may panic when it is dropped. Whoever waits for that answer is told that there is none.
                let _answered_or_not = row::guard(|| {
                    job(&connection, &identity);
                    Ok(())
                });
            }
            identity.close(connection);
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
        read: impl FnOnce(&Connection, &Place) -> Result<T, SqliteError> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, SqliteError>> {
        let (tx, rx) = oneshot::channel();
        let place = self.place.clone();
        let job: Job = Box::new(move |connection, identity| {
            if !tx.is_closed() {
                let there = identity.check();
                let there = there.map_err(|message| place.replaced(message));
                let _nobody_waits = tx.send(there.and_then(|()| read(connection, &place)));
            }
        });
        // If the thread is gone, so is the sender of the answer.
        let _gone = self.jobs.send(job);
        rx
    }

    /// Reads the value of a key. A row whose key is only written like that one is none of it.
    pub(crate) async fn get<K, V>(&self, key: &K) -> Result<Option<V>, SqliteError>
    where
        K: Display + Eq + FromStr + Send + 'static,
        K::Err: Display,
        V: DeserializeOwned + Send + 'static,
    {
        let text = row::sought_key(&self.place, key)?;
        let found = self.ask(move |connection, place| {
            let table = &place.table;
            let sql = format!("SELECT key, value FROM main.\"{table}\" WHERE key = ?1");
            let row = connection.prepare_cached(&sql).and_then(|mut statement| {
                let row = |row: &rusqlite::Row<'_>| {
                    Ok(row::columns::<K, V>(
                        place,
                        row.get_ref(0)?,
                        row.get_ref(1)?,
                    ))
                };
                statement.query_row([&text], row).optional()
            });
            row.map_err(|error| place.error(&error))?.transpose()
        });
        match found.await.unwrap_or_else(|_| Err(self.no_answer()))? {
            Some((found, value)) if found == *key => value.map(Some),
            Some(_) | None => Ok(None),
        }
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
