//! Editing a branch, in place or in a copy.

#![allow(unsafe_code)] // Edits nodes in place, whose memory has no safe type in Rust.

use super::reference::NodeRef;
use super::{Children, Contents, Kind, Node, Slot, Span, fragments, is_full};
use crate::map::edit::Retired;
use crate::map::heap::Heap;
use crate::map::tuning::Shape as _;
use core::marker::PhantomData;
use core::mem;
use core::ops::{Deref, DerefMut};

impl<H: Heap> NodeRef<H> {
    /// A branch with `children`, or without any yet, and `len` entries below.
    pub(crate) fn branch_of(
        children: Option<&Children<'_, H>>,
        len: usize,
        traced: bool,
        is_root: bool,
    ) -> Result<Self, H::Error> {
        let node = H::allocate(Node::<H>::branch_layout(is_root))?;
        let occupied = children.map_or(0, |children| children.occupied);
        // SAFETY: the memory was just allocated for the digest cache and the slots of a branch, at
        // these offsets. Copying the bits of all slots and cloning, then forgetting, the children
        // that begin in them leaves each child with one more counted reference. `len` fits into 32 bits,
        // because `LeafBuilder::new` limits the number of entries.
        unsafe {
            let base = node.as_ptr().cast::<u8>();
            base.add(Node::<H>::digest_offset(is_root))
                .cast::<H::DigestCache>()
                .write(H::DigestCache::default());
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
            let header = Node { len, slots: occupied, kind, traced, _heap: PhantomData };
            Ok(Self::assume_init(node, header))
        }
    }

    /// This branch, to be edited; a shared one is replaced by a copy, and `retired` keeps the
    /// original.
    ///
    /// The node must be a branch. On error it is unchanged.
    #[inline]
    pub(crate) fn branch_mut(
        &mut self,
        retired: &mut Retired<H>,
    ) -> Result<BranchMut<'_, H>, H::Error> {
        let Contents::Branch(children) = self.contents() else {
            unreachable!("branch_mut is called on branches only");
        };
        if self.is_unique() {
            // SAFETY: `is_unique` has just found that this is the only reference.
            unsafe { self.clear_cached() };
        } else {
            let (len, traced, is_root) = (self.len(), self.is_traced(), self.is_root());
            let copy = Self::branch_of(Some(&children), len, traced, is_root)?;
            retired.keep(mem::replace(self, copy));
        }
        Ok(BranchMut(self))
    }

    /// This branch, if it is unshared. Its tag and its digest cache stay as they are.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn unshared_branch(&mut self) -> Option<BranchMut<'_, H>> {
        (self.header().kind.is_branch() && self.is_unique()).then_some(BranchMut(self))
    }
}

/// An unshared branch.
pub(crate) struct BranchMut<'a, H: Heap>(&'a mut NodeRef<H>);

impl<'a, H: Heap> BranchMut<'a, H> {
    /// A branch that [`NodeRef::branch_of`] has just made, or that is known to be unshared.
    pub(crate) fn of_new(node: &'a mut NodeRef<H>) -> Self {
        debug_assert!(node.is_unique(), "the branch is not shared");
        Self(node)
    }

    /// # Safety
    ///
    /// `node` is the only reference to a branch.
    #[inline]
    pub(super) unsafe fn of_unshared(node: &'a mut NodeRef<H>) -> Self {
        Self(node)
    }

    /// The number of entries below the branch.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Resets the tag and the digest cache, since the branch is edited.
    #[inline]
    pub(crate) fn clear_cached(&mut self) {
        // SAFETY: the branch is unshared, so `self.0` is the only reference.
        unsafe { self.0.clear_cached() };
    }

