//! `Scope`, `scope` and the body of `ContextVar.scope`.

#![allow(unsafe_code)] // The functions in the slots of the class.

use super::token;
use crate::context::{self, ScopeError};
use crate::map::reserve;
use crate::python::context::root_variable::NativeRoot;
use crate::python::interpreter::free_threading::with_object_lock;
use crate::python::interpreter::memory::{gc, trashcan};
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, FreeList, Owned, RawObject, catch_panic, ffi, is_true, keyword_argument, raise,
    raise_arguments, type_object,
};
use crate::python::map::py_heap::PyHeap;
use crate::python::map::{entries, py_heap};
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

static FREE: FreeList<64> = FreeList::new();

/// A variable and its value, or `None` to take the value away.
type Pair = (Owned, Option<Owned>);

#[repr(C)]
struct Scope {
    object: ffi::PyObject,
    scope: context::Scope<NativeRoot>,
    is_strict: bool,
}

/// # Safety
///
/// `object` is an instance of `Scope` that outlives `'a`.
#[inline]
unsafe fn scope<'a>(object: RawObject) -> &'a Scope {
    // SAFETY: as the caller promises.
    unsafe { &*object.cast() }
}

/// A scope for these variables and values.
fn made(others: Vec<Pair>, last: Option<Pair>, is_strict: bool) -> Result<RawObject, ErrorSet> {
    // SAFETY: the lock is held; the fields are written before anybody can see the object.
    unsafe {
        let object = FREE.take().unwrap_or_else(|| ffi::PyObject_GC_New(types::SCOPE.as_ptr()));
        if object.is_null() {
            return Err(ErrorSet);
        }
        let this = object.cast::<Scope>();
        (&raw mut (*this).scope).write(context::Scope::new(others, last));
        (*this).is_strict = is_strict;
        ffi::PyObject_GC_Track(object.cast());
        Ok(object)
    }
}

/// A value that was given for a variable; `None` for `MISSING`, which takes the value away.
///
/// # Safety
///
/// `value` is alive.
#[inline]
unsafe fn given(value: RawObject) -> Option<Owned> {
    let is_missing = ptr::eq(value, token::missing());
    // SAFETY: the object is alive, by the contract of this function.
    (!is_missing).then(|| unsafe { Owned::from_borrowed(value) })
}

/// The arguments `(argument, /, *, strict=False)` of the function `name`.
///
/// # Safety
///
/// There are `count` arguments, and behind them the values of the keywords, which are alive.
#[inline]
unsafe fn parsed(
    name: &'static CStr,
    arguments: *const RawObject,
    count: ffi::Py_ssize_t,
    keywords: RawObject,
) -> Result<(RawObject, bool), ErrorSet> {
    // SAFETY: as the caller promises; the format matches the arguments.
    unsafe {
        if count != 1 {
            return Err(raise_arguments(name, 1, 1, count));
        }
        let strict = keyword_argument(name, c"strict", arguments, count, keywords)?;
        let is_strict = strict.map_or(Ok(false), |strict| is_true(strict))?;
        Ok((*arguments, is_strict))
    }
}

/// The body of `variable.scope(value, *, strict=False)`.
pub(crate) unsafe extern "C" fn scope_of_variable(
    variable: RawObject,
    arguments: *const RawObject,
    count: ffi::Py_ssize_t,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython checks the class of `variable`, and passes `count` arguments and the values
    // of the keywords behind them.
    catch_panic(|| unsafe {
        let (value, is_strict) = parsed(c"scope", arguments, count, keywords)?;
        let pair = (Owned::from_borrowed(variable), given(value));
        made(Vec::new(), Some(pair), is_strict)
    })
}

