//! The memory of one node, and the only code that touches it.
//!
//! A node is one allocation: a [`Node`] header, in a root the heap's [`Tag`](Heap::Tag), and then
//! either the entries of a *leaf* or the children of a *branch*:
//!
//! ```text
//!           +--------+------------+----------------------+-------------------------------------+
//!   leaf    | header | tag (root) | hash 0 .. hash len-1 | entry 0 .. entry len-1              |
//!           +--------+------------+---------+------------+-------------------------------------+
//!   branch  | header | tag (root) | summary | child 0 .. child 15 (null: nothing below there)  |
//!           +--------+------------+---------+--------------------------------------------------+
//!
//!   header  = len, occupied (which children there are, as bits), is_branch, is_root, traced
//! ```
//!
//! Everything above this file sees nodes only through [`NodeRef`], whose safe methods keep these
//! invariants:
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

use super::hash::Hash;
use super::heap::Heap;
use super::tuning::Shape as _;
use std::alloc::Layout;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::slice;

/// The header of a node; see the module's drawing for what lies behind it.
#[repr(C)]
pub struct Node<H: Heap> {
    /// Entries in this leaf, or in all the leaves below this branch.
    len: u32,
    /// The slots of this branch that have a child, 0 for a leaf. Walking over bits takes no guess
    /// of the processor for each slot, as testing pointers does.
    occupied: u16,
    kind: Kind,
    traced: bool,
    _heap: PhantomData<H>,
}

/// What a node is: two bits, in one byte of the header.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Kind(u8);

impl Kind {
    const BRANCH: u8 = 1;
    const ROOT: u8 = 2;

    #[inline]
    const fn new(is_branch: bool, is_root: bool) -> Self {
        Self(is_branch as u8 * Self::BRANCH + is_root as u8 * Self::ROOT)
    }

    #[inline]
    const fn is_branch(self) -> bool {
        self.0 & Self::BRANCH != 0
    }

    #[inline]
    const fn is_root(self) -> bool {
        self.0 & Self::ROOT != 0
    }
}

/// What to ask of a heap: the memory of a node, and whether it will be a root.
#[derive(Clone, Copy)]
pub struct NodeLayout {
    /// Size and alignment.
    pub memory: Layout,
    /// Whether the node is the root of a map, and so has a tag.
    pub is_root: bool,
}

/// One key and its value.
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
pub type EntryOf<H> = Entry<<H as Heap>::Key, <H as Heap>::Value>;

/// A slot of a branch.
pub type Slot<H> = Option<NodeRef<H>>;

/// The entries of a leaf, in the order of their hashes, which lie beside them.
pub struct Leaf<'a, H: Heap> {
    pub(crate) hashes: &'a [Hash],
    pub(crate) entries: &'a [EntryOf<H>],
}

/// The children of a branch, each in the slot of its fragment.
pub struct Children<'a, H: Heap> {
    slots: &'a [Slot<H>],
    occupied: u16,
}

/// What lies behind the header of a node.
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
        Some(unsafe { Node::contents_of(child.0, false) })
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
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &'a NodeRef<H>> + use<'a, H> {
        let slots = self.slots.as_ptr().cast::<NodeRef<H>>();
        // SAFETY: the slots whose bits are set are there, and not null.
        fragments(self.occupied).map(move |fragment| unsafe { &*slots.add(fragment) })
    }
}

/// The fragments in a set of bits, in ascending order.
#[inline]
pub(crate) fn fragments(bits: u16) -> impl Iterator<Item = usize> {
    // Wider numbers need fewer instructions.
    let mut bits = u32::from(bits);
    std::iter::from_fn(move || {
        if bits == 0 {
            return None;
        }
        let fragment = bits.trailing_zeros() as usize;
        bits &= bits - 1;
        Some(fragment)
    })
}

impl<H: Heap> Leaf<'_, H> {
    /// The entries.
    #[inline]
    pub const fn entries(&self) -> &[EntryOf<H>] {
        self.entries
    }
}

