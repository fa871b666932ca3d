//! Rows of method tables and slots, made of safe functions: one wrapper for each shape.
//!
//! | shape | the function |
//! | --- | --- |
//! | [`Method::without_arguments`] | `fn(&T) -> Result<Owned, ErrorSet>` |
//! | [`Method::one`] | `fn(&T, &Owned) -> Result<Owned, ErrorSet>` |
//! | [`Method::fast`] | `fn(&T, &[Owned]) -> Result<Owned, ErrorSet>` |
//! | [`Method::keywords`] | `fn(&T, Arguments) -> Result<Owned, ErrorSet>` |
//! | [`Method::of_type`] | `fn(&[Owned]) -> Result<Owned, ErrorSet>`, a class method |
//! | [`Getter::new`] | `fn(&T) -> Result<Owned, ErrorSet>` |
//! | [`Slot`] | one constructor for each group of slots with one signature |
//!
//! `T` is the [`TypedObject`] of the instances. A row for `T` can be put into the tables of the
//! type of `T` only. That is the argument why the wrappers may take `self` for a `T`: CPython calls
//! the functions of a table with instances of the type that has the table. It checks the type of
//! `self` in method descriptors and slot wrappers. Only `GroupBase` and `GroupMetaBase` have
//! subclasses, and their `T` accepts the instances.
//!
//! A wrapper is an `extern "C"` function that is generic over the type of the safe function. This
//! type has no size, so the wrapper gets the function from its type alone, and calls it directly.

#![allow(unsafe_code)] // Argues once for each shape why CPython's arguments may be used.

mod slots;

use super::instance::TypedObject;
use super::{ErrorSet, Owned, RawObject, catch_panic, ffi};
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

/// The function of type `F`.
///
/// Each caller is a wrapper that was made by a function which received a value of `F`.
#[inline(always)]
fn function<F: Copy>() -> F {
    const { assert!(size_of::<F>() == 0, "the function has state, as a closure that captures") };
    // SAFETY: reading a value without size reads no memory. The type is inhabited, since a value
    // of it was at hand when the wrapper was made, and may be copied.
    unsafe { NonNull::<F>::dangling().read() }
}

/// The result of a wrapper, with panics turned into exceptions.
#[inline(always)]
fn returned(body: impl FnOnce() -> Result<Owned, ErrorSet>) -> RawObject {
    catch_panic(|| body().map(Owned::into_ptr))
}

/// A row of a method table. The caller makes sure that the function takes what `flags` says.
const fn row(
    name: &'static CStr,
    call: ffi::PyMethodDefPointer,
    flags: c_int,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: call,
        ml_flags: flags,
        ml_doc: doc.as_ptr(),
    }
}

/// A row of the method table of `T`.
pub(crate) struct Method<T>(
    pub(in crate::python::interpreter) ffi::PyMethodDef,
    PhantomData<fn(&T)>,
);

/// A row of the table of computed attributes of `T`.
pub(crate) struct Getter<T>(
    pub(in crate::python::interpreter) ffi::PyGetSetDef,
    PhantomData<fn(&T)>,
);

/// A slot of the type of `T`: its number and its function.
pub(crate) struct Slot<T>(
    pub(in crate::python::interpreter) c_int,
    pub(in crate::python::interpreter) *mut c_void,
    PhantomData<fn(&T)>,
);

/// The arguments of a call with keywords.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a> {
    pub(crate) positional: &'a [Owned],
    /// The array of the positional arguments and, behind them, the values of the keywords.
    array: *const RawObject,
    /// The tuple of the names, or null.
    names_tuple: RawObject,
    names: &'a [Owned],
    values: &'a [Owned],
}

impl<'a> Arguments<'a> {
    /// The arguments that CPython passes to `METH_FASTCALL | METH_KEYWORDS` and vectorcall
    /// functions.
    ///
    /// # Safety
    ///
    /// `array` has `count` positional arguments and, behind them, the values of the keywords, whose
    /// names are in the tuple `names`, unless that is null. All are alive during `'a`.
    #[inline(always)]
    pub(crate) unsafe fn new(array: *const RawObject, count: usize, names: &'a RawObject) -> Self {
        // SAFETY: the array is as long as the contract says, and CPython's names are a tuple.
        unsafe {
            let names_tuple = *names;
            let names = Owned::borrowed_or_null(names).and_then(Owned::tuple_items);
            let names = names.unwrap_or_default();
            Self {
                positional: Owned::borrowed_array(array, count),
                array,
                names_tuple,
                names,
                values: Owned::borrowed_array(array.wrapping_add(count), names.len()),
            }
        }
    }

