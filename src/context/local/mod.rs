//! Context variables of Rust programs. The carrier is a thread-local.
//!
//! | file | concept |
//! | --- | --- |
//! | `id.rs`, `slots.rs` | the identity of a variable; which variables are alive, and their names |
//! | `prune.rs` | removing the values of dropped variables |
//! | `carrier.rs` | the carrier: a thread-local |
//! | `current/` | the current context of a thread; a cache of lookups in it |
//! | `value.rs` | reference-counted values of any type, dropped with a bounded stack |
//! | `variable.rs`, `default.rs`, `token.rs` | `ContextVar`, its default, and `Token` |
//! | `entered.rs` | a guard that restores a variable |
//! | `assignment.rs` | a variable and a value to set, without their type |
//! | `context.rs`, `entries.rs` | `Context`, and iteration over it |
//! | `future.rs` | futures that run in a context |

#[cfg(feature = "carrier")]
mod assignment;
mod carrier;
mod context;
mod current;
mod default;
mod entered;
mod entries;
mod future;
mod id;
mod prune;
mod slots;
mod token;
mod value;
mod variable;

#[cfg(feature = "carrier")]
pub(super) use assignment::{Assignment, EnteredAll};
pub use context::Context;
pub use entered::Entered;
pub use entries::{Entries, Entry};
pub use future::{FutureContextExt, InContext};
pub use token::Token;
pub use variable::ContextVar;