impl<H: Heap> Node<H> {
    /// Slots of a branch.
    pub(crate) const FANOUT: usize = {
        assert!(H::Shape::FRAGMENT_BITS <= 4, "a bit for each slot has to fit into `occupied`");
        1 << H::Shape::FRAGMENT_BITS
    };

    pub(crate) const ALIGN: usize = max(
        max(align_of::<EntryOf<H>>(), align_of::<Slot<H>>()),
        max(align_of::<H::Tag>(), align_of::<H::Summary>()),
    );

    /// Where the tag of a root is.
    pub const TAG: usize = size_of::<Self>().next_multiple_of(align_of::<H::Tag>());

    /// Where the contents of a node begin, a multiple of the alignment of a hash.
    #[inline]
    const fn start(is_root: bool) -> usize {
        if is_root {
            (Self::TAG + size_of::<H::Tag>()).next_multiple_of(align_of::<Hash>())
        } else {
            size_of::<Self>()
        }
    }

    #[inline]
    const fn entries_offset(len: usize, is_root: bool) -> usize {
        (Self::start(is_root) + len * size_of::<Hash>()).next_multiple_of(align_of::<EntryOf<H>>())
    }

    #[inline]
    const fn summary_offset(is_root: bool) -> usize {
        Self::start(is_root).next_multiple_of(align_of::<H::Summary>())
    }

    #[inline]
    const fn children_offset(is_root: bool) -> usize {
        (Self::summary_offset(is_root) + size_of::<H::Summary>())
            .next_multiple_of(align_of::<Slot<H>>())
    }

    #[inline]
    fn leaf_layout(len: usize, is_root: bool) -> NodeLayout {
        let size = Self::entries_offset(len, is_root) + len * size_of::<EntryOf<H>>();
        Self::layout_of_size(size, is_root)
    }

    #[inline]
    fn branch_layout(is_root: bool) -> NodeLayout {
        let size = Self::children_offset(is_root) + Self::FANOUT * size_of::<Slot<H>>();
        Self::layout_of_size(size, is_root)
    }

    #[inline]
    fn layout_of_size(size: usize, is_root: bool) -> NodeLayout {
        let memory = Layout::from_size_align(size, Self::ALIGN);
        NodeLayout { memory: memory.expect("a node is smaller than isize::MAX"), is_root }
    }

    /// The layout that the node was allocated with.
    #[inline]
    pub fn layout(&self) -> NodeLayout {
        if self.kind.is_branch() {
            Self::branch_layout(self.is_root())
        } else {
            Self::leaf_layout(self.len as usize, self.is_root())
        }
    }

    #[inline]
    const fn leaf_header(len: usize, traced: bool, is_root: bool) -> Self {
        let kind = Kind::new(false, is_root);
        Self { len: len as u32, occupied: 0, kind, traced, _heap: PhantomData }
    }

    /// Entries in this leaf, or in all the leaves below this branch.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are no entries, as in a placeholder only.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the node was made to be the root of a map.
    #[inline]
    pub const fn is_root(&self) -> bool {
        self.kind.is_root()
    }

    /// Whether [`Heap::trace`] has been called for it.
    #[inline]
    pub fn is_traced(&self) -> bool {
        self.traced
    }

