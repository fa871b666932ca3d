//! `MapMutation`: many changes in place, one new map.
//!
//! A mutation has a trie, whose nodes are edited in place as soon as no map or iterator shares
//! them. `watched_edit.rs` says how an edit copes with user code that edits the same mutation
//! meanwhile.

mod watched_edit;

use super::bulk::Addition;
use super::entries;
use super::equality;
use super::iterator;
use super::key::{self, ByEquality, Key};
use super::py_heap::{MapObject, PyHeap, object_of_ref};
use super::repr;
use crate::map::{EntryOf, HashOf, Location, Retired, Trie};
use crate::python::interpreter::free_threading::with_object_lock;
use crate::python::interpreter::lazy_import::{self, LazyImport};
use crate::python::interpreter::{
    Arguments, ErrorSet, Exception, HasFields, Instance, Method, Owned, RawObject, Slot, TypeSpec,
    TypedObject as _, check_count, create, exactly, ffi, get_or_default, raise, raise_key_error,
    raise_message, repr_of_container, type_object, typed_object, types,
};
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int};
use std::mem::{self, offset_of};
use std::ptr;
pub(crate) use watched_edit::WatchedKeys;
use watched_edit::{Watch, Watched, change};

typed_object! {
    /// A `MapMutation`.
    MutationObject: MAP_MUTATION
}

/// The fields of a mutation.
pub(crate) struct MapMutation {
    state: RefCell<State>,
    /// Whether the mutation belongs to a `SetMutation`, and errors are about that.
    is_of_set: bool,
    weak_references: Cell<RawObject>,
}

pub(crate) struct State {
    map: Trie<PyHeap>,
    /// Edits so far.
    edits: u64,
    finished: bool,
}

#[allow(unsafe_code)] // Implements the trait of types with fields.
// SAFETY: `of` makes all mutations, by `create`. The list of weak references starts as null, and no
// code of this module touches it.
unsafe impl HasFields for MutationObject {
    type Fields = MapMutation;

    const WEAK_REFERENCES: Option<usize> =
        Some(offset_of!(Instance<MapMutation>, fields) + offset_of!(MapMutation, weak_references));

    /// Without the GIL, a collection may fall into an edit of another thread. It does not visit the
    /// map then, so it takes the map for reachable, which is safe.
    fn references(fields: &MapMutation) -> [Option<RawObject>; 4] {
        let state = fields.state.try_borrow().ok();
        [state.and_then(|state| state.map.root().map(object_of_ref)), None, None, None]
    }
}

/// A mutation that starts with the entries of `map`. O(1).
pub(crate) fn of(map: Trie<PyHeap>, is_of_set: bool) -> Result<MutationObject, ErrorSet> {
    let fields = MapMutation {
        state: RefCell::new(State { map, edits: 0, finished: false }),
        is_of_set,
        weak_references: Cell::new(ptr::null_mut()),
    };
    create::<MutationObject>(&types::MAP_MUTATION, fields, true)
}

impl MutationObject {
    /// Calls `body` with the state, which no other thread uses meanwhile. `body` runs no user code:
    /// a second use of the state by the same thread panics.
    #[inline]
    fn with<R>(&self, body: impl FnOnce(&mut State) -> R) -> R {
        with_object_lock(self, || body(&mut self.fields().state.borrow_mut()))
    }

    /// The number of edits so far.
    #[inline]
    pub(crate) fn edits(&self) -> u64 {
        self.with(|state| state.edits)
    }

    /// The present entries, shared. O(1).
    #[inline]
    pub(crate) fn current_map(&self) -> Trie<PyHeap> {
        self.with(|state| state.map.clone())
    }

    /// Raises `RuntimeError`, because the mutation changed while an operation ran.
    pub(crate) fn raise_changed(&self, of_map: &'static CStr, of_set: &'static CStr) -> ErrorSet {
        let message = if self.fields().is_of_set { of_set } else { of_map };
        raise_message(Exception::RuntimeError, message)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.with(|state| state.finished)
    }

    fn current_object(&self) -> MapObject {
        MapObject::from_trie(self.current_map())
    }

    /// Raises `ValueError` if the mutation has been finished.
    fn check_open(&self) -> Result<(), ErrorSet> {
        if self.is_finished() {
            return Err(raise(Exception::ValueError, c"mutation %R has been finished", self));
        }
        Ok(())
    }
}

