//! When a process counts as ready.

use std::{io::Read, io::Write, net::TcpListener, thread, time::Duration};

use resurgam::{
    AddError, ExitReason, KillCause, ServiceState, SpecError, StartError,
    process::{Command, ExitError},
};

use crate::support::{exit_error, group_is_gone, number, root, sh, soon, text};

#[actix::test]
async fn process_is_ready_when_it_runs_unless_told_otherwise() {
    let root = root().await;
    let spec = Command::new("sleep").arg("60").service("sleeper");
    soon(root.add_and_wait(spec)).await.unwrap();
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn process_is_ready_when_a_line_of_either_output_contains_the_text() {
    let root = root().await;
    for (name, script) in [
        ("stdout", "echo not yet; echo is up now; exec sleep 60"),
        ("stderr", "echo not yet; echo is up now >&2; exec sleep 60"),
    ] {
        let command = sh(script).ready_on_line("up");
        let mut lines = command.lines();
        soon(root.add_and_wait(command.service(name)))
            .await
            .unwrap();
        let seen = [text(&mut lines).await, text(&mut lines).await];
        assert!(seen.contains(&String::from("is up now")), "{seen:?}");
    }
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn process_is_not_ready_before_the_line_that_matches() {
    let root = root().await;
    let command = sh("echo $$; while [ ! -e $FLAG ]; do sleep 0.01; done; echo port 80; sleep 60");
    let flag = std::env::temp_dir().join(format!("resurgam-ready-{}", std::process::id()));
    let command = command.env("FLAG", &flag).ready_on_match(|line| {
        line.strip_prefix("port ")
            .is_some_and(|port| port.parse::<u16>().is_ok())
    });
    let mut lines = command.lines();
    let service = root.add(command.service("server")).await.unwrap();
    let _id = number(&mut lines).await;
    let state = root.services().await.unwrap()[0].state();
    assert_eq!(state, ServiceState::Starting);
    std::fs::write(&flag, "").unwrap();
    soon(root.when_ready::<resurgam::process::ProcessActor>(service.path()))
        .await
        .unwrap();
    std::fs::remove_file(&flag).unwrap();
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn process_that_announces_itself_and_ends_at_once_was_ready() {
    let root = root().await;
    let mut events = root.events();
    let spec = sh("echo up").ready_on_line("up").service("brief");
    let spec = spec.restart(resurgam::RestartType::Temporary);
    root.add(spec).await.unwrap();
    assert_eq!(crate::support::end(&mut events).await, ExitReason::Normal);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn process_is_ready_when_its_port_accepts() {
    let root = root().await;
    // The process would listen itself; here the port is opened for it, later.
    let port = free_port();
    let spec = Command::new("sleep").arg("60");
    let spec = spec.ready_on_port(format!("127.0.0.1:{port}"));
    let service = root.add(spec.service("server")).await.unwrap();
    let ready = root.when_ready::<resurgam::process::ProcessActor>(service.path());
    let mut ready = std::pin::pin!(ready);
    let early = tokio::time::timeout(Duration::from_millis(120), &mut ready).await;
    assert!(early.is_err(), "ready before the port was open");
    let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    soon(ready).await.unwrap();
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn process_is_ready_when_it_answers_a_request_well() {
    let root = root().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let mut requests = Vec::new();
        for answer in ["503 Not yet", "404 Not there", "204 No Content"] {
            let (mut connection, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = connection.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..length]);
            requests.push(request.lines().next().unwrap().to_owned());
            // At once: who asks hangs up when it has seen the status.
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
            connection.write_all(answer.as_bytes()).unwrap();
        }
        requests
    });
    let spec = Command::new("sleep").arg("60");
    let spec = spec.ready_on_http(address, "/health").service("server");
    soon(root.add_and_wait(spec)).await.unwrap();
    assert_eq!(server.join().unwrap(), ["GET /health HTTP/1.1"; 3]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn process_that_ends_before_it_is_ready_is_a_failed_start() {
    let root = root().await;
    let spec = sh("echo no; exit 7").ready_on_line("up").service("server");
    let Err(StartError::Failed { reason, .. }) = soon(root.add_and_wait(spec)).await else {
        panic!("started");
    };
    let program = String::from("sh");
    assert_eq!(exit_error(&reason), ExitError::exited(program, 7));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn process_that_is_not_ready_in_time_is_killed_with_its_group() {
    let root = root().await;
    let command = sh("sleep 60 & echo $$; wait").ready_on_line("never");
    let mut lines = command.lines();
    let spec = command.service("server");
    let spec = spec.start_timeout(Duration::from_secs(2));
    let (started, group) =
        soon(async { tokio::join!(root.add_and_wait(spec), number(&mut lines)) }).await;
    let Err(StartError::Failed { reason, .. }) = started else {
        panic!("started");
    };
    assert_eq!(reason, ExitReason::Killed(KillCause::StartTimeout));
    group_is_gone(group).await;
    root.shutdown().await.unwrap();
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Such a process would be started, and waited for in vain.
#[actix::test]
async fn address_or_path_that_could_never_answer_is_refused() {
    let root = root().await;
    let sleep = || Command::new("sleep").arg("60");
    let local = "127.0.0.1:8080";
    let mut refused = Vec::new();
    for address in ["", "8080", ":8080", "localhost", "localhost:", "a:0"] {
        refused.push(("ready_on_port", address, sleep().ready_on_port(address)));
        let http = sleep().ready_on_http(address, "/");
        refused.push(("ready_on_http", address, http));
    }
    for address in ["a:http", "a:65536", "a:-1"] {
        refused.push(("ready_on_port", address, sleep().ready_on_port(address)));
    }
    for path in ["", "health", "/a b", "/\r\nX: y"] {
        let http = sleep().ready_on_http(local, path);
        refused.push(("ready_on_http", path, http));
    }
    for (field, value, command) in refused {
        let error = root.add(command.service("sleeper")).await.unwrap_err();
        let AddError::Spec(SpecError::InvalidValue {
            field: named,
            value: given,
            ..
        }) = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!((*named, &**given), (field, value), "{error}");
    }
    for address in ["[::1]:8080", "localhost:1", local] {
        let command = sleep()
            .ready_on_port(address)
            .service(address.replace(':', "-"));
        root.add(command).await.unwrap();
    }
    root.shutdown().await.unwrap();
}
