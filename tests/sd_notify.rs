//! A program under systemd, of which the tests play the part: real processes, a real socket, real time.
//!
//! The test binary runs itself: `program` is the program, and the other tests are its systemd. Environment variables belong to a
//! process, so each program is one.
#![cfg(unix)]
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests, and a program that speaks"
)]

use std::{
    future::Future,
    io::{BufRead, BufReader, ErrorKind, Write},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    pin::Pin,
    process::{Child, ChildStdin, Command, ExitCode, Stdio},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::Poll,
    thread,
    time::Duration,
};

use futures::poll;
use resurgam::{
    Readiness, RestartLimit, ServiceSpec, Shutdown, SupervisorActor, SupervisorSpec, TaskContext,
};
use tokio::io::AsyncBufReadExt;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The name of the variable that says which program to be.
const ROLE: &str = "RESURGAM_TEST_ROLE";

/// The time limit of a test that has failed.
const LIMIT: Duration = Duration::from_secs(30);

#[actix::test]
#[ignore = "a program for the other tests"]
async fn program() {
    let role = std::env::var(ROLE).unwrap_or_default();
    let spec =
        SupervisorSpec::default().limit(RestartLimit::window(0, Duration::from_secs(1)).escalate());
    let mut root = SupervisorActor::new("root", spec);
    if role == "early" {
        root.add(ServiceSpec::task("early", early)).unwrap();
    }
    let own = role.clone();
    let task = ServiceSpec::task("task", move |cx| task(cx, own.clone()));
    let task = task.readiness(Readiness::Explicit);
    root.add(task.shutdown(Shutdown::Infinity)).unwrap();
    let root = root.start().await.unwrap();
    if role == "early" {
        return root.join().await.unwrap();
    }
    if role == "stuck" {
        // On another thread than the root: it is the root that does not answer.
        let own = root.clone();
        let run = || async move { own.run_under_systemd().await };
        actix::Arbiter::new().spawn_fn(move || drop(actix::spawn(run())));
        return root.join().await.unwrap();
    }
    let mut run: Pin<Box<dyn Future<Output = ExitCode>>> = match role.as_str() {
        "plain" => Box::pin(root.run_until_signal()),
        _ => Box::pin(root.run_under_systemd()),
    };
    let code = match poll!(&mut run) {
        Poll::Ready(code) => code,
        Poll::Pending => {
            println!("up"); // signals are listened to
            run.await
        }
    };
    println!("code: {code:?}");
}

/// Runs its tree as a program before that is ready.
async fn early(cx: TaskContext) -> Result<(), AnyError> {
    let root = cx.supervisor();
    actix::spawn(async move { root.run_under_systemd().await });
    cx.shutdown().await;
    Ok(())
}

/// Goes on from step to step with each line of its input.
async fn task(cx: TaskContext, role: String) -> Result<(), AnyError> {
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    println!("starting");
    lines.next_line().await?;
    cx.ready();
    match role.as_str() {
        "fails" => {
            lines.next_line().await?;
            return Err("first line\nsecond line".into());
        }
        "stuck" => {
            lines.next_line().await?;
            println!("stuck");
            loop {
                thread::park();
            }
        }
        _ => cx.shutdown().await,
    }
    println!("asked to stop");
    lines.next_line().await?;
    Ok(())
}

/// A program that runs, and is killed at the end of the test at the latest; and the socket of its systemd.
struct Program {
    process: Child,
    input: ChildStdin,
    lines: mpsc::Receiver<String>,
    socket: UnixDatagram,
    path: PathBuf,
}

