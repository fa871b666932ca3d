//! Slots made of safe functions: see `mod.rs`.

#![allow(unsafe_code)] // Argues once for each shape why CPython's arguments may be used.

use super::{Slot, function, returned};
use crate::python::interpreter::{ErrorSet, Owned, RawObject, TypedObject, catch_panic, ffi};
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

/// The result of a slot that returns an object: some return null without an exception at the end.
pub(crate) trait SlotResult {
    fn into_raw(self) -> RawObject;
}

impl SlotResult for Owned {
    #[inline(always)]
    fn into_raw(self) -> RawObject {
        self.into_ptr()
    }
}

impl SlotResult for Option<Owned> {
    #[inline(always)]
    fn into_raw(self) -> RawObject {
        self.map_or(ptr::null_mut(), Owned::into_ptr)
    }
}

impl<T: TypedObject> Slot<T> {
    /// A slot with a shape that the safe ones do not cover.
    ///
    /// # Safety
    ///
    /// The function, or the table, has the type that CPython's documentation gives for the slot
    /// with this number, and works on instances of the type of `T`.
    pub(crate) const unsafe fn raw(number: c_int, function: *mut c_void) -> Self {
        Self(number, function, PhantomData)
    }

    /// Instances have no hash.
    pub(crate) fn unhashable() -> Self {
        Self(ffi::Py_tp_hash, ffi::slot::PyObject_HashNotImplemented as *mut c_void, PhantomData)
    }

    /// `len(self)`
    pub(crate) fn length<F: Fn(&T) -> usize + Copy>(_: F) -> Self {
        unsafe extern "C" fn call<T, F>(this: RawObject) -> ffi::Py_ssize_t
        where
            T: TypedObject,
            F: Fn(&T) -> usize + Copy,
        {
            // SAFETY: CPython passes an instance of the type that has the slot, that of `T`, and
            // its caller keeps the instance alive.
            catch_panic(|| unsafe {
                Ok(function::<F>()(T::unchecked(Owned::borrowed(&this))) as ffi::Py_ssize_t)
            })
        }
        Self(ffi::Py_mp_length, call::<T, F> as *mut c_void, PhantomData)
    }

    /// `len(self)`, which may raise.
    pub(crate) fn fallible_length<F: Fn(&T) -> Result<usize, ErrorSet> + Copy>(_: F) -> Self {
        unsafe extern "C" fn call<T, F>(this: RawObject) -> ffi::Py_ssize_t
        where
            T: TypedObject,
            F: Fn(&T) -> Result<usize, ErrorSet> + Copy,
        {
            // SAFETY: the slot is that of the type of `T`, so CPython passes an instance, which its
            // caller keeps alive.
            catch_panic(|| unsafe {
                let length = function::<F>()(T::unchecked(Owned::borrowed(&this)))?;
                Ok(length as ffi::Py_ssize_t)
            })
        }
        Self(ffi::Py_mp_length, call::<T, F> as *mut c_void, PhantomData)
    }

    /// `hash(self)`
    pub(crate) fn hash<F: Fn(&T) -> Result<ffi::Py_hash_t, ErrorSet> + Copy>(_: F) -> Self {
        unsafe extern "C" fn call<T, F>(this: RawObject) -> ffi::Py_hash_t
        where
            T: TypedObject,
            F: Fn(&T) -> Result<ffi::Py_hash_t, ErrorSet> + Copy,
        {
            // SAFETY: as in `length`, the slot is that of the type of `T`, so `this` is a live
            // instance.
            catch_panic(|| unsafe { function::<F>()(T::unchecked(Owned::borrowed(&this))) })
        }
        Self(ffi::Py_tp_hash, call::<T, F> as *mut c_void, PhantomData)
    }

    /// Slots of one operand, such as `tp_repr`, `tp_iter` and `tp_iternext`.
    fn of_one<R: SlotResult, F: Fn(&T) -> Result<R, ErrorSet> + Copy>(number: c_int, _: F) -> Self {
        unsafe extern "C" fn call<T, R, F>(this: RawObject) -> RawObject
        where
            T: TypedObject,
            R: SlotResult,
            F: Fn(&T) -> Result<R, ErrorSet> + Copy,
        {
            // SAFETY: the slot is that of the type of `T`, so CPython passes an instance, which its
            // caller keeps alive.
            catch_panic(|| unsafe {
                function::<F>()(T::unchecked(Owned::borrowed(&this))).map(R::into_raw)
            })
        }
        Self(number, call::<T, R, F> as *mut c_void, PhantomData)
    }

    /// `repr(self)`
    pub(crate) fn repr(f: impl Fn(&T) -> Result<Owned, ErrorSet> + Copy) -> Self {
        Self::of_one(ffi::Py_tp_repr, f)
    }

    /// `iter(self)`
    pub(crate) fn iter(f: impl Fn(&T) -> Result<Owned, ErrorSet> + Copy) -> Self {
        Self::of_one(ffi::Py_tp_iter, f)
    }

