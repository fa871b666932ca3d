//! Iterating over all entries, in the order of their hashes.

#![allow(unsafe_code)] // A path holds pointers into nodes that the owner of the path keeps alive.

use super::hash::HighWord;
use super::heap::Heap;
use super::levels::{HashOf, Levels, fragment_of};
use super::node::reference::NodeRef;
use super::node::{Contents, Entry, EntryOf, Node};
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// The largest number of branches on a path: the narrowest use one bit of the high word each.
const DEEPEST: usize = HighWord::BITS as usize;

/// The path to the next entry: its leaf and the branches above it.
///
/// The path does not store which child of a branch comes next. It follows from the hash, or the
/// rehash, of any entry of the leaf.
struct Path<H: Heap> {
    /// The first entry. The pointer has no type, which keeps iterators covariant in keys and values.
    entries: NonNull<()>,
    highs: NonNull<HighWord>,
    lows: NonNull<()>,
    /// The number of entries of the leaf, and the index of the next one.
    len: usize,
    next: usize,
    /// The depth of the root, which is 0 for the root of a map.
    top: u32,
    depth: u32,
    /// Initialised from `top` up to, not including, `depth`.
    branches: [MaybeUninit<NonNull<Node<H>>>; DEEPEST],
}

impl<H: Heap> Clone for Path<H> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<H: Heap> Path<H> {
    #[inline]
    fn from(root: Option<&NodeRef<H>>, top: u32) -> Self {
        const {
            assert!(
                Levels::<H>::AFTER_REHASH as usize <= DEEPEST,
                "a path has room for all branches"
            )
        };
        let mut path = Self {
            entries: NonNull::dangling(),
            highs: NonNull::dangling(),
            lows: NonNull::dangling(),
            len: 0,
            next: 0,
            top,
            depth: top,
            branches: [MaybeUninit::uninit(); DEEPEST],
        };
        if let Some(root) = root {
            // SAFETY: the reference keeps the root alive during this call.
            unsafe { path.descend(root.as_ptr()) };
        }
        path
    }

