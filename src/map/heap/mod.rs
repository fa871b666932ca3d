//! How nodes are allocated, shared, proved unique and freed.

#![allow(unsafe_code)] // A heap hands out raw memory: implementing one is a promise, made here.

pub(super) mod arc;

use crate::map::hash::LowWord;
use crate::map::node::{Node, NodeLayout};
use crate::map::tuning::Shape;
use alloc::alloc::{Layout, handle_alloc_error};
use core::ptr::NonNull;

/// Where the nodes of a [`Trie`](crate::map::Trie) live.
///
/// The map knows nothing about reference counts, allocators or collectors; a heap knows nothing
/// about tries. The crate has two heaps: [`ArcHeap`](crate::map::ArcHeap) for Rust programs, and, with
/// the feature `python`, one whose nodes are Python objects that the cyclic collector can visit.
///
/// # Safety
///
/// * [`allocate`](Heap::allocate) returns memory for `layout` that nobody else uses, with a
///   reference count of one.
/// * [`retain`](Heap::retain) and [`release`](Heap::release) count references; the last `release`
///   calls [`Node::drop_contents`] once and then frees the memory.
/// * [`CLONE_IS_BITWISE`](Heap::CLONE_IS_BITWISE) and [`ALLOCATION_IS_INFALLIBLE`](Heap::ALLOCATION_IS_INFALLIBLE) are `true`
///   only if they are true.
/// * [`is_unique`](Heap::is_unique) returns `true` only while the count is one and no other thread
///   can raise it.
///
/// # Examples
///
/// Programs choose a heap by its type. A comparison of keys that may fail needs one with an error:
///
/// ```
/// use ctxvars::map::{ArcHeap, Hash, Trie};
///
/// #[derive(Debug, PartialEq)]
/// struct Offline;
///
/// let mut names: Trie<ArcHeap<u32, &str, (), Offline>> = Trie::new();
/// let added = names.insert(Hash::mix(1), 1, "ann", |new, stored| Ok(new == stored));
/// assert!(added.is_ok());
/// let failed = names.insert(Hash::mix(1), 1, "bob", |_, _| Err(Offline));
/// assert_eq!(failed.err(), Some(Offline));
/// let found = names.get(Hash::mix(1), |stored: &u32| Ok(*stored == 1));
/// assert_eq!(found.map(|entry| entry.map(|it| it.value)), Ok(Some("ann"))); // as before
/// ```
///
/// A heap of one's own implements the seven types and the five functions without a default. A
/// reference count has its place in front of the node ([`NodeLayout::memory`] is that of the node
/// alone) or elsewhere; the last [`release`](Heap::release) asks for [`Node::layout`], calls
/// [`Node::drop_contents`] and then frees the memory. `src/map/heap/arc.rs` does this and no more;
/// `tests/rust/support/heaps.rs` has a heap that does all that one may do.
pub unsafe trait Heap: Sized {
    /// The keys; cloning one must be cheap, since a path copy clones those of a leaf.
    type Key: Clone;
    /// The values; cloning one must be cheap, since a path copy clones those of a leaf.
    type Value: Clone;
    /// What the heap keeps in the root of every map, such as the version of the bindings that it is.
    type Tag: Default;
    /// What the heap remembers of the entries below a branch.
    type DigestCache: DigestCache;
    /// What is kept of the lower half of each hash: `()`, or `u32` where hashes may be chosen by an
    /// attacker, or where keys with different hashes must not be compared. That takes four bytes an
    /// entry, and a shape with four [`FRAGMENT_BITS`](Shape::FRAGMENT_BITS).
    type LowWord: LowWord;
    /// Why an allocation or a comparison of keys failed.
    type Error;
    /// How wide branches are, and how full leaves.
    type Shape: Shape;

    /// Whether cloning a key or a value never panics and gives the same bits, as for a counted
    /// pointer. (That makes copying a leaf faster.)
    const CLONE_IS_BITWISE: bool = false;

    /// Whether [`allocate`](Heap::allocate) never returns an error, nor panics. (Then entries that
    /// nobody else can reach are moved to other nodes, where they are cloned otherwise.)
    const ALLOCATION_IS_INFALLIBLE: bool = false;

    /// Memory for one node, its contents uninitialised.
    fn allocate(layout: NodeLayout) -> Result<NonNull<Node<Self>>, Self::Error>;

    /// The error of an operation that lacks memory for something else than a node: a vector of
    /// entries, which was to have the layout `wanted`.
    ///
    /// Without an implementation it ends the process, as Rust programs expect.
    fn out_of_memory(wanted: Layout) -> Self::Error {
        handle_alloc_error(wanted)
    }

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

    /// A second hash of a key, which has nothing to do with its first one, or `None` if there is none.
    ///
    /// Of two keys that are the same, either both have the same rehash, or one of them has none. It
    /// is always the same for one key, runs no user code and is not foreseen by an attacker. It is
    /// asked for only where keys have the same hash, and only if the [low word](Heap::LowWord) is kept.
    /// Keys that have one are told apart by it, so that many of them do no harm; each key that has
    /// none is compared with all others that have its hash.
    fn rehash(key: &Self::Key) -> Option<u64> {
        let _ = key;
        None
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
    unsafe fn dealloc(node: NonNull<Node<Self>>, layout: NodeLayout);

    /// Whether the caller's reference is the only one.
    ///
    /// # Safety
    ///
    /// The caller holds a reference to `node`.
    unsafe fn is_unique(node: NonNull<Node<Self>>) -> bool;
}

/// A number that stands for the entries below a branch, remembered there once it is known.
///
/// ```
/// use ctxvars::map::DigestCache;
/// use std::cell::Cell;
///
/// #[derive(Default)]
/// struct Remembered(Cell<Option<u64>>);
///
/// impl DigestCache for Remembered {
///     fn get(&self) -> Option<u64> {
///         self.0.get()
///     }
///
///     fn set(&self, sum: u64) {
///         self.0.set(Some(sum));
///     }
/// }
///
/// let (remembered, forgotten) = (Remembered::default(), ());
/// remembered.set(7);
/// forgotten.set(7);
/// assert_eq!((remembered.get(), forgotten.get()), (Some(7), None));
/// ```
pub trait DigestCache: Default {
    /// The number, if it has been set since the entries came to be.
    fn get(&self) -> Option<u64> {
        None
    }

    /// Remembers the number, or does not.
    fn set(&self, sum: u64) {
        let _ = sum;
    }
}

/// Remembers nothing.
impl DigestCache for () {}
