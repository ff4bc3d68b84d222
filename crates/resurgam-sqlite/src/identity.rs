//! Whether the file that is open is still the one that its path leads to.
//!
//! SQLite does not ask. On Unix a file can be removed or replaced while it is open: what is written then is acknowledged, and gone with the last
//! handle. Without its log, or the index of that, which others would make anew, two programs write past each other.

use std::{io, path::Path};

#[cfg(unix)]
use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use rusqlite::Connection;

/// The file, its log and the index of that, as they were when they were opened.
///
/// They are asked for by their names and never opened: closing a file drops all locks that the process has on it.
pub(crate) struct Identity {
    #[cfg(unix)]
    known: Vec<(PathBuf, (u64, u64))>,
}

#[cfg(unix)]
impl Identity {
    /// Of a file that is open already: none of the three is made anew as long as somebody has it open.
    pub(crate) fn of(file: &Path) -> io::Result<Self> {
        let real = fs::canonicalize(file)?;
        let beside = |suffix: &str| {
            let mut name = real.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        let mut known = vec![(file.to_owned(), number(file)?)];
        for path in [beside("-wal"), beside("-shm")] {
            if let Ok(number) = number(&path) {
                known.push((path, number));
            }
        }
        Ok(Self { known })
    }

    /// Says which of them is no longer there.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (path, known) in &self.known {
            let path_now = number(path);
            if path_now.as_ref().ok() != Some(known) {
                let path = path.display();
                return Err(match path_now {
                    Ok(_) => format!("`{path}` is another file now"),
                    Err(error) => format!("`{path}`: {error}"),
                });
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn number(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Elsewhere a file that is open can be neither removed nor replaced.
#[cfg(not(unix))]
impl Identity {
    pub(crate) fn of(_: &Path) -> io::Result<Self> {
        Ok(Self {})
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Identity {
    /// Closes a connection, unless that would remove the log of another file: whoever closes last removes what has the name of the log.
    pub(crate) fn close(&self, connection: Connection) {
        if self.check().is_ok() {
            drop(connection);
        } else {
            Box::leak(Box::new(connection));
        }
    }
}
