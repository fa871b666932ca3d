//! `Context`, a facade over a native context, and `copy_context`.
//!
//! The native context carries the bindings, as the value of the root variable; the facade reads
//! them there, so it is right whoever runs, copies or changes the native context.

#![allow(unsafe_code)] // The functions in the slots of the class.

use super::{root_variable, variable};
use crate::map::Trie;
use crate::python::context::entered::Entered;
use crate::python::interpreter::ffi::CallSlot as _;
use crate::python::interpreter::free_threading::{with_all_context_locks, with_own_context_lock};
use crate::python::interpreter::memory::gc;
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, FreeList, Owned, RawObject, RecursionGuard, catch_panic, eq_or_ne, ffi,
    get_or_default, raise, raise_message, raise_value, type_object,
};
use crate::python::map::iterator::EntryPart;
use crate::python::map::key::ByEquality;
use crate::python::map::py_heap::PyHeap;
use crate::python::map::{diff_merge, iterator, py_heap};
use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr;

static FREE: FreeList<64> = FreeList::new();

#[repr(C)]
struct Context {
    object: ffi::PyObject,
    native: Owned,
    weak_references: RawObject,
}

/// # Safety
///
/// `object` is an instance of `Context` that outlives `'a`.
#[inline]
unsafe fn native<'a>(object: RawObject) -> &'a Owned {
    // SAFETY: as the caller promises.
    unsafe { &(*object.cast::<Context>()).native }
}

/// The facade of `native`. O(1).
#[inline]
fn facade(native: Owned) -> Result<RawObject, ErrorSet> {
    // SAFETY: the lock is held; the fields are written before anybody can see the object.
    unsafe {
        let object = FREE.take().unwrap_or_else(|| ffi::PyObject_GC_New(types::CONTEXT.as_ptr()));
        if object.is_null() {
            return Err(ErrorSet);
        }
        let this = object.cast::<Context>();
        (&raw mut (*this).native).write(native);
        (*this).weak_references = ptr::null_mut();
        ffi::PyObject_GC_Track(object.cast());
        Ok(object)
    }
}

/// The object of the bindings of a native context, `None` if it has none. O(1).
///
/// # Safety
///
/// `native` is a native context.
#[inline]
unsafe fn bindings_object(native: &Owned) -> Result<Option<Owned>, ErrorSet> {
    // SAFETY: a native context is a mapping, so it has the slot.
    unsafe {
        let native = native.as_ptr();
        let mapping = (*ffi::Py_TYPE(native)).tp_as_mapping;
        let Some(subscript) = (*mapping).mp_subscript else { return Err(ErrorSet) };
        let found =
            with_all_context_locks(|| subscript.call_slot((native, root_variable::variable())));
        if found.is_null() {
            if ffi::PyErr_ExceptionMatches(ffi::PyExc_KeyError) == 0 {
                return Err(ErrorSet);
            }
            ffi::PyErr_Clear();
            return Ok(None);
        }
        root_variable::checked(Owned::new(found)?).map(Some)
    }
}

/// The bindings of a native context, as a map. O(1).
///
/// # Safety
///
/// `native` is a native context.
pub(crate) unsafe fn bindings(native: &Owned) -> Result<Trie<PyHeap>, ErrorSet> {
    // SAFETY: the object has been checked.
    unsafe {
        Ok(match bindings_object(native)? {
            Some(found) => py_heap::share(found.as_ptr()),
            None => Trie::new(),
        })
    }
}

/// The value of `key` in a native context; raises `TypeError` unless it is a variable of ours.
///
/// # Safety
///
/// `native` is a native context, and `key` is alive.
#[inline]
pub(crate) unsafe fn value_of(native: &Owned, key: RawObject) -> Result<Option<Owned>, ErrorSet> {
    // SAFETY: as the caller promises; the object has been checked.
    unsafe {
        variable::check_key(key)?;
        match bindings_object(native)? {
            Some(bindings) => variable::value_of(key, &bindings),
            None => Ok(None),
        }
    }
}

