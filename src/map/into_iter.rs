//! Taking a map apart: entries that nobody else can reach are moved out, others are cloned.

#![allow(unsafe_code)] // Moves entries out of nodes.

use super::heap::Heap;
use super::node::reference::NodeRef;
use super::node::{Contents, EntryOf, Node};
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::ptr;

/// The entries of a map that is given away, in the order of their hashes.
pub(crate) struct IntoEntries<H: Heap> {
    leaf: Option<LeafEntries<H>>,
    /// The nodes after that leaf, the next one last.
    rest: Vec<NodeRef<H>>,
    left: usize,
}

impl<H: Heap> IntoEntries<H> {
    pub(crate) fn of(root: Option<NodeRef<H>>) -> Self {
        let left = root.as_ref().map_or(0, NodeRef::len);
        Self { leaf: None, rest: root.into_iter().collect(), left }
    }
}

impl<H: Heap> Iterator for IntoEntries<H> {
    type Item = EntryOf<H>;

    /// The next entry. O(1) on average.
    fn next(&mut self) -> Option<EntryOf<H>> {
        loop {
            if let Some(entry) = self.leaf.as_mut().and_then(LeafEntries::next) {
                self.left -= 1;
                return Some(entry);
            }
            self.leaf = None;
            let node = self.rest.pop()?;
            match node.contents() {
                Contents::Leaf(_) => self.leaf = Some(LeafEntries::of(node)),
                Contents::Branch(children) => {
                    let begin = self.rest.len();
                    self.rest.extend(children.iter().cloned());
                    self.rest[begin..].reverse();
                    // The branch goes before its children are drained, so that they are reached
                    // from here alone unless another map reaches them.
                    drop(node);
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<H: Heap> ExactSizeIterator for IntoEntries<H> {}

/// The entries of one leaf.
struct LeafEntries<H: Heap> {
    leaf: ManuallyDrop<NodeRef<H>>,
    /// Whether nobody else can reach the leaf, so that the entries before `next` are moved out.
    is_unique: bool,
    next: usize,
}

impl<H: Heap> LeafEntries<H> {
    fn of(leaf: NodeRef<H>) -> Self {
        let is_unique = leaf.is_unique();
        Self { leaf: ManuallyDrop::new(leaf), is_unique, next: 0 }
    }

    fn next(&mut self) -> Option<EntryOf<H>> {
        let Contents::Leaf(leaf) = self.leaf.contents() else {
            unreachable!("a leaf was found here")
        };
        let entry = leaf.entries.get(self.next)?;
        // SAFETY: if the leaf is ours alone, an entry is moved out once and then counts as gone.
        let entry = if self.is_unique { unsafe { ptr::read(entry) } } else { entry.clone() };
        self.next += 1;
        Some(entry)
    }
}

impl<H: Heap> Drop for LeafEntries<H> {
    fn drop(&mut self) {
        if !self.is_unique {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.leaf) };
            return;
        }
        let node = self.leaf.as_ptr();
        // SAFETY: nobody else can reach the leaf. What has not been moved out is dropped, and then
        // the memory is freed.
        unsafe {
            let layout = node.as_ref().layout();
            let left = node.as_ref().len() - self.next;
            let first = Node::entry_ptr(node, 0).add(self.next);
            Node::drop_tag(node);
            ptr::drop_in_place(ptr::slice_from_raw_parts_mut(first, left));
            H::dealloc(node, layout);
        }
    }
}

// SAFETY: a drain owns references to nodes, and gives their entries away.
unsafe impl<H: Heap> Send for IntoEntries<H> where NodeRef<H>: Send {}
// SAFETY: a shared drain gives access to nothing.
unsafe impl<H: Heap> Sync for IntoEntries<H> where NodeRef<H>: Sync {}
