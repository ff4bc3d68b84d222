//! What the examples print that have no other test.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

use std::{env, fs, process::Command};

/// What an example prints.
fn printed(name: &str) -> String {
    // Beside the tests, which are in `deps`.
    let mut program = env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.extend(["examples", name]);
    // There already if all tests are built, and not if this one is built by itself.
    if !program.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        let built = cargo.args(["build", "--example", name]).status();
        assert!(built.unwrap().success());
    }
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the first lines of an example say that it prints.
fn said(name: &str) -> Vec<String> {
    let file = format!("{}/examples/{name}.rs", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(file).unwrap();
    let block = text.split("```").nth(1).unwrap();
    let lines = block.lines().skip(1);
    let lines = lines.map(|line| line.trim_start_matches("//!").trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

#[test]
fn observe_prints_what_it_says_and_a_report() {
    let printed = printed("observe");
    let said = said("observe");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[..said.len()], said[..], "{printed}");
    let report = lines[said.len()..].join("\n");
    for part in [
        "root",
        "site",
        "store",
        "poller",
        "ready",
        "failed: no route",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert!(report.lines().all(|line| line.chars().count() <= 100));
}
