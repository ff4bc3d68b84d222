//! What is refused, with an error that names the field and the value. In paused time.

use std::time::Duration;

use actix::prelude::*;
use resurgam::{
    AddError, Backoff, ReconfigureError, RemoveError, ResetError, RestartError, RestartLimit,
    ServiceContext, ServiceSpec, SpecError, StartContext, StartError, StopError, SupervisorActor,
    SupervisorSpec,
};
use tokio::time;

#[derive(Default)]
struct Quiet;

impl Actor for Quiet {
    type Context = ServiceContext<Self>;
}

fn quiet(name: &str) -> ServiceSpec<Quiet> {
    ServiceSpec::new(name, Quiet::default)
}

#[test]
fn names_are_not_empty_have_no_slash_and_are_unique() {
    let mut root = SupervisorActor::with_defaults("root");
    let first = root.add(quiet("first")).unwrap();
    for name in ["", "a/b", "/"] {
        let refused = root.add(quiet(name)).unwrap_err();
        assert!(
            matches!(&refused, AddError::Spec(SpecError::InvalidName { name: n, .. }) if n == name),
            "{refused}"
        );
    }
    let refused = root.add(quiet("first")).unwrap_err();
    let token = first.token();
    assert_eq!(refused, AddError::duplicate_name("first", token));
}

#[test]
fn nonsense_in_the_spec_of_a_service_is_refused() {
    let second = Duration::from_secs(1);
    let specs = [
        ("start_timeout", quiet("a").start_timeout(Duration::ZERO)),
        (
            "factor",
            quiet("b").backoff(Backoff::exponential(second, second).factor(0.5)),
        ),
        (
            "jitter",
            quiet("c").backoff(Backoff::constant(second).jitter(-1.0)),
        ),
        (
            "within",
            quiet("d").limit(RestartLimit::window(3, Duration::ZERO).give_up()),
        ),
        (
            "threshold",
            quiet("e").limit(RestartLimit::decay(second, f64::NAN, second).give_up()),
        ),
        ("max", quiet("g").limit(RestartLimit::window(0, second))),
        ("significant", quiet("f").significant()),
    ];
    let mut root = SupervisorActor::with_defaults("root");
    for (field, spec) in specs {
        let refused = root.add(spec).unwrap_err();
        let text = refused.to_string();
        assert!(
            matches!(refused, AddError::Spec(SpecError::InvalidValue { .. })),
            "{text}"
        );
        assert!(text.contains(field), "{field}: {text}");
    }
}

#[actix::test]
async fn nonsense_in_the_spec_of_a_supervisor_is_refused_at_its_start() {
    time::pause();
    let second = Duration::from_secs(1);
    let limits = [
        (
            "half_life",
            RestartLimit::decay(Duration::ZERO, 5.0, second),
        ),
        ("threshold", RestartLimit::decay(second, -1.0, second)),
        (
            "jitter",
            RestartLimit::decay(second, 5.0, second).jitter(f64::INFINITY),
        ),
        ("within", RestartLimit::window(1, Duration::ZERO)),
        ("max", RestartLimit::window(0, second)),
    ];
    for (field, limit) in limits {
        let spec = SupervisorSpec::default().limit(limit);
        let refused = SupervisorActor::new("root", spec)
            .start()
            .await
            .unwrap_err();
        assert!(matches!(refused, StartError::Refused(_)), "{refused}");
        assert!(refused.to_string().contains(field), "{field}: {refused}");
    }
    let spec = SupervisorSpec::default().limit(RestartLimit::default().give_up());
    let refused = SupervisorActor::new("root", spec)
        .start()
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("give_up"), "{refused}");
    let refused = SupervisorActor::with_defaults("a/b")
        .start()
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("a/b"), "{refused}");
}

#[test]
fn start_outside_of_an_actix_system_is_an_error() {
    let start = SupervisorActor::with_defaults("root").start();
    let refused = futures::executor::block_on(start).unwrap_err();
    assert!(matches!(refused, StartError::NoSystem), "{refused}");
}