    /// The names and values of the keywords.
    pub(crate) fn keywords(self) -> impl Iterator<Item = (&'a Owned, &'a Owned)> {
        self.names.iter().zip(self.values)
    }

    /// The call of the first argument with the other ones, `None` without an argument.
    #[inline(always)]
    pub(crate) fn first_call(self) -> Option<FirstCall<'a>> {
        let (function, others) = self.positional.split_first()?;
        let (array, names) = (self.array.wrapping_add(1), self.names_tuple);
        Some(FirstCall { function, array, count: others.len(), names })
    }

    /// The value of the only keyword that `function` takes, `None` if it is not given. Any other
    /// keyword raises `TypeError`.
    #[inline]
    pub(crate) fn keyword(
        self,
        function: &'static CStr,
        keyword: &'static CStr,
    ) -> Result<Option<&'a Owned>, ErrorSet> {
        let mut found = None;
        for (name, value) in self.keywords() {
            if !name.is_ascii(keyword) {
                // SAFETY: the format takes a C string and an object, which is alive.
                unsafe {
                    ffi::calling!(PyErr_Format(
                        ffi::PyExc_TypeError,
                        c"%s() got an unexpected keyword argument %R".as_ptr(),
                        function.as_ptr(),
                        name.as_ptr(),
                    ));
                }
                return Err(ErrorSet);
            }
            found = Some(value);
        }
        Ok(found)
    }

    pub(crate) fn has_keywords(&self) -> bool {
        !self.names.is_empty()
    }
}

/// A call of the first argument of a function with the other ones.
pub(crate) struct FirstCall<'a> {
    function: &'a Owned,
    array: *const RawObject,
    count: usize,
    names: RawObject,
}

impl FirstCall<'_> {
    #[inline(always)]
    pub(crate) fn make(self) -> Result<Owned, ErrorSet> {
        // SAFETY: the arguments are those of `Arguments` without the first one: the values of the
        // keywords lie behind `count` positional ones. All are alive as long as the function is.
        unsafe {
            let Self { function, array, count, names } = self;
            Owned::new(ffi::PyObject_Vectorcall(function.as_ptr(), array, count, names))
        }
    }
}

impl<T: TypedObject> Method<T> {
    /// A row of a method table, for a function with a shape that the safe ones do not cover.
    ///
    /// # Safety
    ///
    /// The function takes what `flags` says, of an instance of the type of `T`.
    pub(crate) const unsafe fn raw(
        name: &'static CStr,
        call: ffi::PyMethodDefPointer,
        flags: c_int,
        doc: &'static CStr,
    ) -> Self {
        Self(row(name, call, flags, doc), PhantomData)
    }

    /// `name(self)`
    pub(crate) fn without_arguments<F>(name: &'static CStr, _: F, doc: &'static CStr) -> Self
    where
        F: Fn(&T) -> Result<Owned, ErrorSet> + Copy,
    {
        unsafe extern "C" fn call<T: TypedObject, F>(this: RawObject, _: RawObject) -> RawObject
        where
            F: Fn(&T) -> Result<Owned, ErrorSet> + Copy,
        {
            // SAFETY: the row is in the table of the type of `T`, so CPython passes an instance of
            // that type, which the caller of the method keeps alive.
            returned(|| unsafe { function::<F>()(T::unchecked(Owned::borrowed(&this))) })
        }
        let call = ffi::PyMethodDefPointer { PyCFunction: call::<T, F> };
        // SAFETY: a function with this flag gets `self` and null.
        unsafe { Self::raw(name, call, ffi::METH_NOARGS, doc) }
    }

    /// The row, for a special method that has a slot as well.
    pub(crate) fn coexisting(mut self) -> Self {
        self.0.ml_flags |= ffi::METH_COEXIST;
        self
    }

