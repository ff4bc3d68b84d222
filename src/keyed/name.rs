//! The name of the service of a key.

use std::{
    fmt::{Display, Write},
    sync::Arc,
};

use crate::{policy::SpecError, service::guard};

/// The name of a key: its `Display` form, with `/`, `%` and control characters percent-encoded.
///
/// Refused if it is empty, too long, or cannot be printed.
pub(super) fn name_of(key: &impl Display) -> Result<Arc<str>, SpecError> {
    // A user's `Display` may panic, and may say that it has failed.
    let text = guard(|| {
        let mut text = String::new();
        write!(text, "{key}").map(|()| text)
    });
    let Ok(Ok(text)) = text else {
        return Err(SpecError::value("key", &"?", "a key that can be printed"));
    };
    let name = encode(&text);
    crate::policy::check_name(&name)?;
    Ok(Arc::from(name))
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '/' | '%') || character.is_control() {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                let _always_ok = write!(encoded, "%{byte:02X}");
            }
        } else {
            encoded.push(character);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[test]
    fn what_a_name_may_not_contain_is_percent_encoded_and_nothing_else() {
        for (key, name) in [
            ("pump-7", "pump-7"),
            ("a/b", "a%2Fb"),
            ("100%", "100%25"),
            ("%2F", "%252F"),
            ("\n\u{85}", "%0A%C2%85"),
            ("Größe 1", "Größe 1"),
        ] {
            assert_eq!(&*name_of(&key).unwrap(), name);
        }
        assert_eq!(&*name_of(&17).unwrap(), "17");
    }

    struct Bad;

    impl Display for Bad {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no words for it")
        }
    }

    #[test]
    fn key_without_a_name_is_refused() {
        assert!(name_of(&"").is_err());
        assert!(name_of(&"a".repeat(256)).is_err());
        assert!(name_of(&"%".repeat(86)).is_err());
        assert!(name_of(&Bad).is_err());
    }
}