    /// Descends to the first leaf below `node`, which is at `self.depth`.
    ///
    /// # Safety
    ///
    /// The node is alive.
    #[inline]
    unsafe fn descend(&mut self, mut node: NonNull<Node<H>>) {
        loop {
            // SAFETY: the caller keeps the first node alive, which keeps the nodes below it alive.
            match unsafe { Node::contents(node) } {
                Contents::Leaf(leaf) => {
                    // A pointer from `leaf.entries` would not allow writes, which `IterMut` needs.
                    // SAFETY: a leaf has a first entry, whose address inside the node is not null.
                    self.entries =
                        unsafe { NonNull::new_unchecked(Node::entry_ptr(node, 0)) }.cast();
                    self.highs = NonNull::from(leaf.highs).cast();
                    self.lows = NonNull::from(leaf.lows).cast();
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
    /// The root that the path was made from is alive. It has not changed, except for values.
    #[inline(always)] // A few instructions for each entry; `next_leaf` is called once a leaf.
    unsafe fn next(&mut self) -> Option<(HashOf<H>, NonNull<EntryOf<H>>)> {
        // SAFETY: `next` is less than `len` here, so the reads are inside the arrays of the leaf,
        // which the root keeps alive.
        unsafe {
            if self.next == self.len && !self.next_leaf() {
                return None;
            }
            let index = self.next;
            self.next += 1;
            let low = self.lows.cast::<H::LowWord>().add(index).read();
            let high = self.highs.add(index).read();
            Some((HashOf::<H> { high, low }, self.entries.cast().add(index)))
        }
    }

    /// Moves to the next leaf, if there is one.
    ///
    /// # Safety
    ///
    /// The root that the path was made from is alive. It has not changed, except for values.
    #[inline(never)]
    unsafe fn next_leaf(&mut self) -> bool {
        if self.len == 0 {
            return false;
        }
        // SAFETY: `len` is not 0, so the path is at a leaf that the root keeps alive. It has a first
        // entry, whose key is not borrowed mutably.
        let (hash, key) = unsafe {
            let low = self.lows.cast::<H::LowWord>().read();
            let hash = HashOf::<H> { high: self.highs.read(), low };
            (hash, &(*self.entries.cast::<EntryOf<H>>().as_ptr()).key)
        };
        while self.depth > self.top {
            self.depth -= 1;
            // SAFETY: `descend` has initialised the branches above `depth`, and the root keeps them
            // alive.
            let contents =
                unsafe { Node::contents(self.branches[self.depth as usize].assume_init()) };
            let Contents::Branch(children) = contents else {
                unreachable!("only branches are on the path")
            };
            let done = fragment_of::<H>(hash, key, self.depth);
            if let Some(child) = children.first_from(done + 1) {
                self.depth += 1;
                // SAFETY: the root keeps its descendant alive.
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
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// let squares = map([(1, 1), (2, 4), (3, 9)]);
/// assert_eq!(squares.iter().len(), 3);
/// assert!(squares.iter().is_sorted_by_key(|(hash, _)| hash));
/// for (_, entry) in &squares {
///     assert_eq!(entry.value, entry.key * entry.key);
/// }
/// ```
pub struct Iter<'a, H: Heap> {
    path: Path<H>,
    left: usize,
    root: Option<&'a NodeRef<H>>,
}

impl<'a, H: Heap> Iter<'a, H> {
    /// Iterates over the entries below a node at `depth`.
    pub(crate) fn below(node: Option<&'a NodeRef<H>>, depth: u32) -> Self {
        let left = node.map_or(0, NodeRef::len);
        Self { path: Path::from(node, depth), left, root: node }
    }
}

impl<'a, H: Heap> Iterator for Iter<'a, H> {
    type Item = (HashOf<H>, &'a EntryOf<H>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: the root is borrowed during `'a`, so it is neither dropped nor changed.
        let (hash, entry) = unsafe { self.path.next().map(|(hash, it)| (hash, it.as_ref())) }?;
        self.left -= 1;
        Some((hash, entry))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }

    /// From the start, this is faster than calling [`next`](Self::next) for each entry.
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, start: B, mut each: F) -> B {
        match self.root {
            Some(root) if root.len() == self.left => fold_below(root, start, &mut each),
            _ => {
                let mut result = start;
                for item in self {
                    result = each(result, item);
                }
                result
            }
        }
    }
}

pub(crate) fn fold_below<'a, H: Heap, B>(
    node: &'a NodeRef<H>,
    start: B,
    each: &mut impl FnMut(B, (HashOf<H>, &'a EntryOf<H>)) -> B,
) -> B {
    match node.contents() {
        Contents::Leaf(leaf) => {
            let words = leaf.highs.iter().zip(leaf.lows);
            let hashes = words.map(|(&high, &low)| HashOf::<H> { high, low });
            hashes.zip(leaf.entries).fold(start, each)
        }
        Contents::Branch(children) => {
            children.iter().fold(start, |result, child| fold_below(child, result, each))
        }
    }
}

impl<H: Heap> ExactSizeIterator for Iter<'_, H> {}

impl<H: Heap> FusedIterator for Iter<'_, H> {}

impl<H: Heap> Clone for Iter<'_, H> {
    fn clone(&self) -> Self {
        Self { path: self.path.clone(), left: self.left, root: self.root }
    }
}

// SAFETY: an iterator is a borrowed `NodeRef`, and reads only what `&NodeRef` gives access to.
unsafe impl<H: Heap> Send for Iter<'_, H> where NodeRef<H>: Sync {}
// SAFETY: a shared iterator can be cloned to another thread, so the condition is that of `Send`.
unsafe impl<H: Heap> Sync for Iter<'_, H> where NodeRef<H>: Sync {}

/// The keys of an unshared map, and its values mutably.
pub(crate) struct IterMut<'a, H: Heap> {
    path: Path<H>,
    left: usize,
    _root: PhantomData<&'a mut NodeRef<H>>,
}

impl<'a, H: Heap> IterMut<'a, H> {
    /// Iterates over a map whose nodes have all been unshared by `Trie::iter_mut`.
    ///
    /// # Safety
    ///
    /// Every node of the map has one reference.
    pub(super) unsafe fn over(root: Option<&'a mut NodeRef<H>>) -> Self {
        let root = root.as_deref();
        Self { path: Path::from(root, 0), left: root.map_or(0, NodeRef::len), _root: PhantomData }
    }

    /// An iterator over no entries.
    pub(crate) fn empty() -> Self {
        Self { path: Path::from(None, 0), left: 0, _root: PhantomData }
    }

    /// The entries that are left.
    pub(crate) fn left(&self) -> Iter<'_, H> {
        // Values that have been yielded may be borrowed mutably, but the path is behind them.
        Iter { path: self.path.clone(), left: self.left, root: None }
    }
}

impl<'a, H: Heap> Iterator for IterMut<'a, H> {
    type Item = (&'a H::Key, &'a mut H::Value);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: the root is borrowed mutably during `'a`, its nodes are unshared, and each entry is
        // yielded once. So the value is not borrowed elsewhere. The path reads keys only.
        unsafe {
            let (_, entry) = self.path.next()?;
            let Entry { key, value } = &mut *entry.as_ptr();
            self.left -= 1;
            Some((key, value))
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<H: Heap> ExactSizeIterator for IterMut<'_, H> {}

impl<H: Heap> FusedIterator for IterMut<'_, H> {}

// SAFETY: an iterator is a mutable borrow of a `NodeRef`, and gives access to the values below it.
unsafe impl<H: Heap> Send for IterMut<'_, H> where NodeRef<H>: Send {}
// SAFETY: a shared iterator gives access to nothing but its length.
unsafe impl<H: Heap> Sync for IterMut<'_, H> where NodeRef<H>: Sync {}

/// An iterator that keeps its map alive, and borrows each entry from itself.
///
/// It does not see later edits: it holds a reference to the root, and shared nodes are not edited.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// use ctxvars::map::Cursor;
///
/// /// The remaining squares: a struct without a lifetime.
/// struct Left(Cursor<Numbers>);
///
/// let mut left = Left(map([(1, 1), (2, 4), (3, 9)]).into_cursor());
/// let mut sum = 0;
/// while let Some(entry) = left.0.advance() {
///     sum += entry.value;
/// }
/// assert_eq!(sum, 14);
/// ```
pub struct Cursor<H: Heap> {
    path: Path<H>,
    root: Option<NodeRef<H>>,
}

impl<H: Heap> Cursor<H> {
    pub(crate) fn over(root: Option<NodeRef<H>>) -> Self {
        Self { path: Path::from(root.as_ref(), 0), root }
    }

    /// The next entry. O(1) on average.
    ///
    /// See [`Cursor`] for an example.
    #[inline]
    pub fn advance(&mut self) -> Option<&EntryOf<H>> {
        // SAFETY: `self.root` owns a reference to the root, so its nodes are alive, and shared with
        // any map that has them, so they are not edited. The entry is borrowed from `self`.
        unsafe { self.path.next().map(|(_, entry)| entry.as_ref()) }
    }

    /// The root of the map, for a garbage collector to visit.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// let squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let mut cursor = squares.cursor();
    /// cursor.advance();
    /// assert_eq!(cursor.root().map(|it| it.as_ptr()), squares.root().map(|it| it.as_ptr()));
    /// ```
    pub fn root(&self) -> Option<&NodeRef<H>> {
        self.root.as_ref()
    }
}

// SAFETY: a cursor owns a `NodeRef`, and gives shared access to the entries below it.
unsafe impl<H: Heap> Send for Cursor<H> where NodeRef<H>: Send + Sync {}
// SAFETY: a shared cursor gives shared access to its root only.
unsafe impl<H: Heap> Sync for Cursor<H> where NodeRef<H>: Sync {}
