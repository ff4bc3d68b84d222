//! What others may have made of a file, and many who ask for much at once.

use std::time::Duration;

use futures::{
    FutureExt, StreamExt,
    future::{join_all, join3},
};
use resurgam::table::{Change, Table};
use resurgam_sqlite::{OpenError, SqliteOptions, SqliteTable};

use crate::support::*;

type Ports = SqliteTable<u32, u32>;

async fn quick(file: &File) -> Ports {
    let quick = SqliteOptions::default().poll_every(Duration::from_millis(1));
    Ports::open_with(file.path(), "ports", quick).await.unwrap()
}

#[actix::test]
async fn things_of_other_kinds_with_the_name_of_the_table_are_refused() {
    for made in [
        "CREATE VIRTUAL TABLE ports USING fts5(key, value)",
        "CREATE TABLE ports (key TEXT PRIMARY KEY, value TEXT AS (key || '1') STORED)",
        "CREATE TABLE ports (key TEXT PRIMARY KEY, value JSON)",
        "CREATE TABLE ports (\"key \" TEXT PRIMARY KEY, value TEXT)",
    ] {
        let file = File::new();
        file.execute(made);
        let refused = Ports::open(file.path(), "ports").await.unwrap_err();
        assert!(
            matches!(refused, OpenError::Unsuitable { .. }),
            "{made}: {refused:?}"
        );
    }
}

#[actix::test]
async fn column_that_a_new_row_would_have_to_have_is_named_when_the_table_is_opened() {
    let file = File::new();
    file.execute("CREATE TABLE ports (key TEXT PRIMARY KEY, value TEXT, owner TEXT NOT NULL)");
    let refused = Ports::open(file.path(), "ports").await.unwrap_err();
    assert!(
        matches!(refused, OpenError::Unsuitable { .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("owner"), "{refused}");
}

#[actix::test]
async fn record_of_versions_that_others_have_spoilt_is_an_error_that_names_the_file() {
    for spoilt in [
        "UPDATE resurgam_schema SET version = 'seven'",
        "DROP TABLE resurgam_schema; CREATE TABLE resurgam_schema (a)",
        "DROP TABLE resurgam_schema; CREATE VIEW resurgam_schema AS SELECT 'ports' AS name, 1 AS version",
    ] {
        let file = File::new();
        drop(Ports::open(file.path(), "ports").await.unwrap());
        file.execute(spoilt);
        match Ports::open(file.path(), "ports").await {
            Ok(table) => table.insert(&1, &1).await.unwrap(),
            Err(refused) => {
                assert!(
                    matches!(refused, OpenError::File(_)),
                    "{spoilt}: {refused:?}"
                );
                assert!(refused.to_string().contains("fleet.db"), "{refused}");
            }
        }
    }
    for version in ["-5", "NULL", "0"] {
        let file = File::new();
        drop(Ports::open(file.path(), "ports").await.unwrap());
        file.execute(&format!(
            "UPDATE OR IGNORE resurgam_schema SET version = {version}"
        ));
        let table = Ports::open(file.path(), "ports").await.unwrap();
        table.insert(&1, &1).await.unwrap();
    }
}

#[actix::test]
async fn write_that_a_trigger_has_left_out_is_not_called_written() {
    let file = File::new();
    let table = quick(&file).await;
    file.execute(
        "CREATE TRIGGER odd BEFORE INSERT ON ports WHEN new.key = '7' \
         BEGIN SELECT raise(IGNORE); END; \
         CREATE TRIGGER kept BEFORE DELETE ON ports WHEN old.key = '8' \
         BEGIN SELECT raise(IGNORE); END; \
         CREATE TRIGGER back BEFORE INSERT ON ports WHEN new.key = '9' \
         BEGIN SELECT raise(ROLLBACK, 'all of it'); END",
    );
    table.insert(&8, &1).await.unwrap();
    let rows = [(&1, &1), (&7, &1)];
    for left_out in [
        table.insert(&7, &1).await.unwrap_err(),
        table.remove(&8).await.unwrap_err(),
        table.replace_all(rows).await.unwrap_err(),
    ] {
        let text = left_out.to_string();
        let row = text.contains("`7`") || text.contains("`8`");
        assert!(row && text.contains("trigger"), "{text}");
    }
    assert_eq!(read(&table).await, (vec![(8, 1)], vec![]));
    let inserted = join_all([1, 9, 2].iter().map(|key| table.insert(key, &5))).await;
    assert!(inserted[0].is_ok() && inserted[2].is_ok(), "{inserted:?}");
    assert!(inserted[1].is_err());
    assert_eq!(table.get(&1).await, Ok(Some(5)));
    assert_eq!(table.get(&2).await, Ok(Some(5)));
}

#[actix::test]
async fn many_that_listen_and_go_while_all_rows_are_replaced_hear_of_it_or_are_gone() {
    let file = File::new();
    let table = quick(&file).await;
    let rows: Vec<_> = (0..20_000).map(|n| (n, n)).collect();
    let mut stay: Vec<_> = (0..500).map(|_| Box::pin(table.changes())).collect();
    let replace = table.replace_all(rows.iter().map(|(key, value)| (key, value)));
    let go = async {
        for _ in 0..500 {
            let mut goes = Box::pin(table.changes());
            let _heard = goes.next().now_or_never();
            drop(goes);
            tokio::task::yield_now().await;
        }
    };
    let scans = async {
        // One that the commit overtakes may see some of them: no snapshot is promised.
        loop {
            if table.rows().count().await == 20_000 {
                break;
            }
        }
    };
    let (replaced, (), ()) = join3(replace, go, scans).await;
    replaced.unwrap();
    for changes in &mut stay {
        assert_eq!(next(changes).await, Change::Any);
    }
}
