//! Gathering the entries of whatever a map can be made of.
//!
//! The source is read to its end before anything is changed: what raises on the way changes
//! nothing.

#![allow(unsafe_code)] // Calls the C API of dicts and iterators.

use super::{key, py_heap};
use crate::map::{Compare, EntryOf, HashOf, HashedEntry, Trie, reserve};
use crate::python::interpreter::free_threading::with_object_lock;
use crate::python::interpreter::types;
use crate::python::interpreter::{ErrorSet, Owned, RawObject, attribute, ffi, name, raise};
use crate::python::map::py_heap::PyHeap;
use std::ffi::CStr;
use std::ptr;

/// Entries on their way into a map.
#[derive(Default)]
pub(crate) struct Entries(Vec<HashedEntry<PyHeap>>);

impl Entries {
    /// Adds an entry, and hashes its key.
    pub(crate) fn push(&mut self, key: Owned, value: Owned) -> Result<(), ErrorSet> {
        // SAFETY: the key is alive.
        let hash = unsafe { key::hash(key.as_ptr())? };
        reserve::push::<PyHeap, _>(&mut self.0, (hash, EntryOf::<PyHeap> { key, value }))
    }

    /// The map of the entries; of those with one key, the first key and the last value.
    pub(crate) fn into_map(self) -> Result<Trie<PyHeap>, ErrorSet> {
        Trie::build(self.0, |new, stored| key::are_same(stored, new))
    }

    /// A map with the entries besides its own.
    pub(crate) fn added_to(
        &self,
        map: &Trie<PyHeap>,
        compare: &mut impl Compare<PyHeap>,
    ) -> Result<Trie<PyHeap>, ErrorSet> {
        map.extended(&self.0, compare)
    }

    /// Adds all entries of a mapping or of an iterable of pairs.
    ///
    /// # Safety
    ///
    /// `source` is alive.
    pub(crate) unsafe fn extend(&mut self, source: RawObject) -> Result<(), ErrorSet> {
        // SAFETY: as the caller promises.
        unsafe {
            if types::MAP.is_type_of(source) {
                let source = py_heap::share(source);
                reserve::reserve::<PyHeap, _>(&mut self.0, source.len())?;
                self.0.extend(source.iter().map(|(hash, entry)| (hash, entry.clone())));
                return Ok(());
            }
            if ffi::PyDict_CheckExact(source) != 0 {
                return self.extend_from_dict(source);
            }
            each_pair_of_other(source, c"map update", |key, value| self.push(key, value))
        }
    }

