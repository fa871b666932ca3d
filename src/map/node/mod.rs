//! The memory of a node. All code that touches it is in this folder, and in the iterators.
//!
//! A node is one allocation. It starts with a [`Node`] header and, in a root, the heap's
//! [`Tag`](Heap::Tag). Then come the entries of a *leaf* or the children of a *branch*:
//!
//! ```text
//!           +--------+------------+-----------------------+------------------------------------+
//!   leaf    | header | tag (root) | high words, low words | entry 0 .. entry len-1, unused     |
//!           +--------+------------+---------+-------------+-------------+----------------------+
//!     or    | header | tag (root) | 16 fingerprints | entry 0 .. len-1  | high words, low words|
//!           +--------+------------+---------+-------+-------------------+----------------------+
//!   branch  | header | tag (root) | digest  | child 0 .. child 15 (null: no such child)        |
//!           +--------+------------+---------+--------------------------------------------------+
//!
//!   header       = len, slots, is_branch, is_root, traced
//!   slots        = of a branch, a bit for each slot where a child begins; of a leaf, the number of
//!                  entries that it has room for, if that is more than `len`
//!   high words   = the upper half of the hash of each entry
//!   low words    = the lower half, if the heap stores it
//!   fingerprints = a byte of the hash of each entry, then zeros, if [`Shape::FINGERPRINTS`] is set;
//!                  in a leaf of more than 16 entries, that of the first entry, 16 times
//!   digest       = a cache of the digest of the entries below the branch
//! ```
//!
//! The rest of the map sees nodes through [`NodeRef`], whose safe methods keep these invariants:
//!
//! 1. A node that other code can reach is completely initialised. It never changes while it is
//!    shared.
//! 2. Only a node for which [`Heap::is_unique`] has returned `true` is edited in place.
//! 3. `traced` is set, and [`Heap::trace`] has been called, if an entry of the leaf or a child of
//!    the branch is traceable. The flag stays set when that entry is removed.
//! 4. No user code except `Clone` runs while a node is half edited: an edit drops no key or value.
//! 5. `is_root` is set if and only if the node was created as the root of a map. The shape of a map
//!    follows from its entries, so a node never moves to another depth.
//! 6. The digest cache of a branch is empty, or holds the digest of the entries below.
//! 7. `slots` of a branch has a bit for each slot where a child begins, and no other bits. The child
//!    owns one counted reference, and all slots of its span hold the same pointer. A branch has one
//!    slot; a leaf may have more if [`Shape::SPANS`] is set.
//!
//! | file | concept |
//! | --- | --- |
//! | `layout.rs` | where the parts of a node are |
//! | `contents.rs` | reading the entries of a leaf, or the children of a branch |
//! | `find.rs` | finding a key in leaves with fingerprints |
//! | `span.rs` | the slots that one child has |
//! | `reference.rs` | a counted reference to a node |
//! | `leaf_builder.rs` | building a leaf, entry by entry |
//! | `leaf_edit.rs` | editing a leaf: in place, or by a copy |
//! | `leaf_in_place.rs` | moving entries within an unshared leaf, and to another one |
//! | `branch_mut.rs` | editing a branch: in place, or in a copy |
//! | `unshared_path.rs` | the path to a leaf that can be edited in place |

#![allow(unsafe_code)] // A node of variable size in one allocation has no safe type in Rust.

pub(super) mod branch_mut;
mod contents;
pub(super) mod find;
mod layout;
pub(super) mod leaf_builder;
mod leaf_edit;
mod leaf_in_place;
pub(super) mod reference;
mod span;
pub(super) mod unshared_path;

use crate::map::fingerprints::{self, Fingerprints};
use crate::map::heap::Heap;
use crate::map::tuning::Shape;
pub(crate) use contents::fragments;
pub use contents::{Children, Contents, Leaf};
pub use layout::NodeLayout;
pub(crate) use leaf_edit::grown_room;
pub(crate) use leaf_in_place::ReservedLeaf;
pub(crate) use span::Span;

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::slice;
use reference::NodeRef;

/// The header of a node. The drawing in the module's documentation shows what follows it.
///
/// Heaps handle nodes, and so does code that traverses maps, such as a garbage collector:
///
/// ```
#[doc = include_str!("../doc_prelude.txt")]
/// let squares = map([(1, 1), (2, 4), (3, 9)]);
/// let Some(root) = squares.root() else { unreachable!("there are entries") };
/// // SAFETY: the map keeps its root alive, and unchanged while it is borrowed.
/// let node = unsafe { root.as_ptr().as_ref() };
/// assert_eq!((node.len(), node.is_root(), node.is_traced()), (3, true, false));
/// assert!(node.layout().memory.size() > 3 * size_of::<Entry<u32, u32>>());
/// ```
#[repr(C)]
pub struct Node<H: Heap> {
    /// Entries in this leaf, or in all the leaves below this branch.
    pub(super) len: u32,
    /// Of a branch, a bit for each slot where a child begins. Iterating over bits avoids the branch
    /// mispredictions of testing each pointer. Of a leaf, the number of entries it has room for, if
    /// that is more than `len`.
    pub(super) slots: u16,
    pub(super) kind: Kind,
    pub(super) traced: bool,
    pub(super) _heap: PhantomData<H>,
}

