//! Consuming a map: entries of unshared leaves are moved out, others are cloned.

#![allow(unsafe_code)] // Moves entries out of leaves.

use super::build::HashedEntry;
use super::heap::{CloningHeap, Heap};
use super::iter::fold_below;
use super::node::reference::NodeRef;
use super::node::{Contents, EntryOf, Node};
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::ptr;

/// The entries of a consumed map, in the order of their hashes.
pub(crate) struct IntoEntries<H: Heap> {
    leaf: Option<LeafEntries<H>>,
    /// The subtrees after that leaf; the next one is last.
    rest: Vec<NodeRef<H>>,
    left: usize,
}

impl<H: Heap> IntoEntries<H> {
    pub(crate) fn of(root: Option<NodeRef<H>>) -> Self {
        let left = root.as_ref().map_or(0, NodeRef::len);
        Self { leaf: None, rest: root.into_iter().collect(), left }
    }

    /// Calls a function with each entry that is left.
    pub(crate) fn for_each_left(&self, mut each: impl FnMut(&EntryOf<H>)) {
        if let Some(LeafEntries { leaf, next, .. }) = &self.leaf {
            if let Contents::Leaf(leaf) = leaf.contents() {
                leaf.entries[*next..].iter().for_each(&mut each);
            }
        }
        for node in self.rest.iter().rev() {
            fold_below(node, (), &mut |(), (_, entry)| each(entry));
        }
    }
}

impl<H: CloningHeap> Iterator for IntoEntries<H> {
    type Item = HashedEntry<H>;

    /// The next entry. O(1) on average.
    fn next(&mut self) -> Option<HashedEntry<H>> {
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
                    // Dropping the branch first makes its children unshared, unless another map
                    // shares them.
                    drop(node);
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<H: CloningHeap> ExactSizeIterator for IntoEntries<H> {}

/// The entries of one leaf.
struct LeafEntries<H: Heap> {
    leaf: ManuallyDrop<NodeRef<H>>,
    /// Whether the leaf is unshared. Entries before `next` have been moved out then.
    is_unique: bool,
    next: usize,
}

impl<H: Heap> LeafEntries<H> {
    fn of(leaf: NodeRef<H>) -> Self {
        let is_unique = leaf.is_unique();
        Self { leaf: ManuallyDrop::new(leaf), is_unique, next: 0 }
    }

    fn next(&mut self) -> Option<HashedEntry<H>>
    where
        H: CloningHeap,
    {
        let Contents::Leaf(leaf) = self.leaf.contents() else {
            unreachable!("a leaf was found here")
        };
        let entry = leaf.entries.get(self.next)?;
        // SAFETY: if this is the only reference, each entry is moved out once: `next` has passed it
        // then, so neither this function nor `drop` uses it again.
        let entry = if self.is_unique { unsafe { ptr::read(entry) } } else { entry.clone() };
        let hash = leaf.hash(self.next);
        self.next += 1;
        Some((hash, entry))
    }
}

impl<H: Heap> Drop for LeafEntries<H> {
    fn drop(&mut self) {
        if !self.is_unique {
            // SAFETY: the reference is dropped once, here, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.leaf) };
            return;
        }
        let node = self.leaf.as_ptr();
        // SAFETY: this is the only reference to the leaf. The tag and the entries from `next` on are
        // initialised and dropped once, entries before it have been moved out, and the layout is
        // that of the node itself.
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

// SAFETY: the iterator owns references to nodes, and yields their entries by value.
unsafe impl<H: Heap> Send for IntoEntries<H> where NodeRef<H>: Send {}
// SAFETY: a shared iterator gives access to nothing but its length.
unsafe impl<H: Heap> Sync for IntoEntries<H> where NodeRef<H>: Sync {}