    /// # Safety
    ///
    /// `dict` is an exact `dict`.
    pub(crate) unsafe fn extend_from_dict(&mut self, dict: RawObject) -> Result<(), ErrorSet> {
        let start = self.0.len();
        let mut is_hashed = true;
        // SAFETY: as the caller promises; hashing such keys runs no user code.
        unsafe {
            reserve::reserve::<PyHeap, _>(&mut self.0, ffi::PyDict_Size(dict) as usize)?;
            each_of_dict(dict, |key, value| {
                let hash = if key::is_hashed_safely(key.as_ptr()) {
                    key::hash(key.as_ptr())?
                } else {
                    is_hashed = false;
                    // Asked for below.
                    HashOf::<PyHeap>::from_words(0, 0)
                };
                reserve::push::<PyHeap, _>(&mut self.0, (hash, EntryOf::<PyHeap> { key, value }))
            })?;
        }
        if !is_hashed {
            for (hash, entry) in &mut self.0[start..] {
                // SAFETY: the entry keeps the key alive.
                unsafe {
                    if !key::is_hashed_safely(entry.key.as_ptr()) {
                        *hash = key::hash(entry.key.as_ptr())?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Calls `body` with each key and value of a mapping or of an iterable of pairs, as `dict` reads
/// them. `noun` says in the errors of pairs that are none what they are for.
///
/// `body` runs no user code unless it fails.
///
/// # Safety
///
/// `source` is alive.
pub(crate) unsafe fn each_pair(
    source: RawObject,
    noun: &'static CStr,
    mut body: impl FnMut(Owned, Owned) -> Result<(), ErrorSet>,
) -> Result<(), ErrorSet> {
    // SAFETY: as the caller promises.
    unsafe {
        if types::MAP.is_type_of(source) {
            let entries = py_heap::share(source);
            return entries.iter().try_for_each(|(_, EntryOf::<PyHeap> { key, value })| {
                body(key.clone(), value.clone())
            });
        }
        if ffi::PyDict_CheckExact(source) != 0 {
            return each_of_dict(source, body);
        }
        each_pair_of_other(source, noun, body)
    }
}

/// Calls `body` with each key and value of a dict. It runs no user code unless it fails.
///
/// # Safety
///
/// `dict` is an exact `dict`.
unsafe fn each_of_dict(
    dict: RawObject,
    mut body: impl FnMut(Owned, Owned) -> Result<(), ErrorSet>,
) -> Result<(), ErrorSet> {
    let each = || {
        let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        // SAFETY: no user code runs in the loop, so the dict does not change; what it yields is
        // taken over at once.
        unsafe {
            while ffi::PyDict_Next(dict, &raw mut position, &raw mut key, &raw mut value) != 0 {
                body(Owned::from_borrowed(key), Owned::from_borrowed(value))?;
            }
        }
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { with_object_lock(dict, each) }
}

/// [`each_pair`] of what is neither a `Map` nor a dict; `body` may run user code.
///
/// # Safety
///
/// `source` is alive.
unsafe fn each_pair_of_other(
    source: RawObject,
    noun: &'static CStr,
    mut body: impl FnMut(Owned, Owned) -> Result<(), ErrorSet>,
) -> Result<(), ErrorSet> {
    // SAFETY: as the caller promises; the indices are inside the sequence.
    unsafe {
        // `dict` asks for `keys` and looks at nothing else.
        if let Some(keys) = attribute(source, name!("keys"))? {
            let keys = Owned::new(ffi::PyObject_CallNoArgs(keys.as_ptr()))?;
            return each(keys.as_ptr(), |key| {
                let value = Owned::new(ffi::PyObject_GetItem(source, key.as_ptr()))?;
                body(key, value)
            });
        }
        let items = match attribute(source, name!("items"))? {
            Some(items) => Owned::new(ffi::PyObject_CallNoArgs(items.as_ptr()))?,
            None => Owned::from_borrowed(source),
        };
        let mut index: isize = 0;
        each(items.as_ptr(), |pair| {
            let pair = pair.as_ptr();
            let (key, value) =
                if ffi::PyTuple_CheckExact(pair) != 0 && ffi::PyTuple_GET_SIZE(pair) == 2 {
                    let item = |index| Owned::from_borrowed(ffi::PyTuple_GET_ITEM(pair, index));
                    (item(0), item(1))
                } else {
                    unpack(pair, index, noun)?
                };
            index += 1;
            body(key, value)
        })
    }
}

/// Whether [`each_pair`] can read `source` at all: it has keys, items, or can be iterated over.
///
/// # Safety
///
/// `source` is alive.
pub(crate) unsafe fn is_source(source: RawObject) -> Result<bool, ErrorSet> {
    // SAFETY: as the caller promises.
    unsafe {
        Ok((*ffi::Py_TYPE(source)).tp_iter.is_some()
            || ffi::PySequence_Check(source) != 0
            || attribute(source, name!("keys"))?.is_some()
            || attribute(source, name!("items"))?.is_some())
    }
}

/// A pair that is not a tuple of two, with the error of `dict` if it is no pair at all.
///
/// # Safety
///
/// `pair` is alive.
unsafe fn unpack(
    pair: RawObject,
    index: isize,
    noun: &'static CStr,
) -> Result<(Owned, Owned), ErrorSet> {
    // SAFETY: as the caller promises; the formats match the arguments.
    unsafe {
        let list = ffi::PySequence_List(pair);
        if list.is_null() {
            if ffi::PyErr_ExceptionMatches(ffi::PyExc_TypeError) != 0 {
                ffi::calling!(PyErr_Format(
                    ffi::PyExc_TypeError,
                    c"cannot convert %s sequence element #%zd to a sequence".as_ptr(),
                    noun.as_ptr(),
                    index,
                ));
            }
            return Err(ErrorSet);
        }
        let list = Owned::new(list)?;
        let len = ffi::PyList_Size(list.as_ptr());
        if len != 2 {
            ffi::calling!(PyErr_Format(
                ffi::PyExc_ValueError,
                c"%s sequence element #%zd has length %zd; 2 is required".as_ptr(),
                noun.as_ptr(),
                index,
                len,
            ));
            return Err(ErrorSet);
        }
        let item = |index| Owned::new(ffi::PySequence_GetItem(list.as_ptr(), index));
        Ok((item(0)?, item(1)?))
    }
}

/// Calls `body` with each item of `iterable`.
///
/// # Safety
///
/// `iterable` is alive.
pub(crate) unsafe fn each(
    iterable: RawObject,
    mut body: impl FnMut(Owned) -> Result<(), ErrorSet>,
) -> Result<(), ErrorSet> {
    // SAFETY: as the caller promises.
    unsafe {
        let iterator = Owned::new(ffi::PyObject_GetIter(iterable))?;
        while let Ok(item) = Owned::new(ffi::PyIter_Next(iterator.as_ptr())) {
            body(item)?;
        }
        if ffi::PyErr_Occurred().is_null() { Ok(()) } else { Err(ErrorSet) }
    }
}

/// The map of a set of keys, whose values do not matter.
///
/// # Safety
///
/// `keys` is alive.
pub(crate) unsafe fn keys(keys: RawObject, value: RawObject) -> Result<Trie<PyHeap>, ErrorSet> {
    // SAFETY: as the caller promises; the value is alive.
    unsafe {
        let mut entries = Entries::default();
        each(keys, |key| entries.push(key, Owned::from_borrowed(value)))?;
        entries.into_map()
    }
}

/// The map that a mapping is or has the entries of; `TypeError` that names the argument if it is
/// no mapping.
///
/// # Safety
///
/// `mapping` is alive.
pub(crate) unsafe fn mapping(
    mapping: RawObject,
    message: &'static CStr,
) -> Result<Trie<PyHeap>, ErrorSet> {
    // SAFETY: as the caller promises; exceptions live as long as the interpreter.
    unsafe {
        if types::MAP.is_type_of(mapping) {
            return Ok(py_heap::share(mapping));
        }
        if !is_mapping(mapping)? {
            return Err(raise(ffi::PyExc_TypeError, message, mapping));
        }
        let mut entries = Entries::default();
        entries.extend(mapping)?;
        entries.into_map()
    }
}

/// Whether `object` is an instance of `collections.abc.Mapping`.
///
/// # Safety
///
/// `object` is alive.
pub(crate) unsafe fn is_mapping(object: RawObject) -> Result<bool, ErrorSet> {
    // SAFETY: as the caller promises.
    unsafe {
        if types::MAP.is_type_of(object) || ffi::PyDict_Check(object) != 0 {
            return Ok(true);
        }
        let class = crate::python::interpreter::lazy_import::MAPPING.get()?;
        match ffi::PyObject_IsInstance(object, class) {
            ..0 => Err(ErrorSet),
            is_instance => Ok(is_instance != 0),
        }
    }
}