/// The value of `key`, if there is one.
fn value_of(mutation: &MutationObject, key: &Owned) -> Result<Option<Owned>, ErrorSet> {
    let hash = key::hash(key)?;
    let map = mutation.current_map();
    let found = map.get(hash, Key(key))?;
    Ok(found.map(|entry| entry.value.clone()))
}

/// Gives `key` a value, and returns its old one.
fn insert(
    mutation: &MutationObject,
    key: &Owned,
    value: &Owned,
) -> Result<Option<Owned>, ErrorSet> {
    mutation.check_open()?;
    insert_hashed(mutation, key::hash(key)?, key, value)
}

/// As [`insert`], for a key with this hash.
pub(crate) fn insert_hashed(
    mutation: &MutationObject,
    hash: HashOf<PyHeap>,
    key: &Owned,
    value: &Owned,
) -> Result<Option<Owned>, ErrorSet> {
    let find = |map: &Trie<PyHeap>, watch: &Watch<'_>| {
        let location = map.locate(hash, Watched(Key(key), watch))?;
        let entry = map.entry_at(hash, location);
        let is_unchanged = entry.is_some_and(|entry| entry.value.is(value));
        Ok((!is_unchanged).then_some(location))
    };
    let edit = |map: &mut Trie<PyHeap>, location| {
        map.insert_at(hash, location, key.clone(), value.clone())
    };
    Ok(change(mutation, find, edit)?.flatten())
}

/// Removes `key`, and returns its entry if it was there.
fn remove(mutation: &MutationObject, key: &Owned) -> Result<Option<EntryOf<PyHeap>>, ErrorSet> {
    mutation.check_open()?;
    remove_hashed(mutation, key::hash(key)?, key)
}

/// As [`remove`], for a key with this hash.
pub(crate) fn remove_hashed(
    mutation: &MutationObject,
    hash: HashOf<PyHeap>,
    key: &Owned,
) -> Result<Option<EntryOf<PyHeap>>, ErrorSet> {
    let find = |map: &Trie<PyHeap>, watch: &Watch<'_>| {
        let location = map.locate(hash, Watched(Key(key), watch))?;
        Ok(location.is_found().then_some(location))
    };
    let edit = |map: &mut Trie<PyHeap>, location: Location| map.remove_at(hash, location);
    Ok(change(mutation, find, edit)?.flatten())
}

fn subscript(mutation: &MutationObject, key: &Owned) -> Result<Owned, ErrorSet> {
    value_of(mutation, key)?.ok_or_else(|| raise_key_error(key))
}

/// `mutation[key] = value` and `del mutation[key]`. The old value is dropped after the edit.
fn assign(mutation: &MutationObject, key: &Owned, value: Option<&Owned>) -> Result<(), ErrorSet> {
    match value {
        Some(value) => insert(mutation, key, value).map(drop),
        None => remove(mutation, key)?.map(drop).ok_or_else(|| raise_key_error(key)),
    }
}

pub(crate) fn iter(mutation: &MutationObject) -> Result<Owned, ErrorSet> {
    let (map, edits) = mutation.with(|state| (state.map.clone(), state.edits));
    iterator::over_mutation(map, mutation.clone_reference(), edits)
}

fn compare(mutation: &MutationObject, other: &Owned, operator: c_int) -> Result<Owned, ErrorSet> {
    equality::compare(mutation, other, operator, || {
        let map = mutation.current_object();
        match MutationObject::of(other) {
            Some(other) => equality::are_equal(&map, &other.current_object()),
            None => equality::are_equal(&map, other),
        }
    })
}

fn get(mutation: &MutationObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    get_or_default(arguments, |key| value_of(mutation, key))
}

fn set(mutation: &MutationObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [key, value] = exactly(c"set", arguments)?;
    drop(insert(mutation, key, value)?);
    Ok(Owned::none())
}

fn discard(mutation: &MutationObject, key: &Owned) -> Result<Owned, ErrorSet> {
    drop(remove(mutation, key)?);
    Ok(Owned::none())
}

fn pop(mutation: &MutationObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    check_count(c"pop", arguments, 1, 2)?;
    match (remove(mutation, &arguments[0])?, arguments.get(1)) {
        (Some(entry), _) => Ok(entry.value),
        (None, Some(default)) => Ok(default.clone()),
        (None, None) => Err(raise_key_error(&arguments[0])),
    }
}

