//! The C API of CPython, safe for threads that end inside a call.
//!
//! Up to 3.13, CPython ends daemon threads when the interpreter exits: a thread that waits for the
//! GIL calls `pthread_exit`. With the C libraries of Linux (glibc) and FreeBSD, `pthread_exit`
//! unwinds the stack. Unwinding would run the destructors of each Rust frame, which would drop
//! references without the GIL, until `catch_unwind` aborts the process. From 3.14 on, CPython
//! blocks such a thread forever instead. The wrappers below do so on older versions: the innermost
//! Rust frame blocks the thread, before any destructor of that frame runs. The process exits soon
//! after.
//!
//! **Architecture invariant:** all calls of functions that may wait for the GIL go through this
//! module. A function may wait for the GIL if it may run Python code, free an object, or (before
//! 3.12) allocate an object that the garbage collector tracks. No other file names `pyo3::ffi`, and
//! this file lists each function that the binding uses: a call of a function that is not listed
//! does not compile.
//!
//! | list | may contain |
//! | --- | --- |
//! | `pub(crate) use pyo3::ffi::{...}` | types, constants, and functions that never wait for the GIL |
//! | `unwinding!` | all other functions |
//! | `calling!` | calls of functions with a variable number of arguments |
//! | [`CallSlot`] | calls of the functions in the slots of a type |
//! | `by_hand.rs` | functions that PyO3 defines in Rust in terms of the others |
//!
//! # How a wrapper works
//!
//! PyO3 declares the functions as `extern "C"`. Rust assumes that such a function does not unwind,
//! so the compiler generates no landing pad around the call. `unwinding!` declares each function a
//! second time, as `extern "C-unwind"`. A wrapper creates a local [`HangOnUnwind`], calls the
//! function, and forgets the local, so only unwinding drops it. The call costs no additional
//! instructions.
//!
//! LLVM merges two declarations of one symbol, and would assume for both that they do not unwind.
//! So the second declaration has another name for LLVM: it begins with the byte 1, which tells LLVM
//! to pass the rest of the name to the linker as it is.

#![allow(unsafe_code)] // Declares and calls the C API.
#![allow(non_snake_case)]
// Functions have the names that CPython gives them.
// Where CPython makes threads hang itself, PyO3's declarations are used, and their types not named.
#![cfg_attr(not(exit_unwinds), allow(unused_imports, dead_code))]

use std::ffi::{c_char, c_int, c_long, c_ulonglong};

// Types and constants.
pub(crate) use pyo3::ffi::{
    CO_ITERABLE_COROUTINE, METH_CLASS, METH_COEXIST, METH_FASTCALL, METH_KEYWORDS, METH_NOARGS,
    METH_O, Py_EQ, Py_GT, Py_LE, Py_LT, Py_NE, Py_READONLY, Py_T_OBJECT_EX, Py_T_PYSSIZET,
    Py_TPFLAGS_BASETYPE, Py_TPFLAGS_DEFAULT, Py_TPFLAGS_DISALLOW_INSTANTIATION, Py_TPFLAGS_HAVE_GC,
    Py_TPFLAGS_HAVE_VECTORCALL, Py_TPFLAGS_IMMUTABLETYPE, Py_TPFLAGS_MAPPING,
    Py_TPFLAGS_METHOD_DESCRIPTOR, Py_am_aiter, Py_am_anext, Py_am_await, Py_am_send, Py_hash_t,
    Py_mp_ass_subscript, Py_mp_length, Py_mp_subscript, Py_nb_and, Py_nb_inplace_or, Py_nb_or,
    Py_nb_subtract, Py_nb_xor, Py_sq_contains, Py_ssize_t, Py_tp_call, Py_tp_clear, Py_tp_dealloc,
    Py_tp_descr_get, Py_tp_doc, Py_tp_finalize, Py_tp_getattro, Py_tp_getset, Py_tp_hash,
    Py_tp_init, Py_tp_iter, Py_tp_iternext, Py_tp_members, Py_tp_methods, Py_tp_new, Py_tp_repr,
    Py_tp_richcompare, Py_tp_setattro, Py_tp_traverse, PyASCIIObject, PyBaseObject_Type,
    PyBool_Type, PyBytes_Type, PyCFunction, PyCFunctionFast, PyComplex_Type, PyContext_Type,
    PyDict_Type, PyExc_AttributeError, PyExc_Exception, PyExc_ImportError, PyExc_KeyError,
    PyExc_LookupError, PyExc_MemoryError, PyExc_RuntimeError, PyExc_StopIteration,
    PyExc_SystemError, PyExc_TypeError, PyExc_ValueError, PyFloat_Type, PyFrameObject, PyGetSetDef,
    PyInterpreterState, PyLong_Type, PyMemberDef, PyMethodDef, PyMethodDefPointer, PyObject,
    PyObjectArenaAllocator, PySendResult, PyTuple_Type, PyTupleObject, PyType_Slot, PyType_Spec,
    PyType_Type, PyTypeObject, PyUnicode_Type, PyWrapperDescr_Type, PyWrapperDescrObject,
    binaryfunc, getiterfunc, iternextfunc, lenfunc, objobjproc, richcmpfunc, vectorcallfunc,
    visitproc,
};

