//! The value of a variable of a Rust program: counted, of any type, one word wide.
//!
//! `Arc<dyn Any>` is two words, which every path copy of the map would have to copy, and cannot put
//! off the drop of what it holds. The variable that a value is bound to knows the type.
//!
//! Dropping a value may drop another one, and so on without end: a value that holds a context whose
//! variable has a value that holds a context … . From a certain depth on, a dead value is put on a
//! list instead, from which it is taken when the values above it are done, so that nests of any
//! depth are dropped with a bounded stack. Values are `'static`, so a late drop finds all that it
//! refers to.

#![allow(unsafe_code)] // Counts references by hand, and erases the type of what is counted.

use std::cell::Cell;
use std::mem::{ManuallyDrop, forget, needs_drop};
use std::process::abort;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// A counted value of any type; a clone is the same value. O(1).
///
/// Only the variable that it is bound to knows its type.
///
/// It has no use but inside of a [`Context`](crate::Context): see there for examples.
pub(super) struct LocalValue(NonNull<Header>);

/// What lies in front of each value.
struct Header {
    link: Link,
    /// Drops the value and frees its memory, with the last reference to it.
    free: unsafe fn(NonNull<Header>),
}

/// The first word of a value.
union Link {
    /// References to a live value.
    count: ManuallyDrop<AtomicUsize>,
    /// The next dead value on the list.
    next: Option<NonNull<Header>>,
}

/// A value with its header in front, which pointers to the header point to.
#[repr(C)]
struct Counted<T> {
    header: Header,
    value: T,
}

// SAFETY: a reference gives shared access to the value, and the last one drops it, on any thread:
// as for `Arc`, both need both, and `new` asks for both. The count is atomic.
unsafe impl Send for LocalValue {}

// SAFETY: as for `Send`.
unsafe impl Sync for LocalValue {}

impl LocalValue {
    /// A new value with one reference. O(1).
    #[inline]
    pub(super) fn new<T: Send + Sync + 'static>(value: T) -> Self {
        let count = ManuallyDrop::new(AtomicUsize::new(1));
        let free = if needs_drop::<T>() { free_bounded::<T> } else { free::<T> };
        let header = Header { link: Link { count }, free };
        let counted = Box::into_raw(Box::new(Counted { header, value }));
        // SAFETY: a box is not null. The pointer may be used for all that it points to, not for
        // the header alone.
        Self(unsafe { NonNull::new_unchecked(counted.cast()) })
    }

    /// The value.
    ///
    /// # Safety
    ///
    /// The value was made of a `T`.
    #[inline]
    pub(super) unsafe fn get<T>(&self) -> &T {
        // SAFETY: as the caller promises; this reference keeps the value alive.
        unsafe { &self.0.cast::<Counted<T>>().as_ref().value }
    }

    /// Where the value is, whatever its type.
    #[inline]
    pub(super) fn address(&self) -> ValueAddress {
        ValueAddress(Some(self.0))
    }

    #[inline]
    fn count(&self) -> &AtomicUsize {
        // SAFETY: a live value has a count, and this reference keeps it alive.
        unsafe { &self.0.as_ref().link.count }
    }
}

impl Clone for LocalValue {
    #[inline]
    fn clone(&self) -> Self {
        if self.count().fetch_add(1, Ordering::Relaxed) > isize::MAX as usize {
            // Only a program that forgets references can get here; `Arc` stops it the same way.
            abort();
        }
        Self(self.0)
    }
}

impl Drop for LocalValue {
    #[inline]
    fn drop(&mut self) {
        if self.count().fetch_sub(1, Ordering::Release) == 1 {
            // Everything that other threads did with the value happened before it is dropped.
            fence(Ordering::Acquire);
            // SAFETY: this was the last reference.
            unsafe { (self.0.as_ref().free)(self.0) };
        }
    }
}

/// Where a value is, without a reference that keeps it alive; or nowhere.
#[derive(Clone, Copy)]
pub(super) struct ValueAddress(Option<NonNull<Header>>);

