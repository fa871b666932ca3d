//! Inserting and removing, in two phases.
//!
//! 1. *Locate*: find the leaf and the position in it. User code may run here (equality of keys) and
//!    may fail; the map has not changed then.
//! 2. *Edit*: descend again, copy each shared node on the path ([`NodeRef::branch_mut`]) and edit
//!    unshared nodes in place. Only `Clone` of user code runs here: an edit drops no node, but
//!    returns the nodes that it replaced to its caller ([`Retired`]). A failed allocation leaves the
//!    entries as they were, possibly in new nodes.
//!
//! | file | concept |
//! | --- | --- |
//! | `mod.rs` | one key: locating, inserting, removing |
//! | `one_walk.rs` | the same in one walk instead of two, if no node of the path is shared |
//! | `split.rs` | making space in a full leaf of a shape with spans |
//! | `in_place.rs` | a new value for a key whose index in its leaf is likely to be known |
//! | `get_mut.rs` | values in place, for Rust programs |
//! | `located.rs` | a located key, for Rust programs: the entry interface |
//! | `rewrite.rs` | new values for all entries, in many versions of a map |
//! | `retired.rs` | the nodes that an edit replaced, to be dropped by its caller |

mod get_mut;
#[cfg(feature = "std")] // For the bindings of contexts.
mod in_place;
mod located;
mod one_walk;
mod retired;
mod rewrite;
mod split;

#[cfg(feature = "std")] // For the bindings of contexts.
pub(crate) use in_place::InPlace;
pub(crate) use located::{Found, Located, Missing};
pub(crate) use one_walk::{insert as insert_in_one_walk, remove as remove_in_one_walk};
pub use retired::{Edited, Retired};
pub use rewrite::Rewrite;

use crate::map::hash::LowWord as _;
use crate::map::heap::{CloningHeap, Heap};
use crate::map::iter::Iter;
use crate::map::levels::{HashOf, Levels, fragment, rehash_fragment, rehash_or_zero};
use crate::map::node::branch_mut::{BranchMut, ChildMut};
use crate::map::node::leaf_builder::LeafBuilder;
use crate::map::node::reference::NodeRef;
use crate::map::node::{Children, Contents, EntryOf, Leaf, Node, Slot, Span, fragments};
use crate::map::search::{PathEnd, Position, Probe, find_colliding, path_end};
use crate::map::tuning::{REHASHED_LEAF_CAPACITY, Shape as _};
use core::{mem, ptr};

/// The number of entries that a leaf at `depth` may hold, unless they [are one run](is_one_run).
#[inline]
pub(crate) const fn capacity<H: Heap>(depth: u32) -> usize {
    if depth >= Levels::<H>::AFTER_REHASH {
        // No bits are left: a collision node, which holds any number of entries.
        u32::MAX as usize - 2
    } else if depth > Levels::<H>::AFTER_HASH {
        // Not more than elsewhere: a branch whose only child is a leaf has one run below it.
        let most = H::Shape::LEAF_CAPACITY;
        if most < REHASHED_LEAF_CAPACITY { most } else { REHASHED_LEAF_CAPACITY }
    } else if depth == 0 {
        H::Shape::ROOT_LEAF_CAPACITY
    } else {
        H::Shape::LEAF_CAPACITY
    }
}

/// Whether entries of a subtree at `depth` belong in one leaf, however many there are: they have the
/// same hash, and the same rehash or none. `first` and `last` are the first and the last key.
#[inline]
pub(crate) fn is_one_run<H: Heap>(depth: u32, first: &H::Key, last: &H::Key) -> bool {
    H::LowWord::BITS > 0
        && depth >= Levels::<H>::AFTER_HASH
        && rehash_or_zero::<H>(first) == rehash_or_zero::<H>(last)
}