unsafe extern "C" fn new(
    _: *mut ffi::PyTypeObject,
    arguments: RawObject,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython passes a tuple and a dict or null.
    catch_panic(|| unsafe {
        let keywords = if keywords.is_null() { 0 } else { ffi::PyDict_Size(keywords) };
        if ffi::PyTuple_Size(arguments) != 0 || keywords != 0 {
            let message = c"Context() does not accept any arguments";
            return Err(raise_message(ffi::PyExc_TypeError, message));
        }
        facade(Owned::new(ffi::PyContext_New())?)
    })
}

unsafe extern "C" fn copy_context(_: RawObject, _: RawObject) -> RawObject {
    catch_panic(|| facade(copy_of_current()?))
}

unsafe extern "C" fn copy(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe { facade(copy_of(native(object))?) })
}

unsafe extern "C" fn run(
    object: RawObject,
    arguments: *const RawObject,
    count: ffi::Py_ssize_t,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments and the values
    // of the keywords behind them.
    catch_panic(|| unsafe {
        if count < 1 {
            let message = c"run() missing 1 required positional argument";
            return Err(raise_message(ffi::PyExc_TypeError, message));
        }
        let Ok(entered) = Entered::new(native(object)) else {
            // The one reason is that it is entered; the message is to show our object.
            ffi::PyErr_Clear();
            let message = c"cannot enter context: %R is already entered";
            return Err(raise(ffi::PyExc_RuntimeError, message, object));
        };
        let (function, count) = (*arguments, (count - 1) as usize);
        let result = entered.run(|| {
            Owned::new(ffi::PyObject_Vectorcall(function, arguments.add(1), count, keywords))
        });
        result.map(Owned::into_ptr)
    })
}

unsafe extern "C" fn subscript(object: RawObject, key: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the key is alive.
    catch_panic(|| unsafe {
        match value_of(native(object), key)? {
            Some(value) => Ok(value.into_ptr()),
            None => Err(raise_value(ffi::PyExc_KeyError, key)),
        }
    })
}

unsafe extern "C" fn contains(object: RawObject, key: RawObject) -> c_int {
    // SAFETY: CPython checks the class of `object`; the key is alive.
    catch_panic(|| unsafe { Ok(value_of(native(object), key)?.is_some().into()) })
}

unsafe extern "C" fn get(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments.
    catch_panic(|| unsafe { get_or_default(arguments, count, |key| value_of(native(object), key)) })
}

unsafe extern "C" fn len(object: RawObject) -> ffi::Py_ssize_t {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe { Ok(bindings(native(object))?.len() as ffi::Py_ssize_t) })
}

unsafe extern "C" fn keys(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe { iterator::over(bindings(native(object))?, EntryPart::Key) })
}

unsafe extern "C" fn values(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe { iterator::over(bindings(native(object))?, EntryPart::Value) })
}

unsafe extern "C" fn items(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe { iterator::over(bindings(native(object))?, EntryPart::Item) })
}

unsafe extern "C" fn iter(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    unsafe { keys(object, ptr::null_mut()) }
}

unsafe extern "C" fn compare(object: RawObject, other: RawObject, operator: c_int) -> RawObject {
    // SAFETY: CPython calls the slot of either class, so both are checked; both are alive.
    unsafe {
        let comparable = types::CONTEXT.is_type_of(object) && types::CONTEXT.is_type_of(other);
        eq_or_ne(operator, comparable, || {
            // The bindings are kept alive here: comparing values may set variables (gh-142829).
            let own = bindings(native(object))?;
            // One moment of what another thread may be changing.
            let others =
                if ptr::eq(object, other) { own.clone() } else { bindings(native(other))? };
            let nested = RecursionGuard::counted(c" in comparison")?;
            own.equal(&others, &mut ByEquality::within(nested))
        })
    }
}

unsafe extern "C" fn get_native(object: RawObject, _: *mut c_void) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    unsafe { native(object) }.clone().into_ptr()
}

/// Raises `TypeError` unless `context` is a native one.
///
/// # Safety
///
/// `context` is alive.
pub(crate) unsafe fn check_native(context: RawObject) -> Result<(), ErrorSet> {
    // SAFETY: the context is alive; exceptions live as long as the interpreter.
    unsafe {
        if ffi::PyContext_CheckExact(context) != 0 {
            return Ok(());
        }
        let message = c"native must be a contextvars.Context, got %R";
        Err(raise(ffi::PyExc_TypeError, message, context))
    }
}

