//! Context variables: state that follows a logical thread of execution.
//!
//! All variables of a context are one immutable value, its [`Bindings`]: a persistent map from
//! variable to value. Copying a context shares the bindings, O(1); setting a variable derives new
//! ones, O(log n), which no other context sees. The semantics are those of PEP 567.
//!
//! Where the *current* bindings live is not decided here: a [`Carrier`] keeps them. Rust programs
//! use [`ThreadLocal`], through [`ContextVar`] and [`Context`]; the Python module keeps them in
//! one native context variable.
//!
//! # Invariants
//!
//! 1. Two bindings with the same [`Version`] have the same entries, in the whole process, for
//!    ever: a value cached beside a version is right for as long as that version is current.
//! 2. A change made by [`set`] can be undone once, for the same variable, in the same context.
//!    [`reset`] checks these in this order and changes nothing if one fails.
//! 3. Nothing here calls user code, but for dropping values after the change is complete.
//!
//! | file | concept |
//! | --- | --- |
//! | `version.rs` | numbers that are never given out twice |
//! | `bindings.rs` | the immutable variables of one context |
//! | `state.rs` | the rules of `set` and `reset`, over any carrier |
//! | `local.rs` | the carrier of Rust programs: a thread-local |
//! | `variable.rs` | `ContextVar`, `Context` and `Token` for Rust programs |

mod bindings;
mod local;
mod state;
mod variable;
mod version;

pub use bindings::{Bindings, BindingsHeap, Variable};
pub use local::{LocalHeap, LocalValue, ThreadLocal, VariableId};
pub use state::{Carrier, Change, ErrorOf, ResetError, ValueOf, VariableOf, reset, set};
pub use variable::{Context, ContextVar, Token};
pub use version::{Version, Versioned};
