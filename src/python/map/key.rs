//! Keys and values of maps: hashing, finding and comparing them, as `dict` does.
//!
//! Keys other than exact `str`, `int` and `bytes` may run user code here. User code can raise,
//! return wrong answers, change any object that it can reach, or let other threads run. So the
//! callers keep the nodes alive that hold the keys, and call this only between edits, never during
//! one.

#![allow(unsafe_code)] // Reads strings in place.

use crate::map::{Compare, Hash, HashOf, Heap as _, Probe};
use crate::python::interpreter::ffi::CallSlot as _;
use crate::python::interpreter::{ErrorSet, Owned, RawObject, RecursionGuard, ffi};
use crate::python::map::py_heap::PyHeap;
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicIsize, Ordering as Atomic};

/// The hash of a key in a map.
#[inline(always)]
pub(crate) fn hash(key: &Owned) -> Result<HashOf<PyHeap>, ErrorSet> {
    hash_as(key, c"cannot use '%T' as a Map key (%S)")
}

/// As [`hash`]; from 3.14 on, an object without a hash raises `TypeError` with `message`, which has a
/// `%T` for the key and a `%S` for the reason.
#[inline(always)]
pub(crate) fn hash_as(key: &Owned, message: &'static CStr) -> Result<HashOf<PyHeap>, ErrorSet> {
    let key = key.as_ptr();
    // SAFETY: the reference keeps the key alive. An exact `str` begins with `PyASCIIObject`, whose
    // field `hash` CPython accesses as an atomic, too. A slot gets an instance of its type.
    unsafe {
        let mut hash = -1;
        if ffi::PyUnicode_CheckExact(key) != 0 {
            // A string caches its hash, once it has been hashed.
            let cached = &raw mut (*key.cast::<ffi::PyASCIIObject>()).hash;
            hash = AtomicIsize::from_ptr(cached).load(Atomic::Relaxed);
        }
        if hash == -1 {
            hash = match (*ffi::Py_TYPE(key)).tp_hash {
                Some(of) => of.call_slot((key,)),
                // A type that is not ready yet: an error, or the hash of its base.
                None => ffi::PyObject_Hash(key),
            };
            if hash == -1 {
                return Err(unhashable(key, message));
            }
        }
        Ok(Hash::mix(hash as u64))
    }
}

/// The failure to hash a key; from 3.14 on with a message like those of `dict` and `set`.
///
/// # Safety
///
/// `key` is alive, and hashing it has raised.
#[cold]
unsafe fn unhashable(key: RawObject, message: &'static CStr) -> ErrorSet {
    #[cfg(Py_3_14)]
    // SAFETY: an exception is set, so `raised` is a new reference to it. The format takes two live
    // objects, the key and the exception.
    unsafe {
        let raised = ffi::PyErr_GetRaisedException();
        if ptr::eq(ffi::Py_TYPE(raised).cast(), ffi::PyExc_TypeError) {
            ffi::calling!(PyErr_Format(ffi::PyExc_TypeError, message.as_ptr(), key, raised));
            ffi::Py_DECREF(raised);
        } else {
            ffi::PyErr_SetRaisedException(raised);
        }
    }
    let _ = (key, message);
    ErrorSet
}

/// Whether hashing `key` runs no user code and does not fail.
#[inline]
pub(crate) fn is_hashed_safely(key: &Owned) -> bool {
    let key = key.as_ptr();
    // SAFETY: the reference keeps the key alive; the functions read its type.
    unsafe {
        ffi::PyUnicode_CheckExact(key) != 0
            || ffi::PyLong_CheckExact(key) != 0
            || ffi::PyBytes_CheckExact(key) != 0
    }
}

/// Whether two objects are exact strings, which [`are_equal_strings`] can compare.
///
/// # Safety
///
/// Both are alive.
#[inline]
unsafe fn are_strings(a: RawObject, b: RawObject) -> bool {
    // SAFETY: the objects are alive. `PyUnicode_IS_READY` is evaluated for strings only.
    unsafe {
        let are_exact = ffi::PyUnicode_CheckExact(a) != 0 && ffi::PyUnicode_CheckExact(b) != 0;
        // A string that has been hashed is ready. The general comparison readies others, and may
        // fail.
        #[cfg(not(Py_3_12))]
        let are_exact =
            are_exact && ffi::PyUnicode_IS_READY(a) != 0 && ffi::PyUnicode_IS_READY(b) != 0;
        are_exact
    }
}

