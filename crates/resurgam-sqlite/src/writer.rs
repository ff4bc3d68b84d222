//! The thread that writes, and looks whether others have written.

use std::{
    collections::HashSet,
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, ToSql, Transaction, TransactionBehavior, types::ValueRef};

use crate::{
    changes::Listeners,
    error::SqliteError,
    identity::Identity,
    options::SqliteOptions,
    row::{self, RawKey},
    schema::{LONGEST, Place},
};

/// At most so many requests share a commit.
const BATCH: usize = 1024;

/// What is to be done in one step.
#[derive(Debug)]
pub(crate) enum Write {
    Insert { key: String, value: String },
    Remove { key: String },
    Replace { rows: Vec<(String, String)> },
}

/// Told when it is on disk, and whether anything is different now; or why it is not.
pub(crate) type Done = Box<dyn FnOnce(Result<bool, SqliteError>) + Send>;

/// Writes at the request of others. Ends when the last handle is gone, after what was asked for.
pub(crate) struct Writer {
    requests: mpsc::Sender<(Write, Done)>,
    /// How many commits there were.
    #[cfg_attr(not(test), expect(dead_code, reason = "counted for tests"))]
    pub(crate) commits: Arc<AtomicU64>,
}

impl Writer {
    pub(crate) fn start(
        place: Place,
        connection: Connection,
        identity: Arc<Identity>,
        options: &SqliteOptions,
        listeners: Arc<dyn Listeners>,
    ) -> Result<Self, SqliteError> {
        let poll_every = options.poll_every.max(Duration::from_millis(1));
        let patience = options.busy_timeout;
        let slice = patience.min(poll_every).min(LONGEST);
        let set = connection.busy_timeout(slice);
        set.map_err(|error| place.error(&error))?;
        let file = Arc::clone(&place.file);
        let (requests, queue) = mpsc::channel();
        let commits = Arc::default();
        let mut thread = Thread {
            seen: version(&connection).unwrap_or_default(),
            away: false,
            patience,
            slice,
            place,
            connection,
            identity,
            listeners,
            commits: Arc::clone(&commits),
        };
        let run = move || {
            thread.run(&queue, poll_every);
            thread.identity.close(thread.connection);
        };
        match thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(run)
        {
            Ok(_ends_by_itself) => Ok(Self { requests, commits }),
            Err(error) => Err(SqliteError::failed(&file, error.to_string())),
        }
    }

    /// Has something written. If the thread is gone, `done` is dropped.
    pub(crate) fn ask(&self, write: Write, done: Done) {
        let _gone = self.requests.send((write, done));
    }
}

struct Thread {
    place: Place,
    connection: Connection,
    identity: Arc<Identity>,
    /// How long to wait for others who write, and how much of that at once: between them is looked for changes.
    patience: Duration,
    slice: Duration,
    /// Whether the file was missing from its place at the last look.
    away: bool,
    /// What stood for the changes of others at the last look.
    seen: i64,
    listeners: Arc<dyn Listeners>,
    commits: Arc<AtomicU64>,
}