/// Two flags of a node, in one byte of the header.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Kind(u8);

impl Kind {
    const BRANCH: u8 = 1;
    const ROOT: u8 = 2;

    #[inline]
    pub(super) const fn new(is_branch: bool, is_root: bool) -> Self {
        Self(is_branch as u8 * Self::BRANCH + is_root as u8 * Self::ROOT)
    }

    #[inline]
    pub(super) const fn is_branch(self) -> bool {
        self.0 & Self::BRANCH != 0
    }

    #[inline]
    pub(super) const fn is_root(self) -> bool {
        self.0 & Self::ROOT != 0
    }
}

/// One key and its value.
///
/// ```
/// use ctxvars::map::Entry;
///
/// let Entry { key, value } = Entry { key: "retries", value: 3 };
/// assert_eq!((key, value), ("retries", 3));
/// ```
#[repr(C)]
pub struct Entry<K, V> {
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
}

impl<K: Clone, V: Clone> Clone for Entry<K, V> {
    #[inline]
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), value: self.value.clone() }
    }
}

/// The entry type of a heap.
///
/// ```
/// use ctxvars::map::{ArcHeap, EntryOf, Heap};
///
/// /// The value that is doubled, in any heap of numbers.
/// fn doubled<H: Heap<Value = u32>>(entry: &EntryOf<H>) -> u32 {
///     entry.value * 2
/// }
///
/// type Limits = ArcHeap<&'static str, u32>;
/// assert_eq!(doubled::<Limits>(&EntryOf::<Limits> { key: "retries", value: 3 }), 6);
/// ```
pub type EntryOf<H> = Entry<<H as Heap>::Key, <H as Heap>::Value>;

/// A slot of a branch.
///
/// ```
#[doc = include_str!("../doc_prelude.txt")]
/// use ctxvars::map::Slot;
///
/// let root: Slot<Numbers> = map([(1, 1), (2, 4), (3, 9)]).into_root();
/// assert!(root.is_some());
/// ```
pub type Slot<H> = Option<NodeRef<H>>;

impl<H: Heap> Node<H> {
    #[inline]
    pub(super) const fn leaf_header(len: usize, room: usize, traced: bool, is_root: bool) -> Self {
        let kind = Kind::new(false, is_root);
        debug_assert!(room == len || (room > len && room <= u16::MAX as usize));
        let slots = if room > len { room as u16 } else { 0 };
        Self { len: len as u32, slots, kind, traced, _heap: PhantomData }
    }

    /// The number of entries that this leaf has room for.
    #[inline]
    pub(super) const fn room(&self) -> usize {
        let (len, room) = (self.len as usize, self.slots as usize);
        if room > len { room } else { len }
    }

    /// Entries in this leaf, or in all the leaves below this branch.
    ///
    /// See [`Node`] for an example.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are no entries, which is true for placeholders only.
    ///
    /// See [`NodeRef::placeholder`] for an example.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the node was made to be the root of a map.
    ///
    /// See [`Node`] for an example.
    #[inline]
    pub const fn is_root(&self) -> bool {
        self.kind.is_root()
    }

    /// Whether [`Heap::trace`] has been called for the node.
    ///
    /// See [`Node`] for an example.
    #[inline]
    pub fn is_traced(&self) -> bool {
        self.traced
    }

    /// The entries or children of `node`.
    ///
    /// # Safety
    ///
    /// `node` is completely initialised and stays alive and unchanged during `'a`.
    ///
    /// See [`Contents`] for an example.
    #[inline]
    pub unsafe fn contents<'a>(node: NonNull<Self>) -> Contents<'a, H> {
        // SAFETY: the caller keeps the node alive and unchanged during `'a`; the flag is its own.
        unsafe { Self::contents_of(node, node.as_ref().is_root()) }
    }

