//! Editing a leaf: in place if it is unshared, else by replacing it with an edited copy.

#![allow(unsafe_code)] // Edits nodes in place, whose memory has no safe type in Rust.

use super::leaf_builder::{LeafBuilder, Source};
use super::leaf_in_place::{LeafMut, ReservedLeaf};
use super::reference::NodeRef;
use super::{Contents, EntryOf, Node};
use crate::map::build;
use crate::map::edit::Retired;
use crate::map::fingerprints;
use crate::map::heap::{CloningHeap, Heap};
use crate::map::levels::HashOf;
use crate::map::tuning::Shape as _;
use core::mem;
use core::ops::Range;
use core::ptr::NonNull;

impl<H: Heap> NodeRef<H> {
    /// Replaces the value at `index` of this leaf and returns the old one.
    ///
    /// If the leaf is copied, `retired` keeps the original. On error the leaf is unchanged.
    pub(crate) fn replace_value(
        &mut self,
        index: usize,
        value: H::Value,
        retired: &mut Retired<H>,
    ) -> Result<H::Value, H::Error>
    where
        H: CloningHeap,
    {
        self.unshare_leaf(retired)?;
        // SAFETY: `unshare_leaf` has made `self` the only reference.
        Ok(unsafe { self.put_value(index, value) }.0)
    }

