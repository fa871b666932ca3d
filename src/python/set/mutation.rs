//! `SetMutation`: many changes in place, one new set.
//!
//! It holds a `MapMutation`, which does the work: `map/mutation/` says how an edit copes with user
//! code that edits the same mutation meanwhile.

use super::one_element::{hash, sought};
use super::{SetObject, algebra, comparison, copy};
use crate::map::Trie;
use crate::python::interpreter::{
    ErrorSet, Exception, HasFields, Instance, Method, Owned, RawObject, Slot, TypeSpec,
    TypedObject as _, check_count, create, ffi, raise, raise_key_error, raise_message,
    repr_of_container, type_object, typed_object, types,
};
use crate::python::map::key::Key;
use crate::python::map::mutation::{self as map_mutation, MutationObject, WatchedKeys};
use crate::python::map::py_heap::PyHeap;
use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::mem::offset_of;
use std::ptr;

typed_object! {
    /// A `SetMutation`.
    SetMutationObject: SET_MUTATION
}

/// The fields of a mutation.
pub(crate) struct SetMutation {
    /// Changes to a map from each element to `None`.
    map: MutationObject,
    weak_references: Cell<RawObject>,
}

#[allow(unsafe_code)] // Implements the trait of types with fields.
// SAFETY: `of` makes all mutations, by `create`. The list of weak references starts as null, and no
// code of this module touches it.
unsafe impl HasFields for SetMutationObject {
    type Fields = SetMutation;

    const WEAK_REFERENCES: Option<usize> =
        Some(offset_of!(Instance<SetMutation>, fields) + offset_of!(SetMutation, weak_references));

    fn references(fields: &SetMutation) -> [Option<RawObject>; 4] {
        [Some(fields.map.as_ptr()), None, None, None]
    }
}

/// A mutation that starts with the elements of `set`. O(1).
pub(super) fn of(set: &SetObject) -> Result<Owned, ErrorSet> {
    let map = map_mutation::of(set.map().share(), true)?;
    let fields = SetMutation { map, weak_references: Cell::new(ptr::null_mut()) };
    create::<SetMutationObject>(&types::SET_MUTATION, fields, true)
        .map(SetMutationObject::into_owned)
}

impl SetMutationObject {
    fn map(&self) -> &MutationObject {
        &self.fields().map
    }

    /// The mutation of the map, unless it has been finished: then it raises `ValueError`.
    fn open(&self) -> Result<&MutationObject, ErrorSet> {
        if self.map().is_finished() {
            return Err(raise(Exception::ValueError, c"mutation %R has been finished", self));
        }
        Ok(self.map())
    }
}

fn contains(mutation: &SetMutationObject, element: &Owned) -> Result<bool, ErrorSet> {
    sought(element, |hash, element| {
        let elements = mutation.map().current_map();
        Ok(elements.get(hash, Key(element))?.is_some())
    })
}

fn add(mutation: &SetMutationObject, element: &Owned) -> Result<Owned, ErrorSet> {
    let map = mutation.open()?;
    drop(map_mutation::insert_hashed(map, hash(element)?, element, &Owned::none())?);
    Ok(Owned::none())
}

/// Removes an element, and returns whether it was there.
fn without(mutation: &SetMutationObject, element: &Owned) -> Result<bool, ErrorSet> {
    let map = mutation.open()?;
    sought(element, |hash, element| Ok(map_mutation::remove_hashed(map, hash, element)?.is_some()))
}

fn remove(mutation: &SetMutationObject, element: &Owned) -> Result<Owned, ErrorSet> {
    if !without(mutation, element)? {
        return Err(raise_key_error(element));
    }
    Ok(Owned::none())
}

fn discard(mutation: &SetMutationObject, element: &Owned) -> Result<Owned, ErrorSet> {
    without(mutation, element)?;
    Ok(Owned::none())
}

