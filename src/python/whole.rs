//! What is done to whole maps: combining, comparing, filtering and hashing them.

#![allow(unsafe_code)] // The functions in the slots and the method table of `Map`.

use super::class;
use super::collect::{self, Entries};
use super::ffi;
use super::heap::{self, PyHeap};
use super::imported;
use super::key::ByEquality;
use super::map;
use super::mutation;
use super::object::{
    Nested, Object, Owned, Raised, guarded, is_true, keyword_argument, name, raise,
    raise_arguments, raise_value,
};
use super::token;
use super::view;
use crate::map::{Compare, Conflict, EntryOf, Trie};
use std::ptr;
use std::sync::atomic::Ordering;

/// A pair of values, of which the collector need not know unless one of them is tracked.
fn pair(a: &Owned, b: &Owned) -> Result<Owned, Raised> {
    // SAFETY: both are alive.
    unsafe { Owned::new(ffi::calling!(PyTuple_Pack(2, a.as_ptr(), b.as_ptr()))) }
}

/// `map | other` and `other | map`, where the other is any mapping.
pub(super) unsafe extern "C" fn or(left: Object, right: Object) -> Object {
    // SAFETY: CPython calls this if either is a `Map`; both are alive.
    guarded(|| unsafe {
        if !collect::is_mapping(left)? || !collect::is_mapping(right)? {
            return Ok(Owned::from_borrowed(ffi::Py_NotImplemented()).into_ptr());
        }
        let message = c"expected a mapping, got %R";
        let (left, right) = (collect::mapping(left, message)?, collect::mapping(right, message)?);
        Ok(heap::into_object(left.union(&right, &mut ByEquality::default())?).into_ptr())
    })
}

