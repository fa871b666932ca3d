//! Context variables.

mod contexts;
mod follow;
mod futures;
mod scopes;
mod values;
