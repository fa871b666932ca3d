//! A persistent hash map with structural sharing.
//!
//! A trie over the hashes of the keys. Leaves hold a few entries each; a leaf that outgrows its
//! capacity becomes a branch, whose children are chosen by the next four bits of the hash, from
//! the top down. Where a heap keeps whole hashes, those of its lower half follow, and then those of a
//! second hash of the key:
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
//! # Invariants
//!
//! 1. The root is absent if and only if the map is empty; no node is empty.
//! 2. A leaf at a depth where bits of the hash remain holds at most its capacity
//!    ([`Shape::ROOT_LEAF_CAPACITY`] at the root, else [`Shape::LEAF_CAPACITY`]), a branch has
//!    more entries below it than that: *equal content means equal shape*, however it came about,
//!    up to the order of entries with the same hash that no rehash tells apart. (Where the bits of
//!    the hash are used up, equal keys may differ in whether they have a rehash; then shapes do.)
//! 3. Entries of a leaf lie in the order of their hashes, which are stored beside them, and those with
//!    the same hash in the order of their rehashes ([`Heap::rehash`]), behind those that have none.
//!    So a whole map iterates in the order of its hashes, and a split makes contiguous ranges.
//! 4. Entries with the same hash, and the same rehash or none, are never separated. Below the depth
//!    where the bits of the hash are used up, such entries alone are one leaf, a collision node,
//!    however many they are; so is any leaf where all bits are used up.
//!    Where a leaf has room for more, [`Shape::LEAF_STEP`], its high words are all ones.
//! 5. A node that two maps can reach never changes.
//! 6. A node that holds something traceable, itself or below it, is traced
//!    (see [`Heap::trace`]).
//!
//! # Where to look
//!
//! | file | concept |
//! | --- | --- |
//! | `tuning.rs` | the constants, each with its reason |
//! | `hash.rs` | the bits that stand for a key |
//! | `levels.rs` | which of them choose a child at which depth |
//! | `heap/` | where nodes live, how they are shared |
//! | `node/mod.rs` | the memory of a node |
//! | `node/reference.rs` | a counted reference to a node |
//! | `node/leaf_builder.rs`, `node/leaf_edit.rs`, `node/branch_mut.rs` | making and editing nodes: with these, nearly all the unsafe code |
//! | `search.rs`, `hash_scan.rs`, `edit/mod.rs` | finding, inserting and removing one key |
//! | `edit/retired.rs` | the nodes that an edit takes out, dropped when it is over |
//! | `build.rs` | making a map of many entries at once |
//! | `reserve.rs` | vectors that grow without ending the process |
//! | `iter.rs`, `into_iter.rs` | walking over a map, taking one apart |
//! | `combine/equal.rs`, `digest.rs` | comparing two maps, hashing one |
//! | `edit/get_mut.rs` | changing values in place |
//! | `edit/rewrite.rs` | new values for all entries of many versions of a map |
//! | `combine/` | union, difference, diff, merge …: one walk, a rule for each, and the operations |
//! | `combine/membership.rs` | which entries of one map another one has |
//! | `trie.rs` | the map over any heap, fallible |
//! | `hash_trie_map/` | the map for Rust programs |
//! | `invariants.rs` | this list as code |
//! | `doc_prelude.txt` | what most examples begin with, without showing it: see [`Trie`] |

mod build;
mod combine;
mod digest;
mod edit;
mod hash;
mod hash_scan;
pub mod hash_trie_map;
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
pub use edit::{Edited, Location, Retired, Rewrite};
pub use hash::{Hash, LowWord};
pub use hash_trie_map::HashTrieMap;
pub use heap::arc::ArcHeap;
pub use heap::{DigestCache, Heap};
pub use iter::{Cursor, Iter};
pub use levels::HashOf;
pub use node::reference::NodeRef;
pub use node::{Children, Contents, Entry, EntryOf, Leaf, Node, NodeLayout, Slot};
pub use search::Probe;
pub use trie::{Insertion, Trie};
pub use tuning::{PointerShape, Shape, ShapeFor};
