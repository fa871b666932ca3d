//! The type `Set`: its constructor, and the table of its methods.

use super::{SetObject, algebra, comparison, copy, mutation, one_element};
use crate::python::interpreter::{
    ErrorSet, Exception, Method, Owned, Slot, TypeSpec, TypedObject as _, check_count, ffi,
    raise_message, type_object, types,
};
use crate::python::map::iterator::{self, EntryPart};
use std::ffi::CStr;

/// `Set.__new__(Set, iterable=())`
fn new(arguments: &Owned, keywords: Option<&Owned>) -> Result<Owned, ErrorSet> {
    let arguments = arguments.tuple_items().unwrap_or_default();
    if let Some(keywords) = keywords {
        if keywords.length()? > 0 {
            return Err(raise_message(Exception::TypeError, c"Set() takes no keyword arguments"));
        }
    }
    check_count(c"Set", arguments, 0, 1)?;
    match arguments {
        [] => SetObject::of_trie(crate::map::Trie::new()),
        [iterable, ..] if SetObject::is_instance(iterable) => Ok(iterable.clone()),
        [iterable, ..] => SetObject::of_trie(algebra::elements(iterable)?),
    }
}

fn iter(set: &SetObject) -> Result<Owned, ErrorSet> {
    iterator::over(set.map().share(), EntryPart::Key)
}

fn derivations() -> Vec<Method<SetObject>> {
    vec![
        Method::one(
            c"add",
            one_element::add,
            c"add($self, element, /)\n--\n\n\
            Return the set with this element, or this set itself if it has the element.\n\n\
            As in frozenset, an element that is equal to the new one stays. O(log n).\n\n\
            >>> import ctxvars\n\
            >>> s = ctxvars.Set('a')\n\
            >>> s.add('b') == {'a', 'b'}, s.add('a') is s\n\
            (True, True)",
        ),
        Method::one(
            c"remove",
            one_element::remove,
            c"remove($self, element, /)\n--\n\n\
            Return the set without this element. Raise KeyError if the set does not have it.\n\
            O(log n).\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Set('ab').remove('a')\n\
            ctxvars.Set({'b'})",
        ),
        Method::one(
            c"discard",
            one_element::discard,
            c"discard($self, element, /)\n--\n\n\
            Return the set without this element, or this set itself if it does not have the element.\n\
            O(log n).\n\n\
            >>> import ctxvars\n\
            >>> s = ctxvars.Set('a')\n\
            >>> s.discard('a'), s.discard('b') is s\n\
            (ctxvars.Set(), True)",
        ),
        Method::one(
            c"filter",
            algebra::filter,
            c"filter($self, predicate, /)\n--\n\n\
            Return the set of the elements for which predicate(element) is true.\n\n\
            O(n). Unchanged parts are shared with this set.\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Set(range(4)).filter(lambda element: element > 2)\n\
            ctxvars.Set({3})",
        ),
        Method::without_arguments(
            c"mutate",
            mutation::of,
            c"mutate($self, /)\n--\n\n\
            Return a SetMutation that starts with the elements of this set: many changes, one new\n\
            set. O(1).\n\n\
            >>> import ctxvars\n\
            >>> with ctxvars.Set('a').mutate() as mutation:\n\
            ...     mutation.add('b')\n\
            ...     mutation.remove('a')\n\
            >>> mutation.finish()\n\
            ctxvars.Set({'b'})",
        ),
        Method::fast(
            c"union",
            algebra::union,
            c"union($self, /, *others)\n--\n\n\
            Return the set with the elements of other iterables.\n\n\
            The result is this set itself if nothing changes. O(k log n) for k elements. With\n\
            another Set that shares parts with this one, O(changes x log n).\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Set('a').union('bc') == {'a', 'b', 'c'}\n\
            True",
        ),
        Method::fast(
            c"intersection",
            algebra::intersection,
            c"intersection($self, /, *others)\n--\n\n\
            Return the set of the elements that are in all of the iterables, too.\n\n\
            O(n + k) for k elements. With another Set that shares parts with this one,\n\
            O(changes x log n). In a larger set, frozenset or dict, the elements of this set are\n\
            looked up, in O(n).\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Set('ab').intersection('bc')\n\
            ctxvars.Set({'b'})",
        ),
        Method::fast(
            c"difference",
            algebra::difference,
            c"difference($self, /, *others)\n--\n\n\
            Return the set of the elements that are in none of the iterables.\n\n\
            O(n + k) for k elements. With another Set that shares parts with this one,\n\
            O(changes x log n). In a larger set, frozenset or dict, the elements of this set are\n\
            looked up, in O(n).\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Set('ab').difference('bc')\n\
            ctxvars.Set({'a'})",
        ),
        Method::one(
            c"symmetric_difference",
            algebra::symmetric_difference,
            c"symmetric_difference($self, other, /)\n--\n\n\
            Return the set of the elements that are either in this set or in the iterable.\n\n\
            O(n + k) for k elements. With another Set that shares parts with this one,\n\
            O(changes x log n).\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Set('ab').symmetric_difference('bc') == {'a', 'c'}\n\
            True",
        ),
    ]
}