    /// The entries or children of `node`.
    ///
    /// # Safety
    ///
    /// `node` is completely initialised and stays alive and unchanged during `'a`.
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
    unsafe fn contents_of<'a>(node: NonNull<Self>, is_root: bool) -> Contents<'a, H> {
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
                Contents::Leaf(Leaf {
                    hashes: slice::from_raw_parts(base.add(Self::start(is_root)).cast(), len),
                    entries: slice::from_raw_parts(entries, len),
                })
            }
        }
    }

    /// Where the entry at `index` of the leaf `node` is.
    ///
    /// # Safety
    ///
    /// `node` is an initialised leaf with more than `index` entries.
    #[inline]
    unsafe fn entry_ptr(node: NonNull<Self>, index: usize) -> *mut EntryOf<H> {
        // SAFETY: inside the allocation, as the caller promises.
        unsafe {
            let Self { len, kind, .. } = *node.as_ref();
            let offset = Self::entries_offset(len as usize, kind.is_root());
            node.as_ptr().cast::<u8>().add(offset).cast::<EntryOf<H>>().add(index)
        }
    }

    /// Drops all that `node` holds: its last reference is gone.
    ///
    /// # Safety
    ///
    /// `node` is completely initialised, and nobody reaches its contents any more.
    pub unsafe fn drop_contents(node: NonNull<Self>) {
        // SAFETY: as the caller promises; the slices are those that `contents` would give.
        unsafe {
            let Self { occupied, kind, .. } = *node.as_ref();
            if kind.is_root() {
                node.byte_add(Self::TAG).cast::<H::Tag>().drop_in_place();
            }
            if kind.is_branch() {
                let summary = node.byte_add(Self::summary_offset(kind.is_root()));
                summary.cast::<H::Summary>().drop_in_place();
                let offset = Self::children_offset(kind.is_root());
                let slots = node.as_ptr().cast::<u8>().add(offset).cast::<NodeRef<H>>();
                if is_full::<H>(occupied) {
                    ptr::drop_in_place(ptr::slice_from_raw_parts_mut(slots, Self::FANOUT));
                } else {
                    fragments(occupied).for_each(|it| ptr::drop_in_place(slots.add(it)));
                }
            } else {
                let len = node.as_ref().len as usize;
                let entries = Self::entry_ptr(node, 0);
                ptr::drop_in_place(ptr::slice_from_raw_parts_mut(entries, len));
            }
        }
    }
}

/// Whether a branch has all children, as those on the upper levels of a large map have: they need
/// not be looked at bit by bit.
#[inline]
fn is_full<H: Heap>(occupied: u16) -> bool {
    u32::from(occupied).trailing_ones() as usize == Node::<H>::FANOUT
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// A counted reference to a node.
#[repr(transparent)]
pub struct NodeRef<H: Heap>(NonNull<Node<H>>);

impl<H: Heap> Clone for NodeRef<H> {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: `self` is a reference to the node.
        unsafe { H::retain(self.0) };
        Self(self.0)
    }
}

impl<H: Heap> Drop for NodeRef<H> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `self` is a reference to the node, and gone after this.
        unsafe { H::release(self.0) };
    }
}

impl<H: Heap> NodeRef<H> {
    /// Takes over a reference that [`into_raw`](Self::into_raw) gave.
    ///
    /// # Safety
    ///
    /// `node` points to a complete node, and the caller's reference to it becomes this one.
    #[inline]
    pub const unsafe fn from_raw(node: NonNull<Node<H>>) -> Self {
        Self(node)
    }

    /// Gives the reference away as a pointer.
    #[inline]
    pub fn into_raw(self) -> NonNull<Node<H>> {
        ManuallyDrop::new(self).0
    }

    /// Where the node is, without giving the reference away.
    #[inline]
    pub fn as_ptr(&self) -> NonNull<Node<H>> {
        self.0
    }

    #[inline]
    fn header(&self) -> &Node<H> {
        // SAFETY: a reference keeps its node alive, and nodes in reach are initialised.
        unsafe { self.0.as_ref() }
    }

