//! `VariableDescriptor`, through which a class attribute reads as the current value of a variable, and
//! `set_class_dict`, which decides what `vars()` of such a class shows.

#![allow(unsafe_code)] // The functions in the slots of the class.

use super::variable;
use crate::python::interpreter::memory::gc;
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, catch_panic, ffi, raise, raise_arguments, raise_value, type_object,
};
use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr;

#[repr(C)]
struct VariableDescriptor {
    object: ffi::PyObject,
    variable: Owned,
    /// The exception to raise if the variable has neither a value nor a default.
    unset_error: Owned,
}

/// # Safety
///
/// `object` is an instance of `VariableDescriptor` that outlives `'a`.
#[inline]
unsafe fn current_value<'a>(object: RawObject) -> &'a VariableDescriptor {
    // SAFETY: an instance begins with the fields of `VariableDescriptor`, which are never written again.
    unsafe { &*object.cast::<VariableDescriptor>() }
}

/// The result of `ContextVar.get()`, from the class and from its instances alike.
unsafe extern "C" fn get(object: RawObject, _: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and only variables are put into one.
    unsafe {
        let this = current_value(object);
        let variable = this.variable.as_ptr();
        let value = match variable::get_cached(variable) {
            Some(value) => value,
            None => variable::get(variable, ptr::null_mut(), 0),
        };
        if value.is_null() {
            replace_lookup_error(this);
        }
        value
    }
}

/// Raises the error of the descriptor instead of the `LookupError` of a variable that is not set.
///
/// An error of a default factory stays, whatever its class: code that reads the attribute must not
/// take it for an attribute that is not there.
#[cold]
fn replace_lookup_error(this: &VariableDescriptor) {
    // SAFETY: an exception is set, and `new` has checked the class of the variable.
    unsafe {
        if !variable::has_default(this.variable.as_ptr())
            && ffi::PyErr_ExceptionMatches(ffi::PyExc_LookupError) != 0
        {
            ffi::PyErr_Clear();
            raise_value(this.unset_error.as_ptr(), this.variable.as_ptr());
        }
    }
}

unsafe extern "C" fn new(
    class: *mut ffi::PyTypeObject,
    arguments: RawObject,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython passes a tuple and a dict or null; the format matches the variables. There
    // are no subclasses, so `class` is ours.
    catch_panic(|| unsafe {
        let [mut variable, mut unset_error]: [RawObject; 2] = [ptr::null_mut(); 2];
        let names = [c"".as_ptr(), c"".as_ptr(), ptr::null()];
        let parsed = ffi::calling!(PyArg_ParseTupleAndKeywords(
            arguments,
            keywords,
            c"OO:VariableDescriptor".as_ptr(),
            names.as_ptr().cast_mut().cast(),
            &raw mut variable,
            &raw mut unset_error,
        ));
        if parsed == 0 {
            return Err(ErrorSet);
        }
        if !types::CONTEXT_VAR.is_type_of(variable) {
            let message = c"VariableDescriptor() argument must be a ContextVar, got %R";
            return Err(raise(ffi::PyExc_TypeError, message, variable));
        }
        if ffi::PyExceptionClass_Check(unset_error) == 0 {
            let message = c"VariableDescriptor() argument must be an exception class, got %R";
            return Err(raise(ffi::PyExc_TypeError, message, unset_error));
        }
        let object: *mut VariableDescriptor = ffi::PyObject_GC_New(class);
        if object.is_null() {
            return Err(ErrorSet);
        }
        (&raw mut (*object).variable).write(Owned::from_borrowed(variable));
        (&raw mut (*object).unset_error).write(Owned::from_borrowed(unset_error));
        ffi::PyObject_GC_Track(object.cast());
        Ok(object.cast())
    })
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a tracked, and so complete, instance.
    unsafe {
        let VariableDescriptor { variable, unset_error, .. } = current_value(object);
        let references = [variable, unset_error].map(|it| Some(it.as_ptr()));
        gc::traverse(object, &references, visit, arg)
    }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        ptr::drop_in_place(&raw mut (*object.cast::<VariableDescriptor>()).variable);
        ptr::drop_in_place(&raw mut (*object.cast::<VariableDescriptor>()).unset_error);
        gc::free(object);
    }
}

/// The `__dict__` of a class whose metaclass `set_class_dict` has changed.
unsafe extern "C" fn class_dict(class: RawObject, function: *mut c_void) -> RawObject {
    // SAFETY: CPython passes the closure of the getter, which is a function that lives for ever.
    unsafe { ffi::PyObject_CallOneArg(function.cast(), class) }
}

/// `set_class_dict(metaclass, function, /)`
///
/// A property of the metaclass would do it for `vars()`, but `inspect.getattr_static` finds nothing
/// in a class whose `__dict__` is anything but a getter like those that CPython makes.
unsafe extern "C" fn set_class_dict(
    _: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython passes `count` arguments, which are alive. The row lives for ever, and so
    // does the function, to which it has a reference.
    catch_panic(|| unsafe {
        if count != 2 {
            return Err(raise_arguments(c"set_class_dict", 2, 2, count));
        }
        let (metaclass, function) = (*arguments, *arguments.add(1));
        if ffi::PyType_Check(metaclass) == 0
            || ffi::PyType_IsSubtype(metaclass.cast(), &raw mut ffi::PyType_Type) == 0
            || ffi::PyType_HasFeature(metaclass.cast(), ffi::Py_TPFLAGS_IMMUTABLETYPE) != 0
        {
            let message = c"set_class_dict() argument must be a metaclass, got %R";
            return Err(raise(ffi::PyExc_TypeError, message, metaclass));
        }
        let row = ffi::PyGetSetDef {
            name: c"__dict__".as_ptr(),
            get: Some(class_dict),
            set: None,
            doc: ptr::null(),
            closure: Owned::from_borrowed(function).into_ptr().cast(),
        };
        let class: *mut ffi::PyTypeObject = metaclass.cast();
        let getter =
            Owned::new(ffi::PyDescr_NewGetSet(class, type_object::leaked(vec![row]).cast()))?;
        // `type` itself has a `__dict__` that refuses to be assigned to.
        if ffi::PyDict_SetItemString((*class).tp_dict, row.name, getter.as_ptr()) < 0 {
            return Err(ErrorSet);
        }
        ffi::PyType_Modified(class);
        Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr())
    })
}

/// The function `set_class_dict`, which is not public.
pub(crate) fn set_class_dict_function(module: RawObject) -> Result<Owned, ErrorSet> {
    let call = ffi::PyMethodDefPointer { PyCFunctionFast: set_class_dict };
    let doc = c"set_class_dict($module, metaclass, function, /)\n--\n\n\
        Make function(class) the __dict__ of the classes that a metaclass makes.";
    type_object::function(
        module,
        type_object::method(c"set_class_dict", call, ffi::METH_FASTCALL, doc),
    )
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    let members = type_object::object_at(
        offset_of!(VariableDescriptor, variable),
        c"variable",
        c"The variable that is read.",
    );
    let doc = c"VariableDescriptor(variable, unset_error, /)\n--\n\n\
        A descriptor: in a class, it reads as the current value of the variable.\n\n\
        It can be read from the class and from its instances. Where the variable has neither a value\n\
        nor a default, it raises unset_error(variable). O(1) as ContextVar.get().";
    // SAFETY: each slot has the value that its number stands for.
    unsafe {
        types::VARIABLE_DESCRIPTOR.make(
            c"ctxvars._core.VariableDescriptor",
            size_of::<VariableDescriptor>(),
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