/// Whether two exact strings are equal. This does not fail.
///
/// # Safety
///
/// Both are alive, and exact strings that are ready.
#[inline(always)] // As `Leaf::find`, which calls it.
unsafe fn are_equal_strings(a: RawObject, b: RawObject) -> bool {
    // SAFETY: exact strings begin with `PyASCIIObject`, and ready ones have data of their kind and
    // length, or, if they are ASCII, `length` bytes behind this header.
    unsafe {
        let (a_head, b_head) = (a.cast::<ffi::PyASCIIObject>(), b.cast::<ffi::PyASCIIObject>());
        if (*a_head).length != (*b_head).length {
            return false;
        }
        #[cfg(Py_3_14)]
        return ffi::PyUnicode_Equal(a, b) == 1;
        #[cfg(not(Py_3_14))]
        {
            // Most strings are ASCII, whose bytes lie right behind the header.
            let are_ascii = ffi::PyUnicode_IS_COMPACT_ASCII(a) & ffi::PyUnicode_IS_COMPACT_ASCII(b);
            if are_ascii != 0 {
                let bytes = |head: *mut ffi::PyASCIIObject| head.add(1).cast::<u8>().cast_const();
                return are_equal_bytes(bytes(a_head), bytes(b_head), (*a_head).length as usize);
            }
            // Equal strings have the same kind: the narrowest that fits.
            let kind = ffi::PyUnicode_KIND(a);
            if kind != ffi::PyUnicode_KIND(b) {
                return false;
            }
            let data = |string| ffi::PyUnicode_DATA(string).cast::<u8>().cast_const();
            are_equal_bytes(data(a), data(b), (*a_head).length as usize * kind as usize)
        }
    }
}

/// Whether `len` bytes are equal. Short runs, as most keys are, are compared without a call, as two
/// words that overlap.
///
/// # Safety
///
/// `len` bytes can be read from both addresses.
#[cfg(not(Py_3_14))]
#[inline]
unsafe fn are_equal_bytes(a: *const u8, b: *const u8, len: usize) -> bool {
    // SAFETY: each word lies within the `len` bytes: its offset and its size add up to `len` or
    // less.
    unsafe {
        let word = |at: *const u8, offset: usize| at.add(offset).cast::<u64>().read_unaligned();
        let half = |at: *const u8, offset: usize| at.add(offset).cast::<u32>().read_unaligned();
        match len {
            8..=16 => {
                let last = len - 8;
                (word(a, 0) ^ word(b, 0)) | (word(a, last) ^ word(b, last)) == 0
            }
            4..8 => {
                let last = len - 4;
                (half(a, 0) ^ half(b, 0)) | (half(a, last) ^ half(b, last)) == 0
            }
            _ => std::slice::from_raw_parts(a, len) == std::slice::from_raw_parts(b, len),
        }
    }
}

/// Whether `stored`, a key in a map, and `key`, whose hash is the same, are one key.
#[inline]
pub(crate) fn are_same(stored: &Owned, key: &Owned) -> Result<bool, ErrorSet> {
    is_same(stored, key, || true)
}

