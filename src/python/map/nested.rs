//! Nested access: the methods of `Map` that take a path of keys, and `merge_deep`.
//!
//! A path leads through maps and other mappings. Only the levels on the path are derived anew, from
//! the last one to the first; all others are shared. A mapping that is not a `Map` becomes one when
//! it changes, so that later changes are cheap.

use super::py_heap::{MapObject, PyHeap};
use super::{entries, one_key};
use crate::map::{Trie, reserve};
use crate::python::interpreter::{
    Arguments, ErrorSet, Exception, Method, Owned, TypedObject as _, check_count, exactly,
    lazy_import, raise, raise_key_error, raise_message, raise_value,
};

/// The keys of a path, as a tuple: unlike a list, it does not change while user code runs.
fn path_of(path: &Owned) -> Result<Owned, ErrorSet> {
    if path.tuple_items().is_some() {
        return Ok(path.clone());
    }
    if path.is_list() {
        return path.list_to_tuple();
    }
    if path.is_text() || path.is_exact_bytes() {
        let message = c"a path must be an iterable of keys, not the string %R";
        return Err(raise(Exception::TypeError, message, path));
    }
    path.to_list()?.list_to_tuple()
}

/// The keys of a tuple that [`path_of`] has returned.
fn keys_of(path: &Owned) -> &[Owned] {
    path.tuple_items().unwrap_or_default()
}

/// Raises `TypeError` unless `level` is a mapping.
fn check_mapping(level: &Owned, path: &[Owned]) -> Result<(), ErrorSet> {
    if MapObject::of(level).is_some() || entries::is_mapping(level)? {
        return Ok(());
    }
    let format = c"expected a mapping at the path %R, got %R";
    let message = Owned::format_two(format, &Owned::tuple_of(path)?, level.type_object())?;
    Err(raise_value(Exception::TypeError, &message))
}

/// Raises `KeyError` with the path up to the missing key.
fn raise_missing(path: &[Owned]) -> ErrorSet {
    Owned::tuple_of(path).map_or_else(|error| error, |path| raise_key_error(&path))
}

/// The value of a key in a mapping, if there is one.
fn value_in(level: &Owned, key: &Owned) -> Result<Option<Owned>, ErrorSet> {
    if let Some(map) = MapObject::of(level) {
        return Ok(one_key::value_of(map, key)?.cloned());
    }
    // Subscripting alone would add a missing key to a `defaultdict`.
    if level.contains(key)? { level.item(key).map(Some) } else { Ok(None) }
}

/// A mapping with this value at this key, as a `Map`, or itself if it has this very value already.
fn with_entry(level: &Owned, key: &Owned, value: &Owned) -> Result<Owned, ErrorSet> {
    if let Some(map) = MapObject::of(level) {
        return one_key::with(map, key, value);
    }
    if value_in(level, key)?.is_some_and(|old| old.is(value)) {
        return Ok(level.clone());
    }
    one_key::with(&as_map(level)?, key, value)
}

fn as_map(level: &Owned) -> Result<MapObject, ErrorSet> {
    Ok(MapObject::from_trie(entries::mapping(level, c"expected a mapping, got %R")?))
}

/// The mappings on a path: the first one is the map, and each has the key at its index, but for
/// the last one. With `create`, an empty map stands for each that is missing.
fn levels(map: &MapObject, keys: &[Owned], create: bool) -> Result<Vec<Owned>, ErrorSet> {
    let Some((_, on_the_way)) = keys.split_last() else {
        return Err(raise_message(Exception::ValueError, c"the path must not be empty"));
    };
    let mut levels = reserve::with_capacity::<PyHeap, _>(keys.len())?;
    levels.push((**map).clone());
    for (index, key) in on_the_way.iter().enumerate() {
        let level = match value_in(&levels[index], key)? {
            Some(level) => level,
            None if create => MapObject::from_trie(Trie::new()).into_owned(),
            None => return Err(raise_missing(&keys[..=index])),
        };
        check_mapping(&level, &keys[..=index])?;
        levels.push(level);
    }
    Ok(levels)
}

/// The first level, with this value at the end of the path.
fn with_value(levels: &[Owned], keys: &[Owned], mut value: Owned) -> Result<Owned, ErrorSet> {
    for (level, key) in levels.iter().zip(keys).rev() {
        value = with_entry(level, key, &value)?;
    }
    Ok(value)
}

fn get_in(map: &MapObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    check_count(c"get_in", arguments, 1, 2)?;
    let path = path_of(&arguments[0])?;
    let keys = keys_of(&path);
    let mut level = (**map).clone();
    for (index, key) in keys.iter().enumerate() {
        check_mapping(&level, &keys[..index])?;
        let Some(value) = value_in(&level, key)? else {
            return Ok(arguments.get(1).cloned().unwrap_or_else(Owned::none));
        };
        level = value;
    }
    Ok(level)
}

fn set_in(map: &MapObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [path, value] = exactly(c"set_in", arguments)?;
    let path = path_of(path)?;
    let keys = keys_of(&path);
    with_value(&levels(map, keys, true)?, keys, value.clone())
}

fn update_in(map: &MapObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    check_count(c"update_in", arguments, 2, 3)?;
    let (function, default) = (&arguments[1], arguments.get(2));
    if !function.is_callable() {
        let message = c"update_in() argument 'function' must be callable, got %R";
        return Err(raise(Exception::TypeError, message, function));
    }
    let path = path_of(&arguments[0])?;
    let keys = keys_of(&path);
    let levels = levels(map, keys, default.is_some())?;
    let found = value_in(&levels[keys.len() - 1], &keys[keys.len() - 1])?;
    let old = found.or_else(|| default.cloned()).ok_or_else(|| raise_missing(keys))?;
    with_value(&levels, keys, function.call_one(&old)?)
}

