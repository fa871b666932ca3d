//! Reading the entries of a mapping or an iterable of pairs.
//!
//! The source is read to its end before anything is changed, so an exception on the way changes
//! nothing.

#![allow(unsafe_code)] // Walks dicts in place.

use super::key;
use super::py_heap::{MapObject, PyHeap};
use crate::map::{Compare, EntryOf, HashOf, HashedEntry, Trie, reserve};
use crate::python::interpreter::free_threading::with_object_lock;
use crate::python::interpreter::{
    ErrorSet, Exception, Owned, TypedObject as _, ffi, lazy_import, name, raise,
};
use std::ffi::CStr;
use std::ptr;

/// Entries on their way into a map.
#[derive(Default)]
pub(crate) struct Entries(Vec<HashedEntry<PyHeap>>);

impl Entries {
    /// Adds an entry, and hashes its key.
    pub(crate) fn push(&mut self, key: Owned, value: Owned) -> Result<(), ErrorSet> {
        let hash = key::hash(&key)?;
        self.push_hashed(hash, key, value)
    }

    /// Adds an entry whose key has this hash.
    pub(crate) fn push_hashed(
        &mut self,
        hash: HashOf<PyHeap>,
        key: Owned,
        value: Owned,
    ) -> Result<(), ErrorSet> {
        reserve::push::<PyHeap, _>(&mut self.0, (hash, EntryOf::<PyHeap> { key, value }))
    }

    /// The map of the entries. Of entries with equal keys, it has the first key and the last value.
    pub(crate) fn into_map(self) -> Result<Trie<PyHeap>, ErrorSet> {
        Trie::build(self.0, |new, stored| key::are_same(stored, new))
    }

    /// A map with these entries added.
    pub(crate) fn added_to(
        &self,
        map: &Trie<PyHeap>,
        compare: &mut impl Compare<PyHeap>,
    ) -> Result<Trie<PyHeap>, ErrorSet> {
        map.extended(&self.0, compare)
    }

    /// Adds all entries of a mapping or of an iterable of pairs.
    pub(crate) fn extend(&mut self, source: &Owned) -> Result<(), ErrorSet> {
        if let Some(map) = MapObject::of(source) {
            let map = map.share();
            reserve::reserve::<PyHeap, _>(&mut self.0, map.len())?;
            self.0.extend(map.iter().map(|(hash, entry)| (hash, entry.clone())));
            return Ok(());
        }
        if source.is_dict() {
            return self.extend_from_dict(source);
        }
        each_pair_of_other(source, c"map update", |key, value| self.push(key, value))
    }

    /// Adds the entries of an exact `dict`. Keys whose hashing may run user code, and so change the
    /// dict, are hashed after the walk.
    fn extend_from_dict(&mut self, dict: &Owned) -> Result<(), ErrorSet> {
        let start = self.0.len();
        let mut is_hashed = true;
        reserve::reserve::<PyHeap, _>(&mut self.0, dict.length()?)?;
        each_pair_of_dict(dict, |key, value| {
            let hash = if key::is_hashed_safely(&key) {
                key::hash(&key)?
            } else {
                is_hashed = false;
                // Replaced below.
                HashOf::<PyHeap>::from_words(0, 0)
            };
            reserve::push::<PyHeap, _>(&mut self.0, (hash, EntryOf::<PyHeap> { key, value }))
        })?;
        if !is_hashed {
            for (hash, entry) in &mut self.0[start..] {
                if !key::is_hashed_safely(&entry.key) {
                    *hash = key::hash(&entry.key)?;
                }
            }
        }
        Ok(())
    }
}

/// Calls `body` with each key and value of a mapping or of an iterable of pairs, read as `dict`
/// reads them. `noun` names the purpose of the pairs in errors.
///
/// `body` runs no user code unless it fails.
pub(crate) fn each_pair(
    source: &Owned,
    noun: &'static CStr,
    mut body: impl FnMut(Owned, Owned) -> Result<(), ErrorSet>,
) -> Result<(), ErrorSet> {
    if let Some(map) = MapObject::of(source) {
        let entries = map.share();
        return entries.iter().try_for_each(|(_, EntryOf::<PyHeap> { key, value })| {
            body(key.clone(), value.clone())
        });
    }
    if source.is_dict() {
        return each_pair_of_dict(source, body);
    }
    each_pair_of_other(source, noun, body)
}