impl ValueAddress {
    /// The address of no value.
    pub(super) const NONE: Self = Self(None);

    /// The value, if there is one.
    ///
    /// # Safety
    ///
    /// The value was made of a `T` and stays alive during `'a`.
    #[inline]
    pub(super) unsafe fn get<'a, T>(self) -> Option<&'a T> {
        // SAFETY: as the caller promises.
        self.0.map(|header| unsafe { &header.cast::<Counted<T>>().as_ref().value })
    }
}

/// Drops a value and frees its memory, also if its destructor panics.
///
/// # Safety
///
/// `header` is that of a `T`, to which there is no reference any more.
unsafe fn free<T>(header: NonNull<Header>) {
    // SAFETY: `LocalValue::new` made it of such a box.
    drop(unsafe { Box::from_raw(header.cast::<Counted<T>>().as_ptr()) });
}

/// As [`free`], now or, if the stack is deep, later.
///
/// # Safety
///
/// As for `free`.
unsafe fn free_bounded<T>(mut header: NonNull<Header>) {
    // SAFETY: nobody else refers to the value.
    unsafe { header.as_mut().free = free::<T> };
    DROP_QUEUE.with(|dead| dead.free(header));
}

/// How deep values are dropped inside one another. Each level is a dozen frames of ours, 2 kB
/// without optimisation, and those of the destructor.
const MAX_NESTED_DROPS: usize = 32;

/// The dead values of a thread. It needs no destructor: whoever puts a value on the list is inside
/// of a drop that takes it from there.
struct DropQueue {
    /// How many values are being dropped inside one another.
    depth: Cell<usize>,
    /// Those that wait.
    first: Cell<Option<NonNull<Header>>>,
}

thread_local! {
    static DROP_QUEUE: DropQueue = const { DropQueue { depth: Cell::new(0), first: Cell::new(None) } };
}

impl DropQueue {
    /// Frees a dead value whose `free` frees it at once.
    fn free(&self, mut header: NonNull<Header>) {
        /// Goes back up, also when a destructor panics.
        struct Level<'a>(&'a DropQueue, usize);

        impl Drop for Level<'_> {
            fn drop(&mut self) {
                self.0.depth.set(self.1);
            }
        }

        let depth = self.depth.get();
        if depth == MAX_NESTED_DROPS {
            // SAFETY: nobody else refers to the value, whose count is not needed any more.
            unsafe { header.as_mut().link.next = self.first.get() };
            self.first.set(Some(header));
            return;
        }
        self.depth.set(depth + 1);
        let _level = Level(self, depth);
        if depth + 1 == MAX_NESTED_DROPS {
            self.free_with_waiting(header);
        } else {
            // SAFETY: the value is dead, and on no list.
            unsafe { (header.as_ref().free)(header) };
        }
    }

    /// Frees a dead value, and those that are put on the list meanwhile.
    #[cold]
    fn free_with_waiting(&self, header: NonNull<Header>) {
        /// Frees the rest when a destructor panics, as a `Vec` drops its other elements. If another
        /// one panics then, the program is aborted, as there.
        struct Rest<'a>(&'a DropQueue);

        impl Drop for Rest<'_> {
            fn drop(&mut self) {
                if let Some(header) = self.0.take_first() {
                    self.0.free_with_waiting(header);
                }
            }
        }

        let mut next = Some(header);
        while let Some(header) = next {
            let rest = Rest(self);
            // SAFETY: the value is dead, and on no list any more.
            unsafe { (header.as_ref().free)(header) };
            forget(rest);
            next = self.take_first();
        }
    }

    fn take_first(&self) -> Option<NonNull<Header>> {
        let header = self.first.get()?;
        // SAFETY: a value on the list is dead and not yet freed, and has a link.
        self.first.set(unsafe { header.as_ref().link.next });
        Some(header)
    }
}
