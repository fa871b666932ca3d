//! `Token`.

#![allow(unsafe_code)] // The functions in the slots of the class.

use crate::context::{self, Change, ResetError};
use crate::python::context::root_variable::NativeRoot;
use crate::python::interpreter::memory::gc;
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, FreeList, Owned, RawObject, catch_panic, ffi, lazy_import, raise, raise_arguments,
    raise_message, type_object,
};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

static FREE: FreeList<64> = FreeList::new();

/// `contextvars.Token.MISSING`, which is ours too.
static MISSING: AtomicPtr<ffi::PyObject> = AtomicPtr::new(ptr::null_mut());

/// `Token.MISSING`, not counted: it lives as long as the interpreter.
#[inline]
pub(crate) fn missing() -> RawObject {
    MISSING.load(Ordering::Relaxed)
}

#[repr(C)]
struct Token {
    object: ffi::PyObject,
    /// `None` as long as the token is [`PendingToken`].
    change: Option<Change<NativeRoot>>,
}

/// # Safety
///
/// `object` is an instance of `Token` that is born and outlives `'a`.
#[inline]
unsafe fn change<'a>(object: RawObject) -> &'a Change<NativeRoot> {
    // SAFETY: as the caller promises; a token that is born has a change.
    unsafe { (*object.cast::<Token>()).change.as_ref().unwrap_unchecked() }
}

/// A token without a change, got before the change is made, so that nothing can fail after it.
///
/// Nobody else sees it. If it is not needed it is freed like any other object, as what counts
/// references expects: a block in a free list has none.
pub(crate) struct PendingToken(Owned);

impl PendingToken {
    #[inline]
    pub(crate) fn new() -> Result<Self, ErrorSet> {
        // SAFETY: the lock is held, and the memory is that of an instance, which becomes complete.
        unsafe {
            let object = FREE.take().unwrap_or_else(|| ffi::PyObject_GC_New(types::TOKEN.as_ptr()));
            let unborn = Owned::new(object)?;
            (&raw mut (*object.cast::<Token>()).change).write(None);
            Ok(Self(unborn))
        }
    }

    /// The token for `change`.
    #[inline]
    pub(crate) fn finish(self, change: Change<NativeRoot>) -> RawObject {
        let object = self.0.into_ptr();
        // SAFETY: it is an instance without a change, which needs no drop, and is not tracked.
        unsafe {
            (&raw mut (*object.cast::<Token>()).change).write(Some(change));
            ffi::PyObject_GC_Track(object.cast());
        }
        object
    }
}

/// Undoes the change of `token` for `variable`.
///
/// # Safety
///
/// `token` is an instance.
#[inline]
pub(crate) unsafe fn reset(variable: &Owned, token: RawObject) -> Result<(), ErrorSet> {
    let (exception, message) = {
        // SAFETY: as the caller promises; the exceptions live as long as the interpreter.
        unsafe {
            match context::reset(&NativeRoot, variable, change(token)) {
                Ok(()) => return Ok(()),
                Err(ResetError::Carrier(raised)) => return Err(raised),
                Err(ResetError::Used) => {
                    (ffi::PyExc_RuntimeError, c"%R has already been used once")
                }
                Err(ResetError::OtherVariable) => {
                    (ffi::PyExc_ValueError, c"%R was created by a different ContextVar")
                }
                Err(ResetError::OtherContext) => {
                    (ffi::PyExc_ValueError, c"%R was created in a different Context")
                }
            }
        }
    };
    Err(raise(exception, message, token))
}

unsafe extern "C" fn new(_: *mut ffi::PyTypeObject, _: RawObject, _: RawObject) -> RawObject {
    let message = c"Tokens can only be created by ContextVars";
    // SAFETY: exceptions live as long as the interpreter.
    raise_message(unsafe { ffi::PyExc_RuntimeError }, message);
    ptr::null_mut()
}

unsafe extern "C" fn enter(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: the token is alive.
    unsafe { Owned::from_borrowed(object) }.into_ptr()
}

