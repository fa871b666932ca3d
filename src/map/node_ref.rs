//! A counted reference to a node, and what can be done through it: see `node.rs` for the invariants.

#![allow(unsafe_code)] // Edits nodes in place, whose memory has no type of Rust.

use super::build;
use super::hash::Hash;
use super::heap::Heap;
use super::leaf_builder::{LeafBuilder, Source};
use super::node::{Children, Contents, EntryOf, Kind, Leaf, Node, Slot, fragments, is_full};
use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop};
use core::ops::Range;
use core::ptr::NonNull;

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
    pub(crate) fn is_unique(&self) -> bool {
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

    /// Where the slot for a fragment is.
    ///
    /// # Safety
    ///
    /// The node is a branch, which has such a slot.
    #[inline]
    unsafe fn slot_ptr(&self, fragment: usize) -> *mut Slot<H> {
        // SAFETY: inside the allocation, as the caller promises.
        unsafe {
            let base = self.0.as_ptr().cast::<u8>();
            base.add(Node::<H>::children_offset(self.is_root())).cast::<Slot<H>>().add(fragment)
        }
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
    pub(super) unsafe fn complete(node: NonNull<Node<H>>, header: Node<H>) -> Self {
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
        builder.inherit_trace(traced);
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

    /// Makes a copy of this node in its place if somebody else can reach it.
    ///
    /// On error the node is unchanged.
    pub(crate) fn unshare(&mut self) -> Result<(), H::Error> {
        match self.contents() {
            Contents::Branch(_) => self.branch_mut().map(drop),
            Contents::Leaf(leaf) if !self.is_unique() => {
                *self = Self::leaf_of(&leaf, self.is_traced(), self.is_root())?;
                Ok(())
            }
            Contents::Leaf(_) => {
                // SAFETY: nobody else can reach the node, as just found.
                unsafe { self.forget() };
                Ok(())
            }
        }
    }

    /// The value at `index` of this leaf, to change it, if nobody else can reach the leaf.
    ///
    /// A heap that traces values has to be told of new ones: this does not.
    #[inline]
    pub(crate) fn value_mut(&mut self, index: usize) -> Option<&mut H::Value> {
        let Contents::Leaf(leaf) = self.contents() else { return None };
        if index >= leaf.entries.len() || !self.is_unique() {
            return None;
        }
        // SAFETY: the entry is inside the leaf, which only `self` reaches, borrowed mutably.
        unsafe { Some(&mut (*Node::entry_ptr(self.0, index)).value) }
    }

    /// Inserts an entry at `index` of this leaf, which may grow beyond its capacity.
    ///
    /// If the leaf was copied, the original is returned, to be dropped when all is done. On error
    /// the leaf is unchanged.
    pub(crate) fn insert_entry(
        &mut self,
        index: usize,
        hash: Hash,
        entry: EntryOf<H>,
    ) -> Result<Slot<H>, H::Error> {
        let len = self.len();
        if Node::<H>::room(len) <= len || !self.is_unique() {
            let new = Some((hash, entry));
            let (_, original) = self.rebuild_leaf(len + 1, 0..index, new, index..len)?;
            return Ok(original);
        }
        assert!(index <= len, "the place is inside the leaf or at its end");
        let is_traceable = H::is_key_traceable(&entry.key) || H::is_value_traceable(&entry.value);
        // SAFETY: nobody else can reach the leaf, which has room for one more entry.
        unsafe {
            self.forget();
            let (hashes, entries) = self.places(index);
            hashes.copy_to(hashes.add(1), len - index);
            entries.copy_to(entries.add(1), len - index);
            hashes.write(hash);
            entries.write(entry);
            self.0.as_mut().len += 1;
            if is_traceable {
                self.mark_traced();
            }
        }
        Ok(None)
    }

    /// Removes the entry at `index` of this leaf, which has another one, and returns it.
    ///
    /// If the leaf was copied, the original is returned too, to be dropped when all is done. On
    /// error the leaf is unchanged.
    pub(crate) fn remove_entry(&mut self, index: usize) -> Result<(EntryOf<H>, Slot<H>), H::Error> {
        let len = self.len();
        if Node::<H>::room(len - 1) < len || !self.is_unique() {
            let (removed, original) = self.rebuild_leaf(len - 1, 0..index, None, index + 1..len)?;
            let Some(removed) = removed else { unreachable!("one entry was left out") };
            return Ok((removed, original));
        }
        assert!(index < len, "the entry was found in this leaf");
        // SAFETY: nobody else can reach the leaf, which has the entry.
        unsafe {
            self.forget();
            let (hashes, entries) = self.places(index);
            let removed = entries.read();
            hashes.copy_from(hashes.add(1), len - index - 1);
            entries.copy_from(entries.add(1), len - index - 1);
            Node::hash_ptr(self.0, len - 1).write(Hash::NONE);
            self.0.as_mut().len -= 1;
            Ok((removed, None))
        }
    }

    /// Replaces this leaf by one of `len` entries: those of `head`, `middle` and those of `tail`.
    ///
    /// Returns the entry between `head` and `tail`, if there is one, and the original of the leaf,
    /// if somebody else can reach it.
    fn rebuild_leaf(
        &mut self,
        len: usize,
        head: Range<usize>,
        middle: Option<(Hash, EntryOf<H>)>,
        tail: Range<usize>,
    ) -> Result<LeftOver<H>, H::Error> {
        let is_inside = head.end <= tail.start && tail.start <= tail.end && tail.end == self.len();
        assert!(is_inside, "the entry is inside the leaf");
        let mut builder = LeafBuilder::new(len, self.is_root())?;
        let left_out = (head.end..tail.start).next();
        let is_unique = self.is_unique();
        // SAFETY: nobody else can reach a unique leaf. What its entries are is moved or read out
        // once, and then its memory is freed without dropping anything.
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
                original.discard();
                return Ok((removed, None));
            }
            Ok((removed, Some(original)))
        }
    }

    /// Replaces this leaf by the subtree at `depth` of its entries and, at an index, a new one.
    ///
    /// If the leaf was copied, the original is returned, to be dropped when all is done. On error
    /// the leaf is unchanged.
    pub(crate) fn split_leaf(
        &mut self,
        index: usize,
        hash: Hash,
        entry: EntryOf<H>,
        depth: u32,
    ) -> Result<Slot<H>, H::Error> {
        let is_moved = H::ALLOCATES_ALWAYS && self.is_unique();
        // An index that was found in another map must not make an entry move twice.
        if let Contents::Leaf(leaf) = self.contents() {
            let (before, after) = leaf.hashes.split_at(index);
            let is_in_order =
                before.iter().all(|&it| it <= hash) && after.iter().all(|&it| it >= hash);
            assert!(is_in_order, "the index is the place of the hash in this leaf");
        }
        // SAFETY: nobody else can reach the leaf if it is moved. Its entries are moved out once,
        // during which nothing fails or panics, and then its memory is freed.
        unsafe {
            let subtree =
                build::split(&self.as_source(is_moved), Some((index, hash, entry)), depth)?;
            let original = mem::replace(self, subtree);
            if is_moved {
                original.discard();
                return Ok(None);
            }
            Ok(Some(original))
        }
    }

    /// The entries of this leaf, for other leaves.
    ///
    /// # Safety
    ///
    /// As for [`Source::moved`], if the entries are to be moved.
    unsafe fn as_source(&self, is_moved: bool) -> Source<'_, H> {
        let Contents::Leaf(leaf) = self.contents() else {
            unreachable!("entries are taken from leaves")
        };
        // SAFETY: as the caller promises.
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
    /// Nobody else can reach the leaf.
    unsafe fn discard(self) {
        let node = self.into_raw();
        // SAFETY: as the caller promises; the tag is dropped with the leaf.
        unsafe {
            Node::drop_tag(node);
            H::discard(node, node.as_ref().layout());
        }
    }

    /// Where the hash and the entry at `index` of this leaf are.
    ///
    /// # Safety
    ///
    /// The leaf has room for more than `index` entries.
    #[inline]
    unsafe fn places(&self, index: usize) -> (*mut Hash, *mut EntryOf<H>) {
        // SAFETY: as the caller promises.
        unsafe { (Node::hash_ptr(self.0, index), Node::entry_ptr(self.0, index)) }
    }
}

