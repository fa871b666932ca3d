//! `diff`, `apply` and `merge`.

#![allow(unsafe_code)] // The functions in the slots and the method table of `Map`.

use super::{entries, py_heap};
use crate::map::{Conflict, EntryOf, Trie};
use crate::python::context::token;
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, RecursionGuard, catch_panic, ffi, lazy_import, name, raise,
    raise_arguments, type_object,
};
use crate::python::map::key::ByEquality;
use crate::python::map::py_heap::PyHeap;
use std::ptr;

/// A pair of values, of which the collector need not know unless one of them is tracked.
fn pair(a: &Owned, b: &Owned) -> Result<Owned, ErrorSet> {
    // SAFETY: both are alive.
    unsafe { Owned::new(ffi::calling!(PyTuple_Pack(2, a.as_ptr(), b.as_ptr()))) }
}

/// The `MapDiff` between two maps.
pub(crate) fn diff_of(old: &Trie<PyHeap>, new: &Trie<PyHeap>) -> Result<RawObject, ErrorSet> {
    let diff = old.diff(new, &mut ByEquality::default(), pair)?;
    let parts = [diff.added, diff.removed, diff.changed].map(py_heap::into_object);
    let arguments = parts.each_ref().map(Owned::as_ptr);
    // SAFETY: all arguments are alive.
    unsafe {
        let class = lazy_import::MAP_DIFF.get()?;
        let diff = ffi::PyObject_Vectorcall(class, arguments.as_ptr(), 3, ptr::null_mut());
        Owned::new(diff).map(Owned::into_ptr)
    }
}

unsafe extern "C" fn diff(object: RawObject, other: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        let message = c"diff() argument 'other' must be a mapping, got %R";
        diff_of(&py_heap::borrow(object), &entries::mapping(other, message)?)
    })
}

/// The attribute of a `MapDiff`, which is a `Map`.
///
/// # Safety
///
/// Both are alive, and the name is a `str`.
unsafe fn part(diff: RawObject, name: RawObject) -> Result<Trie<PyHeap>, ErrorSet> {
    // SAFETY: as the caller promises; the class is checked.
    unsafe {
        let part = Owned::new(ffi::PyObject_GetAttr(diff, name))?;
        entries::mapping(part.as_ptr(), c"apply() argument 'diff' must consist of maps, got %R")
    }
}

unsafe extern "C" fn apply(object: RawObject, diff: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        match ffi::PyObject_IsInstance(diff, lazy_import::MAP_DIFF.get()?) {
            ..0 => return Err(ErrorSet),
            0 => {
                let message = c"apply() argument 'diff' must be a MapDiff, got %R";
                return Err(raise(ffi::PyExc_TypeError, message, diff));
            }
            _ => {}
        }
        let mut compare =
            ByEquality::within(RecursionGuard::walking(c" while applying a MapDiff")?);
        let new_value = |entry: &EntryOf<PyHeap>| {
            Owned::new(ffi::PySequence_GetItem(entry.value.as_ptr(), 1)).map(Some)
        };
        let changed = part(diff, name!("changed"))?.map_entries(new_value)?;
        let map = py_heap::borrow(object)
            .difference(&part(diff, name!("removed"))?, &mut compare)?
            .updated(&part(diff, name!("added"))?, &mut compare)?
            .updated(&changed, &mut compare)?;
        Ok(py_heap::into_object(map).into_ptr())
    })
}

/// What becomes of the conflicts of a merge.
pub(crate) struct Conflicts {
    /// `resolve(key, base, ours, theirs)`, or `None`.
    resolve: RawObject,
    missing: RawObject,
    /// A list of those that there was no `resolve` for.
    pub(crate) unresolved: Owned,
}

impl Conflicts {
    /// # Safety
    ///
    /// `resolve` outlives the result.
    pub(crate) unsafe fn new(resolve: RawObject) -> Result<Self, ErrorSet> {
        // SAFETY: the lock is held.
        let unresolved = unsafe { Owned::new(ffi::PyList_New(0))? };
        Ok(Self { resolve, missing: token::missing(), unresolved })
    }