unsafe extern "C" fn wrap(_: RawObject, context: RawObject) -> RawObject {
    // SAFETY: the argument is alive.
    catch_panic(|| unsafe {
        check_native(context)?;
        facade(Owned::from_borrowed(context))
    })
}

unsafe extern "C" fn get_bindings(object: RawObject, _: *mut c_void) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe { Ok(py_heap::into_object(bindings(native(object))?).into_ptr()) })
}

/// What `diff` says of what is not a context.
pub(crate) const DIFF_OF_WHAT: &CStr = c"diff() argument 'other' must be a Context, got %R";

unsafe extern "C" fn diff(object: RawObject, other: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both are alive.
    catch_panic(|| unsafe {
        if !types::CONTEXT.is_type_of(other) {
            return Err(raise(ffi::PyExc_TypeError, DIFF_OF_WHAT, other));
        }
        diff_merge::diff_of(&bindings(native(object))?, &bindings(native(other))?)
    })
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a tracked, and so complete, instance.
    unsafe { gc::traverse(object, &[Some(native(object).as_ptr())], visit, arg) }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let this = object.cast::<Context>();
        gc::clear_weak_references(object, (*this).weak_references);
        ptr::drop_in_place(&raw mut (*this).native);
        FREE.give(object);
    }
}

fn without_arguments(
    name: &'static CStr,
    call: ffi::PyCFunction,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    type_object::method(name, ffi::PyMethodDefPointer { PyCFunction: call }, ffi::METH_NOARGS, doc)
}

/// The methods of contexts that the standard library's do not have, with the end of the table.
pub(crate) fn methods_beyond(
    wrap: ffi::PyCFunction,
    diff: ffi::PyCFunction,
) -> Vec<ffi::PyMethodDef> {
    vec![
        type_object::method(
            c"wrap",
            ffi::PyMethodDefPointer { PyCFunction: wrap },
            ffi::METH_O | ffi::METH_CLASS,
            c"wrap($type, native, /)\n--\n\n\
            Return a Context over a contextvars.Context that other code made.\n\n\
            Both are one context: what is set in one is seen in the other. O(1).",
        ),
        type_object::method(
            c"diff",
            ffi::PyMethodDefPointer { PyCFunction: diff },
            ffi::METH_O,
            c"diff($self, other, /)\n--\n\n\
            Return the MapDiff that leads from the variables of this context to another's.\n\n\
            O(changes x log n) if one is a copy of the other.",
        ),
        ffi::PyMethodDef::zeroed(),
    ]
}

/// The attributes of contexts that the standard library's do not have.
pub(crate) fn attributes_beyond(bindings: ffi::getter, native: ffi::getter) -> *mut c_void {
    type_object::attributes(&[
        (
            c"bindings",
            bindings,
            c"The variables of ctxvars that have a value now, with these values, as a Map. O(1).",
        ),
        (
            c"native",
            native,
            c"The contextvars.Context that carries this one, for code that insists on it.",
        ),
    ])
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    let mut methods = vec![
        type_object::method(
            c"run",
            ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: run },
            ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            c"Run a callable in this context: run(callable, *args, **kwargs).\n\n\
            Return what it returns, raise what it raises. What it sets is seen in this context\n\
            only. Raise RuntimeError if the context is entered already. O(1), and no Python frame\n\
            of its own. (PEP 567)",
        ),
        type_object::method(
            c"get",
            ffi::PyMethodDefPointer { PyCFunctionFast: get },
            ffi::METH_FASTCALL,
            c"get($self, key, default=None, /)\n--\n\n\
            Return the value of the variable in this context, or the default. O(log n).",
        ),
        without_arguments(
            c"copy",
            copy,
            c"copy($self, /)\n--\n\nReturn another context with the same values. O(1).",
        ),
        without_arguments(
            c"keys",
            keys,
            c"keys($self, /)\n--\n\nReturn an iterator over the variables that have a value.",
        ),
        without_arguments(
            c"values",
            values,
            c"values($self, /)\n--\n\nReturn an iterator over the values.",
        ),
        without_arguments(
            c"items",
            items,
            c"items($self, /)\n--\n\nReturn an iterator over pairs of variable and value.",
        ),
    ];
    methods.extend(methods_beyond(wrap, diff));
    let attributes = attributes_beyond(get_bindings, get_native);
    let members = type_object::weak_references_at(offset_of!(Context, weak_references));
    let doc = c"Context()\n\n\
        A mapping of context variables to values, in which code can be run.\n\n\
        copy_context() returns a copy of the current one; Context() is empty. (PEP 567)";
    // SAFETY: each slot has the value that its number stands for.
    unsafe {
        types::CONTEXT.make(
            c"ctxvars.Context",
            size_of::<Context>(),
            0,
            0,
            &[
                (ffi::Py_tp_new, new as *mut c_void),
                (ffi::Py_tp_dealloc, dealloc as *mut c_void),
                (ffi::Py_tp_traverse, traverse as *mut c_void),
                (ffi::Py_tp_hash, ffi::slot::PyObject_HashNotImplemented as *mut c_void),
                (ffi::Py_tp_richcompare, compare as *mut c_void),
                (ffi::Py_tp_iter, iter as *mut c_void),
                (ffi::Py_mp_length, len as *mut c_void),
                (ffi::Py_mp_subscript, subscript as *mut c_void),
                (ffi::Py_sq_contains, contains as *mut c_void),
                (ffi::Py_tp_methods, type_object::leaked(methods)),
                (ffi::Py_tp_getset, attributes),
                (ffi::Py_tp_members, members),
                (ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
            ],
        )
    }
}

