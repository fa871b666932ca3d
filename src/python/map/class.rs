//! `Map`, the persistent map: what is done to one key, and the class.
//!
//! A `Map` is the root of its own trie (see `heap.rs`), so a look-up begins in the object itself
//! and deriving a map makes no other object than the nodes on one path.

#![allow(unsafe_code)] // The functions in the slots of the class.

use super::{
    bulk, copy, diff_merge, entries, equality, hash, iterator, key, mutation, pickle, py_heap,
    repr, view,
};
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, RecursionGuard, catch_panic, ffi, get_or_default, raise_arguments,
    raise_key_error, type_object,
};
use crate::python::map::entries::Entries;
use crate::python::map::iterator::EntryPart;
use crate::python::map::key::{ByEquality, Key};
use std::ffi::{c_int, c_void};
use std::ptr;

/// The value of `key`, null if there is none; not counted.
///
/// # Safety
///
/// `object` is a `Map`, and it and `key` are kept alive by the caller.
#[inline]
pub(crate) unsafe fn value_of(object: RawObject, key: RawObject) -> Result<RawObject, ErrorSet> {
    // SAFETY: as the caller promises: the map keeps its keys alive while they are compared.
    unsafe {
        let hash = key::hash(key)?;
        let map = py_heap::borrow(object);
        let found = map.get(hash, Key(Owned::borrowed(&key)))?;
        Ok(found.map_or(ptr::null_mut(), |entry| entry.value.as_ptr()))
    }
}

unsafe extern "C" fn subscript(object: RawObject, key: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        let value = value_of(object, key)?;
        if value.is_null() {
            return Err(raise_key_error(key));
        }
        Ok(Owned::from_borrowed(value).into_ptr())
    })
}

unsafe extern "C" fn contains(object: RawObject, key: RawObject) -> c_int {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe { Ok((!value_of(object, key)?.is_null()).into()) })
}

unsafe extern "C" fn get(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments.
    catch_panic(|| unsafe {
        get_or_default(arguments, count, |key| {
            let value = value_of(object, key)?;
            Ok((!value.is_null()).then(|| Owned::from_borrowed(value)))
        })
    })
}

unsafe extern "C" fn set(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments.
    catch_panic(|| unsafe {
        if count != 2 {
            return Err(raise_arguments(c"set", 2, 2, count));
        }
        let hash = key::hash(*arguments)?;
        let (key, value) =
            (Owned::from_borrowed(*arguments), Owned::from_borrowed(*arguments.add(1)));
        let mut map = py_heap::share(object);
        // If the value is there already this is still the root, and so the very map. What it
        // replaces is kept alive by `object`.
        map.insert(hash, key, value, |new, stored| key::are_same(stored, new))?;
        Ok(py_heap::into_object(map).into_ptr())
    })
}

/// The map without `key`, `None` if it does not have it.
///
/// # Safety
///
/// `object` is a `Map`, and it and `key` are kept alive by the caller.
unsafe fn without(object: RawObject, key: RawObject) -> Result<Option<Owned>, ErrorSet> {
    // SAFETY: as the caller promises.
    unsafe {
        let hash = key::hash(key)?;
        let mut map = py_heap::share(object);
        let removed = map.remove(hash, Key(Owned::borrowed(&key)))?;
        Ok(removed.map(|_| py_heap::into_object(map)))
    }
}

unsafe extern "C" fn delete(object: RawObject, key: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        match without(object, key)? {
            Some(map) => Ok(map.into_ptr()),
            None => Err(raise_key_error(key)),
        }
    })
}

unsafe extern "C" fn discard(object: RawObject, key: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        let map = without(object, key)?.unwrap_or_else(|| Owned::from_borrowed(object));
        Ok(map.into_ptr())
    })
}

/// `Map` of one collection, if there is one, and of keywords, if there are any.
///
/// # Safety
///
/// All are alive or null; `keywords` is a dict.
unsafe fn made_of(collection: RawObject, keywords: RawObject) -> Result<RawObject, ErrorSet> {
    // SAFETY: as the caller promises.
    unsafe {
        let has_keywords = !keywords.is_null() && ffi::PyDict_Size(keywords) > 0;
        if !collection.is_null() && !has_keywords && types::MAP.is_type_of(collection) {
            return Ok(Owned::from_borrowed(collection).into_ptr());
        }
        let mut entries = Entries::default();
        if !collection.is_null() {
            entries.extend(collection)?;
        }
        if has_keywords {
            entries.extend_from_dict(keywords)?;
        }
        Ok(py_heap::into_object(entries.into_map()?).into_ptr())
    }
}

