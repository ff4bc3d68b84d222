//! What the table of a tree says of the services of a supervisor that does not answer.

use std::{sync::Arc, time::Instant};

use hashbrown::HashMap;

use super::{
    super::clock::Present,
    gather::{Gathering, Level},
    picture::{Own, ServiceReport},
};
use crate::{
    service::{AnyLink, Parent},
    token::ServiceToken,
    tree::{Details, KnownSupervisor, LastSeen, Silent, Tree, clock},
};

/// Fills in what is not known of a supervisor and those below it, which were asked at this time.
pub(super) fn fill_in(
    gathering: &mut Gathering,
    tree: &Tree,
    top: &Arc<dyn AnyLink>,
    asked: Instant,
) {
    let top_token = top.core().token();
    loop {
        let mut unknown = Vec::new();
        for token in gathering.unknown(top_token) {
            match tree.supervisors.get(token) {
                Some(known) => unknown.push(known),
                // It was never started, and nothing of what is below it can be seen.
                None if token == top_token => {
                    let silent = tree.supervisors.silent(token, asked, clock());
                    gathering.fill(token, level(&**top, Vec::new(), &silent));
                }
                None => {}
            }
        }
        if unknown.is_empty() {
            return;
        }
        let mut services = services_of(tree, &unknown);
        for known in unknown {
            let token = known.link.core().token();
            let silent = tree.supervisors.silent(token, asked, clock());
            let services = services.remove(&key(&known.parent)).unwrap_or_default();
            gathering.fill(token, level(&*known.link, services, &silent));
        }
    }
}

/// The services of these supervisors, in start order, by what they have in common.
fn services_of(
    tree: &Tree,
    supervisors: &[KnownSupervisor],
) -> HashMap<usize, Vec<Arc<dyn AnyLink>>> {
    let parents = supervisors.iter().map(|known| key(&known.parent));
    let mut services: HashMap<_, Vec<_>> = parents.map(|parent| (parent, Vec::new())).collect();
    tree.links.visit(|link| {
        if let Some(siblings) = services.get_mut(&key(link.core().parent())) {
            siblings.push(Arc::clone(link));
        }
    });
    for siblings in services.values_mut() {
        // Those of a supervisor that was lost with its thread are released, and are there only until that is back.
        siblings.retain(|link| !link.core().is_released());
        siblings.sort_unstable_by_key(|link| link.core().position());
    }
    services
}

/// What tells the services of one supervisor from all others.
fn key(parent: &Arc<Parent>) -> usize {
    Arc::as_ptr(parent) as usize
}

/// What is known of a supervisor that does not answer.
fn level(link: &dyn AnyLink, services: Vec<Arc<dyn AnyLink>>, silent: &Silent) -> Level {
    let present = Present::read();
    let last = silent.last.as_deref();
    let seen = last.map_or(&[][..], |last| &last.services);
    let seen: HashMap<ServiceToken, &LastSeen> =
        seen.iter().map(|seen| (seen.token, seen)).collect();
    let core = link.core();
    let own = Own {
        path: Arc::clone(core.path()),
        token: core.token(),
        kind: core.shown().kind,
        state: core.state(),
        at: present.wall,
        age: Some(silent.age),
        numbers: last.map(|last| last.numbers.clone()),
    };
    let services = services.into_iter().map(|link| {
        let seen = seen.get(&link.core().token()).copied();
        service(&*link, seen, silent, present)
    });
    let services: Vec<_> = services.collect();
    let supervisors = services.iter().enumerate();
    let supervisors = supervisors
        .filter(|(_, service)| service.kind().is_supervisor())
        .map(|(at, _)| at);
    Level {
        own,
        supervisors: supervisors.collect(),
        services,
    }
}

/// What is known of a service whose supervisor does not answer: all that its link says, and what was seen before as far as that can still be so.
fn service(
    link: &dyn AnyLink,
    seen: Option<&LastSeen>,
    silent: &Silent,
    present: Present,
) -> ServiceReport {
    let core = link.core();
    let (state, generation) = (core.state(), core.generation());
    let same = |seen: &&LastSeen| seen.state == state && seen.generation == generation;
    let as_before = seen.filter(same);
    let details = seen.and_then(|seen| seen.details.as_deref());
    let mut details = match (details, as_before) {
        (Some(details), Some(_)) => details.clone(),
        // It has gone on since: what it waited for, and until when, is past.
        (Some(details), None) => Details {
            limit: details.limit,
            ..Details::default()
        },
        (None, _) => Details::default(),
    };
    // Its cell says that itself, also while the supervisor has not heard of it.
    details.last_exit = core.latest_exit().or(details.last_exit);
    ServiceReport {
        path: Arc::clone(core.path()),
        token: core.token(),
        type_name: link.type_name(),
        at: present.wall,
        since: as_before.and_then(|seen| seen.since),
        age: Some(silent.age),
        generation,
        restarts: generation,
        handled: core.handled(),
        details: (details != Details::default()).then(|| Arc::new(details)),
        below: None,
        state,
        shown: core.shown(),
    }
}