pub(crate) fn popitem(mutation: &MutationObject) -> Result<Owned, ErrorSet> {
    let find = |map: &Trie<PyHeap>, _: &Watch<'_>| {
        let Some((hash, entry)) = map.iter().next() else {
            return Err(raise_message(Exception::KeyError, c"popitem(): mutation is empty"));
        };
        // The entry is found by identity, which runs no user code.
        let location = map.locate(hash, |key: &Owned| Ok(key.is(&entry.key)))?;
        // Made before the entry is removed: without memory for the pair, the entry stays.
        let pair = Owned::tuple([&entry.key, &entry.value])?;
        Ok(Some((hash, location, pair)))
    };
    let edit = |map: &mut Trie<PyHeap>,
                (hash, location, pair): (HashOf<PyHeap>, Location, Owned)| {
        let (removed, retired) = map.remove_at(hash, location);
        (removed.map(|entry| entry.map(|entry| (entry, pair))), retired)
    };
    // The entry is dropped at the end of this function, after the edit.
    let Some((_entry, pair)) = change(mutation, find, edit)?.flatten() else {
        return Err(ErrorSet);
    };
    Ok(pair)
}

fn setdefault(mutation: &MutationObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    check_count(c"setdefault", arguments, 1, 2)?;
    mutation.check_open()?;
    let key = &arguments[0];
    let default = arguments.get(1).cloned().unwrap_or_else(Owned::none);
    let hash = key::hash(key)?;
    let mut there = None;
    let find = |map: &Trie<PyHeap>, watch: &Watch<'_>| {
        let location = map.locate(hash, Watched(Key(key), watch))?;
        there = map.entry_at(hash, location).map(|entry| entry.value.clone());
        Ok(there.is_none().then_some(location))
    };
    let edit = |map: &mut Trie<PyHeap>, location| {
        map.insert_at(hash, location, key.clone(), default.clone())
    };
    change(mutation, find, edit)?;
    Ok(there.unwrap_or(default))
}

fn update(mutation: &MutationObject, arguments: Arguments<'_>) -> Result<Owned, ErrorSet> {
    mutation.check_open()?;
    let addition = Addition::of_arguments(arguments)?;
    replace(mutation, |map, compare| addition.to(map, compare))
}

/// Another mutation, which starts with the present entries of `mutation`. O(1).
fn copy(mutation: &MutationObject) -> Result<Owned, ErrorSet> {
    of(mutation.current_map(), false).map(MutationObject::into_owned)
}

/// `mutation | other` and `other | mutation`, with any mapping as the other operand: a new mutation.
fn or(left: &Owned, right: &Owned) -> Result<Owned, ErrorSet> {
    if !entries::is_mapping(left)? || !entries::is_mapping(right)? {
        return Ok(Owned::not_implemented());
    }
    let message = c"expected a mapping, got %R";
    let (left, right) = (entries::mapping(left, message)?, entries::mapping(right, message)?);
    let joined = left.updated(&right, &mut ByEquality::default())?;
    of(joined, false).map(MutationObject::into_owned)
}

/// `mutation |= other`, with any mapping or iterable of pairs, as in `dict`.
fn in_place_or(left: &Owned, right: &Owned) -> Result<Owned, ErrorSet> {
    let Some(mutation) = MutationObject::of(left) else { return Ok(Owned::not_implemented()) };
    mutation.check_open()?;
    let addition = Addition::of_collection(right)?;
    replace(mutation, |map, compare| addition.to(map, compare))?;
    Ok(left.clone())
}

/// Replaces the map by the result of `new`, which is called again if the mutation has been edited
/// meanwhile.
pub(crate) fn replace(
    mutation: &MutationObject,
    new: impl Fn(&Trie<PyHeap>, &mut WatchedKeys<'_>) -> Result<Trie<PyHeap>, ErrorSet>,
) -> Result<Owned, ErrorSet> {
    let find = |map: &Trie<PyHeap>, watch: &Watch<'_>| {
        let new = new(map, &mut WatchedKeys(ByEquality::default(), watch))?;
        Ok((!new.ptr_eq(map)).then_some(new))
    };
    // The old map is dropped after the edit.
    let edit = |map: &mut _, new| (Ok(mem::replace(map, new)), Retired::none());
    drop(change(mutation, find, edit)?);
    Ok(Owned::none())
}

pub(crate) fn clear(mutation: &MutationObject) -> Result<Owned, ErrorSet> {
    let find = |map: &Trie<PyHeap>, _: &Watch<'_>| Ok((!map.is_empty()).then_some(()));
    // The old map is dropped after the edit.
    let edit = |map: &mut _, ()| (Ok(mem::take(map)), Retired::none());
    drop(change(mutation, find, edit)?);
    Ok(Owned::none())
}