    /// `name(self, argument)`
    pub(crate) fn one<F>(name: &'static CStr, _: F, doc: &'static CStr) -> Self
    where
        F: Fn(&T, &Owned) -> Result<Owned, ErrorSet> + Copy,
    {
        unsafe extern "C" fn call<T: TypedObject, F>(this: RawObject, one: RawObject) -> RawObject
        where
            F: Fn(&T, &Owned) -> Result<Owned, ErrorSet> + Copy,
        {
            // SAFETY: CPython passes an instance of the type of `T`, whose table has the row, and
            // one argument. The caller of the method keeps both alive.
            returned(|| unsafe {
                function::<F>()(T::unchecked(Owned::borrowed(&this)), Owned::borrowed(&one))
            })
        }
        let call = ffi::PyMethodDefPointer { PyCFunction: call::<T, F> };
        // SAFETY: a function with this flag gets `self` and one argument.
        unsafe { Self::raw(name, call, ffi::METH_O, doc) }
    }

    /// `name(self, *arguments)`
    pub(crate) fn fast<F>(name: &'static CStr, _: F, doc: &'static CStr) -> Self
    where
        F: Fn(&T, &[Owned]) -> Result<Owned, ErrorSet> + Copy,
    {
        unsafe extern "C" fn call<T: TypedObject, F>(
            this: RawObject,
            arguments: *mut RawObject,
            count: ffi::Py_ssize_t,
        ) -> RawObject
        where
            F: Fn(&T, &[Owned]) -> Result<Owned, ErrorSet> + Copy,
        {
            // SAFETY: CPython passes an instance of the type of `T`, whose table has the row, and
            // an array of `count` arguments. The caller of the method keeps all of them alive.
            returned(|| unsafe {
                let arguments = Owned::borrowed_array(arguments, count as usize);
                function::<F>()(T::unchecked(Owned::borrowed(&this)), arguments)
            })
        }
        let call = ffi::PyMethodDefPointer { PyCFunctionFast: call::<T, F> };
        // SAFETY: a function with this flag gets `self`, an array and its length.
        unsafe { Self::raw(name, call, ffi::METH_FASTCALL, doc) }
    }

