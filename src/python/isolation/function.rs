//! The function whose calls, or what they return, run in a context of their own.
//!
//! It is callable without a Python frame of its own. What is asked of it and not its own attribute
//! (`functools.update_wrapper` sets some) is that of the original, `__code__` and `__defaults__`
//! among others: by these `inspect` knows what functions return, and their signatures.

#![allow(unsafe_code)] // The functions in the slots of the class.

use crate::python::interpreter::memory::{gc, trashcan};
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, RecursionGuard, attribute, attribute_or_of, catch_panic, ffi,
    is_true, lazy_import, name, raise_arguments, type_object,
};
use crate::python::isolation::body::{Body, ContextSource};
use crate::python::isolation::proxy::isolate;
use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr;

#[repr(C)]
struct Isolated {
    object: ffi::PyObject,
    call: Option<ffi::vectorcallfunc>,
    function: Owned,
    /// Which context each call gets; of one that is given, a copy.
    origin: ContextSource,
    /// Whether a call makes a body, which runs later.
    makes_body: bool,
    /// Whether CPython counts calls of the function towards the limit of recursion.
    is_counted: bool,
    dict: RawObject,
    weak_references: RawObject,
}

/// # Safety
///
/// `object` is an instance that outlives `'a`.
#[inline]
unsafe fn isolated<'a>(object: RawObject) -> &'a Isolated {
    // SAFETY: as the caller promises.
    unsafe { &*object.cast() }
}

unsafe extern "C" fn call(
    object: RawObject,
    arguments: *const RawObject,
    count: usize,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes arguments as it wants them back.
    catch_panic(|| unsafe {
        let this = isolated(object);
        let _nested = match this.is_counted {
            true => None,
            false => Some(RecursionGuard::uncounted(c" in an isolated function")?),
        };
        let body = Body::new(this.origin.for_call()?);
        let function = this.function.clone();
        let forward =
            || Owned::new(ffi::PyObject_Vectorcall(function.as_ptr(), arguments, count, keywords));
        if !this.makes_body {
            return body.step(|| Ok(false), forward).map(Owned::into_ptr);
        }
        let refused = c"an isolated function was to return a generator, a coroutine or an async \
            generator, got %R";
        isolate(forward()?.as_ptr(), body, refused)
    })
}

/// Binds to an object if the original does, as functions do.
unsafe extern "C" fn descr_get(object: RawObject, owner: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes an object or null.
    catch_panic(|| unsafe {
        if owner.is_null() || ffi::Py_IsNone(owner) != 0 || !binds(object) {
            return Ok(Owned::from_borrowed(object).into_ptr());
        }
        let arguments = [object, owner];
        let method = lazy_import::METHOD_TYPE.get()?;
        let method = ffi::PyObject_Vectorcall(method, arguments.as_ptr(), 2, ptr::null_mut());
        Owned::new(method).map(Owned::into_ptr)
    })
}

/// # Safety
///
/// `object` is an instance.
unsafe fn binds(object: RawObject) -> bool {
    let mut function = object;
    while let Some(original) = original_of(function) {
        function = original;
    }
    // SAFETY: the instance keeps what is below it alive.
    unsafe {
        ffi::PyType_HasFeature(ffi::Py_TYPE(function), ffi::Py_TPFLAGS_METHOD_DESCRIPTOR) != 0
    }
}

/// The function below an isolated one, `None` if `object` is not one.
fn original_of(object: RawObject) -> Option<RawObject> {
    // SAFETY: callers pass objects that are alive.
    unsafe {
        types::ISOLATED_FUNCTION.is_type_of(object).then(|| isolated(object).function.as_ptr())
    }
}

unsafe extern "C" fn getattro(object: RawObject, name: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the name is alive.
    catch_panic(|| unsafe { attribute_or_of(object, name, original_of) })
}

unsafe extern "C" fn repr(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the format takes one object.
    catch_panic(|| unsafe {
        let _nested = RecursionGuard::counted(c" while getting the repr of an isolated function")?;
        let function = isolated(object).function.as_ptr();
        let text = ffi::calling!(PyUnicode_FromFormat(c"<isolated %R>".as_ptr(), function));
        Owned::new(text).map(Owned::into_ptr)
    })
}

/// Whether CPython counts calls of `function` towards the limit of recursion: those that run a
/// frame. Calls of other objects, such as a `partial`, may lead to another isolated function with
/// none in between.
///
/// # Safety
///
/// `function` is alive.
unsafe fn is_counted(function: RawObject) -> Result<bool, ErrorSet> {
    // SAFETY: the caller keeps the function alive, and a method keeps what it calls alive.
    unsafe {
        if !ptr::eq(ffi::Py_TYPE(function).cast(), lazy_import::METHOD_TYPE.get()?) {
            return Ok(ffi::PyFunction_Check(function) != 0);
        }
        let called = attribute(function, name!("__func__"))?;
        Ok(called.is_some_and(|called| ffi::PyFunction_Check(called.as_ptr()) != 0))
    }
}

/// Functions are pickled by name.
unsafe extern "C" fn reduce(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; what is imported lives as long as the process.
    catch_panic(|| unsafe {
        let is_bound = isolated(object).origin.reference().is_some();
        let arguments = [object, if is_bound { ffi::Py_True() } else { ffi::Py_False() }];
        let pickled_name = lazy_import::PICKLED_NAME.get()?;
        let name = ffi::PyObject_Vectorcall(pickled_name, arguments.as_ptr(), 2, ptr::null_mut());
        Owned::new(name).map(Owned::into_ptr)
    })
}

