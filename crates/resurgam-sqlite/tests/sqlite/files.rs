//! Files that cannot be used, and names that cannot be.

use std::{fs, time::Duration};

use resurgam::table::{RowError, Table};
use resurgam_sqlite::{OpenError, SqliteError, SqliteOptions, SqliteTable};

use crate::support::*;

type Devices = SqliteTable<String, Device>;

#[actix::test]
async fn name_of_a_table_is_a_plain_word() {
    let file = File::new();
    let long = "x".repeat(65);
    for bad in [
        "",
        "7up",
        "de vices",
        "a\"b",
        "a;b",
        "main.devices",
        "geräte",
        "sqlite_master",
        "SQLite_x",
        "resurgam_schema",
        &*long,
    ] {
        let refused = Devices::open(file.path(), bad).await.unwrap_err();
        assert!(
            matches!(&refused, OpenError::BadName { table, .. } if **table == *bad),
            "{bad}: {refused}"
        );
    }
    assert!(!file.path().exists());
    for good in ["devices", "_x", "Select", "a7", &long[1..]] {
        let table = Devices::open(file.path(), good).await.unwrap();
        table.insert(&key(good), &device(1)).await.unwrap();
        assert_eq!(read(&table).await.0, [(key(good), device(1))]);
    }
}

#[actix::test]
async fn table_of_a_newer_version_is_refused_and_left_alone() {
    let file = File::new();
    file.open().await;
    file.execute("UPDATE resurgam_schema SET version = 99");
    let refused = Devices::open(file.path(), "devices").await.unwrap_err();
    let OpenError::Newer {
        file: named,
        table,
        found: 99,
        known: 1,
        ..
    } = &refused
    else {
        panic!("{refused}");
    };
    assert_eq!((&**named, &**table), (file.path(), "devices"));
    let text = refused.to_string();
    assert!(text.contains("fleet.db") && text.contains("99"), "{text}");
    // Another table of the same file has a version of its own.
    Devices::open(file.path(), "others").await.unwrap();
    file.execute("DROP TABLE devices");
    Devices::open(file.path(), "devices").await.unwrap_err();
}