    /// Entries below this node.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.header().len as usize
    }

    /// The entries or children.
    #[inline]
    pub(crate) fn contents(&self) -> Contents<'_, H> {
        // SAFETY: a reference keeps its node alive, and a shared one keeps it unchanged.
        unsafe { Node::contents(self.0) }
    }

    /// As [`contents`](Self::contents), of a node that is a root.
    #[inline]
    pub(crate) fn contents_of_root(&self) -> Contents<'_, H> {
        debug_assert!(self.is_root());
        // SAFETY: as for `contents`; nodes at depth 0 are roots.
        unsafe { Node::contents_of(self.0, true) }
    }

    /// What the heap keeps with this root.
    #[inline]
    pub fn tag(&self) -> &H::Tag {
        assert!(self.header().is_root(), "a root has a tag, other nodes do not");
        // SAFETY: a root has a tag, which was written when the node was made.
        unsafe { self.0.byte_add(Node::<H>::TAG).cast().as_ref() }
    }

    /// What the heap keeps with this branch.
    #[inline]
    pub(crate) fn summary(&self) -> &H::Summary {
        assert!(self.header().kind.is_branch(), "a branch has a summary, a leaf does not");
        let offset = Node::<H>::summary_offset(self.is_root());
        // SAFETY: a branch has a summary, which was written when the node was made.
        unsafe { self.0.byte_add(offset).cast().as_ref() }
    }

    /// Whether the node was made to be the root of a map.
    #[inline]
    pub(crate) fn is_root(&self) -> bool {
        self.header().is_root()
    }

    /// Whether this is the only reference to the node.
    #[inline]
    fn is_unique(&self) -> bool {
        // SAFETY: `self` is a reference to the node.
        unsafe { H::is_unique(self.0) }
    }

    /// The tag of a root that nobody else can reach, to change it; `None` if somebody can.
    #[inline]
    pub(crate) fn tag_mut(&mut self) -> Option<&mut H::Tag> {
        assert!(self.header().is_root(), "a root has a tag, other nodes do not");
        // SAFETY: a root has a tag, which is borrowed mutably only if `self` is the only reference.
        self.is_unique().then(|| unsafe { self.0.byte_add(Node::<H>::TAG).cast().as_mut() })
    }

    /// Notes that something traceable is below this node.
    ///
    /// # Safety
    ///
    /// `self` is the only reference to the node.
    #[inline]
    unsafe fn mark_traced(&mut self) {
        // SAFETY: nobody else reads the header of an unshared node, and `NodeRef`s are complete.
        unsafe {
            if !self.0.as_ref().traced {
                self.0.as_mut().traced = true;
                H::trace(self.0);
            }
        }
    }

    /// Resets what the heap keeps with the node, before it is edited.
    ///
    /// # Safety
    ///
    /// `self` is the only reference to the node.
    #[inline]
    unsafe fn forget(&mut self) {
        let Node { kind, .. } = *self.header();
        let is_root = kind.is_root();
        // SAFETY: nobody else can reach the node; roots have a tag and branches a summary.
        unsafe {
            if is_root {
                *self.0.byte_add(Node::<H>::TAG).cast().as_mut() = H::Tag::default();
            }
            if kind.is_branch() {
                let offset = Node::<H>::summary_offset(is_root);
                *self.0.byte_add(offset).cast().as_mut() = H::Summary::default();
            }
        }
    }

    /// Writes the header of a new node, and the tag if it is a root.
    ///
    /// # Safety
    ///
    /// `node` was allocated for such a node, and its contents are written.
    #[inline]
    unsafe fn complete(node: NonNull<Node<H>>, header: Node<H>) -> Self {
        // SAFETY: the memory is the caller's, and large enough.
        unsafe {
            if header.is_root() {
                node.byte_add(Node::<H>::TAG).cast().write(H::Tag::default());
            }
            let traced = header.traced;
            node.write(header);
            if traced {
                H::trace(node);
            }
        }
        Self(node)
    }

    /// A root leaf without entries, for heaps that need a node where a map has none.
    ///
    /// It is never part of a map.
    ///
    /// # Errors
    ///
    /// The heap's.
    pub fn placeholder() -> Result<Self, H::Error> {
        let node = H::allocate(Node::<H>::leaf_layout(0, true))?;
        let header = Node::leaf_header(0, false, true);
        // SAFETY: the memory is ours; a leaf without entries has no contents.
        Ok(unsafe { Self::complete(node, header) })
    }

    /// A leaf with clones of `hashes` and `entries`, of which there is at least one.
    pub(crate) fn leaf_of(
        leaf: &Leaf<'_, H>,
        traced: bool,
        is_root: bool,
    ) -> Result<Self, H::Error> {
        let mut builder = LeafBuilder::new(leaf.entries.len(), is_root)?;
        builder.traced = traced;
        builder.clone_range(leaf, 0..leaf.entries.len());
        Ok(builder.finish())
    }

    /// A leaf with this entry alone.
    pub(crate) fn leaf_of_one(
        hash: Hash,
        entry: EntryOf<H>,
        is_root: bool,
    ) -> Result<Self, H::Error> {
        let mut builder = LeafBuilder::new(1, is_root)?;
        builder.push(hash, entry);
        Ok(builder.finish())
    }

    /// A branch with `children`, or with none yet, below which lie `len` entries.
    pub(crate) fn branch_of(
        children: Option<&Children<'_, H>>,
        len: usize,
        traced: bool,
        is_root: bool,
    ) -> Result<Self, H::Error> {
        let node = H::allocate(Node::<H>::branch_layout(is_root))?;
        let occupied = children.map_or(0, |children| children.occupied);
        // SAFETY: the memory is ours, and large enough for the summary and the slots. A reference
        // is its bits and a count, for each slot that is not null. The cast keeps all bits:
        // `LeafBuilder::new` has refused the entry that would not fit.
        unsafe {
            let base = node.as_ptr().cast::<u8>();
            base.add(Node::<H>::summary_offset(is_root))
                .cast::<H::Summary>()
                .write(H::Summary::default());
            let slots = base.add(Node::<H>::children_offset(is_root)).cast::<Slot<H>>();
            match children {
                Some(children) => {
                    debug_assert_eq!(children.slots.len(), Node::<H>::FANOUT);
                    let old = children.slots.as_ptr().cast::<NodeRef<H>>();
                    if is_full::<H>(occupied) {
                        for fragment in 0..Node::<H>::FANOUT {
                            slots.add(fragment).write(Some((*old.add(fragment)).clone()));
                        }
                    } else {
                        slots.copy_from_nonoverlapping(old.cast(), Node::<H>::FANOUT);
                        for fragment in fragments(occupied) {
                            mem::forget((*old.add(fragment)).clone());
                        }
                    }
                }
                None => {
                    for fragment in 0..Node::<H>::FANOUT {
                        slots.add(fragment).write(None);
                    }
                }
            }
            let kind = Kind::new(true, is_root);
            let len = len as u32;
            let header = Node { len, occupied, kind, traced, _heap: PhantomData };
            Ok(Self::complete(node, header))
        }
    }

    /// Whether something traceable is below this node.
    #[inline]
    pub(crate) fn is_traced(&self) -> bool {
        self.header().traced
    }

    /// The branch to edit: this node itself if nobody else can reach it, else a copy in its place.
    ///
    /// The node must be a branch. On error it is unchanged.
    #[inline]
    pub(crate) fn branch_mut(&mut self) -> Result<BranchMut<'_, H>, H::Error> {
        let Contents::Branch(children) = self.contents() else {
            unreachable!("branch_mut is called on branches only");
        };
        if self.is_unique() {
            // SAFETY: as just found.
            unsafe { self.forget() };
        } else {
            let (len, traced, is_root) = (self.len(), self.is_traced(), self.is_root());
            *self = Self::branch_of(Some(&children), len, traced, is_root)?;
        }
        Ok(BranchMut(self))
    }

    /// Puts `value` at `index` of this leaf and returns the one that was there.
    ///
    /// On error the leaf is unchanged.
    pub(crate) fn replace_value(
        &mut self,
        index: usize,
        value: H::Value,
    ) -> Result<H::Value, H::Error> {
        if self.is_unique() {
            // SAFETY: as just found.
            unsafe { self.forget() };
        } else {
            let Contents::Leaf(leaf) = self.contents() else {
                unreachable!("replace_value is called on leaves only");
            };
            *self = Self::leaf_of(&leaf, self.is_traced(), self.is_root())?;
        }
        assert!(index < self.len(), "the entry was found in this leaf");
        // SAFETY: the index is inside the leaf, and the leaf is unshared, by the check or by the
        // copy.
        unsafe {
            let entry = &mut *Node::entry_ptr(self.0, index);
            let old = mem::replace(&mut entry.value, value);
            if !self.is_traced() && H::is_value_traceable(&entry.value) {
                self.mark_traced();
            }
            Ok(old)
        }
    }

    /// Inserts an entry at `index` of this leaf, which may grow beyond its capacity.
    ///
    /// On error the leaf is unchanged.
    pub(crate) fn insert_entry(
        &mut self,
        index: usize,
        hash: Hash,
        entry: EntryOf<H>,
    ) -> Result<(), H::Error> {
        self.rebuild_leaf(self.len() + 1, 0..index, Some((hash, entry)), index..self.len())
    }

    /// Removes the entry at `index` of this leaf, which has another one.
    ///
    /// The caller holds a clone of the entry, so that dropping it here runs no user code. On error
    /// the leaf is unchanged.
    pub(crate) fn remove_entry(&mut self, index: usize) -> Result<(), H::Error> {
        self.rebuild_leaf(self.len() - 1, 0..index, None, index + 1..self.len())
    }

    /// Replaces this leaf by one of `len` entries: those of `head`, `middle` and those of `tail`.
    fn rebuild_leaf(
        &mut self,
        len: usize,
        head: Range<usize>,
        middle: Option<(Hash, EntryOf<H>)>,
        tail: Range<usize>,
    ) -> Result<(), H::Error> {
        let mut builder = LeafBuilder::new(len, self.is_root())?;
        let unique = self.is_unique();
        let Contents::Leaf(leaf) = self.contents() else {
            unreachable!("leaves are rebuilt, branches are not");
        };
        builder.traced = self.is_traced();
        if unique {
            let left_out = head.end..tail.start;
            // SAFETY: nobody else can reach the entries. Each is moved to the new leaf or, if it
            // is left out, dropped, and then the old memory is freed without dropping anything.
            unsafe {
                builder.move_range(&leaf, head);
                if let Some((hash, entry)) = middle {
                    builder.push(hash, entry);
                }
                builder.move_range(&leaf, tail);
                let layout = self.header().layout();
                let old = mem::replace(self, builder.finish()).into_raw();
                for index in left_out {
                    ptr::drop_in_place(Node::entry_ptr(old, index));
                }
                H::discard(old, layout);
            }
        } else {
            builder.clone_range(&leaf, head);
            if let Some((hash, entry)) = middle {
                builder.push(hash, entry);
            }
            builder.clone_range(&leaf, tail);
            *self = builder.finish();
        }
        Ok(())
    }
}

