//! A tree as a program: real processes that are sent real signals, in real time.
//!
//! The test binary runs itself: `program` is the program, and the other tests are its parents.

use std::{
    io::{BufRead, BufReader, Read},
    pin::pin,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc,
    task::Poll,
    thread,
    time::Duration,
};

use futures::{FutureExt, poll};
use resurgam::{
    Placement, RestartLimit, ServiceSpec, Shutdown, SupervisorActor, SupervisorRef, SupervisorSpec,
    TaskActor,
};
use tracing::{Event, Metadata, Subscriber, span};

use crate::support::{AnyError, idle};

/// The name of the variable that says which program to be.
const ROLE: &str = "RESURGAM_TEST_ROLE";

#[actix::test]
#[ignore = "a program for the other tests"]
async fn program() {
    let role = std::env::var(ROLE).unwrap_or_default();
    let mut spec =
        SupervisorSpec::default().limit(RestartLimit::window(0, Duration::from_secs(1)).escalate());
    if role.starts_with("fatal") {
        spec = spec.fatal(|_| true);
    }
    if role == "fatal, heard" {
        tracing::subscriber::set_global_default(Deaf).unwrap();
    }
    let mut root = SupervisorActor::new("root", spec);
    root.add(idle("idle")).unwrap();
    let own = role.clone();
    let task = ServiceSpec::task("task", move |cx| {
        let role = own.trim_start_matches("below: ").to_owned();
        async move {
            if role == "fails" || role.starts_with("fatal") {
                if role == "fatal at the end" {
                    cx.shutdown().await;
                }
                tokio::task::yield_now().await;
                let cause = std::io::Error::other("the cable is cut");
                return Err(Unreachable(cause).into());
            }
            cx.shutdown().await;
            println!("asked to stop");
            match role.as_str() {
                "ends badly" => Err("no answer".into()),
                "deaf" | "bounded" => std::future::pending().await,
                "stuck" | "stuck elsewhere" => loop {
                    thread::park();
                },
                _ => Ok::<_, AnyError>(()),
            }
        }
    });
    let task = task.shutdown(Shutdown::Infinity);
    if let Some(role) = role.strip_prefix("below: ") {
        return Box::pin(below(root, task, role)).await;
    }
    root.add(task).unwrap();
    if role == "blocking" {
        let deaf = ServiceSpec::blocking("deaf", |_| -> Result<(), AnyError> {
            loop {
                thread::park();
            }
        });
        let little = Shutdown::Timeout(Duration::from_millis(10));
        root.add(deaf.shutdown(little)).unwrap();
    }
    let root = root.start().await.unwrap();
    if role == "completes" {
        let root = root.clone();
        actix::spawn(async move { root.shutdown().await });
    }
    let mut run = pin!(root.run_until_signal());
    let code = match poll!(&mut run) {
        Poll::Ready(code) => code,
        Poll::Pending => {
            println!("up");
            run.await
        }
    };
    println!("code: {code:?}");
}

/// Makes a program of a supervisor below the root, and says what is left of the tree after it.
#[expect(clippy::print_stdout, reason = "a program that speaks")]
async fn below(root: SupervisorActor, task: ServiceSpec<TaskActor>, role: &str) {
    let root = root.start().await.unwrap();
    let mut site = SupervisorActor::with_defaults("site");
    site.add(task).unwrap();
    let place = match role {
        "stuck elsewhere" => Placement::Dedicated,
        _ => Placement::Inherit,
    };
    let site = ServiceSpec::supervisor(site).placement(place);
    let site = SupervisorRef::try_from(root.add(site).await.unwrap()).unwrap();
    root.when_ready::<SupervisorActor>("site").await.unwrap();
    let bound = Duration::from_millis(50);
    let mut run = pin!(match role {
        "bounded" | "stuck" | "stuck elsewhere" =>
            site.run_until_signal_within(bound).left_future(),
        _ => site.run_until_signal().right_future(),
    });
    assert!(poll!(&mut run).is_pending());
    println!("up");
    if role == "removed" {
        root.remove("site").await.unwrap();
    }
    let code = run.await;
    let left = root.services().await.unwrap();
    let left: Vec<_> = left
        .iter()
        .map(|service| (service.path(), service.state()))
        .collect();
    println!("left: {left:?}");
    println!("code: {code:?}");
}

