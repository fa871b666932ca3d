//! `Map`, the persistent map: what is done to one key, and the class.
//!
//! A `Map` is the root of its own trie (see `heap.rs`), so a look-up begins in the object itself
//! and deriving a map makes no other object than the nodes on one path.

#![allow(unsafe_code)] // The functions in the slots of the class.

use super::class::{self, Class};
use super::collect::{self, Entries};
use super::copying;
use super::equality;
use super::ffi;
use super::heap;
use super::iterator::{self, Yields};
use super::key::{self, ByEquality, Key};
use super::mutation;
use super::object::{
    Nested, Object, Owned, Raised, get_or_default, guarded, raise_arguments, raise_key_error,
};
use super::view;
use super::whole;
use std::ffi::{c_int, c_void};
use std::ptr;

pub(super) static CLASS: Class = Class::unset();

/// The value of `key`, null if there is none; not counted.
///
/// # Safety
///
/// `object` is a `Map`, and it and `key` are kept alive by the caller.
#[inline]
pub(super) unsafe fn value_of(object: Object, key: Object) -> Result<Object, Raised> {
    // SAFETY: as the caller promises: the map keeps its keys alive while they are compared.
    unsafe {
        let hash = key::hash(key)?;
        let map = heap::borrow(object);
        let found = map.get(hash, Key(Owned::borrowed(&key)))?;
        Ok(found.map_or(ptr::null_mut(), |entry| entry.value.as_ptr()))
    }
}

unsafe extern "C" fn subscript(object: Object, key: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; both are alive.
    guarded(|| unsafe {
        let value = value_of(object, key)?;
        if value.is_null() {
            return Err(raise_key_error(key));
        }
        Ok(Owned::from_borrowed(value).into_ptr())
    })
}

unsafe extern "C" fn contains(object: Object, key: Object) -> c_int {
    // SAFETY: CPython checks the class of `object`; both are alive.
    guarded(|| unsafe { Ok((!value_of(object, key)?.is_null()).into()) })
}

unsafe extern "C" fn get(object: Object, arguments: *mut Object, count: ffi::Py_ssize_t) -> Object {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments.
    guarded(|| unsafe {
        get_or_default(arguments, count, |key| {
            let value = value_of(object, key)?;
            Ok((!value.is_null()).then(|| Owned::from_borrowed(value)))
        })
    })
}

unsafe extern "C" fn set(object: Object, arguments: *mut Object, count: ffi::Py_ssize_t) -> Object {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments.
    guarded(|| unsafe {
        if count != 2 {
            return Err(raise_arguments(c"set", 2, 2, count));
        }
        let hash = key::hash(*arguments)?;
        let (key, value) =
            (Owned::from_borrowed(*arguments), Owned::from_borrowed(*arguments.add(1)));
        let mut map = heap::share(object);
        // If the value is there already this is still the root, and so the very map. What it
        // replaces is kept alive by `object`.
        map.insert(hash, key, value, |new, stored| key::are_same(stored, new))?;
        Ok(heap::into_object(map).into_ptr())
    })
}

/// The map without `key`, `None` if it does not have it.
///
/// # Safety
///
/// `object` is a `Map`, and it and `key` are kept alive by the caller.
unsafe fn without(object: Object, key: Object) -> Result<Option<Owned>, Raised> {
    // SAFETY: as the caller promises.
    unsafe {
        let hash = key::hash(key)?;
        let mut map = heap::share(object);
        let removed = map.remove(hash, Key(Owned::borrowed(&key)))?;
        Ok(removed.map(|_| heap::into_object(map)))
    }
}

unsafe extern "C" fn delete(object: Object, key: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; both are alive.
    guarded(|| unsafe {
        match without(object, key)? {
            Some(map) => Ok(map.into_ptr()),
            None => Err(raise_key_error(key)),
        }
    })
}

unsafe extern "C" fn discard(object: Object, key: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; both are alive.
    guarded(|| unsafe {
        let map = without(object, key)?.unwrap_or_else(|| Owned::from_borrowed(object));
        Ok(map.into_ptr())
    })
}

