//! The protocols of objects: truth, attributes, calls, containers, comparison.
//!
//! A `&Owned` is a live object, and the thread is attached; so the calls below are sound with any
//! objects. Each function of the C API that they use accepts objects of every type, and raises if
//! an object lacks the operation.

#![allow(unsafe_code)] // Calls functions of the C API on borrowed objects.

use super::error::{clear_exception, is_exception_set};
use super::{ErrorSet, Exception, Owned, RawObject, checked, ffi};
use std::ffi::{CStr, c_int};
use std::ptr;

/// A safe method of `Owned`, which calls a function of the C API that takes live objects and
/// returns a new reference or, with an exception set, null.
macro_rules! object_functions {
    ($($(#[$doc:meta])* $name:ident($($argument:ident),*) = $function:ident;)*) => {
        impl Owned {
            $(
                $(#[$doc])*
                #[inline(always)]
                pub(crate) fn $name(&self $(, $argument: &Self)*) -> Result<Self, ErrorSet> {
                    // SAFETY: references keep all objects alive during the call, which returns a
                    // new reference, or null with an exception set.
                    unsafe { Self::new(ffi::$function(self.as_ptr() $(, $argument.as_ptr())*)) }
                }
            )*
        }
    };
}

object_functions! {
    /// `self()`
    call_without_arguments() = PyObject_CallNoArgs;
    /// `self(argument)`
    call_one(argument) = PyObject_CallOneArg;
    /// `self.name(argument)`
    call_method_one(name, argument) = PyObject_CallMethodOneArg;
    /// `self.name()`
    call_method_without_arguments(name) = PyObject_CallMethodNoArgs;
    /// `self.name`; `AttributeError` if there is no such attribute.
    attribute(name) = PyObject_GetAttr;
    /// `self.name` as `object` finds it, without a `__getattr__` of the type.
    generic_attribute(name) = PyObject_GenericGetAttr;
    /// `self[key]`
    item(key) = PyObject_GetItem;
    /// `iter(self)`
    iterator() = PyObject_GetIter;
    /// `list(self)`
    to_list() = PySequence_List;
    /// `set(self)`
    to_set() = PySet_New;
    /// `frozenset(self)`
    to_frozenset() = PyFrozenSet_New;
    /// `self |= other`
    in_place_or(other) = PyNumber_InPlaceOr;
}

impl Owned {
    /// `bool(self)`
    pub(crate) fn is_true(&self) -> Result<bool, ErrorSet> {
        // SAFETY: the object is alive.
        Ok(checked(unsafe { ffi::PyObject_IsTrue(self.as_ptr()) })? != 0)
    }

    /// `len(self)`
    pub(crate) fn length(&self) -> Result<usize, ErrorSet> {
        // SAFETY: the object is alive.
        Ok(checked(unsafe { ffi::PyObject_Size(self.as_ptr()) })? as usize)
    }

    /// `item in self`
    pub(crate) fn contains(&self, item: &Self) -> Result<bool, ErrorSet> {
        // SAFETY: both objects are alive.
        Ok(checked(unsafe { ffi::PySequence_Contains(self.as_ptr(), item.as_ptr()) })? != 0)
    }

    /// `self is other or self == other`
    pub(crate) fn equals(&self, other: &Self) -> Result<bool, ErrorSet> {
        // SAFETY: both objects are alive, and the operator is a valid one.
        let equal =
            unsafe { ffi::PyObject_RichCompareBool(self.as_ptr(), other.as_ptr(), ffi::Py_EQ) };
        Ok(checked(equal)? != 0)
    }

    /// `hash(self)`
    pub(crate) fn hash(&self) -> Result<isize, ErrorSet> {
        // SAFETY: the object is alive.
        match unsafe { ffi::PyObject_Hash(self.as_ptr()) } {
            -1 => Err(ErrorSet),
            hash => Ok(hash),
        }
    }

    /// The object as a C integer; anything but an integer raises.
    pub(crate) fn to_long(&self) -> Result<std::ffi::c_long, ErrorSet> {
        // SAFETY: the object is alive.
        let number = unsafe { ffi::PyLong_AsLong(self.as_ptr()) };
        if number == -1 && is_exception_set() { Err(ErrorSet) } else { Ok(number) }
    }

    /// The object as a number of 64 bits; anything but an integer in its range raises.
    pub(crate) fn to_u64(&self) -> Result<u64, ErrorSet> {
        // SAFETY: the object is alive.
        let number = unsafe { ffi::PyLong_AsUnsignedLongLong(self.as_ptr()) };
        if number == u64::MAX && is_exception_set() { Err(ErrorSet) } else { Ok(number) }
    }

    /// An integer.
    pub(crate) fn from_u64(number: u64) -> Result<Self, ErrorSet> {
        // SAFETY: the call returns a new reference, or null with an exception set.
        unsafe { Self::new(ffi::PyLong_FromUnsignedLongLong(number)) }
    }

    /// `tuple(self)`; anything but a list raises.
    pub(crate) fn list_to_tuple(&self) -> Result<Self, ErrorSet> {
        // SAFETY: the object is alive; the call returns a new reference or null.
        unsafe { Self::new(ffi::PyList_AsTuple(self.as_ptr())) }
    }

    /// A repr of at most about a hundred characters, for which no Python code runs: other values than
    /// texts, bytes and numbers are shown by their type. Raises for huge integers.
    pub(crate) fn short_repr(&self) -> Result<Self, ErrorSet> {
        const MOST: isize = 80;
        // SAFETY: all objects are alive. Each call returns a new reference or null, and raises if an
        // object is not of the type that it needs. The formats take a C string, or an object.
        unsafe {
            let cut = |object: &Self| Self::new(ffi::PySequence_GetSlice(object.as_ptr(), 0, MOST));
            let is_text = self.is_exact_text() || self.is_exact_bytes();
            if is_text && self.length()? > MOST as usize {
                return Self::format(c"%R...", &cut(self)?);
            }
            let class = ffi::Py_TYPE(self.as_ptr());
            let is_number = [
                &raw mut ffi::PyLong_Type,
                &raw mut ffi::PyFloat_Type,
                &raw mut ffi::PyBool_Type,
                &raw mut ffi::PyComplex_Type,
            ]
            .iter()
            .any(|number| std::ptr::eq(class, *number));
            if is_text || is_number || self.is_none() {
                let text = Self::new(ffi::PyObject_Repr(self.as_ptr()))?;
                let is_long = is_number && text.length()? > MOST as usize;
                return if is_long { Self::format(c"%U...", &cut(&text)?) } else { Ok(text) };
            }
            let name = self.type_name().as_ptr();
            Self::new(ffi::calling!(PyUnicode_FromFormat(c"<%s>".as_ptr(), name)))
        }
    }

    /// `isinstance(self, class)`
    pub(crate) fn is_instance(&self, class: &Self) -> Result<bool, ErrorSet> {
        // SAFETY: both objects are alive. If `class` is not one, the call raises.
        Ok(checked(unsafe { ffi::PyObject_IsInstance(self.as_ptr(), class.as_ptr()) })? != 0)
    }

    /// `self(*arguments)`
    pub(crate) fn call<const N: usize>(&self, arguments: [&Self; N]) -> Result<Self, ErrorSet> {
        let array = arguments.map(Self::as_ptr);
        let no_names = ptr::null_mut();
        // SAFETY: the array has `N` objects, which the references keep alive during the call.
        unsafe { Self::new(ffi::PyObject_Vectorcall(self.as_ptr(), array.as_ptr(), N, no_names)) }
    }

    /// `self(*arguments)`
    pub(crate) fn call_slice(&self, arguments: &[Self]) -> Result<Self, ErrorSet> {
        let no_names = ptr::null_mut();
        // SAFETY: a slice of references has the layout of an array of pointers to live objects.
        unsafe {
            let array = arguments.as_ptr().cast();
            Self::new(ffi::PyObject_Vectorcall(self.as_ptr(), array, arguments.len(), no_names))
        }
    }

    /// `self.name = value` or, without a value, `del self.name`.
    pub(crate) fn set_attribute(&self, name: &Self, value: Option<&Self>) -> Result<(), ErrorSet> {
        let value = value.map_or(ptr::null_mut(), Self::as_ptr);
        // SAFETY: the objects are alive; a null value deletes the attribute.
        checked(unsafe { ffi::PyObject_SetAttr(self.as_ptr(), name.as_ptr(), value) }).map(drop)
    }

    /// The attribute of an object, `None` if it has none of that name.
    pub(crate) fn optional_attribute(&self, name: &Self) -> Result<Option<Self>, ErrorSet> {
        let mut found = ptr::null_mut();
        // SAFETY: both objects are alive. `found` receives a new reference, or null.
        unsafe {
            checked(ffi::PyObject_GetOptionalAttr(self.as_ptr(), name.as_ptr(), &raw mut found))?;
            Ok(Self::new(found).ok())
        }
    }

    /// The value of a key of a dict, `None` if it has none; anything but a dict raises.
    #[inline(always)]
    pub(crate) fn dict_item(&self, key: &Self) -> Result<Option<Self>, ErrorSet> {
        let mut found = ptr::null_mut();
        // SAFETY: both objects are alive. `found` receives a new reference, or null.
        unsafe {
            let (dict, key) = (self.as_ptr(), key.as_ptr());
            checked(ffi::PyDict_GetItemRef(dict, key, &raw mut found))?;
            Ok(Self::new(found).ok())
        }
    }

    /// `dict.copy(self)`; anything but a dict raises.
    pub(crate) fn dict_copy(&self) -> Result<Self, ErrorSet> {
        // SAFETY: the object is alive; the call returns a new reference or null.
        unsafe { Self::new(ffi::PyDict_Copy(self.as_ptr())) }
    }

    /// The item of a sequence at `index`.
    pub(crate) fn item_at(&self, index: isize) -> Result<Self, ErrorSet> {
        // SAFETY: the object is alive; an index outside of the sequence raises.
        unsafe { Self::new(ffi::PySequence_GetItem(self.as_ptr(), index)) }
    }

    /// `self[key] = value`
    pub(crate) fn set_item(&self, key: &Self, value: &Self) -> Result<(), ErrorSet> {
        // SAFETY: the objects are alive.
        let result = unsafe { ffi::PyObject_SetItem(self.as_ptr(), key.as_ptr(), value.as_ptr()) };
        checked(result).map(drop)
    }

    /// The next item of an iterator, `None` at its end.
    pub(crate) fn next_item(&self) -> Result<Option<Self>, ErrorSet> {
        // SAFETY: the object is alive, and an iterator, since `iterator` returned it.
        match unsafe { Self::new(ffi::PyIter_Next(self.as_ptr())) } {
            Ok(item) => Ok(Some(item)),
            Err(ErrorSet) if is_exception_set() => Err(ErrorSet),
            Err(ErrorSet) => Ok(None),
        }
    }

    /// Calls `body` with each item of an iterable.
    pub(crate) fn for_each(
        &self,
        mut body: impl FnMut(Self) -> Result<(), ErrorSet>,
    ) -> Result<(), ErrorSet> {
        let iterator = self.iterator()?;
        while let Some(item) = iterator.next_item()? {
            body(item)?;
        }
        Ok(())
    }

    /// Whether the garbage collector tracks the object.
    pub(crate) fn is_tracked(&self) -> bool {
        // SAFETY: the object is alive; for types without the garbage collector the answer is no.
        unsafe { ffi::PyObject_GC_IsTracked(self.as_ptr()) != 0 }
    }

    /// The type of the object, as an object.
    pub(crate) fn type_object(&self) -> &Self {
        // SAFETY: an object has a type, which it keeps alive; `Py_TYPE` reads the second field of
        // the head, to which a reference lives as long as that to the object.
        unsafe {
            let object = self.as_ptr();
            let ob_type = &raw const (*object).ob_type;
            Self::borrowed(&*ob_type.cast::<RawObject>())
        }
    }

    /// The name of the type, with its module if it is not a built-in one.
    pub(crate) fn type_name(&self) -> &CStr {
        // SAFETY: a type has a name, which lives as long as the type.
        unsafe { CStr::from_ptr((*ffi::Py_TYPE(self.as_ptr())).tp_name) }
    }

    /// The items of a tuple, `None` if the object is not exactly a tuple.
    #[inline(always)]
    pub(crate) fn tuple_items(&self) -> Option<&[Self]> {
        // SAFETY: the object is alive, and exactly a tuple where its items are read.
        unsafe { (ffi::PyTuple_CheckExact(self.as_ptr()) != 0).then(|| self.items_unchecked()) }
    }

    /// As [`tuple_items`](Self::tuple_items), also for instances of subclasses.
    pub(crate) fn items_of_tuple_like(&self) -> Option<&[Self]> {
        // SAFETY: the object is alive. Subclasses of `tuple` have the layout of a tuple up to the
        // end of its items.
        unsafe { (ffi::PyTuple_Check(self.as_ptr()) != 0).then(|| self.items_unchecked()) }
    }

    /// The items of a tuple.
    ///
    /// # Safety
    ///
    /// The object is a tuple or an instance of a subclass.
    #[inline(always)]
    unsafe fn items_unchecked(&self) -> &[Self] {
        // SAFETY: a tuple has as many items, one after the other, as its size says. Tuples do not
        // change as long as other code can see them, and keep their items alive.
        unsafe {
            let size = ffi::PyTuple_GET_SIZE(self.as_ptr()) as usize;
            let items = &raw const (*self.as_ptr().cast::<ffi::PyTupleObject>()).ob_item;
            Self::borrowed_array(items.cast(), size)
        }
    }

    /// `()`, `(a,)`, `(a, b)` ...
    pub(crate) fn tuple<const N: usize>(items: [&Self; N]) -> Result<Self, ErrorSet> {
        Self::collect_tuple(items.into_iter())
    }

    /// `tuple(items)`
    pub(crate) fn tuple_of(items: &[Self]) -> Result<Self, ErrorSet> {
        Self::collect_tuple(items.iter())
    }

    #[inline(always)]
    fn collect_tuple<'a>(items: impl ExactSizeIterator<Item = &'a Self>) -> Result<Self, ErrorSet> {
        // SAFETY: the tuple is new and has as many places as there are items. The loop stores a new
        // reference in each place.
        unsafe {
            let tuple = Self::new(ffi::PyTuple_New(items.len() as isize))?;
            for (index, item) in (0..).zip(items) {
                ffi::PyTuple_SET_ITEM(tuple.as_ptr(), index, item.clone().into_ptr());
            }
            Ok(tuple)
        }
    }

    /// `[]`
    pub(crate) fn list() -> Result<Self, ErrorSet> {
        // SAFETY: the call returns a new reference, or null with an exception set.
        unsafe { Self::new(ffi::PyList_New(0)) }
    }

    /// `{}`
    pub(crate) fn dict() -> Result<Self, ErrorSet> {
        // SAFETY: the call returns a new reference, or null with an exception set.
        unsafe { Self::new(ffi::PyDict_New()) }
    }

    /// `set()`
    pub(crate) fn set() -> Result<Self, ErrorSet> {
        // SAFETY: for null, the set is empty.
        unsafe { Self::new(ffi::PySet_New(ptr::null_mut())) }
    }

    /// `list.append(self, item)`; anything but a list raises.
    pub(crate) fn append(&self, item: &Self) -> Result<(), ErrorSet> {
        // SAFETY: both objects are alive.
        checked(unsafe { ffi::PyList_Append(self.as_ptr(), item.as_ptr()) }).map(drop)
    }

    /// `set.add(self, item)`; anything but a set raises.
    pub(crate) fn add(&self, item: &Self) -> Result<(), ErrorSet> {
        // SAFETY: both objects are alive.
        checked(unsafe { ffi::PySet_Add(self.as_ptr(), item.as_ptr()) }).map(drop)
    }

    /// A string.
    pub(crate) fn text(text: &'static CStr) -> Result<Self, ErrorSet> {
        // SAFETY: a `CStr` ends with a null byte; all texts of the module are ASCII.
        unsafe { Self::new(ffi::PyUnicode_FromString(text.as_ptr())) }
    }

    /// Whether a `str` is equal to an ASCII text; false for other objects.
    pub(crate) fn is_ascii(&self, text: &'static CStr) -> bool {
        // SAFETY: the object is a string where it is compared, and the text ends with a null byte.
        self.is_text()
            && unsafe { ffi::PyUnicode_CompareWithASCIIString(self.as_ptr(), text.as_ptr()) == 0 }
    }

    /// `format` with one object, for which it has a `%R` (repr) or, for a string, a `%U`.
    pub(crate) fn format(format: &'static CStr, argument: &Self) -> Result<Self, ErrorSet> {
        // SAFETY: callers pass formats for one object, which is alive.
        unsafe {
            Self::new(ffi::calling!(PyUnicode_FromFormat(format.as_ptr(), argument.as_ptr())))
        }
    }

    /// `format`, in which two `%R` stand for the `repr` of two objects.
    pub(crate) fn format_two(
        format: &'static CStr,
        first: &Self,
        second: &Self,
    ) -> Result<Self, ErrorSet> {
        let (first, second) = (first.as_ptr(), second.as_ptr());
        // SAFETY: callers pass formats for two objects, which are alive.
        unsafe { Self::new(ffi::calling!(PyUnicode_FromFormat(format.as_ptr(), first, second))) }
    }

    /// `format` with a name, for which it has a `%s`, and an object, for which it has a `%R`.
    pub(crate) fn format_named(
        format: &'static CStr,
        name: &CStr,
        argument: &Self,
    ) -> Result<Self, ErrorSet> {
        let (name, argument) = (name.as_ptr(), argument.as_ptr());
        // SAFETY: callers pass formats for a C string and an object; both are alive.
        unsafe { Self::new(ffi::calling!(PyUnicode_FromFormat(format.as_ptr(), name, argument))) }
    }

    /// `separator.join(self)`; anything but an iterable of strings raises.
    pub(crate) fn join(&self, separator: &'static CStr) -> Result<Self, ErrorSet> {
        let separator = Self::text(separator)?;
        // SAFETY: both objects are alive.
        unsafe { Self::new(ffi::PyUnicode_Join(separator.as_ptr(), self.as_ptr())) }
    }
}

/// Exact and abstract types of CPython.
macro_rules! type_checks {
    ($($(#[$doc:meta])* $name:ident = $($function:ident)||+;)*) => {
        impl Owned {
            $(
                $(#[$doc])*
                #[inline(always)]
                pub(crate) fn $name(&self) -> bool {
                    // SAFETY: the object is alive; the functions read its type.
                    unsafe { $(ffi::$function(self.as_ptr()) != 0)||+ }
                }
            )*
        }
    };
}

type_checks! {
    is_dict = PyDict_CheckExact;
    /// Whether the object is a `dict` or an instance of a subclass.
    is_dict_like = PyDict_Check;
    is_dict_keys = PyDictKeys_Check;
    is_dict_items = PyDictItems_Check;
    /// Whether the object is a `set` or a `frozenset`, or an instance of a subclass.
    is_set_like = PyAnySet_Check;
    is_set_or_frozenset = PyAnySet_CheckExact;
    is_set = PySet_CheckExact;
    is_frozenset = PyFrozenSet_CheckExact;
    is_text = PyUnicode_Check;
    is_exact_text = PyUnicode_CheckExact;
    is_exact_bytes = PyBytes_CheckExact;
    is_list = PyList_CheckExact;
    is_type = PyType_Check;
    is_mapping_like = PyMapping_Check;
    is_function = PyFunction_Check;
    is_callable = PyCallable_Check;
    is_exception_type = PyExceptionClass_Check;
}

/// Guards against infinite recursion of a repr: runs `body`, or returns `in_cycle` if the repr of
/// `object` is being made further up on this stack.
pub(crate) fn repr_of_container(
    object: &Owned,
    in_cycle: &'static CStr,
    body: impl FnOnce() -> Result<Owned, ErrorSet>,
) -> Result<Owned, ErrorSet> {
    // SAFETY: the object is alive; `Py_ReprLeave` follows each successful `Py_ReprEnter`.
    unsafe {
        if checked(ffi::Py_ReprEnter(object.as_ptr()))? != 0 {
            return Owned::text(in_cycle);
        }
        let text = body();
        ffi::Py_ReprLeave(object.as_ptr());
        text
    }
}

/// The body of the `tp_getattro` of a proxy: its own attribute, or else that of its original, which
/// `original_of` finds.
///
/// An original may be a proxy in turn. Such nests are walked in a loop, not by recursion.
pub(crate) fn attribute_of_proxy(
    proxy: &Owned,
    name: &Owned,
    original_of: impl Fn(&Owned) -> Option<Owned>,
) -> Result<Owned, ErrorSet> {
    let mut object = proxy.clone();
    while let Some(original) = original_of(&object) {
        match object.generic_attribute(name) {
            Err(ErrorSet) if Exception::AttributeError.is_set() => clear_exception(),
            result => return result,
        }
        object = original;
    }
    object.attribute(name)
}

/// The body of a `tp_richcompare` that has `==` and `!=` of comparable objects only.
pub(crate) fn eq_or_ne(
    operator: c_int,
    comparable: bool,
    are_equal: impl FnOnce() -> Result<bool, ErrorSet>,
) -> Result<Owned, ErrorSet> {
    let (equal, not_equal) = (operator == ffi::Py_EQ, operator == ffi::Py_NE);
    if !comparable || !(equal || not_equal) {
        return Ok(Owned::not_implemented());
    }
    Ok(Owned::from_bool(are_equal()? == equal))
}
