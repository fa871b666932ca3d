//! The creation of classes, step by step, for `ctxvars.classes`.

pub(crate) mod build_class;
