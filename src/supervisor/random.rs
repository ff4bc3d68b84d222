//! Jitter.

use std::hash::{BuildHasher, RandomState};

/// A stream of fractions, seeded by the process's own entropy.
///
/// `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): spreads restarts
/// apart, and is good for nothing that an adversary must not guess.
pub(crate) struct Random(u64);

impl Random {
    pub(super) fn new() -> Self {
        // The one source of entropy in std: every `RandomState` has keys of its own.
        Self(RandomState::new().hash_one(0_u8))
    }

    /// The next fraction, from 0 to below 1.
    pub(super) fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The 53 bits that a double holds exactly.
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn fractions_spread_over_zero_to_one() {
        let mut random = Random(7);
        let fractions: Vec<f64> = (0..10_000).map(|_| random.fraction()).collect();
        assert!(fractions.iter().all(|f| (0.0..1.0).contains(f)));
        let mean = fractions.iter().sum::<f64>() / 10_000.0;
        assert!((0.48..0.52).contains(&mean), "{mean}");
    }
}
