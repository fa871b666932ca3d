//! The steps of what proxies stand for: `__next__`, `send`, `throw`, `close` and `await`.

#![allow(unsafe_code)] // The functions in the slots of the classes.

use super::class;
use super::ffi::{self, Outcall as _, PySendResult};
use super::object::{Object, Owned, guarded, name, raise_message};
use super::proxy::{iterator_of, proxy};
use std::ptr;

/// Runs `forward`, given the original of the proxy `object`, in the context of the body.
///
/// # Safety
///
/// `object` is a proxy; `forward` returns a new reference, or null.
#[inline]
unsafe fn step(object: Object, forward: impl FnOnce(Object) -> Object) -> Object {
    // SAFETY: as the caller promises.
    guarded(|| unsafe {
        // The body may drop what it can reach.
        let alive = Owned::from_borrowed(object);
        let this = proxy(alive.as_ptr());
        // An iterator that has ended returns null and raises nothing.
        let result = this.body().step(|| Owned::new(forward(this.original())).ok())?;
        Ok(result.map_or(ptr::null_mut(), Owned::into_ptr))
    })
}

/// `__next__`, and so what `for` and `yield from` call.
pub(super) unsafe extern "C" fn next(object: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; its original is an iterator.
    unsafe {
        step(object, |original| match (*ffi::Py_TYPE(original)).tp_iternext {
            Some(next) => next.outcall((original,)),
            None => ptr::null_mut(),
        })
    }
}

/// What C code calls in place of `send`: asyncio's tasks, and `await`.
pub(super) unsafe extern "C" fn send_slot(
    object: Object,
    value: Object,
    result: *mut Object,
) -> PySendResult {
    // SAFETY: CPython checks the class of `object`, and has room for the result.
    guarded(|| unsafe {
        *result = ptr::null_mut();
        let alive = Owned::from_borrowed(object);
        let this = proxy(alive.as_ptr());
        let (outcome, found) = this.body().step(|| {
            let mut found = ptr::null_mut();
            let outcome = ffi::PyIter_Send(this.original(), value, &raw mut found);
            (outcome, Owned::new(found).ok())
        })?;
        *result = found.map_or(ptr::null_mut(), Owned::into_ptr);
        Ok(outcome)
    })
}

unsafe extern "C" fn send(object: Object, value: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; the value is alive.
    unsafe {
        step(object, |original| ffi::PyObject_CallMethodOneArg(original, name!("send"), value))
    }
}

unsafe extern "C" fn throw(
    object: Object,
    arguments: *mut Object,
    count: ffi::Py_ssize_t,
) -> Object {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments.
    unsafe { step(object, |original| call_method(original, name!("throw"), arguments, count)) }
}

unsafe extern "C" fn close(object: Object, _: Object) -> Object {
    // SAFETY: CPython checks the class of `object`.
    unsafe { step(object, |original| ffi::PyObject_CallMethodNoArgs(original, name!("close"))) }
}

/// Calls a method with any number of arguments; null if it raised.
///
/// # Safety
///
/// All objects are alive, and there are `count` arguments.
pub(super) unsafe fn call_method(
    object: Object,
    name: Object,
    arguments: *const Object,
    count: ffi::Py_ssize_t,
) -> Object {
    // SAFETY: as the caller promises.
    unsafe {
        let Ok(method) = Owned::new(ffi::PyObject_GetAttr(object, name)) else {
            return ptr::null_mut();
        };
        ffi::PyObject_Vectorcall(method.as_ptr(), arguments, count as usize, ptr::null_mut())
    }
}

/// `__await__` of a coroutine.
pub(super) unsafe extern "C" fn await_coroutine(object: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; its original can be awaited.
    guarded(|| unsafe {
        let original = proxy(object).original();
        if ffi::PyCoro_CheckExact(original) != 0 {
            // The interpreter looks at this where it awaits a coroutine of its own.
            let awaited = Owned::new(ffi::PyObject_GetAttr(original, name!("cr_await")))?;
            if ffi::Py_IsNone(awaited.as_ptr()) == 0 {
                let message = c"coroutine is being awaited already";
                return Err(raise_message(ffi::PyExc_RuntimeError, message));
            }
        }
        let iterator = ffi::PyObject_CallMethodNoArgs(original, name!("__await__"));
        iterator_of(object, Owned::new(iterator)?)
    })
}

/// The methods of all but async generators.
pub(super) fn methods() -> Vec<ffi::PyMethodDef> {
    vec![
        class::method(
            c"send",
            ffi::PyMethodDefPointer { PyCFunction: send },
            ffi::METH_O,
            c"send($self, value, /)\n--\n\nMake the original go on with a value, in its context.",
        ),
        class::method(
            c"throw",
            ffi::PyMethodDefPointer { PyCFunctionFast: throw },
            ffi::METH_FASTCALL,
            c"throw($self, /, *exception)\n--\n\n\
            Make the original go on with an exception, in its context.",
        ),
        class::method(
            c"close",
            ffi::PyMethodDefPointer { PyCFunction: close },
            ffi::METH_NOARGS,
            c"close($self, /)\n--\n\nEnd the original, in its context.",
        ),
        class::not_to_be_pickled(),
        ffi::PyMethodDef::zeroed(),
    ]
}
