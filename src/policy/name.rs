//! What may be a name.

use super::{SpecError, printable::changes_what_is_seen};

/// Refuses what cannot be a name among siblings.
///
/// Names stand in paths, events and logs: a `/` would be taken for the end of one, a control character or a line separator for the end of a
/// line, and a mark of direction would show the rest of the line in another order.
pub(crate) fn check_name(name: &str) -> Result<(), SpecError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.contains('/') {
        "it contains `/`, which separates the names of a path"
    } else if name.contains(char::is_control) {
        "it contains a control character"
    } else if name.contains(changes_what_is_seen) {
        "it contains a line separator, or a mark of the direction of text"
    } else if name.len() > LONGEST_NAME {
        "it is longer than 255 bytes"
    } else {
        return Ok(());
    };
    Err(SpecError::name(name, reason))
}

/// Refuses what cannot be the path of a service: names that are joined by `/`.
pub(crate) fn check_path(path: &str) -> Result<(), SpecError> {
    let mut names = path.split('/');
    let whole = names.all(|name| check_name(name).is_ok());
    if whole {
        Ok(())
    } else {
        Err(SpecError::name(
            path,
            "a path is names that are joined by `/`",
        ))
    }
}

/// The names from one path down to another one, or `None` if that is not below it. Names are whole: `root/sub` is not above `root/subway`.
pub(crate) fn names_below<'a>(path: &'a str, above: &str) -> Option<&'a str> {
    path.strip_prefix(above)?.strip_prefix('/')
}

/// In bytes: as much as a file name may have on most systems.
const LONGEST_NAME: usize = 255;
