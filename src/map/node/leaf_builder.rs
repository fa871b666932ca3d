//! Making a leaf, entry by entry.

#![allow(unsafe_code)] // Writes into memory that is not initialised.

use super::reference::NodeRef;
use super::{EntryOf, Leaf, Node};
use crate::map::hash::HighWord;
use crate::map::heap::Heap;
use crate::map::levels::HashOf;
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::ptr::{self, NonNull};

/// A leaf from which others are made.
pub(crate) struct Source<'a, H: Heap> {
    pub(crate) leaf: Leaf<'a, H>,
    pub(crate) traced: bool,
    is_moved: bool,
}

impl<'a, H: Heap> Source<'a, H> {
    /// A leaf that stays as it is: its entries are cloned.
    pub(crate) fn kept(leaf: Leaf<'a, H>, traced: bool) -> Self {
        Self { leaf, traced, is_moved: false }
    }

    /// A leaf whose entries are moved out.
    ///
    /// # Safety
    ///
    /// Nobody else can reach the leaf. The caller takes each entry once, and frees the leaf without
    /// dropping any, before anything can panic.
    pub(super) unsafe fn moved(leaf: Leaf<'a, H>, traced: bool) -> Self {
        Self { leaf, traced, is_moved: true }
    }

    /// The entry at `index`.
    #[inline]
    pub(super) fn take(&self, index: usize) -> EntryOf<H> {
        let entry = &self.leaf.entries[index];
        // SAFETY: as the maker of the source has promised.
        if self.is_moved { unsafe { ptr::read(entry) } } else { entry.clone() }
    }
}

/// A leaf in the making, which is dropped properly if a clone panics or an allocation fails.
pub(crate) struct LeafBuilder<H: Heap> {
    node: NonNull<Node<H>>,
    capacity: usize,
    filled: usize,
    traced: bool,
    is_root: bool,
}

impl<H: Heap> LeafBuilder<H> {
    /// Allocates a leaf for exactly `capacity` entries, of which there is at least one.
    #[inline(always)] // As `clone_range`.
    pub(crate) fn new(capacity: usize, is_root: bool) -> Result<Self, H::Error> {
        assert!(capacity > 0 && capacity < u32::MAX as usize, "a leaf holds 1 to 2^32-2 entries");
        let node = H::allocate(Node::<H>::leaf_layout(capacity, is_root))?;
        Ok(Self { node, capacity, filled: 0, traced: false, is_root })
    }

    #[inline]
    fn high_at(&self, index: usize) -> *mut HighWord {
        debug_assert!(index <= Node::<H>::padded_len(self.capacity));
        let offset = Node::<H>::start(self.is_root);
        // SAFETY: inside the memory that was allocated for `capacity` entries.
        unsafe { self.node.as_ptr().cast::<u8>().add(offset).cast::<HighWord>().add(index) }
    }

    #[inline]
    fn low_at(&self, index: usize) -> *mut H::LowWord {
        debug_assert!(index <= self.capacity);
        let offset = Node::<H>::lows_offset(self.capacity, self.is_root);
        // SAFETY: inside the memory that was allocated for `capacity` entries.
        unsafe { self.node.as_ptr().cast::<u8>().add(offset).cast::<H::LowWord>().add(index) }
    }

    #[inline]
    fn entry_at(&self, index: usize) -> *mut EntryOf<H> {
        debug_assert!(index <= self.capacity);
        let offset = Node::<H>::entries_offset(self.capacity, self.is_root);
        // SAFETY: inside the memory that was allocated for `capacity` entries.
        unsafe { self.node.as_ptr().cast::<u8>().add(offset).cast::<EntryOf<H>>().add(index) }
    }

    /// Takes over the trace flag of the node that entries are cloned from.
    #[inline]
    pub(crate) fn inherit_trace(&mut self, traced: bool) {
        self.traced |= traced;
    }

