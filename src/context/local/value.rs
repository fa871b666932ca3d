//! The value of a variable in Rust programs: reference-counted, of any type, in one word.
//!
//! `Arc<dyn Any>` would take two words, which each copy of a leaf would copy, and it cannot delay the
//! drop of its content. The type of a value is that of its variable.
//!
//! Dropping a value may drop other values: a value may hold a context, whose values hold contexts, and
//! so on. Beyond a certain depth, a value without references is queued instead, and dropped when the
//! drops above it are done. So nested values of any depth are dropped with a bounded stack. Values are
//! `'static`, so a delayed drop is sound.

#![allow(unsafe_code)] // Counts references by hand, and erases the type of what is counted.

use std::cell::Cell;
use std::mem::{ManuallyDrop, forget, needs_drop};
use std::process::abort;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// A reference to a counted value of any type. A clone refers to the same value. O(1).
///
/// The type of the value is that of its variable.
pub(super) struct LocalValue(NonNull<Header>);

/// The header in front of each value.
struct Header {
    link: Link,
    /// Drops the value and frees its memory, with the last reference to it.
    free: unsafe fn(NonNull<Header>),
}

/// The first word of a value.
union Link {
    /// The number of references to a live value.
    count: ManuallyDrop<AtomicUsize>,
    /// The next value in the drop queue.
    next: Option<NonNull<Header>>,
}

/// A header and a value, in one allocation. Pointers to the header may be used for both.
#[repr(C)]
struct Counted<T> {
    header: Header,
    value: T,
}

// SAFETY: a reference gives shared access to the value, and the last reference drops it, on any
// thread. `new` requires `T: Send + Sync`, as `Arc` does for both traits. The count is atomic.
unsafe impl Send for LocalValue {}

// SAFETY: a shared `LocalValue` can be cloned to another thread, so the conditions are those of `Send`.
unsafe impl Sync for LocalValue {}

impl LocalValue {
    /// A new value with one reference. O(1).
    #[inline]
    pub(super) fn new<T: Send + Sync + 'static>(value: T) -> Self {
        let count = ManuallyDrop::new(AtomicUsize::new(1));
        let free = if needs_drop::<T>() { free_bounded::<T> } else { free::<T> };
        let header = Header { link: Link { count }, free };
        let counted = Box::into_raw(Box::new(Counted { header, value }));
        // SAFETY: a box is not null. The pointer comes from the whole `Counted`, so it may be used for
        // the value as well.
        Self(unsafe { NonNull::new_unchecked(counted.cast()) })
    }

    /// The value.
    ///
    /// # Safety
    ///
    /// The value has the type `T`.
    #[inline]
    pub(super) unsafe fn get<T>(&self) -> &T {
        // SAFETY: the value has the type `T`, so the allocation is a `Counted<T>`, which this
        // reference keeps alive.
        unsafe { &self.0.cast::<Counted<T>>().as_ref().value }
    }

    /// The address of the value.
    #[inline]
    pub(super) fn address(&self) -> ValueAddress {
        ValueAddress(Some(self.0))
    }

    #[inline]
    fn count(&self) -> &AtomicUsize {
        // SAFETY: this reference keeps the value alive, and the link of a live value is a count.
        unsafe { &self.0.as_ref().link.count }
    }
}

impl Clone for LocalValue {
    #[inline]
    fn clone(&self) -> Self {
        if self.count().fetch_add(1, Ordering::Relaxed) > isize::MAX as usize {
            // Only a program that leaks references without end reaches this; `Arc` aborts it as well.
            abort();
        }
        Self(self.0)
    }
}

impl Drop for LocalValue {
    #[inline]
    fn drop(&mut self) {
        if self.count().fetch_sub(1, Ordering::Release) == 1 {
            // Every use of the value on other threads happens before the drop.
            fence(Ordering::Acquire);
            // SAFETY: the count was one, so this was the last reference, and `free` is the function
            // for the type of the value.
            unsafe { (self.0.as_ref().free)(self.0) };
        }
    }
}

