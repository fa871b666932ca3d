//! `Map`, `MapMutation`, the views and the iterators.
//!
//! | file | concept |
//! | --- | --- |
//! | `class.rs` | the type `Map`, and the table of its methods |
//! | `one_key.rs` | operations on one key: lookup, `set`, `delete` |
//! | `nested.rs` | operations on a path of keys through nested maps |
//! | `bulk.rs`, `diff_merge.rs` | operations on whole maps |
//! | `equality.rs`, `hash.rs` | `==` with any mapping; the hash of a map |
//! | `copy.rs`, `repr.rs` | copies and pickles; `repr` |
//! | `library_hooks.rs` | methods that other libraries call |
//! | `view.rs`, `iterator.rs` | the views and the iterators |
//! | `mutation/` | `MapMutation` |
//! | `key.rs` | hashing and comparing keys as `dict` does |
//! | `entries.rs` | reading the entries of a mapping or an iterable of pairs |
//! | `py_heap/` | the nodes of maps as Python objects |

pub(crate) mod bulk;
pub(crate) mod class;
pub(crate) mod copy;
pub(crate) mod diff_merge;
pub(crate) mod entries;
pub(crate) mod equality;
pub(crate) mod hash;
pub(crate) mod iterator;
pub(crate) mod key;
pub(crate) mod library_hooks;
pub(crate) mod mutation;
pub(crate) mod nested;
pub(crate) mod one_key;
pub(crate) mod py_heap;
pub(crate) mod repr;
pub(crate) mod view;
