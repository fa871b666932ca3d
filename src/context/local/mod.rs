//! Context variables of Rust programs: the current bindings of each thread live in a thread-local.
//!
//! | file | concept |
//! | --- | --- |
//! | `id.rs` | the identity of a variable |
//! | `carrier.rs` | the carrier: a thread-local |
//! | `current.rs`, `lookup_cache.rs` | what a thread knows of its current context, and of values in it |
//! | `value.rs` | values of any type, counted, dropped with a bounded stack |
//! | `variable.rs`, `token.rs` | `ContextVar` and `Token` |
//! | `context.rs`, `future.rs` | `Context`, and futures that have one |

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