/// As [`are_same`], if perhaps only a part of the hashes is equal: `has_hash` reports whether all
/// of it is. As in `dict`, keys with different hashes are not compared, unless they are one object.
#[inline]
fn is_same(stored: &Owned, key: &Owned, has_hash: impl Fn() -> bool) -> Result<bool, ErrorSet> {
    if stored.is(key) {
        return Ok(true);
    }
    let (a, b) = (stored, key);
    let (stored, key) = (stored.as_ptr(), key.as_ptr());
    // SAFETY: references keep both objects alive. Strings are compared after `are_strings`, and an
    // `int` has the slot of its type called, which takes two objects.
    unsafe {
        if are_strings(stored, key) {
            // Their characters differ if their hashes do.
            return Ok(are_equal_strings(stored, key));
        }
        if !has_hash() {
            return Ok(false);
        }
        if ffi::PyLong_CheckExact(stored) != 0 && ffi::PyLong_CheckExact(key) != 0 {
            if let Some(compare) = (*ffi::Py_TYPE(key)).tp_richcompare {
                // The slot that the general comparison would call in the end.
                let equal = Owned::new(compare.call_slot((stored, key, ffi::Py_EQ)))?;
                return Ok(ptr::eq(equal.as_ptr(), ffi::Py_True()));
            }
        }
    }
    are_equal(a, b)
}

/// Whether `a` is or equals `b`.
#[inline]
pub(crate) fn are_equal(a: &Owned, b: &Owned) -> Result<bool, ErrorSet> {
    if a.is(b) { Ok(true) } else { a.equals(b) }
}

/// A key to look for in a map.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a>(pub(crate) &'a Owned);

impl Probe<PyHeap> for Key<'_> {
    #[inline]
    fn matches(&mut self, stored: &Owned, has_hash: impl Fn() -> bool) -> Result<bool, ErrorSet> {
        is_same(stored, self.0, has_hash)
    }

    fn rehash(&self) -> Option<u64> {
        PyHeap::rehash(self.0)
    }

    fn is_identical(&self, stored: &Owned) -> bool {
        stored.is(self.0)
    }
}

/// Compares keys and values as `dict` does: by identity, then by `==`.
///
/// A walk over maps needs far more stack than the comparisons that it makes. User code in a
/// comparison may begin another walk. So the walk is counted towards the limit of recursion before
/// the first comparison that may run user code.
#[derive(Default)]
pub(crate) struct ByEquality {
    nested: Option<RecursionGuard>,
}

impl ByEquality {
    /// For a walk that is counted already.
    pub(crate) fn within(nested: RecursionGuard) -> Self {
        Self { nested: Some(nested) }
    }

    #[inline]
    fn count(&mut self, a: &Owned, b: &Owned) -> Result<(), ErrorSet> {
        let are_safe = || is_hashed_safely(a) && is_hashed_safely(b);
        if self.nested.is_none() && !a.is(b) && !are_safe() {
            self.nested = Some(RecursionGuard::walking(c" while comparing maps")?);
        }
        Ok(())
    }
}

impl Compare<PyHeap> for ByEquality {
    #[inline]
    fn same(&mut self, a: &Owned, b: &Owned) -> Result<bool, ErrorSet> {
        self.count(a, b)?;
        are_same(a, b)
    }

    #[inline]
    fn equal(&mut self, a: &Owned, b: &Owned) -> Result<bool, ErrorSet> {
        self.count(a, b)?;
        are_equal(a, b)
    }
}

/// Compares the items of two views as if each item of the first were looked up in the second, with
/// the first item as the right operand of `==`.
pub(crate) struct ByMembership {
    /// Whether an item has a value, or is a key alone.
    has_value: bool,
    compare: ByEquality,
}

impl ByMembership {
    pub(crate) fn new(has_value: bool) -> Self {
        Self { has_value, compare: ByEquality::default() }
    }
}

impl Compare<PyHeap> for ByMembership {
    #[inline]
    fn same(&mut self, a: &Owned, b: &Owned) -> Result<bool, ErrorSet> {
        self.compare.same(b, a)
    }

    #[inline]
    fn equal(&mut self, a: &Owned, b: &Owned) -> Result<bool, ErrorSet> {
        Ok(!self.has_value || self.compare.equal(b, a)?)
    }
}

/// Compares context variables and their values, by identity: no user code runs.
pub(crate) struct ByIdentity;

impl Compare<PyHeap> for ByIdentity {
    #[inline]
    fn same(&mut self, a: &Owned, b: &Owned) -> Result<bool, ErrorSet> {
        Ok(a.is(b))
    }

    #[inline]
    fn equal(&mut self, a: &Owned, b: &Owned) -> Result<bool, ErrorSet> {
        Ok(a.is(b))
    }
}
