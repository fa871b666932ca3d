//! Operations on whole maps: union, intersection, difference, filtering.

use super::entries::{self, Entries};
use super::key::ByEquality;
use super::mutation::MutationObject;
use super::py_heap::{MapObject, PyHeap};
use super::view::ViewObject;
use crate::map::{Compare, Trie};
use crate::python::interpreter::{
    Arguments, ErrorSet, Method, Owned, RecursionGuard, TypedObject as _, check_count, types,
};
use crate::python::set::SetObject;

/// `map | other` and `other | map`, with any mapping as the other operand.
pub(super) fn or(left: &Owned, right: &Owned) -> Result<Owned, ErrorSet> {
    if !entries::is_mapping(left)? || !entries::is_mapping(right)? {
        return Ok(Owned::not_implemented());
    }
    let message = c"expected a mapping, got %R";
    let (left, right) = (entries::mapping(left, message)?, entries::mapping(right, message)?);
    Ok(MapObject::from_trie(left.updated(&right, &mut ByEquality::default())?).into_owned())
}

/// The entries that `update` adds to a map.
pub(crate) enum Addition {
    /// Another map, which may share nodes with the map.
    Map(Trie<PyHeap>),
    Entries(Entries),
}

impl Addition {
    /// A mapping or an iterable of pairs.
    pub(crate) fn of_collection(collection: &Owned) -> Result<Self, ErrorSet> {
        if let Some(map) = MapObject::of(collection) {
            return Ok(Self::Map(map.share()));
        }
        let mut entries = Entries::default();
        entries.extend(collection)?;
        Ok(Self::Entries(entries))
    }

    /// The arguments of `update`, keywords last.
    pub(crate) fn of_arguments(arguments: Arguments<'_>) -> Result<Self, ErrorSet> {
        if let ([only], false) = (arguments.positional, arguments.has_keywords()) {
            return Self::of_collection(only);
        }
        let mut entries = Entries::default();
        for collection in arguments.positional {
            entries.extend(collection)?;
        }
        for (name, value) in arguments.keywords() {
            entries.push(name.clone(), value.clone())?;
        }
        Ok(Self::Entries(entries))
    }

