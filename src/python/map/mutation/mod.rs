//! `MapMutation`: many changes in place, one new map.
//!
//! A mutation has a trie of its own, whose nodes are edited in place as soon as nobody else can
//! reach them. How an edit copes with user code that edits the same mutation: `watched_edit.rs`.

#![allow(unsafe_code)] // The functions in the slots of the class.

mod watched_edit;

use crate::map::{EntryOf, HashOf, Location, Retired, Trie};
use crate::python::interpreter::free_threading::with_object_lock;
use crate::python::interpreter::lazy_import::LazyImport;
use crate::python::interpreter::memory::gc;
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, catch_panic, ffi, get_or_default, lazy_import, raise,
    raise_arguments, raise_key_error, raise_message, type_object,
};
use crate::python::map::bulk::Addition;
use crate::python::map::key::{ByEquality, Key};
use crate::python::map::py_heap::PyHeap;
use crate::python::map::{equality, iterator, key, py_heap};
use std::ffi::{c_int, c_void};
use std::mem::{self, offset_of};
use std::ptr;
use watched_edit::{Watch, Watched, WatchedKeys, change};

#[repr(C)]
pub(crate) struct MapMutation {
    object: ffi::PyObject,
    pub(crate) map: Trie<PyHeap>,
    /// Edits so far.
    pub(crate) edits: u64,
    pub(crate) finished: bool,
    weak_references: RawObject,
}

/// Calls `body` with a mutation, which no other thread uses meanwhile.
///
/// # Safety
///
/// `object` is an instance, and `body` runs no user code.
#[inline]
pub(crate) unsafe fn with<R>(object: RawObject, body: impl FnOnce(&mut MapMutation) -> R) -> R {
    // SAFETY: as the caller promises.
    unsafe { with_object_lock(object, || body(&mut *object.cast())) }
}

/// A mutation that starts as `map`. O(1).
pub(crate) fn of(map: Trie<PyHeap>) -> Result<RawObject, ErrorSet> {
    // SAFETY: the fields are written before anybody can see the object.
    unsafe {
        let object: *mut MapMutation = ffi::PyObject_GC_New(types::MAP_MUTATION.as_ptr());
        if object.is_null() {
            return Err(ErrorSet);
        }
        (&raw mut (*object).map).write(map);
        (*object).edits = 0;
        (*object).finished = false;
        (*object).weak_references = ptr::null_mut();
        ffi::PyObject_GC_Track(object.cast());
        Ok(object.cast())
    }
}

/// The number of edits of a mutation so far.
///
/// # Safety
///
/// `object` is an instance.
pub(crate) unsafe fn edits(object: RawObject) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { with(object, |this| this.edits) }
}

/// What the mutation holds now, shared. O(1).
///
/// # Safety
///
/// `object` is an instance.
#[inline]
pub(crate) unsafe fn now(object: RawObject) -> Trie<PyHeap> {
    // SAFETY: as the caller promises.
    unsafe { with(object, |this| this.map.clone()) }
}

/// Raises `ValueError` if the mutation has been finished.
///
/// # Safety
///
/// `object` is an instance.
pub(crate) unsafe fn check_open(object: RawObject) -> Result<(), ErrorSet> {
    // SAFETY: as the caller promises; exceptions live as long as the interpreter.
    unsafe {
        if with(object, |this| this.finished) {
            let message = c"mutation %R has been finished";
            return Err(raise(ffi::PyExc_ValueError, message, object));
        }
        Ok(())
    }
}

/// The value of `key`, if there is one.
///
/// # Safety
///
/// `object` is an instance, and `key` is kept alive by the caller.
unsafe fn value_of(object: RawObject, key: RawObject) -> Result<Option<Owned>, ErrorSet> {
    // SAFETY: as the caller promises; the shared copy keeps the nodes alive.
    unsafe {
        let hash = key::hash(key)?;
        let map = now(object);
        let found = map.get(hash, Key(Owned::borrowed(&key)))?;
        Ok(found.map(|entry| entry.value.clone()))
    }
}