/// A copy of the current native context. O(1).
pub(crate) fn copy_of_current() -> Result<Owned, ErrorSet> {
    let _paused = GcPause::new();
    // SAFETY: the lock is held; a new reference comes back, or null with an exception.
    unsafe { Owned::new(ffi::PyContext_CopyCurrent()) }
}

/// A copy of a native context. O(1).
///
/// # Safety
///
/// `context` is one.
pub(crate) unsafe fn copy_of(context: &Owned) -> Result<Owned, ErrorSet> {
    let _paused = GcPause::new();
    // SAFETY: as the caller promises; a new reference comes back, or null with an exception.
    with_all_context_locks(|| unsafe { Owned::new(ffi::PyContext_Copy(context.as_ptr())) })
}

/// Gives a native variable a value in the current native context, and returns the token.
///
/// # Safety
///
/// `variable` is a native context variable.
#[inline]
pub(crate) unsafe fn set_native(
    variable: RawObject,
    value: &Owned,
    _: &GcPause,
) -> Result<Owned, ErrorSet> {
    // SAFETY: the caller passes a native variable; the value is alive.
    with_own_context_lock(|| unsafe { Owned::new(ffi::PyContextVar_Set(variable, value.as_ptr())) })
}

/// Undoes what [`set_native`] has done.
///
/// # Safety
///
/// `variable` is a native context variable, and `token` one of its tokens.
#[inline]
pub(crate) unsafe fn reset_native(
    variable: RawObject,
    token: &Owned,
    _: &GcPause,
) -> Result<(), ErrorSet> {
    // SAFETY: the caller passes a native variable and its token.
    let done =
        with_own_context_lock(|| unsafe { ffi::PyContextVar_Reset(variable, token.as_ptr()) });
    if done < 0 { Err(ErrorSet) } else { Ok(()) }
}

/// The native context that `context` is or stands for, `None` for Python's `None`.
///
/// # Safety
///
/// `context` is alive.
pub(crate) unsafe fn native_or_none(context: RawObject) -> Result<Option<Owned>, ErrorSet> {
    // SAFETY: as the caller promises; exceptions live as long as the interpreter.
    unsafe {
        if ffi::Py_IsNone(context) != 0 {
            return Ok(None);
        }
        if types::CONTEXT.is_type_of(context) {
            return Ok(Some(native(context).clone()));
        }
        if ffi::PyContext_CheckExact(context) == 0 {
            let message = c"context must be a Context, ours or native, or None, got %R";
            return Err(raise(ffi::PyExc_TypeError, message, context));
        }
        Ok(Some(Owned::from_borrowed(context)))
    }
}

/// The function `copy_context`.
pub(crate) fn copy_context_function(module: RawObject) -> Result<Owned, ErrorSet> {
    let doc = c"copy_context($module, /)\n--\n\n\
        Return a copy of the current context. O(1). (PEP 567)";
    type_object::function(module, without_arguments(c"copy_context", copy_context, doc))
}
