//! Freeing nests of any depth with a bounded stack.
//!
//! Dropping what an object holds may drop another object of ours, and so on without end: a context
//! whose value is a context whose value is … . From a certain depth on, a dead object is put on a
//! list instead, from which it is taken when the stack is shallow again.

#![allow(unsafe_code)] // Links dead objects through their own memory, so that nothing is allocated.

use super::ffi;
use super::object::Object;
use std::cell::Cell;
use std::ptr;

/// How deep objects are dropped inside one another; each level is a few frames of C.
const DEEPEST: usize = 40;

struct Dropping {
    depth: Cell<usize>,
    waiting: Cell<Object>,
    taking: Cell<bool>,
}

// One for each thread: a finaliser that waits must not keep other threads from freeing.
thread_local! {
    static DROPPING: Dropping = const {
        Dropping {
            depth: Cell::new(0),
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
pub(super) unsafe fn bounded(object: Object, drop: impl FnOnce()) {
    DROPPING.with(|dropping| {
        let depth = dropping.depth.get();
        if depth == DEEPEST {
            // SAFETY: as the caller promises.
            unsafe { *object.cast() = dropping.waiting.replace(object) };
            return;
        }
        dropping.depth.set(depth + 1);
        drop();
        dropping.depth.set(depth);
        if !dropping.waiting.get().is_null() && !dropping.taking.get() {
            dropping.take_waiting();
        }
    });
}

/// Takes the last reference away from an object that is not freed by `tp_dealloc`.
///
/// # Safety
///
/// Nobody refers to `object` any more.
#[inline]
pub(super) unsafe fn make_dead(object: Object) {
    // SAFETY: the first word of an object is its reference count, or on a free-threaded build the
    // thread that owns it, and 0 means none in both cases.
    unsafe { *object.cast() = ptr::null_mut::<ffi::PyObject>() };
}

impl Dropping {
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
                make_dead(object);
                if let Some(dealloc) = (*ffi::Py_TYPE(object)).tp_dealloc {
                    dealloc(object);
                }
            }
        }
        self.taking.set(false);
    }
}