/// Ends the changes, and returns the present entries.
pub(crate) fn finished(mutation: &MutationObject) -> Trie<PyHeap> {
    mutation.with(|state| {
        state.finished = true;
        state.map.clone()
    })
}

fn finish(mutation: &MutationObject) -> Result<Owned, ErrorSet> {
    Ok(MapObject::from_trie(finished(mutation)).into_owned())
}

fn enter(mutation: &MutationObject) -> Result<Owned, ErrorSet> {
    mutation.check_open()?;
    Ok((**mutation).clone())
}

fn exit(mutation: &MutationObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    check_count(c"__exit__", arguments, 3, 3)?;
    drop(finished(mutation));
    Ok(Owned::none())
}

/// A live view of the mutation, of the types that `collections.abc` has for any mapping.
fn view(mutation: &MutationObject, view_type: &'static LazyImport) -> Result<Owned, ErrorSet> {
    view_type.get()?.call_one(mutation)
}

fn repr(mutation: &MutationObject) -> Result<Owned, ErrorSet> {
    repr_of_container(mutation, c"ctxvars.MapMutation({...})", || {
        let entries = repr::entries(&mutation.current_object())?;
        Owned::format(c"ctxvars.MapMutation({%U})", &entries)
    })
}

/// Breaks the cycles through a mutation, which can come to hold itself.
fn break_cycles(mutation: &MutationObject) {
    let map = mutation.with(|state| {
        state.edits += 1;
        mem::take(&mut state.map)
    });
    drop(map);
}

fn methods() -> Vec<Method<MutationObject>> {
    vec![
        Method::fast(
            c"get",
            get,
            c"get($self, key, default=None, /)\n--\n\n\
            Return the value of a key, or the default if the mutation does not have the key.\n\
            O(log n).\n\n\
            >>> import ctxvars\n\
            >>> mutation = ctxvars.Map(a=1).mutate()\n\
            >>> mutation.get('a'), mutation.get('b', 0)\n\
            (1, 0)",
        ),
        Method::fast(
            c"set",
            set,
            c"set($self, key, value, /)\n--\n\n\
            Set a key to a value, as mutation[key] = value does. O(log n).\n\n\
            >>> import ctxvars\n\
            >>> mutation = ctxvars.Map().mutate()\n\
            >>> mutation.set('a', 1)\n\
            >>> mutation['a']\n\
            1",
        ),
        Method::one(
            c"discard",
            discard,
            c"discard($self, key, /)\n--\n\n\
            Remove a key if it is there. O(log n).\n\n\
            >>> import ctxvars\n\
            >>> mutation = ctxvars.Map(a=1).mutate()\n\
            >>> mutation.discard('a')\n\
            >>> mutation.discard('a')\n\
            >>> mutation\n\
            ctxvars.MapMutation({})",
        ),
        Method::fast(
            c"pop",
            pop,
            c"pop($self, key, default=<unrepresentable>, /)\n--\n\n\
            Remove a key and return its value.\n\n\
            If the key is not there, return the default, if one is given, else raise KeyError.\n\
            O(log n).\n\n\
            >>> import ctxvars\n\
            >>> mutation = ctxvars.Map(a=1).mutate()\n\
            >>> mutation.pop('a'), mutation.pop('a', None)\n\
            (1, None)",
        ),
        Method::without_arguments(
            c"popitem",
            popitem,
            c"popitem($self, /)\n--\n\n\
            Remove and return a pair of key and value. Raise KeyError if there is none. O(log n).\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Map(a=1).mutate().popitem()\n\
            ('a', 1)",
        ),
        Method::fast(
            c"setdefault",
            setdefault,
            c"setdefault($self, key, default=None, /)\n--\n\n\
            Return the value of a key, after setting it to the default if the key is not there.\n\
            O(log n).\n\n\
            >>> import ctxvars\n\
            >>> mutation = ctxvars.Map(a=1).mutate()\n\
            >>> mutation.setdefault('a', 5), mutation.setdefault('b', 5)\n\
            (1, 5)",
        ),
        Method::keywords(
            c"update",
            update,
            c"update($self, /, *collections, **kwargs)\n--\n\n\
            Add the entries of other collections.\n\n\
            The collections are mappings or iterables of pairs. Later values replace earlier ones.\n\
            If an exception is raised, nothing is changed. O(k log n) for k entries.\n\n\
            >>> import ctxvars\n\
            >>> mutation = ctxvars.Map(a=1).mutate()\n\
            >>> mutation.update([('b', 2)], a=3)\n\
            >>> mutation == {'a': 3, 'b': 2}\n\
            True",
        ),
        Method::without_arguments(
            c"clear",
            clear,
            c"clear($self, /)\n--\n\n\
            Remove all keys. O(1), and O(n) for nodes that no map shares.\n\n\
            >>> import ctxvars\n\
            >>> mutation = ctxvars.Map(a=1).mutate()\n\
            >>> mutation.clear()\n\
            >>> len(mutation)\n\
            0",
        ),
        Method::without_arguments(
            c"keys",
            |mutation: &MutationObject| view(mutation, &lazy_import::KEYS_VIEW),
            c"keys($self, /)\n--\n\nReturn a set-like view of the keys, which shows later changes.",
        ),
        Method::without_arguments(
            c"values",
            |mutation: &MutationObject| view(mutation, &lazy_import::VALUES_VIEW),
            c"values($self, /)\n--\n\nReturn a view of the values, which shows later changes.",
        ),
        Method::without_arguments(
            c"items",
            |mutation: &MutationObject| view(mutation, &lazy_import::ITEMS_VIEW),
            c"items($self, /)\n--\n\nReturn a set-like view of the items, which shows later changes.",
        ),
        Method::without_arguments(
            c"copy",
            copy,
            c"copy($self, /)\n--\n\n\
            Return another mutation, which starts with the present entries. O(1).\n\n\
            The copy of a finished mutation can be changed.\n\n\
            >>> import ctxvars\n\
            >>> mutation = ctxvars.Map(a=1).mutate()\n\
            >>> copy = mutation.copy()\n\
            >>> copy['a'] = 2\n\
            >>> mutation['a'], copy['a']\n\
            (1, 2)",
        ),
        Method::without_arguments(
            c"finish",
            finish,
            c"finish($self, /)\n--\n\n\
            Return a Map of the present entries, and end the changes.\n\n\
            A finished mutation can be read, and finished again, but changing it raises ValueError.\n\
            O(1).\n\n\
            >>> import ctxvars\n\
            >>> mutation = ctxvars.Map().mutate()\n\
            >>> mutation['a'] = 1\n\
            >>> mutation.finish()\n\
            ctxvars.Map({'a': 1})",
        ),
        Method::without_arguments(
            c"__enter__",
            enter,
            c"__enter__($self, /)\n--\n\n\
            Return the mutation. Raise ValueError if it has been finished.",
        ),
        Method::fast(
            c"__exit__",
            exit,
            c"__exit__($self, type, value, traceback, /)\n--\n\nFinish the mutation.",
        ),
        type_object::not_to_be_pickled(),
        type_object::class_getitem(),
    ]
}

