//! Inserting and removing in one walk, if no node on the path to the key is shared.
//!
//! The walk finds the leaf, and compares keys there. No other code can reach the map meanwhile, since it
//! is borrowed mutably; so the edit begins where the walk has ended, and changes nodes in place. Entries
//! are moved, never cloned.

use super::{Retired, capacity, has_space, merged_span, split};
use crate::map::heap::CloningHeap;
use crate::map::levels::HashOf;
use crate::map::node::leaf_builder::LeafBuilder;
use crate::map::node::reference::NodeRef;
use crate::map::node::unshared_path::UnsharedPath;
use crate::map::node::{Contents, EntryOf, Slot, Span, grown_room};
use crate::map::search::{KeyProbe, Probe};
use crate::map::trie::{Insertion, Trie};
use crate::map::tuning::Shape as _;
use core::ptr::NonNull;

/// The result of an edit, or else what the edit needs to be tried in two phases: a node is shared.
type InOneWalk<T, N> = Result<T, N>;

/// The index of a new entry in its leaf, and its address, unless the leaf was split.
type Placed<H> = Option<(usize, NonNull<EntryOf<H>>)>;

/// Inserts an entry, or replaces the value of the stored key that is the `same`.
#[inline]
pub(crate) fn insert<H: CloningHeap>(
    root: &mut Slot<H>,
    hash: HashOf<H>,
    entry: EntryOf<H>,
    same: &mut impl FnMut(&H::Key, &H::Key) -> Result<bool, H::Error>,
) -> Result<InOneWalk<Insertion<H>, EntryOf<H>>, H::Error> {
    let mut path = UnsharedPath::from(root, hash);
    if !path.walk() {
        return Ok(Err(entry));
    }
    let Some(Contents::Leaf(leaf)) = path.leaf().map(NodeRef::contents) else {
        put_leaf_of_one(&mut path, hash, entry)?;
        return Ok(Ok(Insertion::Added));
    };
    if let Some(index) = leaf.index_of(hash, &mut KeyProbe { key: &entry.key, same })? {
        if H::is_identical(&leaf.entries[index].value, &entry.value) {
            return Ok(Ok(Insertion::Unchanged(entry.value)));
        }
        let (old, traced) = path.replace_value(index, entry.value);
        path.update_branches(path.depth(), 0, traced);
        return Ok(Ok(Insertion::Replaced(old)));
    }
    add(&mut path, hash, entry)?;
    Ok(Ok(Insertion::Added))
}

/// Inserts an entry whose key is not in the map. Returns its index and its address, unless its leaf was
/// split.
#[inline]
pub(super) fn insert_missing<H: CloningHeap>(
    root: &mut Slot<H>,
    hash: HashOf<H>,
    entry: EntryOf<H>,
) -> Result<InOneWalk<Placed<H>, EntryOf<H>>, H::Error> {
    let mut path = UnsharedPath::from(root, hash);
    if !path.walk() {
        return Ok(Err(entry));
    }
    let place = if path.leaf().is_some() {
        add(&mut path, hash, entry)?
    } else {
        put_leaf_of_one(&mut path, hash, entry)?;
        Some(0)
    };
    Ok(Ok(place.map(|index| (index, path.entry_mut(index)))))
}

/// Puts a leaf with an entry at the end of a path, where no leaf is.
#[inline]
fn put_leaf_of_one<H: CloningHeap>(
    path: &mut UnsharedPath<'_, H>,
    hash: HashOf<H>,
    entry: EntryOf<H>,
) -> Result<(), H::Error> {
    let mut builder = LeafBuilder::with_room(1, H::Shape::GROWTH_STEP, path.depth() == 0)?;
    builder.push(hash, entry);
    let leaf = builder.finish();
    let traced = leaf.is_traced();
    path.put_leaf(leaf);
    path.update_branches(path.depth(), 1, traced);
    Ok(())
}

