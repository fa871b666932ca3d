//! Freeing nests of any depth with a bounded stack.
//!
//! Dropping what an object holds may drop another object of ours, and so on without end: a context
//! whose value is a context whose value is … . From a certain depth on, a dead object is put on a
//! list instead, from which it is taken when the stack is shallow again.
//!
//! A finaliser may run in the middle of a nest. What it drops is nested in its own code, not in the
//! nest, and is freed at once: the addresses on the stack tell the two apart.

#![allow(unsafe_code)] // Links dead objects through their own memory, so that nothing is allocated.

use crate::python::interpreter::{RawObject, ffi};
use std::cell::Cell;
use std::ptr;

/// How deep objects are dropped directly inside one another; each level is a few frames of C.
const DEEPEST: usize = 40;

/// Bytes of stack between two levels that other code, such as a finaliser, lies between. A level
/// needs 150 to 350 bytes, and a call of Python code more than 700.
const APART: usize = 512;

/// Bytes of stack for levels that other code lies between: half of the stack of a thread where
/// that is smallest.
const STACK: usize = 64 * 1024;

/// Addresses further apart than this are on different stacks, as those of greenlets are.
const ONE_STACK: usize = 64 * 1024 * 1024;

struct Dropping {
    depth: Cell<usize>,
    /// Where the stack was at the deepest level.
    level: Cell<usize>,
    /// Where it was when other code first came between two levels, 0 if none has.
    base: Cell<usize>,
    waiting: Cell<RawObject>,
    taking: Cell<bool>,
}

// One for each thread: a finaliser that waits must not keep other threads from freeing.
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

/// Runs `drop`, which drops what `object` holds and frees it, now or, if the stack is deep, later.
///
/// "Later" means that CPython's `tp_dealloc` of the object, which calls this, is called again. Until
/// then the first word of the object, where a live one has its reference count, links it to the
/// next one that waits.
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
            // SAFETY: the object is dead, so its first word is free.
            unsafe { *object.cast() = dropping.waiting.replace(object) };
        }
    });
}

/// Takes the last reference away from an object that is not freed by `tp_dealloc`.
///
/// # Safety
///
/// Nobody refers to `object` any more.
#[inline]
pub(crate) unsafe fn clear_reference_count(object: RawObject) {
    // SAFETY: the first word of an object is its reference count, or on a free-threaded build the
    // thread that owns it, and 0 means none in both cases.
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

    /// Whether other code lies between the deepest level and `here`, and there is stack left.
    #[cold]
    fn is_apart(&self, here: usize) -> bool {
        // The stack grows downwards; that of another greenlet may lie above.
        let below = |address: &Cell<usize>| address.get().wrapping_sub(here);
        below(&self.level) > APART && !(STACK..ONE_STACK).contains(&below(&self.base))
    }

    /// Counts the levels below `here` anew.
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
            // SAFETY: `bounded` has put it there, dead, and its class has the slot.
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
