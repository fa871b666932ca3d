//! The memory of one node, and the only code that touches it.
//!
//! A node is one allocation: a [`Node`] header, in a root the heap's [`Tag`](Heap::Tag), and then
//! either the entries of a *leaf* or the children of a *branch*:
//!
//! ```text
//!           +--------+------------+-----------------------+------------------------------------+
//!   leaf    | header | tag (root) | high words, low words | entry 0 .. entry len-1             |
//!           +--------+------------+---------+-------------+------------------------------------+
//!   branch  | header | tag (root) | summary | child 0 .. child 15 (null: nothing below there)  |
//!           +--------+------------+---------+--------------------------------------------------+
//!
//!   high words, low words = the two halves of the hash of each entry; the low one only if the heap
//!   keeps it
//!   header  = len, occupied (which children there are, as bits), is_branch, is_root, traced
//! ```
//!
//! Only this file, `node_ref.rs`, `leaf_builder.rs`, `leaf_edit.rs` and `branch_mut.rs` know it. Everything above them sees nodes
//! through [`NodeRef`], whose safe methods keep these invariants:
//!
//! 1. A node that anybody else can reach is completely initialised and never changes.
//! 2. Only a node with one reference, found so by [`Heap::is_unique`], is edited in place.
//! 3. `traced` is set, and [`Heap::trace`] has been called, if an entry of the leaf or a child of
//!    the branch is traceable. (It may outlive the entry that made it so.)
//! 4. No user code (`Clone` apart) runs while a node is half edited: nothing is dropped there.
//! 5. `is_root` is set if and only if the node was made to be the root of a map. The shape of a map
//!    follows from its entries, so a node never moves to another depth.
//! 6. The summary of a branch is the default unless it is that of the entries below.
//! 7. The bits of `occupied` are those of the slots of a branch that are not null.

#![allow(unsafe_code)] // Variable-size nodes in one allocation cannot be written without.

pub(super) mod branch_mut;
pub(super) mod leaf_builder;
mod leaf_edit;
pub(super) mod reference;

use crate::map::hash::HighWord;
use crate::map::heap::Heap;
use crate::map::levels::HashOf;
use crate::map::tuning::{LONG_LEAF, Shape as _};
use alloc::alloc::Layout;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::{self, NonNull};
use core::slice;
use reference::NodeRef;

/// The header of a node; see the module's drawing for what lies behind it.
///
/// Heaps see nodes, and those that look into maps, such as a collector:
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
    /// The slots of this branch that have a child, 0 for a leaf. Walking over bits takes no guess
    /// of the processor for each slot, as testing pointers does.
    pub(super) occupied: u16,
    pub(super) kind: Kind,
    pub(super) traced: bool,
    pub(super) _heap: PhantomData<H>,
}

/// What a node is: two bits, in one byte of the header.
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

/// What to ask of a heap: the memory of a node, and whether it will be a root.
///
/// See [`Node`] for an example, and [`Heap::allocate`] for what it is needed for.
#[derive(Clone, Copy)]
pub struct NodeLayout {
    /// Size and alignment.
    pub memory: Layout,
    /// Whether the node is the root of a map, and so has a tag.
    pub is_root: bool,
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

/// The entries of a leaf, in the order of their hashes, whose words lie beside them.
///
/// See [`Contents`] for an example.
pub struct Leaf<'a, H: Heap> {
    pub(crate) highs: &'a [HighWord],
    pub(crate) lows: &'a [H::LowWord],
    pub(crate) entries: &'a [EntryOf<H>],
    /// The high words, and [`HighWord::NONE`] for each entry that the leaf has room for.
    pub(crate) padded_highs: &'a [HighWord],
}

impl<H: Heap> Clone for Leaf<'_, H> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<H: Heap> Copy for Leaf<'_, H> {}

/// The children of a branch, each in the slot of its fragment.
///
/// See [`Contents`] for an example.
pub struct Children<'a, H: Heap> {
    pub(super) slots: &'a [Slot<H>],
    pub(super) occupied: u16,
}

