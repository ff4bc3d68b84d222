//! Text of users in a line of ours.

/// Text of a user's as it may be printed in one line, whatever is in it: with what cannot be part of a name escaped.
pub(crate) fn printable(text: &str) -> String {
    let escape = |character: char| {
        let odd = character.is_control() || changes_what_is_seen(character);
        let escaped = odd.then(|| character.escape_default());
        let plain = (!odd).then_some(character);
        escaped.into_iter().flatten().chain(plain)
    };
    text.chars().flat_map(escape).collect()
}

/// Reports whether it begins a new line, or shows what comes after it in another order, without being a control character.
pub(super) const fn changes_what_is_seen(character: char) -> bool {
    matches!(
        character,
        '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}