unsafe extern "C" fn new(
    _: *mut ffi::PyTypeObject,
    arguments: RawObject,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython passes a tuple and a dict or null; there are no subclasses.
    catch_panic(|| unsafe {
        let count = ffi::PyTuple_Size(arguments);
        if count > 1 {
            return Err(raise_arguments(c"Map", 0, 1, count));
        }
        let collection = match count {
            0 => ptr::null_mut(),
            _ => ffi::PyTuple_GetItem(arguments, 0),
        };
        made_of(collection, keywords)
    })
}

/// What `Map(...)` calls: as `new`, without a tuple for one argument.
unsafe extern "C" fn call(
    class: RawObject,
    arguments: *const RawObject,
    count: usize,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython passes the arguments, and the values of keywords behind them.
    catch_panic(|| unsafe {
        let count = ffi::PyVectorcall_NARGS(count);
        let has_keywords = !keywords.is_null() && ffi::PyTuple_Size(keywords) > 0;
        if count > 1 {
            return Err(raise_arguments(c"Map", 0, 1, count));
        }
        let collection = if count == 1 { *arguments } else { ptr::null_mut() };
        if !has_keywords {
            return made_of(collection, ptr::null_mut());
        }
        let named = Owned::new(ffi::PyDict_New())?;
        for index in 0..ffi::PyTuple_Size(keywords) {
            let (name, value) =
                (ffi::PyTuple_GetItem(keywords, index), *arguments.offset(count + index));
            if ffi::PyDict_SetItem(named.as_ptr(), name, value) < 0 {
                return Err(ErrorSet);
            }
        }
        debug_assert!(ptr::eq(class.cast(), types::MAP.as_ptr()));
        made_of(collection, named.as_ptr())
    })
}

unsafe extern "C" fn fromkeys(
    _: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython passes `count` arguments.
    catch_panic(|| unsafe {
        if !(1..=2).contains(&count) {
            return Err(raise_arguments(c"fromkeys", 1, 2, count));
        }
        let value = if count == 2 { *arguments.add(1) } else { ffi::Py_None() };
        Ok(py_heap::into_object(entries::keys(*arguments, value)?).into_ptr())
    })
}

unsafe extern "C" fn len(object: RawObject) -> ffi::Py_ssize_t {
    // SAFETY: CPython checks the class of `object`.
    unsafe { py_heap::len(object) as ffi::Py_ssize_t }
}

unsafe extern "C" fn iter(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe { iterator::over(py_heap::share(object), EntryPart::Key) })
}

unsafe extern "C" fn compare(object: RawObject, other: RawObject, operator: c_int) -> RawObject {
    // SAFETY: CPython calls the slot of either class, but with ours first; both are alive.
    unsafe { equality::compare(object, other, operator, || are_equal(object, other)) }
}

/// Whether a map has the keys of a mapping and equal values.
///
/// # Safety
///
/// `object` is a `Map` and `other` a mapping; both are kept alive by the caller.
pub(crate) unsafe fn are_equal(object: RawObject, other: RawObject) -> Result<bool, ErrorSet> {
    // SAFETY: as the caller promises.
    unsafe {
        let mut compare = ByEquality::within(RecursionGuard::counted(c" in comparison")?);
        let map = py_heap::borrow(object);
        if types::MAP.is_type_of(other) {
            return map.equal(&py_heap::borrow(other), &mut compare);
        }
        let len = ffi::PyObject_Size(other);
        if len < 0 {
            return Err(ErrorSet);
        }
        if len as usize != map.len() {
            return Ok(false);
        }
        let mut entries = Entries::default();
        entries.extend(other)?;
        map.equal(&entries.into_map()?, &mut compare)
    }
}

unsafe extern "C" fn mutate(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe { mutation::of(py_heap::share(object)) })
}

unsafe extern "C" fn keys(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe { view::of(object, EntryPart::Key) })
}

unsafe extern "C" fn values(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe { view::of(object, EntryPart::Value) })
}

unsafe extern "C" fn items(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe { view::of(object, EntryPart::Item) })
}

