//! The program that is killed: this test, started again, and what the test and it say to each other.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use actix::prelude::*;
use resurgam::{ServiceContext, ServiceSpec, SupervisorActor, keyed::KeyedSpec};
use resurgam_sqlite::{SqliteOptions, SqliteTable};
use tokio::sync::{Notify, mpsc};

use crate::Rows;

pub(crate) const TABLE: &str = "devices";

/// Where the program finds its file.
const FILE: &str = "RESURGAM_SQLITE_CRASH";

/// What the program says.
#[derive(Debug)]
pub(crate) enum Said {
    /// All that runs now.
    Runs(Rows),
    /// It is about to write that.
    Asks(String, Option<u64>),
    /// It was told that this is written.
    Done(String, Option<u64>),
    /// A service was started while there was one of the same key.
    Twice(String),
}

impl Said {
    /// What stands in a line behind `@`. What else is printed is none of ours.
    fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once('@')?.1.split_once(' ')?;
        let row = || {
            let (key, value) = rest.split_once(' ').unwrap();
            (key.to_owned(), serde_json::from_str(value).unwrap())
        };
        Some(match word {
            "runs" => Self::Runs(serde_json::from_str(rest).unwrap()),
            "asks" => Self::Asks(row().0, row().1),
            "done" => Self::Done(row().0, row().1),
            "twice" => Self::Twice(rest.to_owned()),
            _ => return None,
        })
    }
}

/// The program, as the test sees it. Killed when it is dropped.
pub(crate) struct Program {
    process: Child,
    input: Option<ChildStdin>,
    said: mpsc::UnboundedReceiver<Said>,
}

impl Program {
    pub(crate) fn start(file: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--nocapture", "killed_at_any_moment"])
            .env(FILE, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let (tx, said) = mpsc::unbounded_channel();
        thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|read| read > 0) {
                // The last line may be cut off.
                if let Some(said) = line.strip_suffix('\n').and_then(Said::parse) {
                    let _nobody_listens = tx.send(said);
                }
                line.clear();
            }
        });
        Self {
            input: process.stdin.take(),
            process,
            said,
        }
    }

    /// What it says next; nothing more once it has ended.
    pub(crate) async fn next(&mut self) -> Option<Said> {
        self.said.recv().await
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
    }

    /// By SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Has it end by itself.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _reaped_already = self.process.wait();
    }
}

/// What runs, and whom to tell.
#[derive(Default)]
struct Running {
    rows: Mutex<Rows>,
    changed: Notify,
}

struct Device {
    key: String,
    value: u64,
    running: Arc<Running>,
}

impl Device {
    fn change(&self, change: impl FnOnce(&mut Rows)) {
        change(
            &mut self
                .running
                .rows
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.running.changed.notify_one();
    }
}

impl Actor for Device {
    type Context = ServiceContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.change(|rows| {
            if rows.insert(self.key.clone(), self.value).is_some() {
                println!("@twice {}", self.key);
            }
        });
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.change(|rows| {
            rows.remove(&self.key);
        });
    }
}

/// If this is the program, runs it, and reports that.
pub(crate) async fn is_this() -> bool {
    let Some(file) = std::env::var_os(FILE) else {
        return false;
    };
    let quick = SqliteOptions::default().poll_every(Duration::from_millis(10));
    let table = SqliteTable::<String, u64>::open_with(file, TABLE, quick);
    let table = table.await.unwrap();
    let running = Arc::<Running>::default();
    let devices = Arc::clone(&running);
    let spec = KeyedSpec::new("devices", table.clone(), move |key: &String, value| {
        let (key, value, running) = (key.clone(), *value, Arc::clone(&devices));
        ServiceSpec::new("device", move || Device {
            key: key.clone(),
            value,
            running: Arc::clone(&running),
        })
    });
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    // Half of the rows may be removed between two looks.
    root.add_keyed(spec.max_vanish(usize::MAX)).await.unwrap();
    running.changed.notify_one();
    let tell = actix::spawn(async move {
        loop {
            running.changed.notified().await;
            let rows = running.rows.lock().unwrap().clone();
            println!("@runs {}", serde_json::to_string(&rows).unwrap());
        }
    });

    let (tx, mut lines) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in std::io::stdin().lines() {
            tx.send(line.unwrap()).unwrap();
        }
    });
    while let Some(line) = lines.recv().await {
        let first = line.strip_prefix("write ").unwrap().parse().unwrap();
        for writer in 0..3 {
            actix::spawn(write(table.clone(), writer, first));
        }
    }
    root.shutdown().await.unwrap();
    tell.abort();
    true
}

/// Writes rows of its own for ever, and says what it is about to write and what it was told is written.
async fn write(table: SqliteTable<String, u64>, writer: u64, first: u64) {
    for number in first.. {
        let key = format!("own-{writer}-{}", number % 5);
        let value = (number % 4 > 0).then_some(number * 3 + writer);
        let said = serde_json::to_string(&value).unwrap();
        println!("@asks {key} {said}");
        match value {
            Some(value) => table.insert(&key, &value).await.unwrap(),
            None => {
                table.remove(&key).await.unwrap();
            }
        }
        println!("@done {key} {said}");
    }
}
