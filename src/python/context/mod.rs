//! Context variables, tokens, contexts and scopes.
//!
//! | file | concept |
//! | --- | --- |
//! | `variable.rs`, `token.rs` | `ContextVar` and `Token` |
//! | `default_factory.rs` | defaults that a factory makes once for each context |
//! | `context.rs` | `Context` and `copy_context` |
//! | `scope.rs` | `Scope` and `scope` |
//! | `apply_changes.rs` | applying the changes of one context to another |
//! | `descriptor.rs` | `VariableDescriptor`: a variable as a class attribute |
//! | `root_variable.rs` | the carrier: the native variable that holds the bindings |
//! | `native.rs`, `entered.rs` | native contexts and variables; entering and leaving them |
//! | `native_contexts.rs` | showing our variables in `contextvars.Context` |

pub(crate) mod apply_changes;
#[allow(clippy::module_inception)] // Named after the class `Context`.
pub(crate) mod context;
pub(crate) mod default_factory;
pub(crate) mod descriptor;
pub(crate) mod entered;
pub(crate) mod native;
pub(crate) mod native_contexts;
pub(crate) mod root_variable;
pub(crate) mod scope;
pub(crate) mod token;
pub(crate) mod variable;
