//! Inserting and removing, in two phases.
//!
//! 1. *Locate*: find the leaf and the position in it. User code may run here (equality of keys),
//!    and may fail; nothing has changed then.
//! 2. *Edit*: walk down again, copying each node on the path that somebody else can reach
//!    ([`NodeRef::branch_mut`]) and editing those that nobody else can. No user code runs here but
//!    `Clone`: what an edit takes out is kept by the caller until the edit is over. A failed
//!    allocation leaves the same entries, if in other nodes.

use super::hash::Hash;
use super::heap::Heap;
use super::iter::Iter;
use super::node::{BranchMut, Contents, EntryOf, Leaf, LeafBuilder, NodeRef, Slot};
use super::search::{Position, leaf_for};
use super::tuning::Shape as _;

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

/// Puts `entry` below `root` and returns the value that its key had.
pub(crate) fn insert<H: Heap>(
    root: &mut Slot<H>,
    hash: Hash,
    entry: EntryOf<H>,
    mut same: impl FnMut(&H::Key, &H::Key) -> Result<bool, H::Error>,
) -> Result<Insertion<H>, H::Error> {
    let Some(node) = root else {
        *root = Some(NodeRef::leaf_of_one(hash, entry)?);
        return Ok(Insertion::Added);
    };
    let edit = match leaf_for(node, hash) {
        None => Edit::NewLeaf,
        Some(leaf) => match leaf.position(hash, |stored| same(&entry.key, stored))? {
            Position::Vacant(index) => Edit::Add(index),
            Position::Found(index) => {
                if H::is_identical(&leaf.entries[index].value, &entry.value) {
                    return Ok(Insertion::Unchanged(entry.value));
                }
                return Ok(Insertion::Replaced(replace_below(node, 0, hash, index, entry.value)?));
            }
        },
    };
    add_below(node, 0, hash, &edit, entry)?;
    Ok(Insertion::Added)
}

/// What an insertion did, and the value that the key had before.
pub enum Insertion<H: Heap> {
    /// The key is new.
    Added,
    /// The key had this value.
    Replaced(H::Value),
    /// The key had this very value already.
    Unchanged(H::Value),
}

/// How the leaf of a new key changes.
enum Edit {
    /// There is none yet.
    NewLeaf,
    /// It gets one more entry, at this index.
    Add(usize),
}

fn replace_below<H: Heap>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: Hash,
    index: usize,
    value: H::Value,
) -> Result<H::Value, H::Error> {
    if matches!(node.contents(), Contents::Leaf(_)) {
        return node.replace_value(index, value);
    }
    let mut branch = node.branch_mut()?;
    let (old, traced) = {
        let child = occupied(&mut branch, depth, hash);
        (replace_below(child, depth + 1, hash, index, value)?, child.is_traced())
    };
    if traced {
        branch.mark_traced();
    }
    Ok(old)
}

fn add_below<H: Heap>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: Hash,
    edit: &Edit,
    entry: EntryOf<H>,
) -> Result<(), H::Error> {
    if let Contents::Leaf(leaf) = node.contents() {
        let Edit::Add(index) = *edit else { unreachable!("a leaf was found, so it is edited") };
        if leaf.entries.len() < capacity::<H>(depth) {
            return node.insert_entry(index, hash, entry);
        }
        // The overfull leaf is built beside the old one, which stays as it is if that fails.
        let mut overfull = node.clone();
        overfull.insert_entry(index, hash, entry)?;
        *node = settle(overfull, depth)?;
        return Ok(());
    }
    let len = node.len();
    let mut branch = node.branch_mut()?;
    let traced = {
        let slot = &mut branch.children()[hash.fragment(depth, H::Shape::FRAGMENT_BITS)];
        match slot {
            Some(child) => add_below(child, depth + 1, hash, edit, entry)?,
            None => *slot = Some(NodeRef::leaf_of_one(hash, entry)?),
        }
        slot.as_ref().is_some_and(NodeRef::is_traced)
    };
    branch.set_len(len + 1);
    if traced {
        branch.mark_traced();
    }
    Ok(())
}

