//! Tests of context variables.

mod dropped_variables;
mod follow;
mod futures;
mod model;
mod scopes;
mod values;
mod variables;