fn methods() -> Vec<ffi::PyMethodDef> {
    let fast = |call| ffi::PyMethodDefPointer { PyCFunctionFast: call };
    let plain = |call| ffi::PyMethodDefPointer { PyCFunction: call };
    let mut rows = vec![
        type_object::method(
            c"get",
            fast(get),
            ffi::METH_FASTCALL,
            c"get($self, key, default=None, /)\n--\n\n\
            Return the value of a key, or the default. O(log n).",
        ),
        type_object::method(
            c"set",
            fast(set),
            ffi::METH_FASTCALL,
            c"set($self, key, value, /)\n--\n\n\
            Return the map with this value at this key.\n\n\
            It is this very map if this very object is its value already. A key that is there is kept, as in\n\
            dict. O(log n).",
        ),
        type_object::method(
            c"delete",
            plain(delete),
            ffi::METH_O,
            c"delete($self, key, /)\n--\n\n\
            Return the map without this key. Raise KeyError if it is not there. O(log n).",
        ),
        type_object::method(
            c"discard",
            plain(discard),
            ffi::METH_O,
            c"discard($self, key, /)\n--\n\n\
            Return the map without this key: this very map if it is not there. O(log n).",
        ),
        type_object::method(
            c"fromkeys",
            fast(fromkeys),
            ffi::METH_FASTCALL | ffi::METH_CLASS,
            c"fromkeys($type, keys, value=None, /)\n--\n\n\
            Return a map with these keys, all of them with the same value. O(n).",
        ),
        type_object::method(
            c"mutate",
            plain(mutate),
            ffi::METH_NOARGS,
            c"mutate($self, /)\n--\n\n\
            Return a MapMutation that starts as this map: many changes, one new map. O(1).",
        ),
        type_object::method(
            c"keys",
            plain(keys),
            ffi::METH_NOARGS,
            c"keys($self, /)\n--\n\nReturn a set-like view of the keys. O(1).",
        ),
        type_object::method(
            c"values",
            plain(values),
            ffi::METH_NOARGS,
            c"values($self, /)\n--\n\nReturn a view of the values. O(1).",
        ),
        type_object::method(
            c"items",
            plain(items),
            ffi::METH_NOARGS,
            c"items($self, /)\n--\n\nReturn a set-like view of pairs of key and value. O(1).",
        ),
        type_object::method(
            c"__sizeof__",
            plain(py_heap::sizeof),
            ffi::METH_NOARGS,
            c"__sizeof__($self, /)\n--\n\n\
            Return the size of the root in bytes, without the nodes below, which may be shared.",
        ),
        type_object::class_getitem(),
    ];
    rows.extend(bulk::methods());
    rows.extend(diff_merge::methods());
    rows.extend(copy::methods());
    rows.extend(pickle::methods());
    rows.push(ffi::PyMethodDef::zeroed());
    rows
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    let members = type_object::weak_references_at(py_heap::WEAK_REFERENCES);
    let doc = c"Map(collection=(), /, **kwargs)\n--\n\n\
        An immutable mapping from which others can be derived cheaply.\n\n\
        It is made of a mapping, of an iterable of pairs, or of keywords, like dict; of another Map\n\
        in O(1). set(), delete() and update() return a new map, which shares with this one what\n\
        they have in common. Keys are hashable; the order of iteration is that of their hashes.";
    let (size, item_size) = py_heap::MAP_SIZES;
    // SAFETY: each slot has the value that its number stands for.
    unsafe {
        types::MAP.make(
            c"ctxvars.Map",
            size,
            item_size,
            ffi::Py_TPFLAGS_MAPPING,
            &[
                (ffi::Py_tp_new, new as *mut c_void),
                (ffi::Py_tp_dealloc, py_heap::dealloc_map as *mut c_void),
                (ffi::Py_tp_traverse, py_heap::traverse as *mut c_void),
                (ffi::Py_tp_hash, hash::hash as *mut c_void),
                (ffi::Py_tp_repr, repr::repr as *mut c_void),
                (ffi::Py_tp_richcompare, compare as *mut c_void),
                (ffi::Py_tp_iter, iter as *mut c_void),
                (ffi::Py_mp_length, len as *mut c_void),
                (ffi::Py_mp_subscript, subscript as *mut c_void),
                (ffi::Py_sq_contains, contains as *mut c_void),
                (ffi::Py_nb_or, bulk::or as *mut c_void),
                (ffi::Py_tp_methods, type_object::leaked(methods())),
                (ffi::Py_tp_members, members),
                (ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
            ],
        )?;
        (*types::MAP.as_ptr()).tp_vectorcall = Some(call);
    }
    Ok(())
}
