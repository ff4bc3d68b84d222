//! Who is waited for, what is put together, and how it prints: without a runtime.

use std::{
    sync::Arc,
    thread::{self, ThreadId},
    time::{Duration, SystemTime},
};

use super::{
    gather::{Gathering, Level},
    picture::{Own, Report, ServiceReport},
    text::{fitted, said, width, without_modules, wrapped},
};
use crate::{
    policy::{ExitReason, ServiceError},
    service::{ReportedKind, ReportedPlacement, Shown},
    state::ServiceState,
    token::{ServiceToken, SupervisorId},
    tree::{Details, Numbers},
};

fn token() -> ServiceToken {
    ServiceToken::issue(SupervisorId::issue(), 0)
}

fn own(path: &str, token: ServiceToken) -> Own {
    Own {
        path: Arc::from(path),
        token,
        kind: ReportedKind::Supervisor,
        state: ServiceState::Ready,
        at: SystemTime::UNIX_EPOCH,
        age: None,
        numbers: None,
    }
}

fn service(path: &str, token: ServiceToken, kind: ReportedKind) -> ServiceReport {
    ServiceReport {
        path: Arc::from(path),
        token,
        type_name: "site::devices::Poller<alloc::string::String>",
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(10_000),
        since: None,
        age: None,
        generation: 0,
        restarts: 0,
        handled: 0,
        details: None,
        below: None,
        state: ServiceState::Ready,
        shown: Shown {
            kind,
            placement: ReportedPlacement::Inherit,
        },
    }
}

/// A supervisor that has these services; of each it is said whether it is a supervisor.
fn level(path: &str, token: ServiceToken, services: &[(&str, ServiceToken, bool)]) -> Level {
    let kind = |supervisor| {
        if supervisor {
            ReportedKind::Supervisor
        } else {
            ReportedKind::Actor
        }
    };
    let each = services.iter();
    let each = each.map(|(name, token, supervisor)| {
        service(&format!("{path}/{name}"), *token, kind(*supervisor))
    });
    let supervisors = services.iter().enumerate();
    Level {
        own: own(path, token),
        services: each.collect(),
        supervisors: supervisors
            .filter(|(_, (_, _, supervisor))| *supervisor)
            .map(|(at, _)| at)
            .collect(),
    }
}

/// This thread, and another one.
fn threads() -> (ThreadId, ThreadId) {
    let other = thread::spawn(|| thread::current().id());
    (thread::current().id(), other.join().unwrap())
}

fn paths(report: &Report) -> Vec<&str> {
    report.walk().map(ServiceReport::path).collect()
}

#[test]
fn levels_are_put_together_in_start_order_whoever_answers_first() {
    let (here, _) = threads();
    let [root, a, b, leaf, low] = [(); 5].map(|()| token());
    for turn in 0..3 {
        let mut gathering = Gathering::default();
        let mut answers = vec![
            (root, level("root", root, &[("a", a, true), ("b", b, true)])),
            (a, level("root/a", a, &[("leaf", leaf, false)])),
            (b, level("root/b", b, &[("low", low, false)])),
        ];
        answers.rotate_left(turn);
        for (token, _) in &answers {
            gathering.ask(*token, Some(here));
        }
        for (token, level) in answers {
            assert!(!gathering.is_done());
            gathering.hear(token, level);
        }
        assert!(gathering.is_done());
        assert_eq!(gathering.unknown(root), []);
        let report = gathering.assemble(root).unwrap();
        assert_eq!(
            paths(&report),
            ["root/a", "root/a/leaf", "root/b", "root/b/low"]
        );
    }
}

#[test]
fn those_that_say_nothing_for_a_moment_are_given_up_and_the_others_are_not() {
    let (here, elsewhere) = threads();
    let [root, silent, slow, gone] = [(); 4].map(|()| token());
    let mut gathering = Gathering::default();
    for token in [root, silent, slow, gone] {
        gathering.ask(token, Some(elsewhere));
    }
    gathering.hear(
        root,
        level(
            "root",
            root,
            &[
                ("silent", silent, true),
                ("slow", slow, true),
                ("gone", gone, true),
            ],
        ),
    );
    gathering.hear_part(slow);
    gathering.hear_gone(gone);
    assert!(gathering.is_gone(gone) && !gathering.is_gone(silent));
    gathering.moment_is_over(here);
    // It has begun to answer, and has another moment for the rest.
    assert!(!gathering.is_done() && !gathering.has_overdue());
    gathering.hear_part(slow);
    gathering.moment_is_over(here);
    assert!(!gathering.is_done());
    gathering.moment_is_over(here);
    assert!(gathering.is_done());
    assert_eq!(gathering.unknown(root), [silent, slow, gone]);
    // Too late to be waited for, and good enough to be told.
    gathering.hear(slow, level("root/slow", slow, &[]));
    assert!(gathering.is_done());
    gathering.fill(silent, level("root/silent", silent, &[]));
    // What was said counts more than what was found out.
    gathering.fill(slow, level("root/slow", slow, &[("x", token(), false)]));
    assert_eq!(gathering.unknown(root), [gone]);
    let report = gathering.assemble(root).unwrap();
    assert_eq!(paths(&report), ["root/silent", "root/slow", "root/gone"]);
    let below = report.services().iter().map(|service| service.supervisor());
    let below: Vec<_> = below.map(|below| below.is_some()).collect();
    assert_eq!(below, [true, true, false]);
}

