//! Context variables of Rust programs. The carrier is a thread-local.
//!
//! | file | concept |
//! | --- | --- |
//! | `id.rs` | the identity of a variable |
//! | `carrier.rs` | the carrier: a thread-local |
//! | `current.rs`, `lookup_cache.rs` | the current context of a thread; a cache of lookups in it |
//! | `value.rs` | reference-counted values of any type, dropped with a bounded stack |
//! | `variable.rs`, `token.rs` | `ContextVar` and `Token` |
//! | `context.rs`, `future.rs` | `Context`, and futures that run in one |

mod carrier;
mod context;
mod current;
mod future;
mod id;
mod lookup_cache;
mod token;
mod value;
mod variable;

pub use context::Context;
pub use future::{FutureContextExt, InContext};
pub use token::Token;
pub use variable::ContextVar;