// Functions that only read an object, count a reference to it, or link it into a list of the
// collector.
#[cfg(not(Py_3_14))]
pub(crate) use pyo3::ffi::PyUnicode_IS_COMPACT_ASCII;
#[cfg(Py_GIL_DISABLED)]
pub(crate) use pyo3::ffi::PyUnstable_Object_IsUniquelyReferenced;
#[cfg(not(Py_3_12))]
pub(crate) use pyo3::ffi::PyVarObject;
pub(crate) use pyo3::ffi::{
    Py_False, Py_INCREF, Py_IsNone, Py_LeaveRecursiveCall, Py_None, Py_NotImplemented, Py_REFCNT,
    Py_TYPE, Py_True, PyAnySet_Check, PyAnySet_CheckExact, PyAsyncGen_CheckExact,
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_Size, PyCallable_Check, PyCell_Check,
    PyCell_Get, PyComplex_ImagAsDouble, PyComplex_RealAsDouble, PyContext_CheckExact,
    PyCoro_CheckExact, PyDict_Check, PyDict_CheckExact, PyDict_Next, PyDictItems_Check,
    PyDictKeys_Check, PyErr_ExceptionMatches, PyErr_Occurred, PyException_GetTraceback,
    PyExceptionClass_Check, PyFloat_AS_DOUBLE, PyFrame_GetCode, PyFrame_GetLasti,
    PyFrozenSet_CheckExact, PyFunction_Check, PyFunction_GetClosure, PyFunction_GetCode,
    PyFunction_GetDefaults, PyFunction_GetGlobals, PyFunction_GetKwDefaults, PyGen_CheckExact,
    PyInterpreterState_Get, PyInterpreterState_Main, PyIter_Check, PyList_CheckExact, PyList_Size,
    PyLong_CheckExact, PyLong_FromSize_t, PyLong_FromUnsignedLongLong, PyLong_FromVoidPtr,
    PyMapping_Check, PyObject_GC_Del, PyObject_GC_IsTracked, PyObject_GC_Track,
    PyObject_GC_UnTrack, PyObject_GetArenaAllocator, PySequence_Check, PySet_CheckExact,
    PyThread_get_thread_ident, PyThreadState_Get, PyThreadState_GetID, PyTuple_Check,
    PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_GetItem, PyTuple_SET_ITEM,
    PyTuple_Size, PyType_Check, PyType_HasFeature, PyType_IS_GC, PyType_IsSubtype, PyUnicode_Check,
    PyUnicode_CheckExact, PyUnicode_CompareWithASCIIString, PyUnicode_DATA, PyUnicode_GET_LENGTH,
    PyUnicode_KIND, PyVectorcall_NARGS, compat::PyList_GetItemRef, compat::PyWeakref_GetRef,
};
#[cfg(Py_3_14)]
pub(crate) use pyo3::ffi::{
    PyContext_AddWatcher, PyContext_ClearWatcher, PyContextEvent, PyUnicode_Equal,
};
#[cfg(not(Py_3_12))]
pub(crate) use pyo3::ffi::{PyErr_Fetch, PyGC_Disable, PyGC_Enable, PyUnicode_IS_READY};
#[cfg(Py_3_12)]
pub(crate) use pyo3::ffi::{PyErr_GetRaisedException, PyType_GetDict};

/// The state of this thread, which is attached to the interpreter.
#[inline(always)]
pub(crate) fn thread_state() -> RawObject {
    unsafe extern "C" {
        #[cfg_attr(Py_3_13, link_name = "PyThreadState_GetUnchecked")]
        fn _PyThreadState_UncheckedGet() -> RawObject;
    }
    // SAFETY: CPython has the function under these names. It reads a variable of the thread.
    unsafe { _PyThreadState_UncheckedGet() }
}

