//! Allocating, sharing and freeing nodes.

#![allow(unsafe_code)] // Declares an unsafe trait: a heap hands out raw memory.

pub(super) mod arc;

use crate::map::hash::LowWord;
use crate::map::node::{Node, NodeLayout};
use crate::map::tuning::Shape;
use alloc::alloc::{Layout, handle_alloc_error};
use core::ptr::NonNull;

/// Where the nodes of a [`Trie`](crate::map::Trie) live.
///
/// The map does not depend on how nodes are allocated, counted or collected; a heap does not depend
/// on tries. The crate has two heaps: [`ArcHeap`](crate::map::ArcHeap) for Rust programs and, with
/// the feature `python`, a heap whose nodes are Python objects, which the garbage collector visits.
///
/// # Safety
///
/// * [`allocate`](Heap::allocate) returns unused memory for `layout`, with a reference count of one.
/// * [`retain`](Heap::retain) and [`release`](Heap::release) count references. The last `release`
///   calls [`Node::drop_contents`] once and then frees the memory.
/// * [`CLONE_IS_BITWISE`](Heap::CLONE_IS_BITWISE) is `true` only if cloning a key or a value never
///   panics and copies its bits, and all bits are initialised.
/// * [`ALLOCATION_IS_INFALLIBLE`](Heap::ALLOCATION_IS_INFALLIBLE) is `true` only if `allocate` never
///   returns an error and never panics.
/// * [`is_unique`](Heap::is_unique) returns `true` only if the count is one and no other thread can
///   raise it.
///
/// # Examples
///
/// A program chooses a heap by its type. A fallible comparison of keys needs a heap with an error:
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
/// A new heap implements the seven types and the five functions that have no default. It may keep
/// the reference count in front of the node ([`NodeLayout::memory`] covers the node alone) or
/// elsewhere. The last [`release`](Heap::release) reads [`Node::layout`], calls
/// [`Node::drop_contents`] and frees the memory. `src/map/heap/arc.rs` is a minimal heap;
/// `tests/rust/support/heaps.rs` has one that implements everything.
pub unsafe trait Heap: Sized {
    /// The keys.
    type Key;
    /// The values.
    type Value;
    /// Data in the root of each map, such as the version of bindings.
    type Tag: Default;
    /// The cache of a digest in each branch.
    type DigestCache: DigestCache;
    /// The stored part of the lower half of each hash: `()` for nothing, or `u32` for all of it.
    ///
    /// Choose `u32` if an attacker may choose hashes, or if keys with different hashes must not be
    /// compared. It takes four bytes an entry, and needs a shape with four
    /// [`FRAGMENT_BITS`](Shape::FRAGMENT_BITS).
    type LowWord: LowWord;
    /// The error of a failed allocation or comparison of keys.
    type Error;
    /// How wide branches are, and how full leaves.
    type Shape: Shape;

    /// Whether cloning a key or a value never panics and copies its bits, as for a counted pointer.
    /// Copying a leaf is faster then.
    const CLONE_IS_BITWISE: bool = false;

    /// Whether [`allocate`](Heap::allocate) never returns an error and never panics. Entries of an
    /// unshared leaf are then moved to new nodes instead of cloned.
    const ALLOCATION_IS_INFALLIBLE: bool = false;

    /// Allocates uninitialised memory for one node.
    fn allocate(layout: NodeLayout) -> Result<NonNull<Node<Self>>, Self::Error>;

    /// Returns the error for a failed allocation other than a node: a vector with the layout
    /// `wanted`.
    ///
    /// The default aborts the process, as allocations in Rust programs do.
    fn out_of_memory(wanted: Layout) -> Self::Error {
        handle_alloc_error(wanted)
    }

    /// Starts tracing `node`: the garbage collector has to visit it.
    ///
    /// The map calls this at most once for a node: before any other code can reach the node, or,
    /// for a node that is edited in place, when the first traceable item enters it.
    ///
    /// # Safety
    ///
    /// `node` came from [`allocate`](Heap::allocate), and its contents are initialised.
    unsafe fn trace(node: NonNull<Node<Self>>) {
        let _ = node;
    }

