//! Context variables on a persistent hash map with structural sharing.
//!
//! A context variable has a value of its own in each context; a context follows a thread, a task
//! or a request, and copying one costs O(1), because the values are kept in an immutable map whose
//! versions share their nodes. The semantics are those of PEP 567 of Python, for which this crate
//! is also the core of the module of the same name.
//!
//! ```
//! use ctxvars::{Context, ContextVar};
//!
//! let request = ContextVar::new("request");
//! let token = request.set("first");
//! let mut second = Context::copy_current();
//! second.run(|| request.set("second"));
//! assert_eq!(request.get(), Some("first"));
//! assert_eq!(second.run(|| request.get()), Some("second"));
//! assert!(request.reset(token).is_ok());
//! assert_eq!(request.get(), None);
//! ```
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
pub use context::{Context, ContextVar, ResetError, Token};
pub use map::hash_trie_map::{self, HashTrieMap};

/// The Rust code in the README is run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