/// The position of a key in a map, or the position at which it would be inserted: the result of
/// [`Trie::locate`](crate::map::Trie::locate).
///
/// ```
#[doc = include_str!("../doc_prelude.txt")]
/// let squares = map([(1, 1), (2, 4), (3, 9)]);
/// let Ok(three) = squares.locate(hash(3), |stored: &u32| Ok(*stored == 3));
/// let Ok(four) = squares.locate(hash(4), |stored: &u32| Ok(*stored == 4));
/// assert!(three.is_found() && !four.is_found());
/// ```
///
/// It is an argument of [`Trie::entry_at`](crate::map::Trie::entry_at),
/// [`insert_at`](crate::map::Trie::insert_at) and [`remove_at`](crate::map::Trie::remove_at).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Location(Place);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// The key is at this index of its leaf or, if a branch holds the keys with its hash, at this index
    /// among all entries below that branch.
    Found(usize),
    /// The key is not in its leaf. Entries with its high word, if there are any, start at this index.
    Vacant(usize),
    /// There is no leaf for the key.
    NoLeaf,
}

impl Location {
    /// Whether the key is in the map.
    ///
    /// See [`Location`] for an example.
    #[inline]
    pub const fn is_found(self) -> bool {
        matches!(self.0, Place::Found(_))
    }

    /// The index of the key in its leaf, if it is in the map.
    #[inline]
    pub(crate) const fn index(self) -> Option<usize> {
        match self.0 {
            Place::Found(index) => Some(index),
            _ => None,
        }
    }
}

/// Locates a key.
#[inline]
pub(crate) fn locate<H: Heap>(
    root: &Slot<H>,
    hash: HashOf<H>,
    probe: &mut impl Probe<H>,
) -> Result<Location, H::Error> {
    let end = root.as_ref().and_then(|root| path_end(root, hash));
    Ok(Location(match end {
        None => Place::NoLeaf,
        Some(PathEnd::Leaf(leaf)) => match leaf.position(hash, probe)? {
            Position::Found(index) => Place::Found(index),
            Position::Vacant(index) => Place::Vacant(index),
        },
        Some(PathEnd::Colliding(run)) => match find_colliding::<H, true>(run, probe)? {
            Some((index, _)) => Place::Found(index),
            // All entries of the leaf that the key belongs in have its hash.
            None => Place::Vacant(0),
        },
    }))
}

/// The entry at `location`, if the key was found.
#[inline]
pub(crate) fn entry_at<H: Heap>(
    root: &Slot<H>,
    hash: HashOf<H>,
    location: Location,
) -> Option<&EntryOf<H>> {
    let Place::Found(index) = location.0 else { return None };
    match path_end(root.as_ref()?, hash)? {
        PathEnd::Leaf(leaf) => {
            let is_there =
                leaf.highs.get(index) == Some(&hash.high) && leaf.lows[index] == hash.low;
            is_there.then(|| &leaf.entries[index])
        }
        PathEnd::Colliding(run) => {
            let (leaf, index) = leaf_below(run, Levels::<H>::AFTER_HASH, hash, index)?;
            leaf.entries().get(index)
        }
    }
}

/// The slot, in a branch at `depth`, that leads to the entry at `index` of those with `hash`. Below
/// the last bit of the hash, `index` is reduced to the index below that slot.
#[inline]
fn fragment_toward<H: Heap>(
    children: &Children<'_, H>,
    depth: u32,
    hash: HashOf<H>,
    index: &mut usize,
) -> Option<usize> {
    if depth < Levels::<H>::AFTER_HASH {
        return Some(fragment::<H>(hash, depth));
    }
    fragments(children.occupied()).find(|&fragment| {
        let len = children.get(fragment).map_or(0, NodeRef::len);
        let is_below = *index < len;
        *index -= if is_below { 0 } else { len };
        is_below
    })
}

/// The leaf, below a node at `depth`, with the entry at `index` of those with `hash`, and the index of
/// the entry in the leaf.
fn leaf_below<H: Heap>(
    mut node: &NodeRef<H>,
    mut depth: u32,
    hash: HashOf<H>,
    mut index: usize,
) -> Option<(LeafNode<'_, H>, usize)> {
    loop {
        match node.contents() {
            Contents::Leaf(leaf) => return Some((LeafNode { node, leaf }, index)),
            Contents::Branch(children) => {
                node = children.get(fragment_toward(&children, depth, hash, &mut index)?)?;
                depth += 1;
            }
        }
    }
}

