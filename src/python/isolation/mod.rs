//! Isolated functions, generators and coroutines: each body runs in an isolated context.

pub(crate) mod async_generator;
pub(crate) mod body;
pub(crate) mod function;
pub(crate) mod generator_methods;
pub(crate) mod inherit_live;
pub(crate) mod original;
pub(crate) mod proxy;
