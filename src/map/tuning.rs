//! The constants that trade one cost for another, each with the reason for its value.

use core::marker::PhantomData;
use core::mem::needs_drop;

/// The constants of a map. Tests use narrow shapes, which make a few keys a deep trie.
///
/// ```
/// use ctxvars::map::{ArcHeap, Hash, Shape, Trie};
/// use std::convert::Infallible;
///
/// /// A few keys make a deep trie.
/// enum Binary {}
///
/// impl Shape for Binary {
///     const FRAGMENT_BITS: u32 = 1;
///     const LEAF_CAPACITY: usize = 1;
///     const ROOT_LEAF_CAPACITY: usize = 1;
/// }
///
/// let mut map: Trie<ArcHeap<&str, u32, (), Infallible, Binary>> = Trie::new();
/// for (hash, key) in [(0b01 << 30, "a"), (0b10 << 30, "b"), (0b11 << 30, "c")] {
///     let Ok(_) = map.insert(Hash::from_bits(hash), key, 0, |new, stored| Ok(new == stored));
/// }
/// assert_eq!(map.iter().map(|(_, entry)| entry.key).collect::<String>(), "abc");
/// ```
pub trait Shape {
    /// The number of bits in a fragment, 1 to 4: a branch has `2^FRAGMENT_BITS` slots.
    const FRAGMENT_BITS: u32;
    /// The number of entries that a leaf below the root may hold before it becomes a branch.
    const LEAF_CAPACITY: usize;
    /// The number of entries that the root may hold as a leaf.
    const ROOT_LEAF_CAPACITY: usize;
    /// A leaf has room for a multiple of this many entries, a power of two up to 32. So an entry can
    /// often be added without moving the others to a larger leaf.
    const LEAF_STEP: usize = 1;
}

/// The shape for entries of two counted pointers, found by measurements.
///
/// ```
/// use ctxvars::map::{Shape, PointerShape};
///
/// assert_eq!(1 << PointerShape::FRAGMENT_BITS, 16); // slots of a branch
/// ```
pub enum PointerShape {}

impl Shape for PointerShape {
    // Copying a branch increments the reference count of each child. So wide branches make edits
    // slow, and narrow branches make lookups deep. With 16 slots, a branch of a Python map takes
    // 176 bytes; CPython's small-object allocator serves up to 512.
    const FRAGMENT_BITS: u32 = 4;
    // A lookup scans the hashes of a leaf, and an edit of a shared leaf copies all of it.
    const LEAF_CAPACITY: usize = 8;
    // Most contexts hold a few variables. With a single leaf, each edit is one allocation.
    const ROOT_LEAF_CAPACITY: usize = 16;
}

/// The shape for keys and values of Rust programs, found by measurements.
///
/// ```
/// use ctxvars::map::{Shape, ShapeFor};
///
/// assert_eq!(ShapeFor::<u32, String>::LEAF_CAPACITY, 8);
/// assert_eq!(ShapeFor::<u32, u32>::LEAF_CAPACITY, 16);
/// ```
pub struct ShapeFor<K, V>(PhantomData<(K, V)>);

impl<K, V> Shape for ShapeFor<K, V> {
    const FRAGMENT_BITS: u32 = PointerShape::FRAGMENT_BITS;
    // Entries without a destructor are usually cloned by copying bits. For these, longer leaves make
    // maps smaller, and iteration faster (by a third at 100 entries). Copying a longer leaf of
    // strings takes 20 to 30 % more time.
    const LEAF_CAPACITY: usize = if needs_drop::<(K, V)>() { 8 } else { 16 };
    const ROOT_LEAF_CAPACITY: usize = PointerShape::ROOT_LEAF_CAPACITY;
    // The number of hashes that one SIMD instruction compares. A growing leaf is reallocated once
    // in four insertions. With 8, lookups take as many instructions, and a million entries take
    // half as much memory again.
    const LEAF_STEP: usize = 4;
}

/// The number of entries that a leaf may hold below the last bit of the hash. It is small, because
/// finding the place of a new key computes the rehashes of stored keys.
pub(crate) const REHASHED_LEAF_CAPACITY: usize = 4;

/// Longer leaves are searched by bisection. Only leaves of keys with one hash get as long.
pub(crate) const LONG_LEAF: usize = 32;