/// A leaf and its node.
struct LeafNode<'a, H: Heap> {
    node: &'a NodeRef<H>,
    leaf: Leaf<'a, H>,
}

impl<'a, H: Heap> LeafNode<'a, H> {
    const fn entries(&self) -> &'a [EntryOf<H>] {
        self.leaf.entries()
    }
}

/// Inserts `entry` at `location` and returns the old value of its key.
pub(crate) fn insert_at<H: CloningHeap>(
    root: &mut Slot<H>,
    hash: HashOf<H>,
    location: Location,
    entry: EntryOf<H>,
    retired: &mut Retired<H>,
) -> Result<Option<H::Value>, H::Error> {
    match (root, location.0) {
        (Some(node), Place::Found(index)) => {
            replace_below(node, 0, hash, index, entry.value, retired).map(Some)
        }
        (Some(node), place) => {
            add_below(node, 0, hash, 0, place, entry, retired)?;
            Ok(None)
        }
        (root, _) => {
            *root = Some(NodeRef::leaf_of_one(hash, entry, true)?);
            Ok(None)
        }
    }
}

fn replace_below<H: CloningHeap>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: HashOf<H>,
    mut index: usize,
    value: H::Value,
    retired: &mut Retired<H>,
) -> Result<H::Value, H::Error> {
    let fragment = match node.contents() {
        Contents::Leaf(_) => return node.replace_value(index, value, retired),
        Contents::Branch(children) => fragment_toward(&children, depth, hash, &mut index),
    };
    let mut branch = node.branch_mut(retired)?;
    let (old, traced) = {
        let mut child = child_toward(&mut branch, fragment);
        (replace_below(&mut child, depth + 1, hash, index, value, retired)?, child.is_traced())
    };
    if traced {
        branch.mark_traced();
    }
    Ok(old)
}

/// Adds an entry. Below the last bit of the hash, `own` is the rehash of its key, or 0.
fn add_below<H: CloningHeap>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: HashOf<H>,
    mut own: u64,
    place: Place,
    entry: EntryOf<H>,
    retired: &mut Retired<H>,
) -> Result<(), H::Error> {
    if let Contents::Leaf(leaf) = node.contents() {
        let index = place_in(&leaf, place, hash, &entry.key);
        if has_space(&leaf, depth, &entry.key) {
            return node.insert_entry(index, hash, entry, retired);
        }
        return node.split_leaf(index, hash, entry, depth, retired);
    }
    let len = node.len();
    let mut branch = node.branch_mut(retired)?;
    let fragment = if depth < Levels::<H>::AFTER_HASH {
        fragment::<H>(hash, depth)
    } else {
        if depth == Levels::<H>::AFTER_HASH {
            own = rehash_or_zero::<H>(&entry.key);
        }
        rehash_fragment::<H>(own, depth)
    };
    if H::Shape::SPANS && split::is_full_leaf(&branch, fragment, depth) {
        let index = place_in_child(&branch, fragment, place, hash, &entry.key);
        split::split_child(&mut branch, depth, hash, index, entry, retired)?;
        branch.set_len(len + 1);
        return Ok(());
    }
    let traced = if let Some(mut child) = branch.child_mut(fragment) {
        add_below(&mut child, depth + 1, hash, own, place, entry, retired)?;
        child.is_traced()
    } else {
        let child = NodeRef::leaf_of_one(hash, entry, false)?;
        let traced = child.is_traced();
        let span = branch.children().vacant_span_at(fragment);
        let previous = branch.put(span, Some(child));
        debug_assert!(previous.is_none(), "the slots have no child");
        traced
    };
    branch.set_len(len + 1);
    if traced {
        branch.mark_traced();
    }
    Ok(())
}

/// Whether a leaf at `depth` may hold one more entry, with this key.
#[inline]
fn has_space<H: Heap>(leaf: &Leaf<'_, H>, depth: u32, key: &H::Key) -> bool {
    let len = leaf.entries.len();
    len < capacity::<H>(depth)
        || [0, len - 1].iter().all(|&it| is_one_run::<H>(depth, &leaf.entries[it].key, key))
}

