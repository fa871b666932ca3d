//! Walking over all entries, in the order of their hashes.

#![allow(unsafe_code)] // An owning cursor points into nodes that its own root keeps alive.

use super::hash::HighWord;
use super::heap::Heap;
use super::levels::{HashOf, Levels, fragment_of};
use super::node::reference::NodeRef;
use super::node::{Contents, Entry, EntryOf, Node};
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// Branches that a path may have: the narrowest use one bit of the high word each.
const DEEPEST: usize = HighWord::BITS as usize;

/// The way to the next entry: its leaf, and the branches above it.
///
/// Which child of a branch comes next needs not be kept: the hash of any entry of the leaf tells, or
/// its rehash.
struct Path<H: Heap> {
    /// The first entry. Pointers have no type here: iterators over maps of which one can stand for
    /// the other can do so too.
    entries: NonNull<()>,
    highs: NonNull<HighWord>,
    lows: NonNull<()>,
    /// Entries of the leaf, and how many of them have been walked over.
    len: usize,
    next: usize,
    /// Depth of the root, which is 0 for that of a map.
    top: u32,
    depth: u32,
    /// Initialised between `top` and `depth`.
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
                    // Not by way of `leaf.entries`, through which nothing may be written.
                    // SAFETY: a leaf has a first entry, and no entry is at address 0.
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
    /// The root that the path was made from is alive and unchanged, but for its values.
    #[inline(always)] // A few instructions for each entry, and a call for each leaf.
    unsafe fn next(&mut self) -> Option<(HashOf<H>, NonNull<EntryOf<H>>)> {
        // SAFETY: the index is inside the leaf, which the root keeps alive.
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

    /// Goes to the leaf after this one, if there is one.
    ///
    /// # Safety
    ///
    /// As for [`next`](Self::next).
    #[inline(never)]
    unsafe fn next_leaf(&mut self) -> bool {
        if self.len == 0 {
            return false;
        }
        // SAFETY: a leaf has a first entry, whose key never changes.
        let (hash, key) = unsafe {
            let low = self.lows.cast::<H::LowWord>().read();
            let hash = HashOf::<H> { high: self.highs.read(), low };
            (hash, &(*self.entries.cast::<EntryOf<H>>().as_ptr()).key)
        };
        while self.depth > self.top {
            self.depth -= 1;
            // SAFETY: `descend` has written the branch, and the root keeps it alive.
            let contents =
                unsafe { Node::contents(self.branches[self.depth as usize].assume_init()) };
            let Contents::Branch(children) = contents else {
                unreachable!("only branches are on the path")
            };
            let done = fragment_of::<H>(hash, key, self.depth);
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
    /// Over what is below a node at `depth`.
    pub(crate) fn below(node: Option<&'a NodeRef<H>>, depth: u32) -> Self {
        let left = node.map_or(0, NodeRef::len);
        Self { path: Path::from(node, depth), left, root: node }
    }
}

impl<'a, H: Heap> Iterator for Iter<'a, H> {
    type Item = (HashOf<H>, &'a EntryOf<H>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: the node is borrowed, and so neither dropped nor changed, during `'a`.
        let (hash, entry) = unsafe { self.path.next().map(|(hash, it)| (hash, it.as_ref())) }?;
        self.left -= 1;
        Some((hash, entry))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }

    /// Faster than calling [`next`](Self::next) for each entry, from the beginning.
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

fn fold_below<'a, H: Heap, B>(
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

// SAFETY: an iterator is a borrowed reference to a node, and reads what that gives access to.
unsafe impl<H: Heap> Send for Iter<'_, H> where NodeRef<H>: Sync {}
// SAFETY: as for `Send`.
unsafe impl<H: Heap> Sync for Iter<'_, H> where NodeRef<H>: Sync {}

/// The entries of a map that nobody shares, with values that may be changed.
pub(crate) struct IterMut<'a, H: Heap> {
    path: Path<H>,
    left: usize,
    _root: PhantomData<&'a mut NodeRef<H>>,
}

impl<'a, H: Heap> IterMut<'a, H> {
    /// Over a map that has been [unshared](super::edit::get_mut), node by node.
    ///
    /// # Safety
    ///
    /// Nobody else can reach any node of the map.
    pub(super) unsafe fn over(root: Option<&'a mut NodeRef<H>>) -> Self {
        let root = root.as_deref();
        Self { path: Path::from(root, 0), left: root.map_or(0, NodeRef::len), _root: PhantomData }
    }
}

impl<'a, H: Heap> Iterator for IterMut<'a, H> {
    type Item = (&'a H::Key, &'a mut H::Value);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: the root is borrowed mutably during `'a`, nobody else reaches its nodes, and
        // each entry is given out once. The path reads nothing of the entries itself.
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

// SAFETY: an iterator is a reference to a node of its own, and gives access to values in it.
unsafe impl<H: Heap> Send for IterMut<'_, H> where NodeRef<H>: Send {}
// SAFETY: a shared iterator gives access to nothing.
unsafe impl<H: Heap> Sync for IterMut<'_, H> where NodeRef<H>: Sync {}

/// The entries of a map that the cursor itself keeps alive.
///
/// It never sees an edit: what it holds is shared, and shared nodes are not edited.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// use ctxvars::map::Cursor;
///
/// /// The squares that are left: no lifetime, though it walks over a map.
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
        // SAFETY: `self.root` keeps all nodes alive, and unchanged since it shares them; the
        // entry is borrowed from `self`.
        unsafe { self.path.next().map(|(_, entry)| entry.as_ref()) }
    }

    /// The root that is walked over: what a collector has to visit.
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

// SAFETY: a cursor owns a reference to a node, and reads what that gives access to.
unsafe impl<H: Heap> Send for Cursor<H> where NodeRef<H>: Send + Sync {}
// SAFETY: a shared cursor gives access to the root only.
unsafe impl<H: Heap> Sync for Cursor<H> where NodeRef<H>: Sync {}
