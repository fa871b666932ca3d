//! Building a leaf, entry by entry.

#![allow(unsafe_code)] // Writes to uninitialised memory.

use super::branch_mut::BranchMut;
use super::reference::NodeRef;
use super::{Contents, EntryOf, Leaf, Node, Span};
use crate::map::fingerprints::{self, Fingerprints};
use crate::map::hash::HighWord;
use crate::map::heap::{CloningHeap, Heap};
use crate::map::levels::HashOf;
use crate::map::tuning::Shape as _;
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::ptr::{self, NonNull};

/// A leaf whose entries are copied or moved to other leaves.
pub(crate) struct Source<'a, H: Heap> {
    pub(crate) leaf: Leaf<'a, H>,
    pub(crate) traced: bool,
    is_moved: bool,
}

impl<'a, H: Heap> Source<'a, H> {
    /// A leaf that does not change: its entries are cloned.
    pub(crate) fn kept(leaf: Leaf<'a, H>, traced: bool) -> Self {
        Self { leaf, traced, is_moved: false }
    }

    /// A leaf whose entries are moved out.
    ///
    /// # Safety
    ///
    /// The caller owns the only reference to the leaf. It takes each entry once, and then frees the
    /// leaf without dropping entries. Nothing in between can panic.
    pub(super) unsafe fn moved(leaf: Leaf<'a, H>, traced: bool) -> Self {
        Self { leaf, traced, is_moved: true }
    }

    /// The entry at `index`.
    #[inline]
    pub(super) fn take(&self, index: usize) -> EntryOf<H>
    where
        H: CloningHeap,
    {
        let entry = &self.leaf.entries[index];
        // SAFETY: the caller of `moved` takes each entry once and does not drop the original.
        if self.is_moved { unsafe { ptr::read(entry) } } else { entry.clone() }
    }
}

/// An unfinished leaf. Dropping it drops the entries so far, if a clone panics or an allocation fails.
pub(crate) struct LeafBuilder<H: Heap> {
    node: NonNull<Node<H>>,
    /// The number of entries of the finished leaf.
    len: usize,
    /// The number of entries that it has room for.
    room: usize,
    filled: usize,
    traced: bool,
    is_root: bool,
}

impl<H: Heap> LeafBuilder<H> {
    /// Allocates a leaf of `len` entries, at least one, without room for more.
    #[inline(always)] // See `clone_range`.
    pub(crate) fn new(len: usize, is_root: bool) -> Result<Self, H::Error> {
        Self::with_room(len, len, is_root)
    }

    /// Allocates a leaf of `len` entries, at least one, with room for `room` entries.
    #[inline(always)] // See `clone_range`.
    pub(crate) fn with_room(len: usize, room: usize, is_root: bool) -> Result<Self, H::Error> {
        assert!(len > 0 && len < u32::MAX as usize, "a leaf holds 1 to 2^32-2 entries");
        assert!(room == len || (room > len && room <= u16::MAX as usize), "the room is limited");
        let node = H::allocate(Node::<H>::leaf_layout(room, is_root))?;
        if H::Shape::FINGERPRINTS {
            // SAFETY: the memory was just allocated, with the fingerprints at this offset.
            unsafe {
                let fingerprints = node.byte_add(Node::<H>::start(is_root));
                fingerprints.cast::<Fingerprints>().write([0; fingerprints::COUNT]);
            }
        }
        Ok(Self { node, len, room, filled: 0, traced: false, is_root })
    }

    /// A leaf with clones of the entries of another one, which is not empty.
    #[inline(always)] // See `clone_range`.
    pub(crate) fn copy_of(original: &NodeRef<H>) -> Result<NodeRef<H>, H::Error>
    where
        H: CloningHeap,
    {
        let Contents::Leaf(leaf) = original.contents() else {
            unreachable!("the node is a leaf");
        };
        let len = leaf.entries.len();
        let mut copy = Self::new(len, original.is_root())?;
        copy.inherit_trace(original.is_traced());
        let has_words = size_of::<H::LowWord>() == size_of::<HighWord>() && !H::Shape::FINGERPRINTS;
        if !H::CLONE_IS_BITWISE || !has_words || original.header().room() != len {
            copy.clone_range(&leaf, 0..len);
            return Ok(copy.finish());
        }
        // SAFETY: both leaves have room for `len` entries, one or more, so their arrays have the same
        // offsets. All places are uninitialised, and are written before `filled` says so. Clones do not
        // panic.
        unsafe {
            copy.copy_words(original);
            let places = copy.entry_at(0);
            for index in 0..len {
                places.add(index).write(leaf.entries.get_unchecked(index).clone());
            }
        }
        copy.filled = len;
        Ok(copy.finish())
    }

