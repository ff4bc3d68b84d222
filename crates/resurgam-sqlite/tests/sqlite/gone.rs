//! Files that are taken away from under a program.

#![cfg(unix)]

use std::{
    fs,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use resurgam::table::{Change, RowError, Table};
use resurgam_sqlite::{SqliteError, SqliteOptions, SqliteTable};

use crate::support::*;

type Devices = SqliteTable<String, Device>;

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// How a file is taken away, by what follows its name.
type Way<'a> = &'a dyn Fn(&File, &str);

fn assert_replaced(file: &File, error: &SqliteError) {
    assert!(format!("{error:?}").starts_with("Replaced"), "{error:?}");
    assert_eq!(error.file(), file.path());
    assert!(error.to_string().contains("fleet.db"), "{error}");
}

#[actix::test]
async fn file_that_is_gone_or_replaced_takes_no_more_rows_and_says_so() {
    let rename = |file: &File, suffix: &str| {
        let path = beside(file.path(), suffix);
        fs::rename(&path, beside(&path, ".away")).unwrap();
    };
    let replace = |file: &File, suffix: &str| {
        let path = beside(file.path(), suffix);
        fs::copy(&path, beside(&path, ".copy")).unwrap();
        fs::rename(beside(&path, ".copy"), path).unwrap();
    };
    let remove = |file: &File, suffix: &str| fs::remove_file(beside(file.path(), suffix)).unwrap();
    let ways: [Way<'_>; 3] = [&rename, &replace, &remove];
    for suffix in ["", "-wal", "-shm"] {
        for away in ways {
            let file = File::new();
            let quick = SqliteOptions::default().poll_every(Duration::from_millis(1));
            let table = Devices::open_with(file.path(), "devices", quick);
            let table = table.await.unwrap();
            table.insert(&key("a"), &device(1)).await.unwrap();
            let mut changes = pin!(table.changes());
            away(&file, suffix);
            // Nobody would ever read it there.
            let error = table.insert(&key("b"), &device(1)).await.unwrap_err();
            assert_replaced(&file, &error);
            assert_replaced(&file, &table.remove(&key("a")).await.unwrap_err());
            assert_replaced(&file, &table.get(&key("a")).await.unwrap_err());
            let (rows, errors) = read(&table).await;
            assert_eq!(rows, []);
            let [RowError::Scan { error, .. }] = &errors[..] else {
                panic!("{errors:?}");
            };
            assert_replaced(&file, error);
            // Who listens looks again, and learns it.
            assert_eq!(next(&mut changes).await, Change::Any);
        }
    }
}

#[actix::test]
async fn table_goes_on_when_the_file_is_back_in_its_place() {
    let file = File::new();
    let table = file.open().await;
    table.insert(&key("a"), &device(1)).await.unwrap();
    let away = beside(file.path(), ".away");
    fs::rename(file.path(), &away).unwrap();
    assert_replaced(&file, &table.get(&key("a")).await.unwrap_err());
    fs::rename(&away, file.path()).unwrap();
    table.insert(&key("a"), &device(2)).await.unwrap();
    assert_eq!(table.get(&key("a")).await, Ok(Some(device(2))));
}

#[actix::test]
async fn file_behind_a_link_is_that_of_the_link_until_it_leads_elsewhere() {
    use std::os::unix::fs::symlink;

    let file = File::new();
    let link = beside(file.path(), ".link");
    fs::write(file.path(), "").unwrap();
    symlink(file.path(), &link).unwrap();
    let table = Devices::open(&link, "devices").await.unwrap();
    assert_eq!(table.file(), link);
    table.insert(&key("a"), &device(1)).await.unwrap();
    // The same file by its own name.
    assert_eq!(file.open().await.get(&key("a")).await, Ok(Some(device(1))));

    let other = File::new();
    drop(other.open().await);
    fs::remove_file(&link).unwrap();
    symlink(other.path(), &link).unwrap();
    let error = table.insert(&key("b"), &device(1)).await.unwrap_err();
    assert!(format!("{error:?}").starts_with("Replaced"), "{error:?}");
    assert_eq!(error.file(), link);
}