    /// Whether a node that holds this key must be traced.
    fn is_key_traceable(key: &Self::Key) -> bool {
        let _ = key;
        false
    }

    /// Whether a node that holds this value must be traced.
    fn is_value_traceable(value: &Self::Value) -> bool {
        let _ = value;
        false
    }

    /// Whether `old` and `new` are the same object, so that replacing one by the other changes
    /// nothing.
    fn is_identical(old: &Self::Value, new: &Self::Value) -> bool {
        let _ = (old, new);
        false
    }

    /// A second hash of a key, independent of the first one, or `None` if the key has none.
    ///
    /// Two keys that match have the same rehash, unless one of them has none. The rehash of a key
    /// never changes, computing it runs no user code, and an attacker cannot predict it. The map
    /// computes it only for keys with equal hashes, and only if the heap stores the
    /// [low word](Heap::LowWord). The rehash separates colliding keys, so that an attack with equal
    /// hashes costs O(log n) a lookup. A key without a rehash is compared with every key that has
    /// its hash.
    fn rehash(key: &Self::Key) -> Option<u64> {
        let _ = key;
        None
    }

    /// Increments the reference count.
    ///
    /// # Safety
    ///
    /// The caller owns or borrows a reference to `node`.
    unsafe fn retain(node: NonNull<Node<Self>>);

    /// Decrements the reference count; the last reference drops the contents and frees the memory.
    ///
    /// # Safety
    ///
    /// The caller owns a reference to `node`, which is consumed.
    unsafe fn release(node: NonNull<Node<Self>>);

    /// Frees the memory of a node whose contents have been moved out or were never initialised.
    ///
    /// # Safety
    ///
    /// The caller owns the only reference, and the node was allocated with `layout`.
    unsafe fn dealloc(node: NonNull<Node<Self>>, layout: NodeLayout);

    /// Whether the caller's reference is the only one.
    ///
    /// # Safety
    ///
    /// The caller owns or borrows a reference to `node`.
    unsafe fn is_unique(node: NonNull<Node<Self>>) -> bool;
}

/// A [`Heap`] whose keys and values can be cloned, as edits require: a leaf that another map shares is
/// copied. Maps in other heaps are built, read, compared and dropped.
///
/// Cloning should be cheap, because copying a leaf clones all of its entries. All heaps with such keys
/// and values implement this trait.
///
/// ```
/// use ctxvars::map::{ArcHeap, CloningHeap, HashOf, Trie};
/// use std::convert::Infallible;
///
/// /// Doubles a number, in any heap of numbers.
/// fn double<H>(map: &mut Trie<H>, hash: HashOf<H>, key: u32)
/// where
///     H: CloningHeap<Key = u32, Value = u32, Error = Infallible>,
/// {
///     let Ok(removed) = map.remove(hash, |stored: &u32| Ok(*stored == key));
///     if let Some(entry) = removed {
///         let Ok(_) = map.insert(hash, key, entry.value * 2, |new, stored| Ok(new == stored));
///     }
/// }
/// ```
pub trait CloningHeap: Heap<Key: Clone, Value: Clone> {}

impl<H: Heap<Key: Clone, Value: Clone>> CloningHeap for H {}

/// A cache, in each branch, of the [digest](super::Trie::digest) of the entries below it.
///
/// ```
/// use ctxvars::map::DigestCache;
/// use std::cell::Cell;
///
/// #[derive(Default)]
/// struct Cached(Cell<Option<u64>>);
///
/// impl DigestCache for Cached {
///     fn get(&self) -> Option<u64> {
///         self.0.get()
///     }
///
///     fn set(&self, sum: u64) {
///         self.0.set(Some(sum));
///     }
/// }
///
/// let (cached, uncached) = (Cached::default(), ());
/// cached.set(7);
/// uncached.set(7);
/// assert_eq!((cached.get(), uncached.get()), (Some(7), None));
/// ```
pub trait DigestCache: Default {
    /// The digest, if it has been stored since the entries last changed.
    fn get(&self) -> Option<u64> {
        None
    }

    /// Stores the digest, if the cache can.
    fn set(&self, sum: u64) {
        let _ = sum;
    }
}

/// A cache that stores nothing.
impl DigestCache for () {}