/// Gives `key` a value, and returns the one that it had.
///
/// # Safety
///
/// `object` is an instance, and the others are alive.
unsafe fn insert(object: RawObject, key: &Owned, value: &Owned) -> Result<Option<Owned>, ErrorSet> {
    // SAFETY: as the caller promises.
    unsafe {
        check_open(object)?;
        let hash = key::hash(key.as_ptr())?;
        let find = |map: &Trie<PyHeap>, watch: &Watch| {
            let location = map.locate(hash, Watched(Key(key), watch))?;
            let entry = map.entry_at(hash, location);
            let unchanged =
                entry.is_some_and(|entry| ptr::eq(entry.value.as_ptr(), value.as_ptr()));
            Ok((!unchanged).then_some(location))
        };
        let edit = |map: &mut Trie<PyHeap>, location| {
            map.insert_at(hash, location, key.clone(), value.clone())
        };
        Ok(change(object, find, edit)?.flatten())
    }
}

/// Takes `key` out, and returns its entry if it was there.
///
/// # Safety
///
/// `object` is an instance, and `key` is kept alive by the caller.
unsafe fn remove(object: RawObject, key: RawObject) -> Result<Option<EntryOf<PyHeap>>, ErrorSet> {
    // SAFETY: as the caller promises.
    unsafe {
        check_open(object)?;
        let hash = key::hash(key)?;
        let find = |map: &Trie<PyHeap>, watch: &Watch| {
            let location = map.locate(hash, Watched(Key(Owned::borrowed(&key)), watch))?;
            Ok(location.is_found().then_some(location))
        };
        let edit = |map: &mut Trie<PyHeap>, location: Location| map.remove_at(hash, location);
        Ok(change(object, find, edit)?.flatten())
    }
}

unsafe extern "C" fn subscript(object: RawObject, key: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        value_of(object, key)?.map(Owned::into_ptr).ok_or_else(|| raise_key_error(key))
    })
}

unsafe extern "C" fn assign(object: RawObject, key: RawObject, value: RawObject) -> c_int {
    // SAFETY: CPython checks the class of `object`; the others are alive, but for a null value,
    // which means deletion. What is taken out is dropped last.
    catch_panic(|| unsafe {
        if !value.is_null() {
            drop(insert(object, Owned::borrowed(&key), Owned::borrowed(&value))?);
            return Ok(0);
        }
        match remove(object, key)? {
            Some(_) => Ok(0),
            None => Err(raise_key_error(key)),
        }
    })
}

unsafe extern "C" fn contains(object: RawObject, key: RawObject) -> c_int {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe { Ok(value_of(object, key)?.is_some().into()) })
}

unsafe extern "C" fn len(object: RawObject) -> ffi::Py_ssize_t {
    // SAFETY: CPython checks the class of `object`.
    unsafe { with(object, |this| this.map.len()) as ffi::Py_ssize_t }
}

unsafe extern "C" fn iter(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        let (map, edits) = with(object, |this| (this.map.clone(), this.edits));
        iterator::over_mutation(map, Owned::from_borrowed(object), edits)
    })
}

unsafe extern "C" fn compare(object: RawObject, other: RawObject, operator: c_int) -> RawObject {
    // SAFETY: CPython calls the slot with an instance first; both are alive.
    unsafe {
        equality::compare(object, other, operator, || {
            let mut other = Owned::from_borrowed(other);
            if types::MAP_MUTATION.is_type_of(other.as_ptr()) {
                other = py_heap::into_object(now(other.as_ptr()));
            }
            crate::python::map::class::are_equal(
                py_heap::into_object(now(object)).as_ptr(),
                other.as_ptr(),
            )
        })
    }
}