#[actix::test]
async fn refused_change_of_a_running_supervisor_changes_nothing() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let spec = SupervisorSpec::default().limit(RestartLimit::default().give_up());
    let refused = root.reconfigure(spec).await.unwrap_err();
    assert!(matches!(refused, ReconfigureError::Spec(_)), "{refused}");
    root.add_and_wait(quiet("quiet")).await.unwrap();
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn supervisor_whose_spec_makes_no_sense_is_refused_when_it_is_added() {
    time::pause();
    let second = Duration::from_secs(1);
    let specs = [
        (
            SupervisorSpec::default().limit(RestartLimit::default().give_up()),
            ("limit", "give_up"),
        ),
        (
            SupervisorSpec::default().limit(RestartLimit::window(1, Duration::ZERO)),
            ("limit.within", "0ns"),
        ),
        (
            SupervisorSpec::default().limit(RestartLimit::window(0, second)),
            ("limit.max", "0"),
        ),
        (
            SupervisorSpec::default().limit(RestartLimit::window(1, second).jitter(0.5).escalate()),
            ("limit.jitter", "0.5"),
        ),
        (
            SupervisorSpec::default().more_important(|_, _| true),
            ("more_important", "a function"),
        ),
    ];
    let root = SupervisorActor::with_defaults("root");
    let root = root.start().await.unwrap();
    for (spec, (field, value)) in specs {
        let nested = || {
            let below = SupervisorActor::new("below", spec.clone());
            ServiceSpec::supervisor(below)
        };
        let names = |refused: &AddError| {
            let AddError::Spec(SpecError::InvalidValue {
                field: f, value: v, ..
            }) = refused
            else {
                panic!("{refused}");
            };
            assert_eq!((*f, &**v), (field, value));
        };
        names(&root.add(nested()).await.unwrap_err());
        match root.add_and_wait(nested()).await.unwrap_err() {
            StartError::Refused(refused) => names(&refused),
            other => panic!("{other}"),
        }
        names(
            &SupervisorActor::with_defaults("other")
                .add(nested())
                .unwrap_err(),
        );
    }
    assert!(root.services().await.unwrap().is_empty());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn start_function_is_refused_by_a_supervisor_that_runs() {
    time::pause();
    let root = SupervisorActor::with_defaults("root");
    let root = root.start().await.unwrap();
    let spec = SupervisorSpec::default().on_start(|_| Ok::<_, AddError>(()));
    let refused = root.reconfigure(spec).await.unwrap_err();
    assert!(
        matches!(
            &refused,
            ReconfigureError::Spec(SpecError::InvalidValue { field: "on_start", value, .. })
                if value == "a function"
        ),
        "{refused}"
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn operation_on_a_token_of_another_supervisor_is_a_typed_error() {
    time::pause();
    let one = SupervisorActor::with_defaults("one").start().await.unwrap();
    let two = SupervisorActor::with_defaults("two").start().await.unwrap();
    let token = one.add(quiet("quiet")).await.unwrap().token();
    assert_eq!(
        two.remove(token).await,
        Err(RemoveError::wrong_supervisor(token))
    );
    assert_eq!(
        two.stop(token).await,
        Err(StopError::wrong_supervisor(token))
    );
    assert_eq!(
        two.restart(token).await,
        Err(RestartError::wrong_supervisor(token))
    );
    assert_eq!(
        two.reset(token).await,
        Err(ResetError::wrong_supervisor(token))
    );
    one.shutdown().await.unwrap();
    two.shutdown().await.unwrap();
}

#[actix::test]
async fn operation_on_a_supervisor_that_is_gone_is_a_typed_error() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let token = root.add(quiet("quiet")).await.unwrap().token();
    let first = root.shutdown().await.unwrap();
    assert_eq!(root.shutdown().await.unwrap(), first);
    assert_eq!(root.shutdown_within(Duration::ZERO).await.unwrap(), first);
    assert_eq!(
        root.add(quiet("new")).await.unwrap_err(),
        AddError::SupervisorGone
    );
    assert!(matches!(
        root.add_and_wait(quiet("new")).await.unwrap_err(),
        StartError::SupervisorGone
    ));
    assert_eq!(root.remove(token).await, Err(RemoveError::SupervisorGone));
    assert_eq!(root.stop(token).await, Err(StopError::SupervisorGone));
    assert_eq!(root.restart(token).await, Err(RestartError::SupervisorGone));
    assert_eq!(root.reset(token).await, Err(ResetError::SupervisorGone));
    assert!(root.counts().await.is_err());
    assert!(root.report().await.is_err());
    assert!(root.services().await.is_err());
    assert!(root.join().await.is_ok());
}

/// Whatever is in a text of a user's, an error that names it is one line, which is read from left to right.
fn is_one_line(text: &str) -> bool {
    let turns = ['\u{61c}', '\u{200f}', '\u{202e}', '\u{2067}'];
    !text.contains(char::is_control)
        && !text.contains(['\u{2028}', '\u{2029}'])
        && !text.contains(turns)
}

/// What is asked for is not checked as a name is: nobody has it.
#[actix::test]
async fn errors_of_requests_print_what_was_asked_for_in_one_line() {
    time::pause();
    let root = SupervisorActor::with_defaults("root");
    let root = root.start().await.unwrap();
    for odd in ["a\nb", "root/a\nb: panicked", "root/\u{202e}a", "\u{2028}"] {
        let errors = [
            root.remove(odd).await.unwrap_err().to_string(),
            root.stop(odd).await.unwrap_err().to_string(),
            root.restart(odd).await.unwrap_err().to_string(),
            root.reset(odd).await.unwrap_err().to_string(),
            root.lookup::<Quiet>(odd).await.unwrap_err().to_string(),
            root.when_ready::<Quiet>(odd).await.unwrap_err().to_string(),
        ];
        for error in errors {
            assert!(is_one_line(&error) && error.contains('\\'), "{error}");
        }
    }
    let asks = ServiceSpec::try_new("asks", |cx: &StartContext| {
        cx.get::<Quiet>("a\nb").map(|_| Quiet)
    });
    let error = root.add_and_wait(asks).await.unwrap_err();
    assert!(is_one_line(&error.to_string()), "{error}");
    root.shutdown().await.unwrap();
}

/// A line feed in a name would let it write a line of its own into every log that it is printed to.
#[actix::test]
async fn name_with_a_control_character_or_of_endless_length_is_refused_wherever_it_is_given() {
    let endless = "x".repeat(256);
    let names = [
        "a\nroot/b: panicked",
        "a\u{7f}",
        // Lines as well, and what shows the rest of a line backwards.
        "a\u{2028}root/b: panicked",
        "a\u{2029}b",
        "a\u{202e}b",
        "a\u{2067}b",
        "a\u{200f}b",
        "a\u{61c}b",
        &endless,
    ];
    for name in names {
        let invalid = |error: &AddError| {
            let AddError::Spec(SpecError::InvalidName { name: given, .. }) = error else {
                panic!("{error:?}");
            };
            assert_eq!(given, name);
            assert!(is_one_line(&error.to_string()), "{error}");
        };
        let mut root = SupervisorActor::with_defaults("root");
        invalid(&root.add(quiet(name)).unwrap_err());
        invalid(&root.add(quiet("b").requires(name)).unwrap_err());
        invalid(&root.add(quiet("b").binds_to(name)).unwrap_err());
        invalid(&root.add(quiet("b").requires_completed(name)).unwrap_err());
        invalid(&root.add(quiet(name).numbered()).unwrap_err());
        let path = format!("root/{name}");
        let refused = root.add(quiet("b").requires(&*path)).unwrap_err();
        assert!(is_one_line(&refused.to_string()), "{refused}");
        let refused = SupervisorActor::with_defaults(name).start().await;
        let Err(StartError::Refused(refused)) = refused else {
            panic!("{refused:?}");
        };
        invalid(&refused);
    }
}
