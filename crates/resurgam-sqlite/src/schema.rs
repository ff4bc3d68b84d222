//! How a file is opened, and what this crate makes in it.

use std::{path::Path, sync::Arc, thread, time::Duration};

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior,
};

use crate::error::{OpenError, SqliteError};

/// Which table of which file.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) file: Arc<Path>,
    pub(crate) table: Arc<str>,
}

/// As many milliseconds as SQLite can count.
pub(crate) const LONGEST: Duration = Duration::from_secs(2_000_000);

/// What makes a table of one version into one of the next. `{table}` is its name. Never change one that was released: add another.
type Steps<'a> = &'a [&'a str];

/// A table that somebody has made by hand is of version 0, and is taken as it is.
pub(crate) const STEPS: Steps<'static> = &["CREATE TABLE IF NOT EXISTS main.\"{table}\" \
     (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID"];

/// Which version stands where. Of our own: `user_version` is the user's.
const OWN: &str = "CREATE TABLE IF NOT EXISTS main.resurgam_schema \
     (name TEXT PRIMARY KEY NOT NULL COLLATE NOCASE, version INTEGER NOT NULL) WITHOUT ROWID";

impl Place {
    /// Checks the names. No statement can have the name of a table as a parameter, so only what needs no quoting is let through.
    pub(crate) fn new(file: &Path, table: &str) -> Result<Self, OpenError> {
        let begins = |with: &str| {
            let start = table.get(..with.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(with))
        };
        let word = |c: char| c == '_' || c.is_ascii_alphanumeric();
        let known = table.len() <= 64
            && table.chars().all(word)
            && table.starts_with(|c: char| !c.is_ascii_digit())
            && !begins("sqlite_")
            && !begins("resurgam_");
        if !known {
            return Err(OpenError::BadName {
                table: table.into(),
            });
        }
        // A name that means the same file wherever the program goes, and is none that SQLite understands in another way, as `:memory:`.
        let cannot_open = |message: &str| SqliteError::CannotOpen {
            file: file.into(),
            message: message.into(),
        };
        let absolute =
            std::path::absolute(file).map_err(|error| cannot_open(&error.to_string()))?;
        // No system has such names, and SQLite is not asked.
        if absolute.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(cannot_open("its name contains a NUL").into());
        }
        Ok(Self {
            file: absolute.into(),
            table: table.into(),
        })
    }

    /// What an error of SQLite means here.
    pub(crate) fn error(&self, error: &rusqlite::Error) -> SqliteError {
        SqliteError::new(&self.file, error)
    }

    pub(crate) fn replaced(&self, message: String) -> SqliteError {
        SqliteError::Replaced {
            file: Arc::clone(&self.file),
            message: message.into(),
        }
    }

    fn unsuitable(&self, message: impl Into<Arc<str>>) -> OpenError {
        OpenError::Unsuitable {
            file: Arc::clone(&self.file),
            table: Arc::clone(&self.table),
            message: message.into(),
        }
    }

    /// A connection to the file, set as all of ours are.
    pub(crate) fn connect(&self, busy_timeout: Duration) -> Result<Connection, SqliteError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let open = || {
            let connection = Connection::open_with_flags(&*self.file, flags)?;
            connection.busy_timeout(busy_timeout.min(LONGEST))?;
            Ok(connection)
        };
        let connection = open().map_err(|error| self.error(&error))?;
        // SQLite opens what may only be read without a word.
        if connection
            .is_readonly("main")
            .map_err(|error| self.error(&error))?
        {
            return Err(SqliteError::ReadOnly {
                file: Arc::clone(&self.file),
                message: "it must not be written to".into(),
            });
        }
        let mode = write_ahead(&connection, busy_timeout).map_err(|error| self.error(&error))?;
        if mode != "wal" {
            let message = format!("it has no write-ahead log, but the journal `{mode}`");
            return Err(SqliteError::failed(&self.file, message));
        }
        // The second is for macOS, where a synchronised file is on disk only with it.
        let set = connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;");
        set.map_err(|error| self.error(&error))?;
        Ok(connection)
    }

    /// Makes the table, or brings it to the latest version, all in one transaction.
    pub(crate) fn migrate(
        &self,
        connection: &mut Connection,
        steps: Steps<'_>,
    ) -> Result<(), OpenError> {
        // Without a lock, in a file that is as it should be: it can be opened while somebody else is writing.
        if self.version(connection, steps)? != latest(steps) {
            let error = |error| self.error(&error);
            let transaction =
                Transaction::new(connection, TransactionBehavior::Immediate).map_err(error)?;
            self.check_kind(&transaction)?;
            transaction.execute_batch(OWN).map_err(error)?;
            // Asked again: another process may have done it meanwhile.
            let version = self.version(&transaction, steps)?;
            for step in steps.iter().skip(usize::try_from(version).unwrap_or(0)) {
                let step = step.replace("{table}", &self.table);
                transaction.execute_batch(&step).map_err(error)?;
            }
            self.check_columns(&transaction)?;
            let written = "INSERT INTO main.resurgam_schema (name, version) VALUES (?1, ?2) \
                 ON CONFLICT (name) DO UPDATE SET version = excluded.version";
            let row = (&*self.table, latest(steps));
            transaction.execute(written, row).map_err(error)?;
            transaction.commit().map_err(error)?;
        }
        self.check_columns(connection)
    }

    /// The version of the table; 0 if it was not made by us, or is gone. One of the future is refused, gone or not.
    fn version(&self, connection: &Connection, steps: Steps<'_>) -> Result<i64, OpenError> {
        let known = latest(steps);
        match self
            .written_version(connection)
            .map_err(|error| self.error(&error))?
        {
            (found, _) if found > known => Err(OpenError::Newer {
                file: Arc::clone(&self.file),
                table: Arc::clone(&self.table),
                found,
                known,
            }),
            (_, false) => Ok(0),
            (found, true) => Ok(found),
        }
    }

    /// Which version is written down, and whether there is a table.
    fn written_version(&self, connection: &Connection) -> rusqlite::Result<(i64, bool)> {
        let table = connection.table_exists(Some("main"), &*self.table)?;
        if !connection.table_exists(Some("main"), "resurgam_schema")? {
            return Ok((0, table));
        }
        let written = "SELECT version FROM main.resurgam_schema WHERE name = ?1";
        let version = connection.query_row(written, [&*self.table], |row| row.get(0));
        Ok((version.optional()?.unwrap_or(0), table))
    }

    /// Looks whether there is something of that name that is no table. Triggers have names of their own.
    fn check_kind(&self, connection: &Connection) -> Result<Kind, OpenError> {
        let kind = "SELECT type FROM main.sqlite_schema \
             WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'";
        let kind = connection.query_row(kind, [&*self.table], |row| row.get(0));
        let kind: Option<String> = kind.optional().map_err(|error| self.error(&error))?;
        match kind.as_deref() {
            None => Ok(Kind::Nothing),
            Some("table") => Ok(Kind::Table),
            Some(kind) => Err(self.unsuitable(format!("it is no table: {kind}"))),
        }
    }

    /// Looks whether rows can be found by a text, and have a text.
    fn check_columns(&self, connection: &Connection) -> Result<(), OpenError> {
        let error = |error| self.error(&error);
        if self.check_kind(connection)? == Kind::Nothing {
            return Err(self.unsuitable("it is no table"));
        }
        // There some characters are others when they are read again.
        let encoding = connection.query_row("PRAGMA main.encoding", [], |row| row.get(0));
        let encoding: String = encoding.map_err(error)?;
        if encoding != "UTF-8" {
            return Err(self.unsuitable(format!("texts are {encoding} in this file, not UTF-8")));
        }
        let columns = "SELECT lower(name), upper(type), pk FROM pragma_table_info(?1, 'main')";
        let mut columns = connection.prepare(columns).map_err(error)?;
        let columns = columns.query_map([&*self.table], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
            ))
        });
        let columns = columns.and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>);
        let columns = columns.map_err(error)?;
        for wanted in ["key", "value"] {
            let Some((_, kind, _)) = columns.iter().find(|(name, ..)| name == wanted) else {
                return Err(self.unsuitable(format!("it has no column `{wanted}`")));
            };
            // By the rules of SQLite for the affinity of a column.
            if kind.contains("INT") || !["CHAR", "CLOB", "TEXT"].iter().any(|t| kind.contains(t)) {
                return Err(self.unsuitable(format!("its column `{wanted}` is not of type TEXT")));
            }
        }
        let mut primary = columns.iter().filter(|(.., primary)| *primary > 0);
        match (primary.next(), primary.next()) {
            (Some((name, ..)), None) if name == "key" => {}
            _ => return Err(self.unsuitable("its column `key` is not its primary key")),
        }
        let required = "SELECT name FROM pragma_table_info(?1, 'main') \
             WHERE \"notnull\" AND dflt_value IS NULL AND lower(name) NOT IN ('key', 'value')";
        let required = connection.query_row(required, [&*self.table], |row| row.get(0));
        let required: Option<String> = required.optional().map_err(error)?;
        if let Some(column) = required {
            let message = format!("a row needs a value for its column `{column}`");
            return Err(self.unsuitable(message));
        }
        // Otherwise `a` and `A` may be the same key there, and are not here.
        let collation = "SELECT part.coll \
             FROM pragma_index_list(?1, 'main') AS list, pragma_index_xinfo(list.name, 'main') AS part \
             WHERE list.origin = 'pk' AND part.name = 'key' COLLATE NOCASE AND part.key";
        let collation = connection.query_row(collation, [&*self.table], |row| row.get(0));
        let collation: String = collation.map_err(error)?;
        if collation.eq_ignore_ascii_case("BINARY") {
            Ok(())
        } else {
            Err(self.unsuitable(format!("its column `key` is compared by {collation}")))
        }
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Nothing,
    Table,
}

fn latest(steps: Steps<'_>) -> i64 {
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

/// Has the file keep a write-ahead log, and returns what it keeps.
///
/// Where two do this to a new file at once, SQLite tells one of them that it is locked, and does not wait as it does elsewhere.
fn write_ahead(connection: &Connection, busy_timeout: Duration) -> rusqlite::Result<String> {
    let pause = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        match mode {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && waited < busy_timeout =>
            {
                // The thread is ours.
                thread::park_timeout(pause);
                waited += pause;
            }
            mode => return mode,
        }
    }
}
