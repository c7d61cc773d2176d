//! Sets of open operations, by slot: nearly always a machine word.

use std::hash::Hash;

/// Which of the open operations are placed.
pub(super) trait Mask: Clone + Eq + Hash {
    fn has(&self, slot: u32) -> bool;
    fn set(&mut self, slot: u32);
    fn clear(&mut self, slot: u32);
    /// How many bytes it holds elsewhere.
    fn heap_bytes(&self) -> usize {
        0
    }
}

macro_rules! word_mask {
    ($($word:ty),*) => {$(
        impl Mask for $word {
            fn has(&self, slot: u32) -> bool {
                self >> slot & 1 == 1
            }
            fn set(&mut self, slot: u32) {
                *self |= 1 << slot;
            }
            fn clear(&mut self, slot: u32) {
                *self &= !(1 << slot);
            }
        }
    )*};
}
word_mask!(u64, u128);

impl Mask for Box<[u64]> {
    fn has(&self, slot: u32) -> bool {
        self[slot as usize / 64] >> (slot % 64) & 1 == 1
    }
    fn set(&mut self, slot: u32) {
        self[slot as usize / 64] |= 1 << (slot % 64);
    }
    fn clear(&mut self, slot: u32) {
        self[slot as usize / 64] &= !(1 << (slot % 64));
    }
    fn heap_bytes(&self) -> usize {
        size_of_val(&**self)
    }
}