/// What `update` is to add to a map.
pub(super) enum Addition {
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
    pub(super) unsafe fn of_arguments(
        arguments: *const Object,
        count: ffi::Py_ssize_t,
        keywords: Object,
    ) -> Result<Self, Raised> {
        // SAFETY: as the caller promises.
        unsafe {
            let named = if keywords.is_null() { 0 } else { ffi::PyTuple_Size(keywords) };
            if count == 1 && named == 0 && map::CLASS.is_class_of(*arguments) {
                return Ok(Self::Map(heap::share(*arguments)));
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
    pub(super) fn to(
        &self,
        map: &Trie<PyHeap>,
        compare: &mut impl Compare<PyHeap>,
    ) -> Result<Trie<PyHeap>, Raised> {
        match self {
            Self::Map(added) => map.union(added, compare),
            Self::Entries(entries) => entries.added_to(map, compare),
        }
    }
}

unsafe extern "C" fn update(
    object: Object,
    arguments: *const Object,
    count: ffi::Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments and the values
    // of the keywords behind them.
    guarded(|| unsafe {
        let addition = Addition::of_arguments(arguments, count, keywords)?;
        Ok(heap::into_object(addition.to(&heap::borrow(object), &mut ByEquality::default())?)
            .into_ptr())
    })
}

unsafe extern "C" fn intersection(object: Object, keys: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; both are alive.
    unsafe { select(object, keys, true) }
}

unsafe extern "C" fn difference(object: Object, keys: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; both are alive.
    unsafe { select(object, keys, false) }
}

/// The map with the entries whose keys are among these or, unless `among`, are not.
///
/// # Safety
///
/// `object` is a `Map`, and both are kept alive by the caller.
unsafe fn select(object: Object, keys: Object, among: bool) -> Object {
    // SAFETY: the caller keeps both alive, and so the entries of the map.
    guarded(|| unsafe {
        let map = heap::borrow(object);
        let selected = if can_find_more_than(keys, map.len())? {
            let _nested = Nested::walking(c" while selecting from a Map")?;
            map.filter(|entry| match ffi::PySequence_Contains(keys, entry.key.as_ptr()) {
                ..0 => Err(Raised),
                found => Ok((found != 0) == among),
            })?
        } else if among {
            map.intersection(&keys_of(keys)?, &mut ByEquality::default())?
        } else {
            map.difference(&keys_of(keys)?, &mut ByEquality::default())?
        };
        Ok(heap::into_object(selected).into_ptr())
    })
}

/// Whether `keys` are more than this, and one of them is found without a walk over all of them.
/// Subclasses may have methods that do not agree with one another.
///
/// # Safety
///
/// `keys` is alive.
unsafe fn can_find_more_than(keys: Object, len: usize) -> Result<bool, Raised> {
    // SAFETY: the caller keeps the object alive.
    unsafe {
        let finds = ffi::PyAnySet_CheckExact(keys) != 0
            || ffi::PyDict_CheckExact(keys) != 0
            || ffi::PyDictKeys_Check(keys) != 0;
        match if finds { ffi::PyObject_Size(keys) } else { 0 } {
            ..0 => Err(Raised),
            size => Ok(size as usize > len),
        }
    }
}

/// A map with these keys: the very map that they come from, if there is one.
///
/// # Safety
///
/// `keys` is alive.
unsafe fn keys_of(keys: Object) -> Result<Trie<PyHeap>, Raised> {
    // SAFETY: the caller keeps the object alive.
    unsafe {
        if map::CLASS.is_class_of(keys) {
            return Ok(heap::share(keys));
        }
        if view::KEYS.is_class_of(keys) {
            return Ok(heap::share(view::map_of(keys)));
        }
        if mutation::CLASS.is_class_of(keys) {
            return Ok(mutation::now(keys));
        }
        collect::keys(keys, ffi::Py_None())
    }
}

unsafe extern "C" fn filter(object: Object, predicate: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; both are alive.
    guarded(|| unsafe {
        let _nested = Nested::walking(c" while filtering a Map")?;
        let map = heap::borrow(object).map_entries(|entry| {
            let arguments = [entry.key.as_ptr(), entry.value.as_ptr()];
            let answer =
                ffi::PyObject_Vectorcall(predicate, arguments.as_ptr(), 2, ptr::null_mut());
            let keep = is_true(Owned::new(answer)?.as_ptr())?;
            Ok(keep.then(|| entry.value.clone()))
        })?;
        Ok(heap::into_object(map).into_ptr())
    })
}

unsafe extern "C" fn map_values(object: Object, function: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; both are alive.
    guarded(|| unsafe {
        let _nested = Nested::walking(c" while mapping the values of a Map")?;
        let map = heap::borrow(object).map_entries(|entry| {
            Owned::new(ffi::PyObject_CallOneArg(function, entry.value.as_ptr())).map(Some)
        })?;
        Ok(heap::into_object(map).into_ptr())
    })
}

/// The `MapDiff` between two maps.
pub(super) fn diff_of(old: &Trie<PyHeap>, new: &Trie<PyHeap>) -> Result<Object, Raised> {
    let diff = old.diff(new, &mut ByEquality::default(), pair)?;
    let parts = [diff.added, diff.removed, diff.changed].map(heap::into_object);
    let arguments = parts.each_ref().map(Owned::as_ptr);
    // SAFETY: all arguments are alive.
    unsafe {
        let class = imported::MAP_DIFF.get()?;
        let diff = ffi::PyObject_Vectorcall(class, arguments.as_ptr(), 3, ptr::null_mut());
        Owned::new(diff).map(Owned::into_ptr)
    }
}

unsafe extern "C" fn diff(object: Object, other: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; both are alive.
    guarded(|| unsafe {
        let message = c"diff() argument 'other' must be a mapping, got %R";
        diff_of(&heap::borrow(object), &collect::mapping(other, message)?)
    })
}

/// The attribute of a `MapDiff`, which is a `Map`.
///
/// # Safety
///
/// Both are alive, and the name is a `str`.
unsafe fn part(diff: Object, name: Object) -> Result<Trie<PyHeap>, Raised> {
    // SAFETY: as the caller promises; the class is checked.
    unsafe {
        let part = Owned::new(ffi::PyObject_GetAttr(diff, name))?;
        collect::mapping(part.as_ptr(), c"apply() argument 'diff' must consist of maps, got %R")
    }
}

unsafe extern "C" fn apply(object: Object, diff: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; both are alive.
    guarded(|| unsafe {
        match ffi::PyObject_IsInstance(diff, imported::MAP_DIFF.get()?) {
            ..0 => return Err(Raised),
            0 => {
                let message = c"apply() argument 'diff' must be a MapDiff, got %R";
                return Err(raise(ffi::PyExc_TypeError, message, diff));
            }
            _ => {}
        }
        let mut compare = ByEquality::within(Nested::walking(c" while applying a MapDiff")?);
        let new_value = |entry: &EntryOf<PyHeap>| {
            Owned::new(ffi::PySequence_GetItem(entry.value.as_ptr(), 1)).map(Some)
        };
        let changed = part(diff, name!("changed"))?.map_entries(new_value)?;
        let map = heap::borrow(object)
            .difference(&part(diff, name!("removed"))?, &mut compare)?
            .union(&part(diff, name!("added"))?, &mut compare)?
            .union(&changed, &mut compare)?;
        Ok(heap::into_object(map).into_ptr())
    })
}

/// What becomes of the conflicts of a merge.
pub(super) struct Conflicts {
    /// `resolve(key, base, ours, theirs)`, or `None`.
    resolve: Object,
    missing: Object,
    /// A list of those that there was no `resolve` for.
    unresolved: Owned,
}

impl Conflicts {
    /// # Safety
    ///
    /// `resolve` outlives the result.
    pub(super) unsafe fn new(resolve: Object) -> Result<Self, Raised> {
        // SAFETY: the lock is held.
        let unresolved = unsafe { Owned::new(ffi::PyList_New(0))? };
        Ok(Self { resolve, missing: token::missing(), unresolved })
    }

    /// Whether there is somebody to decide.
    pub(super) fn has_resolver(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { ffi::Py_IsNone(self.resolve) == 0 }
    }

    /// The value to keep, `None` if there is to be none.
    pub(super) fn resolve(&self, entries: Conflict<'_, PyHeap>) -> Result<Option<Owned>, Raised> {
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
                    return Err(Raised);
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
    pub(super) fn check(&self) -> Result<(), Raised> {
        // SAFETY: the list is alive, and so is the exception when it is raised.
        unsafe {
            let unresolved = self.unresolved.as_ptr();
            if ffi::PyList_Size(unresolved) == 0 {
                return Ok(());
            }
            let make = imported::MERGE_CONFLICT_OF.get()?;
            let error = Owned::new(ffi::PyObject_CallOneArg(make, unresolved))?;
            Err(raise_value(ffi::Py_TYPE(error.as_ptr()).cast(), error.as_ptr()))
        }
    }
}

/// `base.merge(ours, theirs, *, resolve=None)`
unsafe extern "C" fn merge(
    object: Object,
    arguments: *const Object,
    count: ffi::Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments and the values of
    // the keywords behind them. All of them are alive during the call.
    guarded(|| unsafe {
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
            collect::mapping(*arguments, c"merge() argument 'ours' must be a mapping, got %R")?;
        let theirs = collect::mapping(
            *arguments.add(1),
            c"merge() argument 'theirs' must be a mapping, got %R",
        )?;
        let conflicts = Conflicts::new(resolve)?;
        let mut compare = ByEquality::within(Nested::walking(c" while merging maps")?);
        let merged = heap::borrow(object)
            .merge(&ours, &theirs, &mut compare, |conflict| conflicts.resolve(conflict))?;
        let merged = heap::into_object(merged);
        conflicts.check()?;
        Ok(merged.into_ptr())
    })
}

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
fn hash_of_entry(entry: &EntryOf<PyHeap>) -> Result<u64, Raised> {
    // SAFETY: the map keeps the entry alive.
    unsafe {
        let key = ffi::PyObject_Hash(entry.key.as_ptr());
        if key == -1 {
            return Err(Raised);
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
        Err(Raised)
    }
}

/// `hash(map)`, which is that of `frozenset(map.items())`, as for `frozendict` (PEP 814).
pub(super) unsafe extern "C" fn hash(object: Object) -> ffi::Py_hash_t {
    // SAFETY: CPython checks the class of `object`.
    guarded(|| unsafe {
        let known = heap::tag(object).hash.load(Ordering::Relaxed);
        if known != -1 {
            return Ok(known);
        }
        let _nested = Nested::uncounted(c" while hashing a Map")?;
        let sum = heap::borrow(object).digest(hash_of_entry)?;
        let hash = finished(sum, heap::len(object));
        heap::tag(object).hash.store(hash, Ordering::Relaxed);
        Ok(hash)
    })
}

pub(super) fn methods() -> Vec<ffi::PyMethodDef> {
    let plain = |call| ffi::PyMethodDefPointer { PyCFunction: call };
    vec![
        class::method(
            c"update",
            ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: update },
            ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            c"update($self, /, *collections, **kwargs)\n--\n\n\
            Return the map with the entries of others.\n\n\
            The collections are mappings or iterables of pairs; later values win. It is this very\n\
            map if nothing changes. O(k log n) for k entries; with another Map that shares nodes,\n\
            O(changes x log n).",
        ),
        class::method(
            c"intersection",
            plain(intersection),
            ffi::METH_O,
            c"intersection($self, keys, /)\n--\n\n\
            Return the map with those of its keys that are among these.\n\n\
            The keys are any iterable; with another Map that shares nodes, O(changes x log n).\n\
            Of a larger set or dict, only the keys of this map are looked up.",
        ),
        class::method(
            c"difference",
            plain(difference),
            ffi::METH_O,
            c"difference($self, keys, /)\n--\n\n\
            Return the map without these keys.\n\n\
            The keys are any iterable; with another Map that shares nodes, O(changes x log n).\n\
            Of a larger set or dict, only the keys of this map are looked up.",
        ),
        class::method(
            c"filter",
            plain(filter),
            ffi::METH_O,
            c"filter($self, predicate, /)\n--\n\n\
            Return the map with the entries for which predicate(key, value) is true.\n\n\
            O(n); what stays as it is is shared with this map.",
        ),
        class::method(
            c"map_values",
            plain(map_values),
            ffi::METH_O,
            c"map_values($self, function, /)\n--\n\n\
            Return the map with function(value) in place of each value.\n\n\
            O(n); what stays as it is is shared with this map.",
        ),
        class::method(
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
        class::method(
            c"diff",
            plain(diff),
            ffi::METH_O,
            c"diff($self, other, /)\n--\n\n\
            Return the MapDiff that leads from this map to another mapping.\n\n\
            Values are compared by identity, then by ==. O(changes x log n) if the other is a Map\n\
            that shares nodes with this one.",
        ),
        class::method(
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
