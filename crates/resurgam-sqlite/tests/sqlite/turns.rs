//! What a table does to the arbiter that asks it, and to those who go away meanwhile.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use futures::{FutureExt, StreamExt};
use resurgam::table::{Change, Table};
use resurgam_sqlite::{SqliteError, SqliteOptions, SqliteTable};

use crate::support::*;

#[actix::test]
async fn many_rows_are_written_down_in_pieces_and_others_have_their_turn_between_them() {
    let file = File::new();
    let table = SqliteTable::<u32, u32>::open(file.path(), "ports")
        .await
        .unwrap();
    let rows: Vec<_> = (0..20_000).map(|n| (n, n)).collect();
    let mut taken = 0;
    {
        let rows = rows.iter().map(|(key, value)| {
            taken += 1;
            (key, value)
        });
        let mut replace = pin!(table.replace_all(rows));
        assert_eq!(replace.as_mut().now_or_never(), None);
    }
    assert!((1..5_000).contains(&taken), "{taken} rows in one turn");
    // Whoever goes away before all of them were taken in has replaced nothing.
    table.insert(&1, &7).await.unwrap();
    assert_eq!(read(&table).await, (vec![(1, 7)], vec![]));

    let mut turns = 0;
    let rows = rows.iter().map(|(key, value)| (key, value));
    let mut replace = pin!(table.replace_all(rows));
    poll_fn(|cx| {
        turns += 1;
        match replace.as_mut().poll(cx) {
            Poll::Ready(replaced) => Poll::Ready(replaced),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
    .unwrap();
    assert!(turns > 4, "{turns}");
    assert_eq!(table.rows().count().await, 20_000);
}

#[actix::test]
async fn times_may_be_as_long_as_a_duration_can_be() {
    let file = File::new();
    let options = SqliteOptions::default()
        .busy_timeout(Duration::MAX)
        .poll_every(Duration::MAX);
    let table = SqliteTable::<u32, u32>::open_with(file.path(), "ports", options);
    let table = table.await.unwrap();
    let mut changes = pin!(table.changes());
    table.insert(&1, &1).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Row(1));
    assert_eq!(table.get(&1).await, Ok(Some(1)));
}

#[actix::test]
async fn row_that_a_rule_of_the_table_refuses_is_named() {
    let file = File::new();
    file.execute(
        "CREATE TABLE ports (key TEXT PRIMARY KEY, value TEXT CHECK (value < 5)) STRICT; \
         CREATE TABLE kept (port TEXT REFERENCES ports (key)); \
         INSERT INTO ports VALUES ('3', '3'); INSERT INTO kept VALUES ('3')",
    );
    let table = SqliteTable::<u32, u32>::open(file.path(), "ports")
        .await
        .unwrap();
    let rows = [(&7, &7)];
    for refused in [
        table.insert(&7, &7).await.unwrap_err(),
        table.replace_all(rows).await.unwrap_err(),
        table.remove(&3).await.unwrap_err(),
    ] {
        let text = refused.to_string();
        let row = text.contains("`7`") || text.contains("`3`");
        assert!(row && text.contains("`ports`"), "{text}");
        assert!(text.contains("constraint"), "{text}");
    }
    assert_eq!(read(&table).await, (vec![(3, 3)], vec![]));
}

#[test]
fn runtime_that_is_gone_takes_no_write_with_it() {
    let file = File::new();
    for n in 0..20 {
        let path = file.path().to_owned();
        let (tx, done) = std::sync::mpsc::channel();
        let system = actix::System::new();
        system.block_on(async move {
            let table = SqliteTable::<u32, u32>::open(path, "ports").await.unwrap();
            actix::spawn(async move {
                let mut changes = pin!(table.changes());
                let mut rows = pin!(table.rows());
                // Asked for, and never answered: the runtime ends first.
                let mut insert = pin!(table.insert(&n, &n));
                assert_eq!(insert.as_mut().now_or_never(), None);
                tx.send(()).unwrap();
                let _heard = futures::future::join3(insert, changes.next(), rows.next()).await;
                std::future::pending::<()>().await;
            });
            tokio::task::yield_now().await;
        });
        drop(system);
        done.recv().unwrap();
    }
    // The threads of those tables end by themselves, after what was asked for.
    let system = actix::System::new();
    system.block_on(async {
        let table = SqliteTable::<u32, u32>::open(file.path(), "ports")
            .await
            .unwrap();
        let all = async {
            while table.rows().count().await < 20 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, all).await.unwrap();
    });
}

#[actix::test]
async fn answers_of_a_table_come_when_the_table_itself_is_gone() {
    let file = File::new();
    let table = file.open().await;
    let clone = table.clone();
    let mut changes = Box::pin(async move {
        let mut changes = pin!(clone.changes());
        changes.next().await
    });
    assert_eq!(changes.as_mut().now_or_never(), None);
    for n in 0..50 {
        table.insert(&n.to_string(), &device(n)).await.unwrap();
    }
    let (first, device) = (key("first"), device(1));
    {
        let mut insert = pin!(table.insert(&first, &device));
        assert_eq!(insert.as_mut().now_or_never(), None);
    }
    drop(table);
    assert_eq!(changes.await, Some(Change::Row(key("0"))));
    let table = file.open().await;
    let all = async {
        while table.get(&first).await != Ok(Some(device.clone())) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, all).await.unwrap();
}

#[actix::test]
async fn paths_that_lead_to_no_file_are_errors_that_name_them() {
    let file = File::new();
    let directory = file.path().parent().unwrap().to_owned();
    let long = directory.join("x".repeat(300));
    let nul = directory.join("a\0b");
    for path in [directory.clone(), long, nul, directory.join("no/where.db")] {
        let refused = SqliteTable::<u32, u32>::open(&path, "ports")
            .await
            .unwrap_err();
        let resurgam_sqlite::OpenError::File(error) = &refused else {
            panic!("{refused:?}");
        };
        assert!(matches!(error, SqliteError::CannotOpen { .. }), "{error:?}");
        assert_eq!(error.file(), path);
    }
    // Names that SQLite understands in ways of its own are names of files here.
    let before = std::fs::read_dir(".").unwrap().count();
    for odd in [
        "file:odd.db?mode=memory",
        ":memory:",
        "a b%20c?d#e.db",
        "ü.db",
    ] {
        let path = directory.join(odd);
        let table = SqliteTable::<u32, u32>::open(&path, "ports").await.unwrap();
        table.insert(&1, &1).await.unwrap();
        assert!(path.is_file(), "{odd}");
    }
    assert_eq!(std::fs::read_dir(".").unwrap().count(), before);
}
