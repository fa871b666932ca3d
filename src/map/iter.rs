//! Walking over all entries, in the order of their hashes.

#![allow(unsafe_code)] // An owning cursor points into nodes that its own root keeps alive.

use super::hash::Hash;
use super::heap::Heap;
use super::node::{Contents, EntryOf, Node};
use super::node_ref::NodeRef;
use super::tuning::Shape as _;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// Branches that a path may have: the narrowest use one bit of the hash each.
const DEEPEST: usize = Hash::BITS as usize;

/// The way to the next entry: its leaf, and the branches above it.
///
/// Which child of a branch comes next needs not be kept: the hash of any entry of the leaf tells.
struct Path<H: Heap> {
    entries: NonNull<EntryOf<H>>,
    hashes: NonNull<Hash>,
    /// Entries of the leaf, and how many of them have been walked over.
    len: usize,
    next: usize,
    /// Depth of the root, which is 0 for that of a map.
    top: u32,
    depth: u32,
    /// Initialised between `top` and `depth`.
    branches: [MaybeUninit<NonNull<Node<H>>>; DEEPEST],
}

impl<H: Heap> Path<H> {
    #[inline]
    fn from(root: Option<&NodeRef<H>>, top: u32) -> Self {
        let mut path = Self {
            entries: NonNull::dangling(),
            hashes: NonNull::dangling(),
            len: 0,
            next: 0,
            top,
            depth: top,
            branches: [MaybeUninit::uninit(); DEEPEST],
        };
        if let Some(root) = root {
            // SAFETY: the reference keeps the root alive.
            unsafe { path.descend(root.as_ptr()) };
        }
        path
    }

    /// Goes down to the first leaf below `node`, at `self.depth`.
    ///
    /// # Safety
    ///
    /// The node is alive.
    #[inline]
    unsafe fn descend(&mut self, mut node: NonNull<Node<H>>) {
        loop {
            // SAFETY: as the caller promises; a node keeps its children alive.
            match unsafe { Node::contents(node) } {
                Contents::Leaf(leaf) => {
                    self.entries = NonNull::from(leaf.entries).cast();
                    self.hashes = NonNull::from(leaf.hashes).cast();
                    self.len = leaf.entries.len();
                    self.next = 0;
                    return;
                }
                Contents::Branch(children) => {
                    self.branches[self.depth as usize].write(node);
                    self.depth += 1;
                    let Some(first) = children.first_from(0) else {
                        unreachable!("a branch has children")
                    };
                    node = first.as_ptr();
                }
            }
        }
    }

    /// The next entry.
    ///
    /// # Safety
    ///
    /// The root that the path was made from is alive and unchanged during `'a`.
    #[inline(always)] // A few instructions for each entry, and a call for each leaf.
    unsafe fn next<'a>(&mut self) -> Option<(Hash, &'a EntryOf<H>)>
    where
        H: 'a,
    {
        // SAFETY: the index is inside the leaf, which the root keeps alive.
        unsafe {
            if self.next == self.len && !self.next_leaf() {
                return None;
            }
            let index = self.next;
            self.next += 1;
            Some((self.hashes.add(index).read(), self.entries.add(index).as_ref()))
        }
    }

    /// Goes to the leaf after this one, if there is one.
    ///
    /// # Safety
    ///
    /// The root that the path was made from is alive and unchanged.
    #[inline(never)]
    unsafe fn next_leaf(&mut self) -> bool {
        if self.len == 0 {
            return false;
        }
        // SAFETY: a leaf has a first entry.
        let hash = unsafe { self.hashes.read() };
        while self.depth > self.top {
            self.depth -= 1;
            // SAFETY: `descend` has written the branch, and the root keeps it alive.
            let contents =
                unsafe { Node::contents(self.branches[self.depth as usize].assume_init()) };
            let Contents::Branch(children) = contents else {
                unreachable!("only branches are on the path")
            };
            let done = hash.fragment(self.depth, H::Shape::FRAGMENT_BITS);
            if let Some(child) = children.first_from(done + 1) {
                self.depth += 1;
                // SAFETY: the root keeps the child alive.
                unsafe { self.descend(child.as_ptr()) };
                return true;
            }
        }
        self.len = 0;
        self.next = 0;
        false
    }
}

/// The entries of a borrowed map, with their hashes.
pub struct Iter<'a, H: Heap> {
    path: Path<H>,
    left: usize,
    _root: PhantomData<&'a NodeRef<H>>,
}

impl<'a, H: Heap> Iter<'a, H> {
    /// Over what is below a node at `depth`.
    pub(crate) fn below(node: Option<&'a NodeRef<H>>, depth: u32) -> Self {
        let left = node.map_or(0, NodeRef::len);
        Self { path: Path::from(node, depth), left, _root: PhantomData }
    }
}

impl<'a, H: Heap> Iterator for Iter<'a, H> {
    type Item = (Hash, &'a EntryOf<H>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: the node is borrowed, and so neither dropped nor changed, during `'a`.
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
    path: Path<H>,
    root: Option<NodeRef<H>>,
}

impl<H: Heap> Cursor<H> {
    pub(crate) fn over(root: Option<NodeRef<H>>) -> Self {
        Self { path: Path::from(root.as_ref(), 0), root }
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
