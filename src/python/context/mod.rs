//! Context variables, tokens, contexts and scopes.
//!
//! | file | concept |
//! | --- | --- |
//! | `variable/`, `token.rs` | `ContextVar` and `Token` |
//! | `context.rs` | `Context` and `copy_context` |
//! | `scope.rs` | `Scope` and `scope` |
//! | `frames.rs` | values that are attached and detached, for OpenTelemetry |
//! | `apply_changes.rs` | applying the changes of one context to another |
//! | `group/` | the compiled parts of `ctxvars.Group`: class, descriptor, instance |
//! | `root_variable.rs` | the carrier: the native variable that holds the bindings |
//! | `cell.rs` | the value of that variable where bindings are edited in place |
//! | `native_layout/` | the memory of native contexts: who owns the bindings |
//! | `native.rs`, `entered.rs` | native contexts and variables; entering and leaving them |
//! | `native_contexts.rs` | showing our variables in `contextvars.Context` |

pub(crate) mod apply_changes;
pub(crate) mod cell;
#[allow(clippy::module_inception)] // Named after the class `Context`.
pub(crate) mod context;
pub(crate) mod entered;
pub(crate) mod frames;
pub(crate) mod group;
pub(crate) mod native;
pub(crate) mod native_contexts;
pub(crate) mod native_layout;
pub(crate) mod root_variable;
pub(crate) mod scope;
pub(crate) mod token;
pub(crate) mod variable;