/// Functions for slots and tables, which only CPython calls.
pub(crate) mod slot {
    pub(crate) use pyo3::ffi::{
        Py_GenericAlias, PyObject_GenericGetDict, PyObject_GenericSetDict,
        PyObject_HashNotImplemented, PyObject_SelfIter, PyVectorcall_Call,
    };
}

type RawObject = *mut PyObject;

/// Blocks the thread forever when it is dropped. Only unwinding drops it.
#[cfg(exit_unwinds)]
pub(crate) struct HangOnUnwind;

#[cfg(exit_unwinds)]
impl Drop for HangOnUnwind {
    #[inline]
    fn drop(&mut self) {
        /// An `extern "C"` function, because the compiler assumes that it does not unwind.
        #[cold]
        extern "C" fn hang() -> ! {
            loop {
                std::thread::sleep(std::time::Duration::MAX);
            }
        }
        hang()
    }
}

/// Declares functions of CPython, and wrappers that block the thread if a call unwinds.
///
/// The compiler checks each type against the declaration of PyO3. PyO3 does not export the
/// functions after `private`.
macro_rules! unwinding {
    (
        $($(#[$if:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;)*
        private:
        $($(#[$private_if:meta])* fn $private:ident($($private_argument:ident: $private_type:ty),*)
            $(-> $private_result:ty)?;)*
        variadic:
        $(fn $variadic:ident($($fixed:ident: $fixed_type:ty),*; ...) $(-> $variadic_result:ty)?;)*
    ) => {
        #[cfg(exit_unwinds)]
        mod symbols {
            use super::*;

            unsafe extern "C-unwind" {
                $(
                    $(#[$if])*
                    #[link_name = concat!("\u{1}", stringify!($name))]
                    pub(crate) fn $name($($argument: $type),*) $(-> $result)?;
                )*
                $(
                    $(#[$private_if])*
                    #[link_name = concat!("\u{1}", stringify!($private))]
                    pub(crate) fn $private($($private_argument: $private_type),*)
                        $(-> $private_result)?;
                )*
                $(
                    #[link_name = concat!("\u{1}", stringify!($variadic))]
                    pub(crate) fn $variadic($($fixed: $fixed_type),*, ...)
                        $(-> $variadic_result)?;
                )*
            }
        }

        $(
            $(#[$if])*
            #[cfg(exit_unwinds)]
            #[allow(clippy::too_many_arguments)] // A function of CPython has that many.
            #[inline(always)]
            pub(crate) unsafe fn $name($($argument: $type),*) $(-> $result)? {
                const _: unsafe extern "C" fn($($type),*) $(-> $result)? = pyo3::ffi::$name;
                let guard = HangOnUnwind;
                // SAFETY: the symbol has the type that the line above compares with PyO3's
                // declaration. The contract of the wrapper is the documentation of the function.
                let result = unsafe { symbols::$name($($argument),*) };
                std::mem::forget(guard);
                result
            }
            $(#[$if])*
            #[cfg(not(exit_unwinds))]
            pub(crate) use pyo3::ffi::$name;
        )*
        $(
            $(#[$private_if])*
            #[cfg(exit_unwinds)]
            #[inline(always)]
            unsafe fn $private($($private_argument: $private_type),*) $(-> $private_result)? {
                let guard = HangOnUnwind;
                // SAFETY: CPython's headers declare the symbol with this type, in all supported
                // versions. The contract of the wrapper is that of the function.
                let result = unsafe { symbols::$private($($private_argument),*) };
                std::mem::forget(guard);
                result
            }
        )*
        $(
            #[cfg(exit_unwinds)]
            const _: unsafe extern "C" fn($($fixed_type),*, ...) $(-> $variadic_result)? =
                pyo3::ffi::$variadic;
        )*
        #[cfg(exit_unwinds)]
        pub(crate) use symbols::{$($variadic),*};
        #[cfg(not(exit_unwinds))]
        pub(crate) use pyo3::ffi::{$($variadic),*};
    };
}

#[cfg(not(Py_3_13))]
type Keywords = *mut *mut c_char;
#[cfg(Py_3_13)]
type Keywords = *const *const c_char;

unwinding! {
    fn Py_EnterRecursiveCall(place: *const c_char) -> c_int;
    fn Py_ReprEnter(object: RawObject) -> c_int;
    fn Py_ReprLeave(object: RawObject);
    fn PyContext_Copy(context: RawObject) -> RawObject;
    fn PyContext_CopyCurrent() -> RawObject;
    fn PyContext_Enter(context: RawObject) -> c_int;
    fn PyContext_Exit(context: RawObject) -> c_int;
    fn PyContext_New() -> RawObject;
    fn PyContextVar_Get(variable: RawObject, default: RawObject, value: *mut RawObject) -> c_int;
    fn PyContextVar_New(name: *const c_char, default: RawObject) -> RawObject;
    fn PyContextVar_Reset(variable: RawObject, token: RawObject) -> c_int;
    fn PyContextVar_Set(variable: RawObject, value: RawObject) -> RawObject;
    fn PyDescr_NewClassMethod(class: *mut PyTypeObject, row: *mut PyMethodDef) -> RawObject;
    fn PyDescr_NewMethod(class: *mut PyTypeObject, row: *mut PyMethodDef) -> RawObject;
    fn PyDescr_NewGetSet(class: *mut PyTypeObject, row: *mut PyGetSetDef) -> RawObject;
    fn PyDict_Copy(dict: RawObject) -> RawObject;
    fn PyDict_DelItem(dict: RawObject, key: RawObject) -> c_int;
    #[cfg(Py_3_13)]
    fn PyDict_GetItemRef(dict: RawObject, key: RawObject, value: *mut RawObject) -> c_int;
    fn PyDict_GetItemWithError(dict: RawObject, key: RawObject) -> RawObject;
    fn PyDict_New() -> RawObject;
    fn PyDict_SetItem(dict: RawObject, key: RawObject, value: RawObject) -> c_int;
    fn PyDict_SetItemString(dict: RawObject, key: *const c_char, value: RawObject) -> c_int;
    fn PyErr_Clear();
    fn PyErr_NoMemory() -> RawObject;
    #[cfg(not(Py_3_12))]
    fn PyErr_NormalizeException(
        class: *mut RawObject,
        value: *mut RawObject,
        traceback: *mut RawObject,
    );
    #[cfg(not(Py_3_12))]
    fn PyErr_Restore(class: RawObject, value: RawObject, traceback: RawObject);
    fn PyErr_SetObject(class: RawObject, value: RawObject);
    #[cfg(Py_3_12)]
    fn PyErr_SetRaisedException(exception: RawObject);
    fn PyErr_SetString(class: RawObject, message: *const c_char);
    fn PyErr_WriteUnraisable(object: RawObject);
    fn PyEval_EvalCodeEx(
        code: RawObject,
        globals: RawObject,
        locals: RawObject,
        arguments: *const RawObject,
        count: c_int,
        keywords: *const RawObject,
        keyword_count: c_int,
        defaults: *const RawObject,
        default_count: c_int,
        keyword_defaults: RawObject,
        closure: RawObject,
    ) -> RawObject;
    fn PyEval_GetFrame() -> *mut PyFrameObject;
    fn PyException_SetCause(exception: RawObject, cause: RawObject);
    fn PyException_SetContext(exception: RawObject, context: RawObject);
    #[cfg(not(Py_3_12))]
    fn PyException_SetTraceback(exception: RawObject, traceback: RawObject) -> c_int;
    fn PyFrame_GetBack(frame: *mut PyFrameObject) -> *mut PyFrameObject;
    fn PyInterpreterState_GetDict(interpreter: *mut PyInterpreterState) -> RawObject;
    fn PyFrozenSet_New(iterable: RawObject) -> RawObject;
    fn PyImport_GetModule(name: RawObject) -> RawObject;
    fn PyImport_ImportModule(name: *const c_char) -> RawObject;
    fn PyIter_Next(iterator: RawObject) -> RawObject;
    fn PyIter_Send(iterator: RawObject, value: RawObject, result: *mut RawObject) -> PySendResult;
    fn PyList_Append(list: RawObject, item: RawObject) -> c_int;
    fn PyList_AsTuple(list: RawObject) -> RawObject;
    fn PyList_New(len: Py_ssize_t) -> RawObject;
    fn PyList_SetSlice(list: RawObject, start: Py_ssize_t, end: Py_ssize_t, items: RawObject) -> c_int;
    fn PyLong_AsLong(object: RawObject) -> c_long;
    fn PyLong_AsUnsignedLongLong(object: RawObject) -> c_ulonglong;
    fn PyNumber_InPlaceOr(a: RawObject, b: RawObject) -> RawObject;
    fn PyModule_AddObjectRef(module: RawObject, name: *const c_char, object: RawObject) -> c_int;
    fn PyModule_AddStringConstant(
        module: RawObject,
        name: *const c_char,
        value: *const c_char,
    ) -> c_int;
    fn PyObject_CallFinalizer(object: RawObject);
    fn PyObject_CallFinalizerFromDealloc(object: RawObject) -> c_int;
    fn PyObject_CallNoArgs(callable: RawObject) -> RawObject;
    fn PyObject_ClearWeakRefs(object: RawObject);
    fn PyObject_GenericGetAttr(object: RawObject, name: RawObject) -> RawObject;
    fn PyObject_GetAttr(object: RawObject, name: RawObject) -> RawObject;
    fn PyObject_GetAttrString(object: RawObject, name: *const c_char) -> RawObject;
    fn PyObject_GetItem(object: RawObject, key: RawObject) -> RawObject;
    fn PyObject_GetIter(object: RawObject) -> RawObject;
    #[cfg(Py_3_13)]
    fn PyObject_GetOptionalAttr(object: RawObject, name: RawObject, value: *mut RawObject) -> c_int;
    fn PyObject_Hash(object: RawObject) -> Py_hash_t;
    fn PyObject_IsInstance(object: RawObject, class: RawObject) -> c_int;
    fn PyObject_IsTrue(object: RawObject) -> c_int;
    fn PyObject_Repr(object: RawObject) -> RawObject;
    fn PyObject_RichCompareBool(a: RawObject, b: RawObject, operator: c_int) -> c_int;
    fn PyObject_SetAttr(object: RawObject, name: RawObject, value: RawObject) -> c_int;
    fn PyObject_SetItem(object: RawObject, key: RawObject, value: RawObject) -> c_int;
    fn PyObject_Size(object: RawObject) -> Py_ssize_t;
    fn PyObject_Vectorcall(
        callable: RawObject,
        arguments: *const RawObject,
        count: usize,
        keywords: RawObject,
    ) -> RawObject;
    fn PyObject_VectorcallDict(
        callable: RawObject,
        arguments: *const RawObject,
        count: usize,
        keywords: RawObject,
    ) -> RawObject;
    fn PyObject_VectorcallMethod(
        name: RawObject,
        arguments: *const RawObject,
        count: usize,
        keywords: RawObject,
    ) -> RawObject;
    fn PySequence_Contains(object: RawObject, item: RawObject) -> c_int;
    fn PySequence_GetItem(object: RawObject, index: Py_ssize_t) -> RawObject;
    fn PySequence_GetSlice(object: RawObject, start: Py_ssize_t, end: Py_ssize_t) -> RawObject;
    fn PySequence_List(iterable: RawObject) -> RawObject;
    fn PySet_Add(set: RawObject, item: RawObject) -> c_int;
    fn PySet_New(iterable: RawObject) -> RawObject;
    fn PyTuple_GetSlice(tuple: RawObject, start: Py_ssize_t, end: Py_ssize_t) -> RawObject;
    fn PyTuple_New(len: Py_ssize_t) -> RawObject;
    fn PyType_FromSpecWithBases(spec: *mut PyType_Spec, bases: RawObject) -> RawObject;
    fn PyType_Modified(class: *mut PyTypeObject);
    fn PyUnicode_FromStringAndSize(text: *const c_char, size: Py_ssize_t) -> RawObject;
    fn PyUnicode_FromString(text: *const c_char) -> RawObject;
    fn PyUnicode_InternFromString(text: *const c_char) -> RawObject;
    fn PyUnicode_Join(separator: RawObject, parts: RawObject) -> RawObject;
    fn PyWeakref_NewRef(object: RawObject, callback: RawObject) -> RawObject;

    private:
    fn _Py_Dealloc(object: RawObject);
    #[cfg(any(Py_GIL_DISABLED, py_sys_config = "Py_REF_DEBUG", not(target_pointer_width = "64")))]
    fn _Py_DecRef(object: RawObject);
    fn _PyObject_GC_New(class: *mut PyTypeObject) -> RawObject;
    fn _PyObject_GC_NewVar(class: *mut PyTypeObject, len: Py_ssize_t) -> RawObject;
    fn PyCMethod_New(row: *mut PyMethodDef, own: RawObject, module: RawObject, class: *mut PyTypeObject)
        -> RawObject;

    variadic:
    fn PyArg_ParseTupleAndKeywords(
        arguments: RawObject, keywords: RawObject, format: *const c_char, names: Keywords; ...
    ) -> c_int;
    fn PyErr_Format(class: RawObject, format: *const c_char; ...) -> RawObject;
    fn PyObject_CallFunctionObjArgs(callable: RawObject; ...) -> RawObject;
    fn PyUnicode_FromFormat(format: *const c_char; ...) -> RawObject;
}

/// Calls a function with a variable number of arguments.
///
/// The arguments are evaluated before the guard is created, so a `?` in an argument does not drop
/// it.
macro_rules! calling {
    ($name:ident($a:expr, $b:expr $(,)?)) => { ffi::calling!(@ $name (a b) ($a, $b)) };
    ($name:ident($a:expr, $b:expr, $c:expr $(,)?)) => {
        ffi::calling!(@ $name (a b c) ($a, $b, $c))
    };
    ($name:ident($a:expr, $b:expr, $c:expr, $d:expr $(,)?)) => {
        ffi::calling!(@ $name (a b c d) ($a, $b, $c, $d))
    };
    ($name:ident($a:expr, $b:expr, $c:expr, $d:expr, $e:expr $(,)?)) => {
        ffi::calling!(@ $name (a b c d e) ($a, $b, $c, $d, $e))
    };
    ($name:ident($a:expr, $b:expr, $c:expr, $d:expr, $e:expr, $f:expr $(,)?)) => {
        ffi::calling!(@ $name (a b c d e f) ($a, $b, $c, $d, $e, $f))
    };
    ($name:ident($a:expr, $b:expr, $c:expr, $d:expr, $e:expr, $f:expr, $g:expr $(,)?)) => {
        ffi::calling!(@ $name (a b c d e f g) ($a, $b, $c, $d, $e, $f, $g))
    };
    ($name:ident($a:expr, $b:expr, $c:expr, $d:expr, $e:expr, $f:expr, $g:expr, $h:expr $(,)?)) => {
        ffi::calling!(@ $name (a b c d e f g h) ($a, $b, $c, $d, $e, $f, $g, $h))
    };
    (@ $name:ident ($($value:ident)*) ($($argument:expr),*)) => {
        match ($($argument),*) {
            ($($value),*) => {
                #[cfg(exit_unwinds)]
                let guard = ffi::HangOnUnwind;
                let result = ffi::$name($($value),*);
                #[cfg(exit_unwinds)]
                std::mem::forget(guard);
                result
            }
        }
    };
}
pub(crate) use calling;

/// The functions in the slots of types.
pub(crate) trait CallSlot<Arguments> {
    type Result;

    /// Calls the function.
    ///
    /// # Safety
    ///
    /// The arguments are those of the slot in CPython's documentation.
    unsafe fn call_slot(self, arguments: Arguments) -> Self::Result;
}

macro_rules! call_slot {
    ($($argument:ident: $type:ident),*) => {
        impl<$($type,)* R> CallSlot<($($type,)*)> for unsafe extern "C" fn($($type),*) -> R {
            type Result = R;

            #[inline(always)]
            unsafe fn call_slot(self, ($($argument,)*): ($($type,)*)) -> R {
                #[cfg(exit_unwinds)]
                // SAFETY: the two types have the same calling convention; the second one also
                // allows unwinding, which is a weaker assumption about the function.
                let (function, guard) = unsafe {
                    type Unwinding<$($type,)* R> = unsafe extern "C-unwind" fn($($type),*) -> R;
                    (std::mem::transmute::<Self, Unwinding<$($type,)* R>>(self), HangOnUnwind)
                };
                #[cfg(not(exit_unwinds))]
                let function = self;
                // SAFETY: the arguments are those of the slot, by the contract of
                // `call_slot`.
                let result = unsafe { function($($argument),*) };
                #[cfg(exit_unwinds)]
                std::mem::forget(guard);
                result
            }
        }
    };
}
call_slot!(a: A);
call_slot!(a: A, b: B);
call_slot!(a: A, b: B, c: C);

#[cfg(exit_unwinds)]
mod by_hand;
#[cfg(exit_unwinds)]
pub(crate) use by_hand::*;

// Without unwinding, the functions of `by_hand.rs` as PyO3 defines them.
#[cfg(all(not(exit_unwinds), not(Py_3_13)))]
pub(crate) use pyo3::ffi::compat::{PyDict_GetItemRef, PyObject_GetOptionalAttr};
#[cfg(not(exit_unwinds))]
pub(crate) use pyo3::ffi::{
    Py_DECREF, Py_XDECREF, PyCFunction_NewEx, PyObject_CallMethodNoArgs, PyObject_CallMethodOneArg,
    PyObject_CallOneArg, PyObject_GC_New, PyObject_GC_NewVar,
};
