//! The path to a leaf, if no node on it is shared, so that it can be edited in place.

#![allow(unsafe_code)] // A path holds pointers to the slots of nodes that it has borrowed mutably.

use super::branch_mut::BranchMut;
use super::leaf_edit::{grown_room, is_too_long, is_too_wide};
use super::leaf_in_place::LeafMut;
use super::reference::NodeRef;
use super::{Contents, EntryOf, Node, Slot};
use crate::map::hash::{HighWord, LowWord as _};
use crate::map::heap::Heap;
use crate::map::levels::{HashOf, Levels, fragment};
use crate::map::tuning::Shape as _;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// The largest number of branches on a path: the narrowest use one bit of the high word each.
const DEEPEST: usize = HighWord::BITS as usize;

/// The branches from the root to the slot for a hash. None of them is shared, nor the leaf in the slot.
pub(crate) struct UnsharedPath<'a, H: Heap> {
    /// The slots that hold the branches, initialised up to, not including, `depth`.
    branches: [MaybeUninit<NonNull<NodeRef<H>>>; DEEPEST],
    depth: usize,
    /// The slot where the path ends: it is empty or has a leaf.
    end: NonNull<Slot<H>>,
    hash: HashOf<H>,
    _root: PhantomData<&'a mut Slot<H>>,
}

impl<'a, H: Heap> UnsharedPath<'a, H> {
    /// A path that ends at the root.
    #[inline(always)] // Moving a path takes longer than walking it.
    pub(crate) fn from(root: &'a mut Slot<H>, hash: HashOf<H>) -> Self {
        let branches = [const { MaybeUninit::uninit() }; DEEPEST];
        Self { branches, depth: 0, end: NonNull::from(root), hash, _root: PhantomData }
    }

    /// Extends the path to the slot for the hash. Returns whether no node on it is shared, nor below the
    /// last bit of the hash; else the path must not be used.
    #[inline(always)] // As above.
    pub(crate) fn walk(&mut self) -> bool {
        let mut bits = self.hash.high.bits();
        // SAFETY: the root is borrowed mutably. Each node on the way has one reference, in the slot
        // that was just read, so no other code can reach its slots.
        unsafe {
            while let Some(node) = self.end.as_ref() {
                if !node.is_unique() {
                    return false;
                }
                if !node.header().kind.is_branch() {
                    break;
                }
                let depth = self.depth as u32;
                if H::LowWord::BITS > 0 && depth >= Levels::<H>::AFTER_HIGH {
                    return false;
                }
                let fragment = (bits >> (HighWord::BITS - H::Shape::FRAGMENT_BITS)) as usize;
                bits <<= H::Shape::FRAGMENT_BITS;
                let slot = node.slot_ptr_at(fragment, depth == 0);
                self.branches[self.depth].write(self.end.cast());
                self.depth += 1;
                self.end = NonNull::new_unchecked(slot);
            }
        }
        true
    }

    /// The number of branches above the end of the path.
    #[inline]
    pub(crate) fn depth(&self) -> u32 {
        self.depth as u32
    }

    /// The leaf at the end of the path.
    #[inline]
    pub(crate) fn leaf(&self) -> Option<&NodeRef<H>> {
        // SAFETY: the path has borrowed the slot.
        unsafe { self.end.as_ref().as_ref() }
    }

