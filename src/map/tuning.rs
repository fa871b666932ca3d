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
    /// An unshared leaf that grows gets room for a multiple of this many entries, so that most of the
    /// next entries fit into it.
    const GROWTH_STEP: usize = 1;
    /// Whether a leaf has a *fingerprint* of each entry, a byte of its hash. A lookup then compares 16
    /// fingerprints at once, instead of all hashes of the leaf. They take 16 bytes a leaf.
    const FINGERPRINTS: bool = false;
    /// Whether a leaf may have an aligned run of 2, 4 or 8 slots of its branch, a *span*, instead of
    /// one. So leaves are fuller, and an edit of a shared leaf copies more entries.
    ///
    /// The heap must store high words only.
    const SPANS: bool = false;
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
/// assert_eq!(ShapeFor::<u32, String>::LEAF_CAPACITY, 6);
/// assert_eq!(ShapeFor::<u32, u32>::LEAF_CAPACITY, 16);
/// ```
pub struct ShapeFor<K, V>(PhantomData<(K, V)>);

impl<K, V> Shape for ShapeFor<K, V> {
    const FRAGMENT_BITS: u32 = PointerShape::FRAGMENT_BITS;
    // Entries without a destructor are usually cloned by copying bits. For these, longer leaves make
    // maps smaller, and iteration faster (by a third at 100 entries). Copying a leaf of strings clones
    // each: with 8 instead of 6, deriving a map takes a tenth more time, and inserting in place a tenth
    // less.
    const LEAF_CAPACITY: usize = if needs_drop::<(K, V)>() { 6 } else { 16 };
    const ROOT_LEAF_CAPACITY: usize = PointerShape::ROOT_LEAF_CAPACITY;
    // Entries that were inserted one by one take a fifth more memory than collected ones. With twice
    // the step, they would take two fifths more.
    const GROWTH_STEP: usize = if needs_drop::<(K, V)>() { 2 } else { 4 };
    // A lookup has one branch that depends on the key, whether the first candidate is the key.
    const FINGERPRINTS: bool = true;
    // A leaf has 11 entries on average; without spans, it has between 2 and 5, depending on the size of
    // the map.
    const SPANS: bool = true;
}

/// The number of entries that a leaf may hold below the last bit of the hash. It is small, because
/// finding the place of a new key computes the rehashes of stored keys.
pub(crate) const REHASHED_LEAF_CAPACITY: usize = 4;

/// Longer leaves are searched by bisection. Only leaves of keys with one hash get as long.
pub(crate) const LONG_LEAF: usize = 32;