fn pop(mutation: &SetMutationObject) -> Result<Owned, ErrorSet> {
    let map = mutation.open()?;
    if map.current_map().is_empty() {
        return Err(raise_message(Exception::KeyError, c"pop from an empty set"));
    }
    map_mutation::popitem(map)?.item_at(0)
}

fn clear(mutation: &SetMutationObject) -> Result<Owned, ErrorSet> {
    map_mutation::clear(mutation.open()?)
}

/// Combines the mutation with each of the `others`, in one step.
fn combine(
    mutation: &SetMutationObject,
    others: &[Owned],
    read: impl Fn(&Owned) -> Result<Trie<PyHeap>, ErrorSet>,
    combined: impl Fn(
        &Trie<PyHeap>,
        &Trie<PyHeap>,
        &mut WatchedKeys<'_>,
    ) -> Result<Trie<PyHeap>, ErrorSet>,
) -> Result<Owned, ErrorSet> {
    let map = mutation.open()?;
    let others = others.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    map_mutation::replace(map, |elements, compare| {
        others.iter().try_fold(elements.clone(), |all, other| combined(&all, other, compare))
    })
}

fn update(mutation: &SetMutationObject, others: &[Owned]) -> Result<Owned, ErrorSet> {
    combine(mutation, others, algebra::elements, |all, other, compare| all.updated(other, compare))
}

fn intersection_update(mutation: &SetMutationObject, others: &[Owned]) -> Result<Owned, ErrorSet> {
    combine(mutation, others, algebra::keys_of, |all, other, compare| {
        all.intersection(other, compare)
    })
}

fn difference_update(mutation: &SetMutationObject, others: &[Owned]) -> Result<Owned, ErrorSet> {
    combine(mutation, others, algebra::keys_of, |all, other, compare| {
        all.difference(other, compare)
    })
}

fn symmetric_difference_update(
    mutation: &SetMutationObject,
    other: &Owned,
) -> Result<Owned, ErrorSet> {
    combine(mutation, std::slice::from_ref(other), algebra::elements, |all, other, compare| {
        all.symmetric_difference(other, compare)
    })
}

/// The present elements, as a `Set`.
fn current(mutation: &SetMutationObject) -> Result<Owned, ErrorSet> {
    SetObject::of_trie(mutation.map().current_map())
}

/// Compares the present elements with any set, or with another mutation.
fn compare(
    mutation: &SetMutationObject,
    other: &Owned,
    operator: c_int,
) -> Result<Owned, ErrorSet> {
    let current_of_other = SetMutationObject::of(other).map(current).transpose()?;
    let own = current(mutation)?;
    match SetObject::of(&own) {
        Some(own) => comparison::compare(own, current_of_other.as_ref().unwrap_or(other), operator),
        None => Ok(Owned::not_implemented()),
    }
}

fn iter(mutation: &SetMutationObject) -> Result<Owned, ErrorSet> {
    map_mutation::iter(mutation.map())
}

fn finish(mutation: &SetMutationObject) -> Result<Owned, ErrorSet> {
    SetObject::of_trie(map_mutation::finished(mutation.map()))
}

fn enter(mutation: &SetMutationObject) -> Result<Owned, ErrorSet> {
    mutation.open()?;
    Ok((**mutation).clone())
}

fn exit(mutation: &SetMutationObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    check_count(c"__exit__", arguments, 3, 3)?;
    drop(map_mutation::finished(mutation.map()));
    Ok(Owned::none())
}

fn repr(mutation: &SetMutationObject) -> Result<Owned, ErrorSet> {
    repr_of_container(mutation, c"ctxvars.SetMutation({...})", || {
        let elements = copy::elements(&mutation.map().current_map())?;
        Owned::format(c"ctxvars.SetMutation({%U})", &elements)
    })
}