    /// The branch at a depth less than that of the end.
    #[inline]
    pub(crate) fn branch(&mut self, depth: u32) -> BranchMut<'_, H> {
        // SAFETY: `walk` has initialised these pointers. The slot has a branch, to which it owns the
        // only reference, and the path is borrowed mutably.
        unsafe { BranchMut::of_unshared(self.branches[depth as usize].assume_init().as_mut()) }
    }

    /// The slot of the branch at `depth` through which the path leads.
    #[inline]
    pub(crate) fn slot_at(&self, depth: u32) -> usize {
        fragment::<H>(self.hash, depth)
    }

    /// The address of the entry at `index` of the leaf at the end of the path, whose value is about to
    /// change.
    #[inline(always)]
    pub(crate) fn entry_mut(&mut self, index: usize) -> NonNull<EntryOf<H>> {
        self.update_branches(self.depth(), 0, false);
        // SAFETY: the path has borrowed the slot mutably.
        match unsafe { self.end.as_mut() }.as_mut().and_then(|leaf| leaf.entry_mut(index)) {
            Some(entry) => entry,
            None => unreachable!("the entry was found in an unshared leaf"),
        }
    }

    /// Inserts an entry into the leaf at the end of the path, if it has room and less than `capacity`
    /// entries. Returns the index of the entry. Its key is not there, and its hash is that of the path.
    #[inline(always)]
    pub(crate) fn insert_into_leaf(
        &mut self,
        entry: EntryOf<H>,
        capacity: usize,
    ) -> Result<usize, EntryOf<H>> {
        let Some(leaf) = self.leaf() else { return Err(entry) };
        let (header, node) = (leaf.header(), leaf.as_ptr());
        let room = header.room().min(capacity);
        if header.len() >= room || is_too_long::<H>(header.len() + 1) {
            return Err(entry);
        }
        let is_traceable = H::is_key_traceable(&entry.key) || H::is_value_traceable(&entry.value);
        // SAFETY: `walk` has found that the leaf is unshared. The path has borrowed it mutably.
        unsafe {
            let mut leaf = LeafMut::of(node);
            let index = if H::LowWord::BITS == 0 {
                leaf.insert_in_order(self.hash, entry)
            } else {
                let Contents::Leaf(contents) = Node::contents(node) else { return Err(entry) };
                let index = contents.place(self.hash, &entry.key);
                leaf.insert(index, self.hash, entry)
            };
            let mut leaf = core::mem::ManuallyDrop::new(NodeRef::from_raw(node));
            leaf.clear_cached();
            if is_traceable {
                leaf.mark_traced();
            }
            Ok(index)
        }
    }

    /// Gives the leaf at the end of the path room for another entry, if it has less than `capacity`
    /// entries. Returns whether there is room.
    #[inline]
    pub(crate) fn grow_leaf(&mut self, capacity: usize) -> Result<bool, H::Error> {
        let len = self.leaf().map_or(capacity, NodeRef::len);
        if len >= capacity || is_too_long::<H>(len + 1) {
            return Ok(false);
        }
        // SAFETY: `walk` has found that the leaf is unshared.
        let grown = self.change_leaf(|leaf| unsafe { leaf.grow(grown_room::<H>(len + 1)) });
        grown.unwrap_or(Ok(())).map(|()| true)
    }

    /// Removes and returns the entry at `index` of the leaf at the end of the path, which has another
    /// entry, unless the leaf has to move to a smaller one.
    #[inline(always)]
    pub(crate) fn remove_from_leaf(&mut self, index: usize) -> Option<EntryOf<H>> {
        let leaf = self.leaf()?;
        let (header, node) = (leaf.header(), leaf.as_ptr());
        let len = header.len();
        if is_too_wide::<H>(len - 1, header.room()) || is_too_long::<H>(len) {
            return None;
        }
        // SAFETY: `walk` has found that the leaf is unshared. The path has borrowed it mutably.
        unsafe {
            core::mem::ManuallyDrop::new(NodeRef::from_raw(node)).clear_cached();
            Some(LeafMut::of(node).remove(index))
        }
    }

    /// Replaces a value of the leaf at the end of the path. Returns the old value, and whether the leaf
    /// is traced.
    #[inline(always)]
    pub(crate) fn replace_value(&mut self, index: usize, value: H::Value) -> (H::Value, bool) {
        // SAFETY: `walk` has found that the leaf is unshared. The path has borrowed it mutably.
        unsafe {
            let Some(leaf) = self.end.as_mut() else { unreachable!("the path ends at a leaf") };
            leaf.clear_cached();
            (leaf.put_value(index, value).0, leaf.is_traced())
        }
    }

    /// Calls `change` with the leaf at the end of the path, which it may replace by another node.
    #[inline(always)]
    pub(crate) fn change_leaf<T>(
        &mut self,
        change: impl FnOnce(&mut NodeRef<H>) -> T,
    ) -> Option<T> {
        if self.depth == 0 {
            // SAFETY: the path has borrowed the slot mutably.
            return unsafe { self.end.as_mut().as_mut().map(change) };
        }
        let slot = self.slot_at(self.depth() - 1);
        let mut branch = self.branch(self.depth() - 1);
        let mut leaf = branch.child_mut(slot)?;
        Some(change(&mut leaf))
    }

    /// Puts a leaf into the empty slot at the end of the path.
    pub(crate) fn put_leaf(&mut self, leaf: NodeRef<H>) {
        debug_assert!(self.leaf().is_none(), "the slot is empty");
        if self.depth == 0 {
            // SAFETY: the path has borrowed the slot mutably.
            unsafe { *self.end.as_mut() = Some(leaf) };
            return;
        }
        let slot = self.slot_at(self.depth() - 1);
        let mut branch = self.branch(self.depth() - 1);
        let span = branch.children().vacant_span_at(slot);
        branch.put(span, Some(leaf));
    }

    /// Drops the leaf at the end of the path, which has no entries any more.
    pub(crate) fn take_leaf(&mut self) {
        debug_assert!(self.leaf().is_none_or(|leaf| leaf.len() == 0), "the leaf has no entries");
        if self.depth == 0 {
            // SAFETY: the path has borrowed the slot mutably.
            unsafe { *self.end.as_mut() = None };
            return;
        }
        let slot = self.slot_at(self.depth() - 1);
        let mut branch = self.branch(self.depth() - 1);
        let span = branch.children().span_at(slot);
        branch.put(span, None);
    }

    /// Replaces the branch at `depth`, which has no children any more. The path ends there.
    pub(crate) fn replace_branch(&mut self, depth: u32, node: NodeRef<H>) {
        // SAFETY: `walk` has initialised the pointer to a slot that the path has borrowed mutably.
        unsafe { *self.branches[depth as usize].assume_init_mut().as_mut() = node };
    }

    /// Adds `added`, which may be -1, to the number of entries below the first branches of the path,
    /// and resets what they cache. `traced` says whether something traceable was added.
    #[inline(always)]
    pub(crate) fn update_branches(&mut self, count: u32, added: isize, traced: bool) {
        for depth in 0..count {
            let mut branch = self.branch(depth);
            branch.clear_cached();
            branch.set_len(branch.len().wrapping_add_signed(added));
            if traced {
                branch.mark_traced();
            }
        }
    }
}
