//! The type `Map`: its constructors, and the table of its methods.

use super::entries::{self, Entries};
use super::iterator::{self, EntryPart};
use super::py_heap::{self, MapObject};
use super::{
    bulk, copy, diff_merge, equality, hash, library_hooks, mutation, nested, one_key, repr, view,
};
use crate::python::interpreter::{
    Arguments, ErrorSet, Method, Owned, RawObject, Slot, TypeSpec, TypedObject, catch_panic,
    check_count, ffi, type_object, types,
};
use std::ffi::{CStr, c_int, c_void};

/// A `Map` with the entries of a collection, if there is one, and of keywords.
fn map_of(
    collection: Option<&Owned>,
    has_keywords: bool,
    add_keywords: impl FnOnce(&mut Entries) -> Result<(), ErrorSet>,
) -> Result<Owned, ErrorSet> {
    if let (Some(map), false) = (collection.and_then(MapObject::of), has_keywords) {
        return Ok((**map).clone());
    }
    let mut entries = Entries::default();
    if let Some(collection) = collection {
        entries.extend(collection)?;
    }
    add_keywords(&mut entries)?;
    Ok(MapObject::from_trie(entries.into_map()?).into_owned())
}

/// `Map.__new__(Map, ...)`
fn new(arguments: &Owned, keywords: Option<&Owned>) -> Result<Owned, ErrorSet> {
    let arguments = arguments.tuple_items().unwrap_or_default();
    check_count(c"Map", arguments, 0, 1)?;
    let has_keywords = match keywords {
        Some(keywords) => keywords.length()? > 0,
        None => false,
    };
    map_of(arguments.first(), has_keywords, |entries| match keywords {
        Some(keywords) => entries.extend(keywords),
        None => Ok(()),
    })
}

/// `Map(...)`, for which CPython makes no tuple of the arguments.
#[allow(unsafe_code)] // A vectorcall function is in a field of the type, for which there is no slot.
unsafe extern "C" fn call(
    _: RawObject,
    arguments: *const RawObject,
    count: usize,
    names: RawObject,
) -> RawObject {
    // SAFETY: CPython passes `count` arguments, the values of the keywords behind them, and a tuple
    // of the names or null. Its caller keeps them alive.
    catch_panic(|| unsafe {
        let count = ffi::PyVectorcall_NARGS(count) as usize;
        let arguments = Arguments::new(arguments, count, &names);
        check_count(c"Map", arguments.positional, 0, 1)?;
        let map = map_of(arguments.positional.first(), arguments.has_keywords(), |entries| {
            arguments
                .keywords()
                .try_for_each(|(name, value)| entries.push(name.clone(), value.clone()))
        });
        map.map(Owned::into_ptr)
    })
}

fn from_keys(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    check_count(c"fromkeys", arguments, 1, 2)?;
    let value = arguments.get(1).cloned().unwrap_or_else(Owned::none);
    Ok(MapObject::from_trie(entries::keys(&arguments[0], &value)?).into_owned())
}

fn iter(map: &MapObject) -> Result<Owned, ErrorSet> {
    iterator::over(map.share(), EntryPart::Key)
}

fn compare(map: &MapObject, other: &Owned, operator: c_int) -> Result<Owned, ErrorSet> {
    equality::compare(map, other, operator, || equality::are_equal(map, other))
}

