//! Walking over all entries, in the order of their hashes.

#![allow(unsafe_code)] // An owning cursor points into nodes that its own root keeps alive.

use super::hash::Hash;
use super::heap::Heap;
use super::node::{Contents, EntryOf, Node, NodeRef};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The way from the root to the next entry: each node on it, and the next index in that node.
///
/// A node is at most `Hash::BITS` levels below the root, and as a rule at most eight.
struct Path<H: Heap> {
    steps: Vec<(NonNull<Node<H>>, usize)>,
}

impl<H: Heap> Path<H> {
    fn from(root: Option<&NodeRef<H>>) -> Self {
        let mut steps = Vec::with_capacity(root.map_or(0, |_| 8));
        steps.extend(root.map(|node| (node.as_ptr(), 0)));
        Self { steps }
    }

    /// The next entry.
    ///
    /// # Safety
    ///
    /// The root that the path was made from is alive and unchanged during `'a`.
    #[inline]
    unsafe fn next<'a>(&mut self) -> Option<(Hash, &'a EntryOf<H>)>
    where
        H: 'a,
    {
        loop {
            let (node, index) = self.steps.last_mut()?;
            // SAFETY: the node is below the root, which keeps it alive.
            match unsafe { Node::contents::<'a>(*node) } {
                Contents::Leaf(leaf) => {
                    if let Some(entry) = leaf.entries.get(*index) {
                        let hash = leaf.hashes[*index];
                        *index += 1;
                        return Some((hash, entry));
                    }
                    self.steps.pop();
                }
                Contents::Branch(children) => {
                    let Some(slot) = children.get(*index) else {
                        self.steps.pop();
                        continue;
                    };
                    *index += 1;
                    if let Some(child) = slot {
                        self.steps.push((child.as_ptr(), 0));
                    }
                }
            }
        }
    }
}

/// The entries of a borrowed map, with their hashes.
pub struct Iter<'a, H: Heap> {
    path: Path<H>,
    left: usize,
    _root: PhantomData<&'a NodeRef<H>>,
}

impl<'a, H: Heap> Iter<'a, H> {
    pub(crate) fn below(root: Option<&'a NodeRef<H>>) -> Self {
        let left = root.map_or(0, NodeRef::len);
        Self { path: Path::from(root), left, _root: PhantomData }
    }
}

impl<'a, H: Heap> Iterator for Iter<'a, H> {
    type Item = (Hash, &'a EntryOf<H>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: the root is borrowed, and so neither dropped nor changed, during `'a`.
        let next = unsafe { self.path.next() }?;
        self.left -= 1;
        Some(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<H: Heap> ExactSizeIterator for Iter<'_, H> {}

/// The entries of a map that the cursor itself keeps alive.
///
/// It never sees an edit: what it holds is shared, and shared nodes are not edited.
pub struct Cursor<H: Heap> {
    root: Option<NodeRef<H>>,
    path: Path<H>,
}

impl<H: Heap> Cursor<H> {
    pub(crate) fn over(root: Option<NodeRef<H>>) -> Self {
        Self { path: Path::from(root.as_ref()), root }
    }

    /// The next entry. O(1) on average.
    #[inline]
    pub fn advance(&mut self) -> Option<&EntryOf<H>> {
        // SAFETY: `self.root` keeps all nodes alive, and unchanged since it shares them; the
        // entry is borrowed from `self`.
        let (_, entry) = unsafe { self.path.next() }?;
        Some(entry)
    }

    /// The root that is walked over: what a collector has to visit.
    pub fn root(&self) -> Option<&NodeRef<H>> {
        self.root.as_ref()
    }
}