    /// Copies the high and low words of a leaf.
    ///
    /// # Safety
    ///
    /// The other leaf has as much room, and the shape has no fingerprints.
    #[inline(always)]
    unsafe fn copy_words(&mut self, original: &NodeRef<H>) {
        const PAIR: usize = 2 * size_of::<HighWord>();
        let start = Node::<H>::highs_offset(self.room, self.is_root);
        // SAFETY: the low words follow the high ones, so together they take `room` pairs of words at
        // this offset of both leaves, which are different allocations.
        unsafe {
            let (from, to) = (original.as_ptr().byte_add(start), self.node.byte_add(start));
            let copy = |index: usize, count: usize| {
                let (from, to) = (from.byte_add(index * PAIR), to.byte_add(index * PAIR));
                from.cast::<u8>().copy_to_nonoverlapping(to.cast(), count * PAIR);
            };
            // Blocks of a fixed size: for a few words, this is faster than a call of memcpy.
            for block in 0..self.room / 2 {
                copy(2 * block, 2);
            }
            if self.room % 2 == 1 {
                copy(self.room - 1, 1);
            }
        }
    }

    /// The place for the fingerprint at `index`, if the leaf will have fingerprints.
    #[inline]
    fn fingerprint_at(&self, index: usize) -> Option<*mut u8> {
        let has_fingerprints = H::Shape::FINGERPRINTS && self.len <= fingerprints::COUNT;
        debug_assert!(index <= self.len);
        // SAFETY: the leaf was allocated with the fingerprints at this offset, and the index is not
        // larger than their number.
        has_fingerprints.then(|| unsafe {
            self.node.as_ptr().cast::<u8>().add(Node::<H>::start(self.is_root)).add(index)
        })
    }

    #[inline]
    fn high_at(&self, index: usize) -> *mut HighWord {
        debug_assert!(index <= self.len);
        let offset = Node::<H>::highs_offset(self.room, self.is_root);
        // SAFETY: the leaf was allocated with an array of at least `len` words at this offset.
        unsafe { self.node.as_ptr().cast::<u8>().add(offset).cast::<HighWord>().add(index) }
    }

    #[inline]
    fn low_at(&self, index: usize) -> *mut H::LowWord {
        debug_assert!(index <= self.len);
        let offset = Node::<H>::lows_offset(self.room, self.is_root);
        // SAFETY: the leaf was allocated with an array of at least `len` words at this offset.
        unsafe { self.node.as_ptr().cast::<u8>().add(offset).cast::<H::LowWord>().add(index) }
    }

    #[inline]
    fn entry_at(&self, index: usize) -> *mut EntryOf<H> {
        debug_assert!(index <= self.len);
        let offset = Node::<H>::entries_offset(self.room, self.is_root);
        // SAFETY: the leaf was allocated with an array of at least `len` entries at this offset.
        unsafe { self.node.as_ptr().cast::<u8>().add(offset).cast::<EntryOf<H>>().add(index) }
    }

    /// Copies the trace flag of the node whose entries are cloned.
    #[inline]
    pub(crate) fn inherit_trace(&mut self, traced: bool) {
        self.traced |= traced;
    }

    /// Appends an entry, whose hash is not smaller than the last one.
    #[inline]
    pub(crate) fn push(&mut self, hash: HashOf<H>, entry: EntryOf<H>) {
        assert!(self.filled < self.len, "a leaf has room for the entries it was allocated for");
        self.traced =
            self.traced || H::is_key_traceable(&entry.key) || H::is_value_traceable(&entry.value);
        // SAFETY: `filled` is less than `len`, so the places are inside the allocation. They
        // are uninitialised, so no old value has to be dropped.
        unsafe {
            if let Some(fingerprint) = self.fingerprint_at(self.filled) {
                fingerprint.write(hash.high.fingerprint());
            }
            self.high_at(self.filled).write(hash.high);
            self.low_at(self.filled).write(hash.low);
            self.entry_at(self.filled).write(entry);
        }
        self.filled += 1;
    }