/// An entry that was taken out of a leaf, and the leaf, if it was copied.
type LeftOver<H> = (Option<EntryOf<H>>, Slot<H>);

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
        unsafe { &mut *self.0.slot_ptr(fragment) }
    }

    /// The child for a fragment.
    #[inline]
    pub(crate) fn child_mut(&mut self, fragment: usize) -> Option<&mut NodeRef<H>> {
        self.slot(fragment).as_mut()
    }

    /// As [`child_mut`](Self::child_mut), for as long as the branch is borrowed.
    #[inline]
    pub(crate) fn into_child_mut(self, fragment: usize) -> Option<&'a mut NodeRef<H>> {
        assert!(fragment < Node::<H>::FANOUT, "a fragment has no more bits than choose a slot");
        // SAFETY: the branch is unshared, and borrowed for as long as the slot is.
        unsafe { (*self.0.slot_ptr(fragment)).as_mut() }
    }

    /// All children, in the order of their fragments.
    pub(crate) fn children_mut(&mut self) -> impl Iterator<Item = &mut NodeRef<H>> {
        // SAFETY: the branch is unshared, and borrowed for as long as its slots are.
        let slots =
            unsafe { core::slice::from_raw_parts_mut(self.0.slot_ptr(0), Node::<H>::FANOUT) };
        slots.iter_mut().flatten()
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