/// What lies behind the header of a node.
///
/// ```
#[doc = include_str!("../doc_prelude.txt")]
/// use ctxvars::map::{Contents, Node, NodeRef};
///
/// /// The number of leaves below a node.
/// fn leaves(node: &NodeRef<Numbers>) -> usize {
///     // SAFETY: the reference keeps the node alive, and it is not edited while that is borrowed.
///     match unsafe { Node::contents(node.as_ptr()) } {
///         Contents::Leaf(leaf) => usize::from(!leaf.entries().is_empty()),
///         Contents::Branch(children) => children.iter().map(leaves).sum(),
///     }
/// }
///
/// assert_eq!(map([(1, 1), (2, 4)]).root().map(leaves), Some(1));
/// let many: [(u32, u32); 100] = std::array::from_fn(|n| (n as u32, 0));
/// assert!(map(many).root().map(leaves) > Some(100 / 16));
/// ```
pub enum Contents<'a, H: Heap> {
    /// Entries.
    Leaf(Leaf<'a, H>),
    /// Nodes.
    Branch(Children<'a, H>),
}

impl<'a, H: Heap> Children<'a, H> {
    /// The child for a fragment.
    #[inline]
    pub(crate) fn get(&self, fragment: usize) -> Option<&'a NodeRef<H>> {
        self.slots[fragment].as_ref()
    }

    /// As [`get`](Self::get), with what the child holds.
    #[inline]
    pub(crate) fn contents_at(&self, fragment: usize) -> Option<Contents<'a, H>> {
        let child = self.get(fragment)?;
        // SAFETY: the branch keeps its child alive and unchanged, and no child is a root.
        Some(unsafe { Node::contents_of(child.as_ptr(), false) })
    }

    /// The first child for a fragment of at least `fragment`.
    #[inline]
    pub(crate) fn first_from(&self, fragment: usize) -> Option<&'a NodeRef<H>> {
        // Shifted as a wider number, since the fragment may be the number of bits.
        let rest = u32::from(self.occupied) >> fragment;
        if rest == 0 { None } else { self.get(fragment + rest.trailing_zeros() as usize) }
    }

    /// The fragments that have a child, as bits.
    #[inline]
    pub(crate) fn occupied(&self) -> u16 {
        self.occupied
    }

    /// All children, in the order of their fragments.
    ///
    /// See [`Contents`] for an example.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &'a NodeRef<H>> + use<'a, H> {
        let slots = self.slots.as_ptr().cast::<NodeRef<H>>();
        // SAFETY: the slots whose bits are set are there, and not null.
        fragments(self.occupied).map(move |fragment| unsafe { &*slots.add(fragment) })
    }
}

/// The numbers of the bits that are set, in ascending order.
#[inline]
pub(crate) fn fragments(bits: impl Into<u32>) -> impl Iterator<Item = usize> {
    let mut bits = bits.into();
    core::iter::from_fn(move || {
        if bits == 0 {
            return None;
        }
        let fragment = bits.trailing_zeros() as usize;
        bits &= bits - 1;
        Some(fragment)
    })
}

impl<'a, H: Heap> Leaf<'a, H> {
    /// A part of the leaf.
    #[inline]
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        let highs = &self.highs[range.clone()];
        let (lows, entries) = (&self.lows[range.clone()], &self.entries[range]);
        Self { highs, lows, entries, padded_highs: highs }
    }

    /// A leaf without entries, as part of none.
    pub(crate) const fn empty() -> Self {
        Self { highs: &[], lows: &[], entries: &[], padded_highs: &[] }
    }

    /// The hash of the entry at `index`.
    #[inline]
    pub(crate) fn hash(&self, index: usize) -> HashOf<H> {
        HashOf::<H> { high: self.highs[index], low: self.lows[index] }
    }

    /// The hash of the first entry, if there is one.
    #[inline]
    pub(crate) fn first_hash(&self) -> Option<HashOf<H>> {
        (!self.highs.is_empty()).then(|| self.hash(0))
    }

    /// The entries.
    ///
    /// See [`Contents`] for an example.
    #[inline]
    pub const fn entries(&self) -> &'a [EntryOf<H>] {
        self.entries
    }
}

impl<H: Heap> Node<H> {
    /// Slots of a branch.
    pub(crate) const FANOUT: usize = {
        assert!(H::Shape::FRAGMENT_BITS > 0, "a branch has to tell entries apart");
        assert!(H::Shape::FRAGMENT_BITS <= 4, "a bit for each slot has to fit into `occupied`");
        1 << H::Shape::FRAGMENT_BITS
    };

    pub(crate) const ALIGN: usize = max(
        max(align_of::<EntryOf<H>>(), align_of::<Slot<H>>()),
        max(align_of::<H::Tag>(), align_of::<H::DigestCache>()),
    );

    /// Where the tag of a root is.
    ///
    /// [`NodeRef::tag`] reads it; the offset is for code that has a bare pointer.
    pub const TAG: usize = size_of::<Self>().next_multiple_of(align_of::<H::Tag>());

