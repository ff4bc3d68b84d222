//! Several that use one file.

use std::{pin::pin, time::Duration};

use futures::{FutureExt, StreamExt, future::join_all};
use resurgam::table::{Change, Table};
use resurgam_sqlite::{SqliteOptions, SqliteTable};

use crate::support::*;

#[actix::test]
async fn clones_hear_of_changes_at_once_and_by_their_key() {
    let file = File::new();
    let slow = SqliteOptions::default().poll_every(LONG * 100);
    let table = SqliteTable::<String, Device>::open_with(file.path(), "devices", slow);
    let table = table.await.unwrap();
    let mut changes = pin!(table.changes());
    let clone = table.clone();
    clone.insert(&key("a"), &device(1)).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Row(key("a")));
    // What is as it was is no change.
    clone.insert(&key("a"), &device(1)).await.unwrap();
    clone.remove(&key("b")).await.unwrap();
    clone.remove(&key("a")).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Row(key("a")));
    let b = key("b");
    clone.replace_all([(&b, &device(1))]).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Any);
    assert_eq!(changes.next().now_or_never(), None);
}

#[actix::test]
async fn one_who_does_not_read_changes_is_told_that_anything_may_have_changed() {
    let file = File::new();
    let table = SqliteTable::<u32, u32>::open(file.path(), "ports")
        .await
        .unwrap();
    let mut changes = pin!(table.changes());
    let inserts = (0..1100).map(|key| async move { key });
    for key in join_all(inserts).await.chunks(550) {
        join_all(key.iter().map(|key| table.insert(key, &1))).await;
    }
    assert_eq!(next(&mut changes).await, Change::Any);
}

#[actix::test]
async fn changes_of_other_connections_are_seen_and_own_ones_not_mistaken_for_them() {
    let file = File::new();
    let quick = SqliteOptions::default().poll_every(Duration::from_millis(5));
    let table = SqliteTable::<String, Device>::open_with(file.path(), "devices", quick);
    let table = table.await.unwrap();
    let mut changes = pin!(table.changes());
    // Just after the call, and before anybody has asked for the first change.
    file.execute("INSERT INTO devices VALUES ('a', '1')");
    assert_eq!(next(&mut changes).await, Change::Any);
    file.execute("UPDATE devices SET value = '2'");
    assert_eq!(next(&mut changes).await, Change::Any);
    file.execute("DELETE FROM devices");
    assert_eq!(next(&mut changes).await, Change::Any);

    // One look at least comes after each of these.
    for n in 0..20 {
        table.insert(&key("own"), &device(n)).await.unwrap();
        assert_eq!(next(&mut changes).await, Change::Row(key("own")));
    }
    let other = file.open().await;
    other.insert(&key("b"), &device(1)).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Any);
    assert_eq!(table.get(&key("b")).await, Ok(Some(device(1))));
}

#[actix::test]
async fn whoever_begins_to_listen_late_hears_of_what_comes_then() {
    let file = File::new();
    let quick = SqliteOptions::default().poll_every(Duration::from_millis(1));
    let table = SqliteTable::<String, Device>::open_with(file.path(), "devices", quick);
    let table = table.await.unwrap();
    for n in 0..20 {
        let mut changes = pin!(table.changes());
        file.execute(&format!("INSERT INTO devices VALUES ('{n}', '1')"));
        assert_eq!(next(&mut changes).await, Change::Any);
    }
}

#[actix::test]
async fn many_connections_open_a_new_file_and_write_to_it_at_once() {
    let file = File::new();
    let tables = join_all((0..8).map(|_| SqliteTable::<u32, u32>::open(file.path(), "ports")));
    let tables: Vec<_> = tables.await.into_iter().map(Result::unwrap).collect();
    let inserts = (0..400_u32).map(|n| {
        let table = &tables[n as usize % tables.len()];
        async move { table.insert(&n, &n).await.unwrap() }
    });
    join_all(inserts).await;
    for table in &tables {
        let (mut rows, errors) = read(table).await;
        rows.sort_unstable();
        assert_eq!(errors, []);
        assert!(rows.into_iter().eq((0..400).map(|n| (n, n))));
    }
}

#[actix::test]
async fn scan_holds_up_no_write_and_no_read() {
    let file = File::new();
    let table = SqliteTable::<u32, u32>::open(file.path(), "ports")
        .await
        .unwrap();
    let rows: Vec<_> = (0..8000).map(|n| (n, n)).collect();
    let rows = rows.iter().map(|(key, value)| (key, value));
    table.replace_all(rows).await.unwrap();
    let mut scan = pin!(table.rows());
    scan.next().await.unwrap().unwrap();
    // Somebody has begun to read, and takes their time.
    table.insert(&9000, &1).await.unwrap();
    assert_eq!(table.get(&9000).await, Ok(Some(1)));
    assert_eq!(scan.count().await, 8000);
    let other = file.connect();
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let mut held = pin!(table.rows());
    held.next().await.unwrap().unwrap();
    let busy: i64 = other.query_row(checkpoint, [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0, "a scan keeps no snapshot");
}

#[test]
fn operations_may_be_awaited_on_any_thread() {
    fn is_send<T: Send>(_: &T) {}
    let opens = SqliteTable::<String, Device>::open("nobody awaits it", "devices");
    is_send(&async {
        let table = opens.await.unwrap();
        let (key, device) = (key("a"), device(1));
        table.insert(&key, &device).await.unwrap();
        table.replace_all([(&key, &device)]).await.unwrap();
        table.remove(&key).await.unwrap();
    });
}

#[actix::test]
async fn operations_that_nobody_waits_for_are_done_all_the_same() {
    let file = File::new();
    let table = file.open().await;
    let device = device(1);
    let key = key("a");
    let mut changes = pin!(table.changes());
    {
        let mut insert = pin!(table.insert(&key, &device));
        assert_eq!(insert.as_mut().now_or_never(), None);
    }
    next(&mut changes).await;
    assert_eq!(table.get(&key).await, Ok(Some(device)));
}
