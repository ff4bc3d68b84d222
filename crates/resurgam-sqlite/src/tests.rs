//! What is not seen from outside: how often is committed, what errors mean, and how one version becomes the next.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::future::join_all;
use resurgam::table::Table;
use rusqlite::{Connection, Error, ffi};

use crate::{
    OpenError, SqliteError, SqliteOptions, SqliteTable,
    schema::{Place, STEPS},
    table::Inner,
};

/// A file in a directory of its own, which is gone afterwards.
struct File(PathBuf);

impl File {
    fn new(test: &str) -> Self {
        let name = format!("resurgam-sqlite-{}-{test}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        Self(directory.join("fleet.db"))
    }

    fn connect(&self) -> Connection {
        Connection::open(&self.0).unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

fn place(file: &File) -> Place {
    Place::new(&file.0, "devices").unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

#[actix::test]
async fn many_inserts_share_commits_and_each_is_answered_after_its_own() {
    let file = File::new("group");
    let table = SqliteTable::<u32, u32>::open(&file.0, "devices")
        .await
        .unwrap();
    let inserts = join_all((0..500).map(|key| {
        let table = table.clone();
        async move {
            table.insert(&key, &1).await.unwrap();
            // Another connection sees it.
            assert_eq!(table.get(&key).await, Ok(Some(1)));
        }
    }));
    inserts.await;
    let commits = table.inner().writer.commits.load(Ordering::Relaxed);
    assert!((1..250).contains(&commits), "{commits}");
}

#[actix::test]
async fn write_that_is_refused_harms_none_that_shares_its_commit() {
    let file = File::new("refused");
    let table = SqliteTable::<String, String>::open(&file.0, "devices")
        .await
        .unwrap();
    let rule = "CREATE TRIGGER odd BEFORE INSERT ON devices WHEN new.key = 'bad' \
         BEGIN SELECT raise(ABORT, 'not this one'); END";
    file.connect().execute_batch(rule).unwrap();
    let keys = ["a", "bad", "b"].map(String::from);
    let value = "x".to_owned();
    let inserted = join_all(keys.iter().map(|key| table.insert(key, &value))).await;
    assert!(inserted[0].is_ok() && inserted[2].is_ok(), "{inserted:?}");
    let refused = inserted[1].as_ref().unwrap_err();
    assert!(matches!(refused, SqliteError::Failed { .. }), "{refused}");
    assert!(refused.to_string().contains("not this one"), "{refused}");
    // Of many rows that are written at once, none is.
    let (first, other) = ("first".to_owned(), "y".to_owned());
    let all = [(&first, &value), (&keys[0], &other), (&keys[1], &value)];
    table.replace_all(all).await.unwrap_err();
    assert_eq!(table.get(&first).await, Ok(None));
    assert_eq!(table.get(&keys[0]).await, Ok(Some(value.clone())));
    assert_eq!(table.get(&keys[1]).await, Ok(None));
    table.insert(&"c".to_owned(), &value).await.unwrap();
}

#[actix::test]
async fn full_file_refuses_what_has_no_room_and_takes_what_has() {
    let file = File::new("full");
    let place = place(&file);
    let mut writes = place.connect(SECOND).unwrap();
    place.migrate(&mut writes, STEPS).unwrap();
    // As a disk with room for that.
    writes
        .query_row("PRAGMA max_page_count = 20", [], |_| Ok(()))
        .unwrap();
    let reads = place.connect(SECOND).unwrap();
    let options = SqliteOptions::default();
    let inner: Inner<String> = Inner::start(place, writes, reads, &options).unwrap();
    let table = SqliteTable::<String, String>::of(inner);
    let (small, large) = ("x".to_owned(), "x".repeat(200_000));
    let keys = ["a", "b", "c"].map(String::from);
    let values = [&small, &large, &small];
    let inserts = keys.iter().zip(values);
    let inserted = join_all(inserts.map(|(key, value)| table.insert(key, value))).await;
    assert!(inserted[0].is_ok() && inserted[2].is_ok(), "{inserted:?}");
    let full = inserted[1].as_ref().unwrap_err();
    assert!(matches!(full, SqliteError::Full { .. }), "{full}");
    assert_eq!(full.file(), file.0);
    assert_eq!(table.get(&keys[2]).await, Ok(Some(small)));
}

#[test]
fn errors_of_sqlite_have_a_kind_and_name_the_file() {
    let file: Arc<Path> = Path::new("/data/fleet.db").into();
    let of = |code| {
        let error = Error::SqliteFailure(ffi::Error::new(code), None);
        let error = SqliteError::new(&file, &error);
        assert!(error.to_string().contains("/data/fleet.db"), "{error}");
        assert_eq!(error.file(), &*file);
        format!("{error:?}").split(' ').next().unwrap().to_owned()
    };
    assert_eq!(of(ffi::SQLITE_BUSY), "Locked");
    assert_eq!(of(ffi::SQLITE_BUSY_RECOVERY), "Locked");
    assert_eq!(of(ffi::SQLITE_LOCKED), "Locked");
    assert_eq!(of(ffi::SQLITE_READONLY), "ReadOnly");
    assert_eq!(of(ffi::SQLITE_READONLY_DIRECTORY), "ReadOnly");
    assert_eq!(of(ffi::SQLITE_PERM), "ReadOnly");
    assert_eq!(of(ffi::SQLITE_CORRUPT), "Corrupt");
    assert_eq!(of(ffi::SQLITE_NOTADB), "Corrupt");
    assert_eq!(of(ffi::SQLITE_FULL), "Full");
    assert_eq!(of(ffi::SQLITE_CANTOPEN), "CannotOpen");
    assert_eq!(of(ffi::SQLITE_IOERR_SHMSIZE), "Full");
    assert_eq!(of(ffi::SQLITE_PROTOCOL), "Locked");
    assert_eq!(of(ffi::SQLITE_IOERR), "Failed");
}

/// What a version after this one might do.
const LATER: &str = "ALTER TABLE main.\"{table}\" ADD COLUMN note TEXT";

fn versions(connection: &Connection) -> Vec<(String, i64)> {
    let mut all = connection
        .prepare("SELECT name, version FROM resurgam_schema")
        .unwrap();
    let all = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    all.unwrap().map(Result::unwrap).collect()
}

#[test]
fn older_table_is_brought_to_the_latest_version_with_its_rows() {
    let file = File::new("older");
    let place = place(&file);
    let mut connection = place.connect(SECOND).unwrap();
    place.migrate(&mut connection, STEPS).unwrap();
    connection
        .execute_batch("INSERT INTO devices VALUES ('a', '1')")
        .unwrap();

    let steps = [STEPS, &[LATER]].concat();
    place.migrate(&mut connection, &steps).unwrap();
    place.migrate(&mut connection, &steps).unwrap();
    let known = i64::try_from(steps.len()).unwrap();
    assert_eq!(versions(&connection), [("devices".to_owned(), known)]);
    let row = connection.query_row("SELECT key, value, note FROM devices", [], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, Option<String>>(2)?,
        ))
    });
    assert_eq!(row, Ok(("a".to_owned(), "1".to_owned(), None)));
    // And the program of before does not touch it.
    assert!(matches!(
        place.migrate(&mut connection, STEPS),
        Err(OpenError::Newer { .. })
    ));
}

#[test]
fn migration_that_fails_has_changed_nothing() {
    let file = File::new("fails");
    let place = place(&file);
    let mut connection = place.connect(SECOND).unwrap();
    place.migrate(&mut connection, STEPS).unwrap();
    let before = versions(&connection);
    let steps = [STEPS, &[LATER, "ALTER TABLE nowhere ADD COLUMN note TEXT"]].concat();
    let failed = place.migrate(&mut connection, &steps);
    assert!(
        matches!(failed, Err(OpenError::File(SqliteError::Failed { .. }))),
        "{failed:?}"
    );
    assert_eq!(versions(&connection), before);
    connection
        .prepare("SELECT note FROM devices")
        .expect_err("the first step is undone, too");
    place.migrate(&mut connection, STEPS).unwrap();
}

#[test]
fn what_is_committed_is_synchronised_to_a_write_ahead_log() {
    let file = File::new("synchronised");
    let connection = place(&file).connect(SECOND).unwrap();
    let mode: String = connection
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    let synchronous: i64 = connection
        .query_row("PRAGMA synchronous", [], |row| row.get(0))
        .unwrap();
    assert_eq!((&*mode, synchronous), ("wal", 2));
}