fn methods() -> Vec<Method<MapObject>> {
    let mut rows = vec![
        Method::fast(
            c"get",
            one_key::get,
            c"get($self, key, default=None, /)\n--\n\n\
            Return the value of a key, or the default if the map does not have the key. O(log n).\n\n\
            >>> import ctxvars\n\
            >>> m = ctxvars.Map(a=1)\n\
            >>> m.get('a'), m.get('b'), m.get('b', 0)\n\
            (1, None, 0)",
        ),
        Method::fast(
            c"set",
            one_key::set,
            c"set($self, key, value, /)\n--\n\n\
            Return the map with this value at this key.\n\n\
            This map stays as it is. The result is this map itself if the key has this very object\n\
            as its value already. As in dict, a key that is equal to the new one stays. O(log n).\n\n\
            >>> import ctxvars\n\
            >>> m = ctxvars.Map(a=1)\n\
            >>> m.set('a', 2), m\n\
            (ctxvars.Map({'a': 2}), ctxvars.Map({'a': 1}))",
        ),
        Method::one(
            c"delete",
            one_key::delete,
            c"delete($self, key, /)\n--\n\n\
            Return the map without this key. Raise KeyError if the map does not have it. O(log n).\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Map(a=1, b=2).delete('a')\n\
            ctxvars.Map({'b': 2})",
        ),
        Method::one(
            c"discard",
            one_key::discard,
            c"discard($self, key, /)\n--\n\n\
            Return the map without this key, or this map itself if it does not have the key.\n\
            O(log n).\n\n\
            >>> import ctxvars\n\
            >>> m = ctxvars.Map(a=1)\n\
            >>> m.discard('a'), m.discard('b') is m\n\
            (ctxvars.Map({}), True)",
        ),
        Method::of_type(
            c"fromkeys",
            from_keys,
            c"fromkeys($type, keys, value=None, /)\n--\n\n\
            Return a map that has the same value at each of these keys. O(n).\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Map.fromkeys('ab', 0) == ctxvars.Map(a=0, b=0)\n\
            True",
        ),
        Method::without_arguments(
            c"mutate",
            |map: &MapObject| mutation::of(map.share(), false).map(TypedObject::into_owned),
            c"mutate($self, /)\n--\n\n\
            Return a MapMutation that starts with the entries of this map: many changes, one new\n\
            map. O(1).\n\n\
            >>> import ctxvars\n\
            >>> with ctxvars.Map(a=1).mutate() as mutation:\n\
            ...     mutation['b'] = 2\n\
            ...     del mutation['a']\n\
            >>> mutation.finish()\n\
            ctxvars.Map({'b': 2})",
        ),
        Method::without_arguments(
            c"keys",
            |map: &MapObject| view::of(map, EntryPart::Key),
            c"keys($self, /)\n--\n\n\
            Return a set-like view of the keys. O(1).\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Map(a=1, b=2).keys() & {'a', 'c'}\n\
            {'a'}",
        ),
        Method::without_arguments(
            c"values",
            |map: &MapObject| view::of(map, EntryPart::Value),
            c"values($self, /)\n--\n\n\
            Return a view of the values. O(1).\n\n\
            >>> import ctxvars\n\
            >>> sorted(ctxvars.Map(a=1, b=2).values())\n\
            [1, 2]",
        ),
        Method::without_arguments(
            c"items",
            |map: &MapObject| view::of(map, EntryPart::Item),
            c"items($self, /)\n--\n\n\
            Return a set-like view of the pairs of key and value. O(1).\n\n\
            >>> import ctxvars\n\
            >>> sorted(ctxvars.Map(a=1, b=2).items())\n\
            [('a', 1), ('b', 2)]",
        ),
        type_object::class_getitem(),
    ];
    rows.extend(bulk::methods());
    rows.extend(diff_merge::methods());
    rows.extend(nested::methods());
    rows.extend(copy::methods());
    rows.extend(library_hooks::methods());
    rows
}

const DOC: &CStr = c"Map(collection=(), /, **kwargs)\n--\n\n\
    An immutable mapping from which other maps are derived cheaply.\n\n\
    Like dict, it is made of a mapping, of an iterable of pairs, or of keywords; of another Map in\n\
    O(1). set(), delete() and update() return a new map, which shares all unchanged parts with this\n\
    one. Keys are hashable. The order of iteration is that of the hashes of the keys. A map is\n\
    hashable if its values are.\n\n\
    >>> import ctxvars\n\
    >>> defaults = ctxvars.Map(retries=3, timeout=30)\n\
    >>> config = defaults.set('timeout', 60)\n\
    >>> defaults['timeout'], config['timeout']\n\
    (30, 60)\n\
    >>> config == {'retries': 3, 'timeout': 60}\n\
    True";

#[allow(unsafe_code)] // Maps are nodes: `py_heap` defines their sizes and slots.
pub(crate) fn init() -> Result<(), ErrorSet> {
    let (size, item_size) = py_heap::MAP_SIZES;
    let mut methods = methods();
    // SAFETY: `dealloc_map`, `traverse` and `sizeof` work on roots, which all maps are. `MAP_SIZES`
    // are the sizes with which `PyHeap` allocates them, and `WEAK_REFERENCES` is the offset of the
    // list of weak references in each root. `call` is a vectorcall function; the type is complete
    // but for it, and no other thread has seen it.
    unsafe {
        methods.push(py_heap::sizeof_method(
            c"__sizeof__($self, /)\n--\n\n\
            Return the size of the root in bytes, without the nodes below it, which may be shared.",
        ));
        let spec = TypeSpec::<MapObject> {
            name: c"ctxvars.Map",
            doc: Some(DOC),
            flags: ffi::Py_TPFLAGS_MAPPING,
            slots: vec![
                Slot::new(new),
                Slot::raw(ffi::Py_tp_dealloc, py_heap::dealloc_map as *mut c_void),
                Slot::raw(ffi::Py_tp_traverse, py_heap::traverse as *mut c_void),
                Slot::hash(hash::hash),
                Slot::repr(repr::repr),
                Slot::compare(compare),
                Slot::iter(iter),
                Slot::length(MapObject::len),
                Slot::subscript(one_key::subscript),
                Slot::contains(one_key::contains),
                Slot::operator(ffi::Py_nb_or, bulk::or),
            ],
            methods,
            members: vec![type_object::Member::offset(
                c"__weaklistoffset__",
                py_heap::WEAK_REFERENCES,
            )],
            ..TypeSpec::default()
        };
        types::MAP.make(size, item_size, spec)?;
        (*types::MAP.as_ptr()).tp_vectorcall = Some(call);
    }
    Ok(())
}