    /// Where the contents of a node begin, a multiple of the alignment of a word.
    #[inline]
    pub(super) const fn start(is_root: bool) -> usize {
        if is_root {
            (Self::TAG + size_of::<H::Tag>()).next_multiple_of(align_of::<HighWord>())
        } else {
            size_of::<Self>()
        }
    }

    /// Entries for which a leaf of `len` has room.
    #[inline]
    pub(super) const fn padded_len(len: usize) -> usize {
        const {
            assert!(H::Shape::LEAF_STEP.is_power_of_two(), "a step is a power of two");
            assert!(
                H::Shape::LEAF_STEP <= LONG_LEAF,
                "a leaf that is not long is compared at once"
            );
        };
        (len + H::Shape::LEAF_STEP - 1) & !(H::Shape::LEAF_STEP - 1)
    }

    /// Where the low words of a leaf begin.
    #[inline]
    pub(super) const fn lows_offset(len: usize, is_root: bool) -> usize {
        const {
            assert!(
                align_of::<H::LowWord>() <= align_of::<HighWord>(),
                "low words follow high ones"
            )
        };
        Self::start(is_root) + Self::padded_len(len) * size_of::<HighWord>()
    }

    #[inline]
    pub(super) const fn entries_offset(len: usize, is_root: bool) -> usize {
        let lows = Self::padded_len(len) * size_of::<H::LowWord>();
        (Self::lows_offset(len, is_root) + lows).next_multiple_of(align_of::<EntryOf<H>>())
    }

    #[inline]
    pub(super) const fn digest_offset(is_root: bool) -> usize {
        Self::start(is_root).next_multiple_of(align_of::<H::DigestCache>())
    }

    #[inline]
    pub(super) const fn children_offset(is_root: bool) -> usize {
        (Self::digest_offset(is_root) + size_of::<H::DigestCache>())
            .next_multiple_of(align_of::<Slot<H>>())
    }

    #[inline]
    pub(super) fn leaf_layout(len: usize, is_root: bool) -> NodeLayout {
        let entries = Self::padded_len(len) * size_of::<EntryOf<H>>();
        let size = Self::entries_offset(len, is_root) + entries;
        Self::layout_of_size(size, is_root)
    }

    #[inline]
    pub(super) fn branch_layout(is_root: bool) -> NodeLayout {
        let size = Self::children_offset(is_root) + Self::FANOUT * size_of::<Slot<H>>();
        Self::layout_of_size(size, is_root)
    }

    #[inline]
    fn layout_of_size(size: usize, is_root: bool) -> NodeLayout {
        let memory = Layout::from_size_align(size, Self::ALIGN);
        NodeLayout { memory: memory.expect("a node is smaller than isize::MAX"), is_root }
    }

    /// The layout that the node was allocated with.
    ///
    /// See [`Node`] for an example.
    #[inline]
    pub fn layout(&self) -> NodeLayout {
        if self.kind.is_branch() {
            Self::branch_layout(self.is_root())
        } else {
            Self::leaf_layout(self.len as usize, self.is_root())
        }
    }

    #[inline]
    pub(super) const fn leaf_header(len: usize, traced: bool, is_root: bool) -> Self {
        let kind = Kind::new(false, is_root);
        Self { len: len as u32, occupied: 0, kind, traced, _heap: PhantomData }
    }

    /// Entries in this leaf, or in all the leaves below this branch.
    ///
    /// See [`Node`] for an example.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are no entries, as in a placeholder only.
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

