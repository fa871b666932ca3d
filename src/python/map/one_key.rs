//! The operations of `Map` on one key.
//!
//! A `Map` is the root of its trie (see `py_heap/`), so a look-up begins in the object itself. A
//! derived map consists of the new nodes on one path, and no other object.

use super::key::{self, Key};
use super::py_heap::MapObject;
use crate::python::interpreter::{
    ErrorSet, Owned, TypedObject as _, exactly, get_or_default, raise_key_error,
};

/// The value of `key`, if there is one.
#[inline(always)]
pub(crate) fn value_of<'a>(map: &'a MapObject, key: &Owned) -> Result<Option<&'a Owned>, ErrorSet> {
    map.value_of(key::hash(key)?, Key(key))
}

#[inline(always)]
pub(super) fn subscript(map: &MapObject, key: &Owned) -> Result<Owned, ErrorSet> {
    value_of(map, key)?.cloned().ok_or_else(|| raise_key_error(key))
}

#[inline(always)]
pub(super) fn contains(map: &MapObject, key: &Owned) -> Result<bool, ErrorSet> {
    Ok(value_of(map, key)?.is_some())
}

#[inline(always)]
pub(super) fn get(map: &MapObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    get_or_default(arguments, |key| Ok(value_of(map, key)?.cloned()))
}

#[inline(always)]
pub(super) fn set(map: &MapObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [key, value] = exactly(c"set", arguments)?;
    with(map, key, value)
}

/// The map with `value` at `key`.
#[inline(always)]
pub(super) fn with(map: &MapObject, key: &Owned, value: &Owned) -> Result<Owned, ErrorSet> {
    let hash = key::hash(key)?;
    let mut new = map.share();
    // If the map has this value already, the root stays, and the result is this very map. A value
    // that is replaced stays alive, since `map` holds it.
    new.insert(hash, key.clone(), value.clone(), |new, stored| key::are_same(stored, new))?;
    Ok(MapObject::from_trie(new).into_owned())
}

/// The map without `key`, `None` if it does not have the key.
pub(super) fn without(map: &MapObject, key: &Owned) -> Result<Option<Owned>, ErrorSet> {
    let hash = key::hash(key)?;
    let mut new = map.share();
    let removed = new.remove(hash, Key(key))?;
    Ok(removed.map(|_| MapObject::from_trie(new).into_owned()))
}

pub(super) fn delete(map: &MapObject, key: &Owned) -> Result<Owned, ErrorSet> {
    without(map, key)?.ok_or_else(|| raise_key_error(key))
}

pub(super) fn discard(map: &MapObject, key: &Owned) -> Result<Owned, ErrorSet> {
    Ok(without(map, key)?.unwrap_or_else(|| (**map).clone()))
}