/// A copy of a function is the function itself: for `__copy__` and `__deepcopy__`.
unsafe extern "C" fn copied(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython keeps `object` alive.
    unsafe { Owned::from_borrowed(object).into_ptr() }
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a tracked, and so complete, instance.
    unsafe {
        let this = isolated(object);
        let context = this.origin.reference();
        let dict = (!this.dict.is_null()).then_some(this.dict);
        gc::traverse(object, &[Some(this.function.as_ptr()), context, dict], visit, arg)
    }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let this = object.cast::<Isolated>();
        gc::clear_weak_references(object, (*this).weak_references);
        trashcan::bounded(object, || {
            ptr::drop_in_place(&raw mut (*this).function);
            ptr::drop_in_place(&raw mut (*this).origin);
            ffi::Py_XDECREF((*this).dict);
            gc::free(object);
        });
    }
}

/// `isolate_calls(function, makes_body, context, live, /)`
unsafe extern "C" fn isolate_calls(
    _: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython passes `count` arguments, which are alive; the fields are written before
    // anybody can see the object.
    catch_panic(|| unsafe {
        if count != 4 {
            return Err(raise_arguments(c"isolate_calls", 4, 4, count));
        }
        let is_counted = is_counted(*arguments)?;
        let makes_body = is_true(*arguments.add(1))?;
        let origin = ContextSource::from_arguments(*arguments.add(2), *arguments.add(3))?;
        let object = ffi::PyObject_GC_New::<Isolated>(types::ISOLATED_FUNCTION.as_ptr());
        if object.is_null() {
            return Err(ErrorSet);
        }
        (*object).call = Some(call);
        (&raw mut (*object).function).write(Owned::from_borrowed(*arguments));
        (&raw mut (*object).origin).write(origin);
        (*object).makes_body = makes_body;
        (*object).is_counted = is_counted;
        (*object).dict = ptr::null_mut();
        (*object).weak_references = ptr::null_mut();
        ffi::PyObject_GC_Track(object.cast());
        Ok(object.cast())
    })
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    let methods = vec![
        type_object::method(
            c"__reduce__",
            ffi::PyMethodDefPointer { PyCFunction: reduce },
            ffi::METH_NOARGS,
            c"__reduce__($self, /)\n--\n\nReturn the name under which it is pickled.",
        ),
        type_object::method(
            c"__copy__",
            ffi::PyMethodDefPointer { PyCFunction: copied },
            ffi::METH_NOARGS,
            c"__copy__($self, /)\n--\n\nReturn the function itself.",
        ),
        type_object::method(
            c"__deepcopy__",
            ffi::PyMethodDefPointer { PyCFunction: copied },
            ffi::METH_O,
            c"__deepcopy__($self, memo, /)\n--\n\nReturn the function itself.",
        ),
        ffi::PyMethodDef::zeroed(),
    ];
    let attributes = vec![
        ffi::PyGetSetDef {
            name: c"__dict__".as_ptr(),
            get: Some(ffi::slot::PyObject_GenericGetDict),
            set: Some(ffi::slot::PyObject_GenericSetDict),
            doc: ptr::null(),
            closure: ptr::null_mut(),
        },
        ffi::PyGetSetDef::default(),
    ];
    let members = type_object::members_at(&[
        (c"__vectorcalloffset__", offset_of!(Isolated, call)),
        (c"__dictoffset__", offset_of!(Isolated, dict)),
        (c"__weaklistoffset__", offset_of!(Isolated, weak_references)),
    ]);
    let flags = ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION | ffi::Py_TPFLAGS_HAVE_VECTORCALL;
    // SAFETY: each slot has the value that its number stands for.
    unsafe {
        types::ISOLATED_FUNCTION.make(
            c"ctxvars._core.isolated_function",
            size_of::<Isolated>(),
            0,
            flags,
            &[
                (ffi::Py_tp_call, ffi::slot::PyVectorcall_Call as *mut c_void),
                (ffi::Py_tp_descr_get, descr_get as *mut c_void),
                (ffi::Py_tp_dealloc, dealloc as *mut c_void),
                (ffi::Py_tp_traverse, traverse as *mut c_void),
                (ffi::Py_tp_getattro, getattro as *mut c_void),
                (ffi::Py_tp_repr, repr as *mut c_void),
                (ffi::Py_tp_getset, type_object::leaked(attributes)),
                (ffi::Py_tp_members, members),
                (ffi::Py_tp_methods, type_object::leaked(methods)),
            ],
        )
    }
}

/// The function `isolate_calls`, which `ctxvars.isolated` and `ctxvars.bind` wrap.
pub(crate) fn isolate_calls_function(module: RawObject) -> Result<Owned, ErrorSet> {
    let call = ffi::PyMethodDefPointer { PyCFunctionFast: isolate_calls };
    let doc = c"isolate_calls($module, function, makes_body, context, live, /)\n--\n\n\
        Return a function whose calls run in a context of their own each: a copy of that given,\n\
        ours or native, or of the current one. If they make bodies, these do; see isolate.";
    let row = type_object::method(c"isolate_calls", call, ffi::METH_FASTCALL, doc);
    type_object::function(module, row)
}