const DOC: &CStr = c"Changes to a Map that become one new Map, made by Map.mutate().\n\n\
    It is a mutable mapping. Maps and iterators made earlier do not see its changes. As a context\n\
    manager, it is finished when the block is left. Iterating over it while it changes raises\n\
    RuntimeError; changing it after finish() raises ValueError.\n\n\
    >>> import ctxvars\n\
    >>> m = ctxvars.Map(a=1, b=2)\n\
    >>> mutation = m.mutate()\n\
    >>> mutation['a'] = 10\n\
    >>> del mutation['b']\n\
    >>> mutation.finish(), len(m)\n\
    (ctxvars.Map({'a': 10}), 2)";

pub(crate) fn init() -> Result<(), ErrorSet> {
    types::MAP_MUTATION.make_with_fields::<MutationObject>(TypeSpec {
        name: c"ctxvars.MapMutation",
        doc: Some(DOC),
        flags: ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION | ffi::Py_TPFLAGS_MAPPING,
        slots: vec![
            Slot::clear(break_cycles),
            Slot::unhashable(),
            Slot::repr(repr),
            Slot::compare(compare),
            Slot::iter(iter),
            Slot::operator(ffi::Py_nb_or, or),
            Slot::operator(ffi::Py_nb_inplace_or, in_place_or),
            Slot::length(|mutation: &MutationObject| mutation.with(|state| state.map.len())),
            Slot::subscript(subscript),
            Slot::assign(assign),
            Slot::contains(|mutation: &MutationObject, key: &Owned| {
                Ok(value_of(mutation, key)?.is_some())
            }),
        ],
        methods: methods(),
        ..TypeSpec::default()
    })
}
