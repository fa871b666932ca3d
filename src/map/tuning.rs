//! Every constant that trades one cost for another.

/// The constants of a map; tests have shapes of their own, to reach deep tries with few keys.
pub trait Shape {
    /// Bits of the hash that choose a child at one level: a branch has `2^FRAGMENT_BITS` slots.
    const FRAGMENT_BITS: u32;
    /// Entries that a leaf below the root may hold before it becomes a branch.
    const LEAF_CAPACITY: usize;
    /// Entries that the root may hold as one flat leaf.
    const ROOT_LEAF_CAPACITY: usize;
}

/// The shape that measurements led to.
pub enum Tuned {}

impl Shape for Tuned {
    // A path copy touches the reference count of every child that it copies, so wide branches
    // make edits slow, while narrow ones make lookups deep. 16 slots keep a Python branch
    // (176 bytes) well within the 512 that CPython's small-object allocator serves.
    const FRAGMENT_BITS: u32 = 4;
    // A leaf is searched by scanning its hashes, and copied whole.
    const LEAF_CAPACITY: usize = 8;
    // Most contexts hold a handful of variables. Flat, each edit is one allocation.
    const ROOT_LEAF_CAPACITY: usize = 16;
}

/// Leaves longer than this are searched by halving. Only those at full depth can be, whose keys
/// share one hash: an attack, as a rule.
pub(crate) const LONG_LEAF: usize = 16;
