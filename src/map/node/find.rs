//! Finding a key by the shortest way from the root to the entry.
//!
//! Two kinds of heaps have such a way: heaps whose leaves have fingerprints, and heaps that store the
//! low words of hashes, as that of Python maps. Neither way has a branch that depends on the length
//! of a leaf, which would be mispredicted for most keys of a large map.

#![allow(unsafe_code)] // Reads the parts of nodes that it needs, and no others.

use super::reference::NodeRef;
use super::{Contents, EntryOf, Node, Slot, fragments};
use crate::map::fingerprints::{self, Fingerprints};
use crate::map::hash::{HighWord, LowWord as _};
use crate::map::hash_scan;
use crate::map::heap::Heap;
use crate::map::levels::{HashOf, Levels};
use crate::map::search::{Position, Probe, find_colliding};
use crate::map::tuning::Shape as _;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};

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
    // entries do not depend on the room of a leaf. Unused fingerprints are zeros, so the index of a
    // fingerprint that is not zero is less than the length of the leaf.
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
        let sought = hash.high.fingerprint();
        let mask = fingerprints::match_mask(fingerprints.as_ref(), sought);
        let has_all =
            const { !has_long_leaves::<H>() } || node.as_ref().len() <= fingerprints::COUNT;
        if mask == 0 && has_all {
            return Ok(None);
        }
        if mask != 0 && sought != 0 {
            let index = mask.trailing_zeros() as usize;
            debug_assert!(index < node.as_ref().len(), "unused fingerprints are zeros");
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
        find_again(node, hash, probe)
    }
}

/// Whether a leaf of more than 16 entries may have keys with different fingerprints. In other shapes, the
/// entries of such a leaf have one hash.
const fn has_long_leaves<H: Heap>() -> bool {
    let (leaf, root) = (H::Shape::LEAF_CAPACITY, H::Shape::ROOT_LEAF_CAPACITY);
    leaf > fingerprints::COUNT || root > fingerprints::COUNT
}

/// Whether [`find_by_words`] can search maps of a heap.
#[inline]
pub(crate) const fn has_words<H: Heap>() -> bool {
    if H::LowWord::BITS != u32::BITS || H::Shape::FINGERPRINTS {
        return false;
    }
    // The scan reads four words. A leaf with one entry has two, and behind them a key of 8 bytes or
    // more. A key whose clone copies its bits has initialised bytes only, which can be read at any time.
    let has_key_bytes = H::CLONE_IS_BITWISE && size_of::<H::Key>() >= 8;
    let is_unpadded =
        has_no_padding_before_entry::<H>(true) && has_no_padding_before_entry::<H>(false);
    // Room for more entries may never have been initialised.
    let is_filled = H::Shape::GROWTH_STEP == 1;
    let divides = HighWord::BITS % H::Shape::FRAGMENT_BITS == 0;
    has_key_bytes && is_unpadded && is_filled && divides
}

/// Whether the entry of a leaf with one entry follows its words without padding.
const fn has_no_padding_before_entry<H: Heap>(is_root: bool) -> bool {
    let end_of_words = Node::<H>::lows_offset(1, is_root) + size_of::<H::LowWord>();
    Node::<H>::entries_offset(1, is_root) == end_of_words
}

/// The entry below `root` with `hash` that matches, in a heap that [has words](has_words).
#[inline(always)] // As `find_by_fingerprint`.
pub(crate) fn find_by_words<'a, H: Heap>(
    root: &'a NodeRef<H>,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
) -> Result<Option<&'a EntryOf<H>>, H::Error> {
    debug_assert!(has_words::<H>());
    let mut node = root.as_ptr();
    let mut bits = u64::from(hash.high.bits()) << HighWord::BITS | u64::from(hash.low.bits());
    let mut depth = 0;
    // SAFETY: `root` is borrowed during `'a`, which keeps all nodes below it alive and unchanged, and
    // the first node only is a root. The offsets are those of branches and leaves in this shape.
    // `has_words` makes sure that the scan reads initialised bytes of the node. Those of a pointer in a
    // key may be read as numbers, which loses the provenance only, and the key itself is not changed.
    // The scan returns no bit for these bytes, so each index is that of an entry.
    unsafe {
        while node.as_ref().kind.is_branch() {
            if depth == Levels::<H>::AFTER_HASH {
                return find_below_hash(node, probe);
            }
            let slots = node.byte_add(Node::<H>::children_offset(depth == 0)).cast::<Slot<H>>();
            let fragment = (bits >> (u64::BITS - H::Shape::FRAGMENT_BITS)) as usize;
            let Some(child) = slots.add(fragment).as_ref() else { return Ok(None) };
            node = child.as_ptr();
            bits <<= H::Shape::FRAGMENT_BITS;
            depth += 1;
        }
        let len = node.as_ref().len();
        // Also if there are no entries, in the root of an empty map.
        if len.wrapping_sub(1) >= hash_scan::FEW {
            return find_in_leaf(node, hash, probe);
        }
        let is_root = depth == 0;
        let room = node.as_ref().room();
        let highs = node.byte_add(Node::<H>::highs_offset(room, is_root)).cast();
        let mask = hash_scan::match_mask_of_few(highs.as_ptr(), len, hash.high);
        // Nearly always there is one candidate at most.
        for index in fragments(mask) {
            let entries = node.byte_add(Node::<H>::entries_offset(room, is_root)).cast();
            let entry: &'a EntryOf<H> = entries.add(index).as_ref();
            let has_hash = || {
                let lows = node.byte_add(Node::<H>::lows_offset(room, is_root));
                lows.cast::<H::LowWord>().add(index).read() == hash.low
            };
            if probe.matches(&entry.key, has_hash)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

/// Continues below a branch whose keys all have the hash of the probe.
///
/// # Safety
///
/// `node` is a branch that is alive and unchanged during `'a`.
#[cold]
#[inline(never)]
unsafe fn find_below_hash<'a, H: Heap + 'a>(
    node: NonNull<Node<H>>,
    probe: &mut impl Probe<H>,
) -> Result<Option<&'a EntryOf<H>>, H::Error> {
    // SAFETY: the caller keeps the node alive, whose reference `ManuallyDrop` never gives up.
    let run = unsafe { ManuallyDrop::new(NodeRef::from_raw(node)) };
    let found = find_colliding::<H, false>(&run, probe)?.map(|(_, entry)| ptr::from_ref(entry));
    // SAFETY: the entry is part of a node that lives and stays unchanged during `'a`.
    Ok(found.map(|entry| unsafe { &*entry }))
}

/// Continues if the first candidate was another key, or if the fingerprints do not say which entries are
/// candidates.
///
/// # Safety
///
/// `node` is a leaf that is alive and unchanged during `'a`.
#[cold]
#[inline(never)]
unsafe fn find_again<'a, H: Heap + 'a>(
    node: NonNull<Node<H>>,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
) -> Result<Option<&'a EntryOf<H>>, H::Error> {
    // SAFETY: the caller keeps the leaf alive and unchanged.
    let Contents::Leaf(leaf) = (unsafe { Node::contents(node) }) else { return Ok(None) };
    let sought = hash.high.fingerprint();
    let is_only = |all| fingerprints::match_mask(all, sought).is_power_of_two();
    // Nearly always there was one candidate.
    if sought != 0 && leaf.fingerprints.is_some_and(is_only) {
        return Ok(None);
    }
    Ok(leaf.index_of(hash, probe)?.map(|index| &leaf.entries[index]))
}

/// Searches a leaf of any length.
///
/// # Safety
///
/// `node` is a leaf that is alive and unchanged during `'a`.
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
