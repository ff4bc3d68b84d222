//! Services that wait for others elsewhere in the tree.

use super::*;

/// Who asks, and what it is told.
struct Asker {
    link: Arc<dyn AnyLink>,
    parent: Arc<Parent>,
    notices: tokio::sync::mpsc::UnboundedReceiver<crate::service::Notice>,
    tickets: u64,
}

impl Asker {
    fn new(registry: &mut RegistryActor, path: &str) -> Self {
        let supervisor = SupervisorId::issue();
        let link = link(supervisor, 0, path);
        registry.register(token(&link), [Arc::clone(&link)]);
        let (parent, notices) = Parent::new();
        Self {
            link,
            parent: Arc::new(parent),
            notices,
            tickets: 0,
        }
    }

    fn ask(&mut self, registry: &mut RegistryActor, paths: &[&str], needed: bool) {
        self.tickets += 1;
        registry.find_all(Find {
            token: token(&self.link),
            path: Arc::clone(self.link.core().path()),
            ticket: self.tickets,
            paths: paths.iter().map(|path| Arc::from(*path)).collect(),
            needed,
            parent: Arc::clone(&self.parent),
        });
    }

    /// What it was told since the last call.
    fn told(&mut self) -> Vec<String> {
        let told = iter::from_fn(|| self.notices.try_recv().ok());
        told.map(|notice| match notice.kind {
            NoticeKind::Found { ticket } => format!("found {ticket}"),
            NoticeKind::NotFound { ticket, on, why } => format!("{on} {why:?} {ticket}"),
            NoticeKind::Ring { members, .. } => format!("ring {}", members.join(" ")),
            kind => format!("{kind:?}"),
        })
        .collect()
    }
}

/// A service, the path that it requires, and whether its supervisor needs it.
type Asked = (&'static str, &'static str, bool);

fn is_empty(registry: &RegistryActor) -> bool {
    registry.finding.is_empty()
}

#[test]
fn who_waits_is_told_what_is_not_there_and_once_when_all_is() {
    let mut registry = RegistryActor::new();
    let root = SupervisorId::issue();
    let (a, b) = (link(root, 0, "root/a"), link(root, 1, "root/b"));
    registry.register(token(&a), [Arc::clone(&a)]);
    let mut asker = Asker::new(&mut registry, "root/x/y");
    asker.ask(&mut registry, &["root/a", "root/b"], true);
    assert_eq!(asker.told(), ["root/a NotReady 1"]);
    // Nothing is told anew that has not changed.
    for state in [ServiceState::Starting, ServiceState::BackingOff] {
        set(&a, state);
        registry.changed(token(&a));
    }
    assert_eq!(asker.told(), [""; 0]);
    set(&a, ServiceState::Ready);
    registry.changed(token(&a));
    assert_eq!(asker.told(), ["root/b Missing 1"]);
    registry.register(token(&a), [Arc::clone(&b)]);
    assert_eq!(asker.told(), ["root/b NotReady 1"]);
    // It goes away before the other one is there.
    registry.forget(token(&a));
    assert_eq!(asker.told(), ["root/a Missing 1"]);
    set(&b, ServiceState::Ready);
    registry.changed(token(&b));
    let again = link(root, 0, "root/a");
    set(&again, ServiceState::Ready);
    registry.register(token(&b), [Arc::clone(&again)]);
    assert_eq!(asker.told(), ["found 1"]);
    assert!(is_empty(&registry));
    // What was found is there for the factory, by path.
    let found = asker
        .link
        .core()
        .requirement("root/a")
        .map(|link| token(&link));
    assert_eq!(found, Some(token(&again)));
}

#[test]
fn who_waits_no_longer_leaves_nothing_behind() {
    let mut registry = RegistryActor::new();
    let mut asker = Asker::new(&mut registry, "root/x/y");
    asker.ask(&mut registry, &["root/a", "root/a", "root/b"], true);
    registry.finding.remove(token(&asker.link));
    assert!(is_empty(&registry));
    // Another question takes the place of the one before.
    asker.ask(&mut registry, &["root/a"], true);
    asker.ask(&mut registry, &["root/b"], true);
    let a = link(SupervisorId::issue(), 0, "root/a");
    registry.register(token(&a), [Arc::clone(&a)]);
    assert_eq!(
        asker.told(),
        ["root/a Missing 1", "root/a Missing 2", "root/b Missing 3"]
    );
    // Nor does one that is forgotten.
    registry.forget(token(&asker.link));
    assert!(is_empty(&registry));
}