    /// Appends a range of another leaf.
    #[inline]
    pub(crate) fn take_range(&mut self, source: &Source<'_, H>, range: Range<usize>)
    where
        H: CloningHeap,
    {
        self.inherit_trace(source.traced);
        if source.is_moved {
            // SAFETY: the caller of `Source::moved` moves each entry once and does not drop it.
            unsafe { self.move_range(&source.leaf, range) };
        } else {
            self.clone_range(&source.leaf, range);
        }
    }

    /// Appends clones of a range of `leaf`. The caller copies the trace flag.
    // Each edit of a shared map copies a leaf. The compiler considers this function and `new` too
    // large to inline, and the calls slow an edit down by 5 %.
    #[inline(always)]
    pub(crate) fn clone_range(&mut self, leaf: &Leaf<'_, H>, range: Range<usize>)
    where
        H: CloningHeap,
    {
        let count = range.len();
        assert!(self.filled + count <= self.len, "the range fits into the new leaf");
        let Leaf { highs, lows, entries, .. } = leaf.part(range);
        // SAFETY: the assertion keeps all places inside the allocation, and they are uninitialised.
        // `filled` grows with each entry that is written, unless clones cannot panic, so a panic
        // drops exactly the entries that are initialised.
        unsafe {
            let (high_places, low_places) = (self.high_at(self.filled), self.low_at(self.filled));
            let places = self.entry_at(self.filled);
            let fingerprints = self.fingerprint_at(self.filled);
            for index in 0..count {
                if let Some(fingerprints) = fingerprints {
                    fingerprints.add(index).write(highs.get_unchecked(index).fingerprint());
                }
                // For a few entries, one loop is faster than calls of memcpy.
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

    /// Appends a range of `leaf` by copying its bits.
    ///
    /// # Safety
    ///
    /// The caller owns the entries and does not use or drop the originals. Nothing can panic before
    /// it has given them up.
    #[inline]
    pub(super) unsafe fn move_range(&mut self, leaf: &Leaf<'_, H>, range: Range<usize>) {
        let count = range.len();
        assert!(self.filled + count <= self.len, "the range fits into the new leaf");
        let Leaf { highs, lows, entries, .. } = leaf.part(range);
        if count > 0 {
            // SAFETY: the assertion keeps all places inside this allocation, the range is inside
            // the other leaf, and the two leaves are different allocations. The caller gives the
            // original entries up, so each has one owner.
            unsafe {
                if let Some(fingerprints) = self.fingerprint_at(self.filled) {
                    for (index, high) in highs.iter().enumerate() {
                        fingerprints.add(index).write(high.fingerprint());
                    }
                }
                self.high_at(self.filled).copy_from_nonoverlapping(highs.as_ptr(), count);
                self.low_at(self.filled).copy_from_nonoverlapping(lows.as_ptr(), count);
                self.entry_at(self.filled).copy_from_nonoverlapping(entries.as_ptr(), count);
            }
            self.filled += count;
        }
    }

    /// Moves all entries below a node to the end of the leaf. No node there may be shared.
    pub(crate) fn absorb(&mut self, mut node: NodeRef<H>) {
        assert!(node.is_unique(), "entries of a shared leaf belong to other maps, too");
        self.inherit_trace(node.is_traced());
        match node.contents() {
            // SAFETY: this is the only reference to the leaf. Its entries are moved once, and then it is
            // freed without dropping them. `move_range` panics only before it moves.
            Contents::Leaf(leaf) => unsafe {
                self.move_range(&leaf, 0..leaf.entries.len());
                node.dealloc();
            },
            Contents::Branch(_) => {
                BranchMut::of_new(&mut node).take_all(Span::whole::<H>(), |it| self.absorb(it));
            }
        }
    }

    /// The finished leaf.
    #[inline]
    pub(crate) fn finish(self) -> NodeRef<H> {
        assert!(self.filled == self.len, "a leaf has all the entries it was allocated for");
        let this = ManuallyDrop::new(self);
        let header = Node::leaf_header(this.len, this.room, this.traced, this.is_root);
        // SAFETY: all words and entries are written, and the fingerprints of a leaf of 16 entries or less.
        // Those of a longer leaf are written here. `this` owns the only reference, and is not dropped.
        unsafe {
            if H::Shape::FINGERPRINTS && this.len > fingerprints::COUNT {
                let fingerprint = this.high_at(0).read().fingerprint();
                let fingerprints = this.node.byte_add(Node::<H>::start(this.is_root));
                fingerprints.cast::<Fingerprints>().write([fingerprint; fingerprints::COUNT]);
            }
            NodeRef::assume_init(this.node, header)
        }
    }
}

impl<H: Heap> Drop for LeafBuilder<H> {
    fn drop(&mut self) {
        let written = ptr::slice_from_raw_parts_mut(self.entry_at(0), self.filled);
        // SAFETY: exactly `filled` entries are initialised, and no other code has a reference to the
        // unfinished leaf, which was allocated with this layout.
        unsafe {
            ptr::drop_in_place(written);
            H::dealloc(self.node, Node::<H>::leaf_layout(self.room, self.is_root));
        }
    }
}