/// The address of a value, or none. It does not keep the value alive.
#[derive(Clone, Copy)]
pub(super) struct ValueAddress(Option<NonNull<Header>>);

impl ValueAddress {
    /// No address.
    pub(super) const NONE: Self = Self(None);

    /// Whether the address is missing.
    #[inline]
    pub(super) const fn is_none(self) -> bool {
        self.0.is_none()
    }

    /// The value, if there is one.
    ///
    /// # Safety
    ///
    /// The value has the type `T` and stays alive during `'a`.
    #[inline]
    pub(super) unsafe fn get<'a, T>(self) -> Option<&'a T> {
        // SAFETY: the value has the type `T`, so the allocation is a `Counted<T>`, which the caller
        // keeps alive during `'a`.
        self.0.map(|header| unsafe { &header.cast::<Counted<T>>().as_ref().value })
    }
}

/// Drops a value and frees its memory, also if its destructor panics.
///
/// # Safety
///
/// The value of `header` has the type `T`, and there are no references to it.
unsafe fn free<T>(header: NonNull<Header>) {
    // SAFETY: `LocalValue::new` has made the header from such a box. There are no references to it, so
    // the box is the only owner.
    drop(unsafe { Box::from_raw(header.cast::<Counted<T>>().as_ptr()) });
}

/// As [`free`], but delayed if drops are nested deeply.
///
/// # Safety
///
/// The value of `header` has the type `T`, and there are no references to it.
unsafe fn free_bounded<T>(mut header: NonNull<Header>) {
    // SAFETY: there are no references to the value, so its header may be changed.
    unsafe { header.as_mut().free = free::<T> };
    DROP_QUEUE.with(|queue| queue.free(header));
}

/// The largest depth of nested drops. Each level takes a dozen stack frames, 2 kB without
/// optimisation, besides those of the destructor.
const MAX_NESTED_DROPS: usize = 32;

/// The values of a thread that wait to be dropped. The queue needs no destructor: a value is queued
/// during a drop on the same thread, which empties the queue before it returns.
struct DropQueue {
    /// The current depth of nested drops.
    depth: Cell<usize>,
    /// The first queued value.
    first: Cell<Option<NonNull<Header>>>,
}

thread_local! {
    static DROP_QUEUE: DropQueue = const { DropQueue { depth: Cell::new(0), first: Cell::new(None) } };
}

impl DropQueue {
    /// Frees a value without references, whose `free` is not delayed; or queues it.
    fn free(&self, mut header: NonNull<Header>) {
        /// Restores the depth, also if a destructor panics.
        struct Level<'a>(&'a DropQueue, usize);

        impl Drop for Level<'_> {
            fn drop(&mut self) {
                self.0.depth.set(self.1);
            }
        }

        let depth = self.depth.get();
        if depth == MAX_NESTED_DROPS {
            // SAFETY: there are no references to the value, so its count can be overwritten.
            unsafe { header.as_mut().link.next = self.first.get() };
            self.first.set(Some(header));
            return;
        }
        self.depth.set(depth + 1);
        let _level = Level(self, depth);
        if depth + 1 == MAX_NESTED_DROPS {
            self.free_with_waiting(header);
        } else {
            // SAFETY: there are no references to the value, and it is not queued.
            unsafe { (header.as_ref().free)(header) };
        }
    }

    /// Frees a value, and then the values that are queued meanwhile.
    #[cold]
    fn free_with_waiting(&self, header: NonNull<Header>) {
        /// If a destructor panics, frees the other values, as `Vec` drops its other elements. If
        /// another destructor panics then, the program aborts, as with `Vec`.
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
            // SAFETY: there are no references to the value, and it is no longer queued.
            unsafe { (header.as_ref().free)(header) };
            forget(rest);
            next = self.take_first();
        }
    }

    fn take_first(&self) -> Option<NonNull<Header>> {
        let header = self.first.get()?;
        // SAFETY: a queued value is not freed yet, and its link is the next value.
        self.first.set(unsafe { header.as_ref().link.next });
        Some(header)
    }
}