fn delete_in(map: &MapObject, path: &Owned) -> Result<Owned, ErrorSet> {
    let path = path_of(path)?;
    let keys = keys_of(&path);
    let levels = levels(map, keys, false)?;
    let (level, key) = (&levels[keys.len() - 1], &keys[keys.len() - 1]);
    let smaller = match MapObject::of(level) {
        Some(map) => one_key::without(map, key)?,
        None => one_key::without(&as_map(level)?, key)?,
    };
    let smaller = smaller.ok_or_else(|| raise_missing(keys))?;
    with_value(&levels[..keys.len() - 1], keys, smaller)
}

fn merge_deep(map: &MapObject, arguments: Arguments<'_>) -> Result<Owned, ErrorSet> {
    let none = Owned::none();
    let resolve = arguments.keyword(c"merge_deep", c"resolve")?.unwrap_or(&none);
    let others = Owned::tuple_of(arguments.positional)?;
    lazy_import::MERGE_DEEP.get()?.call([map, &others, resolve])
}

pub(super) fn methods() -> Vec<Method<MapObject>> {
    vec![
        Method::fast(
            c"get_in",
            get_in,
            c"get_in($self, path, default=None, /)\n--\n\n\
            Return the value at a path of keys, or the default if a key of the path is missing.\n\n\
            The path is an iterable of keys: the first one is a key of this map, the next one a key\n\
            of its value, and so on. The empty path leads to the map itself. Raise TypeError if a\n\
            value on the way is not a mapping, or if the path is a string. O(log n) for each key.\n\n\
            >>> from ctxvars import Map\n\
            >>> config = Map(server=Map(port=80))\n\
            >>> config.get_in(['server', 'port']), config.get_in(['server', 'host'], 'localhost')\n\
            (80, 'localhost')\n\
            >>> config.get_in(['server', 'port', 'tls'])\n\
            Traceback (most recent call last):\n    \
                ...\n\
            TypeError: expected a mapping at the path ('server', 'port'), got <class 'int'>",
        ),
        Method::fast(
            c"set_in",
            set_in,
            c"set_in($self, path, value, /)\n--\n\n\
            Return the map with this value at a path of keys.\n\n\
            Levels that are missing become Maps. A level that changes and is another mapping becomes\n\
            a Map as well. The result is this map itself if the path leads to this very object\n\
            already. Raise TypeError if a value on the way is not a mapping, or if the path is a\n\
            string, and ValueError if the path is empty. O(log n) for each key; O(n) for a mapping\n\
            that becomes a Map.\n\n\
            >>> from ctxvars import Map\n\
            >>> Map(server=Map(port=80)).set_in(['server', 'port'], 8080)\n\
            ctxvars.Map({'server': ctxvars.Map({'port': 8080})})\n\
            >>> Map().set_in(['server', 'port'], 80)\n\
            ctxvars.Map({'server': ctxvars.Map({'port': 80})})",
        ),
        Method::fast(
            c"update_in",
            update_in,
            c"update_in($self, path, function, default=<unrepresentable>, /)\n--\n\n\
            Return the map with function(value) in place of the value at a path of keys.\n\n\
            If a key of the path is missing, the function gets the default, if one is given, and\n\
            missing levels become Maps; else raise KeyError, which has the path up to the missing\n\
            key. Otherwise it is as set_in().\n\n\
            >>> from ctxvars import Map\n\
            >>> Map(visits=Map(ada=1)).update_in(['visits', 'ada'], lambda count: count + 1)\n\
            ctxvars.Map({'visits': ctxvars.Map({'ada': 2})})\n\
            >>> Map().update_in(['visits', 'ada'], lambda count: count + 1, 0)\n\
            ctxvars.Map({'visits': ctxvars.Map({'ada': 1})})\n\
            >>> Map(visits=Map()).update_in(['visits', 'ada', 'today'], str)\n\
            Traceback (most recent call last):\n    \
                ...\n\
            KeyError: ('visits', 'ada')",
        ),
        Method::one(
            c"delete_in",
            delete_in,
            c"delete_in($self, path, /)\n--\n\n\
            Return the map without the key at the end of a path of keys.\n\n\
            Levels that become empty stay. Raise KeyError, which has the path up to the missing key,\n\
            if there is one. Otherwise it is as set_in().\n\n\
            >>> from ctxvars import Map\n\
            >>> Map(server=Map(port=80)).delete_in(['server', 'port'])\n\
            ctxvars.Map({'server': ctxvars.Map({})})",
        ),
        Method::keywords(
            c"merge_deep",
            merge_deep,
            c"merge_deep($self, /, *others, resolve=None)\n--\n\n\
            Return the map with the entries of other mappings, merging the mappings in both.\n\n\
            If a key has mappings on both sides, they are merged in the same way. Otherwise the\n\
            later value replaces the earlier one, or resolve(path, old, new) chooses a value, or\n\
            MISSING to leave the key out; the path is a tuple of keys. A mapping that changes becomes\n\
            a Map. The result is this map itself if nothing changes. Raise TypeError if an argument\n\
            is not a mapping. O(k log n) for k entries on all levels of the others.\n\n\
            >>> from ctxvars import Map\n\
            >>> defaults = Map(server=Map(host='localhost', port=80))\n\
            >>> defaults.merge_deep({'server': {'port': 8080}}) == {\n\
            ...     'server': {'host': 'localhost', 'port': 8080}\n\
            ... }\n\
            True\n\
            >>> Map(a=Map(b=1)).merge_deep({'a': {'b': 2}}, resolve=lambda path, old, new: old + new)\n\
            ctxvars.Map({'a': ctxvars.Map({'b': 3})})",
        ),
    ]
}
