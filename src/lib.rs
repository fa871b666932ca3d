//! A persistent hash map with structural sharing, and context variables built on it.
//!
//! * [`HashTrieMap`] is a hash map whose clones are O(1) and share all nodes. An edit copies only
//!   the nodes on the path to one entry, so keeping many versions of a map is cheap.
//! * [`HashTrieSet`] is such a map without values.
//! * [`ContextVar`] is a variable whose value depends on the current [`Context`]: that of a thread,
//!   a future or a request. Copying a context is O(1), because its values live in such a map.
//!
//! # The map
//!
//! ```
//! use ctxvars::HashTrieMap;
//! use ctxvars::hash_trie_map::Change;
//!
//! let mut config = HashTrieMap::from([("retries", 3), ("timeout", 30)]);
//! let before = config.clone(); // O(1)
//! config.insert("timeout", 60); // O(log n), and does not change `before`
//! let offline = config.without("timeout"); // a third version
//! assert_eq!((before["timeout"], config["timeout"], offline.get("timeout")), (30, 60, None));
//!
//! // Comparing two versions skips the nodes that they share: O(changes).
//! let change = Change::Changed { key: &"timeout", old: &30, new: &60 };
//! assert_eq!(before.diff(&config), [change]);
//!
//! // A three-way merge combines two independent edits of one version.
//! let theirs = before.update("retries", 5);
//! let merged = before.merge(&config, &theirs, |conflict| conflict.ours.copied());
//! assert_eq!(merged, HashTrieMap::from([("retries", 5), ("timeout", 60)]));
//! ```
//!
//! [`HashTrieMap`] has a [table of costs](HashTrieMap#costs). A lookup takes two to four times as
//! long as in [`std::collections::HashMap`].
//!
//! # Context variables
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
//!     // A new thread starts with an empty context. A bound closure runs in the given one.
//!     thread::spawn(Context::current().bind(|| log("in a thread"))).join()
//! });
//! assert_eq!(line.ok().as_deref(), Some("[7] in a thread"));
//! assert_eq!(REQUEST.get(), None); // the scope has ended
//! ```
//!
//! [`FutureContextExt::in_context`] attaches a context to a future, on any async runtime. The
//! future enters the context at each poll and leaves it when the poll returns. The semantics are
//! those of [PEP 567](https://peps.python.org/pep-0567/): this crate is also the core of the Python
//! package `ctxvars`.
//!
//! # Features
//!
//! | feature | effect |
//! | --- | --- |
//! | `std` (default) | context variables, which need threads; without it, the crate needs `alloc` only |
//! | `serde` | [`HashTrieMap`] serializes and deserializes as a map, [`HashTrieSet`] as a sequence |
//! | `rayon` | parallel iterators over [`HashTrieMap`] and [`HashTrieSet`], and parallel construction |
//! | `deep-drop` | dropping maps nested many thousands of levels deep does not overflow the stack; Rust before 1.88 needs `cargo update -p psm --precise 0.1.28` |
//! | `tokio` | module `tokio`: `spawn`, `spawn_blocking`, `spawn_local` and tasks of a `JoinSet`, in a copy of the current context |
//! | `futures` | `StreamContextExt::in_context` for streams |
//! | `tower` | module `tower`: a layer that handles each request in its context |
//! | `tracing` | module `tracing`: contexts that carry a span |
//! | `carrier` | module `carrier`: values that travel to other services in headers, as those of the Python package |
//! | `http` | `carrier` reads and writes `http::HeaderMap` |
//! | `signing` | `carrier::Signer`: HMAC-SHA256 of the values in headers |
//! | `python` | the extension module `ctxvars._core`, built by maturin |
//!
//! # The code
//!
//! The crate has three layers. Each depends only on the layers above it in this table; its `mod.rs`
//! lists its files.
//!
//! | module | contents | must not depend on |
//! | --- | --- | --- |
//! | `map` | the persistent map: its nodes, generic over the heap that allocates them; [`HashTrieMap`] and [`HashTrieSet`] | contexts, Python |
//! | `context` | the rules of PEP 567, generic over the carrier that stores the current values, and [`ContextVar`] | Python |
//! | `python` | the extension module, with the feature `python` | the algorithms of the map |
//!
//! The modules `map` and `context` are public for the tests, the fuzzer and the extension module,
//! but they are not part of the documented interface: their items may change in any version.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "std")]
#[doc(hidden)]
pub mod context;
#[doc(hidden)]
pub mod map;
#[cfg(feature = "python")]
mod python;

#[cfg(feature = "futures")]
#[doc(inline)]
pub use context::integrations::StreamContextExt;
#[cfg(feature = "carrier")]
#[doc(inline)]
pub use context::integrations::carrier;
#[cfg(feature = "tokio")]
#[doc(inline)]
pub use context::integrations::tokio;
#[cfg(feature = "tower")]
#[doc(inline)]
pub use context::integrations::tower;
#[cfg(feature = "tracing")]
#[doc(inline)]
pub use context::integrations::tracing;
#[cfg(feature = "std")]
#[doc(inline)]
pub use context::{
    Context, ContextVar, Entered, Entries, Entry, FutureContextExt, InContext, ResetError, Token,
};
#[doc(inline)]
pub use map::hash_trie_map::{self, HashTrieMap};
#[doc(inline)]
pub use map::hash_trie_set::{self, HashTrieSet};

/// The Rust code in the README and on its page of the documentation runs as a test. The page needs the
/// feature `carrier`.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[cfg_attr(feature = "carrier", doc = include_str!("../docs/reference/rust.md"))]
struct Readme;