/// A branch that nobody else can reach.
pub(crate) struct BranchMut<'a, H: Heap>(&'a mut NodeRef<H>);

impl<'a, H: Heap> BranchMut<'a, H> {
    /// A branch just made by [`NodeRef::branch_of`].
    pub(crate) fn of_new(node: &'a mut NodeRef<H>) -> Self {
        debug_assert!(node.is_unique(), "a new branch is not shared");
        Self(node)
    }

    #[inline]
    fn slot(&mut self, fragment: usize) -> &mut Slot<H> {
        assert!(fragment < Node::<H>::FANOUT, "a fragment has no more bits than choose a slot");
        // SAFETY: the branch is unshared, and borrowed from here for as long as the slot is.
        unsafe {
            let base = self.0.0.as_ptr().cast::<u8>();
            let slots = base.add(Node::<H>::children_offset(self.0.is_root())).cast::<Slot<H>>();
            &mut *slots.add(fragment)
        }
    }

    /// The child for a fragment.
    #[inline]
    pub(crate) fn child_mut(&mut self, fragment: usize) -> Option<&mut NodeRef<H>> {
        self.slot(fragment).as_mut()
    }

    /// Puts a child, or none, where another one was, or none, and returns that.
    #[inline]
    pub(crate) fn put(&mut self, fragment: usize, child: Slot<H>) -> Slot<H> {
        let bit = 1 << fragment;
        // SAFETY: the branch is unshared.
        let occupied = unsafe { &mut self.0.0.as_mut().occupied };
        if child.is_some() {
            *occupied |= bit;
        } else {
            *occupied &= !bit;
        }
        mem::replace(self.slot(fragment), child)
    }