/// Adds an entry to the leaf at the end of a path, where its key is not. Returns its index, unless the
/// leaf was split.
#[inline(always)]
fn add<H: CloningHeap>(
    path: &mut UnsharedPath<'_, H>,
    hash: HashOf<H>,
    entry: EntryOf<H>,
) -> Result<Option<usize>, H::Error> {
    let traced = H::is_key_traceable(&entry.key) || H::is_value_traceable(&entry.value);
    let mut capacity = capacity::<H>(path.depth());
    if H::Shape::SPANS && path.depth() > 0 {
        // A leaf with several slots is limited below the last bit of the hash, too.
        capacity = capacity.min(H::Shape::LEAF_CAPACITY);
    }
    let place = match path.insert_into_leaf(entry, capacity) {
        Ok(index) => Some(index),
        Err(entry) => make_room_and_insert(path, hash, entry, capacity)?,
    };
    path.update_branches(path.depth(), 1, traced);
    Ok(place)
}

/// Inserts an entry into the leaf at the end of a path, which moves to a larger leaf or is split. Returns
/// the index of the entry, unless the leaf was split.
#[inline(never)]
fn make_room_and_insert<H: CloningHeap>(
    path: &mut UnsharedPath<'_, H>,
    hash: HashOf<H>,
    entry: EntryOf<H>,
    capacity: usize,
) -> Result<Option<usize>, H::Error> {
    let entry = if path.grow_leaf(capacity)? {
        match path.insert_into_leaf(entry, capacity) {
            Ok(index) => return Ok(Some(index)),
            Err(entry) => entry,
        }
    } else {
        entry
    };
    let Some(Contents::Leaf(leaf)) = path.leaf().map(NodeRef::contents) else {
        unreachable!("the path ends at a leaf")
    };
    let (depth, len) = (path.depth(), leaf.entries.len());
    let index = leaf.place(hash, &entry.key);
    let fits = has_space(&leaf, depth, &entry.key);
    let mut retired = Retired::none();
    if H::Shape::SPANS && depth > 0 && len >= H::Shape::LEAF_CAPACITY {
        let slot = path.slot_at(depth - 1);
        let mut branch = path.branch(depth - 1);
        if split::is_full_leaf(&branch, slot, depth - 1) {
            split::split_child(&mut branch, depth - 1, hash, index, entry, &mut retired)?;
            return Ok(None);
        }
    }
    let insert = |leaf: &mut NodeRef<H>| {
        if fits {
            leaf.insert_entry(index, hash, entry, &mut retired)
        } else {
            leaf.split_leaf(index, hash, entry, depth, &mut retired)
        }
    };
    path.change_leaf(insert).unwrap_or(Ok(()))?;
    Ok(fits.then_some(index))
}

/// The part of a map that becomes one leaf when an entry is removed.
enum Merged {
    /// The branch at this depth.
    Branch(u32),
    /// The children in a span of the branch at this depth.
    Span(u32, Span),
}

/// Removes and returns the entry with `hash` whose key matches the probe, if there is one.
#[inline]
pub(crate) fn remove<H: CloningHeap>(
    root: &mut Slot<H>,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
) -> Result<InOneWalk<Option<EntryOf<H>>, ()>, H::Error> {
    let mut path = UnsharedPath::from(root, hash);
    if !path.walk() {
        return Ok(Err(()));
    }
    let Some(Contents::Leaf(leaf)) = path.leaf().map(NodeRef::contents) else {
        return Ok(Ok(None));
    };
    let Some(index) = leaf.index_of(hash, probe)? else { return Ok(Ok(None)) };
    Ok(remove_at_end(&mut path, index)?.map(Some).ok_or(()))
}

/// Removes and returns the entry at `index` of the leaf for `hash`.
pub(super) fn remove_found<H: CloningHeap>(
    root: &mut Slot<H>,
    hash: HashOf<H>,
    index: usize,
) -> Result<InOneWalk<EntryOf<H>, ()>, H::Error> {
    let mut path = UnsharedPath::from(root, hash);
    if !path.walk() {
        return Ok(Err(()));
    }
    Ok(remove_at_end(&mut path, index)?.ok_or(()))
}