unsafe extern "C" fn scope_of(
    _: RawObject,
    arguments: *const RawObject,
    count: ffi::Py_ssize_t,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython passes `count` arguments and the values of the keywords behind them.
    catch_panic(|| unsafe {
        let (values, is_strict) = parsed(c"scope", arguments, count, keywords)?;
        if !entries::is_source(values)? {
            let message =
                c"scope() argument 'values' must be a mapping or an iterable of pairs, got %R";
            return Err(raise(ffi::PyExc_TypeError, message, values));
        }
        let is_dict = ffi::PyDict_CheckExact(values) != 0;
        let size = if is_dict { ffi::PyDict_Size(values) as usize } else { 0 };
        let mut pairs = reserve::with_capacity::<PyHeap, Pair>(size)?;
        entries::each_pair(values, c"scope", |key, value| {
            if !types::CONTEXT_VAR.is_type_of(key.as_ptr()) {
                let message =
                    c"scope() argument 'values' must have context variables as keys, got %R";
                return Err(raise(ffi::PyExc_TypeError, message, key.as_ptr()));
            }
            let value = given(value.as_ptr());
            reserve::push::<PyHeap, _>(&mut pairs, (key, value))
        })?;
        let last = pairs.pop();
        made(pairs, last, is_strict)
    })
}

/// Raises the exception of an error.
///
/// # Safety
///
/// `object` is alive.
#[cold]
unsafe fn raised(object: RawObject, error: ScopeError<ErrorSet>) -> ErrorSet {
    // SAFETY: exceptions live as long as the interpreter.
    let (exception, message): (_, &'static CStr) = unsafe {
        match error {
            ScopeError::Carrier(raised) => return raised,
            ScopeError::Entered => (
                ffi::PyExc_RuntimeError,
                c"%R is entered already: make another one, with scope(), for each use",
            ),
            ScopeError::NotEntered => {
                (ffi::PyExc_RuntimeError, c"%R is not entered: use it in a with statement")
            }
            ScopeError::OtherContext => {
                (ffi::PyExc_ValueError, c"%R was entered in a different Context")
            }
        }
    };
    raise(exception, message, object)
}

/// Returns the scope itself, as the `__enter__` of a token does.
unsafe extern "C" fn enter(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and keeps it alive.
    catch_panic(|| unsafe {
        with_object_lock(object, || scope(object).scope.enter(&NativeRoot))
            .map_err(|error| raised(object, error))?;
        Ok(Owned::from_borrowed(object).into_ptr())
    })
}

unsafe extern "C" fn exit(
    object: RawObject,
    _: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and keeps it alive.
    catch_panic(|| unsafe {
        if count != 3 {
            return Err(raise_arguments(c"__exit__", 3, 3, count));
        }
        let Scope { scope, is_strict, .. } = scope(object);
        with_object_lock(object, || scope.leave(&NativeRoot, *is_strict))
            .map_err(|error| raised(object, error))?;
        Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr())
    })
}

/// Whether the scope that `object` is has been entered and not left.
///
/// # Safety
///
/// `object` is an instance that is alive.
unsafe fn is_entered(object: RawObject) -> bool {
    // SAFETY: the object is an instance, by the contract of this function.
    unsafe { with_object_lock(object, || scope(object).scope.with_entered(|_, _| ())).is_some() }
}

unsafe extern "C" fn get_is_entered(object: RawObject, _: *mut c_void) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe { Ok(ffi::PyBool_FromLong(is_entered(object).into())) })
}

unsafe extern "C" fn repr(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the format matches the arguments.
    catch_panic(|| unsafe {
        let entered = if is_entered(object) { c" entered" } else { c"" };
        let scope = &scope(object).scope;
        let pairs = Owned::new(ffi::PyList_New(0))?;
        for (variable, _) in scope.values() {
            if ffi::PyList_Append(pairs.as_ptr(), variable.as_ptr()) < 0 {
                return Err(ErrorSet);
            }
        }
        Ok(ffi::calling!(PyUnicode_FromFormat(
            c"<Scope%s vars=%R at %p>".as_ptr(),
            entered.as_ptr(),
            pairs.as_ptr(),
            object,
        )))
    })
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a tracked, and so complete, instance; what it holds is alive.
    unsafe {
        let scope = &scope(object).scope;
        for (variable, value) in scope.values() {
            for reference in [Some(variable), value.as_ref()].into_iter().flatten() {
                let stop = visit(reference.as_ptr(), arg);
                if stop != 0 {
                    return stop;
                }
            }
        }
        let entered = scope.with_entered(|before, mark| {
            [before.root().map(py_heap::object_of_ref), Some(mark.native.as_ptr())]
        });
        gc::traverse(object, &entered.unwrap_or_default(), visit, arg)
    }
}