unsafe extern "C" fn get(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments.
    catch_panic(|| unsafe { get_or_default(arguments, count, |key| value_of(object, key)) })
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
        drop(insert(object, Owned::borrowed(&*arguments), Owned::borrowed(&*arguments.add(1)))?);
        Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr())
    })
}

unsafe extern "C" fn discard(object: RawObject, key: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        drop(remove(object, key)?);
        Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr())
    })
}

unsafe extern "C" fn pop(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments.
    catch_panic(|| unsafe {
        if !(1..=2).contains(&count) {
            return Err(raise_arguments(c"pop", 1, 2, count));
        }
        match remove(object, *arguments)? {
            Some(entry) => Ok(entry.value.into_ptr()),
            None if count == 2 => Ok(Owned::from_borrowed(*arguments.add(1)).into_ptr()),
            None => Err(raise_key_error(*arguments)),
        }
    })
}

unsafe extern "C" fn popitem(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the entry is found by identity, which runs no
    // user code.
    catch_panic(|| unsafe {
        let find = |map: &Trie<PyHeap>, _: &Watch| {
            let Some((hash, entry)) = map.iter().next() else {
                let message = c"popitem(): mutation is empty";
                return Err(raise_message(ffi::PyExc_KeyError, message));
            };
            let first = entry.key.as_ptr();
            let location = map.locate(hash, |key: &Owned| Ok(ptr::eq(key.as_ptr(), first)))?;
            // Made before the entry is removed: without memory for it, the entry stays.
            let pair = Owned::new(ffi::calling!(PyTuple_Pack(2, first, entry.value.as_ptr())))?;
            Ok(Some((hash, location, pair)))
        };
        let edit = |map: &mut Trie<PyHeap>,
                    (hash, location, pair): (HashOf<PyHeap>, Location, Owned)| {
            let (removed, retired) = map.remove_at(hash, location);
            (removed.map(|entry| entry.map(|entry| (entry, pair))), retired)
        };
        // The entry is dropped here, after the edit.
        let Some((_entry, pair)) = change(object, find, edit)?.flatten() else {
            return Err(ErrorSet);
        };
        Ok(pair.into_ptr())
    })
}

unsafe extern "C" fn setdefault(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments.
    catch_panic(|| unsafe {
        if !(1..=2).contains(&count) {
            return Err(raise_arguments(c"setdefault", 1, 2, count));
        }
        check_open(object)?;
        let key = Owned::from_borrowed(*arguments);
        let default = if count == 2 { *arguments.add(1) } else { ffi::Py_None() };
        let default = Owned::from_borrowed(default);
        let hash = key::hash(key.as_ptr())?;
        let mut there = None;
        let find = |map: &Trie<PyHeap>, watch: &Watch| {
            let location = map.locate(hash, Watched(Key(&key), watch))?;
            there = map.entry_at(hash, location).map(|entry| entry.value.clone());
            Ok(there.is_none().then_some(location))
        };
        let edit = |map: &mut Trie<PyHeap>, location| {
            map.insert_at(hash, location, key.clone(), default.clone())
        };
        change(object, find, edit)?;
        Ok(there.unwrap_or(default).into_ptr())
    })
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
        check_open(object)?;
        let addition = Addition::of_arguments(arguments, count, keywords)?;
        let find = |map: &Trie<PyHeap>, watch: &Watch| {
            let new = addition.to(map, &mut WatchedKeys(ByEquality::default(), watch))?;
            Ok((!new.ptr_eq(map)).then_some(new))
        };
        // The old map goes out of here before it is dropped.
        let edit = |map: &mut _, new| (Ok(mem::replace(map, new)), Retired::none());
        drop(change(object, find, edit)?);
        Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr())
    })
}

unsafe extern "C" fn clear_all(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        let find = |map: &Trie<PyHeap>, _: &Watch| Ok((!map.is_empty()).then_some(()));
        // The old map goes out of here before it is dropped.
        let edit = |map: &mut _, ()| (Ok(mem::take(map)), Retired::none());
        drop(change(object, find, edit)?);
        Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr())
    })
}

