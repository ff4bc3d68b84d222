//! What is kept by a key of the user's, whose `Hash`, `Eq` and `Drop` may panic.
//!
//! # Invariants
//!
//! 1. A key is hashed once, when it comes in, and compared only with one that has the same hash: one that cannot be hashed or compared any
//!    longer harms no other, also when the table grows.
//! 2. Each key and value is dropped by itself, in a guard: several that panic at that do not end the process.

use std::{borrow::Borrow, fmt, hash::BuildHasher, hash::Hash, mem};

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use crate::user_value::quietly;

/// A map from keys of the user's.
pub(super) struct ByKey<K, V> {
    table: HashTable<Slot<K, V>>,
    hasher: DefaultHashBuilder,
}

struct Slot<K, V> {
    hash: u64,
    key: K,
    value: V,
}

impl<K, V> Slot<K, V> {
    fn drop_guarded(self) {
        let Self { key, value, .. } = self;
        let _nobody_to_tell = quietly(|| drop(value));
        let _nobody_to_tell = quietly(|| drop(key));
    }
}

impl<K, V> ByKey<K, V> {
    pub(super) fn new() -> Self {
        Self {
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.table.iter().map(|slot| (&slot.key, &slot.value))
    }

    /// How many places there are. What is in which changes only when the number does, or what is in it goes.
    pub(super) fn places(&self) -> usize {
        self.table.num_buckets()
    }

    /// What is in one of the places.
    pub(super) fn at(&mut self, place: usize) -> Option<(&K, &mut V)> {
        let slot = self.table.get_bucket_mut(place)?;
        Some((&slot.key, &mut slot.value))
    }

    /// Keeps what this says is to be kept.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        let gone = self
            .table
            .extract_if(|slot| !keep(&slot.key, &slot.value))
            .collect::<Vec<_>>();
        gone.into_iter().for_each(Slot::drop_guarded);
    }

    pub(super) fn clear(&mut self) {
        let all = mem::take(&mut self.table);
        all.into_iter().for_each(Slot::drop_guarded);
    }
}

impl<K: Eq + Hash, V> ByKey<K, V> {
    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let found = self
            .table
            .find(hash, |slot| slot.hash == hash && slot.key.borrow() == key);
        found.map(|slot| &slot.value)
    }

    pub(super) fn value_mut(&mut self, key: &K) -> Option<&mut V> {
        let hash = self.hasher.hash_one(key);
        let found = self
            .table
            .find_mut(hash, |slot| slot.hash == hash && slot.key == *key);
        found.map(|slot| &mut slot.value)
    }

    /// Puts a value in, and returns the one that was there.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = self.hasher.hash_one(&key);
        let entry = self.table.entry(
            hash,
            |slot| slot.hash == hash && slot.key == key,
            |slot| slot.hash,
        );
        match entry {
            Entry::Occupied(mut entry) => Some(mem::replace(&mut entry.get_mut().value, value)),
            Entry::Vacant(entry) => {
                entry.insert(Slot { hash, key, value });
                None
            }
        }
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let hash = self.hasher.hash_one(key);
        let found = self
            .table
            .find_entry(hash, |slot| slot.hash == hash && slot.key == *key);
        let (slot, _) = found.ok()?.remove();
        let _nobody_to_tell = quietly(|| drop(slot.key));
        Some(slot.value)
    }
}

impl<K, V> Drop for ByKey<K, V> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<K, V> fmt::Debug for ByKey<K, V> {
    /// Says nothing of keys and values: their `Debug` is the user's code, too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByKey")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use super::*;

    /// A key that panics at what it is told to.
    #[derive(Clone)]
    struct Key {
        name: u32,
        hashes: Rc<Cell<bool>>,
        drops: Rc<Cell<u32>>,
    }

    impl Hash for Key {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            assert!(self.hashes.get(), "it cannot be hashed");
            self.name.hash(state);
        }
    }

    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            self.name == other.name
        }
    }

    impl Eq for Key {}

    impl Drop for Key {
        fn drop(&mut self) {
            self.drops.set(self.drops.get() + 1);
            panic!("it cannot be dropped");
        }
    }

    #[test]
    fn key_that_cannot_be_hashed_any_longer_harms_no_other() {
        let drops = Rc::default();
        let key = |name, hashes: &Rc<Cell<bool>>| Key {
            name,
            hashes: Rc::clone(hashes),
            drops: Rc::clone(&drops),
        };
        let (sound, bad) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(true)));
        let mut map = ByKey::new();
        map.insert(key(0, &bad), 0);
        bad.set(false);
        for name in 1..1000 {
            assert_eq!(map.insert(key(name, &sound), name), None);
        }
        assert_eq!(map.len(), 1000);
        bad.set(true);
        for name in [0, 1, 999] {
            let wanted = mem::ManuallyDrop::new(key(name, &sound));
            assert_eq!(map.get(&*wanted), Some(&name));
        }
        assert_eq!(drops.get(), 0);
        map.retain(|_, value| *value < 500);
        assert_eq!((map.len(), drops.get()), (500, 500));
        drop(map);
        assert_eq!(drops.get(), 1000);
    }

    #[test]
    fn every_place_is_found_once() {
        let mut map = ByKey::new();
        for key in 0..1000 {
            map.insert(key, key);
        }
        assert_eq!(map.insert(7, 8), Some(7));
        assert_eq!(map.remove(&7), Some(8));
        assert_eq!(map.get(&7), None);
        let places = 0..map.places();
        let mut found: Vec<i32> = places
            .filter_map(|place| map.at(place).map(|(key, _)| *key))
            .collect();
        found.sort_unstable();
        let all: Vec<_> = (0..1000).filter(|key| *key != 7).collect();
        assert_eq!(found, all);
    }
}
