//! The shape that every map has, as a check for tests and fuzzing.

use super::edit::capacity;
use super::hash::Hash;
use super::heap::Heap;
use super::node::Contents;
use super::node_ref::NodeRef;
use super::search::precedes;
use super::trie::Trie;
use super::tuning::Shape as _;

impl<H: Heap> Trie<H> {
    /// Panics unless every node is as the drawing in the [module](super) says. O(n).
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        if let Some(root) = self.root() {
            check_node(root, 0, &[]);
        }
    }
}

/// Checks the node that lies below the slots `fragments`, and returns its number of entries.
fn check_node<H: Heap>(node: &NodeRef<H>, depth: u32, fragments: &[usize]) -> usize {
    assert_eq!(node.is_root(), depth == 0, "a root is marked, and no other node is");
    let len = match node.contents() {
        Contents::Leaf(leaf) => {
            assert!(!leaf.entries.is_empty(), "a leaf has entries");
            assert_eq!(leaf.hashes.len(), leaf.entries.len(), "each entry has a hash");
            assert!(leaf.entries.len() <= capacity::<H>(depth), "a leaf is within its capacity");
            assert!(leaf.hashes.is_sorted(), "entries lie in the order of their hashes");
            let room = &leaf.hashes_and_room[leaf.hashes.len()..];
            assert!(room.iter().all(|&hash| hash == Hash::NONE), "where is room, there is no hash");
            assert!(room.len() < H::Shape::LEAF_STEP, "a leaf has less room than a step");
            for (hashes, entries) in leaf.hashes.windows(2).zip(leaf.entries.windows(2)) {
                let in_order = precedes::<H>(&entries[0].key, &entries[1].key);
                assert!(hashes[0] < hashes[1] || in_order, "keys with one hash lie in order");
            }
            for hash in leaf.hashes {
                for (depth, &fragment) in (0..).zip(fragments) {
                    let own = hash.fragment(depth, H::Shape::FRAGMENT_BITS);
                    assert_eq!(own, fragment, "an entry lies below the fragments of its hash");
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
            assert!(depth * H::Shape::FRAGMENT_BITS < Hash::BITS, "a branch has bits to choose by");
            let mut len = 0;
            for fragment in 0..1 << H::Shape::FRAGMENT_BITS {
                let child = children.get(fragment);
                let is_marked = children.occupied() >> fragment & 1 != 0;
                assert_eq!(is_marked, child.is_some(), "a branch knows which children it has");
                let Some(child) = child else { continue };
                assert!(node.is_traced() || !child.is_traced(), "a traced child is traced above");
                len += check_node(child, depth + 1, &[fragments, &[fragment]].concat());
            }
            assert!(len > capacity::<H>(depth), "a branch has more entries than a leaf can hold");
            len
        }
    };
    assert_eq!(len, node.len(), "a node knows its number of entries");
    len
}
