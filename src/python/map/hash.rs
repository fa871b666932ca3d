//! The hash of a map.

#![allow(unsafe_code)] // The functions in the slots and the method table of `Map`.

use super::py_heap;
use crate::map::EntryOf;
use crate::python::interpreter::{ErrorSet, RawObject, RecursionGuard, catch_panic, ffi};
use crate::python::map::py_heap::PyHeap;
use std::ptr;
use std::sync::atomic::Ordering;

/// The hash of a tuple of two, whose items have these hashes: xxHash, since CPython 3.8.
const fn hash_of_pair(first: u64, second: u64) -> u64 {
    const PRIME_1: u64 = 11_400_714_785_074_694_791;
    const PRIME_2: u64 = 14_029_467_366_897_019_727;
    const PRIME_5: u64 = 2_870_177_450_012_600_261;
    const fn round(sum: u64, lane: u64) -> u64 {
        sum.wrapping_add(lane.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
    }
    let sum = round(round(PRIME_5, first), second).wrapping_add(2 ^ (PRIME_5 ^ 3_527_539));
    if sum == u64::MAX { 1_546_275_796 } else { sum }
}

/// What `frozenset` makes of the hash of an item, so that similar hashes do not cancel out.
const fn spread(hash: u64) -> u64 {
    ((hash ^ 89_869_747) ^ (hash << 16)).wrapping_mul(3_644_798_167)
}

/// The last step of the hash of a `frozenset` of `len` items.
const fn finished(sum: u64, len: usize) -> ffi::Py_hash_t {
    let mut hash = sum ^ (len as u64).wrapping_add(1).wrapping_mul(1_927_868_237);
    hash ^= (hash >> 11) ^ (hash >> 25);
    match hash.wrapping_mul(69_069).wrapping_add(907_133_923) as ffi::Py_hash_t {
        -1 => 590_923_713,
        hash => hash,
    }
}

/// The part that an item has in the hash of a map.
fn hash_of_entry(entry: &EntryOf<PyHeap>) -> Result<u64, ErrorSet> {
    // SAFETY: the map keeps the entry alive.
    unsafe {
        let key = ffi::PyObject_Hash(entry.key.as_ptr());
        if key == -1 {
            return Err(ErrorSet);
        }
        let value = ffi::PyObject_Hash(entry.value.as_ptr());
        if value != -1 {
            return Ok(spread(hash_of_pair(key as u64, value as u64)));
        }
        // Name the value, unless the exception comes from user code.
        let class = ffi::Py_TYPE(entry.value.as_ptr());
        let unhashable = (*class).tp_hash.is_none_or(|hash| {
            let none = ffi::slot::PyObject_HashNotImplemented as unsafe extern "C" fn(_) -> _;
            ptr::fn_addr_eq(hash, none)
        });
        if unhashable && ffi::PyErr_ExceptionMatches(ffi::PyExc_TypeError) != 0 {
            ffi::PyErr_Clear();
            ffi::calling!(PyErr_Format(
                ffi::PyExc_TypeError,
                c"unhashable type: '%.200s', the value of the key %R".as_ptr(),
                (*class).tp_name,
                entry.key.as_ptr(),
            ));
        }
        Err(ErrorSet)
    }
}

/// `hash(map)`, which is that of `frozenset(map.items())`, as for `frozendict` (PEP 814).
pub(crate) unsafe extern "C" fn hash(object: RawObject) -> ffi::Py_hash_t {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        let known = py_heap::tag(object).hash.load(Ordering::Relaxed);
        if known != -1 {
            return Ok(known);
        }
        let _nested = RecursionGuard::uncounted(c" while hashing a Map")?;
        let sum = py_heap::borrow(object).digest(hash_of_entry)?;
        let hash = finished(sum, py_heap::len(object));
        py_heap::tag(object).hash.store(hash, Ordering::Relaxed);
        Ok(hash)
    })
}
