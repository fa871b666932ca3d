//! A persistent hash map with structural sharing.
//!
//! The map is a trie over the hashes of the keys. Leaves hold a few entries each. A leaf that
//! outgrows its capacity becomes a branch, which chooses a child by the next four bits of the hash,
//! from the top down. If the heap keeps only the upper half of each hash, these are all bits. If it
//! keeps the lower half as well, its bits follow, and after them those of a second hash of the key:
//!
//! ```text
//!  hash of "user" = 0x2B… = 0010 1011 …
//!                           |    |
//!                           |    +--- fragment at depth 1: 11
//!                           +-------- fragment at depth 0: 2
//!
//!  root    branch, 19 entries
//!          slot  0    1    2    3  …  15
//!                |    -    |    |     |
//!                |         |    |     leaf  [F0… "lang"=…] [F9… "theme"=…]
//!                |         |    leaf  [31… "locale"=…]
//!                |         branch, 9 entries
//!                |         slot  …  11  …
//!                |                   leaf  [2B07… "id"=…] [2B1C… "user"=…]
//!                leaf  [04… "tz"=…]
//! ```
//!
//! In maps of Rust programs, a leaf may have several slots of its branch, a *span* ([`Shape::SPANS`]).
//! Without spans, a full leaf becomes up to 16 leaves of one or two entries; with spans, it becomes two
//! leaves. So leaves are fuller, and there are fewer of them:
//!
//! ```text
//!          slot  0   1   2   3   4   5   6   7   8  …  15
//!                |   leaf a      |  leaf b   | c |  leaf d   | 11 entries a leaf, on average
//! ```
//!
//! # Invariants
//!
//! 1. The root is absent if and only if the map is empty; no node is empty.
//! 2. A leaf at a depth where bits of the hash remain holds at most its capacity:
//!    [`Shape::ROOT_LEAF_CAPACITY`] at the root, else [`Shape::LEAF_CAPACITY`]. A branch has more
//!    entries below it than a leaf in its place could hold. So *equal content means equal shape*,
//!    whatever edits led to it. With spans, entries of aligned slots of a branch that fit into a leaf
//!    are one: the leaf has the widest span whose entries fit. Two exceptions: entries with the same
//!    hash and no different rehashes may be in any order; and equal keys may differ in whether they
//!    have a rehash, which changes the shape below the last bit of the hash.
//! 3. The entries of a leaf are sorted by hash; the hashes are stored beside them. Entries with the
//!    same hash are sorted by rehash ([`Heap::rehash`]), and entries without a rehash come first. So
//!    a map iterates in the order of its hashes, and a leaf splits into contiguous ranges.
//! 4. Entries with the same hash, and the same rehash or none, are never separated. Below the last
//!    bit of the hash, a subtree of only such entries is one leaf of any size: a *collision node*.
//!    Below the last bit of the rehash, every leaf is one. Unused fingerprints
//!    ([`Shape::FINGERPRINTS`]) are zeros. In a leaf of more than 16 entries, all are that of the first
//!    entry.
//! 5. A node that is reachable from two maps never changes.
//! 6. A node is traced (see [`Heap::trace`]) if it holds something traceable, or has a traced node
//!    below it.
//!
//! # Terms
//!
//! | term | meaning |
//! | --- | --- |
//! | fragment | the bits of the hash that choose a child at one depth |
//! | high word, low word | the upper and the lower half of a hash |
//! | rehash | a second hash of a key, for keys whose hashes are equal |
//! | run | the entries with one hash, which are adjacent |
//! | shared, unshared node | a node with several references, or with one: only the latter is edited in place |
//! | span | an aligned run of slots: those of one child, or empty ones |
//! | fingerprint | a byte of the hash of an entry; a lookup compares 16 of them at once |
//! | room | the number of entries that fit into the memory of a leaf |
//! | traceable | visible to a garbage collector |
//! | probe | the key of a lookup: it decides whether a stored key matches |
//!
//! # Where to look
//!
//! | file | concept |
//! | --- | --- |
//! | `trie.rs` | the map itself, over any heap: fallible operations |
//! | `hash_trie_map/`, `hash_trie_set/` | the map and the set for Rust programs |
//! | `hash.rs`, `levels.rs` | the hash of a key, and which of its bits choose a child at which depth |
//! | `tuning.rs` | the constants, each with its reason |
//! | `heap/` | where nodes live and how they are shared: the trait, and the heap of Rust programs |
//! | `node/` | the memory of a node: layout, references, building, editing; nearly all unsafe code |
//! | `search.rs`, `hash_scan.rs`, `fingerprints.rs` | finding one key; comparing several hashes, or fingerprints, at once |
//! | `edit/` | inserting, removing and replacing: one key, values in place, all values |
//! | `build.rs` | building a map from many entries |
//! | `iter.rs`, `into_iter.rs` | iterating over a map, borrowed or consumed |
//! | `combine/` | operations on whole maps: union, diff, merge, comparison |
//! | `digest.rs` | a hash of all entries, cached in branches |
//! | `reserve.rs` | growing vectors without aborting when memory runs out |
//! | `invariants.rs` | the list of invariants above, as code |
//! | `doc_prelude.txt` | the hidden first lines of most examples: see [`Trie`] |

mod build;
mod combine;
mod digest;
mod edit;
mod fingerprints;
mod hash;
mod hash_scan;
pub mod hash_trie_map;
pub mod hash_trie_set;
mod heap;
mod into_iter;
mod invariants;
mod iter;
mod levels;
mod node;
pub(crate) mod reserve;
mod search;
mod trie;
mod tuning;

pub use build::HashedEntry;
pub use combine::{Change, Compare, Conflict, Diff, HashedChange};
#[cfg(feature = "std")] // For the bindings of contexts.
pub(crate) use edit::InPlace;
pub use edit::{Edited, Location, Retired, Rewrite};
pub use hash::{Hash, LowWord};
pub use hash_trie_map::HashTrieMap;
pub use hash_trie_set::HashTrieSet;
pub use heap::arc::ArcHeap;
pub use heap::{CloningHeap, DigestCache, Heap};
pub use iter::{Cursor, Iter};
pub use levels::HashOf;
pub use node::reference::NodeRef;
pub use node::{Children, Contents, Entry, EntryOf, Leaf, Node, NodeLayout, Slot};
pub use search::Probe;
pub use trie::{Insertion, Trie};
pub use tuning::{PointerShape, Shape, ShapeFor};
