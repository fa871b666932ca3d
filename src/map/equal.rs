//! Comparing two maps, skipping what they share.
//!
//! Equal content means equal shape, whatever edits led to it, so two tries can be walked in
//! lockstep: a node that both share is equal without a look, and two nodes of different shape
//! hold different keys. After k edits the comparison costs O(k log n), apart O(n).

use super::heap::Heap;
use super::node::{Contents, EntryOf, Leaf, NodeRef, Slot};

/// Whether `a` and `b` hold equal keys with equal values, as `equal` tells for a pair of entries.
///
/// `equal` gets two entries with one hash and answers `None` if the keys differ, else whether the
/// values are equal. It may run user code: the caller keeps both roots alive.
pub(crate) fn equal<H: Heap>(
    a: &Slot<H>,
    b: &Slot<H>,
    equal_entries: &mut impl FnMut(&EntryOf<H>, &EntryOf<H>) -> Result<Option<bool>, H::Error>,
) -> Result<bool, H::Error> {
    match (a, b) {
        (None, None) => Ok(true),
        (Some(a), Some(b)) => equal_nodes(a, b, equal_entries),
        _ => Ok(false),
    }
}

fn equal_nodes<H: Heap>(
    a: &NodeRef<H>,
    b: &NodeRef<H>,
    equal_entries: &mut impl FnMut(&EntryOf<H>, &EntryOf<H>) -> Result<Option<bool>, H::Error>,
) -> Result<bool, H::Error> {
    if a.as_ptr() == b.as_ptr() {
        return Ok(true);
    }
    if a.len() != b.len() {
        return Ok(false);
    }
    match (a.contents(), b.contents()) {
        (Contents::Leaf(a), Contents::Leaf(b)) => equal_leaves(&a, &b, equal_entries),
        (Contents::Branch(a), Contents::Branch(b)) => {
            // Shapes first: they tell most different maps apart without running user code.
            if a.iter().zip(b).any(|(a, b)| {
                a.as_ref().map_or(0, NodeRef::len) != b.as_ref().map_or(0, NodeRef::len)
            }) {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b) {
                if !equal(a, b, equal_entries)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn equal_leaves<H: Heap>(
    a: &Leaf<'_, H>,
    b: &Leaf<'_, H>,
    equal_entries: &mut impl FnMut(&EntryOf<H>, &EntryOf<H>) -> Result<Option<bool>, H::Error>,
) -> Result<bool, H::Error> {
    if a.hashes != b.hashes {
        return Ok(false);
    }
    for (&hash, entry) in a.hashes.iter().zip(a.entries) {
        let mut found = false;
        for other in b.with_hash(hash) {
            match equal_entries(entry, other)? {
                None => {}
                Some(true) => {
                    found = true;
                    break;
                }
                Some(false) => return Ok(false),
            }
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}
