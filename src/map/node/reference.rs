//! A counted reference to a node. The invariants are listed in `node/mod.rs`.

#![allow(unsafe_code)] // Reads and edits nodes, whose memory has no safe type in Rust.

use super::leaf_builder::LeafBuilder;
use super::{Contents, EntryOf, Node, Slot};
use crate::map::fingerprints::{self, Fingerprints};
use crate::map::heap::Heap;
use crate::map::levels::HashOf;
use crate::map::tuning::Shape as _;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

/// A counted reference to a node.
///
/// ```
#[doc = include_str!("../doc_prelude.txt")]
/// let squares = map([(1, 1), (2, 4), (3, 9)]);
/// let root = squares.root().cloned().expect("there are entries"); // keeps the node alive
/// drop(squares);
/// assert_eq!(*root.tag(), ());
/// ```
#[repr(transparent)]
pub struct NodeRef<H: Heap>(NonNull<Node<H>>);

impl<H: Heap> Clone for NodeRef<H> {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: `self` owns a reference to the node.
        unsafe { H::retain(self.0) };
        Self(self.0)
    }
}

impl<H: Heap> Drop for NodeRef<H> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `self` owns a reference to the node, which is not used after its drop.
        unsafe { H::release(self.0) };
    }
}

impl<H: Heap> NodeRef<H> {
    /// Takes ownership of a reference that [`into_raw`](Self::into_raw) returned.
    ///
    /// # Safety
    ///
    /// `node` points to an initialised node. The caller owns a reference to it, and gives it up.
    ///
    /// See [`into_raw`](Self::into_raw) for an example.
    #[inline]
    pub const unsafe fn from_raw(node: NonNull<Node<H>>) -> Self {
        Self(node)
    }

    /// Turns the reference into a pointer, without changing the count.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// use ctxvars::map::NodeRef;
    ///
    /// let squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let raw = squares.clone().into_root().map(NodeRef::into_raw);
    /// // SAFETY: `into_raw` has just returned the reference, and it is taken over once.
    /// let root = raw.map(|raw| unsafe { NodeRef::from_raw(raw) });
    /// assert_eq!(root.map(|root| root.as_ptr()), squares.root().map(|root| root.as_ptr()));
    /// ```
    #[inline]
    pub fn into_raw(self) -> NonNull<Node<H>> {
        ManuallyDrop::new(self).0
    }

    /// The address of the node.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let squares = map([(1, 1), (2, 4), (3, 9)]);
    /// let Some(root) = squares.root() else { unreachable!("there are entries") };
    /// assert_eq!(root.as_ptr(), root.clone().as_ptr());
    /// ```
    #[inline]
    pub fn as_ptr(&self) -> NonNull<Node<H>> {
        self.0
    }

    #[inline]
    pub(super) fn header(&self) -> &Node<H> {
        // SAFETY: the reference keeps the node alive, and a `NodeRef` points to an initialised node.
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
        // SAFETY: the reference keeps the node alive. An edit in place needs `&mut self` of the only
        // reference, so the node is unchanged while `self` is borrowed.
        unsafe { Node::contents(self.0) }
    }

    /// The fingerprints of this leaf, if the shape has them.
    pub(crate) fn fingerprints(&self) -> Option<&Fingerprints> {
        if !H::Shape::FINGERPRINTS || self.header().kind.is_branch() {
            return None;
        }
        // SAFETY: the reference keeps the leaf alive, which has fingerprints at this offset.
        Some(unsafe { self.0.byte_add(Node::<H>::start(self.is_root())).cast().as_ref() })
    }

