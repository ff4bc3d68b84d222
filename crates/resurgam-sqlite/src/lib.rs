//! Rows for [keyed services](resurgam::keyed) in a SQLite file.
//!
//! A [`SqliteTable`] is a [`Table`](resurgam::table::Table) that outlives its program. It is a plain table with the columns `key` and `value`,
//! both text, the value as JSON: whoever has the `sqlite3` shell reads and changes it, while the program runs.
//!
//! ```no_run
//! use resurgam_sqlite::SqliteTable;
//! # #[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
//! # struct Device { url: String, every_ms: u64 }
//! # async fn example(device: Device) -> Result<(), Box<dyn std::error::Error>> {
//! let table = SqliteTable::<String, Device>::open("fleet.db", "devices").await?;
//! table.insert(&"pump-7".to_owned(), &device).await?; // durable when it returns
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//! $ sqlite3 fleet.db "update devices set value = json_set(value, '$.every_ms', 250) where key = 'pump-7'"
//! ```
//!
//! # What is promised
//!
//! - What an operation has returned from is on disk, as far as the disk tells the truth: the file has a write-ahead log, and every commit is
//!   synchronised. Operations that are under way at the same time share one commit.
//! - Any number of tables, threads and processes may use the same file at the same time. They see each other's commits, and never half of one.
//! - No call into SQLite runs on the thread of an arbiter. A table has one thread that writes, and one that reads a page of rows at a time.
//! - A row that cannot be read is an error of that row, and the others follow. A file that cannot be used is an error that names it.
//!
//! The file belongs onto a disk of the machine: processes share its log by memory, which no network file system has. It is not to be moved, removed
//! or replaced while it is open, and neither are `-wal` and `-shm` beside it. If that happens (and the system can do it, as Unix can), nothing is
//! read or written any more, and all that is asked for is [`Replaced`](SqliteError::Replaced), until it is back in its place or opened again.
//! Nobody but SQLite may write to them, either: a file that is copied over this one, or a log that is cut off, is not noticed, and what was on disk
//! is lost.
//!
//! # What belongs to this crate in the file
//!
//! The tables that were opened by it, and `resurgam_schema`, which says by which version of this crate they were made. `user_version` and all
//! else is yours. A table that is there already is used as it is, if it has a text `key`, which is its primary key and compared byte by byte (no
//! `COLLATE NOCASE`), and a text `value`; it may have more columns, as long as a row may be made without them. The texts of the file are UTF-8,
//! which is SQLite's default.

mod changes;
mod error;
mod identity;
mod options;
mod reader;
mod row;
mod schema;
mod table;
#[cfg(test)]
mod tests;
mod writer;

pub use self::{
    error::{OpenError, SqliteError},
    options::SqliteOptions,
    table::SqliteTable,
};
