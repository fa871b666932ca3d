//! The memory of Python objects.
//!
//! | file | concept |
//! | --- | --- |
//! | `free_list.rs` | reusing the memory of hot types |
//! | `gc.rs`, `gc_pause.rs` | traversal by the garbage collector, and pausing it |
//! | `large_blocks.rs` | the allocator of Rust's vectors |
//! | `trashcan.rs` | freeing nested objects of any depth with a bounded stack |

pub(crate) mod free_list;
pub(crate) mod gc;
pub(crate) mod gc_pause;
mod large_blocks;
pub(crate) mod trashcan;
