//! Context variables: state that follows a logical thread of execution.
//!
//! The values of a context are one immutable map from variable to value: its [`Bindings`]. Copying a
//! context is O(1), because the copy shares the bindings. Setting a variable is O(log n): it derives
//! new bindings, which no other context sees. The semantics are those of PEP 567.
//!
//! A [`Carrier`] stores the *current* bindings. The carrier of Rust programs is a thread-local; their
//! interface is [`ContextVar`], [`Context`] and [`FutureContextExt`]. The carrier of the Python module
//! is a native context variable.
//!
//! # Invariants
//!
//! 1. Bindings with the same [`Version`] have the same entries, in the whole process, at all times. So
//!    a value that is cached with a version is valid whenever that version is current.
//! 2. A change by [`set`] or [`delete`] can be undone once, for the same variable, in the same
//!    context. [`reset`] checks these conditions in this order, and changes nothing if one fails.
//! 3. A change calls no user code, except destructors after the change is complete.
//! 4. A value that is being read stays alive and unchanged until the reader returns, whatever the
//!    reader does.
//! 5. Dropping values that hold contexts that hold values, to any depth, takes a bounded stack.
//!
//! | file | concept |
//! | --- | --- |
//! | `version.rs` | numbers that are unique in the process |
//! | `bindings.rs` | the immutable values of one context |
//! | `carrier.rs` | the trait: where the current bindings are stored |
//! | `change.rs` | `set`, `delete` and `reset`, over any carrier |
//! | `scope.rs` | setting several variables while a body runs |
//! | `rebase.rs` | applying the changes of one context to another |
//! | `follow.rs` | bindings whose unset variables follow other bindings |
//! | `local/` | the interface of Rust programs: `ContextVar`, `Context`, futures; and the thread-local |
//! | `integrations/` | tokio, streams, tower, tracing and headers, each with a feature |
//! | `doc_prelude.txt` | the hidden first lines of most examples |

mod bindings;
mod carrier;
mod change;
mod follow;
pub mod integrations;
mod local;
mod rebase;
mod scope;
mod version;

pub use bindings::{Bindings, BindingsHeap, Variable};
pub use carrier::{Carrier, ErrorOf, Updated, ValueOf, VariableOf};
pub use change::{Change, ResetError, delete, reset, set};
pub use follow::follow;
pub use local::{Context, ContextVar, Entered, Entries, Entry, FutureContextExt, InContext, Token};
pub use rebase::Rebased;
pub use scope::{Before, Scope, ScopeError};
pub use version::{Version, Versioned};
