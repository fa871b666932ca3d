//! Inserting and removing, in two phases.
//!
//! 1. *Locate*: find the leaf and the position in it. User code may run here (equality of keys),
//!    and may fail; nothing has changed then.
//! 2. *Edit*: walk down again, copying each node on the path that somebody else can reach
//!    ([`NodeRef::branch_mut`]) and editing those that nobody else can. No user code runs here but
//!    `Clone`: an edit drops no node, it hands what it took out to its caller ([`Retired`]). A
//!    failed allocation leaves the same entries, if in other nodes.

use super::branch_mut::BranchMut;
use super::hash::Hash;
use super::heap::Heap;
use super::iter::Iter;
use super::leaf_builder::LeafBuilder;
use super::node::{Contents, EntryOf, Slot};
use super::node_ref::NodeRef;
use super::retired::Retired;
use super::search::{Position, Probe, leaf_below, leaf_for};
use super::tuning::Shape as _;
use core::{mem, ptr};

/// Entries that a leaf at `depth` may hold.
#[inline]
pub(crate) const fn capacity<H: Heap>(depth: u32) -> usize {
    if depth * H::Shape::FRAGMENT_BITS >= Hash::BITS {
        // All bits of the hash are used up: a collision node, which holds any number of entries.
        u32::MAX as usize - 2
    } else if depth == 0 {
        H::Shape::ROOT_LEAF_CAPACITY
    } else {
        H::Shape::LEAF_CAPACITY
    }
}

/// Where a key is in a map, or would be: what [`Trie::locate`](super::Trie::locate) found out.
///
/// ```
#[doc = include_str!("example.txt")]
/// let squares = map([(1, 1), (2, 4), (3, 9)]);
/// let Ok(three) = squares.locate(hash(3), |stored: &u32| Ok(*stored == 3));
/// let Ok(four) = squares.locate(hash(4), |stored: &u32| Ok(*stored == 4));
/// assert!(three.is_found() && !four.is_found());
/// ```
///
/// What is done there: [`Trie::entry_at`](super::Trie::entry_at),
/// [`insert_at`](super::Trie::insert_at), [`remove_at`](super::Trie::remove_at).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Location(Place);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// The key is at this index of its leaf.
    Found(usize),
    /// The key is not in its leaf, where those with its hash begin at this index.
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

/// Finds out where a key is.
#[inline]
pub(crate) fn locate<H: Heap>(
    root: &Slot<H>,
    hash: Hash,
    probe: &mut impl Probe<H>,
) -> Result<Location, H::Error> {
    let leaf = root.as_ref().and_then(|root| leaf_for(root, hash));
    Ok(Location(match leaf {
        None => Place::NoLeaf,
        Some(leaf) => match leaf.position(hash, probe)? {
            Position::Found(index) => Place::Found(index),
            Position::Vacant(index) => Place::Vacant(index),
        },
    }))
}

/// The entry at `location`, if the key was found.
#[inline]
pub(crate) fn entry_at<H: Heap>(
    root: &Slot<H>,
    hash: Hash,
    location: Location,
) -> Option<&EntryOf<H>> {
    let Place::Found(index) = location.0 else { return None };
    let leaf = leaf_for(root.as_ref()?, hash)?;
    (leaf.hashes.get(index) == Some(&hash)).then(|| &leaf.entries[index])
}

/// Puts `entry` at `location` and returns the value that its key had.
pub(crate) fn insert_at<H: Heap>(
    root: &mut Slot<H>,
    hash: Hash,
    location: Location,
    entry: EntryOf<H>,
    retired: &mut Retired<H>,
) -> Result<Option<H::Value>, H::Error> {
    match (root, location.0) {
        (Some(node), Place::Found(index)) => {
            replace_below(node, 0, hash, index, entry.value, retired).map(Some)
        }
        (Some(node), place) => {
            add_below(node, 0, hash, place, entry, retired)?;
            Ok(None)
        }
        (root, _) => {
            *root = Some(NodeRef::leaf_of_one(hash, entry, true)?);
            Ok(None)
        }
    }
}

