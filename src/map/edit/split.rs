//! Splitting a full leaf of a shape with spans, to add an entry: its upper half moves to a new leaf.
//!
//! ```text
//!  before   | - | - |      leaf, 16 entries        |     span 4..8, and an entry for slot 7
//!  after    | - | - |  leaf, 9     |  leaf, 8      |     spans 4..6 and 6..8
//! ```
//!
//! If all entries are in one half, this half is split instead. If they are in one slot, the slot gets a
//! branch, whose slots are split by the next fragment.

use super::{Retired, capacity};
use crate::map::heap::CloningHeap;
use crate::map::levels::{HashOf, Levels, fragment};
use crate::map::node::branch_mut::BranchMut;
use crate::map::node::reference::NodeRef;
use crate::map::node::{Contents, EntryOf, ReservedLeaf, Span, grown_room};
use crate::map::reserve;
use crate::map::tuning::Shape as _;
use alloc::vec::Vec;

/// Whether the child in a slot of a branch at `depth` is a leaf without space for another entry.
#[inline]
pub(super) fn is_full_leaf<H: CloningHeap>(
    branch: &BranchMut<'_, H>,
    slot: usize,
    depth: u32,
) -> bool {
    let children = branch.children();
    let Some(child) = children.get(slot) else { return false };
    if child.len() < H::Shape::LEAF_CAPACITY || matches!(child.contents(), Contents::Branch(_)) {
        return false;
    }
    child.len() >= capacity::<H>(depth + 1) || children.span_at(slot).width > 1
}

/// The new places of the entries of a leaf.
enum Plan {
    /// Entries up to, not including, `cut` stay; the rest goes to the upper half of `span`.
    Cut { span: Span, cut: usize },
    /// All entries have the same hash.
    OneHash,
}

/// Splits the full leaf in the slot for `hash` of a branch at `depth`, and inserts an entry, whose index
/// in the leaf is `index`.
///
/// On error the entries of the map are as before.
#[inline(never)]
pub(super) fn split_child<H: CloningHeap>(
    branch: &mut BranchMut<'_, H>,
    depth: u32,
    hash: HashOf<H>,
    index: usize,
    entry: EntryOf<H>,
    retired: &mut Retired<H>,
) -> Result<(), H::Error> {
    let slot = fragment::<H>(hash, depth);
    let old_span = branch.children().span_at(slot);
    let Some(mut child) = branch.child_mut(slot) else { unreachable!("the slot has a leaf") };
    child.unshare_leaf(retired)?;
    let (len, traced) = (child.len(), child.is_traced());
    let (bottom, plan) = plan(&child, depth, old_span, hash);

    // Everything that may fail comes before the first change.
    let mut new_branches = Vec::new();
    for _ in depth..bottom {
        let new = NodeRef::branch_of(None, len + 1, traced, false)?;
        reserve::push::<H, _>(&mut new_branches, new)?;
    }
    let (leaf_span, new_leaf) = match plan {
        Plan::OneHash => {
            child.insert_entry(index, hash, entry, retired)?;
            (Span::around(fragment::<H>(hash, bottom), 1), None)
        }
        Plan::Cut { span, cut } => {
            let [low, high] = span.halves();
            if cut == 0 {
                (high, Some((low, NodeRef::leaf_of_one(hash, entry, false)?)))
            } else if cut == len {
                (low, Some((high, NodeRef::leaf_of_one(hash, entry, false)?)))
            } else {
                let is_lower = fragment::<H>(hash, bottom) < high.first;
                let upper_len = len - cut + usize::from(!is_lower);
                let reserved = ReservedLeaf::new(grown_room::<H>(upper_len))?;
                let mut upper = child.split_off(cut, reserved);
                // Both leaves have room, so neither insertion allocates.
                if is_lower {
                    child.insert_entry(index, hash, entry, retired)?;
                } else {
                    upper.insert_entry(index - cut, hash, entry, retired)?;
                }
                (low, Some((high, upper)))
            }
        }
    };
    drop(child);

    let Some(leaf) = branch.put(old_span, None) else { unreachable!("the slot has a leaf") };
    let mut pieces = [Some((leaf_span, leaf)), new_leaf];
    let depths = (depth..bottom).rev();
    for (mut new, above) in new_branches.into_iter().zip(depths) {
        put_pieces(&mut BranchMut::of_new(&mut new), pieces);
        pieces = [Some((Span::around(fragment::<H>(hash, above), 1), new)), None];
    }
    put_pieces(branch, pieces);
    Ok(())
}

/// Puts children into empty spans.
fn put_pieces<H: CloningHeap>(
    branch: &mut BranchMut<'_, H>,
    pieces: [Option<(Span, NodeRef<H>)>; 2],
) {
    for (span, child) in pieces.into_iter().flatten() {
        if child.is_traced() {
            branch.mark_traced();
        }
        let previous = branch.put(span, Some(child));
        debug_assert!(previous.is_none(), "the slots are empty");
    }
}

/// The depth of the branch whose slots are split, and the split.
fn plan<H: CloningHeap>(leaf: &NodeRef<H>, depth: u32, span: Span, hash: HashOf<H>) -> (u32, Plan) {
    let Contents::Leaf(leaf) = leaf.contents() else { unreachable!("leaves are split") };
    let len = leaf.entries().len();
    let (mut depth, mut span) = (depth, span);
    loop {
        if span.width == 1 {
            depth += 1;
            if depth == Levels::<H>::AFTER_REHASH {
                return (depth - 1, Plan::OneHash);
            }
            span = Span::whole::<H>();
        }
        let [low, high] = span.halves();
        let cut = leaf.partition_point(0..len, depth, |it| it < high.first);
        match cut + usize::from(fragment::<H>(hash, depth) < high.first) {
            0 => span = high,
            lower if lower == len + 1 => span = low,
            _ => return (depth, Plan::Cut { span, cut }),
        }
    }
}
