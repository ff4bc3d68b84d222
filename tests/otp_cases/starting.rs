//! How supervisors and services start, and what is refused.

use std::time::Duration;

use resurgam::{
    AddError, AutoShutdown, Backoff, EventKind, ExitReason, KillCause, LookupError, Readiness,
    RestartError, RestartLimit, RestartType, ServiceSpec, ServiceState, Shutdown, SpecError,
    StartError, SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

use crate::support::{
    Begin, End, Fault, Generation, Journal, Probe, Script, WhenAsked, ended, idle, journal, ms,
    probe, root, root_with, secs, states, unlimited, until, with_probes,
};

#[actix::test]
async fn supervisor_without_services_starts_and_ends_as_it_is_asked() {
    time::pause();
    let root = root_with(SupervisorSpec::default()).await;
    let mut events = root.events();
    assert!(root.shutdown().await.unwrap().is_clean());
    let last = events.next().await.unwrap();
    assert!(matches!(
        last.kind(),
        EventKind::SupervisorStopped {
            reason: ExitReason::Shutdown,
            ..
        }
    ));
    assert!(events.next().await.is_none());
    assert!(ended(&root).await.is_ok());
}

#[actix::test]
async fn added_service_that_declines_its_start_is_forgotten_whatever_its_type() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    for restart in [
        RestartType::Permanent,
        RestartType::Transient,
        RestartType::Temporary,
    ] {
        let declines = Script::new("declines", &journal).begins(|_| Begin::Declines);
        root.add(declines.spec().restart(restart)).await.unwrap();
        idle().await;
        assert_eq!(states(&root).await, [], "{restart}");
        assert_eq!(log.take(), ["make declines"], "{restart}");
    }
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn service_of_the_start_that_declines_is_kept_as_stopped_and_the_others_run() {
    time::pause();
    let (journal, mut log) = journal();
    for restart in [RestartType::Permanent, RestartType::Temporary] {
        let mut root = SupervisorActor::new("root", unlimited());
        let declines = Script::new("declines", &journal).begins(|_| Begin::Declines);
        root.add(declines.spec().restart(restart)).unwrap();
        root.add(probe("sibling", &journal)).unwrap();
        let root = root.start().await.unwrap();
        let counts = root.counts().await.unwrap();
        assert_eq!((counts.services, counts.active), (2, 1), "{restart}");
        assert_eq!(
            states(&root).await[0],
            ("declines".to_owned(), ServiceState::Stopped)
        );
        assert_eq!(
            log.take(),
            ["make declines", "make sibling", "start sibling"]
        );
        root.shutdown().await.unwrap();
        log.take();
    }
}

#[actix::test]
async fn start_that_fails_is_the_answer_to_who_waits_for_it_and_nothing_is_kept() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    for begin in [Begin::Fails, Begin::Panics, Begin::Stops, Begin::Declines] {
        let spec = Script::new("child", &journal).begins(move |_| begin).spec();
        let error = root.add_and_wait(spec).await.unwrap_err();
        assert_eq!(states(&root).await, [], "{begin:?}");
        if let StartError::Declined { path, .. } = &error {
            assert!(matches!(begin, Begin::Stops | Begin::Declines), "{begin:?}");
            assert_eq!(&**path, "root/child", "{begin:?}");
            continue;
        }
        let StartError::Failed { path, reason, .. } = &error else {
            panic!("{begin:?}: {error:?}");
        };
        assert_eq!(&**path, "root/child", "{begin:?}");
        let text = format!("{reason:#}");
        match begin {
            Begin::Fails => assert_eq!(text, "failed: failed on purpose"),
            Begin::Panics => assert!(text.contains("panicked in the factory"), "{text}"),
            _ => panic!("{begin:?}: {text}"),
        }
    }
    assert!(root.add_and_wait(probe("child", &journal)).await.is_ok());
}