/// A scope that is a value may be entered later, where it is one: a cycle of what cannot change.
unsafe extern "C" fn clear(object: RawObject) -> c_int {
    // SAFETY: CPython calls this for a complete instance, which it keeps alive.
    unsafe { with_object_lock(object, || scope(object).scope.abandon()) };
    0
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        trashcan::bounded(object, || {
            ptr::drop_in_place(&raw mut (*object.cast::<Scope>()).scope);
            FREE.give(object);
        });
    }
}

/// The function `scope`.
pub(crate) fn scope_function(module: RawObject) -> Result<Owned, ErrorSet> {
    let call = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: scope_of };
    let doc = c"scope($module, values, /, *, strict=False)\n--\n\n\
        Return a Scope in which several variables have values of their own.\n\n\
        The values are a mapping of context variables, or an iterable of pairs; of several pairs of\n\
        one variable the last one counts. MISSING takes a value away. The values are read at once,\n\
        and set, all in one step, when a with statement enters the scope. When it leaves the scope, whether the body returns or raises, they are restored\n\
        to what they were, and what else the body set stays. A scope without values sets nothing.\n\n\
        Leaving it in another context than the one that was entered restores a variable there only\n\
        if its value is the very one that the scope set, as in a copy made inside the scope; with\n\
        strict=True that raises ValueError instead, and changes nothing.\n\n\
        While it is entered, it keeps all variables as they were before alive. Raise TypeError if a\n\
        key is not a context variable. O(k log n) for k values among n variables; O(1) to leave if\n\
        nothing else was set. (PEP 567, whose tokens restore one variable each)\n\n\
        >>> import ctxvars\n\
        >>> user = ctxvars.ContextVar('user', default='nobody')\n\
        >>> level = ctxvars.ContextVar('level', default=0)\n\
        >>> with ctxvars.scope({user: 'Ada', level: 1}):\n\
        ...     user.get(), level.get()\n\
        ('Ada', 1)\n\
        >>> user.get(), level.get()\n\
        ('nobody', 0)";
    let flags = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    type_object::function(module, type_object::method(c"scope", call, flags, doc))
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    let methods = vec![
        type_object::method(
            c"__enter__",
            ffi::PyMethodDefPointer { PyCFunction: enter },
            ffi::METH_NOARGS,
            c"__enter__($self, /)\n--\n\n\
            Set the variables in the current context, and return the scope itself.\n\n\
            Raise RuntimeError if it is entered already.",
        ),
        type_object::method(
            c"__exit__",
            ffi::PyMethodDefPointer { PyCFunctionFast: exit },
            ffi::METH_FASTCALL,
            c"__exit__($self, type, val, tb, /)\n--\n\n\
            Restore the variables to what they were.\n\n\
            Raise RuntimeError if it is not entered, and ValueError if it was entered in another\n\
            context and is strict.",
        ),
        type_object::not_to_be_pickled(),
        ffi::PyMethodDef::zeroed(),
    ];
    let attributes = type_object::attributes(&[(
        c"is_entered",
        get_is_entered,
        c"Whether the scope was entered and not left since.",
    )]);
    let doc =
        c"What scope() and ContextVar.scope() return: a context manager for one use at a time.\n\n\
        It may be entered again after it was left.";
    // SAFETY: each slot has the value that its number stands for.
    unsafe {
        types::SCOPE.make(
            c"ctxvars.Scope",
            size_of::<Scope>(),
            0,
            ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
            &[
                (ffi::Py_tp_dealloc, dealloc as *mut c_void),
                (ffi::Py_tp_traverse, traverse as *mut c_void),
                (ffi::Py_tp_clear, clear as *mut c_void),
                (ffi::Py_tp_hash, ffi::slot::PyObject_HashNotImplemented as *mut c_void),
                (ffi::Py_tp_repr, repr as *mut c_void),
                (ffi::Py_tp_methods, type_object::leaked(methods)),
                (ffi::Py_tp_getset, attributes),
                (ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
            ],
        )
    }
}
