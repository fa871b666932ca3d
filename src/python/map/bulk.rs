//! Operations on whole maps: union, intersection, difference, filtering.

#![allow(unsafe_code)] // The functions in the slots and the method table of `Map`.

use super::{entries, mutation, py_heap, view};
use crate::map::{Compare, Trie};
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, RecursionGuard, catch_panic, ffi, is_true, type_object,
};
use crate::python::map::entries::Entries;
use crate::python::map::key::ByEquality;
use crate::python::map::py_heap::PyHeap;
use std::ptr;

/// `map | other` and `other | map`, where the other is any mapping.
pub(crate) unsafe extern "C" fn or(left: RawObject, right: RawObject) -> RawObject {
    // SAFETY: CPython calls this if either is a `Map`; both are alive.
    catch_panic(|| unsafe {
        if !entries::is_mapping(left)? || !entries::is_mapping(right)? {
            return Ok(Owned::from_borrowed(ffi::Py_NotImplemented()).into_ptr());
        }
        let message = c"expected a mapping, got %R";
        let (left, right) = (entries::mapping(left, message)?, entries::mapping(right, message)?);
        Ok(py_heap::into_object(left.updated(&right, &mut ByEquality::default())?).into_ptr())
    })
}

/// What `update` is to add to a map.
pub(crate) enum Addition {
    /// Another map, which may share nodes with it.
    Map(Trie<PyHeap>),
    Entries(Entries),
}

impl Addition {
    /// The arguments of `update`, keywords last.
    ///
    /// # Safety
    ///
    /// There are `count` arguments, and behind them the values of the keywords.
    pub(crate) unsafe fn of_arguments(
        arguments: *const RawObject,
        count: ffi::Py_ssize_t,
        keywords: RawObject,
    ) -> Result<Self, ErrorSet> {
        // SAFETY: as the caller promises.
        unsafe {
            let named = if keywords.is_null() { 0 } else { ffi::PyTuple_Size(keywords) };
            if count == 1 && named == 0 && types::MAP.is_type_of(*arguments) {
                return Ok(Self::Map(py_heap::share(*arguments)));
            }
            let mut entries = Entries::default();
            for index in 0..count {
                entries.extend(*arguments.offset(index))?;
            }
            for index in 0..named {
                let name = Owned::from_borrowed(ffi::PyTuple_GetItem(keywords, index));
                entries.push(name, Owned::from_borrowed(*arguments.offset(count + index)))?;
            }
            Ok(Self::Entries(entries))
        }
    }

    /// The map with what is added to it.
    pub(crate) fn to(
        &self,
        map: &Trie<PyHeap>,
        compare: &mut impl Compare<PyHeap>,
    ) -> Result<Trie<PyHeap>, ErrorSet> {
        match self {
            Self::Map(added) => map.updated(added, compare),
            Self::Entries(entries) => entries.added_to(map, compare),
        }
    }
}

unsafe extern "C" fn update(
    object: RawObject,
    arguments: *const RawObject,
    count: ffi::Py_ssize_t,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments and the values
    // of the keywords behind them.
    catch_panic(|| unsafe {
        let addition = Addition::of_arguments(arguments, count, keywords)?;
        Ok(py_heap::into_object(addition.to(&py_heap::borrow(object), &mut ByEquality::default())?)
            .into_ptr())
    })
}

unsafe extern "C" fn intersection(object: RawObject, keys: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    unsafe { select(object, keys, true) }
}

unsafe extern "C" fn difference(object: RawObject, keys: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    unsafe { select(object, keys, false) }
}

/// The map with the entries whose keys are among these or, unless `among`, are not.
///
/// # Safety
///
/// `object` is a `Map`, and both are kept alive by the caller.
unsafe fn select(object: RawObject, keys: RawObject, among: bool) -> RawObject {
    // SAFETY: the caller keeps both alive, and so the entries of the map.
    catch_panic(|| unsafe {
        let map = py_heap::borrow(object);
        let selected = if can_find_more_than(keys, map.len())? {
            let _nested = RecursionGuard::walking(c" while selecting from a Map")?;
            map.filter(|entry| match ffi::PySequence_Contains(keys, entry.key.as_ptr()) {
                ..0 => Err(ErrorSet),
                found => Ok((found != 0) == among),
            })?
        } else if among {
            map.intersection(&keys_of(keys)?, &mut ByEquality::default())?
        } else {
            map.difference(&keys_of(keys)?, &mut ByEquality::default())?
        };
        Ok(py_heap::into_object(selected).into_ptr())
    })
}