    /// `am_await`: the iterator behind `await self`.
    pub(crate) fn await_iterator(f: impl Fn(&T) -> Result<Owned, ErrorSet> + Copy) -> Self {
        Self::of_one(ffi::Py_am_await, f)
    }

    /// `am_anext`: the awaitable of the next item of an async iterator.
    pub(crate) fn anext(f: impl Fn(&T) -> Result<Owned, ErrorSet> + Copy) -> Self {
        Self::of_one(ffi::Py_am_anext, f)
    }

    /// Returns the object itself, for `tp_iter`, `am_await` or `am_aiter`.
    pub(crate) fn itself(number: c_int) -> Self {
        Self(number, ffi::slot::PyObject_SelfIter as *mut c_void, PhantomData)
    }

    /// `self.name = value` or, without a value, `del self.name`.
    pub(crate) fn set_attribute<F>(f: F) -> Self
    where
        F: Fn(&T, &Owned, Option<&Owned>) -> Result<(), ErrorSet> + Copy,
    {
        // The function has the type of `mp_ass_subscript`.
        Self(ffi::Py_tp_setattro, Self::assign(f).1, PhantomData)
    }

    /// `self[key]`
    pub(crate) fn subscript<F: Fn(&T, &Owned) -> Result<Owned, ErrorSet> + Copy>(f: F) -> Self {
        Self::of_two(ffi::Py_mp_subscript, f)
    }

    /// `getattr(self, name)`
    pub(crate) fn get_attribute(f: impl Fn(&T, &Owned) -> Result<Owned, ErrorSet> + Copy) -> Self {
        Self::of_two(ffi::Py_tp_getattro, f)
    }

    /// Slots of an instance and another object.
    fn of_two<F: Fn(&T, &Owned) -> Result<Owned, ErrorSet> + Copy>(number: c_int, _: F) -> Self {
        unsafe extern "C" fn call<T, F>(this: RawObject, other: RawObject) -> RawObject
        where
            T: TypedObject,
            F: Fn(&T, &Owned) -> Result<Owned, ErrorSet> + Copy,
        {
            // SAFETY: the slot is that of the type of `T`, so CPython passes an instance and
            // another object, which its caller keeps alive.
            returned(|| unsafe {
                function::<F>()(T::unchecked(Owned::borrowed(&this)), Owned::borrowed(&other))
            })
        }
        Self(number, call::<T, F> as *mut c_void, PhantomData)
    }

    /// Binary operators, such as `nb_or`: either operand may be the instance.
    pub(crate) fn operator<F>(number: c_int, _: F) -> Self
    where
        F: Fn(&Owned, &Owned) -> Result<Owned, ErrorSet> + Copy,
    {
        unsafe extern "C" fn call<F>(left: RawObject, right: RawObject) -> RawObject
        where
            F: Fn(&Owned, &Owned) -> Result<Owned, ErrorSet> + Copy,
        {
            // SAFETY: CPython passes two objects, which its caller keeps alive. The function does
            // not rely on the type of either.
            returned(|| unsafe { function::<F>()(Owned::borrowed(&left), Owned::borrowed(&right)) })
        }
        Self(number, call::<F> as *mut c_void, PhantomData)
    }

    /// `item in self`
    pub(crate) fn contains<F: Fn(&T, &Owned) -> Result<bool, ErrorSet> + Copy>(_: F) -> Self {
        unsafe extern "C" fn call<T, F>(this: RawObject, item: RawObject) -> c_int
        where
            T: TypedObject,
            F: Fn(&T, &Owned) -> Result<bool, ErrorSet> + Copy,
        {
            // SAFETY: the slot is that of the type of `T`, so CPython passes an instance and an
            // object, which its caller keeps alive.
            catch_panic(|| unsafe {
                function::<F>()(T::unchecked(Owned::borrowed(&this)), Owned::borrowed(&item))
                    .map(c_int::from)
            })
        }
        Self(ffi::Py_sq_contains, call::<T, F> as *mut c_void, PhantomData)
    }

    /// `self == other`, `self < other` ...
    pub(crate) fn compare<F>(_: F) -> Self
    where
        F: Fn(&T, &Owned, c_int) -> Result<Owned, ErrorSet> + Copy,
    {
        unsafe extern "C" fn call<T, F>(
            this: RawObject,
            other: RawObject,
            operator: c_int,
        ) -> RawObject
        where
            T: TypedObject,
            F: Fn(&T, &Owned, c_int) -> Result<Owned, ErrorSet> + Copy,
        {
            // SAFETY: CPython calls the slot of the type of `T` with an instance first, also for
            // the reflected operation, and another object. Its caller keeps both alive.
            returned(|| unsafe {
                let this = T::unchecked(Owned::borrowed(&this));
                function::<F>()(this, Owned::borrowed(&other), operator)
            })
        }
        Self(ffi::Py_tp_richcompare, call::<T, F> as *mut c_void, PhantomData)
    }

