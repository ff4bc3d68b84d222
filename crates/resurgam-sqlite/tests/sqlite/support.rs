//! A file of its own for each test, and what is done to it by others.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures::{Stream, StreamExt};
use resurgam::table::{RowError, Table};
use resurgam_sqlite::{SqliteError, SqliteTable};
use rusqlite::Connection;

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Device {
    pub(crate) url: String,
    pub(crate) every_ms: u64,
}

pub(crate) fn device(every_ms: u64) -> Device {
    Device {
        url: "http://127.0.0.1:9".to_owned(),
        every_ms,
    }
}

pub(crate) fn key(key: &str) -> String {
    key.to_owned()
}

/// Longer than anything takes that happens at all.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A file in a directory of its own, which is gone afterwards.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new() -> Self {
        Self::below(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    /// Where other users of the machine get to.
    #[cfg(unix)]
    pub(crate) fn outside_of_the_project() -> Self {
        Self::below(&std::env::temp_dir())
    }

    fn below(directory: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("resurgam-sqlite-{}-{number}", std::process::id());
        let directory = directory.join(name);
        fs::create_dir_all(&directory).unwrap();
        Self(directory.join("fleet.db"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// As the `sqlite3` shell does.
    pub(crate) fn execute(&self, sql: &str) {
        self.connect().execute_batch(sql).unwrap();
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.0).unwrap()
    }

    pub(crate) async fn open(&self) -> SqliteTable<String, Device> {
        SqliteTable::open(&self.0, "devices").await.unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

/// What can be read, and why the rest cannot.
pub(crate) async fn read<T: Table<Error = SqliteError>>(
    table: &T,
) -> (Vec<(T::Key, T::Value)>, Vec<RowError<T::Key, SqliteError>>) {
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for row in table.rows().collect::<Vec<_>>().await {
        match row {
            Ok(row) => rows.push(row),
            Err(error) => errors.push(error),
        }
    }
    (rows, errors)
}

/// The next of a stream, which comes.
pub(crate) async fn next<S: Stream + Unpin>(stream: &mut S) -> S::Item {
    let next = tokio::time::timeout(LONG, stream.next());
    next.await.expect("it comes").expect("it goes on")
}
