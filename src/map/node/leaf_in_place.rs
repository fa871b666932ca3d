//! Editing the arrays of an unshared leaf where they are.

#![allow(unsafe_code)] // Edits nodes in place, whose memory has no safe type in Rust.

use super::reference::NodeRef;
use super::{EntryOf, Node};
use crate::map::fingerprints::{self, Fingerprints};
use crate::map::hash::HighWord;
use crate::map::heap::Heap;
use crate::map::levels::HashOf;
use crate::map::tuning::Shape as _;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// An unshared leaf.
pub(super) struct LeafMut<'a, H: Heap> {
    node: NonNull<Node<H>>,
    _leaf: PhantomData<&'a mut Node<H>>,
}

/// The addresses of the arrays of a leaf.
struct Arrays<H: Heap> {
    fingerprints: Option<*mut u8>,
    highs: *mut HighWord,
    lows: *mut H::LowWord,
    entries: *mut EntryOf<H>,
}

impl<H: Heap> Clone for Arrays<H> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<H: Heap> Copy for Arrays<H> {}

impl<H: Heap> Arrays<H> {
    /// The arrays of a leaf of `len` entries with room for `room`.
    ///
    /// # Safety
    ///
    /// `node` was allocated for such a leaf.
    #[inline]
    unsafe fn of(node: NonNull<Node<H>>, len: usize, room: usize, is_root: bool) -> Self {
        let has_fingerprints = H::Shape::FINGERPRINTS && len <= fingerprints::COUNT;
        // SAFETY: these are the offsets of the layout that the leaf was allocated with.
        unsafe {
            let base = node.as_ptr().cast::<u8>();
            Self {
                fingerprints: has_fingerprints.then(|| base.add(Node::<H>::start(is_root))),
                highs: base.add(Node::<H>::highs_offset(room, is_root)).cast(),
                lows: base.add(Node::<H>::lows_offset(room, is_root)).cast(),
                entries: base.add(Node::<H>::entries_offset(room, is_root)).cast(),
            }
        }
    }

    /// Moves one entry and its words.
    ///
    /// # Safety
    ///
    /// Both indices are inside the arrays, and the entry at `from` is initialised.
    #[inline(always)]
    unsafe fn move_within(self, from: usize, to: usize) {
        // SAFETY: the places are inside the arrays.
        unsafe {
            if let Some(fingerprints) = self.fingerprints {
                *fingerprints.add(to) = *fingerprints.add(from);
            }
            *self.highs.add(to) = *self.highs.add(from);
            *self.lows.add(to) = *self.lows.add(from);
            self.entries.add(from).copy_to_nonoverlapping(self.entries.add(to), 1);
        }
    }

    /// # Safety
    ///
    /// The index is inside the arrays; the entry there is not used again.
    #[inline(always)]
    unsafe fn write(self, index: usize, hash: HashOf<H>, entry: EntryOf<H>) {
        // SAFETY: the place is inside the arrays.
        unsafe {
            if let Some(fingerprints) = self.fingerprints {
                fingerprints.add(index).write(hash.high.fingerprint());
            }
            self.highs.add(index).write(hash.high);
            self.lows.add(index).write(hash.low);
            self.entries.add(index).write(entry);
        }
    }
}

impl<'a, H: Heap> LeafMut<'a, H> {
    /// # Safety
    ///
    /// `node` is an initialised leaf, alive during `'a`, to which the caller has the only reference.
    #[inline]
    pub(super) unsafe fn of(node: NonNull<Node<H>>) -> Self {
        Self { node, _leaf: PhantomData }
    }

    #[inline]
    fn header(&self) -> &Node<H> {
        // SAFETY: the leaf is alive and initialised.
        unsafe { self.node.as_ref() }
    }

    #[inline]
    fn arrays(&self, len: usize) -> Arrays<H> {
        let header = self.header();
        // SAFETY: the header has the room that the leaf was allocated with.
        unsafe { Arrays::of(self.node, len, header.room(), header.is_root()) }
    }

