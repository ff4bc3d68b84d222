//! Crashes: a program with a keyed supervisor is killed at any moment, while it and another one write to the same file.
//!
//! Whenever it is started again, what runs comes to be what the table says, and no write is lost that was answered. How often it is killed
//! says `RESURGAM_CRASHES`; when, and what is written, is decided by a seed, which is printed, and set by `RESURGAM_SEED`.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "clippy takes only functions with #[test] for tests, and not what they call; programs of a test talk to each other"
)]

mod program;
mod random;

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::{TryStreamExt, future::join, future::join_all};
use resurgam::table::Table;
use resurgam_sqlite::SqliteTable;
use tokio::time::sleep;

use self::{
    program::{Program, Said},
    random::Random,
};

type Rows = BTreeMap<String, u64>;

struct Story {
    file: PathBuf,
    random: Random,
    /// No number is written twice.
    number: u64,
    /// How many writes were.
    answered: u64,
    /// Of the rows that the program writes itself, and of those that this test does.
    /// For each, what may stand there: what was answered last, and behind it what was asked for after that. `None` is no row.
    allowed: BTreeMap<String, Vec<Option<u64>>>,
}

impl Story {
    async fn open(&self) -> SqliteTable<String, u64> {
        SqliteTable::open(&self.file, program::TABLE).await.unwrap()
    }

    /// The program is asked to write by itself, and so does this test, if it has the table. Then the program is killed.
    async fn write_and_kill(
        &mut self,
        mut program: Program,
        table: Option<&SqliteTable<String, u64>>,
    ) {
        self.number += 1_000_000;
        program.tell(&format!("write {}", self.number));
        self.number += 1_000_000;
        let moment = Duration::from_micros(self.random.below(120_000));
        let killed = Cell::new(false);
        let kill = async {
            sleep(moment).await;
            program.kill();
            killed.set(true);
        };
        let write = async {
            while let Some(table) = table
                && !killed.get()
            {
                self.write(table).await;
            }
        };
        join(kill, write).await;
        // Some more, while nobody listens.
        if let Some(table) = table {
            self.write(table).await;
        }
        while let Some(said) = program.next().await {
            self.hear(said);
        }
    }

    /// Adds, changes and removes some rows, a few of them at once.
    async fn write(&mut self, table: &SqliteTable<String, u64>) {
        let mut writes = BTreeMap::new();
        for _ in 0..=self.random.below(5) {
            self.number += 1;
            let value = (self.random.below(3) > 0).then_some(self.number);
            writes.insert(format!("row-{}", self.random.below(40)), value);
        }
        join_all(writes.iter().map(|(key, value)| async {
            match value {
                Some(value) => table.insert(key, value).await.unwrap(),
                None => {
                    table.remove(key).await.unwrap();
                }
            }
        }))
        .await;
        for (key, answered) in writes {
            self.answered += 1;
            self.allowed.insert(key, vec![answered]);
        }
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Asks(key, value) => {
                let allowed = self.allowed.entry(key).or_insert_with(|| vec![None]);
                allowed.push(value);
            }
            Said::Done(key, value) => {
                self.answered += 1;
                self.allowed.insert(key, vec![value]);
            }
            Said::Runs(_) => {}
            Said::Twice(key) => panic!("two services of {key} at once"),
        }
    }

    /// What stands in the file, if that is as it should be.
    async fn check(&mut self, table: &SqliteTable<String, u64>) -> Rows {
        let rows: Rows = table.rows().try_collect().await.unwrap();
        for (key, allowed) in &mut self.allowed {
            let found = rows.get(key).copied();
            assert!(
                allowed.contains(&found),
                "{key}: {found:?} where only {allowed:?} may stand"
            );
            *allowed = vec![found];
        }
        for key in rows.keys() {
            assert!(self.allowed.contains_key(key), "nobody has written {key}");
        }
        rows
    }

    /// Waits until just that runs.
    async fn converges(&mut self, program: &mut Program, rows: &Rows) {
        let mut last = None;
        let converged = async {
            while let Some(said) = program.next().await {
                match said {
                    Said::Runs(running) if running == *rows => return true,
                    Said::Runs(running) => last = Some(running),
                    said => self.hear(said),
                }
            }
            false
        };
        let converged = tokio::time::timeout(Duration::from_secs(20), converged).await;
        assert_eq!(converged, Ok(true), "{last:?} runs, and not {rows:?}");
    }
}

#[actix::test]
async fn killed_at_any_moment_it_runs_what_the_table_says_and_has_lost_nothing() {
    if program::is_this().await {
        return;
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = directory.join(format!("crash-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let mut story = Story {
        file: directory.join("fleet.db"),
        random: Random::new(),
        number: 0,
        answered: 0,
        allowed: BTreeMap::new(),
    };
    let crashes = std::env::var("RESURGAM_CRASHES").map_or(50, |n| n.parse().unwrap());
    for crash in 0..crashes {
        if crash % 3 == 2 {
            // In its start.
            let mut program = Program::start(&story.file);
            sleep(Duration::from_micros(story.random.below(40_000))).await;
            program.kill();
        }
        let mut program = Program::start(&story.file);
        let table = story.open().await;
        story.check(&table).await;
        // While it starts: what it reads is out of date at once.
        for _ in 0..story.random.below(12) {
            story.write(&table).await;
        }
        let rows = story.check(&table).await;
        story.converges(&mut program, &rows).await;
        // Every other time the killed program is the only one that has the file, and the next one has to recover its log.
        let table = (crash % 2 == 0).then_some(table);
        story.write_and_kill(program, table.as_ref()).await;
    }
    println!("{} writes were answered", story.answered);
    assert!(story.answered > crashes, "hardly anything was written");

    let table = story.open().await;
    let rows = story.check(&table).await;
    let mut program = Program::start(&story.file);
    story.converges(&mut program, &rows).await;
    program.end();
    let connection = rusqlite::Connection::open(&story.file).unwrap();
    let whole: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(whole, "ok");
    fs::remove_dir_all(directory).unwrap();
}
