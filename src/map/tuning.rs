//! Every constant that trades one cost for another.

use core::marker::PhantomData;
use core::mem::needs_drop;

/// The constants of a map; tests have shapes of their own, to reach deep tries with few keys.
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
    /// Bits of the hash that choose a child at one level, 1 to 4: a branch has `2^FRAGMENT_BITS` slots.
    const FRAGMENT_BITS: u32;
    /// Entries that a leaf below the root may hold before it becomes a branch.
    const LEAF_CAPACITY: usize;
    /// Entries that the root may hold as one flat leaf.
    const ROOT_LEAF_CAPACITY: usize;
    /// A leaf has room for a multiple of this many entries, a power of two up to 32, so that some are added
    /// without moving the others to a larger one.
    const LEAF_STEP: usize = 1;
}

/// The shape that measurements led to, for entries that are two counted pointers.
///
/// ```
/// use ctxvars::map::{Shape, PointerShape};
///
/// assert_eq!(1 << PointerShape::FRAGMENT_BITS, 16); // slots of a branch
/// ```
pub enum PointerShape {}

impl Shape for PointerShape {
    // A path copy touches the reference count of every child that it copies, so wide branches
    // make edits slow, while narrow ones make lookups deep. 16 slots keep a Python branch
    // (176 bytes) well within the 512 that CPython's small-object allocator serves.
    const FRAGMENT_BITS: u32 = 4;
    // A leaf is searched by scanning its hashes, and copied whole.
    const LEAF_CAPACITY: usize = 8;
    // Most contexts hold a handful of variables. Flat, each edit is one allocation.
    const ROOT_LEAF_CAPACITY: usize = 16;
}

/// The shape that measurements led to, for keys and values of Rust programs.
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
    // What needs no drop is cloned by copying bits, as a rule: then longer leaves make maps smaller
    // and faster to walk over (at 100 entries by a third), while it takes 20 to 30 % longer to copy
    // one with strings.
    const LEAF_CAPACITY: usize = if needs_drop::<(K, V)>() { 8 } else { 16 };
    const ROOT_LEAF_CAPACITY: usize = PointerShape::ROOT_LEAF_CAPACITY;
    // As many hashes as are compared at once; a leaf that grows moves to a larger one once in four
    // times. With eight, lookups take as many instructions, and a million entries half as much
    // memory again.
    const LEAF_STEP: usize = 4;
}

/// Entries that a leaf may hold below the depth where the bits of the hash are used up. Fewer than
/// elsewhere: to find the place of a new key, stored ones are hashed again.
pub(crate) const REHASHED_LEAF_CAPACITY: usize = 4;

/// Leaves longer than this are searched by halving. Only those can be whose keys share one hash, and
/// have no rehash.
pub(crate) const LONG_LEAF: usize = 32;
