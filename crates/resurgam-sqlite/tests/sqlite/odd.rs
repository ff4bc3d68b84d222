//! Tables, keys and wakers that nobody expects.

#![expect(
    clippy::panic,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

use std::{
    fmt,
    pin::pin,
    str::FromStr,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures::Stream;
use resurgam::table::{Change, Table};
use resurgam_sqlite::{OpenError, SqliteError, SqliteOptions, SqliteTable};
use rusqlite::Connection;

use crate::support::*;

type Texts = SqliteTable<String, String>;

/// The waker of somebody whose code panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[actix::test]
async fn listener_whose_waker_panics_harms_no_thread_no_answer_and_no_other_listener() {
    let file = File::new();
    let quick = SqliteOptions::default().poll_every(Duration::from_millis(1));
    let table = SqliteTable::<String, Device>::open_with(file.path(), "devices", quick);
    let table = table.await.unwrap();
    let waker = Waker::from(Arc::new(Panics));
    for n in 0..2 {
        // Both wait, the one that panics before the other.
        let mut panics = pin!(table.changes());
        let polled = panics.as_mut().poll_next(&mut Context::from_waker(&waker));
        assert_eq!(polled, Poll::Pending);
        let (woken, wakes) = std::sync::mpsc::channel();
        let other = Waker::from(Arc::new(Wakes(Mutex::new(woken))));
        let mut others = pin!(table.changes());
        let polled = others.as_mut().poll_next(&mut Context::from_waker(&other));
        assert_eq!(polled, Poll::Pending);
        if n == 0 {
            // What somebody else has changed is told by the thread that writes.
            file.execute("INSERT INTO devices VALUES ('other', '1')");
        } else {
            table.insert(&key("a"), &device(1)).await.unwrap();
        }
        wakes.recv_timeout(LONG).unwrap();
        table.insert(&key("b"), &device(n)).await.unwrap();
    }
}

/// The waker of somebody else.
struct Wakes(Mutex<std::sync::mpsc::Sender<()>>);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.lock().unwrap().send(()).unwrap();
    }
}

/// A number of which only the whole part is printed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Rounded(u32);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 / 10)
    }
}

impl FromStr for Rounded {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(10 * text.parse::<u32>()?))
    }
}

#[actix::test]
async fn key_that_prints_as_another_one_has_no_row() {
    let file = File::new();
    let table = SqliteTable::<Rounded, u32>::open(file.path(), "ports")
        .await
        .unwrap();
    table.insert(&Rounded(70), &1).await.unwrap();
    let refused = table.insert(&Rounded(77), &2).await.unwrap_err();
    assert!(
        matches!(&refused, SqliteError::Unwritable { column: "key", .. }),
        "{refused}"
    );
    assert_eq!(table.get(&Rounded(77)).await, Ok(None));
    table.remove(&Rounded(77)).await.unwrap_err();
    assert_eq!(table.get(&Rounded(70)).await, Ok(Some(1)));
}

/// A payload of a panic that panics once more when it is dropped.
struct Nested(u32);

impl Drop for Nested {
    fn drop(&mut self) {
        if self.0 > 0 {
            std::panic::panic_any(Self(self.0 - 1));
        }
    }
}

/// Panics where its text says.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Panicky(String);

impl fmt::Display for Panicky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert_ne!(self.0, "display");
        f.write_str(&self.0)
    }
}

impl FromStr for Panicky {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        assert_ne!(text, "parse");
        if text == "nested" {
            std::panic::panic_any(Nested(2));
        }
        Ok(Self(text.to_owned()))
    }
}

impl serde::Serialize for Panicky {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, "serialize");
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Panicky {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        assert_ne!(text, "deserialize");
        Ok(Self(text))
    }
}

#[actix::test]
async fn code_of_users_that_panics_while_a_row_is_written_is_an_error_of_that_row() {
    let file = File::new();
    let table = SqliteTable::<Panicky, Panicky>::open(file.path(), "words")
        .await
        .unwrap();
    let word = |word: &str| Panicky(word.to_owned());
    for (bad_key, bad_value, in_column) in [
        ("display", "a", "key"),
        ("parse", "a", "key"),
        ("a", "serialize", "value"),
        ("a", "deserialize", "value"),
    ] {
        let refused = table.insert(&word(bad_key), &word(bad_value)).await;
        let Err(SqliteError::Unwritable {
            column, message, ..
        }) = &refused
        else {
            panic!("{bad_key} {bad_value}: {refused:?}");
        };
        assert_eq!(*column, in_column);
        assert!(message.contains("panicked"), "{message}");
    }
    table.insert(&word("a"), &word("b")).await.unwrap();
    assert_eq!(read(&table).await.0, [(word("a"), word("b"))]);
}

#[actix::test]
async fn panic_whose_payload_panics_when_it_is_dropped_harms_one_row() {
    let file = File::new();
    let table = SqliteTable::<Panicky, u32>::open(file.path(), "words")
        .await
        .unwrap();
    file.execute("INSERT INTO words VALUES ('nested', '1'), ('z', '2')");
    let (rows, errors) = read(&table).await;
    assert_eq!(rows, [(Panicky(key("z")), 2)]);
    assert_eq!(errors.len(), 1);
    assert_eq!(table.get(&Panicky(key("z"))).await, Ok(Some(2)));
}

