//! Isolated functions, generators and coroutines: each body runs in an isolated context.
//!
//! | file | concept |
//! | --- | --- |
//! | `function.rs` | isolated functions |
//! | `proxy.rs` | the proxies of generators, coroutines and async generators |
//! | `generator_methods.rs`, `async_generator.rs` | the methods of the proxies |
//! | `body.rs` | the context of a body, which each step enters |
//! | `original.rs` | the state of the generator or coroutine below a proxy |
//! | `inherit_live.rs` | variables that follow the caller until the body sets them (PEP 568) |

pub(crate) mod async_generator;
pub(crate) mod body;
pub(crate) mod function;
pub(crate) mod generator_methods;
pub(crate) mod inherit_live;
pub(crate) mod original;
pub(crate) mod proxy;
