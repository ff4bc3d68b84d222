//! What is written is read, and what cannot be read is an error of its row.

use std::{fmt, str::FromStr};

use resurgam::table::{RowError, Table};
use resurgam_sqlite::{SqliteError, SqliteTable};

use crate::support::*;

#[actix::test]
async fn rows_are_there_again_in_the_next_program() {
    let file = File::new();
    let table = file.open().await;
    assert_eq!(table.file(), file.path());
    table.insert(&key("b"), &device(1)).await.unwrap();
    table.insert(&key("a"), &device(1)).await.unwrap();
    table.insert(&key("a"), &device(2)).await.unwrap();
    table.insert(&key("c"), &device(3)).await.unwrap();
    assert_eq!(table.remove(&key("c")).await, Ok(true));
    assert_eq!(table.remove(&key("c")).await, Ok(false));
    assert_eq!(table.get(&key("c")).await, Ok(None));
    drop(table);

    let table = file.open().await;
    assert_eq!(table.get(&key("a")).await, Ok(Some(device(2))));
    let (rows, errors) = read(&table).await;
    assert_eq!(rows, [(key("a"), device(2)), (key("b"), device(1))]);
    assert_eq!(errors, []);
}

#[actix::test]
async fn person_reads_and_changes_rows_as_text() {
    let file = File::new();
    let table = file.open().await;
    table.insert(&key("pump-7"), &device(500)).await.unwrap();
    let sql = "SELECT value ->> '$.every_ms' FROM devices WHERE key = 'pump-7'";
    let found: i64 = file.connect().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(found, 500);
    file.execute("UPDATE devices SET value = json_set(value, '$.every_ms', 250)");
    assert_eq!(table.get(&key("pump-7")).await, Ok(Some(device(250))));
}

#[actix::test]
async fn scan_reads_all_pages_also_of_large_rows_and_odd_keys() {
    let file = File::new();
    let table = SqliteTable::<String, String>::open(file.path(), "devices")
        .await
        .unwrap();
    let mut wanted: Vec<_> = (0..3000).map(|n| (n.to_string(), String::new())).collect();
    wanted.extend((0..5).map(|n| (format!("large-{n}"), "x".repeat(700_000))));
    for odd in [
        "",
        " ",
        "a/b",
        "'; DROP TABLE devices",
        "nul\0nul",
        "ü",
        "\u{10ffff}",
    ] {
        wanted.push((key(odd), key("odd")));
    }
    let rows = wanted.iter().map(|(key, value)| (key, value));
    table.replace_all(rows).await.unwrap();
    wanted.sort();
    let (rows, errors) = read(&table).await;
    assert_eq!(errors, []);
    assert!(rows == wanted, "{} of {}", rows.len(), wanted.len());
    for (key, value) in wanted {
        assert!(table.get(&key).await == Ok(Some(value)), "{key}");
    }
}

#[actix::test]
async fn rows_are_replaced_all_at_once() {
    let file = File::new();
    let table = file.open().await;
    table.insert(&key("a"), &device(1)).await.unwrap();
    table.insert(&key("b"), &device(1)).await.unwrap();
    let (b, c) = (key("b"), key("c"));
    let rows = [(&b, &device(2)), (&c, &device(3)), (&c, &device(4))];
    table.replace_all(rows).await.unwrap();
    let (rows, _) = read(&table).await;
    assert_eq!(rows, [(b, device(2)), (c, device(4))]);
    table.replace_all([]).await.unwrap();
    assert_eq!(read(&table).await.0, []);
}

#[actix::test]
async fn value_that_does_not_parse_is_an_error_of_its_row_that_names_all() {
    let file = File::new();
    let table = file.open().await;
    table.insert(&key("good"), &device(1)).await.unwrap();
    file.execute(
        "INSERT INTO devices VALUES ('bad', 'not json'), ('other', '{\"url\": 7}'), \
         ('blob', x'00ff'), ('broken', CAST(x'ff' AS TEXT))",
    );
    let (rows, errors) = read(&table).await;
    assert_eq!(rows, [(key("good"), device(1))]);
    let mut about = Vec::new();
    for error in errors {
        let RowError::Row { key, error, .. } = error else {
            panic!("{error}");
        };
        let key = key.expect("the key can be read");
        let text = error.to_string();
        let SqliteError::Unreadable {
            file: named,
            table: of,
            key: stands,
            column,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(
            (&**named, &**of, &**stands),
            (file.path(), "devices", &*key)
        );
        assert_eq!(*column, "value");
        assert!(text.contains("`devices`") && text.contains(&*key), "{text}");
        // The same row asked for by its key.
        assert_eq!(table.get(&key).await, Err(error));
        about.push(key);
    }
    assert_eq!(about, ["bad", "blob", "broken", "other"]);
    // It is mended by writing it.
    table.insert(&key("bad"), &device(2)).await.unwrap();
    assert_eq!(table.get(&key("bad")).await, Ok(Some(device(2))));
}

#[actix::test]
async fn key_that_does_not_parse_is_an_error_of_a_row_without_key() {
    let file = File::new();
    let table = SqliteTable::<u32, u32>::open(file.path(), "ports")
        .await
        .unwrap();
    table.insert(&7, &1).await.unwrap();
    // `07` is 7 as well, which has a row already.
    file.execute(
        "INSERT INTO ports VALUES ('07', '2'), ('seven', '3'), (x'37', '4'), (CAST(x'ff' AS TEXT), '5')",
    );
    let (rows, errors) = read(&table).await;
    assert_eq!(rows, [(7, 1)]);
    assert_eq!(errors.len(), 4);
    for error in errors {
        let RowError::Row {
            key: None,
            error: SqliteError::Unreadable { column: "key", .. },
            ..
        } = error
        else {
            panic!("{error}");
        };
    }
    // Rows that nobody can name go when all are replaced.
    table.replace_all([(&7, &1)]).await.unwrap();
    assert_eq!(read(&table).await, (vec![(7, 1)], vec![]));
}

#[actix::test]
async fn what_could_not_be_read_again_is_not_written() {
    let file = File::new();
    let table = SqliteTable::<String, f64>::open(file.path(), "rates")
        .await
        .unwrap();
    let refused = table.insert(&key("a"), &f64::INFINITY).await.unwrap_err();
    assert!(
        matches!(
            &refused,
            SqliteError::Unwritable {
                column: "value",
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(table.get(&key("a")).await, Ok(None));
}

/// A key whose text is not its own.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Shouted(String);

impl fmt::Display for Shouted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}!", self.0)
    }
}

impl FromStr for Shouted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        assert_ne!(text, "panic!");
        Ok(Self(text.to_owned()))
    }
}

#[actix::test]
async fn code_of_users_may_panic_on_the_thread_that_reads() {
    let file = File::new();
    let table = SqliteTable::<Shouted, u32>::open(file.path(), "words")
        .await
        .unwrap();
    let refused = table.insert(&Shouted(key("a")), &1).await.unwrap_err();
    assert!(
        matches!(&refused, SqliteError::Unwritable { column: "key", .. }),
        "{refused}"
    );
    file.execute("INSERT INTO words VALUES ('panic!', '1'), ('z', '2')");
    let (rows, errors) = read(&table).await;
    assert_eq!((rows.len(), errors.len()), (0, 2));
    assert!(errors[0].to_string().contains("panicked"), "{}", errors[0]);
}
