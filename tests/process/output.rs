//! What a process reads and writes.

use actix::prelude::*;
use futures::StreamExt;
use resurgam::{
    ServiceContext, ServiceSpec,
    process::{Command, Output},
};

use crate::support::{root, sh, soon, text};

#[actix::test]
async fn lines_come_with_path_generation_and_output() {
    let root = root().await;
    let command = sh("echo out; read never; echo err >&2; exec sleep 60");
    let mut lines = command.lines();
    root.add(command.service("speaker")).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let line = soon(lines.next()).await.unwrap();
        assert_eq!((line.path(), line.generation()), ("root/speaker", 0));
        seen.push((line.output(), line.to_string()));
    }
    seen.sort_by_key(|(output, _)| *output == Output::Stderr);
    assert_eq!(
        seen,
        [
            (Output::Stdout, String::from("root/speaker: out")),
            (Output::Stderr, String::from("root/speaker: err")),
        ]
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn stream_of_lines_goes_on_through_restarts_and_ends_with_the_service() {
    let root = root().await;
    let command = sh("echo up; exit 1");
    let mut lines = command.lines();
    let service = root.add(command.service("fails")).await.unwrap();
    let first: Vec<_> = soon(lines.by_ref().take(3).collect()).await;
    for (generation, line) in (0..).zip(first) {
        assert_eq!((line.generation(), line.text()), (generation, "up"));
    }
    root.remove(service.token()).await.unwrap();
    drop(service);
    let _rest: Vec<_> = soon(lines.by_ref().collect()).await;
    // Over, and no less when it is asked again.
    assert!(soon(lines.next()).await.is_none());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn empty_lines_unfinished_lines_and_other_bytes_are_lines() {
    let command = Command::new("printf").arg(r"a\n\n\nb\r\n\377\nc");
    let mut lines = command.lines();
    command.capture().await.unwrap();
    for expected in ["a", "", "", "b", "\u{fffd}", "c"] {
        assert_eq!(text(&mut lines).await, expected);
    }
    assert!(soon(lines.next()).await.is_none());
}

#[actix::test]
async fn line_without_an_end_is_cut_and_takes_bounded_memory() {
    let command = sh("head -c 200000 /dev/zero | tr '\\0' x");
    let mut lines = command.lines();
    command.capture().await.unwrap();
    let mut lengths = Vec::new();
    while let Some(line) = soon(lines.next()).await {
        lengths.push(line.text().len());
    }
    assert_eq!(lengths, [65536, 65536, 65536, 200_000 - 3 * 65536]);
}

#[actix::test]
async fn end_of_a_longest_line_is_no_line_of_its_own() {
    let command = sh("head -c 65536 /dev/zero | tr '\\0' x; echo; echo next");
    let mut lines = command.lines();
    command.capture().await.unwrap();
    assert_eq!(text(&mut lines).await.len(), 65536);
    assert_eq!(text(&mut lines).await, "next");
}

#[actix::test]
async fn carriage_return_that_does_not_end_a_line_is_text() {
    let command = Command::new("printf").arg(r"a\rb\r\nc\r");
    let mut lines = command.lines();
    command.capture().await.unwrap();
    for expected in ["a\rb", "c\r"] {
        assert_eq!(text(&mut lines).await, expected);
    }
}

#[actix::test]
async fn slow_subscriber_loses_lines_and_is_told_how_many() {
    let command = sh("seq 3000");
    let mut lines = command.lines();
    command.capture().await.unwrap();
    assert_eq!(text(&mut lines).await, (3000 - 1024 + 1).to_string());
    assert_eq!(lines.lost(), 3000 - 1024);
}

#[actix::test]
async fn arguments_environment_directory_and_input_reach_the_process() {
    let script = r#"printf '%s,%s,%s,%s,%s\n' "$1" "$A" "$B" "$HOME" "$(pwd)"; cat"#;
    let output = sh(script)
        .args(["zero", "with space"])
        .env("A", "1")
        .envs([("B", "2"), ("HOME", "gone")])
        .env_remove("HOME")
        .directory("/usr")
        .stdin("read\nthis")
        .capture();
    let output = soon(output).await.unwrap();
    assert_eq!(output, "with space,1,2,,/usr\nread\nthis");
    let cleared = Command::new("/usr/bin/env").env("A", "1").env_clear();
    let cleared = cleared.env("B", "2").capture();
    assert_eq!(soon(cleared).await.unwrap(), "B=2\n");
}

#[actix::test]
async fn each_incarnation_reads_the_input_from_its_beginning_to_its_end() {
    let root = root().await;
    let command = Command::new("cat").stdin(vec![b'a', b'\n', b'b']);
    let mut lines = command.lines();
    root.add(command.service("cat")).await.unwrap();
    for expected in ["a", "b", "a", "b"] {
        assert_eq!(text(&mut lines).await, expected);
    }
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn input_that_nobody_reads_holds_up_nothing() {
    let much = vec![b'x'; 1 << 20];
    let output = sh("echo ignored").stdin(much).capture();
    assert_eq!(soon(output).await.unwrap(), "ignored\n");
}

#[actix::test]
async fn process_that_floods_its_output_does_not_starve_its_siblings() {
    let root = root().await;
    let flood = Command::new("yes").service("flood");
    root.add_and_wait(flood).await.unwrap();
    let sibling = root
        .add_and_wait(ServiceSpec::new("sibling", || Sibling))
        .await
        .unwrap();
    soon(async {
        for _ in 0..100 {
            sibling.send(Ping).await.unwrap();
        }
    })
    .await;
    root.shutdown().await.unwrap();
}

struct Sibling;

impl Actor for Sibling {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Ping;

impl Handler<Ping> for Sibling {
    type Result = ();
    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}
