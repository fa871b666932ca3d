//! `CurrentValue`, through which a class attribute reads as the current value of a variable.

#![allow(unsafe_code)] // The functions in the slots of the class.

use super::class::{self, Class};
use super::ffi;
use super::object::{Object, Owned, Raised, guarded, raise};
use super::variable;
use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr;

pub(super) static CLASS: Class = Class::unset();

#[repr(C)]
struct CurrentValue {
    object: ffi::PyObject,
    variable: Owned,
}

/// # Safety
///
/// `object` is an instance of `CurrentValue` that outlives `'a`.
#[inline]
unsafe fn variable_of<'a>(object: Object) -> &'a Owned {
    // SAFETY: as the caller promises.
    unsafe { &(*object.cast::<CurrentValue>()).variable }
}

/// What `ContextVar.get()` returns or raises, from the class and from its instances alike.
unsafe extern "C" fn get(object: Object, _: Object, _: Object) -> Object {
    // SAFETY: CPython checks the class of `object`, and only variables are put into one.
    unsafe { variable::get(variable_of(object).as_ptr(), ptr::null_mut(), 0) }
}

unsafe extern "C" fn new(
    class: *mut ffi::PyTypeObject,
    arguments: Object,
    keywords: Object,
) -> Object {
    // SAFETY: CPython passes a tuple and a dict or null; the format matches the variables. There
    // are no subclasses, so `class` is ours.
    guarded(|| unsafe {
        let mut variable: Object = ptr::null_mut();
        let names = [c"".as_ptr(), ptr::null()];
        let parsed = ffi::calling!(PyArg_ParseTupleAndKeywords(
            arguments,
            keywords,
            c"O:CurrentValue".as_ptr(),
            names.as_ptr().cast_mut().cast(),
            &raw mut variable,
        ));
        if parsed == 0 {
            return Err(Raised);
        }
        if !variable::CLASS.is_class_of(variable) {
            let message = c"CurrentValue() argument must be a ContextVar, got %R";
            return Err(raise(ffi::PyExc_TypeError, message, variable));
        }
        let object: *mut CurrentValue = ffi::PyObject_GC_New(class);
        if object.is_null() {
            return Err(Raised);
        }
        (&raw mut (*object).variable).write(Owned::from_borrowed(variable));
        ffi::PyObject_GC_Track(object.cast());
        Ok(object.cast())
    })
}

unsafe extern "C" fn traverse(object: Object, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a tracked, and so complete, instance.
    unsafe { class::traverse(object, &[Some(variable_of(object).as_ptr())], visit, arg) }
}

unsafe extern "C" fn dealloc(object: Object) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        ptr::drop_in_place(&raw mut (*object.cast::<CurrentValue>()).variable);
        class::free(object);
    }
}

pub(super) fn init() -> Result<(), Raised> {
    let members = class::object_at(
        offset_of!(CurrentValue, variable),
        c"variable",
        c"The variable that is read.",
    );
    let doc = c"CurrentValue(variable, /)\n--\n\n\
        A descriptor: in a class, it reads as the current value of the variable.\n\n\
        It can be read from the class and from its instances. O(1) as ContextVar.get().";
    // SAFETY: each slot has the value that its number stands for.
    unsafe {
        CLASS.make(
            c"ctxvars._core.CurrentValue",
            size_of::<CurrentValue>(),
            0,
            0,
            &[
                (ffi::Py_tp_new, new as *mut c_void),
                (ffi::Py_tp_dealloc, dealloc as *mut c_void),
                (ffi::Py_tp_traverse, traverse as *mut c_void),
                (ffi::Py_tp_descr_get, get as *mut c_void),
                (ffi::Py_tp_members, members),
                (ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
            ],
        )
    }
}
