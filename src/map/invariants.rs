//! A check of the invariants of a map, for tests and fuzzing.

use super::edit::{capacity, is_one_run};
use super::hash::HighWord;
use super::heap::Heap;
use super::iter::Iter;
use super::levels::{Levels, rehash_or_zero};
use super::node::Contents;
use super::node::reference::NodeRef;
use super::trie::Trie;
use super::tuning::Shape as _;

impl<H: Heap> Trie<H> {
    /// Panics unless the map keeps the invariants in the documentation of the [module](super). O(n).
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        if let Some(root) = self.root() {
            check_node(root, 0, &[]);
        }
    }
}

/// Checks the node below the slots `fragments`, and returns its number of entries.
fn check_node<H: Heap>(node: &NodeRef<H>, depth: u32, fragments: &[usize]) -> usize {
    assert_eq!(node.is_root(), depth == 0, "a root is marked, and no other node is");
    let len = match node.contents() {
        Contents::Leaf(leaf) => {
            assert!(!leaf.entries.is_empty(), "a leaf has entries");
            assert_eq!(leaf.highs.len(), leaf.entries.len(), "each entry has a high word");
            assert_eq!(
                leaf.lows.len(),
                leaf.entries.len(),
                "each entry has a low word, if the heap stores it"
            );
            let (first, last) = (&leaf.entries[0].key, &leaf.entries[leaf.entries.len() - 1].key);
            let fits = leaf.entries.len() <= capacity::<H>(depth);
            assert!(fits || is_one_run::<H>(depth, first, last), "a leaf is within its capacity");
            let order = (0..leaf.entries.len())
                .map(|index| (leaf.hash(index), rehash_or_zero::<H>(&leaf.entries[index].key)));
            assert!(order.is_sorted(), "entries lie in the order of their hashes and rehashes");
            let room = &leaf.padded_highs[leaf.highs.len()..];
            assert!(
                room.iter().all(|&high| high == HighWord::NONE),
                "unused hash slots hold all ones"
            );
            assert!(room.len() < H::Shape::LEAF_STEP, "a leaf has less unused room than a step");
            for index in 0..leaf.entries.len() {
                for (depth, &fragment) in (0..).zip(fragments) {
                    let own = leaf.fragment(index, depth);
                    assert_eq!(own, fragment, "an entry is below the fragments of its hash");
                }
            }
            for entry in leaf.entries {
                let traceable =
                    H::is_key_traceable(&entry.key) || H::is_value_traceable(&entry.value);
                assert!(node.is_traced() || !traceable, "a leaf is traced if an entry needs it");
            }
            leaf.entries.len()
        }
        Contents::Branch(children) => {
            assert!(depth < Levels::<H>::AFTER_REHASH, "a branch has bits left to choose by");
            let mut len = 0;
            for fragment in 0..1 << H::Shape::FRAGMENT_BITS {
                let child = children.get(fragment);
                let is_marked = children.occupied() >> fragment & 1 != 0;
                assert_eq!(is_marked, child.is_some(), "a branch has a bit for each child");
                let Some(child) = child else { continue };
                assert!(node.is_traced() || !child.is_traced(), "a traced child is traced above");
                len += check_node(child, depth + 1, &[fragments, &[fragment]].concat());
            }
            assert!(len > capacity::<H>(depth), "a branch has more entries than a leaf can hold");
            if depth >= Levels::<H>::AFTER_HASH {
                let mut keys = Iter::below(Some(node), depth).map(|(_, entry)| &entry.key);
                let (Some(first), Some(last)) = (keys.next(), keys.last()) else {
                    unreachable!("a branch has several entries")
                };
                assert!(!is_one_run::<H>(depth, first, last), "a run is one leaf");
            }
            len
        }
    };
    assert_eq!(len, node.len(), "a node stores its number of entries");
    len
}