/// Removes and returns the entry at `index` of the leaf at the end of a path. Returns `None`, and changes
/// nothing, if the leaf has to be merged with a shared one.
#[inline(always)]
fn remove_at_end<H: CloningHeap>(
    path: &mut UnsharedPath<'_, H>,
    index: usize,
) -> Result<Option<EntryOf<H>>, H::Error> {
    let len = path.leaf().map_or(0, NodeRef::len);
    if let Some(merged) = merged(path) {
        return remove_and_merge(path, merged, index);
    }
    let depth = path.depth();
    let removed = if len == 1 {
        let removed = path.change_leaf(|leaf| leaf.remove_in_place(index));
        path.take_leaf();
        removed
    } else if let Some(removed) = path.remove_from_leaf(index) {
        Some(removed)
    } else {
        let mut retired = Retired::none();
        path.change_leaf(|leaf| leaf.remove_entry(index, &mut retired)).transpose()?
    };
    path.update_branches(depth, -1, false);
    Ok(removed)
}

/// The largest part of the map around the end of a path that is not one leaf, but has to be when an
/// entry of the leaf at the end is removed.
#[inline]
fn merged<H: CloningHeap>(path: &mut UnsharedPath<'_, H>) -> Option<Merged> {
    if path.depth() == 0 {
        return None;
    }
    // The root may hold more entries as a leaf than another node.
    if path.branch(0).len() - 1 <= capacity::<H>(0) {
        return Some(Merged::Branch(0));
    }
    let mut merged = None;
    for depth in (0..path.depth()).rev() {
        let slot = path.slot_at(depth);
        let branch = path.branch(depth);
        if branch.len() - 1 <= capacity::<H>(depth) {
            merged = Some(Merged::Branch(depth));
            continue;
        }
        if H::Shape::SPANS {
            if let Some(span) = merged_span(&branch.children(), slot) {
                merged = Some(Merged::Span(depth, span));
            }
        }
        break;
    }
    merged
}

/// Removes the entry at `index` of the leaf at the end of a path, and makes one leaf of other entries.
/// Returns `None`, and changes nothing, if one of the merged nodes is shared.
#[inline(never)]
fn remove_and_merge<H: CloningHeap>(
    path: &mut UnsharedPath<'_, H>,
    merged: Merged,
    index: usize,
) -> Result<Option<EntryOf<H>>, H::Error> {
    let (depth, span) = match merged {
        Merged::Branch(depth) => (depth, Span::whole::<H>()),
        Merged::Span(depth, span) => (depth, span),
    };
    let is_root = depth == 0 && matches!(merged, Merged::Branch(_));
    let branch = path.branch(depth);
    let children = branch.children();
    if !children.in_span(span).all(is_unshared_below) {
        return Ok(None);
    }
    let len = children.len_of(span) - 1;
    let mut builder = LeafBuilder::with_room(len, grown_room::<H>(len), is_root)?;
    let Some(removed) = path.change_leaf(|leaf| leaf.remove_in_place(index)) else {
        unreachable!("the key was found in a leaf")
    };
    path.branch(depth).take_all(span, |child| builder.absorb(child));
    let leaf = builder.finish();
    match merged {
        Merged::Span(..) => {
            path.branch(depth).put(span, Some(leaf));
            path.update_branches(depth + 1, -1, false);
        }
        Merged::Branch(depth) => {
            path.update_branches(depth, -1, false);
            // The branch has no children any more.
            path.replace_branch(depth, leaf);
        }
    }
    Ok(Some(removed))
}

impl<H: CloningHeap> Trie<H> {
    /// Whether no node of the map is shared. O(n).
    pub(crate) fn is_unshared(&self) -> bool {
        self.root().is_none_or(is_unshared_below)
    }
}

/// Whether neither a node nor a node below it is shared.
fn is_unshared_below<H: CloningHeap>(node: &NodeRef<H>) -> bool {
    node.is_unique()
        && match node.contents() {
            Contents::Leaf(_) => true,
            Contents::Branch(children) => children.iter().all(is_unshared_below),
        }
}
