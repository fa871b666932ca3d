//! Finding a key in a map whose leaves have fingerprints: the shortest way from the root to the entry.

#![allow(unsafe_code)] // Reads the parts of nodes that it needs, and no others.

use super::reference::NodeRef;
use super::{Contents, EntryOf, Node, Slot};
use crate::map::fingerprints::{self, Fingerprints};
use crate::map::hash::{HighWord, LowWord as _};
use crate::map::heap::Heap;
use crate::map::levels::HashOf;
use crate::map::search::{Position, Probe};
use crate::map::tuning::Shape as _;
use core::ptr::NonNull;

/// The entry below `root` with `hash` that matches, in a heap with fingerprints and without low words.
#[inline(always)] // The compiler considers it too large; a lookup then takes 20 instructions more.
pub(crate) fn find_by_fingerprint<'a, H: Heap>(
    root: &'a NodeRef<H>,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
) -> Result<Option<&'a EntryOf<H>>, H::Error> {
    debug_assert!(H::Shape::FINGERPRINTS && H::LowWord::BITS == 0);
    let mut node = root.as_ptr();
    let mut bits = hash.high.bits();
    let mut is_root = true;
    // SAFETY: `root` is borrowed during `'a`, which keeps all nodes below it alive and unchanged. The
    // offsets are those of branches and leaves in this shape: those of the fingerprints and of the
    // entries do not depend on the room of a leaf. The index is less than the length of the leaf.
    unsafe {
        while node.as_ref().kind.is_branch() {
            let slots = node.byte_add(Node::<H>::children_offset(is_root)).cast::<Slot<H>>();
            let fragment = (bits >> (HighWord::BITS - H::Shape::FRAGMENT_BITS)) as usize;
            let Some(child) = slots.add(fragment).as_ref() else { return Ok(None) };
            node = child.as_ptr();
            bits <<= H::Shape::FRAGMENT_BITS;
            is_root = false;
        }
        let fingerprints = node.byte_add(Node::<H>::start(is_root)).cast::<Fingerprints>();
        let mask = fingerprints::match_mask(fingerprints.as_ref(), hash.high.fingerprint());
        let len = node.as_ref().len();
        // In a leaf of more than 16 entries, all fingerprints are zeros.
        if mask == 0 && len <= fingerprints::COUNT {
            return Ok(None);
        }
        let index = mask.trailing_zeros() as usize;
        if index < len {
            let entries = node.byte_add(Node::<H>::entries_offset(0, is_root)).cast();
            let entry: &'a EntryOf<H> = entries.add(index).as_ref();
            let has_hash = || {
                let highs = Node::<H>::highs_offset(node.as_ref().room(), is_root);
                node.byte_add(highs).cast::<HighWord>().add(index).read() == hash.high
            };
            if probe.matches(&entry.key, has_hash)? {
                return Ok(Some(entry));
            }
        }
        find_in_leaf(node, hash, probe)
    }
}

/// Continues after the first candidate was another key.
///
/// # Safety
///
/// `node` is a leaf that is alive and unchanged during `'a`.
#[cold]
#[inline(never)]
unsafe fn find_in_leaf<'a, H: Heap + 'a>(
    node: NonNull<Node<H>>,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
) -> Result<Option<&'a EntryOf<H>>, H::Error> {
    // SAFETY: the caller keeps the leaf alive and unchanged.
    let Contents::Leaf(leaf) = (unsafe { Node::contents(node) }) else { return Ok(None) };
    Ok(match leaf.position(hash, probe)? {
        Position::Found(index) => Some(&leaf.entries[index]),
        Position::Vacant(_) => None,
    })
}
