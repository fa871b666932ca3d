//! The steps of what proxies stand for: `__next__`, `send`, `throw`, `close` and `await`.

#![allow(unsafe_code)] // The functions in the slots of the classes.

use crate::python::interpreter::ffi::{CallSlot as _, PySendResult};
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, catch_panic, ffi, name, raise_message, type_object,
};
use crate::python::isolation::proxy::{innermost, iterator_of, proxy};
use std::ptr;

/// Runs `forward`, given the original of the proxy `object`, in the context of the body.
///
/// # Safety
///
/// `object` is a proxy; `forward` returns a new reference, or null.
#[inline]
unsafe fn step(object: RawObject, forward: impl FnOnce(RawObject) -> RawObject) -> RawObject {
    // SAFETY: as the caller promises.
    catch_panic(|| unsafe {
        // The body may drop what it can reach.
        let alive = Owned::from_borrowed(object);
        let this = proxy(alive.as_ptr());
        // An iterator that has ended returns null and raises nothing.
        this.step(|original| Owned::new(forward(original))).map(Owned::into_ptr)
    })
}

/// `__next__`, and so what `for` and `yield from` call.
pub(crate) unsafe extern "C" fn next(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; its original is an iterator.
    unsafe {
        step(object, |original| match (*ffi::Py_TYPE(original)).tp_iternext {
            Some(next) => next.call_slot((original,)),
            None => ptr::null_mut(),
        })
    }
}

/// What C code calls in place of `send`: asyncio's tasks, and `await`.
pub(crate) unsafe extern "C" fn send_slot(
    object: RawObject,
    value: RawObject,
    result: *mut RawObject,
) -> PySendResult {
    // SAFETY: CPython checks the class of `object`, and has room for the result.
    catch_panic(|| unsafe {
        *result = ptr::null_mut();
        let alive = Owned::from_borrowed(object);
        let this = proxy(alive.as_ptr());
        let (outcome, found) = this.step(|original| {
            let mut found = ptr::null_mut();
            let outcome = ffi::PyIter_Send(original, value, &raw mut found);
            Ok((outcome, Owned::new(found)?))
        })?;
        if outcome == PySendResult::PYGEN_RETURN {
            this.end_after_return();
        }
        *result = found.into_ptr();
        Ok(outcome)
    })
}

unsafe extern "C" fn send(object: RawObject, value: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the value is alive.
    unsafe {
        step(object, |original| ffi::PyObject_CallMethodOneArg(original, name!("send"), value))
    }
}

unsafe extern "C" fn throw(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments.
    unsafe { step(object, |original| call_method(original, name!("throw"), arguments, count)) }
}

unsafe extern "C" fn close(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        let alive = Owned::from_borrowed(object);
        let this = proxy(alive.as_ptr());
        let result = this.step(|original| {
            Owned::new(ffi::PyObject_CallMethodNoArgs(original, name!("close")))
        })?;
        this.end_after_return();
        Ok(result.into_ptr())
    })
}

/// Calls a method with any number of arguments; null if it raised.
///
/// # Safety
///
/// All objects are alive, and there are `count` arguments.
pub(crate) unsafe fn call_method(
    object: RawObject,
    name: RawObject,
    arguments: *const RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: as the caller promises.
    unsafe {
        let Ok(method) = Owned::new(ffi::PyObject_GetAttr(object, name)) else {
            return ptr::null_mut();
        };
        ffi::PyObject_Vectorcall(method.as_ptr(), arguments, count as usize, ptr::null_mut())
    }
}

/// What `await` calls of a coroutine: refuses one that is being awaited, as the interpreter does.
pub(crate) unsafe extern "C" fn await_coroutine(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        let original = innermost(object);
        if ffi::PyCoro_CheckExact(original) != 0 {
            let awaited = Owned::new(ffi::PyObject_GetAttr(original, name!("cr_await")))?;
            if ffi::Py_IsNone(awaited.as_ptr()) == 0 {
                let message = c"coroutine is being awaited already";
                return Err(raise_message(ffi::PyExc_RuntimeError, message));
            }
        }
        iterator(object)
    })
}

/// `__await__` of a coroutine, called by name: this refuses nothing, as that of the original.
unsafe extern "C" fn await_by_name(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe { iterator(object) })
}

/// # Safety
///
/// `object` is the proxy of a coroutine.
unsafe fn iterator(object: RawObject) -> Result<RawObject, ErrorSet> {
    // SAFETY: the object is a proxy, whose original can be awaited.
    unsafe {
        let alive = Owned::from_borrowed(object);
        let this = proxy(alive.as_ptr());
        let _nested = this.count_nested()?;
        let iterator = ffi::PyObject_CallMethodNoArgs(this.original(), name!("__await__"));
        iterator_of(object, Owned::new(iterator)?)
    }
}

/// The methods of all but async generators.
pub(crate) fn methods() -> Vec<ffi::PyMethodDef> {
    vec![
        type_object::method(
            c"send",
            ffi::PyMethodDefPointer { PyCFunction: send },
            ffi::METH_O,
            c"send($self, value, /)\n--\n\nMake the original go on with a value, in its context.",
        ),
        type_object::method(
            c"throw",
            ffi::PyMethodDefPointer { PyCFunctionFast: throw },
            ffi::METH_FASTCALL,
            c"throw($self, /, *exception)\n--\n\n\
            Make the original go on with an exception, in its context.",
        ),
        type_object::method(
            c"close",
            ffi::PyMethodDefPointer { PyCFunction: close },
            ffi::METH_NOARGS,
            c"close($self, /)\n--\n\nEnd the original, in its context.",
        ),
        type_object::not_to_be_pickled(),
        ffi::PyMethodDef::zeroed(),
    ]
}

/// The methods of coroutines. Without `METH_COEXIST` the slot would come first.
pub(crate) fn coroutine_methods() -> Vec<ffi::PyMethodDef> {
    let mut methods = methods();
    methods.insert(
        0,
        type_object::method(
            c"__await__",
            ffi::PyMethodDefPointer { PyCFunction: await_by_name },
            ffi::METH_NOARGS | ffi::METH_COEXIST,
            c"__await__($self, /)\n--\n\nReturn an iterator to be used in await expression.",
        ),
    );
    methods
}
