//! What may be a name.

use super::SpecError;

/// Refuses what cannot be a name among siblings.
///
/// Names stand in paths, events and logs: a `/` would be taken for the end of one, and a control character for the end of a line.
pub(crate) fn check_name(name: &str) -> Result<(), SpecError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.contains('/') {
        "it contains `/`, which separates the names of a path"
    } else if name.contains(char::is_control) {
        "it contains a control character"
    } else if name.len() > LONGEST_NAME {
        "it is longer than 255 bytes"
    } else {
        return Ok(());
    };
    Err(SpecError::name(name, reason))
}

/// A name as it may be printed: with its control characters escaped.
pub(super) fn printable(name: &str) -> String {
    let escape = |character: char| {
        let escaped = character.is_control().then(|| character.escape_default());
        let plain = (!character.is_control()).then_some(character);
        escaped.into_iter().flatten().chain(plain)
    };
    name.chars().flat_map(escape).collect()
}

/// In bytes: as much as a file name may have on most systems.
const LONGEST_NAME: usize = 255;