    /// Whether there is somebody to decide.
    pub(crate) fn has_resolver(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { ffi::Py_IsNone(self.resolve) == 0 }
    }

    /// The value to keep, `None` if there is to be none.
    pub(crate) fn resolve(&self, entries: Conflict<'_, PyHeap>) -> Result<Option<Owned>, ErrorSet> {
        let Some(entry) = entries.iter().flatten().next() else { return Ok(None) };
        let value = |entry: Option<&EntryOf<PyHeap>>| entry.map(|entry| entry.value.as_ptr());
        let [base, ours, theirs] = entries.map(|entry| value(entry).unwrap_or(self.missing));
        let arguments = [entry.key.as_ptr(), base, ours, theirs];
        // SAFETY: the maps keep all of these alive.
        unsafe {
            if !self.has_resolver() {
                let [key, ..] = arguments;
                let conflict = Owned::new(ffi::calling!(PyTuple_Pack(4, key, base, ours, theirs)))?;
                if ffi::PyList_Append(self.unresolved.as_ptr(), conflict.as_ptr()) < 0 {
                    return Err(ErrorSet);
                }
                return Ok(None);
            }
            let no_names = ptr::null_mut();
            let value = ffi::PyObject_Vectorcall(self.resolve, arguments.as_ptr(), 4, no_names);
            let value = Owned::new(value)?;
            Ok((!ptr::eq(value.as_ptr(), self.missing)).then_some(value))
        }
    }
}

/// `merge(base, ours, theirs, resolve)`: the merged map, and a list of the conflicts, which are
/// left out of it, if `resolve` is `None`.
unsafe extern "C" fn merge(
    _: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython passes `count` arguments, which are alive.
    catch_panic(|| unsafe {
        if count != 4 {
            return Err(raise_arguments(c"merge", 4, 4, count));
        }
        let base =
            entries::mapping(*arguments, c"merge() argument 'base' must be a mapping, got %R")?;
        let ours = entries::mapping(
            *arguments.add(1),
            c"merge() argument 'ours' must be a mapping, got %R",
        )?;
        let theirs = entries::mapping(
            *arguments.add(2),
            c"merge() argument 'theirs' must be a mapping, got %R",
        )?;
        let conflicts = Conflicts::new(*arguments.add(3))?;
        let mut compare = ByEquality::within(RecursionGuard::walking(c" while merging maps")?);
        let merged =
            base.merge(&ours, &theirs, &mut compare, |conflict| conflicts.resolve(conflict))?;
        pair(&py_heap::into_object(merged), &conflicts.unresolved).map(Owned::into_ptr)
    })
}

/// The function `merge`, which `ctxvars.merge` wraps.
pub(crate) fn merge_function(module: RawObject) -> Result<Owned, ErrorSet> {
    let call = ffi::PyMethodDefPointer { PyCFunctionFast: merge };
    let doc = c"merge($module, base, ours, theirs, resolve, /)\n--\n\n\
        Return the merged map and a list of the conflicts.";
    type_object::function(module, type_object::method(c"merge", call, ffi::METH_FASTCALL, doc))
}

pub(crate) fn methods() -> Vec<ffi::PyMethodDef> {
    let plain = |call| ffi::PyMethodDefPointer { PyCFunction: call };
    vec![
        type_object::method(
            c"diff",
            plain(diff),
            ffi::METH_O,
            c"diff($self, other, /)\n--\n\n\
            Return the MapDiff that leads from this map to another mapping.\n\n\
            Values are eq_or_ne by identity, then by ==. O(changes x log n) if the other is a Map\n\
            that shares nodes with this one.",
        ),
        type_object::method(
            c"apply",
            plain(apply),
            ffi::METH_O,
            c"apply($self, diff, /)\n--\n\n\
            Return the map with the changes of a MapDiff: a.apply(a.diff(b)) == b.\n\n\
            What the diff adds or changes is set, what it removes is discarded, whatever this map\n\
            has there. O(changes x log n).",
        ),
    ]
}