#[derive(Debug, thiserror::Error)]
#[error("device unreachable")]
struct Unreachable(#[source] std::io::Error);

/// Somebody who listens, and writes nothing.
struct Deaf;

impl Subscriber for Deaf {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// A program that runs, and is killed at the end of the test at the latest.
struct Program {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl Program {
    fn start(role: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "signal::program", "--nocapture"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        Self { process, lines }
    }

    /// Waits for a line; the time limit is for a test that has failed.
    fn says(&self, wanted: &str) {
        let limit = Duration::from_secs(20);
        while !self
            .lines
            .recv_timeout(limit)
            .unwrap_or_else(|error| panic!("no line `{wanted}`: {error}"))
            .ends_with(wanted)
        {}
    }

    fn ends_with_code(&self, code: ExitCode) {
        self.says(&format!("code: {code:?}"));
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end, and returns what it has printed to standard error.
    fn complaint(mut self) -> String {
        let mut text = String::new();
        let mut errors = self.process.stderr.take().unwrap();
        errors.read_to_string(&mut text).unwrap();
        text
    }

    fn wait(mut self) -> ExitStatus {
        // Its output ends when it does.
        while self.lines.recv_timeout(Duration::from_secs(20)).is_ok() {}
        self.process.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _nothing_to_wait_for = self.process.wait();
    }
}

#[test]
fn first_signal_stops_the_program_in_order() {
    for signal in ["INT", "TERM"] {
        let program = Program::start("obeys");
        program.says("up");
        program.signal(signal);
        program.says("asked to stop");
        program.ends_with_code(ExitCode::SUCCESS);
        assert!(program.wait().success());
    }
}

#[test]
fn second_signal_drops_what_does_not_stop() {
    let program = Program::start("deaf");
    program.says("up");
    program.signal("TERM");
    program.says("asked to stop");
    program.signal("TERM");
    program.ends_with_code(ExitCode::FAILURE);
    assert!(program.wait().success()); // the test's own, which prints the code
}

#[test]
fn third_signal_exits_also_when_the_arbiter_is_stuck() {
    for (last, code) in [("TERM", 143), ("INT", 130)] {
        let mut program = Program::start("stuck");
        program.says("up");
        program.signal("TERM");
        program.says("asked to stop");
        // Two of one kind that are not yet handled are one: so there are more than enough.
        while program.process.try_wait().unwrap().is_none() {
            program.signal(last);
        }
        assert_eq!(program.wait().code(), Some(code));
    }
}

#[test]
fn program_ends_though_a_blocking_service_does_not() {
    let program = Program::start("blocking");
    program.says("up");
    program.signal("TERM");
    program.ends_with_code(ExitCode::FAILURE);
    assert!(program.wait().success());
}

#[test]
fn program_whose_tree_ends_by_itself_says_how_it_ended() {
    let program = Program::start("completes");
    program.ends_with_code(ExitCode::SUCCESS);
    let program = Program::start("fails");
    program.ends_with_code(ExitCode::FAILURE);
}

#[test]
fn what_fails_while_the_program_stops_in_time_is_printed_and_is_no_failure_of_the_program() {
    let program = Program::start("ends badly");
    program.says("up");
    program.signal("TERM");
    program.ends_with_code(ExitCode::SUCCESS);
    let complaint = program.complaint();
    let wanted = "while the tree stopped: root/task: failed: no answer";
    assert!(complaint.contains(wanted), "{complaint}");
}

#[test]
fn reason_of_a_fatal_end_is_printed_unless_somebody_listens_to_tracing() {
    for (role, printed) in [("fatal", true), ("fatal, heard", false)] {
        let program = Program::start(role);
        program.ends_with_code(ExitCode::FAILURE);
        let complaint = program.complaint();
        let reason = "the tree has failed: service `root/task` ended the tree: device unreachable: the cable is cut";
        assert_eq!(complaint.contains(reason), printed, "{role}: {complaint}");
    }
}

/// The last thing that a writer does is to save what it has left.
#[test]
fn fatal_error_while_the_program_stops_is_a_failure_of_the_program() {
    let program = Program::start("fatal at the end");
    program.says("up");
    program.signal("TERM");
    program.ends_with_code(ExitCode::FAILURE);
    let complaint = program.complaint();
    let wanted = "a fatal error while the tree stopped: root/task: failed: device unreachable: the cable is cut";
    assert!(complaint.contains(wanted), "{complaint}");
}

#[test]
fn supervisor_below_the_root_whose_thread_is_blocked_is_given_up_and_the_code_says_so() {
    // The program goes on, and could stop the rest. Nobody but the supervisor itself was asked, so that it still counts as ready.
    let program = Program::start("below: stuck elsewhere");
    program.says("up");
    program.signal("TERM");
    program.says("asked to stop");
    program.says(r#"left: [("root/idle", Ready), ("root/site", Ready)]"#);
    program.ends_with_code(ExitCode::FAILURE);
    let complaint = program.complaint();
    let wanted = "the supervisor `root/site` did not stop within 50ms, still there: root/site/task";
    assert!(complaint.contains(wanted), "{complaint}");
    // Nobody is left who could return: the thread that listens ends the program.
    let mut program = Program::start("below: stuck");
    program.says("up");
    program.signal("TERM");
    program.says("asked to stop");
    let mut complaint = String::new();
    let mut errors = program.process.stderr.take().unwrap();
    errors.read_to_string(&mut complaint).unwrap();
    assert!(complaint.contains(wanted), "{complaint}");
    assert_eq!(program.wait().code(), Some(1));
}

#[test]
fn supervisor_below_the_root_ends_on_a_signal_and_the_rest_of_the_tree_runs_on() {
    let rest = r#"left: [("root/idle", Ready)]"#;
    let ends = [
        ("below: obeys", 1, ExitCode::SUCCESS),
        ("below: ends badly", 1, ExitCode::SUCCESS),
        ("below: removed", 0, ExitCode::SUCCESS),
        ("below: deaf", 2, ExitCode::FAILURE),
        ("below: bounded", 1, ExitCode::FAILURE),
    ];
    for (role, signals, code) in ends {
        let program = Program::start(role);
        program.says("up");
        for signal in 0..signals {
            program.signal("TERM");
            if signal == 0 {
                program.says("asked to stop");
            }
        }
        program.says(rest);
        program.ends_with_code(code);
        assert!(program.wait().success(), "{role}");
    }
}