    /// Whether [`Heap::trace`] has been called for it.
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
        // SAFETY: as the caller promises.
        unsafe { Self::contents_of(node, node.as_ref().is_root()) }
    }

    /// As [`contents`](Self::contents), where it is known whether the node is a root: then the
    /// processor need not wait for the header to load the contents.
    ///
    /// # Safety
    ///
    /// As for `contents`; `is_root` is true.
    #[inline]
    pub(super) unsafe fn contents_of<'a>(node: NonNull<Self>, is_root: bool) -> Contents<'a, H> {
        // SAFETY: the caller promises a live, initialised node; the offsets are those of the
        // layout it was allocated with, and the lengths those written by the builder.
        unsafe {
            let base = node.as_ptr().cast::<u8>().cast_const();
            if node.as_ref().kind.is_branch() {
                let slots = base.add(Self::children_offset(is_root)).cast();
                Contents::Branch(Children {
                    slots: slice::from_raw_parts(slots, Self::FANOUT),
                    occupied: node.as_ref().occupied,
                })
            } else {
                let len = node.as_ref().len as usize;
                let entries = base.add(Self::entries_offset(len, is_root)).cast();
                let highs = base.add(Self::start(is_root)).cast();
                let lows = base.add(Self::lows_offset(len, is_root)).cast();
                Contents::Leaf(Leaf {
                    highs: slice::from_raw_parts(highs, len),
                    lows: slice::from_raw_parts(lows, len),
                    entries: slice::from_raw_parts(entries, len),
                    padded_highs: slice::from_raw_parts(highs, Self::padded_len(len)),
                })
            }
        }
    }

    /// Where the entry at `index` of the leaf `node` is.
    ///
    /// # Safety
    ///
    /// `node` is an initialised leaf with room for more than `index` entries.
    #[inline]
    pub(super) unsafe fn entry_ptr(node: NonNull<Self>, index: usize) -> *mut EntryOf<H> {
        // SAFETY: inside the allocation, as the caller promises.
        unsafe {
            let Self { len, kind, .. } = *node.as_ref();
            let offset = Self::entries_offset(len as usize, kind.is_root());
            node.as_ptr().cast::<u8>().add(offset).cast::<EntryOf<H>>().add(index)
        }
    }

    /// Where the high word at `index` of the leaf `node` is.
    ///
    /// # Safety
    ///
    /// `node` is a leaf with room for more than `index` entries.
    #[inline]
    pub(super) unsafe fn high_ptr(node: NonNull<Self>, index: usize) -> *mut HighWord {
        // SAFETY: the words begin at this offset of the allocation, and there are more than `index`.
        unsafe {
            let offset = Self::start(node.as_ref().is_root());
            node.as_ptr().cast::<u8>().add(offset).cast::<HighWord>().add(index)
        }
    }

    /// Where the low word at `index` of the leaf `node` is.
    ///
    /// # Safety
    ///
    /// As for [`entry_ptr`](Self::entry_ptr).
    #[inline]
    pub(super) unsafe fn low_ptr(node: NonNull<Self>, index: usize) -> *mut H::LowWord {
        // SAFETY: the words begin at this offset of the allocation, and there are more than `index`.
        unsafe {
            let Self { len, kind, .. } = *node.as_ref();
            let offset = Self::lows_offset(len as usize, kind.is_root());
            node.as_ptr().cast::<u8>().add(offset).cast::<H::LowWord>().add(index)
        }
    }

    /// Drops the tag of `node`, if it is a root.
    ///
    /// # Safety
    ///
    /// `node` is completely initialised, and nobody reaches its tag any more.
    #[inline]
    pub(super) unsafe fn drop_tag(node: NonNull<Self>) {
        // SAFETY: as the caller promises.
        unsafe {
            if node.as_ref().is_root() {
                node.byte_add(Self::TAG).cast::<H::Tag>().drop_in_place();
            }
        }
    }

    /// Drops all that `node` holds: its last reference is gone.
    ///
    /// # Safety
    ///
    /// `node` is completely initialised, and nobody reaches its contents any more.
    ///
    /// See [`Heap`] for where it is called.
    pub unsafe fn drop_contents(node: NonNull<Self>) {
        // SAFETY: as the caller promises; the slices are those that `contents` would give.
        unsafe {
            let Self { occupied, kind, .. } = *node.as_ref();
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

/// Drops the children of these fragments. As with a slice, all are dropped if one panics.
///
/// # Safety
///
/// They are there, and nobody reaches them any more.
#[inline]
unsafe fn drop_each<H: Heap>(slots: *mut NodeRef<H>, fragments: impl Iterator<Item = usize>) {
    struct Rest<H: Heap, I: Iterator<Item = usize>>(*mut NodeRef<H>, I);

    impl<H: Heap, I: Iterator<Item = usize>> Drop for Rest<H, I> {
        fn drop(&mut self) {
            // SAFETY: as the caller of `drop_each` promises; a fragment is taken once.
            self.1.by_ref().for_each(|it| unsafe { ptr::drop_in_place(self.0.add(it)) });
        }
    }

    let mut rest = Rest(slots, fragments);
    for fragment in rest.1.by_ref() {
        // SAFETY: as above.
        unsafe { ptr::drop_in_place(rest.0.add(fragment)) };
    }
}

/// Whether a branch has all children, as those on the upper levels of a large map have: they need
/// not be looked at bit by bit.
#[inline]
pub(super) fn is_full<H: Heap>(occupied: u16) -> bool {
    u32::from(occupied).trailing_ones() as usize == Node::<H>::FANOUT
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
