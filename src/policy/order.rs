//! In which order services start.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
};

/// Services that require each other in a ring.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Cycle {
    /// Each requires the next one, and the last one the first.
    pub(crate) members: Vec<Arc<str>>,
}

/// A service and what it requires.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// The names that it requires. A name that no node has is passed over.
    pub(crate) requires: Vec<&'a str>,
}

/// Sorts services such that each comes after those that it requires.
///
/// Stable: of those that could be next the one given first is. Returns positions in `nodes`.
pub(crate) fn start_order(nodes: &[Node<'_>]) -> Result<Vec<usize>, Cycle> {
    let positions: HashMap<&str, usize> = nodes.iter().map(|node| node.name).zip(0..).collect();
    let mut missing = vec![0_usize; nodes.len()];
    let mut dependents = vec![Vec::new(); nodes.len()];
    for (position, node) in nodes.iter().enumerate() {
        for required in node.requires.iter().filter_map(|name| positions.get(name)) {
            missing[position] += 1;
            dependents[*required].push(position);
        }
    }
    let mut next: BinaryHeap<Reverse<usize>> = (0..nodes.len())
        .filter(|position| missing[*position] == 0)
        .map(Reverse)
        .collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(position)) = next.pop() {
        order.push(position);
        for dependent in &dependents[position] {
            missing[*dependent] -= 1;
            if missing[*dependent] == 0 {
                next.push(Reverse(*dependent));
            }
        }
    }
    if order.len() == nodes.len() {
        Ok(order)
    } else {
        Err(find_cycle(nodes, &positions, &missing))
    }
}

/// Follows requirements that were not met until one comes up again.
fn find_cycle(nodes: &[Node<'_>], positions: &HashMap<&str, usize>, missing: &[usize]) -> Cycle {
    let mut walk = Vec::new();
    let mut seen = vec![usize::MAX; nodes.len()];
    let mut next = missing.iter().position(|count| *count > 0);
    while let Some(position) = next {
        if seen[position] != usize::MAX {
            walk.drain(..seen[position]);
            break;
        }
        seen[position] = walk.len();
        walk.push(position);
        // A node that could not be sorted requires another one that could not be sorted, so there is always a next one.
        next = nodes[position]
            .requires
            .iter()
            .filter_map(|name| positions.get(name).copied())
            .find(|required| missing[*required] > 0);
    }
    Cycle {
        members: walk
            .into_iter()
            .map(|position| Arc::from(nodes[position].name))
            .collect(),
    }
}