fn replace_below<H: Heap>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: Hash,
    index: usize,
    value: H::Value,
    retired: &mut Retired<H>,
) -> Result<H::Value, H::Error> {
    if matches!(node.contents(), Contents::Leaf(_)) {
        return node.replace_value(index, value, retired);
    }
    let mut branch = node.branch_mut(retired)?;
    let (old, traced) = {
        let child = occupied(&mut branch, depth, hash);
        (replace_below(child, depth + 1, hash, index, value, retired)?, child.is_traced())
    };
    if traced {
        branch.mark_traced();
    }
    Ok(old)
}

/// Adds an entry.
fn add_below<H: Heap>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: Hash,
    place: Place,
    entry: EntryOf<H>,
    retired: &mut Retired<H>,
) -> Result<(), H::Error> {
    if let Contents::Leaf(leaf) = node.contents() {
        let Place::Vacant(start) = place else { unreachable!("a leaf was found without the key") };
        let index = leaf.place_for(start, hash, &entry.key);
        if leaf.entries.len() < capacity::<H>(depth) {
            return node.insert_entry(index, hash, entry, retired);
        }
        return node.split_leaf(index, hash, entry, depth, retired);
    }
    let len = node.len();
    let mut branch = node.branch_mut(retired)?;
    let fragment = hash.fragment(depth, H::Shape::FRAGMENT_BITS);
    let traced = if let Some(child) = branch.child_mut(fragment) {
        add_below(child, depth + 1, hash, place, entry, retired)?;
        child.is_traced()
    } else {
        let child = NodeRef::leaf_of_one(hash, entry, false)?;
        let traced = child.is_traced();
        let previous = branch.put(fragment, Some(child));
        debug_assert!(previous.is_none(), "the slot had no child");
        traced
    };
    branch.set_len(len + 1);
    if traced {
        branch.mark_traced();
    }
    Ok(())
}

/// Removes the entry at `location`, where the key was found, and returns it.
pub(crate) fn remove_at<H: Heap>(
    root: &mut Slot<H>,
    hash: Hash,
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

/// Removes the entry at `index` of the leaf for `hash`, and returns it; `node` has another entry.
fn remove_below<H: Heap>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: Hash,
    index: usize,
    retired: &mut Retired<H>,
) -> Result<EntryOf<H>, H::Error> {
    if matches!(node.contents(), Contents::Leaf(_)) {
        return node.remove_entry(index, retired);
    }
    let len = node.len() - 1;
    if len <= capacity::<H>(depth) {
        // Equal content means equal shape: a branch that fits into a leaf is one.
        let (removed, leaf) = gather_without(node, depth, hash, index)?;
        retired.keep(mem::replace(node, leaf));
        return Ok(removed);
    }
    let mut branch = node.branch_mut(retired)?;
    let fragment = hash.fragment(depth, H::Shape::FRAGMENT_BITS);
    let removed = match branch.child_mut(fragment) {
        Some(child) if child.len() > 1 => remove_below(child, depth + 1, hash, index, retired)?,
        Some(child) => {
            let Contents::Leaf(leaf) = child.contents() else {
                unreachable!("a branch has more than one entry")
            };
            let removed = leaf.entries[0].clone();
            if let Some(emptied) = branch.put(fragment, None) {
                retired.keep(emptied);
            }
            removed
        }
        None => unreachable!("the entry to remove was found below this slot"),
    };
    branch.set_len(len);
    Ok(removed)
}

/// The entry at `index` of the leaf for `hash`, and a leaf with all other entries below the branch
/// `node`.
fn gather_without<H: Heap>(
    node: &NodeRef<H>,
    depth: u32,
    hash: Hash,
    index: usize,
) -> Result<(EntryOf<H>, NodeRef<H>), H::Error> {
    let Some(leaf) = leaf_below(node, depth, hash) else {
        unreachable!("the entry to remove was found below this branch")
    };
    let left_out = &leaf.entries[index];
    let mut builder = LeafBuilder::new(node.len() - 1, depth == 0)?;
    for (hash, entry) in Iter::below(Some(node), depth) {
        if !ptr::eq(entry, left_out) {
            builder.push(hash, entry.clone());
        }
    }
    Ok((left_out.clone(), builder.finish()))
}

fn occupied<'a, H: Heap>(
    branch: &'a mut BranchMut<'_, H>,
    depth: u32,
    hash: Hash,
) -> &'a mut NodeRef<H> {
    match branch.child_mut(hash.fragment(depth, H::Shape::FRAGMENT_BITS)) {
        Some(child) => child,
        None => unreachable!("the key was found below this slot"),
    }
}