/// `Map` of one collection, if there is one, and of keywords, if there are any.
///
/// # Safety
///
/// All are alive or null; `keywords` is a dict.
unsafe fn made_of(collection: Object, keywords: Object) -> Result<Object, Raised> {
    // SAFETY: as the caller promises.
    unsafe {
        let has_keywords = !keywords.is_null() && ffi::PyDict_Size(keywords) > 0;
        if !collection.is_null() && !has_keywords && CLASS.is_class_of(collection) {
            return Ok(Owned::from_borrowed(collection).into_ptr());
        }
        let mut entries = Entries::default();
        if !collection.is_null() {
            entries.extend(collection)?;
        }
        if has_keywords {
            entries.extend_from_dict(keywords)?;
        }
        Ok(heap::into_object(entries.into_map()?).into_ptr())
    }
}

unsafe extern "C" fn new(_: *mut ffi::PyTypeObject, arguments: Object, keywords: Object) -> Object {
    // SAFETY: CPython passes a tuple and a dict or null; there are no subclasses.
    guarded(|| unsafe {
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
    class: Object,
    arguments: *const Object,
    count: usize,
    keywords: Object,
) -> Object {
    // SAFETY: CPython passes the arguments, and the values of keywords behind them.
    guarded(|| unsafe {
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
                return Err(Raised);
            }
        }
        debug_assert!(ptr::eq(class.cast(), CLASS.as_ptr()));
        made_of(collection, named.as_ptr())
    })
}

unsafe extern "C" fn fromkeys(_: Object, arguments: *mut Object, count: ffi::Py_ssize_t) -> Object {
    // SAFETY: CPython passes `count` arguments.
    guarded(|| unsafe {
        if !(1..=2).contains(&count) {
            return Err(raise_arguments(c"fromkeys", 1, 2, count));
        }
        let value = if count == 2 { *arguments.add(1) } else { ffi::Py_None() };
        Ok(heap::into_object(collect::keys(*arguments, value)?).into_ptr())
    })
}

unsafe extern "C" fn len(object: Object) -> ffi::Py_ssize_t {
    // SAFETY: CPython checks the class of `object`.
    unsafe { heap::len(object) as ffi::Py_ssize_t }
}

unsafe extern "C" fn iter(object: Object) -> Object {
    // SAFETY: CPython checks the class of `object`.
    guarded(|| unsafe { iterator::over(heap::share(object), Yields::Key) })
}

unsafe extern "C" fn compare(object: Object, other: Object, operator: c_int) -> Object {
    // SAFETY: CPython calls the slot of either class, but with ours first; both are alive.
    unsafe { equality::compare(object, other, operator, || are_equal(object, other)) }
}

/// Whether a map has the keys of a mapping and equal values.
///
/// # Safety
///
/// `object` is a `Map` and `other` a mapping; both are kept alive by the caller.
pub(super) unsafe fn are_equal(object: Object, other: Object) -> Result<bool, Raised> {
    // SAFETY: as the caller promises.
    unsafe {
        let mut compare = ByEquality::within(Nested::counted(c" in comparison")?);
        let map = heap::borrow(object);
        if CLASS.is_class_of(other) {
            return map.equal(&heap::borrow(other), &mut compare);
        }
        let len = ffi::PyObject_Size(other);
        if len < 0 {
            return Err(Raised);
        }
        if len as usize != map.len() {
            return Ok(false);
        }
        let mut entries = Entries::default();
        entries.extend(other)?;
        map.equal(&entries.into_map()?, &mut compare)
    }
}

unsafe extern "C" fn mutate(object: Object, _: Object) -> Object {
    // SAFETY: CPython checks the class of `object`.
    guarded(|| unsafe { mutation::of(heap::share(object)) })
}

unsafe extern "C" fn keys(object: Object, _: Object) -> Object {
    // SAFETY: CPython checks the class of `object`.
    guarded(|| unsafe { view::of(object, Yields::Key) })
}

unsafe extern "C" fn values(object: Object, _: Object) -> Object {
    // SAFETY: CPython checks the class of `object`.
    guarded(|| unsafe { view::of(object, Yields::Value) })
}

unsafe extern "C" fn items(object: Object, _: Object) -> Object {
    // SAFETY: CPython checks the class of `object`.
    guarded(|| unsafe { view::of(object, Yields::Item) })
}

