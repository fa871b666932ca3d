//! The hash of a map: that of `frozenset(map.items())`, as for `frozendict` (PEP 814).

#![allow(unsafe_code)] // Reads the slot of an unhashable value.

use super::py_heap::{MapObject, PyHeap};
use crate::map::EntryOf;
use crate::python::interpreter::error::clear_exception;
use crate::python::interpreter::{ErrorSet, Exception, RecursionGuard, ffi};
use std::ptr;

/// The hash of a tuple of two items with these hashes: xxHash, since CPython 3.8.
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

/// The step by which `frozenset` spreads the hash of an item, so that similar hashes do not cancel
/// out.
pub(crate) const fn spread(hash: u64) -> u64 {
    ((hash ^ 89_869_747) ^ (hash << 16)).wrapping_mul(3_644_798_167)
}

/// The last step of the hash of a `frozenset` of `len` items.
pub(crate) const fn finished(sum: u64, len: usize) -> ffi::Py_hash_t {
    let mut hash = sum ^ (len as u64).wrapping_add(1).wrapping_mul(1_927_868_237);
    hash ^= (hash >> 11) ^ (hash >> 25);
    match hash.wrapping_mul(69_069).wrapping_add(907_133_923) as ffi::Py_hash_t {
        -1 => 590_923_713,
        hash => hash,
    }
}

/// The part of an entry in the hash of a map.
fn hash_of_entry(entry: &EntryOf<PyHeap>) -> Result<u64, ErrorSet> {
    let key = entry.key.hash()?;
    match entry.value.hash() {
        Ok(value) => Ok(spread(hash_of_pair(key as u64, value as u64))),
        Err(ErrorSet) => {
            name_unhashable_value(entry);
            Err(ErrorSet)
        }
    }
}

/// Names the key of an unhashable value in the message, unless the exception comes from user code.
#[cold]
fn name_unhashable_value(entry: &EntryOf<PyHeap>) {
    // SAFETY: the value keeps its type alive.
    let slot = unsafe { (*ffi::Py_TYPE(entry.value.as_ptr())).tp_hash };
    let is_unhashable = slot.is_none_or(|hash| {
        let none = ffi::slot::PyObject_HashNotImplemented as unsafe extern "C" fn(_) -> _;
        ptr::fn_addr_eq(hash, none)
    });
    if is_unhashable && Exception::TypeError.is_set() {
        clear_exception();
        // SAFETY: the format takes a C string, the name of a type that is alive, and an object.
        unsafe {
            ffi::calling!(PyErr_Format(
                ffi::PyExc_TypeError,
                c"unhashable type: '%.200s', the value of the key %R".as_ptr(),
                entry.value.type_name().as_ptr(),
                entry.key.as_ptr(),
            ));
        }
    }
}

/// `hash(map)`; the map caches it, unless it is the bindings of a context.
pub(super) fn hash(map: &MapObject) -> Result<ffi::Py_hash_t, ErrorSet> {
    if let Some(hash) = map.tag().cached_hash() {
        return Ok(hash);
    }
    let _nested = RecursionGuard::uncounted(c" while hashing a Map")?;
    let hash = finished(map.trie().digest(hash_of_entry)?, map.len());
    map.tag().cache_hash(hash);
    Ok(hash)
}