#[actix::test]
async fn user_version_and_what_else_is_in_the_file_is_the_users() {
    let file = File::new();
    file.execute("PRAGMA user_version = 41; CREATE TABLE mine (a); INSERT INTO mine VALUES (1)");
    let table = file.open().await;
    table.insert(&key("a"), &device(1)).await.unwrap();
    let read = |sql: &str| -> i64 { file.connect().query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(read("PRAGMA user_version"), 41);
    assert_eq!(read("SELECT a FROM mine"), 1);
}

#[actix::test]
async fn table_made_by_hand_is_used_as_it_is_if_it_fits() {
    let file = File::new();
    file.execute(
        "CREATE TABLE devices (note TEXT, Key VARCHAR(80) PRIMARY KEY, value TEXT); \
         INSERT INTO devices VALUES ('kept', 'a', '{\"url\": \"u\", \"every_ms\": 1}'), ('', NULL, 'x')",
    );
    let table = file.open().await;
    table.insert(&key("a"), &device(2)).await.unwrap();
    table.insert(&key("b"), &device(3)).await.unwrap();
    let (rows, errors) = read(&table).await;
    assert_eq!(rows, [(key("a"), device(2)), (key("b"), device(3))]);
    assert_eq!(errors, []);
    let sql = "SELECT note FROM devices WHERE key = 'a'";
    let note: String = file.connect().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(note, "kept");

    for unfit in [
        "CREATE TABLE unfit (key TEXT PRIMARY KEY)",
        "CREATE TABLE unfit (key TEXT, value TEXT)",
        "CREATE TABLE unfit (key INTEGER PRIMARY KEY, value TEXT)",
        "CREATE TABLE unfit (key TEXT PRIMARY KEY, value BLOB)",
        "CREATE TABLE unfit (a TEXT, key TEXT, value TEXT, PRIMARY KEY (a, key))",
        "CREATE VIEW unfit AS SELECT key, value FROM devices",
    ] {
        file.execute(unfit);
        let refused = Devices::open(file.path(), "unfit").await.unwrap_err();
        assert!(
            matches!(&refused, OpenError::Unsuitable { .. }),
            "{unfit}: {refused}"
        );
        let kind = unfit.split(' ').nth(1).unwrap();
        file.execute(&format!("DROP {kind} unfit"));
    }
}

#[actix::test]
async fn what_is_no_file_of_sqlite_is_corrupt_and_stays_as_it_is() {
    let file = File::new();
    let text = "this is a letter and not a database. ".repeat(50);
    fs::write(file.path(), &text).unwrap();
    let refused = Devices::open(file.path(), "devices").await.unwrap_err();
    let OpenError::File(error @ SqliteError::Corrupt { .. }) = &refused else {
        panic!("{refused}");
    };
    assert_eq!(error.file(), file.path());
    assert!(refused.to_string().contains("fleet.db"), "{refused}");
    assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
}

#[actix::test]
async fn damage_while_the_table_is_open_is_an_error_of_what_meets_it() {
    let file = File::new();
    let table = file.open().await;
    let rows: Vec<_> = (0..5000).map(|n| (format!("{n:04}"), device(n))).collect();
    let rows = rows.iter().map(|(key, device)| (key, device));
    table.replace_all(rows).await.unwrap();
    drop(table);
    // Everything is in the file itself, whose pages but the first ones are spoilt.
    let end = file.connect();
    end.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(end);
    let mut bytes = fs::read(file.path()).unwrap();
    for byte in &mut bytes[5 * 4096..] {
        *byte = 0xff;
    }
    fs::write(file.path(), bytes).unwrap();

    let table = file.open().await;
    let (rows, errors) = read(&table).await;
    assert!(rows.len() < 5000);
    let [RowError::Scan { error, .. }] = &errors[..] else {
        panic!("{errors:?}");
    };
    assert!(matches!(error, SqliteError::Corrupt { .. }), "{error}");
    let error = table.get(&key("4999")).await.unwrap_err();
    assert!(matches!(error, SqliteError::Corrupt { .. }), "{error}");
}

#[actix::test]
async fn file_that_cannot_be_made_is_an_error_that_names_it() {
    let file = File::new();
    let nowhere = file.path().join("nowhere.db");
    fs::write(file.path(), "").unwrap();
    let refused = Devices::open(&nowhere, "devices").await.unwrap_err();
    let OpenError::File(error @ SqliteError::CannotOpen { .. }) = &refused else {
        panic!("{refused}");
    };
    assert_eq!(error.file(), nowhere);
    let refused = Devices::open("", "devices").await.unwrap_err();
    assert!(
        matches!(&refused, OpenError::File(SqliteError::CannotOpen { .. })),
        "{refused}"
    );
}

#[actix::test]
async fn file_that_somebody_else_writes_to_is_read_and_locked_for_writes() {
    let file = File::new();
    let patience = SqliteOptions::default().busy_timeout(Duration::from_millis(50));
    let open = || Devices::open_with(file.path(), "devices", patience.clone());
    let table = open().await.unwrap();
    table.insert(&key("a"), &device(1)).await.unwrap();

    let other = file.connect();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = table.insert(&key("b"), &device(1)).await.unwrap_err();
    assert!(matches!(&error, SqliteError::Locked { .. }), "{error}");
    assert_eq!(error.file(), file.path());
    assert!(error.to_string().contains("fleet.db"), "{error}");
    assert_eq!(read(&table).await.0, [(key("a"), device(1))]);
    // A table that is there already can be opened, a new one cannot be made.
    assert_eq!(read(&open().await.unwrap()).await.0.len(), 1);
    let refused = Devices::open_with(file.path(), "others", patience.clone()).await;
    assert!(
        matches!(&refused, Err(OpenError::File(SqliteError::Locked { .. }))),
        "{refused:?}"
    );

    other.execute_batch("COMMIT").unwrap();
    table.insert(&key("b"), &device(1)).await.unwrap();
}

#[actix::test]
async fn file_that_somebody_has_for_themselves_is_locked_and_nobody_waits_for_ever() {
    let file = File::new();
    let other = file.connect();
    let alone = "PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE mine (a)";
    other.execute_batch(alone).unwrap();
    let patience = SqliteOptions::default().busy_timeout(Duration::from_millis(50));
    let refused = Devices::open_with(file.path(), "devices", patience).await;
    let Err(OpenError::File(error @ SqliteError::Locked { .. })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(error.file(), file.path());
    drop(other);
    file.open().await;
}

#[actix::test]
async fn table_that_is_dropped_fails_until_it_is_there_again() {
    let file = File::new();
    let table = file.open().await;
    table.insert(&key("a"), &device(1)).await.unwrap();
    file.execute("ALTER TABLE devices RENAME TO away");
    let error = table.get(&key("a")).await.unwrap_err();
    assert!(matches!(&error, SqliteError::Failed { .. }), "{error}");
    assert!(matches!(&read(&table).await.1[..], [RowError::Scan { .. }]));
    table.insert(&key("b"), &device(1)).await.unwrap_err();
    file.execute("ALTER TABLE away RENAME TO devices");
    assert_eq!(table.get(&key("a")).await, Ok(Some(device(1))));
    table.insert(&key("b"), &device(1)).await.unwrap();
}

/// Where the program below finds the file that it must not write to.
#[cfg(unix)]
const READ_ONLY: &str = "RESURGAM_SQLITE_READ_ONLY";

#[cfg(unix)]
#[actix::test]
async fn file_that_must_not_be_written_to_is_an_error_that_names_it() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};

    if let Some(path) = std::env::var_os(READ_ONLY) {
        let refused = Devices::open(&path, "devices").await.unwrap_err();
        let OpenError::File(error @ SqliteError::ReadOnly { .. }) = &refused else {
            panic!("{refused}");
        };
        assert_eq!(error.file(), path);
        assert!(refused.to_string().contains("fleet.db"), "{refused}");
        return;
    }
    let file = File::outside_of_the_project();
    drop(file.open().await);
    let mode = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(file.path(), mode(0o444)).unwrap();
    // Root may write to anything. So somebody else tries, who is nobody if this is root.
    let own = std::env::current_exe().unwrap();
    let copy = file.path().with_file_name("program");
    fs::copy(own, &copy).unwrap();
    let root = fs::OpenOptions::new().write(true).open(file.path()).is_ok();
    let mut program = std::process::Command::new(&copy);
    program
        .args([
            "--exact",
            "files::file_that_must_not_be_written_to_is_an_error_that_names_it",
        ])
        .env(READ_ONLY, file.path())
        .current_dir("/");
    if root {
        program.uid(65534).gid(65534);
    }
    let output = program.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
