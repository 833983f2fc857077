//! The order in which Java's collections give names back, which `describe` of Kafka Streams shows.
//!
//! Kafka Streams keeps the neighbours of a node in a `TreeSet` whose comparator looks at sizes that
//! still change, fed in the order of a `HashMap`. The text is the same only if both are the same.

use std::cmp::Ordering;

/// The order of names in a `HashSet` or `HashMap` they were put into one by one (bins that Java
/// turns into trees, of eight names or more, aside). Gives indices.
pub(crate) fn hash_order(names: &[&str]) -> Vec<usize> {
    let mut capacity: u32 = 16;
    while names.len() > capacity as usize / 4 * 3 {
        capacity *= 2;
    }
    by_bin(names.iter().map(|name| string_hash(name)), capacity)
}

/// The order of sets of names in a `HashSet` made from a collection of `n` elements, these among
/// them. Gives indices.
pub(crate) fn hash_order_of_sets(sets: &[Vec<&str>], n: usize) -> Vec<usize> {
    // Half as many again as are put in, as `HashMap` reckons, and a power of two.
    let capacity = u32::try_from(n).unwrap_or(u32::MAX).saturating_mul(4) / 3 + 1;
    let hash =
        |set: &Vec<&str>| set.iter().fold(0, |sum: u32, name| sum.wrapping_add(string_hash(name)));
    by_bin(sets.iter().map(hash), capacity.max(16).next_power_of_two())
}

fn by_bin(hashes: impl Iterator<Item = u32>, capacity: u32) -> Vec<usize> {
    let bins: Vec<u32> = hashes.map(|hash| (hash ^ (hash >> 16)) & (capacity - 1)).collect();
    let mut order: Vec<usize> = (0..bins.len()).collect();
    // Within a bin the order of putting stays: the sort is stable.
    order.sort_by_key(|index| bins[*index]);
    order
}

/// `String.hashCode`.
fn string_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

/// `String.compareTo`.
pub(crate) fn compare_names(left: &str, right: &str) -> Ordering {
    left.encode_utf16().cmp(right.encode_utf16())
}

/// A `TreeSet` of numbers: the same red-black tree, so that the place of a number is the same even
/// if the comparator has changed its mind since the others came.
#[derive(Debug, Default)]
pub(crate) struct TreeSet {
    nodes: Vec<Entry>,
    root: Option<usize>,
}

#[derive(Debug)]
struct Entry {
    value: usize,
    parent: Option<usize>,
    /// Left and right.
    children: [Option<usize>; 2],
    is_red: bool,
}

const LEFT: usize = 0;
const RIGHT: usize = 1;

impl TreeSet {
    /// Puts `value` in unless the way down meets an equal one.
    pub(crate) fn insert(&mut self, value: usize, compare: impl Fn(usize, usize) -> Ordering) {
        let (mut parent, mut side) = (None, LEFT);
        let mut at = self.root;
        while let Some(index) = at {
            side = match compare(value, self.nodes[index].value) {
                Ordering::Less => LEFT,
                Ordering::Greater => RIGHT,
                Ordering::Equal => return,
            };
            parent = at;
            at = self.nodes[index].children[side];
        }
        let new = self.nodes.len();
        self.nodes.push(Entry { value, parent, children: [None; 2], is_red: true });
        match parent {
            Some(parent) => self.nodes[parent].children[side] = Some(new),
            None => self.root = Some(new),
        }
        self.balance(new);
    }

    /// The numbers, as an iterator of the Java set gives them.
    pub(crate) fn values(&self) -> Vec<usize> {
        let mut values = Vec::with_capacity(self.nodes.len());
        let (mut above, mut at) = (Vec::new(), self.root);
        loop {
            while let Some(index) = at {
                above.push(index);
                at = self.nodes[index].children[LEFT];
            }
            let Some(index) = above.pop() else { return values };
            values.push(self.nodes[index].value);
            at = self.nodes[index].children[RIGHT];
        }
    }

    /// `TreeMap.fixAfterInsertion`.
    fn balance(&mut self, new: usize) {
        let mut at = new;
        while let Some(parent) = self.nodes[at].parent.filter(|parent| self.nodes[*parent].is_red) {
            // A red node is never the root, so there is a grandparent.
            let Some(grandparent) = self.nodes[parent].parent else { break };
            let side = self.side(parent, grandparent);
            let uncle = self.nodes[grandparent].children[1 - side];
            if let Some(uncle) = uncle.filter(|uncle| self.nodes[*uncle].is_red) {
                self.nodes[parent].is_red = false;
                self.nodes[uncle].is_red = false;
                self.nodes[grandparent].is_red = true;
                at = grandparent;
            } else {
                let mut top = parent;
                if self.side(at, parent) != side {
                    self.rotate(parent, side);
                    (at, top) = (parent, at);
                }
                self.nodes[top].is_red = false;
                self.nodes[grandparent].is_red = true;
                self.rotate(grandparent, 1 - side);
            }
        }
        if let Some(root) = self.root {
            self.nodes[root].is_red = false;
        }
    }

    fn side(&self, child: usize, parent: usize) -> usize {
        if self.nodes[parent].children[LEFT] == Some(child) { LEFT } else { RIGHT }
    }

    /// Lets the child on the other side rise and `at` sink to `side`.
    fn rotate(&mut self, at: usize, side: usize) {
        let Some(riser) = self.nodes[at].children[1 - side] else { return };
        let between = self.nodes[riser].children[side];
        self.nodes[at].children[1 - side] = between;
        if let Some(between) = between {
            self.nodes[between].parent = Some(at);
        }
        let above = self.nodes[at].parent;
        self.nodes[riser].parent = above;
        match above {
            None => self.root = Some(riser),
            Some(above) => {
                let side = self.side(at, above);
                self.nodes[above].children[side] = Some(riser);
            }
        }
        self.nodes[riser].children[side] = Some(at);
        self.nodes[at].parent = Some(riser);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_hashes() {
        // The last one counts its two surrogates one by one.
        for (text, hash) in [("", 0), ("a", 97), ("kafka", 101_807_910), ("\u{1f600}", 1_772_899)] {
            assert_eq!(string_hash(text), hash, "{text}");
        }
    }

    /// What a program in Java printed.
    #[test]
    fn hash_sets_of_java() {
        let names: Vec<&str> =
            "orders payments customers app-by-key-repartition a b q Aa BB AaAa BBBB \u{e9}t\u{e9} x1 x2 x3 x4"
                .split(' ')
                .collect();
        let ordered = |n: usize| {
            let names = &names[..n];
            hash_order(names).into_iter().map(|index| names[index]).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(ordered(9), "Aa BB a q b payments app-by-key-repartition orders customers");
        assert_eq!(
            ordered(16),
            "Aa BB a b payments q app-by-key-repartition x1 orders x2 customers x3 x4 \
             \u{e9}t\u{e9} AaAa BBBB"
        );
        let sets = [vec!["orders", "payments"], vec!["customers", "a"], vec!["b", "x1"]];
        assert_eq!(hash_order_of_sets(&sets, 6), [1, 0, 2]);
    }

    #[test]
    fn a_steady_comparator_sorts() {
        let mut set = TreeSet::default();
        let values = [5, 3, 9, 1, 4, 8, 7, 2, 6, 0, 5, 3];
        for value in values {
            set.insert(value, |a, b| a.cmp(&b));
        }
        assert_eq!(set.values(), (0..10).collect::<Vec<_>>());
        assert_eq!(set.nodes.len(), 10);
    }
}
