//! Rows as they stand in the file, and as users have them.

use std::{
    any::Any,
    borrow::Cow,
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
    str::FromStr,
    sync::Arc,
};

use resurgam::table::RowError;
use rusqlite::{
    ToSql,
    types::{ToSqlOutput, ValueRef},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{error::SqliteError, schema::Place};

/// What was read of one row.
pub(crate) type Read<K, V> = Result<(K, V), RowError<K, SqliteError>>;

/// A key as it stands there, which nobody may be able to read. A column of texts holds no numbers.
#[derive(Debug)]
pub(crate) enum RawKey {
    Null,
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl RawKey {
    /// As far as it can be shown.
    pub(crate) fn shown(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Text(bytes) | Self::Blob(bytes) => String::from_utf8_lossy(bytes),
        }
    }
}

impl From<ValueRef<'_>> for RawKey {
    fn from(key: ValueRef<'_>) -> Self {
        match key {
            ValueRef::Text(text) => Self::Text(text.to_owned()),
            ValueRef::Blob(blob) => Self::Blob(blob.to_owned()),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => Self::Null,
        }
    }
}

impl ToSql for RawKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(blob) => ValueRef::Blob(blob),
        }))
    }
}

/// What the columns of a row say.
pub(crate) fn read<K, V>(place: &Place, key: ValueRef<'_>, value: ValueRef<'_>) -> Read<K, V>
where
    K: Display + FromStr,
    K::Err: Display,
    V: DeserializeOwned,
{
    match columns(place, key, value) {
        Ok((key, Ok(value))) => Ok((key, value)),
        Ok((key, Err(error))) => Err(RowError::row(Some(key), error)),
        Err(error) => Err(RowError::row(None, error)),
    }
}

/// The key of a row, and its value or what is wrong with that; or what is wrong with the key.
pub(crate) fn columns<K, V>(
    place: &Place,
    key: ValueRef<'_>,
    value: ValueRef<'_>,
) -> Result<(K, Result<V, SqliteError>), SqliteError>
where
    K: Display + FromStr,
    K::Err: Display,
    V: DeserializeOwned,
{
    let unreadable = |column, message| unreadable(place, key, column, message);
    let found = text(key)
        .and_then(|text| guard(|| parse(text)))
        .map_err(|message| unreadable("key", message))?;
    let value = text(value)
        .and_then(|text| guard(|| serde_json::from_str(text).map_err(|error| error.to_string())));
    Ok((found, value.map_err(|message| unreadable("value", message))))
}

fn unreadable(
    place: &Place,
    key: ValueRef<'_>,
    column: &'static str,
    message: String,
) -> SqliteError {
    let key = match key {
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
    };
    SqliteError::Unreadable {
        file: Arc::clone(&place.file),
        table: Arc::clone(&place.table),
        key: key.into(),
        column,
        message: shortened(message),
    }
}

/// What readers of keys and values say may repeat all of what they have read.
fn shortened(mut message: String) -> Arc<str> {
    const ENOUGH: usize = 500;
    if let Some((end, _)) = message.char_indices().nth(ENOUGH) {
        message.truncate(end);
        message.push('…');
    }
    message.into()
}

/// A row as it is written. One that could not be read again is refused.
pub(crate) fn write<K, V>(
    place: &Place,
    key: &K,
    value: &V,
) -> Result<(String, String), SqliteError>
where
    K: Display + Eq + FromStr,
    K::Err: Display,
    V: Serialize + DeserializeOwned,
{
    let key = write_key(place, key)?;
    let value = guard(|| {
        let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
        // JSON has no infinity, for instance: it would be null, which is no number.
        serde_json::from_str::<V>(&text).map_err(|error| error.to_string())?;
        Ok(text)
    });
    match value {
        Ok(value) => Ok((key, value)),
        Err(message) => Err(unwritable(place, key, "value", message)),
    }
}

/// A key as it is written.
pub(crate) fn write_key<K>(place: &Place, key: &K) -> Result<String, SqliteError>
where
    K: Display + Eq + FromStr,
    K::Err: Display,
{
    let text = guard(|| Ok(key.to_string()));
    let text = text.map_err(|message| unwritable(place, String::new(), "key", message))?;
    let read = guard(|| match parse::<K>(&text) {
        Ok(read) if read == *key => Ok(()),
        Ok(_) => Err("another key is written like that".to_owned()),
        Err(message) => Err(message),
    });
    match read {
        Ok(()) => Ok(text),
        Err(message) => Err(unwritable(place, text, "key", message)),
    }
}

/// A key as it is looked for.
pub(crate) fn sought_key(place: &Place, key: &impl Display) -> Result<String, SqliteError> {
    let text = guard(|| Ok(key.to_string()));
    text.map_err(|message| unreadable(place, ValueRef::Null, "key", message))
}

fn unwritable(place: &Place, key: String, column: &'static str, message: String) -> SqliteError {
    SqliteError::Unwritable {
        file: Arc::clone(&place.file),
        table: Arc::clone(&place.table),
        key: key.into(),
        column,
        message: shortened(message),
    }
}

/// The key of a text, if it is that key's own: two rows are never of the same key, as `7` and `07` would be, and each is found by its key.
fn parse<K>(text: &str) -> Result<K, String>
where
    K: Display + FromStr,
    K::Err: Display,
{
    let key: K = text.parse().map_err(|error: K::Err| error.to_string())?;
    let own = key.to_string();
    if own == text {
        Ok(key)
    } else {
        Err(format!("the key that it means is written `{own}`"))
    }
}

fn text(column: ValueRef<'_>) -> Result<&str, String> {
    let text = match column {
        ValueRef::Text(text) => std::str::from_utf8(text),
        other => return Err(format!("{} instead of text", other.data_type())),
    };
    text.map_err(|error| error.to_string())
}

/// Runs what users have written, or may have written. Nothing of a panic there gets any further.
pub(crate) fn guard<T>(code: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(result) => result,
        Err(panic) => {
            let message = format!("the code for it panicked: {}", said(&*panic));
            // What the panic has left behind is the user's as well, and may panic in turn. Then the rest is left where it is.
            if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
                Box::leak(again);
            }
            Err(message)
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}
