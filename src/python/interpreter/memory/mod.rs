//! The memory of Python objects: free lists, the garbage collector, deep nests.

pub(crate) mod free_list;
pub(crate) mod gc;
pub(crate) mod gc_pause;
pub(crate) mod trashcan;
