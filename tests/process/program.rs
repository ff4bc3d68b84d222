//! A program of services and processes that is sent signals. The test binary runs itself: `program` is the program.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use actix::Arbiter;
use resurgam::{
    Placement, Readiness, ServiceSpec, Shutdown, SupervisorActor, SupervisorRef, TaskActor,
};

use crate::support::{group_is_gone, sh};

/// The name of the variable that says which program to be.
const ROLE: &str = "RESURGAM_TEST_ROLE";

/// A process that prints its id and does not mind to be asked, and a service that is told to stop after it.
#[actix::test]
#[ignore = "a program for the other tests"]
async fn program() {
    let role = std::env::var(ROLE).unwrap_or_default();
    let mut root = SupervisorActor::with_defaults("root");
    let command = sh("trap '' TERM; echo $$; while :; do sleep 0.01; done");
    let mut lines = command.lines();
    let stubborn = command.service("stubborn");
    let stubborn = if role == "starting" || role == "blocked below" {
        stubborn.shutdown(Shutdown::BrutalKill)
    } else {
        stubborn
    };
    root.add(stubborn).unwrap();
    actix::spawn(async move {
        let line = lines.next().await.unwrap();
        println!("leader={}", line.text());
    });
    let own = role.clone();
    let task = ServiceSpec::task("task", move |cx| {
        let role = own.clone();
        async move {
            if role != "starting" {
                cx.ready();
            }
            println!("begun");
            cx.shutdown().await;
            println!("asked to stop");
            if role.starts_with("blocked") {
                loop {
                    thread::park();
                }
            }
            Ok::<_, std::io::Error>(())
        }
    });
    let task = task.readiness(Readiness::Explicit);
    let bound = Duration::from_millis(300);
    if role == "blocked below" {
        return below(root, task, bound).await;
    }
    root.add(task).unwrap();
    let code = match role.as_str() {
        "blocked" => root.run_within(bound).await,
        "blocked elsewhere" => {
            let (tell, started) = tokio::sync::oneshot::channel();
            Arbiter::new().spawn(async move {
                let _waits = tell.send(root.start().await.unwrap());
            });
            started.await.unwrap().run_until_signal_within(bound).await
        }
        _ => root.run().await,
    };
    println!("code: {code:?}");
}

/// Makes a program of a supervisor with a thread of its own, and says what has become of the process beside it.
#[expect(clippy::print_stdout, reason = "a program that speaks")]
async fn below(root: SupervisorActor, task: ServiceSpec<TaskActor>, bound: Duration) {
    let root = root.start().await.unwrap();
    let mut site = SupervisorActor::with_defaults("site");
    site.add(task).unwrap();
    let site = ServiceSpec::supervisor(site).placement(Placement::Dedicated);
    let site = SupervisorRef::try_from(root.add(site).await.unwrap()).unwrap();
    let code = site.run_until_signal_within(bound).await;
    println!("code: {code:?}");
    // Nothing ends it meanwhile: it is the first one that ends when it is removed.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let services = root.services().await.unwrap();
    let (state, generation) = (services[0].state(), services[0].generation());
    // Said last: the test ends the program then, and what still ran would be left behind.
    root.remove("stubborn").await.unwrap();
    println!("the process: {state} {generation}");
}

struct Program {
    process: Child,
    lines: mpsc::Receiver<String>,
}

/// How long a test waits for something that is to happen.
const LIMIT: Duration = Duration::from_secs(20);

impl Program {
    fn start(role: &str) -> Self {
        let mut process = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "program::program", "--nocapture"])
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

    /// Waits for a line with this text, and returns what follows it.
    fn says(&self, wanted: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|error| panic!("no line `{wanted}`: {error}"));
            if let Some((_, rest)) = line.split_once(wanted) {
                return rest.to_owned();
            }
        }
    }

    /// Waits until its process and its service run, and returns the id of the process.
    fn is_up(&self) -> u32 {
        // Whichever of the two speaks first.
        let (mut group, mut begun) = (None, false);
        while group.is_none() || !begun {
            let line = self.lines.recv_timeout(LIMIT).unwrap();
            if let Some((_, id)) = line.split_once("leader=") {
                group = Some(id.parse().unwrap());
            }
            begun |= line.ends_with("begun");
        }
        group.unwrap()
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &id])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end, and returns what was written to standard error as well.
    fn wait(mut self) -> (ExitStatus, String) {
        while self.lines.recv_timeout(LIMIT).is_ok() {}
        let ended = self.process.wait().unwrap();
        let mut errors = String::new();
        let stderr = self.process.stderr.take().unwrap();
        BufReader::new(stderr).read_to_string(&mut errors).unwrap();
        (ended, errors)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _nothing_to_wait_for = self.process.wait();
    }
}

#[actix::test]
async fn signal_during_the_start_stops_it_in_order_and_leaves_no_process() {
    let program = Program::start("starting");
    let group = program.is_up();
    program.signal("TERM");
    program.says("asked to stop");
    program.says("code: ");
    let (ended, errors) = program.wait();
    assert!(ended.success(), "{ended}: {errors}");
    group_is_gone(group).await;
}

#[actix::test]
async fn bound_that_has_passed_ends_a_program_whose_own_thread_is_blocked() {
    let program = Program::start("blocked");
    let group = program.is_up();
    program.signal("TERM");
    program.says("asked to stop");
    let (ended, errors) = program.wait();
    assert_eq!(ended.code(), Some(1), "{errors}");
    let report = errors.lines().rev().take(2).collect::<Vec<_>>();
    assert!(
        report[0].contains("did not stop within 300ms"),
        "{report:?}"
    );
    assert!(report[0].contains(", still there: root/task"), "{report:?}");
    group_is_gone(group).await;
}

#[actix::test]
async fn third_signal_leaves_no_process_either() {
    let mut program = Program::start("blocked for good");
    let group = program.is_up();
    // Those of one kind that are not yet handled are one: so there are more than enough.
    while program.process.try_wait().unwrap().is_none() {
        program.signal("TERM");
    }
    let (ended, errors) = program.wait();
    assert!(ended.code().is_some(), "{errors}");
    group_is_gone(group).await;
}

/// The program returns, and would leave what nobody stops any more.
#[actix::test]
async fn bound_that_has_passed_leaves_no_process_of_a_tree_on_another_thread() {
    let program = Program::start("blocked elsewhere");
    let group = program.is_up();
    program.signal("TERM");
    program.says("asked to stop");
    assert!(program.says("code: ").contains('1'));
    group_is_gone(group).await;
}

#[actix::test]
async fn bound_of_a_supervisor_that_has_passed_leaves_the_processes_of_others_alone() {
    let program = Program::start("blocked below");
    program.is_up();
    program.signal("TERM");
    program.says("asked to stop");
    assert!(program.says("code: ").contains('1'));
    assert_eq!(program.says("the process: "), "ready 0");
}
