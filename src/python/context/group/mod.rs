//! The compiled parts of `ctxvars.Group`.
//!
//! | file | concept |
//! | --- | --- |
//! | `class.rs` | `GroupMetaBase`: reading a field from its class |
//! | `descriptor.rs` | `VariableDescriptor`: a variable as a class attribute |
//! | `instance.rs` | `GroupBase`: instances, which set several fields for a `with` block |

pub(crate) mod class;
pub(crate) mod descriptor;
pub(crate) mod instance;