    /// `name(self, *arguments, **keywords)`
    pub(crate) fn keywords<F>(name: &'static CStr, _: F, doc: &'static CStr) -> Self
    where
        F: Fn(&T, Arguments<'_>) -> Result<Owned, ErrorSet> + Copy,
    {
        unsafe extern "C" fn call<T: TypedObject, F>(
            this: RawObject,
            arguments: *const RawObject,
            count: ffi::Py_ssize_t,
            names: RawObject,
        ) -> RawObject
        where
            F: Fn(&T, Arguments<'_>) -> Result<Owned, ErrorSet> + Copy,
        {
            // SAFETY: CPython passes an instance of the type of `T`, whose table has the row,
            // `count` arguments, the values of the keywords behind them, and a tuple of the names
            // or null. The caller of the method keeps all of them alive.
            returned(|| unsafe {
                let arguments = Arguments::new(arguments, count as usize, &names);
                function::<F>()(T::unchecked(Owned::borrowed(&this)), arguments)
            })
        }
        let call = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: call::<T, F> };
        // SAFETY: a function with these flags gets `self`, an array, its length, and the names.
        unsafe { Self::raw(name, call, ffi::METH_FASTCALL | ffi::METH_KEYWORDS, doc) }
    }

    /// A class method, for a type without subclasses: `name(type, *arguments)`.
    pub(crate) fn of_type<F>(name: &'static CStr, f: F, doc: &'static CStr) -> Self
    where
        F: Fn(&[Owned]) -> Result<Owned, ErrorSet> + Copy,
    {
        let ffi::PyMethodDef { ml_meth, ml_flags, .. } = module_function(name, f, doc);
        // SAFETY: a class method gets the type, which the function ignores like the module of a
        // function of a module, an array and its length.
        unsafe { Self::raw(name, ml_meth, ml_flags | ffi::METH_CLASS, doc) }
    }

    /// A class method with one argument, for a type without subclasses: `name(type, argument)`.
    pub(crate) fn of_type_one<F>(name: &'static CStr, _: F, doc: &'static CStr) -> Self
    where
        F: Fn(&Owned) -> Result<Owned, ErrorSet> + Copy,
    {
        unsafe extern "C" fn call<F>(_: RawObject, one: RawObject) -> RawObject
        where
            F: Fn(&Owned) -> Result<Owned, ErrorSet> + Copy,
        {
            // SAFETY: CPython passes the type and one argument, which the caller keeps alive.
            returned(|| unsafe { function::<F>()(Owned::borrowed(&one)) })
        }
        let call = ffi::PyMethodDefPointer { PyCFunction: call::<F> };
        // SAFETY: a function with these flags gets the type and one argument.
        unsafe { Self::raw(name, call, ffi::METH_O | ffi::METH_CLASS, doc) }
    }

    /// The row itself, for a type of the interpreter that gets the method, too.
    pub(crate) fn row(&self) -> ffi::PyMethodDef {
        self.0
    }
}

/// The row of a function of a module: `name(*arguments)`.
pub(crate) fn module_function<F>(name: &'static CStr, _: F, doc: &'static CStr) -> ffi::PyMethodDef
where
    F: Fn(&[Owned]) -> Result<Owned, ErrorSet> + Copy,
{
    unsafe extern "C" fn call<F>(
        _: RawObject,
        arguments: *mut RawObject,
        count: ffi::Py_ssize_t,
    ) -> RawObject
    where
        F: Fn(&[Owned]) -> Result<Owned, ErrorSet> + Copy,
    {
        // SAFETY: CPython passes an array of `count` arguments, which the caller of the function
        // keeps alive.
        returned(|| unsafe { function::<F>()(Owned::borrowed_array(arguments, count as usize)) })
    }
    row(name, ffi::PyMethodDefPointer { PyCFunctionFast: call::<F> }, ffi::METH_FASTCALL, doc)
}

/// The row of a function of a module: `name(*arguments, **keywords)`.
pub(crate) fn module_function_with_keywords<F>(
    name: &'static CStr,
    _: F,
    doc: &'static CStr,
) -> ffi::PyMethodDef
where
    F: Fn(Arguments<'_>) -> Result<Owned, ErrorSet> + Copy,
{
    unsafe extern "C" fn call<F>(
        _: RawObject,
        arguments: *const RawObject,
        count: ffi::Py_ssize_t,
        names: RawObject,
    ) -> RawObject
    where
        F: Fn(Arguments<'_>) -> Result<Owned, ErrorSet> + Copy,
    {
        // SAFETY: CPython passes `count` arguments, the values of the keywords behind them, and a
        // tuple of the names or null. The caller of the function keeps them alive.
        returned(|| unsafe { function::<F>()(Arguments::new(arguments, count as usize, &names)) })
    }
    row(
        name,
        ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: call::<F> },
        ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        doc,
    )
}

/// The row of a function of a module without parameters: `name()`.
pub(crate) fn module_function_without_arguments<F>(
    name: &'static CStr,
    _: F,
    doc: &'static CStr,
) -> ffi::PyMethodDef
where
    F: Fn() -> Result<Owned, ErrorSet> + Copy,
{
    unsafe extern "C" fn call<F: Fn() -> Result<Owned, ErrorSet> + Copy>(
        _: RawObject,
        _: RawObject,
    ) -> RawObject {
        returned(|| function::<F>()())
    }
    row(name, ffi::PyMethodDefPointer { PyCFunction: call::<F> }, ffi::METH_NOARGS, doc)
}

impl<T: TypedObject> Getter<T> {
    /// The row itself, for a type of the interpreter that gets the attribute, too.
    pub(crate) fn row(&self) -> ffi::PyGetSetDef {
        self.0
    }

    /// A computed attribute, which cannot be set.
    pub(crate) fn new<F>(name: &'static CStr, _: F, doc: &'static CStr) -> Self
    where
        F: Fn(&T) -> Result<Owned, ErrorSet> + Copy,
    {
        unsafe extern "C" fn get<T: TypedObject, F>(this: RawObject, _: *mut c_void) -> RawObject
        where
            F: Fn(&T) -> Result<Owned, ErrorSet> + Copy,
        {
            // SAFETY: CPython passes an instance of the type of `T`, whose table has the row, and
            // the reader of the attribute keeps the instance alive.
            returned(|| unsafe { function::<F>()(T::unchecked(Owned::borrowed(&this))) })
        }
        let row = ffi::PyGetSetDef {
            name: name.as_ptr(),
            get: Some(get::<T, F>),
            set: None,
            doc: doc.as_ptr(),
            closure: ptr::null_mut(),
        };
        Self(row, PhantomData)
    }

    /// `__dict__`, for a type whose instances have a dict.
    pub(crate) fn dict() -> Self {
        let row = ffi::PyGetSetDef {
            name: c"__dict__".as_ptr(),
            get: Some(ffi::slot::PyObject_GenericGetDict),
            set: Some(ffi::slot::PyObject_GenericSetDict),
            doc: ptr::null(),
            closure: ptr::null_mut(),
        };
        Self(row, PhantomData)
    }
}
