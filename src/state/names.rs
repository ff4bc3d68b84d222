//! Services by name.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The slots of services, found by name.
///
/// The names are the services' own: whoever asks says with `name_at` what the name of the service in a slot is.
#[derive(Debug, Default)]
pub(super) struct Names {
    slots: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Names {
    /// The slot of the service of this name.
    pub(super) fn get<'a>(&self, name: &str, name_at: impl Fn(u32) -> &'a str) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        let slot = self.slots.find(hash, |slot| name_at(*slot) == name);
        slot.copied()
    }

    /// Notes where the service of a name is that is not known yet.
    pub(super) fn insert<'a>(&mut self, name: &str, slot: u32, name_at: impl Fn(u32) -> &'a str) {
        let hash = self.hasher.hash_one(name);
        let rehash = |slot: &u32| self.hasher.hash_one(name_at(*slot));
        self.slots.insert_unique(hash, slot, rehash);
    }

    /// Forgets a service.
    pub(super) fn remove(&mut self, name: &str, slot: u32) {
        let hash = self.hasher.hash_one(name);
        if let Ok(known) = self.slots.find_entry(hash, |known| *known == slot) {
            known.remove();
        }
    }
}