fn methods() -> Vec<Method<SetObject>> {
    let mut rows = derivations();
    rows.extend([
        Method::one(
            c"isdisjoint",
            comparison::is_disjoint,
            c"isdisjoint($self, other, /)\n--\n\n\
            Return whether the set has none of the elements of an iterable.\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Set('a').isdisjoint('bc')\n\
            True",
        ),
        Method::one(
            c"issubset",
            comparison::is_subset,
            c"issubset($self, other, /)\n--\n\n\
            Return whether all elements of the set are in an iterable.\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Set('a').issubset('abc')\n\
            True",
        ),
        Method::one(
            c"issuperset",
            comparison::is_superset,
            c"issuperset($self, other, /)\n--\n\n\
            Return whether all elements of an iterable are in the set.\n\n\
            >>> import ctxvars\n\
            >>> ctxvars.Set('abc').issuperset('ab')\n\
            True",
        ),
        Method::without_arguments(
            c"copy",
            copy::copy,
            c"copy($self, /)\n--\n\nReturn this set itself, since it is immutable. O(1).",
        ),
        Method::without_arguments(
            c"__copy__",
            copy::copy,
            c"__copy__($self, /)\n--\n\nReturn this set itself, since it is immutable. O(1).",
        ),
        Method::one(
            c"__deepcopy__",
            copy::deepcopy,
            c"__deepcopy__($self, memo, /)\n--\n\n\
            Return a set of deep copies, or this set itself if the copies are the same objects. O(n).",
        ),
        Method::without_arguments(
            c"__reduce__",
            copy::reduce,
            c"__reduce__($self, /)\n--\n\n\
            Return the constructor and its arguments, for pickle. O(n).\n\n\
            >>> import ctxvars, pickle\n\
            >>> pickle.loads(pickle.dumps(ctxvars.Set('a')))\n\
            ctxvars.Set({'a'})",
        ),
        Method::without_arguments(
            c"__rich_repr__",
            copy::rich_repr,
            c"__rich_repr__($self, /)\n--\n\nReturn the arguments that rich shows. O(n).",
        ),
        Method::fast(
            c"_repr_pretty_",
            copy::pretty_repr,
            c"_repr_pretty_($self, printer, cycle, /)\n--\n\nPrint the set in IPython. O(n).",
        ),
        Method::without_arguments(
            c"__dask_tokenize__",
            copy::dask_token,
            c"__dask_tokenize__($self, /)\n--\n\n\
            Return what dask makes the token of: equal sets have the same token. O(n log n).",
        ),
        Method::of_type(
            c"__get_pydantic_core_schema__",
            copy::pydantic_schema,
            c"__get_pydantic_core_schema__($type, source, handler, /)\n--\n\n\
            Return the schema by which pydantic validates and dumps sets.",
        ),
        type_object::class_getitem(),
    ]);
    rows
}

const DOC: &CStr = c"Set(iterable=(), /)\n--\n\n\
    An immutable set from which other sets are derived cheaply.\n\n\
    It has the methods and operators of frozenset. add(), remove(), discard() and the operations on\n\
    whole sets return a new set, which shares all unchanged parts with this one. It is equal to, and\n\
    has the hash of, a frozenset with the same elements. The order of iteration is that of the\n\
    hashes of the elements.\n\n\
    >>> import ctxvars\n\
    >>> readers = ctxvars.Set(['ann', 'bob'])\n\
    >>> writers = readers.remove('bob').add('cy')\n\
    >>> readers == {'ann', 'bob'}, writers == {'ann', 'cy'}\n\
    (True, True)\n\
    >>> readers & writers\n\
    ctxvars.Set({'ann'})";

pub(crate) fn init() -> Result<(), ErrorSet> {
    types::SET.make_with_fields::<SetObject>(TypeSpec {
        name: c"ctxvars.Set",
        doc: Some(DOC),
        slots: vec![
            Slot::new(new),
            Slot::hash(comparison::hash),
            Slot::repr(copy::repr),
            Slot::compare(comparison::compare),
            Slot::iter(iter),
            Slot::length(|set: &SetObject| set.map().len()),
            Slot::contains(one_element::contains),
            Slot::operator(ffi::Py_nb_and, algebra::and),
            Slot::operator(ffi::Py_nb_or, algebra::or),
            Slot::operator(ffi::Py_nb_subtract, algebra::subtract),
            Slot::operator(ffi::Py_nb_xor, algebra::xor),
        ],
        methods: methods(),
        ..TypeSpec::default()
    })
}