/// The index at which a new entry belongs in the leaf where its key was not found.
#[inline]
fn place_in<H: Heap>(leaf: &Leaf<'_, H>, place: Place, hash: HashOf<H>, key: &H::Key) -> usize {
    let Place::Vacant(start) = place else {
        unreachable!("the location is a leaf without the key")
    };
    leaf.place_for(start, hash, key)
}

/// As [`place_in`], for the leaf in a slot.
fn place_in_child<H: Heap>(
    branch: &BranchMut<'_, H>,
    slot: usize,
    place: Place,
    hash: HashOf<H>,
    key: &H::Key,
) -> usize {
    match branch.children().get(slot).map(NodeRef::contents) {
        Some(Contents::Leaf(leaf)) => place_in(&leaf, place, hash, key),
        _ => unreachable!("the location is a leaf without the key"),
    }
}

/// Removes and returns the entry at `location`, if the key was found there.
pub(crate) fn remove_at<H: CloningHeap>(
    root: &mut Slot<H>,
    hash: HashOf<H>,
    location: Location,
    retired: &mut Retired<H>,
) -> Result<Option<EntryOf<H>>, H::Error> {
    let (Some(node), Some(index)) = (&mut *root, location.index()) else { return Ok(None) };
    if node.len() == 1 {
        let removed = entry_at(root, hash, location).cloned();
        if let Some(last) = root.take() {
            retired.keep(last);
        }
        return Ok(removed);
    }
    remove_below(node, 0, hash, index, retired).map(Some)
}

/// Removes and returns the entry at `index` of those with `hash`; see [`Place::Found`]. There is
/// another entry below `node`.
fn remove_below<H: CloningHeap>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: HashOf<H>,
    mut index: usize,
    retired: &mut Retired<H>,
) -> Result<EntryOf<H>, H::Error> {
    let Contents::Branch(children) = node.contents() else {
        return node.remove_entry(index, retired);
    };
    let len = node.len() - 1;
    if len <= capacity::<H>(depth) {
        // Equal content means equal shape: entries that fit into a leaf are one.
        let (removed, leaf) = gather_without(node, depth, hash, index)?;
        retired.keep(mem::replace(node, leaf));
        return Ok(removed);
    }
    // If the remaining entries are one run, they are a leaf below one of at most two slots.
    if depth >= Levels::<H>::AFTER_HASH && children.occupied().count_ones() <= 2 {
        if let Some(rest) = run_without(node, depth, hash, index) {
            let removed = entry_below(node, depth, hash, index).clone();
            retired.keep(mem::replace(node, rest));
            return Ok(removed);
        }
    }
    if H::Shape::SPANS {
        if let Some(span) = merged_span(&children, fragment::<H>(hash, depth)) {
            let (removed, merged) = merge_without(node, &children, span, depth, hash, index)?;
            retired.keep(mem::replace(node, merged));
            return Ok(removed);
        }
    }
    let fragment = fragment_toward(&children, depth, hash, &mut index);
    let mut branch = node.branch_mut(retired)?;
    let Some(fragment) = fragment else { unreachable!("the entry to remove was found below") };
    let Some(mut child) = branch.child_mut(fragment) else {
        unreachable!("the entry to remove was found below this slot")
    };
    let removed = if child.len() > 1 {
        let removed = remove_below(&mut child, depth + 1, hash, index, retired)?;
        drop(child);
        removed
    } else {
        let Contents::Leaf(leaf) = child.contents() else {
            unreachable!("a branch has more than one entry")
        };
        let removed = leaf.entries[0].clone();
        drop(child);
        let span = branch.children().span_at(fragment);
        if let Some(emptied) = branch.put(span, None) {
            retired.keep(emptied);
        }
        removed
    };
    branch.set_len(len);
    Ok(removed)
}

