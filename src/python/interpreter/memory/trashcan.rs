//! Freeing nested objects of any depth with a bounded stack.
//!
//! Dropping the fields of an object may drop another object of this module, whose fields hold a
//! third one, to any depth: a context whose value is a context, and so on. Beyond a certain depth,
//! a dead object is queued instead. The queue is emptied when the stack is shallow again.
//!
//! A finalizer may run in the middle of a nest, and drop objects. These objects are freed at once,
//! before the finalizer continues, as Python code expects. Stack addresses show whether other code
//! lies between two levels.

#![allow(unsafe_code)] // Links dead objects through their own memory, without an allocation.

use crate::python::interpreter::{RawObject, ffi};
use std::cell::Cell;
use std::ptr;

/// The number of nested drops before objects are queued. Each level takes a few C frames.
const DEEPEST: usize = 40;

/// If more bytes of stack than this lie between two levels, other code, such as a finalizer, runs
/// between them. A level takes 150 to 350 bytes, and a call of Python code more than 700.
const APART: usize = 512;

/// Bytes of stack that nested finalizers may use before objects are queued all the same: half of
/// the smallest stack that a platform gives to a thread.
const STACK: usize = 64 * 1024;

/// Addresses further apart than this are on different stacks, as those of greenlets are.
const ONE_STACK: usize = 64 * 1024 * 1024;

struct Dropping {
    depth: Cell<usize>,
    /// The stack address at the deepest level.
    level: Cell<usize>,
    /// The stack address at which other code first ran between two levels, 0 if that has not
    /// happened.
    base: Cell<usize>,
    /// The head of the queue of dead objects.
    waiting: Cell<RawObject>,
    /// Whether a caller below on the stack is emptying the queue.
    taking: Cell<bool>,
}

// Each thread has its queue: a finalizer that blocks must not keep other threads from freeing
// objects.
thread_local! {
    static DROPPING: Dropping = const {
        Dropping {
            depth: Cell::new(0),
            level: Cell::new(0),
            base: Cell::new(0),
            waiting: Cell::new(ptr::null_mut()),
            taking: Cell::new(false),
        }
    };
}

/// Runs `drop`, which drops the fields of `object` and frees it; or queues the object, if the stack
/// is deep.
///
/// The caller is the `tp_dealloc` of the object, which is called again for a queued object. Until
/// then, the first word of the object, where a live object has its reference count, links it to the
/// next one in the queue.
///
/// # Safety
///
/// `object` is dead and untracked.
#[inline]
pub(crate) unsafe fn bounded(object: RawObject, drop: impl FnOnce()) {
    let mark = 0_u8;
    let here = (&raw const mark).addr();
    DROPPING.with(|dropping| {
        if dropping.depth.get() < DEEPEST {
            dropping.one_level(here, drop);
        } else if dropping.is_apart(here) {
            dropping.apart(here, drop);
        } else {
            // SAFETY: the object is dead and untracked, so no other code reads its first word. Its
            // memory is not freed before `drop` runs.
            unsafe { *object.cast() = dropping.waiting.replace(object) };
        }
    });
}

/// Sets the reference count of a dead object to 0, as `tp_dealloc` expects it.
///
/// # Safety
///
/// The caller owns the memory of `object`, and there are no other references to it.
#[inline]
pub(crate) unsafe fn clear_reference_count(object: RawObject) {
    // SAFETY: the caller owns the memory. The first word of an object is its reference count, or on
    // a free-threaded build the thread that owns it. A null pointer is 0 in the first case, and no
    // thread in the second.
    unsafe { *object.cast() = ptr::null_mut::<ffi::PyObject>() };
}

impl Dropping {
    #[inline]
    fn one_level(&self, here: usize, drop: impl FnOnce()) {
        let depth = self.depth.get();
        self.depth.set(depth + 1);
        self.level.set(here);
        drop();
        self.depth.set(depth);
        if !self.waiting.get().is_null() && !self.taking.get() {
            self.take_waiting();
        }
    }

    /// Whether other code runs between the deepest level and `here`, and enough stack is left.
    #[cold]
    fn is_apart(&self, here: usize) -> bool {
        // The stack grows downwards; the stack of another greenlet may lie above.
        let below = |address: &Cell<usize>| address.get().wrapping_sub(here);
        below(&self.level) > APART && !(STACK..ONE_STACK).contains(&below(&self.base))
    }

    /// Drops at `here`, with a new count of levels.
    #[cold]
    fn apart(&self, here: usize, drop: impl FnOnce()) {
        let before = (self.depth.get(), self.level.get(), self.base.get());
        if before.2.wrapping_sub(here) >= ONE_STACK {
            self.base.set(here);
        }
        self.depth.set(0);
        self.one_level(here, drop);
        self.depth.set(before.0);
        self.level.set(before.1);
        self.base.set(before.2);
    }

    #[cold]
    fn take_waiting(&self) {
        self.taking.set(true);
        loop {
            let object = self.waiting.get();
            if object.is_null() {
                break;
            }
            // SAFETY: `bounded` has queued the object, dead and untracked, with the next one in its
            // first word. It is taken off the queue before `tp_dealloc` frees it. The object owns a
            // reference to its type, so the type is alive.
            unsafe {
                self.waiting.set(*object.cast());
                clear_reference_count(object);
                if let Some(dealloc) = (*ffi::Py_TYPE(object)).tp_dealloc {
                    dealloc(object);
                }
            }
        }
        self.taking.set(false);
    }
}
