//! Why a table could not be opened, read or changed.

use std::{path::Path, sync::Arc};

use rusqlite::{ErrorCode, ffi};

/// Why a table could not be read or changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// Somebody else was writing for longer than [`busy_timeout`](crate::SqliteOptions::busy_timeout).
    #[error("`{}` is locked: {message}", .file.display())]
    #[non_exhaustive]
    Locked {
        /// The file.
        file: Arc<Path>,
        /// What SQLite says.
        message: Arc<str>,
    },
    /// The file must not be written to.
    #[error("`{}` is read-only: {message}", .file.display())]
    #[non_exhaustive]
    ReadOnly {
        /// The file.
        file: Arc<Path>,
        /// What SQLite says.
        message: Arc<str>,
    },
    /// The file is damaged, or was never one of SQLite.
    #[error("`{}` is corrupt: {message}", .file.display())]
    #[non_exhaustive]
    Corrupt {
        /// The file.
        file: Arc<Path>,
        /// What SQLite says.
        message: Arc<str>,
    },
    /// There is no room left on the disk.
    #[error("`{}` has no room to grow: {message}", .file.display())]
    #[non_exhaustive]
    Full {
        /// The file.
        file: Arc<Path>,
        /// What SQLite says.
        message: Arc<str>,
    },
    /// The file can be neither found nor made.
    #[error("`{}` cannot be opened: {message}", .file.display())]
    #[non_exhaustive]
    CannotOpen {
        /// The file.
        file: Arc<Path>,
        /// What SQLite says.
        message: Arc<str>,
    },
    /// The file, its log or the index of that was removed or replaced since the table was opened, and nothing that is written there would be
    /// found again. Put it back, or open the table once more.
    #[error("`{}` was removed or replaced while it was open: {message}", .file.display())]
    #[non_exhaustive]
    Replaced {
        /// The file.
        file: Arc<Path>,
        /// Which of them, and what is there now.
        message: Arc<str>,
    },
    /// Anything else that SQLite refuses: the table was dropped, the disk has failed.
    #[error("`{}`: {message}", .file.display())]
    #[non_exhaustive]
    Failed {
        /// The file.
        file: Arc<Path>,
        /// What SQLite says.
        message: Arc<str>,
    },
    /// What stands in a row cannot be read.
    #[error("column `{column}` of the row `{key}` in table `{table}` of `{}`: {message}", .file.display())]
    #[non_exhaustive]
    Unreadable {
        /// The file.
        file: Arc<Path>,
        /// The name of the table.
        table: Arc<str>,
        /// The key as it stands there.
        key: Arc<str>,
        /// `key` or `value`.
        column: &'static str,
        /// What is wrong with it.
        message: Arc<str>,
    },
    /// A key or a value could not be written, or would not be read again as what it is, and was not written.
    #[error("column `{column}` of the row `{key}` was not written to table `{table}` of `{}`: {message}", .file.display())]
    #[non_exhaustive]
    Unwritable {
        /// The file.
        file: Arc<Path>,
        /// The name of the table.
        table: Arc<str>,
        /// The key.
        key: Arc<str>,
        /// `key` or `value`.
        column: &'static str,
        /// What is wrong with it.
        message: Arc<str>,
    },
    /// The thread that does it is gone, or was interrupted. A fault of this crate, or of a `Drop` that panics.
    #[error("`{}`: the thread that does it did not answer", .file.display())]
    #[non_exhaustive]
    NoAnswer {
        /// The file.
        file: Arc<Path>,
    },
}

impl SqliteError {
    /// What an error of SQLite means for this file.
    pub(crate) fn new(file: &Arc<Path>, error: &rusqlite::Error) -> Self {
        let file = Arc::clone(file);
        let message = error.to_string().into();
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed,
            ) => Self::Locked { file, message },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::ReadOnly { file, message }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { file, message }
            }
            Some(ErrorCode::DiskFull) => Self::Full { file, message },
            // There is no room for the index of the log.
            Some(_) if extended_code(error) == Some(ffi::SQLITE_IOERR_SHMSIZE) => {
                Self::Full { file, message }
            }
            Some(ErrorCode::CannotOpen) => Self::CannotOpen { file, message },
            _ => Self::Failed { file, message },
        }
    }

    pub(crate) fn failed(file: &Arc<Path>, message: impl Into<Arc<str>>) -> Self {
        Self::Failed {
            file: Arc::clone(file),
            message: message.into(),
        }
    }

    /// The file that it is about.
    pub fn file(&self) -> &Path {
        match self {
            Self::Locked { file, .. }
            | Self::ReadOnly { file, .. }
            | Self::Corrupt { file, .. }
            | Self::Full { file, .. }
            | Self::CannotOpen { file, .. }
            | Self::Replaced { file, .. }
            | Self::Failed { file, .. }
            | Self::Unreadable { file, .. }
            | Self::Unwritable { file, .. }
            | Self::NoAnswer { file } => file,
        }
    }
}

fn extended_code(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code)
}

/// Why a table was not opened.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A name is a letter or `_`, then letters, digits and `_`, at most 64 in all and none but those of ASCII, and begins neither with `sqlite_`
    /// nor with `resurgam_`.
    #[error("`{}` is no name of a table: letters, digits and `_`, not `sqlite_…` or `resurgam_…`", .table.escape_debug())]
    #[non_exhaustive]
    BadName {
        /// What was given.
        table: Arc<str>,
    },
    /// The table was made or changed by a newer version of this crate, which this one does not understand.
    #[error("table `{table}` of `{}` is of version {found}, and this program knows no later one than {known}", .file.display())]
    #[non_exhaustive]
    Newer {
        /// The file.
        file: Arc<Path>,
        /// The name of the table.
        table: Arc<str>,
        /// Its version.
        found: i64,
        /// The latest that is known.
        known: i64,
    },
    /// There is something of this name in the file that cannot hold rows of text keys and values.
    #[error("`{table}` of `{}` cannot be used: {message}", .file.display())]
    #[non_exhaustive]
    Unsuitable {
        /// The file.
        file: Arc<Path>,
        /// The name of the table.
        table: Arc<str>,
        /// What is missing.
        message: Arc<str>,
    },
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] SqliteError),
}