unsafe extern "C" fn exit(
    object: RawObject,
    _: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        if count != 3 {
            return Err(raise_arguments(c"__exit__", 3, 3, count));
        }
        reset(change(object).variable(), object)?;
        Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr())
    })
}

unsafe extern "C" fn get_var(object: RawObject, _: *mut c_void) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    unsafe { change(object) }.variable().clone().into_ptr()
}

unsafe extern "C" fn get_old_value(object: RawObject, _: *mut c_void) -> RawObject {
    // SAFETY: CPython checks the class of `object`; `MISSING` lives as long as the interpreter.
    unsafe {
        match change(object).old() {
            Some(old) => old.clone().into_ptr(),
            None => Owned::from_borrowed(missing()).into_ptr(),
        }
    }
}

unsafe extern "C" fn repr(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the format matches the arguments.
    catch_panic(|| unsafe {
        let change = change(object);
        let used = if change.is_used() { c" used" } else { c"" };
        Ok(ffi::calling!(PyUnicode_FromFormat(
            c"<Token%s var=%R at %p>".as_ptr(),
            used.as_ptr(),
            change.variable().as_ptr(),
            object,
        )))
    })
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a tracked, and so complete, instance.
    unsafe {
        let change = change(object);
        let references = [
            Some(change.variable().as_ptr()),
            change.old().map(Owned::as_ptr),
            Some(change.mark().native.as_ptr()),
        ];
        gc::traverse(object, &references, visit, arg)
    }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        ptr::drop_in_place(&raw mut (*object.cast::<Token>()).change);
        FREE.give(object);
    }
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    let methods = vec![
        type_object::class_getitem(),
        type_object::method(
            c"__enter__",
            ffi::PyMethodDefPointer { PyCFunction: enter },
            ffi::METH_NOARGS,
            c"__enter__($self, /)\n--\n\nReturn the token itself.",
        ),
        type_object::method(
            c"__exit__",
            ffi::PyMethodDefPointer { PyCFunctionFast: exit },
            ffi::METH_FASTCALL,
            c"__exit__($self, type, val, tb, /)\n--\n\n\
            Reset the variable of the token, as ContextVar.reset() does.",
        ),
        ffi::PyMethodDef::zeroed(),
    ];
    let attributes = type_object::attributes(&[
        (c"var", get_var, c"The variable that created the token."),
        (c"old_value", get_old_value, c"The previous value, or Token.MISSING."),
    ]);
    let doc =
        c"What ContextVar.set() and delete() return: it can restore the previous value, once.\n\n\
        A token is also a context manager that does so on exit. (PEP 567)";
    // SAFETY: each slot has the value that its number stands for.
    unsafe {
        types::TOKEN.make(
            c"ctxvars.Token",
            size_of::<Token>(),
            0,
            0,
            &[
                (ffi::Py_tp_new, new as *mut c_void),
                (ffi::Py_tp_dealloc, dealloc as *mut c_void),
                (ffi::Py_tp_traverse, traverse as *mut c_void),
                (ffi::Py_tp_hash, ffi::slot::PyObject_HashNotImplemented as *mut c_void),
                (ffi::Py_tp_repr, repr as *mut c_void),
                (ffi::Py_tp_methods, type_object::leaked(methods)),
                (ffi::Py_tp_getset, attributes),
                (ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
            ],
        )?;
    }
    // SAFETY: the native class is alive; the dictionary of ours takes a reference of its own.
    unsafe {
        let native = lazy_import::NATIVE_TOKEN.get()?;
        let missing = Owned::new(ffi::PyObject_GetAttrString(native, c"MISSING".as_ptr()))?;
        let class = types::TOKEN.as_ptr();
        let name = c"MISSING".as_ptr();
        if ffi::PyDict_SetItemString((*class).tp_dict, name, missing.as_ptr()) < 0 {
            return Err(ErrorSet);
        }
        ffi::PyType_Modified(class);
        MISSING.store(missing.into_ptr(), Ordering::Relaxed);
        Ok(())
    }
}