impl Thread {
    fn run(&mut self, queue: &mpsc::Receiver<(Write, Done)>, poll_every: Duration) {
        loop {
            match queue.recv_timeout(poll_every) {
                Ok(first) => {
                    let others = queue.try_iter().take(BATCH - 1);
                    self.write(std::iter::once(first).chain(others).collect());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look();
        }
    }

    /// Has those hear who listen if others have changed the file since the last look. As long as nobody listens, that look is put off.
    fn look(&mut self) {
        if !self.listeners.any() {
            return;
        }
        // What cannot be read now is looked for again.
        let version = version(&self.connection).unwrap_or(self.seen);
        let away = self.identity.check().is_err();
        if (version, away) != (self.seen, self.away) {
            (self.seen, self.away) = (version, away);
            // Whoever listens may have a waker that panics.
            let _told_or_not = row::guard(|| {
                self.listeners.tell_anything();
                Ok(())
            });
        }
    }

    /// Writes all of that with one commit, and answers when that is on disk.
    fn write(&mut self, batch: Vec<(Write, Done)>) {
        let (writes, done): (Vec<Write>, Vec<Done>) = batch.into_iter().unzip();
        let results = match self.commit(&writes) {
            Ok(results) => results,
            // Everybody would wait just as long, and for nothing.
            Err(error @ (SqliteError::Locked { .. } | SqliteError::Replaced { .. })) => {
                vec![Err(error); writes.len()]
            }
            // Whose fault it was is not known: a disk that is too full for one may have room for the others.
            Err(_) if writes.len() > 1 => writes.chunks(1).map(|one| self.alone(one)).collect(),
            Err(error) => vec![Err(error)],
        };
        for (done, result) in done.into_iter().zip(results) {
            // What it drops may be what users have written.
            let _told_or_not = row::guard(|| {
                done(result);
                Ok(())
            });
        }
    }

    fn alone(&mut self, write: &[Write]) -> Result<bool, SqliteError> {
        let results = self.commit(write)?;
        results.into_iter().next().unwrap_or(Ok(false))
    }

    /// One transaction. A write that SQLite refuses is left out of it; an error of the whole means that nothing was written.
    fn commit(&mut self, writes: &[Write]) -> Result<Vec<Result<bool, SqliteError>>, SqliteError> {
        let place = self.place.clone();
        let identity = Arc::clone(&self.identity);
        let error = |error| place.error(&error);
        let in_place = || identity.check().map_err(|message| place.replaced(message));
        let mut waited = Duration::ZERO;
        // With the right to write from the beginning: what was read before would be out of date if it had to wait for that.
        let immediate = TransactionBehavior::Immediate;
        let mut transaction = loop {
            in_place()?;
            match Transaction::new(&mut self.connection, immediate).map_err(error) {
                Ok(transaction) => break transaction,
                Err(error @ SqliteError::Locked { .. }) => {
                    waited += self.slice;
                    if waited >= self.patience {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
            self.look();
        };
        let mut results = Vec::with_capacity(writes.len());
        for write in writes {
            let written = execute(&mut transaction, &place, write);
            if let Err(error) = &written
                && transaction.is_autocommit()
            {
                // SQLite has rolled back by itself, as it does when the disk is full.
                return Err(error.clone());
            }
            results.push(written);
        }
        transaction.commit().map_err(error)?;
        // Before anybody is told that it is there.
        in_place()?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(results)
    }
}

/// Does one thing, or nothing of it.
fn execute(
    transaction: &mut Transaction<'_>,
    place: &Place,
    write: &Write,
) -> Result<bool, SqliteError> {
    let table = &*place.table;
    let error = |error| place.error(&error);
    let of_row = |key: &str, error| of_row(place, key, &error);
    match write {
        Write::Insert { key, value } => {
            insert(transaction, table, key, value).map_err(|error| of_row(key, error))
        }
        Write::Remove { key } => {
            remove(transaction, table, key).map_err(|error| of_row(key, error))
        }
        Write::Replace { rows } => {
            let part = transaction.savepoint().map_err(error)?;
            let mut changed = false;
            for (key, value) in rows {
                changed |= insert(&part, table, key, value).map_err(|error| of_row(key, error))?;
            }
            let kept: HashSet<&[u8]> = rows.iter().map(|(key, _)| key.as_bytes()).collect();
            let gone = keys_but(&part, table, &kept).map_err(error)?;
            for key in gone {
                changed |=
                    remove(&part, table, &key).map_err(|error| of_row(&key.shown(), error))?;
            }
            part.commit().map_err(error)?;
            Ok(changed)
        }
    }
}

/// The keys that are there, but for these.
fn keys_but(
    part: &Connection,
    table: &str,
    kept: &HashSet<&[u8]>,
) -> rusqlite::Result<Vec<RawKey>> {
    let sql = format!("SELECT key FROM main.\"{table}\"");
    let mut all = part.prepare_cached(&sql)?;
    let mut all = all.query([])?;
    let mut found = Vec::new();
    while let Some(row) = all.next()? {
        match row.get_ref(0)? {
            ValueRef::Text(key) if kept.contains(key) => {}
            key => found.push(key.into()),
        }
    }
    Ok(found)
}

/// What an error means that one row has met. What the rules of the table have against it is about that row, which SQLite does not name.
fn of_row(place: &Place, key: &str, error: &rusqlite::Error) -> SqliteError {
    let refused = |why: &dyn Display| {
        let table = &place.table;
        let message = format!("the row `{key}` of table `{table}` is refused: {why}");
        SqliteError::failed(&place.file, message)
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig) => refused(error),
        None if matches!(error, rusqlite::Error::StatementChangedRows(_)) => {
            refused(&"a trigger has left it out")
        }
        _ => place.error(error),
    }
}

/// What stands in other columns of the row stays.
fn insert(to: &Connection, table: &str, key: &str, value: &str) -> rusqlite::Result<bool> {
    // Looked for first: of many rows that are replaced most are as they were, and a look costs less than a write that changes nothing.
    let same = "value IS ?2 COLLATE BINARY";
    let sql = format!("SELECT 1 FROM main.\"{table}\" WHERE key = ?1 AND {same}");
    if to.prepare_cached(&sql)?.exists((key, value))? {
        return Ok(false);
    }
    let sql = format!(
        "INSERT INTO main.\"{table}\" (key, value) VALUES (?1, ?2) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    );
    let changed = to.prepare_cached(&sql)?.execute((key, value))?;
    if changed > 0 { Ok(true) } else { Err(LEFT_OUT) }
}

/// What was to be done was not, without a word: a trigger has left it out.
const LEFT_OUT: rusqlite::Error = rusqlite::Error::StatementChangedRows(0);

fn remove(from: &Connection, table: &str, key: &impl ToSql) -> rusqlite::Result<bool> {
    let sql = format!("DELETE FROM main.\"{table}\" WHERE key IS ?1");
    if from.prepare_cached(&sql)?.execute([key])? > 0 {
        return Ok(true);
    }
    let sql = format!("SELECT 1 FROM main.\"{table}\" WHERE key IS ?1");
    let is_there = from.prepare_cached(&sql)?.exists([key])?;
    if is_there { Err(LEFT_OUT) } else { Ok(false) }
}

/// A number that is another one when others have changed the file. What this connection writes does not count.
fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}