#[actix::test]
async fn restart_on_request_that_fails_says_so_and_the_service_stays_stopped() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    for bad in [Begin::Fails, Begin::Panics] {
        let begins = move |generation| match generation {
            1 => bad,
            _ => Begin::Works,
        };
        let spec = Script::new("child", &journal).begins(begins).spec();
        let child = root.add_and_wait(spec).await.unwrap();
        root.stop(child.token()).await.unwrap();
        let error = root.restart(child.token()).await.unwrap_err();
        assert!(matches!(error, RestartError::Failed { .. }), "{error:?}");
        idle().await;
        assert_eq!(states(&root).await[0].1, ServiceState::Stopped);
        assert_eq!(log.take_only("make").len(), 2, "not tried again");
        root.restart(child.token()).await.unwrap();
        assert_eq!(child.send(Generation).await, Ok(2));
        root.remove(child.token()).await.unwrap();
        log.take();
    }
}

#[actix::test]
async fn spec_of_a_name_and_a_factory_is_permanent_and_has_ten_seconds_to_stop() {
    time::pause();
    let (journal, _log) = journal();
    let root = root_with(SupervisorSpec::default()).await;
    let spec = Script::new("child", &journal)
        .when_asked(WhenAsked::Ignores)
        .spec();
    let child = root.add(spec).await.unwrap();
    child.send(End::Normally).await.unwrap();
    assert_eq!(child.send(Generation).await, Ok(1));

    let asked = time::Instant::now();
    let reason = root.remove(child.token()).await.unwrap();
    assert_eq!(reason, ExitReason::Killed(KillCause::StopTimeout));
    assert_eq!(asked.elapsed().as_secs(), 10);
    let unknown = root.lookup::<Probe>(child.token()).await;
    assert_eq!(unknown, Err(LookupError::unknown_token(child.token())));
}

#[actix::test]
async fn supervisor_as_a_service_has_unlimited_time_to_stop() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let mut tier = SupervisorActor::new("tier", SupervisorSpec::default());
    let slow = Script::new("slow", &journal)
        .when_asked(WhenAsked::Takes(secs(3600)))
        .spec();
    tier.add(slow.shutdown(Shutdown::Infinity)).unwrap();
    let tier = root
        .add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let asked = time::Instant::now();
    let reason = root.remove(tier.token()).await.unwrap();
    assert_eq!(reason, ExitReason::Shutdown);
    assert_eq!(asked.elapsed().as_secs(), 3600);
}

type Spoil = fn(ServiceSpec<Probe>) -> ServiceSpec<Probe>;

/// The refusal of a spec by each of the three ways to add a service.
async fn refusals(
    root: &SupervisorRef,
    spec: impl Fn() -> ServiceSpec<Probe>,
) -> [Result<(), AddError>; 3] {
    let mut fresh = SupervisorActor::new("root", SupervisorSpec::default());
    let waited = match root.add_and_wait(spec()).await {
        Err(StartError::Refused(error)) => Err(error),
        other => panic!("{other:?}"),
    };
    [
        fresh.add(spec()).map(drop),
        root.add(spec()).await.map(drop),
        waited,
    ]
}

#[actix::test]
async fn name_that_is_empty_or_has_a_slash_is_refused_wherever_it_is_given() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    for name in ["", "a/b", "/"] {
        for refusal in refusals(&root, || probe(name, &journal)).await {
            let Err(AddError::Spec(SpecError::InvalidName { name: found, .. })) = refusal else {
                panic!("{name}: {refusal:?}");
            };
            assert_eq!(found, name);
        }
    }
    assert_eq!(states(&root).await, []);
    assert!(log.take().is_empty());
}

#[actix::test]
async fn value_that_makes_no_sense_is_refused_with_its_field_wherever_it_is_given() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    let bad: [(&str, Spoil); 6] = [
        ("start_timeout", |spec| spec.start_timeout(Duration::ZERO)),
        ("backoff.factor", |spec| {
            spec.backoff(Backoff::constant(secs(1)).factor(0.5))
        }),
        ("backoff.jitter", |spec| {
            spec.backoff(Backoff::constant(secs(1)).jitter(f64::NAN))
        }),
        ("backoff.max", |spec| {
            spec.backoff(Backoff::exponential(secs(2), secs(1)))
        }),
        ("limit.within", |spec| {
            spec.limit(RestartLimit::window(1, Duration::ZERO).give_up())
        }),
        ("significant", ServiceSpec::significant),
    ];
    for (expected, spoil) in bad {
        for refusal in refusals(&root, || spoil(probe("child", &journal))).await {
            let Err(AddError::Spec(SpecError::InvalidValue { field, .. })) = refusal else {
                panic!("{expected}: {refusal:?}");
            };
            assert_eq!(field, expected);
        }
    }
    assert_eq!(states(&root).await, []);
    assert!(log.take().is_empty());
}

