//! The start order of services.

/// Services in start order. A new one comes to the end.
///
/// A sorted list and not a tree: nothing is ever put in between, and a start of many services is mostly an appending of places.
/// Adding one and removing one take logarithmic time, spread over many of them.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// By place. One that was removed leaves a gap, until there are more gaps than services.
    all: Vec<Place>,
    gaps: usize,
    next: u64,
}

/// A place, and who has it.
#[derive(Debug)]
struct Place {
    order: u64,
    slot: Option<u32>,
}

impl Places {
    /// Gives a service the last place.
    pub(super) fn push(&mut self, slot: u32) -> u64 {
        let order = self.next;
        self.next += 1;
        let slot = Some(slot);
        self.all.push(Place { order, slot });
        order
    }

    /// Takes whoever has a place out.
    pub(super) fn remove(&mut self, order: u64) {
        let Ok(index) = self.all.binary_search_by_key(&order, |place| place.order) else {
            return;
        };
        if self.all[index].slot.take().is_some() {
            self.gaps += 1;
        }
        if self.gaps > self.len() {
            self.all.retain(|place| place.slot.is_some());
            self.gaps = 0;
        }
    }

    /// All slots.
    pub(super) fn slots(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.all.iter().filter_map(|place| place.slot)
    }

    /// The slots from this place on.
    pub(super) fn slots_from(&self, order: u64) -> impl DoubleEndedIterator<Item = u32> {
        let first = self.all.partition_point(|place| place.order < order);
        self.all[first..].iter().filter_map(|place| place.slot)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len() - self.gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(order: &Places) -> Vec<u32> {
        order.slots().collect()
    }

    #[test]
    fn place_that_was_removed_is_passed_over() {
        let mut order = Places::default();
        let all: Vec<u64> = (0..6).map(|slot| order.push(slot)).collect();
        order.remove(all[1]);
        order.remove(all[4]);
        assert_eq!(slots(&order), [0, 2, 3, 5]);
        assert_eq!(order.slots_from(all[1]).collect::<Vec<_>>(), [2, 3, 5]);
        assert_eq!(order.len(), 4);
    }

    #[test]
    fn gaps_do_not_outnumber_services_and_places_stay_what_they_were() {
        let mut order = Places::default();
        let all: Vec<u64> = (0..100).map(|slot| order.push(slot)).collect();
        for place in &all[..90] {
            order.remove(*place);
            // Once more, which changes nothing.
            order.remove(*place);
            assert!(order.all.len() <= 2 * order.len());
        }
        assert_eq!(slots(&order), (90..100).collect::<Vec<_>>());
        assert_eq!(order.slots_from(all[95]).next(), Some(95));
        assert!(order.push(7) > all[99]);
        order.remove(all[99]);
        assert_eq!(order.slots().next_back(), Some(7));
    }
}
