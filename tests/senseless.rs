//! Every setting that makes no sense, alone or beside another one, is refused with its field and its value, wherever it is given. In paused
//! time.
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use actix::prelude::*;
use resurgam::{
    AddError, Backoff, Directive, JoinError, ReconfigureError, RestartLimit, ServiceContext,
    ServiceSpec, Shutdown, SpecError, StartError, SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

#[derive(Default)]
struct Quiet;

impl Actor for Quiet {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Fail;

impl Handler<Fail> for Quiet {
    type Result = ();
    fn handle(&mut self, _: Fail, ctx: &mut Self::Context) {
        ctx.fail("on purpose");
    }
}

fn quiet(name: &str) -> ServiceSpec<Quiet> {
    ServiceSpec::new(name, Quiet::default)
}

const ZERO: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const MAX: Duration = Duration::MAX;

/// The field and the value that an error names, and what is refused with it.
type Senseless<T> = (&'static str, &'static str, T);

fn backoffs() -> Vec<Senseless<Backoff>> {
    let grows = || Backoff::exponential(SECOND, MINUTE);
    let constant = || Backoff::constant(SECOND);
    vec![
        ("backoff.base", "0ns", Backoff::exponential(ZERO, SECOND)),
        ("backoff.base", "0ns", Backoff::none().jitter(0.5)),
        ("backoff.base", "0ns", Backoff::none().factor(3.0)),
        ("backoff.base", "0ns", Backoff::none().reset_after(SECOND)),
        ("backoff.max", "1s", Backoff::exponential(MINUTE, SECOND)),
        ("backoff.max", "0ns", Backoff::exponential(MINUTE, ZERO)),
        ("backoff.factor", "0", grows().factor(0.0)),
        ("backoff.factor", "-2", grows().factor(-2.0)),
        ("backoff.factor", "NaN", grows().factor(f64::NAN)),
        ("backoff.factor", "inf", grows().factor(f64::INFINITY)),
        ("backoff.jitter", "-1", grows().jitter(-1.0)),
        ("backoff.jitter", "NaN", constant().jitter(f64::NAN)),
        ("backoff.jitter", "inf", grows().jitter(f64::INFINITY)),
        ("backoff.reset_after", "0ns", grows().reset_after(ZERO)),
        // It does not grow, so that both would be ignored.
        ("backoff.factor", "2", constant().factor(2.0)),
        ("backoff.reset_after", "60s", constant().reset_after(MINUTE)),
    ]
}

fn limits() -> Vec<Senseless<RestartLimit>> {
    let decay = || RestartLimit::decay(SECOND, 5.0, SECOND);
    let window = || RestartLimit::window(3, SECOND);
    let unlimited = RestartLimit::unlimited;
    let threshold = |threshold| RestartLimit::decay(SECOND, threshold, SECOND);
    let long = RestartLimit::decay(SECOND, 5.0, MINUTE);
    vec![
        (
            "limit.half_life",
            "0ns",
            RestartLimit::decay(ZERO, 5.0, SECOND),
        ),
        ("limit.threshold", "-1", threshold(-1.0)),
        ("limit.threshold", "NaN", threshold(f64::NAN)),
        ("limit.within", "0ns", RestartLimit::window(3, ZERO)),
        ("limit.max", "0", RestartLimit::window(0, SECOND)),
        ("limit.jitter", "-0.5", decay().jitter(-0.5)),
        ("limit.jitter", "NaN", window().jitter(f64::NAN)),
        ("limit.jitter", "inf", window().jitter(f64::INFINITY)),
        ("limit.jitter", "0.5", decay().escalate().jitter(0.5)),
        ("limit.jitter", "0.5", unlimited().jitter(0.5)),
        ("limit.max_pause", "0ns", decay().max_pause(ZERO)),
        (
            "limit.max_pause",
            "60s",
            window().max_pause(MINUTE).escalate(),
        ),
        ("limit.max_pause", "60s", unlimited().max_pause(MINUTE)),
        // No pause would be as long as it says.
        (
            "limit.max_pause",
            "1s",
            window().pause(MINUTE).max_pause(SECOND),
        ),
        (
            "limit.max_pause",
            "1s",
            decay().max_pause(SECOND).pause(MINUTE),
        ),
        ("limit.max_pause", "1s", long.max_pause(SECOND)),
        ("limit", "escalate", unlimited().escalate()),
        ("limit", "pause", unlimited().pause(SECOND)),
    ]
}

fn services() -> Vec<Senseless<ServiceSpec<Quiet>>> {
    let mut specs = vec![
        ("start_timeout", "0ns", quiet("a").start_timeout(ZERO)),
        ("significant", "permanent", quiet("a").significant()),
    ];
    let give_up = |limit: RestartLimit| quiet("a").limit(limit.give_up());
    let window = || RestartLimit::window(3, SECOND);
    specs.extend([
        ("limit.jitter", "0.5", give_up(window().jitter(0.5))),
        (
            "limit.max_pause",
            "60s",
            give_up(window().max_pause(MINUTE)),
        ),
        ("limit", "give_up", give_up(RestartLimit::unlimited())),
    ]);
    // actix would panic.
    #[cfg(target_pointer_width = "64")]
    specs.extend([
        (
            "mailbox_capacity",
            "18446744073709551615",
            quiet("a").mailbox_capacity(usize::MAX),
        ),
        (
            "mailbox_capacity",
            "4611686018427387903",
            quiet("a").mailbox_capacity(usize::MAX >> 2),
        ),
    ]);
    for (field, value, limit) in limits() {
        specs.push((field, value, quiet("a").limit(limit)));
    }
    for (field, value, backoff) in backoffs() {
        specs.push((field, value, quiet("a").backoff(backoff)));
    }
    specs
}

fn supervisors() -> Vec<(&'static str, String, SupervisorSpec)> {
    let spec = SupervisorSpec::default;
    let with = |limit: RestartLimit| spec().limit(limit);
    let escalates = || with(RestartLimit::window(1, SECOND).escalate());
    let unlimited = || with(RestartLimit::unlimited());
    let hasty = |value| spec().each_service(move |each| each.start_timeout(value));
    let mut specs = vec![
        ("max_services", "0".to_owned(), spec().max_services(0)),
        (
            "limit",
            "give_up".to_owned(),
            with(RestartLimit::default().give_up()),
        ),
        (
            "more_important",
            "a function".to_owned(),
            spec().more_important(|_, _| true),
        ),
        // There is no pause after which anything could be spaced.
        (
            "resume_spacing",
            "1s".to_owned(),
            unlimited().resume_spacing(SECOND),
        ),
        (
            "resume_spacing",
            "60s".to_owned(),
            escalates().resume_spacing(MINUTE),
        ),
        (
            "each_service",
            "start_timeout = 0ns".to_owned(),
            hasty(ZERO),
        ),
    ];
    for (field, value, limit) in limits() {
        let each = spec().each_service(|each| each.limit(limit.clone()));
        specs.push(("each_service", format!("{field} = {value}"), each));
        specs.push((field, value.to_owned(), with(limit)));
    }
    for (field, value, backoff) in backoffs() {
        let each = spec().each_service(|each| each.backoff(backoff));
        specs.push(("each_service", format!("{field} = {value}"), each));
    }
    specs
}

/// That it is refused with the field and the value.
fn assert_names(refused: &SpecError, field: &str, value: &str) {
    let SpecError::InvalidValue {
        field: named,
        value: given,
        ..
    } = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!((*named, &**given), (field, value), "{refused}");
}

fn spec_error(refused: &AddError) -> &SpecError {
    match refused {
        AddError::Spec(refused) => refused,
        other => panic!("{other:?}"),
    }
}

async fn running() -> SupervisorRef {
    let root = SupervisorActor::with_defaults("root");
    root.start().await.unwrap()
}

#[actix::test]
async fn senseless_service_is_refused_wherever_it_is_given() {
    time::pause();
    let root = running().await;
    let mut idle = SupervisorActor::with_defaults("idle");
    for (field, value, spec) in services() {
        let refused = root.add(spec).await.unwrap_err();
        assert_names(spec_error(&refused), field, value);
    }
    for (field, value, spec) in services() {
        let refused = root.add_and_wait(spec).await.unwrap_err();
        let StartError::Refused(refused) = refused else {
            panic!("{refused:?}");
        };
        assert_names(spec_error(&refused), field, value);
    }
    for (field, value, spec) in services() {
        let refused = idle.add(spec).unwrap_err();
        assert_names(spec_error(&refused), field, value);
    }
    for (field, value, spec) in services() {
        let mut spec = Some(spec);
        let on_start = SupervisorSpec::default().on_start(move |services| {
            services.add(spec.take().unwrap())?;
            Ok::<_, AddError>(())
        });
        let refused = SupervisorActor::new("other", on_start).start().await;
        let StartError::Failed { reason, .. } = refused.unwrap_err() else {
            panic!("{field}");
        };
        let error = reason.error().unwrap().downcast_ref::<AddError>().unwrap();
        assert_names(spec_error(error), field, value);
    }
    // Nothing is left of any, and the name is free.
    assert!(root.services().await.unwrap().is_empty());
    root.add_and_wait(quiet("a")).await.unwrap();
    assert!(root.shutdown().await.unwrap().is_clean());
    let started = idle.start().await.unwrap();
    assert!(started.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn senseless_supervisor_is_refused_wherever_it_is_given() {
    time::pause();
    let root = running().await;
    for (field, value, spec) in supervisors() {
        let named = || SupervisorActor::new("sub", spec.clone());
        let Err(StartError::Refused(refused)) = named().start().await else {
            panic!("{field}");
        };
        assert_names(spec_error(&refused), field, &value);
        let Err(JoinError::NotStarted {
            error: StartError::Refused(refused),
            ..
        }) = named().serve().await
        else {
            panic!("{field}");
        };
        assert_names(spec_error(&refused), field, &value);
        let refused = root.add_supervisor(named()).await.unwrap_err();
        assert_names(spec_error(&refused), field, &value);
        let refused = root.add(ServiceSpec::supervisor(named())).await;
        assert_names(spec_error(&refused.unwrap_err()), field, &value);
        let refused = root.reconfigure(spec).await.unwrap_err();
        let ReconfigureError::Spec(refused) = refused else {
            panic!("{refused:?}");
        };
        assert_names(&refused, field, &value);
    }
    assert!(root.services().await.unwrap().is_empty());
    assert!(root.shutdown().await.unwrap().is_clean());
}

/// The largest values of each setting that are not refused: whoever says for ever has that, and nothing overflows.
#[actix::test]
async fn largest_values_mean_for_ever() {
    time::pause();
    let wild = || {
        let backoff = Backoff::exponential(Duration::from_nanos(1), MAX);
        backoff.factor(f64::MAX).jitter(f64::MAX).reset_after(MAX)
    };
    let spec = SupervisorSpec::default;
    let decay = RestartLimit::decay(Duration::from_nanos(1), f64::MAX, MAX);
    let specs = [
        spec()
            .shutdown_timeout(MAX)
            .resume_spacing(MAX)
            .bounce_delay(MAX)
            .max_services(usize::MAX),
        spec().limit(RestartLimit::decay(MAX, f64::INFINITY, MAX)),
        spec().limit(RestartLimit::decay(MAX, 0.0, MAX)),
        spec().limit(decay.jitter(f64::MAX).max_pause(MAX)),
        spec().limit(RestartLimit::window(u32::MAX, MAX)),
        spec().limit(RestartLimit::window(1, MAX)),
        spec().limit(RestartLimit::window(0, MAX).pause(MAX).jitter(f64::MAX)),
        spec().each_service(|each| {
            each.shutdown(Shutdown::Timeout(MAX))
                .start_timeout(MAX)
                .backoff(wild())
                .limit(RestartLimit::window(0, MAX).pause(MAX))
        }),
    ];
    for spec in specs {
        let mut root = SupervisorActor::new("root", spec.clone());
        let services = [
            quiet("a")
                .start_timeout(MAX)
                .shutdown(Shutdown::Timeout(MAX))
                .backoff(Backoff::constant(MAX)),
            quiet("b").backoff(wild()),
            quiet("c").limit(RestartLimit::decay(MAX, 0.5, MAX)),
            quiet("d"),
            quiet("e").decide(|_| Directive::RestartAfter(MAX)),
            quiet("f").mailbox_capacity((usize::MAX >> 2) - 1),
        ];
        let services = services.map(|service| root.add(service).unwrap());
        let sub = ServiceSpec::supervisor(SupervisorActor::new("sub", spec.clone()));
        root.add(sub.start_timeout(MAX).shutdown(Shutdown::Timeout(MAX)))
            .unwrap();
        let root = root.start().await.unwrap();
        for _ in 0..3 {
            for service in &services {
                service.do_send(Fail);
            }
            time::sleep(MINUTE).await;
        }
        let _prints = root.report().await.unwrap().to_string();
        root.reconfigure(spec).await.unwrap();
        let report = time::timeout(MINUTE, root.shutdown_within(MAX)).await;
        assert!(report.unwrap().unwrap().is_clean());
    }
}