    /// Notes how many entries are below the branch.
    #[inline]
    pub(crate) fn set_len(&mut self, len: usize) {
        // SAFETY: the branch is unshared. The cast keeps all bits: `LeafBuilder::new` has refused
        // the entry that would not fit.
        unsafe { self.0.0.as_mut().len = len as u32 };
    }

    /// Notes that something traceable is below the branch.
    #[inline]
    pub(crate) fn mark_traced(&mut self) {
        // SAFETY: the branch is unshared.
        unsafe { self.0.mark_traced() };
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
    #[inline]
    pub(crate) fn new(capacity: usize, is_root: bool) -> Result<Self, H::Error> {
        assert!(capacity > 0 && capacity < u32::MAX as usize, "a leaf holds 1 to 2^32-2 entries");
        let node = H::allocate(Node::<H>::leaf_layout(capacity, is_root))?;
        Ok(Self { node, capacity, filled: 0, traced: false, is_root })
    }

    #[inline]
    fn hash_at(&self, index: usize) -> *mut Hash {
        debug_assert!(index <= self.capacity);
        let offset = Node::<H>::start(self.is_root);
        // SAFETY: inside the memory that was allocated for `capacity` entries.
        unsafe { self.node.as_ptr().cast::<u8>().add(offset).cast::<Hash>().add(index) }
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
    pub(crate) fn push(&mut self, hash: Hash, entry: EntryOf<H>) {
        assert!(self.filled < self.capacity, "a leaf takes as many entries as it was made for");
        self.traced =
            self.traced || H::is_key_traceable(&entry.key) || H::is_value_traceable(&entry.value);
        // SAFETY: the place is inside the allocation, and nothing has been written there.
        unsafe {
            self.hash_at(self.filled).write(hash);
            self.entry_at(self.filled).write(entry);
        }
        self.filled += 1;
    }

    /// Appends clones of a range of `leaf`, whose trace flag the caller takes over.
    #[inline]
    pub(crate) fn clone_range(&mut self, leaf: &Leaf<'_, H>, range: Range<usize>) {
        let count = range.len();
        assert!(self.filled + count <= self.capacity, "the range fits into the new leaf");
        let (hashes, entries) = (&leaf.hashes[range.clone()], &leaf.entries[range]);
        // SAFETY: the bounds are checked, and nothing has been written to these places. Each entry
        // counts as written when it is, so that a panicking clone drops those before it.
        unsafe {
            let (hash_places, places) = (self.hash_at(self.filled), self.entry_at(self.filled));
            if H::CLONES_BITS {
                // For a few entries one loop is faster than two calls to copy memory.
                for (index, (hash, entry)) in hashes.iter().zip(entries).enumerate() {
                    hash_places.add(index).write(*hash);
                    places.add(index).write(entry.clone());
                }
                self.filled += count;
                return;
            }
            for (index, (hash, entry)) in hashes.iter().zip(entries).enumerate() {
                hash_places.add(index).write(*hash);
                places.add(index).write(entry.clone());
                self.filled += 1;
            }
        }
    }

    /// Appends a range of `leaf` by moving the bits.
    ///
    /// # Safety
    ///
    /// The caller owns the entries, and forgets them before anything can panic.
    #[inline]
    unsafe fn move_range(&mut self, leaf: &Leaf<'_, H>, range: Range<usize>) {
        let count = range.len();
        assert!(self.filled + count <= self.capacity, "the range fits into the new leaf");
        let (hashes, entries) = (&leaf.hashes[range.clone()], &leaf.entries[range]);
        if count > 0 {
            // SAFETY: the bounds are checked, the two nodes are different allocations, and the
            // caller gives the entries up.
            unsafe {
                self.hash_at(self.filled).copy_from_nonoverlapping(hashes.as_ptr(), count);
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
        // SAFETY: all hashes and entries are written.
        unsafe { NodeRef::complete(this.node, header) }
    }
}

impl<H: Heap> Drop for LeafBuilder<H> {
    fn drop(&mut self) {
        let written = ptr::slice_from_raw_parts_mut(self.entry_at(0), self.filled);
        // SAFETY: exactly these entries have been written, and nobody else has seen them.
        unsafe {
            ptr::drop_in_place(written);
            H::discard(self.node, Node::<H>::leaf_layout(self.capacity, self.is_root));
        }
    }
}