#[test]
fn ring_is_told_to_the_last_one_that_closes_it_and_only_if_nobody_can_go_on() {
    // Who asks, and whether that makes a ring.
    let cases: [(&[Asked], bool); 6] = [
        (
            &[
                ("root/a/x", "root/b/y", true),
                ("root/b/y", "root/a/x", true),
            ],
            true,
        ),
        (
            &[("root/a/x", "root/b", true), ("root/b/y", "root/a", true)],
            true,
        ),
        (&[("root/a/x", "root/a", true)], true),
        (&[("root/a/x", "root/a/x", true)], true),
        // The supervisor of the first is ready without it.
        (
            &[
                ("root/a/x", "root/b/y", false),
                ("root/b/y", "root/a", true),
            ],
            false,
        ),
        (
            &[("root/a/x", "root/b/y", true), ("root/b/y", "root/c", true)],
            false,
        ),
    ];
    for (services, expected) in cases {
        let mut registry = RegistryActor::new();
        let mut told = Vec::new();
        let mut askers = Vec::new();
        for (path, required, needed) in services {
            let mut asker = Asker::new(&mut registry, path);
            asker.ask(&mut registry, &[required], *needed);
            told.extend(asker.told());
            askers.push(asker);
        }
        let ring = told.iter().any(|told| told.starts_with("ring"));
        assert_eq!(ring, expected, "{services:?}: {told:?}");
    }
}

/// Services that ask for nothing, each with the siblings that it requires.
fn siblings(registry: &mut RegistryActor, all: &[(&str, &[&str])]) -> Vec<Arc<dyn AnyLink>> {
    let of = |(path, required): &(&str, &[&str])| {
        let service = link(SupervisorId::issue(), 0, path);
        let required = required.iter().map(|name| Arc::from(*name));
        service.core().set_required(required.collect());
        registry.register(token(&service), [Arc::clone(&service)]);
        service
    };
    all.iter().map(of).collect()
}

#[test]
fn ring_goes_through_siblings_that_wait_for_each_other_and_names_them() {
    // Which siblings there are, who asks, and the ring.
    type Case = (
        &'static [(&'static str, &'static [&'static str])],
        &'static [Asked],
        &'static [&'static str],
    );
    let cases: [Case; 5] = [
        (
            &[("root/x/c", &["a"]), ("root/x/b", &["c"])],
            &[
                ("root/x/a", "root/y/p", true),
                ("root/y/p", "root/x/b", true),
            ],
            &["ring root/y/p root/x/b root/x/c root/x/a"],
        ),
        // Under one supervisor, the one by its name and the other by its path.
        (
            &[("root/b", &["a"])],
            &[("root/a", "root/b", true)],
            &["ring root/a root/b"],
        ),
        // The supervisor above has not begun to start, and what is below it may not even be registered.
        (
            &[("root/y", &["x"])],
            &[("root/x/a", "root/y/p", true)],
            &["ring root/x/a root/y/p"],
        ),
        (
            &[("root/y", &["z"]), ("root/z", &["x"])],
            &[("root/x/a", "root/y", true)],
            &["ring root/x/a root/y root/z"],
        ),
        // The last one is none on which the start of its supervisor depends: so the first is told as well.
        (
            &[],
            &[
                ("root/x/a", "root/y/p", true),
                ("root/y/p", "root/x/a", false),
            ],
            &["ring root/x/a root/y/p", "ring root/y/p root/x/a"],
        ),
    ];
    for (services, asks, ring) in cases {
        let mut registry = RegistryActor::new();
        let _registered = siblings(&mut registry, services);
        let mut askers: Vec<_> = asks
            .iter()
            .map(|(path, _, _)| Asker::new(&mut registry, path))
            .collect();
        for (asker, (_, required, needed)) in askers.iter_mut().zip(asks) {
            asker.ask(&mut registry, &[required], *needed);
        }
        let told = askers.iter_mut().flat_map(Asker::told);
        let rings: Vec<_> = told.filter(|told| told.starts_with("ring")).collect();
        assert_eq!(rings, ring);
    }
}

#[test]
fn sibling_that_is_there_or_is_being_started_is_no_part_of_a_ring() {
    for state in [ServiceState::Ready, ServiceState::Starting] {
        // It had what it requires when it was begun.
        let mut registry = RegistryActor::new();
        let registered = siblings(&mut registry, &[("root/b", &["a"])]);
        set(&registered[0], state);
        let mut asker = Asker::new(&mut registry, "root/a");
        asker.ask(&mut registry, &["root/b"], true);
        let told = asker.told();
        assert!(
            !told.iter().any(|told| told.starts_with("ring")),
            "{told:?}"
        );
    }
}

#[test]
fn what_is_there_leads_no_further() {
    let no_ring = |services: &[(&str, &[&str])], ready: &[&str], asks: &[(&str, &[&str])]| {
        let mut registry = RegistryActor::new();
        for service in siblings(&mut registry, services) {
            if ready.contains(&&**service.core().path()) {
                set(&service, ServiceState::Ready);
            }
        }
        for (path, required) in asks {
            let mut asker = Asker::new(&mut registry, path);
            asker.ask(&mut registry, required, true);
            let told = asker.told();
            assert!(
                !told.iter().any(|told| told.starts_with("ring")),
                "{told:?}"
            );
        }
    };
    no_ring(
        &[("root/x", &[])],
        &["root/x"],
        &[
            ("root/y/p", &["root/none", "root/x"]),
            ("root/x/a", &["root/y/p"]),
        ],
    );
    no_ring(
        &[("root/x", &[]), ("root/b", &["x"])],
        &["root/x"],
        &[("root/x/a", &["root/b"])],
    );
}
