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
//! | `carrier.rs` | where the current bindings live |
//! | `change.rs` | the rules of `set`, `delete` and `reset`, over any carrier |
//! | `scope.rs` | several variables set for as long as a body runs |
//! | `rebase.rs` | bringing the changes of one context into another |
//! | `follow.rs` | bindings that follow others where nobody has set their own variables |
//! | `local/` | the carrier of Rust programs, a thread-local, and their types on top of it |
//! | `doc_prelude.txt` | what most examples begin with, without showing it |

mod bindings;
mod carrier;
mod change;
mod follow;
mod local;
mod rebase;
mod scope;
mod version;

pub use bindings::{Bindings, BindingsHeap, Variable};
pub use carrier::{Carrier, ErrorOf, ValueOf, VariableOf};
pub use change::{Change, ResetError, delete, reset, set};
pub use follow::follow;
pub use local::{Context, ContextVar, FutureContextExt, InContext, Token};
pub use rebase::Rebased;
pub use scope::{Scope, ScopeError};
pub use version::{Version, Versioned};