#[actix::test]
async fn second_service_of_a_name_is_refused_with_the_name_and_whose_it_is() {
    time::pause();
    let (journal, mut log) = journal();
    let mut actor = SupervisorActor::with_defaults("root");
    let first = actor.add(probe("child", &journal)).unwrap();
    let expected = AddError::duplicate_name("child", first.token());
    assert_eq!(actor.add(probe("child", &journal)).unwrap_err(), expected);
    let root = actor.start().await.unwrap();
    assert_eq!(
        root.add(probe("child", &journal)).await.unwrap_err(),
        expected
    );
    let waited = root.add_and_wait(probe("child", &journal)).await;
    assert!(matches!(waited, Err(StartError::Refused(error)) if error == expected));
    assert_eq!(log.take_only("make"), ["make child"]);
}

#[actix::test]
async fn significant_service_is_taken_if_it_can_end_and_its_supervisor_cares() {
    time::pause();
    let (journal, _log) = journal();
    for auto in [
        AutoShutdown::Never,
        AutoShutdown::AnySignificant,
        AutoShutdown::AllSignificant,
    ] {
        for restart in [
            RestartType::Permanent,
            RestartType::Transient,
            RestartType::Temporary,
        ] {
            let taken = auto != AutoShutdown::Never && restart != RestartType::Permanent;
            let spec = || probe("child", &journal).restart(restart).significant();
            let rules = SupervisorSpec::default().auto_shutdown(auto);
            let mut before = SupervisorActor::new("root", rules.clone());
            assert_eq!(before.add(spec()).is_ok(), taken, "{auto:?} {restart}");
            let root = root_with(rules).await;
            assert_eq!(root.add(spec()).await.is_ok(), taken, "{auto:?} {restart}");
        }
    }
}

#[actix::test]
async fn supervisor_with_rules_that_make_no_sense_does_not_start() {
    time::pause();
    let decay = |decay, threshold| RestartLimit::decay(decay, threshold, secs(1));
    let window = RestartLimit::window(1, Duration::ZERO);
    let bad = [
        ("limit.within", SupervisorSpec::default().limit(window)),
        (
            "limit.half_life",
            SupervisorSpec::default().limit(decay(Duration::ZERO, 5.0)),
        ),
        (
            "limit.threshold",
            SupervisorSpec::default().limit(decay(secs(1), -1.0)),
        ),
        (
            "limit.threshold",
            SupervisorSpec::default().limit(decay(secs(1), f64::NAN)),
        ),
        (
            "limit.jitter",
            SupervisorSpec::default().limit(decay(secs(1), 5.0).jitter(-0.1)),
        ),
        (
            "limit",
            SupervisorSpec::default().limit(RestartLimit::default().give_up()),
        ),
    ];
    let (journal, mut log) = journal();
    let root = root().await;
    for (expected, spec) in bad {
        let fresh = || {
            let mut fresh = SupervisorActor::new("bad", spec.clone());
            fresh.add(probe("child", &journal)).unwrap();
            fresh
        };
        let Err(StartError::Refused(AddError::Spec(SpecError::InvalidValue { field, .. }))) =
            fresh().start().await
        else {
            panic!("{expected} was taken");
        };
        assert_eq!(field, expected);
        let below = root.add_and_wait(ServiceSpec::supervisor(fresh())).await;
        let text = format!("{:?}", below.unwrap_err());
        assert!(text.contains(expected), "{text}");
        assert_eq!(states(&root).await, []);
    }
    assert!(log.take().is_empty());
}