#[test]
fn one_on_the_thread_of_whoever_asks_gets_its_turn_first() {
    let (here, elsewhere) = threads();
    let [root, sub, unknown] = [(); 3].map(|()| token());
    for answers in [true, false] {
        let mut gathering = Gathering::default();
        gathering.ask(root, Some(here));
        gathering.ask(sub, Some(elsewhere));
        // One that was never started.
        gathering.ask(unknown, None);
        gathering.moment_is_over(here);
        assert!(gathering.has_overdue() && !gathering.is_done());
        if answers {
            gathering.hear(root, level("root", root, &[("sub", sub, true)]));
        } else {
            gathering.give_overdue_up();
        }
        assert!(gathering.is_done() && !gathering.has_overdue());
        assert_eq!(gathering.unknown(root), [if answers { sub } else { root }]);
        assert!(gathering.was_asked(unknown) && !gathering.was_asked(token()));
    }
}

#[test]
fn asked_twice_is_waited_for_once() {
    let (here, _) = threads();
    let root = token();
    let mut gathering = Gathering::default();
    gathering.ask(root, Some(here));
    gathering.ask(root, Some(here));
    gathering.hear_gone(root);
    assert!(gathering.is_done() && gathering.is_gone(root));
    gathering.hear_gone(token());
    assert!(gathering.assemble(root).is_none());
}

/// A tree with one supervisor on each level.
fn chain(levels: usize) -> Report {
    let tokens: Vec<_> = (0..levels).map(|_| token()).collect();
    let mut gathering = Gathering::default();
    let mut path = String::from("s");
    for (at, of) in tokens.iter().enumerate() {
        let below = tokens.get(at + 1);
        let services = below.map(|below| ("s", *below, true));
        let services: Vec<_> = services.into_iter().collect();
        gathering.fill(*of, level(&path, *of, &services));
        path.push_str("/s");
    }
    gathering.assemble(tokens[0]).unwrap()
}

#[test]
fn thousands_of_levels_do_not_overflow_the_stack() {
    let small = thread::Builder::new().stack_size(128 << 10);
    let looks = small.spawn(|| {
        let report = chain(4_000);
        assert_eq!(report.walk().count(), 3_999);
        let deepest = report.walk().last().unwrap();
        assert_eq!(report.find(deepest.path()), Some(deepest));
        let printed = report.to_string();
        assert_eq!(printed.lines().count(), 4_000);
        assert!(printed.lines().all(|line| width(line) <= 100));
        assert!(format!("{report:?}").contains(deepest.path()));
        let held = deepest.clone();
        let middle = report.services()[0].clone();
        let same = report.clone();
        assert_eq!(report, same);
        assert_ne!(report, chain(3));
        drop(report);
        drop(same);
        assert_eq!(middle.supervisor().unwrap().walk().count(), 3_998);
        drop(middle);
        assert_eq!(held.name(), "s");
    });
    looks.unwrap().join().unwrap();
}

#[test]
fn path_is_found_by_whole_names() {
    let [root, sub, subway, leaf] = [(); 4].map(|()| token());
    let mut gathering = Gathering::default();
    gathering.fill(
        root,
        level(
            "root",
            root,
            &[("sub", sub, true), ("subway", subway, false)],
        ),
    );
    gathering.fill(sub, level("root/sub", sub, &[("leaf", leaf, false)]));
    let report = gathering.assemble(root).unwrap();
    for path in ["root/sub", "root/subway", "root/sub/leaf"] {
        assert_eq!(report.find(path).unwrap().path(), path);
    }
    for path in [
        "root",
        "",
        "sub",
        "root/su",
        "root/sub/",
        "root/sub/lea",
        "root/sub/leaf/deeper",
        "root/subway/leaf",
        "other/sub",
    ] {
        assert_eq!(report.find(path), None, "{path}");
    }
    let below = report.services()[0].supervisor().unwrap();
    assert_eq!(below.find("root/sub/leaf").unwrap().token(), leaf);
    assert_eq!(below.find("root/subway"), None);
}

