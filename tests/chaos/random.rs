//! Random numbers that a seed decides.

use std::env;

/// A `SplitMix64` generator.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The generator number `stream` of a seed. What one draws does not change what another one draws.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut seeds = Self(seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03));
        Self(seeds.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end`, which is not one of them. The bias is of no matter here.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(from.len() as u64));
        &from[index.expect("smaller than a length")]
    }
}

/// The seed in the environment, or the ones that every run tries.
pub(crate) fn seeds() -> Vec<u64> {
    env::var("RESURGAM_SEED").map_or_else(
        |_| vec![1, 0x00C0_FFEE],
        |seed| vec![seed.parse().expect("RESURGAM_SEED is a number")],
    )
}