fn methods() -> Vec<Method<SetMutationObject>> {
    vec![
        Method::one(
            c"add",
            add,
            c"add($self, element, /)\n--\n\n\
            Add an element. O(log n).\n\n\
            >>> import ctxvars\n\
            >>> mutation = ctxvars.Set().mutate()\n\
            >>> mutation.add('a')\n\
            >>> mutation\n\
            ctxvars.SetMutation({'a'})",
        ),
        Method::one(
            c"remove",
            remove,
            c"remove($self, element, /)\n--\n\n\
            Remove an element. Raise KeyError if it is not there. O(log n).",
        ),
        Method::one(
            c"discard",
            discard,
            c"discard($self, element, /)\n--\n\nRemove an element if it is there. O(log n).",
        ),
        Method::without_arguments(
            c"pop",
            pop,
            c"pop($self, /)\n--\n\n\
            Remove and return an element. Raise KeyError if there is none. O(log n).\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Set('a').mutate().pop()\n\
            'a'",
        ),
        Method::without_arguments(
            c"clear",
            clear,
            c"clear($self, /)\n--\n\n\
            Remove all elements. O(1), and O(n) for nodes that no set shares.",
        ),
        Method::fast(
            c"update",
            update,
            c"update($self, /, *others)\n--\n\n\
            Add the elements of other iterables.\n\n\
            If an exception is raised, nothing is changed. O(k log n) for k elements.\n\n\
            >>> import ctxvars\n\
            >>> mutation = ctxvars.Set('a').mutate()\n\
            >>> mutation.update('bc', 'd')\n\
            >>> mutation == set('abcd')\n\
            True",
        ),
        Method::fast(
            c"intersection_update",
            intersection_update,
            c"intersection_update($self, /, *others)\n--\n\n\
            Keep only the elements that are in all of the iterables. O(n + k) for k elements.",
        ),
        Method::fast(
            c"difference_update",
            difference_update,
            c"difference_update($self, /, *others)\n--\n\n\
            Remove the elements that are in one of the iterables. O(n + k) for k elements.",
        ),
        Method::one(
            c"symmetric_difference_update",
            symmetric_difference_update,
            c"symmetric_difference_update($self, other, /)\n--\n\n\
            Remove the elements that are in the iterable, and add its other elements.\n\
            O(n + k) for k elements.",
        ),
        Method::without_arguments(
            c"finish",
            finish,
            c"finish($self, /)\n--\n\n\
            Return a Set of the present elements, and end the changes.\n\n\
            A finished mutation can be read, and finished again, but changing it raises ValueError.\n\
            O(1).\n\n\
            >>> import ctxvars\n\
            >>> mutation = ctxvars.Set().mutate()\n\
            >>> mutation.add('a')\n\
            >>> mutation.finish()\n\
            ctxvars.Set({'a'})",
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

const DOC: &CStr = c"Changes to a Set that become one new Set, made by Set.mutate().\n\n\
    Sets and iterators made earlier do not see its changes. As a context manager, it is finished\n\
    when the block is left. Iterating over it while it changes raises RuntimeError; changing it\n\
    after finish() raises ValueError.\n\n\
    >>> import ctxvars\n\
    >>> s = ctxvars.Set('ab')\n\
    >>> mutation = s.mutate()\n\
    >>> mutation.remove('a')\n\
    >>> mutation.finish(), len(s)\n\
    (ctxvars.Set({'b'}), 2)";

pub(crate) fn init() -> Result<(), ErrorSet> {
    types::SET_MUTATION.make_with_fields::<SetMutationObject>(TypeSpec {
        name: c"ctxvars.SetMutation",
        doc: Some(DOC),
        flags: ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
        slots: vec![
            Slot::unhashable(),
            Slot::repr(repr),
            Slot::compare(compare),
            Slot::iter(iter),
            Slot::length(|mutation: &SetMutationObject| mutation.map().current_map().len()),
            Slot::contains(contains),
        ],
        methods: methods(),
        ..TypeSpec::default()
    })
}
