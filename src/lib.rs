//! A persistent hash map with structural sharing, and context variables on top of it.
//!
//! # The map
//!
//! [`HashTrieMap`] is a hash map of which each version stays as it was: a clone costs O(1) and
//! shares all nodes, an edit copies the few nodes on the way to the entry, and what nobody shares
//! is edited in place.
//!
//! ```
//! use ctxvars::HashTrieMap;
//! use ctxvars::hash_trie_map::Change;
//!
//! let mut config: HashTrieMap<&str, u32> = HashTrieMap::from([("retries", 3), ("timeout", 30)]);
//! let before = config.clone(); // O(1)
//! config.insert("timeout", 60); // O(log n), and `before` does not see it
//! let offline = config.without("timeout"); // a third version
//! assert_eq!((before["timeout"], config["timeout"], offline.get("timeout")), (30, 60, None));
//!
//! // What two versions share is not looked at, so comparing them costs O(changes).
//! let change = Change::Changed { key: &"timeout", old: &30, new: &60 };
//! assert_eq!(before.diff(&config), [change]);
//!
//! // Two edits of one version, made independently, become one.
//! let theirs = before.update("retries", 5);
//! let merged = before.merge(&config, &theirs, |conflict| conflict.ours.copied());
//! assert_eq!(merged, HashTrieMap::from([("retries", 5), ("timeout", 60)]));
//! ```
//!
//! The costs of all operations are in a table [there](HashTrieMap#costs); how the nodes look, and
//! which invariants they keep, in the module [`map`]. Beside std's `HashMap`, lookups cost two
//! to four times as much, and a version of its own for every edit becomes affordable.
//!
//! # Context variables
//!
//! A [`ContextVar`] has a value of its own in each [`Context`]. A context follows a thread, a
//! future or a request; copying one costs O(1), because its values are such a map.
//!
//! ```
//! use ctxvars::{Context, ContextVar};
//! use std::thread;
//!
//! static REQUEST: ContextVar<u64> = ContextVar::new("request");
//!
//! fn log(line: &str) -> String {
//!     format!("[{}] {line}", REQUEST.get().unwrap_or_default())
//! }
//!
//! let line = REQUEST.scope(7, || {
//!     // A thread starts with no variables set; a bound function takes those of here along.
//!     thread::spawn(Context::current().bind(|| log("in a thread"))).join()
//! });
//! assert_eq!(line.ok().as_deref(), Some("[7] in a thread"));
//! assert_eq!(REQUEST.get(), None);
//! ```
//!
//! [`FutureContextExt::in_context`] takes a context into a future, on any runtime: it is entered at
//! each poll and left when the poll returns. The semantics are those of
//! [PEP 567](https://peps.python.org/pep-0567/) of Python, for which this crate is also the core of
//! the module of the same name.
//!
//! # Features
//!
//! | feature | what it brings |
//! | --- | --- |
//! | `std` (default) | context variables, which live in threads; without it the crate needs `alloc` only |
//! | `serde` | [`HashTrieMap`] is read and written as a map |
//! | `rayon` | parallel iterators over [`HashTrieMap`], and from them |
//! | `deep-drop` | maps nested in maps, many thousands deep, are dropped without overflowing the stack; Rust before 1.88 needs `cargo update -p psm --precise 0.1.28` |
//! | `python` | the Python module `ctxvars._core`, built by maturin |
//!
//! # The map of the code
//!
//! | module | what it is | what it must not know |
//! | --- | --- | --- |
//! | [`map`] | the persistent map, over any heap | contexts, Python |
//! | [`context`] | the rules of context variables, over any carrier | Python |
//! | `python` | the module `ctxvars._core`, behind the feature `python` | algorithms |

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "std")]
pub mod context;
pub mod map;
#[cfg(feature = "python")]
mod python;

#[cfg(feature = "std")]
pub use context::{Context, ContextVar, FutureContextExt, InContext, ResetError, Token};
pub use map::hash_trie_map::{self, HashTrieMap};

/// The Rust code in the README and on its page of the documentation is run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/reference/rust.md")]
struct Readme;
