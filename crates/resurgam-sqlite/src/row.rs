//! Rows as they stand in the file, and as users have them.

use std::{
    any::Any,
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
    let unreadable = |column, message| unreadable(place, key, column, message);
    let found = text(key)
        .and_then(|text| guard(|| parse(text)))
        .map_err(|message| RowError::row(None, unreadable("key", message)))?;
    match self::value(value) {
        Ok(value) => Ok((found, value)),
        Err(message) => Err(RowError::row(Some(found), unreadable("value", message))),
    }
}

/// What a value says.
pub(crate) fn value<V: DeserializeOwned>(value: ValueRef<'_>) -> Result<V, String> {
    let text = text(value)?;
    guard(|| serde_json::from_str(text).map_err(|error| error.to_string()))
}

pub(crate) fn unreadable(
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
        message: message.into(),
    }
}

/// A row as it is written. One that could not be read again is refused.
pub(crate) fn write<K, V>(
    place: &Place,
    key: &K,
    value: &V,
) -> Result<(String, String), SqliteError>
where
    K: Display + FromStr,
    K::Err: Display,
    V: Serialize + DeserializeOwned,
{
    let key = write_key(place, key)?;
    let value = serde_json::to_string(value).and_then(|text| {
        // JSON has no infinity, for instance: it would be null, which is no number.
        serde_json::from_str::<V>(&text)?;
        Ok(text)
    });
    match value {
        Ok(value) => Ok((key, value)),
        Err(error) => Err(unwritable(place, key, "value", error.to_string())),
    }
}

/// A key as it is written.
pub(crate) fn write_key<K>(place: &Place, key: &K) -> Result<String, SqliteError>
where
    K: Display + FromStr,
    K::Err: Display,
{
    let text = key.to_string();
    match parse::<K>(&text) {
        Ok(_) => Ok(text),
        Err(message) => Err(unwritable(place, text, "key", message)),
    }
}

fn unwritable(
    place: &Place,
    key: String,
    column: &'static str,
    message: impl Into<Arc<str>>,
) -> SqliteError {
    SqliteError::Unwritable {
        file: Arc::clone(&place.file),
        table: Arc::clone(&place.table),
        key: key.into(),
        column,
        message: message.into(),
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

/// Runs what users have written on a thread of ours.
fn guard<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read,
        Err(panic) => Err(format!("reading it panicked: {}", said(&*panic))),
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}