fn methods() -> Vec<ffi::PyMethodDef> {
    let fast = |call| ffi::PyMethodDefPointer { PyCFunctionFast: call };
    let plain = |call| ffi::PyMethodDefPointer { PyCFunction: call };
    let mut rows = vec![
        class::method(
            c"get",
            fast(get),
            ffi::METH_FASTCALL,
            c"get($self, key, default=None, /)\n--\n\n\
            Return the value of a key, or the default. O(log n).",
        ),
        class::method(
            c"set",
            fast(set),
            ffi::METH_FASTCALL,
            c"set($self, key, value, /)\n--\n\n\
            Return the map with this value at this key.\n\n\
            It is this very map if this very object is its value already. A key that is there is\n\
            kept, as in dict. O(log n).",
        ),
        class::method(
            c"delete",
            plain(delete),
            ffi::METH_O,
            c"delete($self, key, /)\n--\n\n\
            Return the map without this key. Raise KeyError if it is not there. O(log n).",
        ),
        class::method(
            c"discard",
            plain(discard),
            ffi::METH_O,
            c"discard($self, key, /)\n--\n\n\
            Return the map without this key: this very map if it is not there. O(log n).",
        ),
        class::method(
            c"fromkeys",
            fast(fromkeys),
            ffi::METH_FASTCALL | ffi::METH_CLASS,
            c"fromkeys($type, keys, value=None, /)\n--\n\n\
            Return a map with these keys, all of them with the same value. O(n).",
        ),
        class::method(
            c"mutate",
            plain(mutate),
            ffi::METH_NOARGS,
            c"mutate($self, /)\n--\n\n\
            Return a MapMutation that starts as this map: many changes, one new map. O(1).",
        ),
        class::method(
            c"keys",
            plain(keys),
            ffi::METH_NOARGS,
            c"keys($self, /)\n--\n\nReturn a set-like view of the keys. O(1).",
        ),
        class::method(
            c"values",
            plain(values),
            ffi::METH_NOARGS,
            c"values($self, /)\n--\n\nReturn a view of the values. O(1).",
        ),
        class::method(
            c"items",
            plain(items),
            ffi::METH_NOARGS,
            c"items($self, /)\n--\n\nReturn a set-like view of pairs of key and value. O(1).",
        ),
        class::method(
            c"__sizeof__",
            plain(heap::sizeof),
            ffi::METH_NOARGS,
            c"__sizeof__($self, /)\n--\n\n\
            Return the size of the root in bytes, without the nodes below, which may be shared.",
        ),
        class::class_getitem(),
    ];
    rows.extend(whole::methods());
    rows.extend(copying::methods());
    rows.push(ffi::PyMethodDef::zeroed());
    rows
}

pub(super) fn init() -> Result<(), Raised> {
    let members = class::weak_references_at(heap::WEAK_REFERENCES);
    let doc = c"Map(collection=(), /, **kwargs)\n--\n\n\
        An immutable mapping from which others can be derived cheaply.\n\n\
        It is made of a mapping, of an iterable of pairs, or of keywords, like dict; of another Map\n\
        in O(1). set(), delete() and update() return a new map, which shares with this one what\n\
        they have in common. Keys are hashable; the order of iteration is that of their hashes.";
    let (size, item_size) = heap::MAP_SIZES;
    // SAFETY: each slot has the value that its number stands for.
    unsafe {
        CLASS.make(
            c"ctxvars.Map",
            size,
            item_size,
            ffi::Py_TPFLAGS_MAPPING,
            &[
                (ffi::Py_tp_new, new as *mut c_void),
                (ffi::Py_tp_dealloc, heap::dealloc_map as *mut c_void),
                (ffi::Py_tp_traverse, heap::traverse as *mut c_void),
                (ffi::Py_tp_hash, whole::hash as *mut c_void),
                (ffi::Py_tp_repr, copying::repr as *mut c_void),
                (ffi::Py_tp_richcompare, compare as *mut c_void),
                (ffi::Py_tp_iter, iter as *mut c_void),
                (ffi::Py_mp_length, len as *mut c_void),
                (ffi::Py_mp_subscript, subscript as *mut c_void),
                (ffi::Py_sq_contains, contains as *mut c_void),
                (ffi::Py_nb_or, whole::or as *mut c_void),
                (ffi::Py_tp_methods, class::leaked(methods())),
                (ffi::Py_tp_members, members),
                (ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
            ],
        )?;
        (*CLASS.as_ptr()).tp_vectorcall = Some(call);
    }
    Ok(())
}
