//! How nodes are allocated, shared, proved unique and freed.

#![allow(unsafe_code)] // A heap hands out raw memory: implementing one is a promise, made here.

use super::node::Node;
use super::tuning::Shape;
use std::alloc::Layout;
use std::ptr::NonNull;

/// Where the nodes of a [`Trie`](super::Trie) live.
///
/// The map knows nothing about reference counts, allocators or collectors; a heap knows nothing
/// about tries. The crate has two heaps: [`ArcHeap`](super::ArcHeap) for Rust programs, and, with
/// the feature `python`, one whose nodes are Python objects that the cyclic collector can visit.
///
/// # Safety
///
/// * [`allocate`](Heap::allocate) returns memory for `layout` that nobody else uses, with a
///   reference count of one, and room for a [`Tag`](Heap::Tag) outside it.
/// * [`retain`](Heap::retain) and [`release`](Heap::release) count references; the last `release`
///   calls [`Node::drop_contents`] once and then frees the memory.
/// * [`is_unique`](Heap::is_unique) returns `true` only while the count is one and no other thread
///   can raise it.
pub unsafe trait Heap: Sized {
    /// The keys; cloning one must be cheap, since a path copy clones those of a leaf.
    type Key: Clone;
    /// The values; cloning one must be cheap, since a path copy clones those of a leaf.
    type Value: Clone;
    /// A word that the heap keeps with every node: the version of the bindings whose root it is.
    type Tag: Copy + Default;
    /// Why an allocation or a comparison of keys failed.
    type Error;
    /// How wide branches are, and how full leaves.
    type Shape: Shape;

    /// Memory for one node, its contents uninitialised, its tag the default.
    fn allocate(layout: Layout) -> Result<NonNull<Node<Self>>, Self::Error>;

    /// Tells the heap that `node` is complete and holds something the collector must know of.
    ///
    /// Called at most once for each node, before anything else can reach it or, for a node edited
    /// in place, when the first such thing enters it.
    ///
    /// # Safety
    ///
    /// `node` came from [`allocate`](Heap::allocate) and its contents are initialised.
    unsafe fn trace(node: NonNull<Node<Self>>) {
        let _ = node;
    }

    /// Whether the collector must know of a node that holds this key.
    fn is_key_traceable(key: &Self::Key) -> bool {
        let _ = key;
        false
    }

    /// Whether the collector must know of a node that holds this value.
    fn is_value_traceable(value: &Self::Value) -> bool {
        let _ = value;
        false
    }

    /// Whether putting `new` where `old` is would change nothing at all.
    fn is_identical(old: &Self::Value, new: &Self::Value) -> bool {
        let _ = (old, new);
        false
    }

    /// Adds a reference.
    ///
    /// # Safety
    ///
    /// The caller holds a reference to `node`.
    unsafe fn retain(node: NonNull<Node<Self>>);

    /// Gives a reference back; the last one drops the contents and frees the memory.
    ///
    /// # Safety
    ///
    /// The caller holds a reference to `node` and does not use it again.
    unsafe fn release(node: NonNull<Node<Self>>);

    /// Frees the memory of a node whose contents have been moved out or never came to be.
    ///
    /// # Safety
    ///
    /// The caller holds the only reference; `layout` is the one that the node was allocated with.
    unsafe fn discard(node: NonNull<Node<Self>>, layout: Layout);

    /// Whether the caller's reference is the only one.
    ///
    /// # Safety
    ///
    /// The caller holds a reference to `node`.
    unsafe fn is_unique(node: NonNull<Node<Self>>) -> bool;

    /// Where the tag of `node` is.
    ///
    /// # Safety
    ///
    /// The caller holds a reference to `node`.
    unsafe fn tag(node: NonNull<Node<Self>>) -> NonNull<Self::Tag>;
}