    /// As [`contents`](Self::contents), if the caller knows whether the node is a root: the
    /// processor can then load the contents without waiting for the header.
    ///
    /// # Safety
    ///
    /// `node` is completely initialised and stays alive and unchanged during `'a`; `is_root` says
    /// whether it is a root.
    #[inline]
    pub(super) unsafe fn contents_of<'a>(node: NonNull<Self>, is_root: bool) -> Contents<'a, H> {
        // SAFETY: the node is alive and initialised. The offsets are those of the layout that it was
        // allocated with, and the header has the length of the arrays at these offsets.
        unsafe {
            let base = node.as_ptr().cast::<u8>().cast_const();
            if node.as_ref().kind.is_branch() {
                let slots = base.add(Self::children_offset(is_root)).cast();
                Contents::Branch(Children {
                    slots: slice::from_raw_parts(slots, Self::FANOUT),
                    occupied: node.as_ref().slots,
                })
            } else {
                let (len, room) = (node.as_ref().len as usize, node.as_ref().room());
                let entries = base.add(Self::entries_offset(room, is_root)).cast();
                let highs = base.add(Self::highs_offset(room, is_root)).cast();
                let lows = base.add(Self::lows_offset(room, is_root)).cast();
                let has_fingerprints = H::Shape::FINGERPRINTS && len <= fingerprints::COUNT;
                Contents::Leaf(Leaf {
                    highs: slice::from_raw_parts(highs, len),
                    lows: slice::from_raw_parts(lows, len),
                    entries: slice::from_raw_parts(entries, len),
                    fingerprints: has_fingerprints
                        .then(|| &*base.add(Self::start(is_root)).cast::<Fingerprints>()),
                })
            }
        }
    }

    /// The address of the entry at `index` of the leaf `node`.
    ///
    /// # Safety
    ///
    /// `node` is an initialised leaf with room for more than `index` entries.
    #[inline]
    pub(super) unsafe fn entry_ptr(node: NonNull<Self>, index: usize) -> *mut EntryOf<H> {
        // SAFETY: the leaf was allocated with room for the entry at this offset.
        unsafe {
            let header = node.as_ref();
            let offset = Self::entries_offset(header.room(), header.is_root());
            node.as_ptr().cast::<u8>().add(offset).cast::<EntryOf<H>>().add(index)
        }
    }

    /// Drops the tag of `node`, if it is a root.
    ///
    /// # Safety
    ///
    /// `node` is completely initialised, and its tag is not used again.
    #[inline]
    pub(super) unsafe fn drop_tag(node: NonNull<Self>) {
        // SAFETY: a root has an initialised tag at this offset, and this is its last use.
        unsafe {
            if node.as_ref().is_root() {
                node.byte_add(Self::TAG).cast::<H::Tag>().drop_in_place();
            }
        }
    }

    /// Drops the contents of `node` after its last reference is gone.
    ///
    /// # Safety
    ///
    /// `node` is completely initialised, and its contents are not used again.
    ///
    /// [`Heap`] describes where it is called.
    pub unsafe fn drop_contents(node: NonNull<Self>) {
        // SAFETY: the offsets are those of the layout that the node was allocated with. The tag, the
        // digest cache, the occupied slots and the `len` entries are initialised, and dropped once.
        unsafe {
            let Self { slots: occupied, kind, .. } = *node.as_ref();
            Self::drop_tag(node);
            if kind.is_branch() {
                let summary = node.byte_add(Self::digest_offset(kind.is_root()));
                summary.cast::<H::DigestCache>().drop_in_place();
                let offset = Self::children_offset(kind.is_root());
                let slots = node.as_ptr().cast::<u8>().add(offset).cast::<NodeRef<H>>();
                if is_full::<H>(occupied) {
                    ptr::drop_in_place(ptr::slice_from_raw_parts_mut(slots, Self::FANOUT));
                } else {
                    drop_each(slots, fragments(occupied));
                }
            } else {
                let len = node.as_ref().len as usize;
                let entries = Self::entry_ptr(node, 0);
                ptr::drop_in_place(ptr::slice_from_raw_parts_mut(entries, len));
            }
        }
    }
}

/// Drops the children at these fragments. If dropping one panics, the others are still dropped.
///
/// # Safety
///
/// The slots at `fragments` hold children, which are not used again.
#[inline]
unsafe fn drop_each<H: Heap>(slots: *mut NodeRef<H>, fragments: impl Iterator<Item = usize>) {
    struct Rest<H: Heap, I: Iterator<Item = usize>>(*mut NodeRef<H>, I);

    impl<H: Heap, I: Iterator<Item = usize>> Drop for Rest<H, I> {
        fn drop(&mut self) {
            // SAFETY: the slot holds a child. The iterator yields each fragment once, so the child
            // is dropped once.
            self.1.by_ref().for_each(|it| unsafe { ptr::drop_in_place(self.0.add(it)) });
        }
    }

    let mut rest = Rest(slots, fragments);
    for fragment in rest.1.by_ref() {
        // SAFETY: the slot holds a child, and the iterator does not yield its fragment again.
        unsafe { ptr::drop_in_place(rest.0.add(fragment)) };
    }
}

/// Whether a branch has all children, as on the upper levels of a large map. Its slots need no
/// iteration over bits.
#[inline]
pub(super) fn is_full<H: Heap>(occupied: u16) -> bool {
    u32::from(occupied).trailing_ones() as usize == Node::<H>::FANOUT
}
