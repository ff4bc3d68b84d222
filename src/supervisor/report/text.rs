//! Text that has to fit into a terminal.

use std::time::Duration;

/// How many columns a text takes: most characters one, those of East Asia and pictures two, marks upon others none.
///
/// Near enough for a table that is to be read; terminals differ about the rest.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn columns(character: char) -> usize {
    match u32::from(character) {
        // Marks upon the character before, joiners, and what chooses among shapes.
        0x300..=0x36f
        | 0x483..=0x489
        | 0x591..=0x5bd
        | 0x610..=0x61a
        | 0x64b..=0x65f
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x200b..=0x200d
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f
        | 0xfeff
        | 0xe0100..=0xe01ef => 0,
        0x1100..=0x115f
        | 0x231a..=0x231b
        | 0x23e9..=0x23f3
        | 0x2614..=0x2615
        | 0x2648..=0x2653
        | 0x26a1
        | 0x26aa..=0x26ab
        | 0x26bd..=0x26be
        | 0x26c4..=0x26c5
        | 0x26d4
        | 0x2705
        | 0x270a..=0x270b
        | 0x2728
        | 0x274c
        | 0x2753..=0x2757
        | 0x2b50
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xa960..=0xa97f
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff01..=0xff60
        | 0xffe0..=0xffe6
        | 0x16fe0..=0x18aff
        | 0x1b000..=0x1b2ff
        | 0x1f004
        | 0x1f0cf
        | 0x1f18e
        | 0x1f191..=0x1f19a
        | 0x1f200..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f7e0..=0x1f7eb
        | 0x1f90c..=0x1f9ff
        | 0x1fa70..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// The text, or as much of its beginning and of its end as fits: in names the number is at the end.
pub(super) fn fitted(text: &str, most: usize) -> String {
    if width(text) <= most {
        return String::from(text);
    }
    let tail = from_the_end(text, most / 4);
    let head = from_the_start(text, most.saturating_sub(1 + width(tail)));
    format!("{head}…{tail}")
}

/// As much of the beginning as fits.
fn from_the_start(text: &str, most: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, character)| {
        taken += columns(*character);
        taken > most
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

/// As much of the end as fits.
fn from_the_end(text: &str, most: usize) -> &str {
    let mut taken = 0;
    let start = text.char_indices().rev().find(|(_, character)| {
        taken += columns(*character);
        taken > most
    });
    let start = start.map_or(0, |(at, character)| at + character.len_utf8());
    // Not in the middle of a character with its marks.
    let text = &text[start..];
    text.trim_start_matches(|character| columns(character) == 0)
}

/// The text in lines that fit, broken between words where that is possible, and at most so many of them: the last one says if there is more.
pub(super) fn wrapped(text: &str, most: usize, lines: usize) -> Vec<String> {
    let mut left = text.trim();
    let mut wrapped = Vec::new();
    while !left.is_empty() {
        let fits = from_the_start(left, most.max(2));
        if fits.len() == left.len() {
            wrapped.push(String::from(left));
            break;
        }
        if wrapped.len() + 1 == lines {
            let head = from_the_start(left, most.saturating_sub(1).max(2));
            wrapped.push(format!("{}…", head.trim_end()));
            break;
        }
        let whole = left[fits.len()..].starts_with(' ');
        let end = fits
            .rfind(' ')
            .filter(|end| !whole && *end > fits.len() / 2);
        let (line, rest) = left.split_at(end.unwrap_or(fits.len()));
        wrapped.push(String::from(line.trim_end()));
        left = rest.trim_start();
    }
    wrapped
}

/// A time as people say it, in its two largest units.
pub(super) fn said(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time < Duration::from_secs(1) => format!("{} ms", time.as_millis()),
        0..10 => format!("{}.{} s", seconds, time.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        60..3_600 => two(seconds, 1, "min", "s"),
        3_600..86_400 => two(seconds, 60, "h", "min"),
        _ => two(seconds, 3_600, "d", "h"),
    }
}

/// So many of a unit and of the next smaller one, which is as many seconds long.
fn two(seconds: u64, smaller: u64, unit: &str, next: &str) -> String {
    let in_one = if smaller == 3_600 { 24 } else { 60 };
    let many = seconds / (smaller * in_one);
    let rest = seconds / smaller % in_one;
    if rest == 0 {
        format!("{many} {unit}")
    } else {
        format!("{many} {unit} {rest} {next}")
    }
}

/// The name of a type without the modules that it, and the types within it, are in.
pub(super) fn without_modules(name: &str) -> String {
    let mut short = String::new();
    for part in name.split_inclusive(|character| !is_of_a_word(character)) {
        // `module` and one of its two colons, or what comes before anything else; the second colon is alone.
        if !part.ends_with(':') {
            short.push_str(part);
        }
    }
    short
}

const fn is_of_a_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || !character.is_ascii()
}
