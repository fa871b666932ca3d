//! `Map`, `MapMutation`, the views and the iterators.

pub(crate) mod bulk;
pub(crate) mod class;
pub(crate) mod copy;
pub(crate) mod diff_merge;
pub(crate) mod entries;
pub(crate) mod equality;
pub(crate) mod hash;
pub(crate) mod iterator;
pub(crate) mod key;
pub(crate) mod mutation;
pub(crate) mod one_key;
pub(crate) mod pickle;
pub(crate) mod py_heap;
pub(crate) mod repr;
pub(crate) mod view;