unsafe extern "C" fn finish(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        let map = with(object, |this| {
            this.finished = true;
            this.map.clone()
        });
        Ok(py_heap::into_object(map).into_ptr())
    })
}

unsafe extern "C" fn enter(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        check_open(object)?;
        Ok(Owned::from_borrowed(object).into_ptr())
    })
}

unsafe extern "C" fn exit(
    object: RawObject,
    _: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        if count != 3 {
            return Err(raise_arguments(c"__exit__", 3, 3, count));
        }
        with(object, |this| this.finished = true);
        Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr())
    })
}

/// A live view of the mutation, as `collections.abc` has it for any mapping.
fn view(object: RawObject, class: &'static LazyImport) -> RawObject {
    // SAFETY: the object is alive.
    catch_panic(|| unsafe {
        Owned::new(ffi::PyObject_CallOneArg(class.get()?, object)).map(Owned::into_ptr)
    })
}

unsafe extern "C" fn keys(object: RawObject, _: RawObject) -> RawObject {
    view(object, &lazy_import::KEYS_VIEW)
}

unsafe extern "C" fn values(object: RawObject, _: RawObject) -> RawObject {
    view(object, &lazy_import::VALUES_VIEW)
}

unsafe extern "C" fn items(object: RawObject, _: RawObject) -> RawObject {
    view(object, &lazy_import::ITEMS_VIEW)
}

unsafe extern "C" fn repr(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the formats match the arguments.
    catch_panic(|| unsafe {
        match ffi::Py_ReprEnter(object) {
            0 => {}
            ..0 => return Err(ErrorSet),
            _ => return Ok(ffi::PyUnicode_FromString(c"ctxvars.MapMutation({...})".as_ptr())),
        }
        let shown = crate::python::map::repr::shown(py_heap::into_object(now(object)).as_ptr());
        ffi::Py_ReprLeave(object);
        let shown = shown?;
        let text = ffi::calling!(PyUnicode_FromFormat(
            c"ctxvars.MapMutation({%U})".as_ptr(),
            shown.as_ptr()
        ));
        Owned::new(text).map(Owned::into_ptr)
    })
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a tracked, and so complete, instance.
    unsafe {
        let root = (*object.cast::<MapMutation>()).map.root().map(py_heap::object_of_ref);
        gc::traverse(object, &[root], visit, arg)
    }
}

/// Breaks the cycles through a mutation, which unlike a map can come to hold itself.
unsafe extern "C" fn clear(object: RawObject) -> c_int {
    // SAFETY: CPython calls this for a complete instance; the map is dropped after it is taken.
    unsafe {
        let map = with(object, |this| {
            this.edits += 1;
            mem::take(&mut this.map)
        });
        drop(map);
    }
    0
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        gc::clear_weak_references(object, (*object.cast::<MapMutation>()).weak_references);
        crate::python::interpreter::memory::trashcan::bounded(object, || {
            ptr::drop_in_place(&raw mut (*object.cast::<MapMutation>()).map);
            gc::free(object);
        });
    }
}