/// A tree whose names, types and errors are as bad as they may be.
fn wild() -> Report {
    let [root, sub] = [(); 2].map(|()| token());
    let long = "a-name-that-is-far-too-long-for-any-table-that-is-to-be-read-by-a-human[17]";
    let mut top = level(
        "root",
        root,
        &[
            (long, token(), false),
            (
                "名前がとても長いサービスの名前は切らなければならない[3]",
                token(),
                false,
            ),
            ("sub", sub, true),
        ],
    );
    let error = format!(
        "boom\r\n├─ fake  ready\t\u{1b}[2J\u{202e}{}",
        "word ".repeat(200)
    );
    top.services[0].details = Some(Arc::new(Details {
        last_exit: Some(ExitReason::Failed(ServiceError::new(error))),
        waits_for: Some((Arc::from("x".repeat(300)), crate::Blocked::Missing)),
        ..Details::default()
    }));
    top.services[0].type_name = "a::very::long::Type<of::Some<other::Type>, and::Another>";
    top.own.numbers = Some(Numbers {
        failure_count: 3.25,
        limit: Some(5.0),
        half_life: None,
        window: None,
        paused_until: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(90)),
        table_unreachable: None,
    });
    top.services[2].age = Some(Duration::from_secs(4));
    let mut low = level("root/sub", sub, &[("leaf", token(), false)]);
    low.own.age = Some(Duration::from_secs(400));
    let mut gathering = Gathering::default();
    gathering.fill(root, top);
    gathering.fill(sub, low);
    gathering.assemble(root).unwrap()
}

#[test]
fn nothing_breaks_the_lines_of_the_tree() {
    let report = wild();
    let printed = report.to_string();
    for line in printed.lines() {
        assert!(width(line) <= 100, "{}: {line}", width(line));
        assert!(!line.contains(char::is_control), "{line:?}");
        assert_eq!(line.trim_end(), line, "{line:?}");
    }
    // Each service has one line that begins with its branch, whatever an error says.
    let branches = printed.lines();
    let branches = branches.filter(|line| {
        let name = line.trim_start_matches(['│', ' ']);
        name.starts_with(['├', '└']) && !line.contains("fake")
    });
    assert_eq!(branches.count(), 4, "{printed}");
    assert!(!printed.contains('\u{202e}') && printed.contains("\\u{202e}"));
    assert!(printed.contains("[17]") && printed.contains("[3]"));
    assert!(printed.starts_with("root "), "{printed}");
    assert!(printed.contains("supervisor, failures 3.25 of 5,\n"));
    assert!(printed.contains("  restarts paused for 1 min 30 s\n"));
    assert!(printed.contains("does not answer, seen 6 min 40 s ago"));
    // One service alone is one line.
    let alone = report.services()[0].to_string();
    assert_eq!(alone.lines().count(), 1);
    assert!(!alone.contains(char::is_control));
}

#[test]
fn columns_are_counted_as_terminals_do() {
    assert_eq!(width("plain"), 5);
    assert_eq!(width("名前"), 4);
    assert_eq!(width("e\u{301}"), 1);
    assert_eq!(width("ü│…"), 3);
    assert_eq!(width("🦀"), 2);
}

#[test]
fn text_that_is_too_long_is_cut_and_stays_text() {
    for text in [
        "short",
        "名前がとても長いサービス",
        "e\u{301}e\u{301}e\u{301}e\u{301}",
        "",
    ] {
        for most in 1..12 {
            let cut = fitted(text, most);
            assert!(width(&cut) <= most, "{cut} in {most}");
            assert!(width(text) > most || cut == text);
        }
    }
    assert_eq!(fitted("session-of-somebody[1234]", 16), "session-of-…234]");
}

#[test]
fn text_is_broken_between_words_and_said_to_go_on() {
    assert_eq!(wrapped("one two three", 7, 9), ["one two", "three"]);
    assert_eq!(wrapped("one two three four", 7, 2), ["one two", "three…"]);
    assert_eq!(wrapped("onetwothree", 4, 9), ["onet", "woth", "ree"]);
    assert_eq!(wrapped("", 4, 9), [""; 0]);
    for most in 1..10 {
        for line in wrapped("名前 がとても長いサービス x", most, 99) {
            assert!(width(&line) <= most.max(2), "{line} in {most}");
        }
    }
}

#[test]
fn times_are_said_in_two_units() {
    let said = |seconds: f64| said(Duration::from_secs_f64(seconds));
    assert_eq!(said(0.0), "0 ms");
    assert_eq!(said(0.9999), "999 ms");
    assert_eq!(said(1.55), "1.5 s");
    assert_eq!(said(59.9), "59 s");
    assert_eq!(said(61.0), "1 min 1 s");
    assert_eq!(said(3_600.0), "1 h");
    assert_eq!(said(86_399.0), "23 h 59 min");
    assert_eq!(said(100_000.0), "1 d 3 h");
    assert_eq!(said(86_400.0 * 400.0), "400 d");
}

#[test]
fn types_are_told_without_their_modules() {
    assert_eq!(without_modules("u8"), "u8");
    assert_eq!(without_modules("my_app::store::Store"), "Store");
    assert_eq!(
        without_modules("a::B<c::D, &'static [e::F]>"),
        "B<D, &'static [F]>"
    );
    assert_eq!(without_modules("<a::B as c::D>::E"), "<B as D>E");
}
