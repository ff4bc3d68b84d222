//! A command that runs once.

use std::{thread, time::Duration};

use resurgam::process::{CaptureError, Command, ExitError, Signal};

use crate::support::{group_is_gone, number, sh, soon};

#[actix::test]
async fn capture_returns_what_was_written_to_standard_output() {
    let output = soon(sh("echo one; echo two >&2; printf three").capture()).await;
    assert_eq!(output.unwrap(), "one\nthree");
}

#[actix::test]
async fn capture_err_returns_both_outputs_in_the_order_in_which_they_were_written() {
    let script = "for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done";
    let output = soon(sh(script).capture_err()).await.unwrap();
    let expected = (1..=9).flat_map(|i| [format!("o{i}"), format!("e{i}")]);
    assert!(output.lines().eq(expected), "{output}");
}

#[actix::test]
async fn capture_gives_the_input_to_the_process() {
    let output = Command::new("cat").stdin("in\nput").capture();
    assert_eq!(soon(output).await.unwrap(), "in\nput");
}

#[actix::test]
async fn failure_of_a_captured_command_keeps_its_output() {
    let Err(error) = soon(sh("echo part; exit 2").capture()).await else {
        panic!("succeeded");
    };
    assert_eq!(error.output(), Some("part\n"));
    let CaptureError::Exit { error, .. } = error else {
        panic!("{error}");
    };
    let program = String::from("sh");
    assert_eq!(error, ExitError::exited(program, 2));
    let killed = soon(sh("echo part; kill -KILL $$").capture_err()).await;
    let Err(CaptureError::Exit { error, output, .. }) = killed else {
        panic!("succeeded");
    };
    let (program, signal) = (String::from("sh"), Signal::Kill.number());
    assert_eq!(error, ExitError::signalled(program, signal));
    assert_eq!(output, "part\n");
}

#[actix::test]
async fn capture_of_a_program_that_does_not_exist_is_an_error() {
    let Err(error) = soon(Command::new("/no/such/program").capture()).await else {
        panic!("succeeded");
    };
    assert!(matches!(error, CaptureError::Spawn(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "could not start `/no/such/program`: No such file or directory (os error 2)"
    );
    assert_eq!(error.output(), None);
}

#[actix::test]
async fn capture_ends_with_its_process_and_not_with_what_that_left_running() {
    let command = sh("sleep 60 & echo $$");
    let mut lines = command.lines();
    let output = soon(command.capture()).await.unwrap();
    let group = number(&mut lines).await;
    assert_eq!(output, format!("{group}\n"));
    group_is_gone(group).await;
}

#[actix::test]
async fn capture_needs_no_supervisor_and_may_run_on_any_thread() {
    let output = tokio::spawn(Command::new("echo").arg("hello").capture());
    assert_eq!(soon(output).await.unwrap().unwrap(), "hello\n");
}

#[actix::test]
async fn capture_is_complete_also_if_the_thread_is_busy_with_something_else() {
    let busy = actix::spawn(async {
        loop {
            thread::park_timeout(Duration::from_millis(10));
            tokio::task::yield_now().await;
        }
    });
    let output = soon(Command::new("seq").arg("3000").capture()).await;
    busy.abort();
    assert_eq!(output.unwrap().lines().count(), 3000);
}
