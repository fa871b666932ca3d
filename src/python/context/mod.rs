//! Context variables, tokens, contexts and scopes.

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