    /// Inserts an entry before the one at `index`, which is returned. There is room for it.
    #[inline(always)]
    pub(super) fn insert(&mut self, index: usize, hash: HashOf<H>, entry: EntryOf<H>) -> usize {
        assert!(index <= self.header().len(), "the index is inside the leaf");
        self.insert_before(hash, entry, |_, place| place > index)
    }

    /// Inserts an entry behind those with the same or a smaller high word. There is room for it. Returns
    /// its index.
    #[inline(always)]
    pub(super) fn insert_in_order(&mut self, hash: HashOf<H>, entry: EntryOf<H>) -> usize {
        // SAFETY: `insert_before` passes the places of entries.
        self.insert_before(hash, entry, |highs, place| unsafe { *highs.add(place - 1) > hash.high })
    }

    /// Inserts an entry behind the last one for which `is_behind` is false. It gets the high words, and
    /// the index behind an entry. Returns the index of the new entry.
    #[inline(always)]
    fn insert_before(
        &mut self,
        hash: HashOf<H>,
        entry: EntryOf<H>,
        is_behind: impl Fn(*const HighWord, usize) -> bool,
    ) -> usize {
        let len = self.header().len();
        assert!(len < self.header().room(), "the leaf has room for the entry");
        let arrays = self.arrays(len + 1);
        // SAFETY: the leaf has room for `len + 1` entries, so all places are inside the arrays. Entries
        // move up by one, from the last one down, so none is overwritten. No other reference to the
        // leaf exists.
        unsafe {
            let mut place = len;
            while place > 0 && is_behind(arrays.highs, place) {
                arrays.move_within(place - 1, place);
                place -= 1;
            }
            arrays.write(place, hash, entry);
            self.node.as_mut().len += 1;
            place
        }
    }

    /// Removes and returns the entry at `index`. Its place becomes unused room.
    #[inline(always)]
    pub(super) fn remove(&mut self, index: usize) -> EntryOf<H> {
        let (len, room) = (self.header().len(), self.header().room());
        assert!(index < len && room <= u16::MAX as usize, "the leaf has the entry");
        let arrays = self.arrays(len);
        // SAFETY: the index is less than `len`. The entry is read out once; the entries behind it
        // move down by one, and the new length leaves the last place out. No other reference to the
        // leaf exists.
        unsafe {
            let removed = arrays.entries.add(index).read();
            for from in index + 1..len {
                arrays.move_within(from, from - 1);
            }
            self.set_len(len, len - 1, room);
            removed
        }
    }

    /// A new leaf with room for more, with the entries of this leaf.
    ///
    /// # Safety
    ///
    /// If the result is not an error, the caller does not use or drop the entries of this leaf again.
    pub(super) unsafe fn moved_to(&mut self, room: usize) -> Result<NodeRef<H>, H::Error> {
        let (len, is_root) = (self.header().len(), self.header().is_root());
        assert!(room >= len && room <= u16::MAX as usize, "the new leaf is not smaller");
        let header = Node::leaf_header(len, room, self.header().traced, is_root);
        let from = self.arrays(len);
        // SAFETY: the new leaf is allocated with room for more than `len` entries. All arrays of it are
        // written, and each entry gets a new owner, because the caller gives up the originals.
        unsafe {
            let node = H::allocate(Node::<H>::leaf_layout(room, is_root))?;
            let to = Arrays::<H>::of(node, len, room, is_root);
            if let (Some(from), Some(to)) = (from.fingerprints, to.fingerprints) {
                to.cast::<Fingerprints>().write(from.cast::<Fingerprints>().read());
            }
            to.highs.copy_from_nonoverlapping(from.highs, len);
            to.lows.copy_from_nonoverlapping(from.lows, len);
            to.entries.copy_from_nonoverlapping(from.entries, len);
            Ok(NodeRef::assume_init(node, header))
        }
    }