/// The subtree that holds the entries of `leaf`, which lies at `depth` and may be overfull.
///
/// It stays a leaf if it is within its capacity, else it becomes a branch whose children hold a
/// contiguous range of the entries each. O(entries) at each level that is made.
fn settle<H: Heap>(leaf: NodeRef<H>, depth: u32) -> Result<NodeRef<H>, H::Error> {
    let Contents::Leaf(all) = leaf.contents() else { unreachable!("only leaves are settled") };
    if all.entries.len() <= capacity::<H>(depth) {
        return Ok(leaf);
    }
    let mut node = NodeRef::branch_of(&[], all.entries.len(), leaf.is_traced())?;
    let mut branch = BranchMut::of_new(&mut node);
    let mut rest = all;
    while let Some(first) = rest.hashes.first() {
        let fragment = first.fragment(depth, H::Shape::FRAGMENT_BITS);
        let same = |hash: &Hash| hash.fragment(depth, H::Shape::FRAGMENT_BITS) == fragment;
        let count = rest.hashes.partition_point(same);
        let (hashes, hashes_after) = rest.hashes.split_at(count);
        let (entries, entries_after) = rest.entries.split_at(count);
        let part = NodeRef::leaf_of(&Leaf { hashes, entries }, leaf.is_traced())?;
        branch.children()[fragment] = Some(settle(part, depth + 1)?);
        rest = Leaf { hashes: hashes_after, entries: entries_after };
    }
    Ok(node)
}

/// Removes the entry with `hash` whose key `matches` accepts, and returns it.
pub(crate) fn remove<H: Heap>(
    root: &mut Slot<H>,
    hash: Hash,
    matches: impl FnMut(&H::Key) -> Result<bool, H::Error>,
) -> Result<Option<EntryOf<H>>, H::Error> {
    let Some(node) = root else { return Ok(None) };
    let Some(leaf) = leaf_for(node, hash) else { return Ok(None) };
    let Position::Found(index) = leaf.position(hash, matches)? else { return Ok(None) };
    let removed = leaf.entries[index].clone();
    if node.len() == 1 {
        *root = None;
    } else {
        remove_below(node, 0, hash, index)?;
    }
    Ok(Some(removed))
}

/// Removes the entry at `index` of the leaf for `hash`; `node` has another entry.
fn remove_below<H: Heap>(
    node: &mut NodeRef<H>,
    depth: u32,
    hash: Hash,
    index: usize,
) -> Result<(), H::Error> {
    if matches!(node.contents(), Contents::Leaf(_)) {
        return node.remove_entry(index);
    }
    let len = node.len() - 1;
    if len <= capacity::<H>(depth) {
        // Equal content means equal shape: a branch that fits into a leaf is one.
        *node = gather_without(node, depth, hash, index)?;
        return Ok(());
    }
    let mut branch = node.branch_mut()?;
    let slot = &mut branch.children()[hash.fragment(depth, H::Shape::FRAGMENT_BITS)];
    match slot {
        Some(child) if child.len() > 1 => remove_below(child, depth + 1, hash, index)?,
        _ => *slot = None,
    }
    branch.set_len(len);
    Ok(())
}

/// A leaf with all entries below the branch `node` but the one at `index` of the leaf for `hash`.
fn gather_without<H: Heap>(
    node: &NodeRef<H>,
    depth: u32,
    hash: Hash,
    index: usize,
) -> Result<NodeRef<H>, H::Error> {
    let Some(leaf) = leaf_below(node, depth, hash) else {
        unreachable!("the entry to remove was found below this branch")
    };
    let left_out: *const EntryOf<H> = &raw const leaf.entries[index];
    let mut builder = LeafBuilder::new(node.len() - 1)?;
    for (hash, entry) in Iter::below(Some(node)) {
        if !std::ptr::eq(entry, left_out) {
            builder.push(hash, entry.clone());
        }
    }
    Ok(builder.finish())
}

/// As [`leaf_for`], from a node at `depth`.
fn leaf_below<H: Heap>(node: &NodeRef<H>, depth: u32, hash: Hash) -> Option<Leaf<'_, H>> {
    match node.contents() {
        Contents::Leaf(leaf) => Some(leaf),
        Contents::Branch(children) => {
            let child = children[hash.fragment(depth, H::Shape::FRAGMENT_BITS)].as_ref()?;
            leaf_below(child, depth + 1, hash)
        }
    }
}

fn occupied<'a, H: Heap>(
    branch: &'a mut BranchMut<'_, H>,
    depth: u32,
    hash: Hash,
) -> &'a mut NodeRef<H> {
    match &mut branch.children()[hash.fragment(depth, H::Shape::FRAGMENT_BITS)] {
        Some(child) => child,
        None => unreachable!("the key was found below this slot"),
    }
}
