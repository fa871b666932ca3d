//! Editing a branch, in place or in a copy.

#![allow(unsafe_code)] // Edits nodes in place, whose memory has no safe type in Rust.

use super::reference::NodeRef;
use super::{Children, Contents, Kind, Node, Slot, fragments, is_full};
use crate::map::edit::Retired;
use crate::map::heap::Heap;
use core::marker::PhantomData;
use core::mem;

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
        // in them leaves each child with one more counted reference. `len` fits into 32 bits,
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
            let header = Node { len, occupied, kind, traced, _heap: PhantomData };
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
    /// A branch that [`NodeRef::branch_of`] has just made.
    pub(crate) fn of_new(node: &'a mut NodeRef<H>) -> Self {
        debug_assert!(node.is_unique(), "a new branch is not shared");
        Self(node)
    }

    #[inline]
    fn slot(&mut self, fragment: usize) -> &mut Slot<H> {
        assert!(fragment < Node::<H>::FANOUT, "a fragment is less than the number of slots");
        // SAFETY: the fragment is less than the number of slots. The branch is unshared, and `self`
        // is borrowed mutably for as long as the slot is.
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
        assert!(fragment < Node::<H>::FANOUT, "a fragment is less than the number of slots");
        // SAFETY: the fragment is less than the number of slots. The branch is unshared, and its
        // only reference is borrowed mutably during `'a`.
        unsafe { (*self.0.slot_ptr(fragment)).as_mut() }
    }

    /// All children, in the order of their fragments.
    pub(crate) fn children_mut(&mut self) -> impl Iterator<Item = &mut NodeRef<H>> {
        // SAFETY: the branch has that many slots. It is unshared, and `self` is borrowed mutably for
        // as long as the slots are.
        let slots =
            unsafe { core::slice::from_raw_parts_mut(self.0.slot_ptr(0), Node::<H>::FANOUT) };
        slots.iter_mut().flatten()
    }

    /// Replaces the child for a fragment, by `None` to remove it, and returns the old one.
    #[inline]
    pub(crate) fn put(&mut self, fragment: usize, child: Slot<H>) -> Slot<H> {
        let bit = 1 << fragment;
        // SAFETY: the branch is unshared, so its header is not borrowed elsewhere.
        let occupied = unsafe { &mut self.0.as_ptr().as_mut().occupied };
        if child.is_some() {
            *occupied |= bit;
        } else {
            *occupied &= !bit;
        }
        mem::replace(self.slot(fragment), child)
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