/// Calls `body` with each key and value of an exact `dict`. It runs no user code unless it fails.
fn each_pair_of_dict(
    dict: &Owned,
    mut body: impl FnMut(Owned, Owned) -> Result<(), ErrorSet>,
) -> Result<(), ErrorSet> {
    with_object_lock(dict, || {
        let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        // SAFETY: the object is a dict. No user code runs in the loop, and the lock keeps other
        // threads out. So the dict does not change, and keeps the key and the value alive until the
        // loop has taken references to them.
        unsafe {
            let dict = dict.as_ptr();
            while ffi::PyDict_Next(dict, &raw mut position, &raw mut key, &raw mut value) != 0 {
                body(Owned::from_borrowed(key), Owned::from_borrowed(value))?;
            }
        }
        Ok(())
    })
}

/// [`each_pair`] of a source other than a `Map` or a dict; `body` may run user code.
fn each_pair_of_other(
    source: &Owned,
    noun: &'static CStr,
    mut body: impl FnMut(Owned, Owned) -> Result<(), ErrorSet>,
) -> Result<(), ErrorSet> {
    // `dict` looks for `keys` and nothing else.
    if let Some(keys) = source.optional_attribute(name!("keys"))? {
        return keys.call_without_arguments()?.for_each(|key| {
            let value = source.item(&key)?;
            body(key, value)
        });
    }
    let items = match source.optional_attribute(name!("items"))? {
        Some(items) => items.call_without_arguments()?,
        None => source.clone(),
    };
    let mut index: isize = 0;
    items.for_each(|pair| {
        let (key, value) = match pair.tuple_items() {
            Some([key, value]) => (key.clone(), value.clone()),
            _ => unpack(&pair, index, noun)?,
        };
        index += 1;
        body(key, value)
    })
}

/// Whether [`each_pair`] can read `source`: it has keys, items, or can be iterated over.
pub(crate) fn is_source(source: &Owned) -> Result<bool, ErrorSet> {
    // SAFETY: the object, and with it its type, is alive.
    let is_iterable = unsafe {
        (*ffi::Py_TYPE(source.as_ptr())).tp_iter.is_some()
            || ffi::PySequence_Check(source.as_ptr()) != 0
    };
    Ok(is_iterable
        || source.optional_attribute(name!("keys"))?.is_some()
        || source.optional_attribute(name!("items"))?.is_some())
}

/// The items of a pair that is not a tuple of two, with the errors of `dict` if it is not a pair.
fn unpack(pair: &Owned, index: isize, noun: &'static CStr) -> Result<(Owned, Owned), ErrorSet> {
    let Ok(list) = pair.to_list() else {
        if Exception::TypeError.is_set() {
            // SAFETY: the format takes a C string and a number of the size of a pointer.
            unsafe {
                ffi::calling!(PyErr_Format(
                    ffi::PyExc_TypeError,
                    c"cannot convert %s sequence element #%zd to a sequence".as_ptr(),
                    noun.as_ptr(),
                    index,
                ));
            }
        }
        return Err(ErrorSet);
    };
    let length = list.length()?;
    if length != 2 {
        // SAFETY: the format takes a C string and two numbers of the size of a pointer.
        unsafe {
            ffi::calling!(PyErr_Format(
                ffi::PyExc_ValueError,
                c"%s sequence element #%zd has length %zd; 2 is required".as_ptr(),
                noun.as_ptr(),
                index,
                length,
            ));
        }
        return Err(ErrorSet);
    }
    Ok((list.item_at(0)?, list.item_at(1)?))
}

/// A map from each of these keys to `value`.
pub(crate) fn keys(keys: &Owned, value: &Owned) -> Result<Trie<PyHeap>, ErrorSet> {
    let mut entries = Entries::default();
    keys.for_each(|key| entries.push(key, value.clone()))?;
    entries.into_map()
}

/// The trie of a `Map`, or of the entries of another mapping. Other objects raise `TypeError` with
/// `message`, which has a `%R` for the object.
pub(crate) fn mapping(mapping: &Owned, message: &'static CStr) -> Result<Trie<PyHeap>, ErrorSet> {
    if let Some(map) = MapObject::of(mapping) {
        return Ok(map.share());
    }
    if !is_mapping(mapping)? {
        return Err(raise(Exception::TypeError, message, mapping));
    }
    let mut entries = Entries::default();
    entries.extend(mapping)?;
    entries.into_map()
}

/// Whether `object` is an instance of `collections.abc.Mapping`.
pub(crate) fn is_mapping(object: &Owned) -> Result<bool, ErrorSet> {
    if MapObject::of(object).is_some() || object.is_dict_like() {
        return Ok(true);
    }
    object.is_instance(lazy_import::MAPPING.get()?)
}