    /// `self[key] = value` or, without a value, `del self[key]`.
    pub(crate) fn assign<F>(_: F) -> Self
    where
        F: Fn(&T, &Owned, Option<&Owned>) -> Result<(), ErrorSet> + Copy,
    {
        unsafe extern "C" fn call<T, F>(this: RawObject, key: RawObject, value: RawObject) -> c_int
        where
            T: TypedObject,
            F: Fn(&T, &Owned, Option<&Owned>) -> Result<(), ErrorSet> + Copy,
        {
            // SAFETY: the slot is that of the type of `T`, so CPython passes an instance, a key,
            // and a value or null. Its caller keeps them alive.
            catch_panic(|| unsafe {
                let this = T::unchecked(Owned::borrowed(&this));
                let value = Owned::borrowed_or_null(&value);
                function::<F>()(this, Owned::borrowed(&key), value).map(|()| 0)
            })
        }
        Self(ffi::Py_mp_ass_subscript, call::<T, F> as *mut c_void, PhantomData)
    }

    /// `__get__(self, object, type)`; the object is missing if the attribute is read from the type.
    pub(crate) fn descriptor<F>(_: F) -> Self
    where
        F: Fn(&T, Option<&Owned>) -> Result<Owned, ErrorSet> + Copy,
    {
        unsafe extern "C" fn call<T, F>(
            this: RawObject,
            object: RawObject,
            _: RawObject,
        ) -> RawObject
        where
            T: TypedObject,
            F: Fn(&T, Option<&Owned>) -> Result<Owned, ErrorSet> + Copy,
        {
            // SAFETY: the slot is that of the type of `T`, so CPython passes an instance, and an
            // object or null. The reader of the attribute keeps both alive.
            returned(|| unsafe {
                let this = T::unchecked(Owned::borrowed(&this));
                function::<F>()(this, Owned::borrowed_or_null(&object))
            })
        }
        Self(ffi::Py_tp_descr_get, call::<T, F> as *mut c_void, PhantomData)
    }

    /// `T(*arguments, **keywords)`: the function gets a tuple, and a dict if there are keywords.
    pub(crate) fn new<F>(_: F) -> Self
    where
        F: Fn(&Owned, Option<&Owned>) -> Result<Owned, ErrorSet> + Copy,
    {
        unsafe extern "C" fn call<F>(
            _: *mut ffi::PyTypeObject,
            arguments: RawObject,
            keywords: RawObject,
        ) -> RawObject
        where
            F: Fn(&Owned, Option<&Owned>) -> Result<Owned, ErrorSet> + Copy,
        {
            // SAFETY: CPython passes the type (it has no subclasses), a tuple, and a dict or null.
            // The caller of the type keeps them alive.
            returned(|| unsafe {
                function::<F>()(Owned::borrowed(&arguments), Owned::borrowed_or_null(&keywords))
            })
        }
        Self(ffi::Py_tp_new, call::<F> as *mut c_void, PhantomData)
    }

    /// `__init__(self, *arguments, **keywords)`: the function gets a tuple, and a dict if there are
    /// keywords.
    pub(crate) fn init<F>(_: F) -> Self
    where
        F: Fn(&T, &Owned, Option<&Owned>) -> Result<(), ErrorSet> + Copy,
    {
        unsafe extern "C" fn call<T, F>(
            this: RawObject,
            arguments: RawObject,
            keywords: RawObject,
        ) -> c_int
        where
            T: TypedObject,
            F: Fn(&T, &Owned, Option<&Owned>) -> Result<(), ErrorSet> + Copy,
        {
            // SAFETY: the slot is that of the type of `T` and its subclasses, so CPython passes an
            // instance, a tuple, and a dict or null. Its caller keeps them alive.
            catch_panic(|| unsafe {
                let this = T::unchecked(Owned::borrowed(&this));
                let keywords = Owned::borrowed_or_null(&keywords);
                function::<F>()(this, Owned::borrowed(&arguments), keywords).map(|()| 0)
            })
        }
        Self(ffi::Py_tp_init, call::<T, F> as *mut c_void, PhantomData)
    }

    /// Breaks the cycles through an instance that the garbage collector has found unreachable.
    pub(crate) fn clear<F: Fn(&T) + Copy>(_: F) -> Self {
        unsafe extern "C" fn call<T: TypedObject, F: Fn(&T) + Copy>(this: RawObject) -> c_int {
            // SAFETY: the slot is that of the type of `T`; the collector keeps the instance alive
            // during the call.
            catch_panic(|| unsafe {
                function::<F>()(T::unchecked(Owned::borrowed(&this)));
                Ok(0)
            })
        }
        Self(ffi::Py_tp_clear, call::<T, F> as *mut c_void, PhantomData)
    }
}