    /// Appends an entry, whose hash is not smaller than that of the one before.
    #[inline]
    pub(crate) fn push(&mut self, hash: HashOf<H>, entry: EntryOf<H>) {
        assert!(self.filled < self.capacity, "a leaf takes as many entries as it was made for");
        self.traced =
            self.traced || H::is_key_traceable(&entry.key) || H::is_value_traceable(&entry.value);
        // SAFETY: the place is inside the allocation, and nothing has been written there.
        unsafe {
            self.high_at(self.filled).write(hash.high);
            self.low_at(self.filled).write(hash.low);
            self.entry_at(self.filled).write(entry);
        }
        self.filled += 1;
    }

    /// Appends a range of another leaf.
    #[inline]
    pub(crate) fn take_range(&mut self, source: &Source<'_, H>, range: Range<usize>) {
        self.inherit_trace(source.traced);
        if source.is_moved {
            // SAFETY: as the maker of the source has promised.
            unsafe { self.move_range(&source.leaf, range) };
        } else {
            self.clone_range(&source.leaf, range);
        }
    }

    /// Appends clones of a range of `leaf`, whose trace flag the caller takes over.
    // Each edit of a shared map copies a leaf. Calls of these two, which the compiler thinks too large
    // to inline, cost it 5 %.
    #[inline(always)]
    pub(crate) fn clone_range(&mut self, leaf: &Leaf<'_, H>, range: Range<usize>) {
        let count = range.len();
        assert!(self.filled + count <= self.capacity, "the range fits into the new leaf");
        let Leaf { highs, lows, entries, .. } = leaf.part(range);
        // SAFETY: the bounds are checked, and nothing has been written to these places. Each entry
        // counts as written when it is, so that a panicking clone drops those before it.
        unsafe {
            let (high_places, low_places) = (self.high_at(self.filled), self.low_at(self.filled));
            let places = self.entry_at(self.filled);
            for index in 0..count {
                // For a few entries one loop is faster than calls to copy memory.
                high_places.add(index).write(*highs.get_unchecked(index));
                low_places.add(index).write(*lows.get_unchecked(index));
                places.add(index).write(entries.get_unchecked(index).clone());
                if !H::CLONE_IS_BITWISE {
                    self.filled += 1;
                }
            }
            if H::CLONE_IS_BITWISE {
                self.filled += count;
            }
        }
    }

    /// Appends a range of `leaf` by moving the bits.
    ///
    /// # Safety
    ///
    /// The caller owns the entries, and forgets them before anything can panic.
    #[inline]
    pub(super) unsafe fn move_range(&mut self, leaf: &Leaf<'_, H>, range: Range<usize>) {
        let count = range.len();
        assert!(self.filled + count <= self.capacity, "the range fits into the new leaf");
        let Leaf { highs, lows, entries, .. } = leaf.part(range);
        if count > 0 {
            // SAFETY: the bounds are checked, the two nodes are different allocations, and the
            // caller gives the entries up.
            unsafe {
                self.high_at(self.filled).copy_from_nonoverlapping(highs.as_ptr(), count);
                self.low_at(self.filled).copy_from_nonoverlapping(lows.as_ptr(), count);
                self.entry_at(self.filled).copy_from_nonoverlapping(entries.as_ptr(), count);
            }
            self.filled += count;
        }
    }

    /// The finished leaf.
    #[inline]
    pub(crate) fn finish(self) -> NodeRef<H> {
        assert!(self.filled == self.capacity, "a leaf has the entries it was made for");
        let this = ManuallyDrop::new(self);
        let header = Node::leaf_header(this.capacity, this.traced, this.is_root);
        // SAFETY: all words and entries are written, and there is room for some more high words.
        unsafe {
            for index in this.capacity..Node::<H>::padded_len(this.capacity) {
                this.high_at(index).write(HighWord::NONE);
            }
            NodeRef::assume_init(this.node, header)
        }
    }
}

impl<H: Heap> Drop for LeafBuilder<H> {
    fn drop(&mut self) {
        let written = ptr::slice_from_raw_parts_mut(self.entry_at(0), self.filled);
        // SAFETY: exactly these entries have been written, and nobody else has seen them.
        unsafe {
            ptr::drop_in_place(written);
            H::dealloc(self.node, Node::<H>::leaf_layout(self.capacity, self.is_root));
        }
    }
}