    /// The map with the addition.
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

fn update(map: &MapObject, arguments: Arguments<'_>) -> Result<Owned, ErrorSet> {
    let addition = Addition::of_arguments(arguments)?;
    let updated = addition.to(&map.trie(), &mut ByEquality::default())?;
    Ok(MapObject::from_trie(updated).into_owned())
}

/// `copy.replace(map, ...)`
fn replace(map: &MapObject, arguments: Arguments<'_>) -> Result<Owned, ErrorSet> {
    check_count(c"__replace__", arguments.positional, 0, 0)?;
    update(map, arguments)
}

fn intersection(map: &MapObject, keys: &Owned) -> Result<Owned, ErrorSet> {
    Ok(MapObject::from_trie(select(map, keys, true, keys_of)?).into_owned())
}

fn difference(map: &MapObject, keys: &Owned) -> Result<Owned, ErrorSet> {
    Ok(MapObject::from_trie(select(map, keys, false, keys_of)?).into_owned())
}

/// The entries of a map whose keys are among `keys` or, unless `among`, are not. `keys_of` returns a
/// map with the keys.
pub(crate) fn select(
    map: &MapObject,
    keys: &Owned,
    among: bool,
    keys_of: impl FnOnce(&Owned) -> Result<Trie<PyHeap>, ErrorSet>,
) -> Result<Trie<PyHeap>, ErrorSet> {
    let trie = map.trie();
    if can_find_more_than(keys, map.len())? {
        let _nested = RecursionGuard::walking(c" while selecting from a Map")?;
        trie.filter(|entry| Ok(keys.contains(&entry.key)? == among))
    } else if among {
        trie.intersection(&keys_of(keys)?, &mut ByEquality::default())
    } else {
        trie.difference(&keys_of(keys)?, &mut ByEquality::default())
    }
}

/// Whether `keys` are more than `len`, and finds a key without a walk over all of them. Subclasses
/// do not count: their methods may disagree with one another.
fn can_find_more_than(keys: &Owned, len: usize) -> Result<bool, ErrorSet> {
    let finds = keys.is_set_or_frozenset() || keys.is_dict() || keys.is_dict_keys();
    Ok(finds && keys.length()? > len)
}

/// The map that an iterable of keys belongs to, if there is one.
pub(crate) fn map_with_keys(keys: &Owned) -> Option<Trie<PyHeap>> {
    if let Some(map) = MapObject::of(keys) {
        return Some(map.share());
    }
    if let (Some(view), true) = (ViewObject::of(keys), types::MAP_KEYS.is_type_of(keys)) {
        return Some(view.map().share());
    }
    if let Some(mutation) = MutationObject::of(keys) {
        return Some(mutation.current_map());
    }
    SetObject::of(keys).map(|set| set.map().share())
}

/// A map with these keys.
fn keys_of(keys: &Owned) -> Result<Trie<PyHeap>, ErrorSet> {
    map_with_keys(keys).map_or_else(|| entries::keys(keys, &Owned::none()), Ok)
}

fn filter(map: &MapObject, predicate: &Owned) -> Result<Owned, ErrorSet> {
    let _nested = RecursionGuard::walking(c" while filtering a Map")?;
    let filtered = map.trie().map_entries(|entry| {
        let keep = predicate.call([&entry.key, &entry.value])?.is_true()?;
        Ok(keep.then(|| entry.value.clone()))
    })?;
    Ok(MapObject::from_trie(filtered).into_owned())
}

fn map_values(map: &MapObject, function: &Owned) -> Result<Owned, ErrorSet> {
    let _nested = RecursionGuard::walking(c" while mapping the values of a Map")?;
    let mapped = map.trie().map_entries(|entry| function.call_one(&entry.value).map(Some))?;
    Ok(MapObject::from_trie(mapped).into_owned())
}

pub(super) fn methods() -> Vec<Method<MapObject>> {
    vec![
        Method::keywords(
            c"update",
            update,
            c"update($self, /, *collections, **kwargs)\n--\n\n\
            Return the map with the entries of other collections.\n\n\
            The collections are mappings or iterables of pairs. Later values replace earlier ones.\n\
            The result is this map itself if nothing changes. O(k log n) for k entries. With another\n\
            Map that shares parts with this one, O(changes x log n).\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Map(a=1).update({'b': 2}, a=3) == {'a': 3, 'b': 2}\n\
            True",
        ),
        Method::keywords(
            c"__replace__",
            replace,
            c"__replace__($self, /, **kwargs)\n--\n\n\
            Return the map with these values at these keys, for copy.replace(). O(k log n) for k keys.",
        ),
        Method::one(
            c"intersection",
            intersection,
            c"intersection($self, keys, /)\n--\n\n\
            Return the map with only those of its keys that are among the given ones.\n\n\
            The keys are any iterable. O(n + k) for k keys. With another Map that shares parts with\n\
            this one, O(changes x log n). In a larger set or dict, the keys of this map are looked\n\
            up, in O(n).\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Map(a=1, b=2).intersection(['a', 'c'])\n\
            ctxvars.Map({'a': 1})",
        ),
        Method::one(
            c"difference",
            difference,
            c"difference($self, keys, /)\n--\n\n\
            Return the map without the given keys.\n\n\
            The keys are any iterable. O(n + k) for k keys. With another Map that shares parts with\n\
            this one, O(changes x log n). In a larger set or dict, the keys of this map are looked\n\
            up, in O(n).\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Map(a=1, b=2).difference(['a', 'c'])\n\
            ctxvars.Map({'b': 2})",
        ),
        Method::one(
            c"filter",
            filter,
            c"filter($self, predicate, /)\n--\n\n\
            Return the map with the entries for which predicate(key, value) is true.\n\n\
            O(n). Unchanged parts are shared with this map.\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Map(a=1, b=2).filter(lambda key, value: value > 1)\n\
            ctxvars.Map({'b': 2})",
        ),
        Method::one(
            c"map_values",
            map_values,
            c"map_values($self, function, /)\n--\n\n\
            Return the map with function(value) in place of each value.\n\n\
            O(n). Unchanged parts are shared with this map.\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Map(a=1).map_values(str)\n\
            ctxvars.Map({'a': '1'})",
        ),
    ]
}