/// Whether `keys` are more than this, and one of them is found without a walk over all of them.
/// Subclasses may have methods that do not agree with one another.
///
/// # Safety
///
/// `keys` is alive.
unsafe fn can_find_more_than(keys: RawObject, len: usize) -> Result<bool, ErrorSet> {
    // SAFETY: the caller keeps the object alive.
    unsafe {
        let finds = ffi::PyAnySet_CheckExact(keys) != 0
            || ffi::PyDict_CheckExact(keys) != 0
            || ffi::PyDictKeys_Check(keys) != 0;
        match if finds { ffi::PyObject_Size(keys) } else { 0 } {
            ..0 => Err(ErrorSet),
            size => Ok(size as usize > len),
        }
    }
}

/// A map with these keys: the very map that they come from, if there is one.
///
/// # Safety
///
/// `keys` is alive.
unsafe fn keys_of(keys: RawObject) -> Result<Trie<PyHeap>, ErrorSet> {
    // SAFETY: the caller keeps the object alive.
    unsafe {
        if types::MAP.is_type_of(keys) {
            return Ok(py_heap::share(keys));
        }
        if types::MAP_KEYS.is_type_of(keys) {
            return Ok(py_heap::share(view::map_of(keys)));
        }
        if types::MAP_MUTATION.is_type_of(keys) {
            return Ok(mutation::now(keys));
        }
        entries::keys(keys, ffi::Py_None())
    }
}

unsafe extern "C" fn filter(object: RawObject, predicate: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        let _nested = RecursionGuard::walking(c" while filtering a Map")?;
        let map = py_heap::borrow(object).map_entries(|entry| {
            let arguments = [entry.key.as_ptr(), entry.value.as_ptr()];
            let answer =
                ffi::PyObject_Vectorcall(predicate, arguments.as_ptr(), 2, ptr::null_mut());
            let keep = is_true(Owned::new(answer)?.as_ptr())?;
            Ok(keep.then(|| entry.value.clone()))
        })?;
        Ok(py_heap::into_object(map).into_ptr())
    })
}

unsafe extern "C" fn map_values(object: RawObject, function: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        let _nested = RecursionGuard::walking(c" while mapping the values of a Map")?;
        let map = py_heap::borrow(object).map_entries(|entry| {
            Owned::new(ffi::PyObject_CallOneArg(function, entry.value.as_ptr())).map(Some)
        })?;
        Ok(py_heap::into_object(map).into_ptr())
    })
}

pub(crate) fn methods() -> Vec<ffi::PyMethodDef> {
    let plain = |call| ffi::PyMethodDefPointer { PyCFunction: call };
    vec![
        type_object::method(
            c"update",
            ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: update },
            ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            c"update($self, /, *collections, **kwargs)\n--\n\n\
            Return the map with the entries of others.\n\n\
            The collections are mappings or iterables of pairs; later values win. It is this very\n\
            map if nothing changes. O(k log n) for k entries; with another Map that shares nodes,\n\
            O(changes x log n).",
        ),
        type_object::method(
            c"intersection",
            plain(intersection),
            ffi::METH_O,
            c"intersection($self, keys, /)\n--\n\n\
            Return the map with those of its keys that are among these.\n\n\
            The keys are any iterable; with another Map that shares nodes, O(changes x log n).\n\
            Of a larger set or dict, only the keys of this map are looked up.",
        ),
        type_object::method(
            c"difference",
            plain(difference),
            ffi::METH_O,
            c"difference($self, keys, /)\n--\n\n\
            Return the map without these keys.\n\n\
            The keys are any iterable; with another Map that shares nodes, O(changes x log n).\n\
            Of a larger set or dict, only the keys of this map are looked up.",
        ),
        type_object::method(
            c"filter",
            plain(filter),
            ffi::METH_O,
            c"filter($self, predicate, /)\n--\n\n\
            Return the map with the entries for which predicate(key, value) is true.\n\n\
            O(n); what stays as it is is shared with this map.",
        ),
        type_object::method(
            c"map_values",
            plain(map_values),
            ffi::METH_O,
            c"map_values($self, function, /)\n--\n\n\
            Return the map with function(value) in place of each value.\n\n\
            O(n); what stays as it is is shared with this map.",
        ),
    ]
}