    /// Replaces the value at `index` of this leaf. Returns the old one, and the address of the new
    /// one; or the new one, if the leaf is shared. The tag stays as it is.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn replace_value_in_place(
        &mut self,
        index: usize,
        value: H::Value,
    ) -> Result<(H::Value, *const H::Value), H::Value> {
        if !self.is_unique() {
            return Err(value);
        }
        // SAFETY: `is_unique` has just found that this is the only reference.
        Ok(unsafe { self.put_value(index, value) })
    }

    /// # Safety
    ///
    /// `self` is the only reference to the node.
    #[inline(always)]
    pub(super) unsafe fn put_value(
        &mut self,
        index: usize,
        value: H::Value,
    ) -> (H::Value, *const H::Value) {
        assert!(index < self.len(), "the entry was found in this leaf");
        // SAFETY: the index is inside the leaf. `self` is the only reference, so the entry is not
        // borrowed elsewhere.
        unsafe {
            let entry = &mut *Node::entry_ptr(self.as_ptr(), index);
            let old = mem::replace(&mut entry.value, value);
            if !self.is_traced() && H::is_value_traceable(&entry.value) {
                self.mark_traced();
            }
            (old, &raw const (*Node::entry_ptr(self.as_ptr(), index)).value)
        }
    }

    /// Makes this leaf unshared, by replacing a shared one with a copy.
    ///
    /// If the leaf is copied, `retired` keeps the original. On error the leaf is unchanged.
    pub(crate) fn unshare_leaf(&mut self, retired: &mut Retired<H>) -> Result<(), H::Error>
    where
        H: CloningHeap,
    {
        if self.is_unique() {
            // SAFETY: `is_unique` has just found that this is the only reference to the node.
            unsafe { self.clear_cached() };
            return Ok(());
        }
        let copy = LeafBuilder::copy_of(self)?;
        retired.keep(mem::replace(self, copy));
        Ok(())
    }

    /// The address of the entry at `index` of this leaf, whose value is about to change, if the leaf is
    /// unshared.
    ///
    /// [`Heap::trace`] is not called for the new value, so this is for heaps without tracing.
    #[inline]
    pub(crate) fn entry_mut(&mut self, index: usize) -> Option<NonNull<EntryOf<H>>> {
        let is_there = !self.header().kind.is_branch() && index < self.len();
        if !is_there || !self.is_unique() {
            return None;
        }
        // SAFETY: `is_unique` has found that this is the only reference. The index is inside the leaf, so
        // the entry is inside its allocation.
        unsafe {
            self.clear_cached();
            Some(NonNull::new_unchecked(Node::entry_ptr(self.as_ptr(), index)))
        }
    }

    /// Inserts an entry at `index` of this leaf, which may grow beyond its capacity.
    ///
    /// If the leaf is copied, `retired` keeps the original. On error the leaf is unchanged.
    pub(crate) fn insert_entry(
        &mut self,
        index: usize,
        hash: HashOf<H>,
        entry: EntryOf<H>,
        retired: &mut Retired<H>,
    ) -> Result<(), H::Error>
    where
        H: CloningHeap,
    {
        let len = self.len();
        self.assert_place(index, hash);
        if is_too_long::<H>(len + 1) || !self.is_unique() {
            let new = Some((hash, entry));
            self.rebuild_leaf(len + 1, 0..index, new, index..len, retired)?;
            return Ok(());
        }
        if len == self.header().room() {
            // SAFETY: `is_unique` has found that this is the only reference.
            unsafe { self.grow(grown_room::<H>(len + 1))? };
        }
        let is_traceable = H::is_key_traceable(&entry.key) || H::is_value_traceable(&entry.value);
        // SAFETY: `is_unique` has found that this is the only reference.
        unsafe {
            self.clear_cached();
            LeafMut::of(self.as_ptr()).insert(index, hash, entry);
            if is_traceable {
                self.mark_traced();
            }
        }
        Ok(())
    }

    /// Moves the entries of this leaf to a new leaf with more room.
    ///
    /// # Safety
    ///
    /// This is the only reference to the leaf.
    pub(super) unsafe fn grow(&mut self, room: usize) -> Result<(), H::Error> {
        // SAFETY: this is the only reference. `moved_to` moves each entry once, and `dealloc` then frees
        // the leaf without dropping entries.
        unsafe {
            let grown = LeafMut::of(self.as_ptr()).moved_to(room)?;
            mem::replace(self, grown).dealloc();
        }
        Ok(())
    }

    /// Panics unless the entries stay sorted with a new entry with `hash` at `index`. They may not if
    /// the index was found in another map. Code that moves entries relies on the order.
    #[inline]
    fn assert_place(&self, index: usize, hash: HashOf<H>) {
        let Contents::Leaf(leaf) = self.contents() else {
            unreachable!("entries are inserted into leaves")
        };
        assert!(index <= leaf.highs.len(), "the index is inside the leaf");
        let is_in_order = (index == 0 || leaf.hash(index - 1) <= hash)
            && (index == leaf.highs.len() || leaf.hash(index) >= hash);
        assert!(is_in_order, "the index is where the hash belongs in this leaf");
    }

    /// Removes the entry at `index` of this leaf and returns it; the leaf has another entry.
    ///
    /// If the leaf is copied, `retired` keeps the original. On error the leaf is unchanged.
    pub(crate) fn remove_entry(
        &mut self,
        index: usize,
        retired: &mut Retired<H>,
    ) -> Result<EntryOf<H>, H::Error>
    where
        H: CloningHeap,
    {
        let (len, room) = (self.len(), self.header().room());
        if is_too_wide::<H>(len - 1, room) || is_too_long::<H>(len) || !self.is_unique() {
            let removed = self.rebuild_leaf(len - 1, 0..index, None, index + 1..len, retired)?;
            let Some(removed) = removed else { unreachable!("one entry was left out") };
            return Ok(removed);
        }
        // SAFETY: `is_unique` has found that this is the only reference.
        unsafe {
            self.clear_cached();
            Ok(LeafMut::of(self.as_ptr()).remove(index))
        }
    }

    /// Removes and returns the entry at `index` of this leaf, which must be unshared, and keeps its room.
    /// The leaf may be empty then, until the caller drops it.
    pub(crate) fn remove_in_place(&mut self, index: usize) -> EntryOf<H> {
        assert!(self.is_unique() && !self.header().kind.is_branch(), "the leaf is unshared");
        // SAFETY: this is the only reference to a leaf.
        unsafe {
            self.clear_cached();
            LeafMut::of(self.as_ptr()).remove(index)
        }
    }

    /// Moves the entries from `start` on, but not all entries, to a new leaf in `other`. This leaf must be
    /// unshared, and keeps its room.
    pub(crate) fn split_off(&mut self, start: usize, other: ReservedLeaf<H>) -> NodeRef<H> {
        assert!(self.is_unique() && !self.header().kind.is_branch(), "an unshared leaf is split");
        // SAFETY: this is the only reference to a leaf.
        unsafe { LeafMut::of(self.as_ptr()).split_off(start, other) }
    }

    /// Replaces this leaf by a leaf of `len` entries: `head`, then `middle`, then `tail`.
    ///
    /// Returns the entry between `head` and `tail`, if there is one. If the original leaf is shared,
    /// `retired` keeps it.
    fn rebuild_leaf(
        &mut self,
        len: usize,
        head: Range<usize>,
        middle: Option<(HashOf<H>, EntryOf<H>)>,
        tail: Range<usize>,
        retired: &mut Retired<H>,
    ) -> Result<Option<EntryOf<H>>, H::Error>
    where
        H: CloningHeap,
    {
        let is_inside = head.end <= tail.start && tail.start <= tail.end && tail.end == self.len();
        assert!(is_inside, "the entry is inside the leaf");
        let left_out = (head.end..tail.start).next();
        let is_unique = self.is_unique();
        let room = if is_unique { grown_room::<H>(len) } else { len };
        let mut builder = LeafBuilder::with_room(len, room, self.is_root())?;
        // SAFETY: entries are moved only if this is the only reference. `head`, the entry that is
        // left out and `tail` are all entries, each taken once. Taking them does not panic, because
        // moves copy bits, and `dealloc` then frees the leaf without dropping entries.
        unsafe {
            let source = self.as_source(is_unique);
            let removed = left_out.map(|index| source.take(index));
            builder.take_range(&source, head);
            if let Some((hash, entry)) = middle {
                builder.push(hash, entry);
            }
            builder.take_range(&source, tail);
            let original = mem::replace(self, builder.finish());
            if is_unique {
                original.dealloc();
            } else {
                retired.keep(original);
            }
            Ok(removed)
        }
    }

    /// Replaces this leaf by the subtree at `depth` of its entries and a new entry at `index`.
    ///
    /// If the leaf is copied, `retired` keeps the original. On error the leaf is unchanged.
    pub(crate) fn split_leaf(
        &mut self,
        index: usize,
        hash: HashOf<H>,
        entry: EntryOf<H>,
        depth: u32,
        retired: &mut Retired<H>,
    ) -> Result<(), H::Error>
    where
        H: CloningHeap,
    {
        let is_moved = H::ALLOCATION_IS_INFALLIBLE && self.is_unique();
        self.assert_place(index, hash);
        // SAFETY: entries are moved only if this is the only reference and allocations neither fail
        // nor panic. So `split` takes each entry once without an interruption, and `dealloc` then
        // frees the leaf without dropping entries.
        unsafe {
            let subtree =
                build::split(&self.as_source(is_moved), Some((index, hash, entry)), depth)?;
            let original = mem::replace(self, subtree);
            if is_moved {
                original.dealloc();
            } else {
                retired.keep(original);
            }
            Ok(())
        }
    }

    /// The entries of this leaf, to build other leaves from.
    ///
    /// # Safety
    ///
    /// If `is_moved`, the conditions of [`Source::moved`] hold.
    unsafe fn as_source(&self, is_moved: bool) -> Source<'_, H> {
        let Contents::Leaf(leaf) = self.contents() else {
            unreachable!("entries are taken from leaves")
        };
        // SAFETY: the conditions of `Source::moved` are those of this function.
        unsafe {
            if is_moved {
                Source::moved(leaf, self.is_traced())
            } else {
                Source::kept(leaf, self.is_traced())
            }
        }
    }

    /// Frees the memory of a leaf whose entries have been moved out.
    ///
    /// # Safety
    ///
    /// This is the only reference to the leaf, and its entries are owned elsewhere.
    pub(super) unsafe fn dealloc(self) {
        let node = self.into_raw();
        // SAFETY: the only reference is given up here, and the layout is that of the node itself.
        // The tag, which is still initialised, is dropped before the memory is freed.
        unsafe {
            Node::drop_tag(node);
            H::dealloc(node, node.as_ref().layout());
        }
    }
}

/// Whether a leaf of `len` entries is not edited in place: it has no fingerprints, but a leaf that is
/// shorter by one entry may have them.
#[inline]
pub(super) const fn is_too_long<H: Heap>(len: usize) -> bool {
    if H::Shape::FINGERPRINTS { len > fingerprints::COUNT } else { len > u16::MAX as usize }
}

/// Whether an unshared leaf of `len` entries has so much room that it moves to a smaller one.
#[inline]
pub(super) const fn is_too_wide<H: Heap>(len: usize, room: usize) -> bool {
    room - len >= 2 * H::Shape::GROWTH_STEP
}

/// The number of entries for which an unshared leaf of `len` entries gets room: it is likely to grow.
#[inline]
pub(crate) const fn grown_room<H: Heap>(len: usize) -> usize {
    let room = len.next_multiple_of(H::Shape::GROWTH_STEP);
    if is_too_long::<H>(room) { len } else { room }
}
