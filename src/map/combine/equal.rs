//! Comparing two maps, without visiting the nodes that they share.
//!
//! Equal content means equal shape, whatever edits led to it. So two tries are walked in lockstep: a
//! shared node is equal, and two nodes of different shape hold different keys. (If some keys with
//! one hash have no rehash, all keys with this hash are compared as one run.) Comparing two versions
//! costs O(k log n) for k edits between them; comparing unrelated maps costs O(n).

use super::compare::Compare;
use super::lockstep::{entries_of, has_unrehashed};
use crate::map::hash::LowWord as _;
use crate::map::heap::Heap;
use crate::map::levels::Levels;
use crate::map::node::reference::NodeRef;
use crate::map::node::{Contents, EntryOf, Leaf, Slot};
use crate::map::search::{KeyProbe, find_in_run};
use core::borrow::Borrow;

/// Whether `a` and `b` hold equal keys with equal values.
///
/// The comparison may run user code; the caller keeps both roots alive.
pub(crate) fn equal<H: Heap>(
    a: &Slot<H>,
    b: &Slot<H>,
    compare: &mut impl Compare<H>,
) -> Result<bool, H::Error> {
    match (a, b) {
        (None, None) => Ok(true),
        (Some(a), Some(b)) => equal_nodes(a, b, 0, compare),
        _ => Ok(false),
    }
}

fn equal_nodes<H: Heap>(
    a: &NodeRef<H>,
    b: &NodeRef<H>,
    depth: u32,
    compare: &mut impl Compare<H>,
) -> Result<bool, H::Error> {
    if a.as_ptr() == b.as_ptr() {
        return Ok(true);
    }
    if a.len() != b.len() {
        return Ok(false);
    }
    if H::LowWord::BITS > 0 && depth == Levels::<H>::AFTER_HASH {
        if let Some(equal) = equal_as_one_run(a, b, compare)? {
            return Ok(equal);
        }
    }
    match (a.contents(), b.contents()) {
        (Contents::Leaf(a), Contents::Leaf(b)) => equal_leaves(&a, &b, compare),
        (Contents::Branch(a), Contents::Branch(b)) => {
            // Comparing shapes first avoids user code for most unequal maps.
            if a.occupied() != b.occupied()
                || a.iter().zip(b.iter()).any(|(a, b)| a.len() != b.len())
            {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b.iter()) {
                if !equal_nodes(a, b, depth + 1, compare)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// As [`equal_nodes`], for nodes whose keys have one hash; `None` if all of the keys have a rehash.
///
/// It is not inlined, because values may be nested maps: its variables would take half a kilobyte of
/// stack at each level.
#[cold]
#[inline(never)]
fn equal_as_one_run<H: Heap>(
    a: &NodeRef<H>,
    b: &NodeRef<H>,
    compare: &mut impl Compare<H>,
) -> Result<Option<bool>, H::Error> {
    if !has_unrehashed(a) && !has_unrehashed(b) {
        return Ok(None);
    }
    equal_runs(&entries_of(a)?, &entries_of(b)?, compare).map(Some)
}

fn equal_leaves<H: Heap>(
    a: &Leaf<'_, H>,
    b: &Leaf<'_, H>,
    compare: &mut impl Compare<H>,
) -> Result<bool, H::Error> {
    if a.highs != b.highs || a.lows != b.lows {
        return Ok(false);
    }
    // Usually, each hash belongs to one key.
    if a.highs.windows(2).all(|pair| pair[0] != pair[1]) {
        for (entry, other) in a.entries.iter().zip(b.entries) {
            if !compare.same(&other.key, &entry.key)?
                || !compare.equal(&entry.value, &other.value)?
            {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    equal_leaves_run_by_run(a, b, compare)
}

/// As [`equal_leaves`], if several keys have one hash.
#[cold]
#[inline(never)] // See `equal_as_one_run`.
fn equal_leaves_run_by_run<H: Heap>(
    a: &Leaf<'_, H>,
    b: &Leaf<'_, H>,
    compare: &mut impl Compare<H>,
) -> Result<bool, H::Error> {
    let mut start = 0;
    while start < a.entries.len() {
        let run = a.run_from(start);
        if !equal_runs(run, b.run_from(start), compare)? {
            return Ok(false);
        }
        start += run.len();
    }
    Ok(true)
}

/// Whether two runs of entries with one hash are equal, in any order.
fn equal_runs<H: Heap>(
    run: &[impl Borrow<EntryOf<H>>],
    other: &[impl Borrow<EntryOf<H>>],
    compare: &mut impl Compare<H>,
) -> Result<bool, H::Error> {
    for entry in run {
        let entry = entry.borrow();
        let same = |a: &H::Key, b: &H::Key| compare.same(b, a);
        let mut probe = KeyProbe::<H, _> { key: &entry.key, same };
        let Some(found) = find_in_run(other, &mut probe)? else { return Ok(false) };
        if !compare.equal(&entry.value, &other[found].borrow().value)? {
            return Ok(false);
        }
    }
    Ok(true)
}