/// A supervisor in a supervisor, in which a service panics while it is made.
fn tree_with_a_panic(journal: &Journal) -> SupervisorActor {
    let mut inner = SupervisorActor::new("inner", unlimited());
    let bad = Script::new("bad", journal).begins(|_| Begin::Panics);
    inner.add(bad.spec()).unwrap();
    let mut outer = SupervisorActor::new("outer", unlimited());
    outer.add(ServiceSpec::supervisor(inner)).unwrap();
    outer
}

fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    let lines: Vec<_> = sources.map(ToString::to_string).collect();
    lines.join("; ")
}

#[actix::test]
async fn panic_at_the_start_of_a_tree_comes_up_through_all_levels_with_the_path() {
    time::pause();
    let (journal, _log) = journal();
    let text = chain(&tree_with_a_panic(&journal).start().await.unwrap_err());
    assert!(text.contains("outer/inner/bad"), "{text}");
    assert!(text.contains("panicked in the factory"), "{text}");

    let root = root().await;
    let below = ServiceSpec::supervisor(tree_with_a_panic(&journal));
    let text = chain(&root.add_and_wait(below).await.unwrap_err());
    assert!(text.contains("root/outer/inner/bad"), "{text}");
    assert!(text.contains("panicked in the factory"), "{text}");
    assert_eq!(states(&root).await, []);
}

#[actix::test]
async fn third_of_five_that_fails_to_start_stops_the_two_before_in_reverse() {
    time::pause();
    let (journal, mut log) = journal();
    let mut root = SupervisorActor::new("root", unlimited());
    for name in ["a", "b", "c", "d", "e"] {
        let begin = if name == "c" {
            Begin::Fails
        } else {
            Begin::Works
        };
        let script = Script::new(name, &journal).begins(move |_| begin);
        root.add(script.spec()).unwrap();
    }
    let error = root.start().await.unwrap_err();
    let StartError::Failed { path, reason, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(&*path, "root/c");
    assert_eq!(reason.to_string(), "failed: failed on purpose");
    let mut lines = log.take();
    lines.retain(|line| !line.starts_with("stopping") && !line.starts_with("drop"));
    assert_eq!(
        lines,
        [
            "make a", "start a", "make b", "start b", "make c", "stop b", "stop a"
        ]
    );
}

#[actix::test]
async fn services_start_in_the_order_in_which_they_were_given() {
    time::pause();
    let (journal, mut log) = journal();
    let names = ["m", "z", "a", "10", "9"];
    let (root, _probes) = with_probes(unlimited(), &names, &journal).await;
    assert_eq!(
        log.take_only("start"),
        ["start m", "start z", "start a", "start 10", "start 9"]
    );
    let listed: Vec<_> = states(&root).await.into_iter().map(|(n, _)| n).collect();
    assert_eq!(listed, names);
}

#[actix::test]
async fn start_that_overruns_its_time_is_killed_and_the_reason_is_told() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let mut events = root.events();
    let spec = probe("child", &journal)
        .readiness(Readiness::Explicit)
        .start_timeout(ms(50));
    let error = root.add_and_wait(spec).await.unwrap_err();
    let expected = ExitReason::Killed(KillCause::StartTimeout);
    assert!(matches!(error, StartError::Failed { reason, .. } if reason == expected));
    let seen = until(&mut events, |event| {
        matches!(event.kind(), EventKind::ServiceRemoved { .. })
    })
    .await;
    assert!(seen.iter().any(
        |event| matches!(event.kind(), EventKind::StartTimedOut { after, .. } if *after == ms(50))
    ));
}

#[actix::test]
async fn fault_that_is_repaired_lets_the_same_name_start_later() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let fault = Fault::default();
    let spec = || {
        let fault = fault.clone();
        let script = Script::new("child", &journal);
        script.begins(move |_| fault.begin()).spec()
    };
    fault.set();
    assert!(root.add_and_wait(spec()).await.is_err());
    fault.repair();
    assert!(root.add_and_wait(spec()).await.is_ok());
}
