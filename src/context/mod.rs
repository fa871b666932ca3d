//! Context variables: state that follows a logical thread of execution.
//!
//! All variables of a context are one immutable value, its [`Bindings`]: a persistent map from
//! variable to value. Copying a context shares the bindings, O(1); setting a variable derives new
//! ones, O(log n), which no other context sees. The semantics are those of PEP 567.
//!
//! Where the *current* bindings live is not decided here: a [`Carrier`] keeps them. Rust programs
//! use a thread-local, through [`ContextVar`], [`Context`] and [`FutureContextExt`]; the Python
//! module keeps them in one native context variable.
//!
//! # Invariants
//!
//! 1. Two bindings with the same [`Version`] have the same entries, in the whole process, for
//!    ever: a value cached beside a version is right for as long as that version is current.
//! 2. A change made by [`set`] or [`delete`] can be undone once, for the same variable, in the same context.
//!    [`reset`] checks these in this order and changes nothing if one fails.
//! 3. No change calls user code, but for dropping values after it is complete.
//! 4. What a reader has been given stays alive and unchanged until it is done, whatever it does.
//! 5. Values nested in one another's contexts to any depth are dropped with a bounded stack.
//!
//! | file | concept |
//! | --- | --- |
//! | `version.rs` | numbers that are never given out twice |
//! | `bindings.rs` | the immutable variables of one context |
//! | `state.rs` | the rules of `set`, `delete` and `reset`, over any carrier |
//! | `scope.rs` | several variables set for as long as a body runs |
//! | `changes.rs` | bringing the changes of one context into another |
//! | `local.rs` | the carrier of Rust programs: a thread-local |
//! | `current.rs`, `lookups.rs` | what a thread knows of its current context, and of values in it |
//! | `value.rs` | values of any type, counted, dropped with a bounded stack |
//! | `variable.rs`, `token.rs` | `ContextVar` and `Token` for Rust programs |
//! | `local_context.rs`, `future.rs` | `Context` for Rust programs, and futures that have one |

mod bindings;
mod changes;
mod current;
mod future;
mod local;
mod local_context;
mod lookups;
mod scope;
mod state;
mod token;
mod value;
mod variable;
mod version;

pub use bindings::{Bindings, BindingsHeap, Variable};
pub use changes::Rebased;
pub use future::{FutureContextExt, InContext};
pub use local_context::Context;
pub use scope::{Scope, ScopeError};
pub use state::{Carrier, Change, ErrorOf, ResetError, ValueOf, VariableOf, delete, reset, set};
pub use token::Token;
pub use variable::ContextVar;
pub use version::{Version, Versioned};