fn methods() -> Vec<ffi::PyMethodDef> {
    let fast = |call| ffi::PyMethodDefPointer { PyCFunctionFast: call };
    let plain = |call| ffi::PyMethodDefPointer { PyCFunction: call };
    let (no_arguments, one) = (ffi::METH_NOARGS, ffi::METH_O);
    vec![
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
            c"set($self, key, value, /)\n--\n\nThe same as mutation[key] = value. O(log n).",
        ),
        type_object::method(
            c"discard",
            plain(discard),
            one,
            c"discard($self, key, /)\n--\n\nRemove a key if it is there. O(log n).",
        ),
        type_object::method(
            c"pop",
            fast(pop),
            ffi::METH_FASTCALL,
            c"pop($self, key, default=<unrepresentable>, /)\n--\n\n\
            Remove a key and return its value.\n\n\
            If it is not there, return the default, if one is given, else raise KeyError. O(log n).",
        ),
        type_object::method(
            c"popitem",
            plain(popitem),
            no_arguments,
            c"popitem($self, /)\n--\n\n\
            Remove and return some pair of key and value. Raise KeyError if there is none. O(log n).",
        ),
        type_object::method(
            c"setdefault",
            fast(setdefault),
            ffi::METH_FASTCALL,
            c"setdefault($self, key, default=None, /)\n--\n\n\
            Return the value of a key, which gets the default if it has none. O(log n).",
        ),
        type_object::method(
            c"update",
            ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: update },
            ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            c"update($self, /, *collections, **kwargs)\n--\n\n\
            Take over the entries of others.\n\n\
            The collections are mappings or iterables of pairs; later values win. All of it is\n\
            done or, if something raises, nothing. O(k log n) for k entries.",
        ),
        type_object::method(
            c"clear",
            plain(clear_all),
            no_arguments,
            c"clear($self, /)\n--\n\nRemove all keys.",
        ),
        type_object::method(
            c"keys",
            plain(keys),
            no_arguments,
            c"keys($self, /)\n--\n\nReturn a set-like view of the keys.",
        ),
        type_object::method(
            c"values",
            plain(values),
            no_arguments,
            c"values($self, /)\n--\n\nReturn a view of the values.",
        ),
        type_object::method(
            c"items",
            plain(items),
            no_arguments,
            c"items($self, /)\n--\n\nReturn a set-like view of the items.",
        ),
        type_object::method(
            c"finish",
            plain(finish),
            no_arguments,
            c"finish($self, /)\n--\n\n\
            Return the Map that the mutation has become.\n\n\
            After that it can be read, and finished again, but changing it raises ValueError. O(1).",
        ),
        type_object::method(
            c"__enter__",
            plain(enter),
            no_arguments,
            c"__enter__($self, /)\n--\n\nReturn the mutation.",
        ),
        type_object::method(
            c"__exit__",
            fast(exit),
            ffi::METH_FASTCALL,
            c"__exit__($self, type, value, traceback, /)\n--\n\nFinish the mutation.",
        ),
        type_object::not_to_be_pickled(),
        type_object::class_getitem(),
        ffi::PyMethodDef::zeroed(),
    ]
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    let members = type_object::weak_references_at(offset_of!(MapMutation, weak_references));
    let doc = c"Changes to a Map that become one new Map, made by Map.mutate().\n\n\
        It is a mutable mapping. As a context manager it is finished when the block is left.\n\
        Other maps never see its changes; iterating over it while it changes raises RuntimeError.";
    // SAFETY: each slot has the function that its number stands for.
    unsafe {
        types::MAP_MUTATION.make(
            c"ctxvars.MapMutation",
            size_of::<MapMutation>(),
            0,
            ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION | ffi::Py_TPFLAGS_MAPPING,
            &[
                (ffi::Py_tp_dealloc, dealloc as *mut c_void),
                (ffi::Py_tp_traverse, traverse as *mut c_void),
                (ffi::Py_tp_clear, clear as *mut c_void),
                (ffi::Py_tp_hash, ffi::slot::PyObject_HashNotImplemented as *mut c_void),
                (ffi::Py_tp_repr, repr as *mut c_void),
                (ffi::Py_tp_richcompare, compare as *mut c_void),
                (ffi::Py_tp_iter, iter as *mut c_void),
                (ffi::Py_mp_length, len as *mut c_void),
                (ffi::Py_mp_subscript, subscript as *mut c_void),
                (ffi::Py_mp_ass_subscript, assign as *mut c_void),
                (ffi::Py_sq_contains, contains as *mut c_void),
                (ffi::Py_tp_methods, type_object::leaked(methods())),
                (ffi::Py_tp_members, members),
                (ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
            ],
        )
    }
}
