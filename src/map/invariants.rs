//! A check of the invariants of a map, for tests and fuzzing.

use super::build::is_one_child;
use super::edit::{capacity, is_one_run};
use super::fingerprints;
use super::heap::Heap;
use super::iter::Iter;
use super::levels::{Levels, rehash_or_zero};
use super::node::reference::NodeRef;
use super::node::{Children, Contents, Node, Span};
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

/// Checks the node below these spans, and returns its number of entries.
fn check_node<H: Heap>(node: &NodeRef<H>, depth: u32, spans: &[Span]) -> usize {
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
            if let Some(found) = node.fingerprints() {
                let is_long = leaf.highs.len() > fingerprints::COUNT;
                let own = |it: usize| leaf.highs.get(it).map_or(0, |high| high.fingerprint());
                assert!(
                    (0..).zip(found).all(|(it, &found)| found == own(if is_long { 0 } else { it })),
                    "fingerprints are those of the hashes, and then zeros"
                );
            }
            for index in 0..leaf.entries.len() {
                for (depth, span) in (0..).zip(spans) {
                    let own = leaf.fragment(index, depth);
                    assert!(
                        span.slots().contains(&own),
                        "an entry is below the fragments of its hash"
                    );
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
            let mut slot = 0;
            while slot < Node::<H>::FANOUT {
                let span = match children.get(slot) {
                    None => Span::around(slot, 1),
                    Some(child) => {
                        assert!(
                            node.is_traced() || !child.is_traced(),
                            "a traced child is traced above"
                        );
                        let span = children.span_at(slot);
                        assert_eq!(span.first, slot, "a span is aligned");
                        len += check_node(child, depth + 1, &[spans, &[span]].concat());
                        span
                    }
                };
                let bits = children.occupied() & span.mask();
                let expected = u16::from(children.get(slot).is_some()) << slot;
                assert_eq!(bits, expected, "a branch has a bit where a child begins, and no other");
                slot += span.width;
            }
            check_spans(&children, Span::whole::<H>());
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

/// Checks that entries that fit into a leaf are one, with all slots of the span.
fn check_spans<H: Heap>(children: &Children<'_, H>, span: Span) {
    if !H::Shape::SPANS || span.width == 1 {
        return;
    }
    let len = children.len_of(span);
    if is_one_child::<H>(span, len) {
        let own = children.span_at(span.first);
        assert!(len == 0 || own == span, "entries that fit into a leaf are one");
        return;
    }
    for slot in span.slots() {
        let own = children.span_at(slot);
        assert!(own.width <= span.width, "the span of a leaf is not wider than its entries");
    }
    for half in span.halves() {
        check_spans(children, half);
    }
}