async fn unsuitable(file: &File) -> String {
    match Texts::open(file.path(), "devices").await {
        Err(error @ OpenError::Unsuitable { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[actix::test]
async fn table_that_takes_keys_for_the_same_that_are_not_is_refused() {
    for table in [
        "(key TEXT PRIMARY KEY COLLATE NOCASE, value TEXT)",
        "(key TEXT PRIMARY KEY COLLATE NOCASE, value TEXT) WITHOUT ROWID",
        "(key TEXT, value TEXT, PRIMARY KEY (key COLLATE RTRIM))",
    ] {
        let file = File::new();
        file.execute(&format!("CREATE TABLE devices {table}"));
        let text = unsuitable(&file).await;
        assert!(text.contains("`key`"), "{text}");
    }
}

#[actix::test]
async fn value_that_differs_only_for_us_is_written() {
    let file = File::new();
    file.execute("CREATE TABLE devices (key TEXT PRIMARY KEY, value TEXT COLLATE NOCASE) STRICT");
    let table = Texts::open(file.path(), "devices").await.unwrap();
    table.insert(&key("a"), &key("x")).await.unwrap();
    table.insert(&key("a"), &key("X")).await.unwrap();
    assert_eq!(table.get(&key("a")).await, Ok(Some(key("X"))));
}

#[actix::test]
async fn file_whose_texts_are_of_utf_16_is_refused_and_no_character_is_lost_in_others() {
    let file = File::new();
    file.execute("PRAGMA encoding = 'UTF-16'; CREATE TABLE mine (a)");
    let text = unsuitable(&file).await;
    assert!(text.contains("UTF-16"), "{text}");

    let file = File::new();
    let table = Texts::open(file.path(), "devices").await.unwrap();
    let odd = ["\u{ffff}", "\u{fffe}", "\u{feff}", "\u{d7ff}\u{e000}"];
    for odd in odd {
        table.insert(&key(odd), &key(odd)).await.unwrap();
        assert_eq!(table.get(&key(odd)).await, Ok(Some(key(odd))));
    }
    let (rows, errors) = read(&table).await;
    assert_eq!((rows.len(), errors), (odd.len(), vec![]));
}

#[actix::test]
async fn trigger_of_the_same_name_is_no_matter_and_an_index_of_it_is() {
    let file = File::new();
    file.execute(
        "CREATE TABLE mine (a); \
         CREATE TRIGGER devices AFTER INSERT ON mine BEGIN DELETE FROM mine; END",
    );
    let table = Texts::open(file.path(), "devices").await.unwrap();
    table.insert(&key("a"), &key("b")).await.unwrap();

    let file = File::new();
    file.execute("CREATE TABLE mine (a); CREATE INDEX devices ON mine (a)");
    let text = unsuitable(&file).await;
    assert!(text.contains("no table"), "{text}");
}

#[actix::test]
async fn message_about_a_huge_value_is_short() {
    let file = File::new();
    let table = file.open().await;
    file.execute(
        "INSERT INTO devices VALUES ('a', '\"' || replace(hex(zeroblob(500000)), '0', 'é') || '\"'), \
         (hex(zeroblob(500000)), '1')",
    );
    let (_, errors) = read(&table).await;
    assert_eq!(errors.len(), 2);
    for error in errors {
        let text = error.to_string();
        assert!(text.contains("devices"), "it names the table");
        assert!(text.len() < 2_002_000, "{}", text.len());
    }
    let text = table.get(&key("a")).await.unwrap_err().to_string();
    assert!(text.len() < 2_000, "{}", text.len());
}

#[actix::test]
async fn change_of_others_is_heard_while_a_write_waits_for_them() {
    let file = File::new();
    let options = SqliteOptions::default().busy_timeout(LONG * 10);
    let options = options.poll_every(Duration::from_millis(200));
    let table = SqliteTable::<String, Device>::open_with(file.path(), "devices", options);
    let table = table.await.unwrap();
    let mut changes = pin!(table.changes());
    let other: Connection = file.connect();
    other
        .execute_batch(
            "BEGIN IMMEDIATE; INSERT INTO devices VALUES ('a', '1'); COMMIT; BEGIN IMMEDIATE",
        )
        .unwrap();
    let (key, device) = (key("b"), device(1));
    let insert = table.insert(&key, &device);
    let hear = async {
        assert_eq!(next(&mut changes).await, Change::Any);
        other.execute_batch("COMMIT").unwrap();
    };
    let (inserted, ()) = futures::future::join(insert, hear).await;
    inserted.unwrap();
}

#[actix::test]
async fn waits_may_be_as_long_as_a_duration_can_be() {
    let file = File::new();
    let options = SqliteOptions::default().busy_timeout(Duration::MAX);
    let options = options.poll_every(Duration::MAX);
    let table = Texts::open_with(file.path(), "devices", options).await;
    let table = table.unwrap();
    table.insert(&key("a"), &key("b")).await.unwrap();
    assert_eq!(table.get(&key("a")).await, Ok(Some(key("b"))));
}