    /// Moves the entries from `start` on, but not all entries, to a new leaf in `other`.
    pub(super) fn split_off(&mut self, start: usize, other: ReservedLeaf<H>) -> NodeRef<H> {
        let (len, room) = (self.header().len(), self.header().room());
        let count = len - start;
        assert!(start > 0 && count > 0 && count <= other.room, "both leaves have entries");
        let from = self.arrays(len);
        let header = Node::leaf_header(count, other.room, self.header().traced, false);
        // SAFETY: the ranges are inside the arrays of two different leaves. Each entry is moved once:
        // the new lengths leave the places out that it is moved from. No other reference to either
        // leaf exists, and all arrays of the new one are written.
        unsafe {
            let node = other.into_node();
            let to = Arrays::<H>::of(node, count, header.room(), false);
            to.highs.copy_from_nonoverlapping(from.highs.add(start), count);
            to.lows.copy_from_nonoverlapping(from.lows.add(start), count);
            to.entries.copy_from_nonoverlapping(from.entries.add(start), count);
            if H::Shape::FINGERPRINTS {
                Self::write_fingerprints(node, to.highs, count, false);
            }
            self.set_len(len, start, room);
            NodeRef::assume_init(node, header)
        }
    }

    /// Sets the number of entries, which was `before` and does not grow.
    ///
    /// # Safety
    ///
    /// The entries from `len` on have been moved out.
    #[inline]
    unsafe fn set_len(&mut self, before: usize, len: usize, room: usize) {
        debug_assert!(len <= before, "entries have been moved out");
        // SAFETY: this is the only reference. The fingerprints are 16 bytes, and the high words of the
        // first `len` entries are initialised.
        unsafe {
            if H::Shape::FINGERPRINTS {
                let is_root = self.header().is_root();
                if before > fingerprints::COUNT {
                    Self::write_fingerprints(self.node, self.arrays(len).highs, len, is_root);
                } else {
                    let first = self.node.byte_add(Node::<H>::start(is_root));
                    let fingerprints = first.cast::<Fingerprints>().as_mut();
                    // A mask of the bytes that stay, so that the number of steps is fixed.
                    for (index, fingerprint) in fingerprints.iter_mut().enumerate() {
                        *fingerprint = if index < len { *fingerprint } else { 0 };
                    }
                }
            }
            let header = self.node.as_mut();
            header.slots = room as u16;
            header.len = len as u32;
        }
    }

    /// Writes the fingerprints of a leaf of `len` entries: 16 times that of the first one, if it is too long.
    ///
    /// # Safety
    ///
    /// `node` was allocated for such a leaf, and `highs` are its high words.
    unsafe fn write_fingerprints(
        node: NonNull<Node<H>>,
        highs: *const HighWord,
        len: usize,
        is_root: bool,
    ) {
        let mut fingerprints: Fingerprints = [0; fingerprints::COUNT];
        // SAFETY: the index is less than the number of high words.
        let fingerprint_at = |index| unsafe { *highs.add(index) }.fingerprint();
        if len > fingerprints::COUNT {
            fingerprints.fill(fingerprint_at(0));
        } else {
            for (index, fingerprint) in fingerprints[..len].iter_mut().enumerate() {
                *fingerprint = fingerprint_at(index);
            }
        }
        // SAFETY: the fingerprints are at this offset.
        unsafe { node.byte_add(Node::<H>::start(is_root)).cast().write(fingerprints) };
    }
}

/// The memory of a leaf below the root, without entries yet.
pub(crate) struct ReservedLeaf<H: Heap> {
    node: NonNull<Node<H>>,
    room: usize,
}

impl<H: Heap> ReservedLeaf<H> {
    /// Memory for a leaf with room for `room` entries, at least one.
    pub(crate) fn new(room: usize) -> Result<Self, H::Error> {
        assert!(room > 0 && room <= u16::MAX as usize, "the room is limited");
        let node = H::allocate(Node::<H>::leaf_layout(room, false))?;
        Ok(Self { node, room })
    }

    fn into_node(self) -> NonNull<Node<H>> {
        core::mem::ManuallyDrop::new(self).node
    }
}

impl<H: Heap> Drop for ReservedLeaf<H> {
    fn drop(&mut self) {
        // SAFETY: the memory was allocated with this layout, and nothing was written there.
        unsafe { H::dealloc(self.node, Node::<H>::leaf_layout(self.room, false)) };
    }
}
