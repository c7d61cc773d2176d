//! Persistent arrays of numbers in which equal contents have equal names.
//!
//! A tree of nodes with four places each, all kept once (hash-consing): a change makes a new name in O(log n), and two arrays are
//! equal exactly if their names are. So a big state is a small number for the search.

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;

/// What an empty place holds.
pub const EMPTY: u32 = u32::MAX;

/// The name of an array's contents.
pub type Name = u32;

/// A family of arrays of one length.
#[derive(Clone, Debug)]
pub struct Arrays {
    levels: u32,
    nodes: Vec<[u32; 4]>,
    /// The nodes' names, found by what the nodes hold.
    names: HashTable<Name>,
}

impl Arrays {
    /// Arrays of at least so many places.
    pub fn new(length: usize) -> Arrays {
        let mut levels = 1;
        while length > 4usize.pow(levels) {
            levels += 1;
        }
        Arrays {
            levels,
            nodes: Vec::new(),
            names: HashTable::new(),
        }
    }

    /// The array with nothing in it.
    pub fn empty(&self) -> Name {
        EMPTY
    }

    /// What stands at a place.
    pub fn get(&self, mut name: Name, at: u32) -> u32 {
        for level in (0..self.levels).rev() {
            if name == EMPTY {
                return EMPTY;
            }
            name = self.nodes[name as usize][(at >> (2 * level) & 3) as usize];
        }
        name
    }

    /// Tells every place at which something stands, in their order.
    pub fn each(&self, name: Name, tell: &mut impl FnMut(u32)) {
        self.each_below(name, 0, self.levels, tell);
    }

    fn each_below(&self, name: Name, from: u32, levels: u32, tell: &mut impl FnMut(u32)) {
        if name == EMPTY {
            return;
        }
        let Some(below) = levels.checked_sub(1) else {
            return tell(from);
        };
        for (place, name) in (0u32..).zip(self.nodes[name as usize]) {
            self.each_below(name, from | place << (2 * below), below, tell);
        }
    }

    /// The array with another value at a place.
    pub fn with(&mut self, name: Name, at: u32, value: u32) -> Name {
        self.change(name, at, value, self.levels)
    }

    fn change(&mut self, name: Name, at: u32, value: u32, levels: u32) -> u32 {
        let Some(below) = levels.checked_sub(1) else {
            return value;
        };
        let mut node = match name {
            EMPTY => [EMPTY; 4],
            name => self.nodes[name as usize],
        };
        let place = (at >> (2 * below) & 3) as usize;
        node[place] = self.change(node[place], at, value, below);
        if node == [EMPTY; 4] {
            return EMPTY;
        }
        let hash = |node: &[u32; 4]| FxBuildHasher.hash_one(node);
        let nodes = &mut self.nodes;
        let is_same = |name: &Name| nodes[*name as usize] == node;
        if let Some(name) = self.names.find(hash(&node), is_same) {
            return *name;
        }
        let name = nodes.len() as Name;
        nodes.push(node);
        self.names
            .insert_unique(hash(&node), name, |name| hash(&nodes[*name as usize]));
        name
    }

    /// How many bytes all of them take together.
    pub fn bytes(&self) -> usize {
        // A table of this kind has a byte of its own for each place, and an eighth more places than its capacity.
        self.nodes.capacity() * size_of::<[u32; 4]>()
            + self.names.capacity() / 7 * 8 * (size_of::<Name>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contents_have_equal_names_however_they_came_about() {
        let mut arrays = Arrays::new(100);
        let empty = arrays.empty();
        let one = arrays.with(empty, 99, 5);
        let two = arrays.with(one, 3, 8);
        assert_eq!((arrays.get(two, 99), arrays.get(two, 3)), (5, 8));
        assert_eq!(arrays.get(two, 4), EMPTY);
        let other = arrays.with(empty, 3, 8);
        assert_ne!(other, two);
        assert_eq!(arrays.with(other, 99, 5), two);
        let mut places = Vec::new();
        arrays.each(two, &mut |place| places.push(place));
        assert_eq!(places, [3, 99]);
        let gone = arrays.with(two, 99, EMPTY);
        assert_eq!(gone, other);
        assert_eq!(arrays.with(other, 3, EMPTY), empty);
    }
}
