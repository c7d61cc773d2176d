//! Named streams of random numbers: everything random in a run comes from one of them.
//!
//! A stream is named by `(seed, purpose, index)`: `("link latency", 7)`, `("disk", 2)`. Each link, disk, client and fault
//! has its own, so that taking one fault out of a script changes nothing else; this is what makes shrinking work.
//! The generator is ChaCha8, keyed by XXH3 of the name. Integers are sampled here, in our own few lines: a library's
//! distributions may change between versions, and then every seed would mean another run.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// A named stream of random numbers. Not `Clone`: a copy would repeat what the first one draws.
#[derive(Debug)]
pub struct Stream {
    rng: ChaCha8Rng,
}

impl Stream {
    /// The stream of that name.
    pub fn new(seed: u64, purpose: &'static str, index: u64) -> Stream {
        let mut key = [0u8; 32];
        for (half, salt) in key.chunks_exact_mut(16).zip([0u64, 1]) {
            let mut name = Vec::with_capacity(purpose.len() + 24);
            name.extend_from_slice(&seed.to_le_bytes());
            name.extend_from_slice(&index.to_le_bytes());
            name.extend_from_slice(&(purpose.len() as u64).to_le_bytes());
            name.extend_from_slice(purpose.as_bytes());
            half.copy_from_slice(&xxh3_128_with_seed(&name, salt).to_le_bytes());
        }
        Stream {
            rng: ChaCha8Rng::from_seed(key),
        }
    }

    /// Sixty-four random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A number below `n`, each as likely as the others.
    ///
    /// # Panics
    /// Where `n` is zero: there is no such number.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "no number is below 0");
        // Lemire, "Fast random integer generation in an interval" (2019): the high half of a product, and the low half
        // tells the few draws that would favour some numbers.
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        if (product as u64) < n {
            let threshold = n.wrapping_neg() % n;
            while (product as u64) < threshold {
                product = u128::from(self.next_u64()) * u128::from(n);
            }
        }
        (product >> 64) as u64
    }

    /// A number from `least` to `most`, both included. Draws nothing where they are the same.
    ///
    /// # Panics
    /// Where `least` is greater than `most`.
    pub fn range(&mut self, (least, most): (u64, u64)) -> u64 {
        assert!(least <= most, "the range {least} to {most} is empty");
        if least == most {
            return least;
        }
        match (most - least).checked_add(1) {
            Some(width) => least + self.below(width),
            None => self.next_u64(),
        }
    }

    /// True `p` times in a thousand.
    pub fn per_mille(&mut self, p: u32) -> bool {
        self.below(1000) < u64::from(p)
    }

    /// One of them, each as likely as the others.
    ///
    /// # Panics
    /// Where there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// Brings them into an order drawn from all orders (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The very numbers: should an update of a library ever change them, every saved seed would mean another run.
    #[test]
    fn a_stream_is_its_name_for_ever() {
        let mut stream = Stream::new(7, "link latency", 3);
        let first: Vec<u64> = (0..3).map(|_| stream.next_u64()).collect();
        assert_eq!(
            first,
            [14008019576642145512, 7617666349279882618, 65159718363183790]
        );
        let below: Vec<u64> = (0..5).map(|_| stream.below(10)).collect();
        assert_eq!(below, [6, 2, 2, 6, 3]);
    }

    #[test]
    fn each_part_of_the_name_makes_another_stream() {
        let first = |seed, purpose, index| Stream::new(seed, purpose, index).next_u64();
        let names = [
            first(1, "disk", 1),
            first(2, "disk", 1),
            first(1, "clock", 1),
            first(1, "disk", 2),
            first(1, "", 1),
        ];
        for (i, a) in names.iter().enumerate() {
            assert!(!names[..i].contains(a));
        }
    }

    #[test]
    fn numbers_keep_within_their_range_and_reach_all_of_it() {
        let mut stream = Stream::new(1, "test", 0);
        let mut seen = [0u32; 7];
        for _ in 0..7_000 {
            seen[stream.range((3, 9)) as usize - 3] += 1;
        }
        assert!(
            seen.iter().all(|&times| (800..1200).contains(&times)),
            "{seen:?}"
        );
        assert_eq!(stream.range((5, 5)), 5);
        stream.range((0, u64::MAX));
        let heads = (0..10_000).filter(|_| stream.per_mille(250)).count();
        assert!((2_300..2_700).contains(&heads), "{heads}");
        let mut order: Vec<u32> = (0..50).collect();
        stream.shuffle(&mut order);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
