//! Numbers that nobody expects, and that come again with the same seed.

use std::hash::{BuildHasher, RandomState};

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        let seed = std::env::var("RESURGAM_SEED").map_or_else(
            |_| RandomState::new().hash_one("crash"),
            |seed| seed.parse().unwrap(),
        );
        println!("RESURGAM_SEED={seed}");
        Self(seed | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // Xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