/// The span around a slot that becomes one leaf when an entry of the child there is removed: the
/// widest span whose other entries fit into a leaf. `None` if this is the span of the child.
#[inline]
pub(crate) fn merged_span<H: Heap>(children: &Children<'_, H>, slot: usize) -> Option<Span> {
    let own = children.span_at(slot);
    let mut span = own;
    // The entries that may be beside those that stay in the child.
    let mut left = H::Shape::LEAF_CAPACITY + 1;
    left = left.checked_sub(children.get(slot).map_or(0, NodeRef::len))?;
    while 2 * span.width < Node::<H>::FANOUT {
        let Some(rest) = children.room_beside(span.sibling(), left) else { break };
        left = rest;
        span = span.doubled();
    }
    (span != own).then_some(span)
}

/// The entry at `index` of those with `hash`, and a copy of a branch without the entry, in which the
/// other entries of `span` are one leaf.
#[cold]
fn merge_without<H: CloningHeap>(
    node: &NodeRef<H>,
    children: &Children<'_, H>,
    span: Span,
    depth: u32,
    hash: HashOf<H>,
    index: usize,
) -> Result<(EntryOf<H>, NodeRef<H>), H::Error> {
    let left_out = entry_below(node, depth, hash, index);
    let below = children.in_span(span).flat_map(|child| Iter::below(Some(child), depth + 1));
    let merged = leaf_without(below, children.len_of(span), left_out, false)?;
    let removed = left_out.clone();
    let (len, traced) = (node.len() - 1, node.is_traced());
    let mut copy = NodeRef::branch_of(Some(children), len, traced, node.is_root())?;
    let mut branch = BranchMut::of_new(&mut copy);
    // The original branch keeps these children alive.
    branch.take_all(span, drop);
    branch.put(span, Some(merged));
    Ok((removed, copy))
}

/// The entry at `index` of those with `hash` below a node at `depth`.
fn entry_below<H: Heap>(
    node: &NodeRef<H>,
    depth: u32,
    hash: HashOf<H>,
    index: usize,
) -> &EntryOf<H> {
    match leaf_below(node, depth, hash, index) {
        Some((leaf, index)) => &leaf.entries()[index],
        None => unreachable!("the entry was found below this node"),
    }
}

/// The leaf with all entries below the branch `node` except the one at `index`, if they are one run.
#[cold]
fn run_without<H: Heap>(
    node: &NodeRef<H>,
    depth: u32,
    hash: HashOf<H>,
    index: usize,
) -> Option<NodeRef<H>> {
    let last = node.len() - 1;
    let first = usize::from(index == 0);
    let [a, b] = [first, last - usize::from(index == last)]
        .map(|index| &entry_below(node, depth, hash, index).key);
    let rest = is_one_run::<H>(depth, a, b).then(|| leaf_below(node, depth, hash, first))?;
    rest.map(|(leaf, _)| NodeRef::clone(leaf.node))
}

/// The entry at `index` of those with `hash`, and a new leaf with all other entries below the branch
/// `node`.
fn gather_without<H: CloningHeap>(
    node: &NodeRef<H>,
    depth: u32,
    hash: HashOf<H>,
    index: usize,
) -> Result<(EntryOf<H>, NodeRef<H>), H::Error> {
    let left_out = entry_below(node, depth, hash, index);
    let below = Iter::below(Some(node), depth);
    let leaf = leaf_without(below, node.len(), left_out, depth == 0)?;
    Ok((left_out.clone(), leaf))
}

/// A leaf with clones of `len` entries except one of them.
fn leaf_without<'a, H: CloningHeap + 'a>(
    entries: impl Iterator<Item = (HashOf<H>, &'a EntryOf<H>)>,
    len: usize,
    left_out: &EntryOf<H>,
    is_root: bool,
) -> Result<NodeRef<H>, H::Error> {
    let mut builder = LeafBuilder::new(len - 1, is_root)?;
    for (hash, entry) in entries.filter(|&(_, entry)| !ptr::eq(entry, left_out)) {
        builder.push(hash, entry.clone());
    }
    Ok(builder.finish())
}

fn child_toward<'a, H: Heap>(
    branch: &'a mut BranchMut<'_, H>,
    fragment: Option<usize>,
) -> ChildMut<'a, H> {
    match fragment.and_then(|fragment| branch.child_mut(fragment)) {
        Some(child) => child,
        None => unreachable!("the key was found below this slot"),
    }
}