impl Program {
    fn start(role: &str, watchdog: Option<Duration>) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("resurgam-sd-notify-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", "program", "--nocapture"])
            .env(ROLE, role)
            .env("NOTIFY_SOCKET", &path)
            .env_remove("WATCHDOG_PID")
            .env_remove("WATCHDOG_USEC");
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        if role == "alone" {
            command.env_remove("NOTIFY_SOCKET");
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = process.stdout.take().unwrap();
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            process,
            input,
            lines,
            socket,
            path,
        }
    }

    /// Waits for a line.
    fn says(&self, wanted: &str) {
        while !self
            .lines
            .recv_timeout(LIMIT)
            .unwrap_or_else(|error| panic!("no line `{wanted}`: {error}"))
            .ends_with(wanted)
        {}
    }

    /// Lets it take its next step.
    fn step(&mut self) {
        self.input.write_all(b"\n").unwrap();
    }

    fn terminate(&self) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &id]).status();
        assert!(sent.unwrap().success());
    }

    /// The next message to systemd, if there is one within the time.
    fn message_within(&self, limit: Duration) -> Option<String> {
        let mut bytes = [0; 4096];
        self.socket.set_read_timeout(Some(limit)).unwrap();
        match self.socket.recv(&mut bytes) {
            Ok(length) => Some(String::from_utf8(bytes[..length].to_vec()).unwrap()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn message(&self) -> String {
        let message = self.message_within(LIMIT).expect("no message");
        message.trim_end().to_owned()
    }

    /// The next message that does not feed the watchdog.
    fn news(&self) -> String {
        let messages = std::iter::repeat_with(|| self.message());
        // So many take half a minute: then the test has failed.
        let mut messages = messages.take(600);
        let news = messages.find(|message| message != "WATCHDOG=1");
        news.expect("nothing but food for the watchdog")
    }

    /// What is there already.
    fn messages(&self) -> Vec<String> {
        let waiting = || self.message_within(Duration::from_millis(1));
        std::iter::from_fn(waiting).collect()
    }

    fn ends_with_code(&self, code: ExitCode) {
        self.says(&format!("code: {code:?}"));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _nothing_to_wait_for = self.process.wait();
        let _gone_already = std::fs::remove_file(&self.path);
    }
}

#[test]
fn systemd_is_told_that_the_services_of_the_start_are_ready_and_that_the_stop_begins() {
    let mut program = Program::start("obeys", None);
    program.says("starting");
    assert!(program.messages().is_empty());
    program.step();
    assert_eq!(program.message(), "READY=1");

    program.terminate(); // whoever says so is listening
    program.says("asked to stop");
    assert_eq!(program.message(), "STOPPING=1");
    program.step();
    program.ends_with_code(ExitCode::SUCCESS);
    assert!(program.messages().is_empty());
}

#[test]
fn systemd_is_not_told_that_a_tree_is_ready_while_that_is_being_started() {
    let mut program = Program::start("early", Some(Duration::from_millis(100)));
    program.says("starting");
    // The program runs: its watchdog is fed.
    for _ in 0..3 {
        assert_eq!(program.message(), "WATCHDOG=1");
    }
    program.step();
    assert_eq!(program.news(), "READY=1");
}

#[test]
fn watchdog_is_fed_while_the_root_answers_and_during_the_stop() {
    let mut program = Program::start("obeys", Some(Duration::from_millis(100)));
    program.step();
    assert_eq!(program.news(), "READY=1");
    for _ in 0..5 {
        assert_eq!(program.message(), "WATCHDOG=1");
    }
    program.terminate();
    assert_eq!(program.news(), "STOPPING=1");
    for _ in 0..5 {
        assert_eq!(program.message(), "WATCHDOG=1");
    }
    program.step();
    program.ends_with_code(ExitCode::SUCCESS);
}

#[test]
fn watchdog_of_a_root_that_is_stuck_goes_hungry() {
    let mut program = Program::start("stuck", Some(Duration::from_millis(100)));
    program.step();
    assert_eq!(program.news(), "READY=1");
    assert_eq!(program.message(), "WATCHDOG=1");
    program.step();
    program.says("stuck");
    // What was sent before is there by now.
    drop(program.messages());
    assert_eq!(program.message_within(Duration::from_secs(1)), None);
}

#[test]
fn systemd_is_told_why_a_tree_has_failed() {
    let mut program = Program::start("fails", None);
    program.step();
    assert_eq!(program.message(), "READY=1");
    program.step();
    assert_eq!(program.message(), "STOPPING=1");
    let status = program.message();
    assert!(status.starts_with("STATUS="), "{status}");
    assert!(!status.contains('\n'), "{status}");
    program.ends_with_code(ExitCode::FAILURE);
}

#[test]
fn nobody_is_told_anything_without_a_socket_or_without_the_call() {
    for role in ["alone", "plain"] {
        let mut program = Program::start(role, Some(Duration::from_millis(20)));
        program.step();
        program.says("up");
        program.terminate();
        program.says("asked to stop");
        program.step();
        program.ends_with_code(ExitCode::SUCCESS);
        assert!(program.messages().is_empty());
    }
}
