//! `diff`, `apply` and `merge`.

#![allow(unsafe_code)] // The functions in the slots and the method table of `Map`.

use super::{entries, py_heap};
use crate::map::{Conflict, EntryOf, Trie};
use crate::python::context::token;
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, RecursionGuard, catch_panic, ffi, keyword_argument, lazy_import,
    name, raise, raise_arguments, raise_value, type_object,
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
    unresolved: Owned,
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

    /// Raises `MergeConflict` if any conflict is unresolved.
    pub(crate) fn check(&self) -> Result<(), ErrorSet> {
        // SAFETY: the list is alive, and so is the exception when it is raised.
        unsafe {
            let unresolved = self.unresolved.as_ptr();
            if ffi::PyList_Size(unresolved) == 0 {
                return Ok(());
            }
            let make = lazy_import::MERGE_CONFLICT_OF.get()?;
            let error = Owned::new(ffi::PyObject_CallOneArg(make, unresolved))?;
            Err(raise_value(ffi::Py_TYPE(error.as_ptr()).cast(), error.as_ptr()))
        }
    }
}

/// `base.merge(ours, theirs, *, resolve=None)`
unsafe extern "C" fn merge(
    object: RawObject,
    arguments: *const RawObject,
    count: ffi::Py_ssize_t,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments and the values of
    // the keywords behind them. All of them are alive during the call.
    catch_panic(|| unsafe {
        if count != 2 {
            return Err(raise_arguments(c"merge", 2, 2, count));
        }
        let resolve = keyword_argument(c"merge", c"resolve", arguments, count, keywords)?
            .unwrap_or(ffi::Py_None());
        if ffi::Py_IsNone(resolve) == 0 && ffi::PyCallable_Check(resolve) == 0 {
            let message = c"merge() argument 'resolve' must be callable, got %R";
            return Err(raise(ffi::PyExc_TypeError, message, resolve));
        }
        let ours =
            entries::mapping(*arguments, c"merge() argument 'ours' must be a mapping, got %R")?;
        let theirs = entries::mapping(
            *arguments.add(1),
            c"merge() argument 'theirs' must be a mapping, got %R",
        )?;
        let conflicts = Conflicts::new(resolve)?;
        let mut compare = ByEquality::within(RecursionGuard::walking(c" while merging maps")?);
        let merged = py_heap::borrow(object)
            .merge(&ours, &theirs, &mut compare, |conflict| conflicts.resolve(conflict))?;
        let merged = py_heap::into_object(merged);
        conflicts.check()?;
        Ok(merged.into_ptr())
    })
}

pub(crate) fn methods() -> Vec<ffi::PyMethodDef> {
    let plain = |call| ffi::PyMethodDefPointer { PyCFunction: call };
    vec![
        type_object::method(
            c"merge",
            ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: merge },
            ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            c"merge($self, ours, theirs, /, *, resolve=None)\n--\n\n\
            Return this map with the changes that lead to two others.\n\n\
            Both are mappings made from this map, or from one like it. A key that both have changed\n\
            in different ways is a conflict. For each, resolve(key, base, ours, theirs) is called,\n\
            where MISSING stands for a value that is not there. It returns the value to keep, or\n\
            MISSING to leave the key out. Without it, raise MergeConflict, which lists all conflicts.\n\n\
            Values are compared by identity, then by ==. O(changes x log n) between maps that share\n\
            nodes.\n\n\
            >>> from ctxvars import Map\n\
            >>> base = Map(a=1, b=2)\n\
            >>> base.merge(base.set('a', 10), base.delete('b'))\n\
            ctxvars.Map({'a': 10})\n\
            >>> ours, theirs = base.set('a', 10), base.set('a', 20)\n\
            >>> base.merge(ours, theirs, resolve=lambda key, *values: max(values)) == theirs\n\
            True",
        ),
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