    /// The children.
    #[inline]
    pub(crate) fn children(&self) -> Children<'_, H> {
        match self.0.contents() {
            Contents::Branch(children) => children,
            Contents::Leaf(_) => unreachable!("this is a branch"),
        }
    }

    /// The child in a slot.
    #[inline]
    pub(crate) fn child_mut(&mut self, slot: usize) -> Option<ChildMut<'_, H>> {
        let children = self.children();
        children.get(slot)?;
        let span = children.span_at(slot);
        // SAFETY: the slot is inside the branch, which is unshared, and borrowed mutably for as long as
        // the result. The slot of the result has the child.
        unsafe { Some(ChildMut { slots: self.0.slot_ptr(0).cast(), span, _branch: PhantomData }) }
    }

    /// Changes all children, in the order of their slots.
    pub(crate) fn for_each_child(&mut self, mut change: impl FnMut(&mut NodeRef<H>)) {
        for slot in fragments(self.children().occupied()) {
            if let Some(mut child) = self.child_mut(slot) {
                change(&mut child);
            }
        }
    }

    /// Replaces the child that has exactly the slots of `span`, or nothing there. `None` leaves the slots
    /// empty. Returns the old child.
    #[inline]
    pub(crate) fn put(&mut self, span: Span, child: Slot<H>) -> Slot<H> {
        assert!(span.first + span.width <= Node::<H>::FANOUT, "a span is inside the branch");
        debug_assert!(
            self.children().occupied() & span.mask() & !(1 << span.first) == 0,
            "no child begins inside the span"
        );
        let bit = 1 << span.first;
        // SAFETY: the slots are inside the branch. It is unshared, so neither its header nor its slots
        // are borrowed elsewhere. The first slot owns the child; the others are copies of its bits,
        // which are overwritten without a drop.
        unsafe {
            let occupied = &mut self.0.as_ptr().as_mut().slots;
            if child.is_some() {
                *occupied |= bit;
            } else {
                *occupied &= !bit;
            }
            let old = mem::replace(&mut *self.0.slot_ptr(span.first), child);
            copy_first(self.0.slot_ptr(0), span);
            old
        }
    }

    /// Takes the children out of the slots of `span`, which are empty then, and passes each to `receive`.
    pub(crate) fn take_all(&mut self, span: Span, mut receive: impl FnMut(NodeRef<H>)) {
        for slot in fragments(self.children().occupied() & span.mask()) {
            let own = self.children().span_at(slot);
            if let Some(child) = self.put(own, None) {
                receive(child);
            }
        }
    }

    /// Sets the number of entries below the branch.
    #[inline]
    pub(crate) fn set_len(&mut self, len: usize) {
        // SAFETY: the branch is unshared, so its header is not borrowed elsewhere. (`len` fits into
        // 32 bits, because `LeafBuilder::new` limits the number of entries.)
        unsafe { self.0.as_ptr().as_mut().len = len as u32 };
    }

    /// Resets the digest cache, since a value below has changed.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn clear_digest(&mut self) {
        // SAFETY: the branch is unshared, so `self.0` is the only reference.
        unsafe { self.0.clear_digest() };
    }

    /// Marks the branch as traced, since something traceable is below it.
    #[inline]
    pub(crate) fn mark_traced(&mut self) {
        // SAFETY: the branch is unshared, so `self.0` is the only reference.
        unsafe { self.0.mark_traced() };
    }
}

/// The child in a span of a branch, mutably. If another node replaces it, all slots of the span get
/// the new node when this value is dropped, also if a panic unwinds.
pub(crate) struct ChildMut<'a, H: Heap> {
    slots: *mut NodeRef<H>,
    span: Span,
    _branch: PhantomData<&'a mut NodeRef<H>>,
}

impl<H: Heap> Deref for ChildMut<'_, H> {
    type Target = NodeRef<H>;

    #[inline]
    fn deref(&self) -> &NodeRef<H> {
        // SAFETY: the slot has a child, and the branch is borrowed.
        unsafe { &*self.slots.add(self.span.first) }
    }
}

impl<H: Heap> DerefMut for ChildMut<'_, H> {
    #[inline]
    fn deref_mut(&mut self) -> &mut NodeRef<H> {
        // SAFETY: the slot has a child, and the branch, which is unshared, is borrowed mutably.
        unsafe { &mut *self.slots.add(self.span.first) }
    }
}

impl<H: Heap> Drop for ChildMut<'_, H> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the slots are inside the branch, which is borrowed mutably. The first slot owns the
        // child, and the others are copies of its bits.
        unsafe { copy_first(self.slots.cast::<Slot<H>>(), self.span) };
    }
}

/// Copies the pointer in the first slot of a span to its other slots.
///
/// # Safety
///
/// The span is inside the slots of an unshared branch, and the other slots own nothing.
#[inline]
unsafe fn copy_first<H: Heap>(slots: *mut Slot<H>, span: Span) {
    if H::Shape::SPANS {
        // SAFETY: the slots are inside the branch.
        unsafe {
            let first = slots.add(span.first);
            for slot in 1..span.width {
                first.add(slot).copy_from_nonoverlapping(first, 1);
            }
        }
    }
}