    /// As [`contents`](Self::contents), of a node that is a root.
    #[inline]
    pub(crate) fn contents_of_root(&self) -> Contents<'_, H> {
        debug_assert!(self.is_root());
        // SAFETY: the reference keeps the node alive, and unchanged while `self` is borrowed. Nodes
        // at depth 0 are roots, and this function is called at depth 0 only.
        unsafe { Node::contents_of(self.0, true) }
    }

    /// The tag of this root.
    ///
    /// # Panics
    ///
    /// If the node is not a root.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// let mut map: Trie<ArcHeap<u32, u32, &str>> = Trie::new();
    /// let Ok(_) = map.insert(hash(1), 1, 1, |new, stored| Ok(new == stored));
    /// assert_eq!(map.root().map(|root| *root.tag()), Some("")); // the default
    /// ```
    ///
    /// To set it: [`Trie::tag_mut`](crate::map::Trie::tag_mut).
    #[inline]
    pub fn tag(&self) -> &H::Tag {
        assert!(self.header().is_root(), "a root has a tag, other nodes do not");
        // SAFETY: a root has a tag at this offset, which `assume_init` has written.
        unsafe { self.0.byte_add(Node::<H>::TAG).cast().as_ref() }
    }

    /// The digest cache of this branch.
    #[inline]
    pub(crate) fn digest_cache(&self) -> &H::DigestCache {
        assert!(self.header().kind.is_branch(), "a branch has a digest cache, a leaf does not");
        let offset = Node::<H>::digest_offset(self.is_root());
        // SAFETY: a branch has a cache at this offset, which `branch_of` has written.
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
        // SAFETY: `self` owns a reference to the node.
        unsafe { H::is_unique(self.0) }
    }

    /// The tag of an unshared root, mutably; `None` if the root is shared.
    #[inline]
    pub(crate) fn tag_mut(&mut self) -> Option<&mut H::Tag> {
        assert!(self.header().is_root(), "a root has a tag, other nodes do not");
        // SAFETY: a root has an initialised tag. `self` is the only reference and is borrowed
        // mutably, so the tag is not borrowed elsewhere.
        self.is_unique().then(|| unsafe { self.0.byte_add(Node::<H>::TAG).cast().as_mut() })
    }

    /// The address of the slot for a fragment.
    ///
    /// # Safety
    ///
    /// The node is a branch, and `fragment` is less than its number of slots.
    #[inline]
    pub(super) unsafe fn slot_ptr(&self, fragment: usize) -> *mut Slot<H> {
        // SAFETY: the node is a branch that has the slot, and its header says whether it is a root.
        unsafe { self.slot_ptr_at(fragment, self.is_root()) }
    }

    /// As [`slot_ptr`](Self::slot_ptr), if the caller knows whether the node is a root.
    ///
    /// # Safety
    ///
    /// The node is a branch, `fragment` is less than its number of slots, and `is_root` says whether
    /// it is a root.
    #[inline]
    pub(super) unsafe fn slot_ptr_at(&self, fragment: usize, is_root: bool) -> *mut Slot<H> {
        // SAFETY: a branch was allocated with all of its slots at this offset.
        unsafe {
            let base = self.0.as_ptr().cast::<u8>();
            base.add(Node::<H>::children_offset(is_root)).cast::<Slot<H>>().add(fragment)
        }
    }

    /// Marks this node as traced, since something traceable is below it.
    ///
    /// # Safety
    ///
    /// `self` is the only reference to the node.
    #[inline]
    pub(super) unsafe fn mark_traced(&mut self) {
        // SAFETY: this is the only reference, so the header is not read elsewhere. The node is
        // initialised, as `Heap::trace` requires.
        unsafe {
            if !self.0.as_ref().traced {
                self.0.as_mut().traced = true;
                H::trace(self.0);
            }
        }
    }

    /// Resets the tag and the digest cache, before the node is edited.
    ///
    /// # Safety
    ///
    /// `self` is the only reference to the node.
    #[inline]
    pub(super) unsafe fn clear_cached(&mut self) {
        // SAFETY: this is the only reference, so the tag is not borrowed elsewhere. A root has an
        // initialised tag at this offset.
        unsafe {
            if self.is_root() {
                *self.0.byte_add(Node::<H>::TAG).cast().as_mut() = H::Tag::default();
            }
            self.clear_digest();
        }
    }

    /// Resets the digest cache, if the node is a branch.
    ///
    /// # Safety
    ///
    /// `self` is the only reference to the node.
    #[inline]
    pub(super) unsafe fn clear_digest(&mut self) {
        if self.header().kind.is_branch() {
            let offset = Node::<H>::digest_offset(self.is_root());
            // SAFETY: this is the only reference, so the cache is not borrowed elsewhere. A branch
            // has an initialised cache at this offset.
            unsafe { *self.0.byte_add(offset).cast().as_mut() = H::DigestCache::default() };
        }
    }

    /// Writes the header of a new node, and the tag if it is a root; the node is initialised then.
    ///
    /// # Safety
    ///
    /// `node` was allocated for a node with this header. Its contents are written, and the caller
    /// owns the only reference, which it gives up.
    #[inline]
    pub(super) unsafe fn assume_init(node: NonNull<Node<H>>, header: Node<H>) -> Self {
        // SAFETY: the memory was allocated for such a node, and no other code has its address.
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

    /// A root leaf without entries, for heaps that need a node for an empty map.
    ///
    /// It is never the root of a [`Trie`](crate::map::Trie).
    ///
    /// # Errors
    ///
    /// The allocation failed.
    ///
    /// ```
    #[doc = include_str!("../doc_prelude.txt")]
    /// use ctxvars::map::NodeRef;
    ///
    /// let Ok(node) = NodeRef::<Numbers>::placeholder();
    /// // SAFETY: the reference keeps the node alive.
    /// assert!(unsafe { node.as_ptr().as_ref() }.is_empty());
    /// ```
    pub fn placeholder() -> Result<Self, H::Error> {
        let node = H::allocate(Node::<H>::leaf_layout(0, true))?;
        let header = Node::leaf_header(0, 0, false, true);
        // SAFETY: the memory was just allocated for a leaf without entries, whose fingerprints are
        // zeros.
        unsafe {
            if H::Shape::FINGERPRINTS {
                let fingerprints = node.byte_add(Node::<H>::start(true));
                fingerprints.cast::<Fingerprints>().write([0; fingerprints::COUNT]);
            }
            Ok(Self::assume_init(node, header))
        }
    }

    /// A leaf with one entry.
    pub(crate) fn leaf_of_one(
        hash: HashOf<H>,
        entry: EntryOf<H>,
        is_root: bool,
    ) -> Result<Self, H::Error> {
        let mut builder = LeafBuilder::new(1, is_root)?;
        builder.push(hash, entry);
        Ok(builder.finish())
    }

    /// Whether something traceable is below this node.
    #[inline]
    pub(crate) fn is_traced(&self) -> bool {
        self.header().traced
    }
}
