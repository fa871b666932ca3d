//! `Scope`, `scope` and the body of `ContextVar.scope`.

#![allow(unsafe_code)] // The functions in the slots of the class.

use super::class::{self, Class, FreeList};
use super::collect;
use super::dropping;
use super::ffi;
use super::heap::{self, PyHeap};
use super::object::{
    Object, Owned, Raised, guarded, is_true, keyword_argument, raise, raise_arguments,
};
use super::root::NativeRoot;
use super::sharing::exclusively;
use super::token;
use super::variable;
use crate::context::{self, ScopeError};
use crate::map::reserve;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

pub(super) static CLASS: Class = Class::unset();

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
unsafe fn scope<'a>(object: Object) -> &'a Scope {
    // SAFETY: as the caller promises.
    unsafe { &*object.cast() }
}

/// A scope for these variables and values.
fn made(others: Vec<Pair>, last: Option<Pair>, is_strict: bool) -> Result<Object, Raised> {
    // SAFETY: the lock is held; the fields are written before anybody can see the object.
    unsafe {
        let object = FREE.take().unwrap_or_else(|| ffi::PyObject_GC_New(CLASS.as_ptr()));
        if object.is_null() {
            return Err(Raised);
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
unsafe fn given(value: Object) -> Option<Owned> {
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
    arguments: *const Object,
    count: ffi::Py_ssize_t,
    keywords: Object,
) -> Result<(Object, bool), Raised> {
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
pub(super) unsafe extern "C" fn scope_of_variable(
    variable: Object,
    arguments: *const Object,
    count: ffi::Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: CPython checks the class of `variable`, and passes `count` arguments and the values
    // of the keywords behind them.
    guarded(|| unsafe {
        let (value, is_strict) = parsed(c"scope", arguments, count, keywords)?;
        let pair = (Owned::from_borrowed(variable), given(value));
        made(Vec::new(), Some(pair), is_strict)
    })
}

unsafe extern "C" fn scope_of(
    _: Object,
    arguments: *const Object,
    count: ffi::Py_ssize_t,
    keywords: Object,
) -> Object {
    // SAFETY: CPython passes `count` arguments and the values of the keywords behind them.
    guarded(|| unsafe {
        let (values, is_strict) = parsed(c"scope", arguments, count, keywords)?;
        if !collect::is_source(values)? {
            let message =
                c"scope() argument 'values' must be a mapping or an iterable of pairs, got %R";
            return Err(raise(ffi::PyExc_TypeError, message, values));
        }
        let is_dict = ffi::PyDict_CheckExact(values) != 0;
        let size = if is_dict { ffi::PyDict_Size(values) as usize } else { 0 };
        let mut pairs = reserve::with_capacity::<PyHeap, Pair>(size)?;
        collect::each_pair(values, c"scope", |key, value| {
            if !variable::CLASS.is_class_of(key.as_ptr()) {
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
unsafe fn raised(object: Object, error: ScopeError<Raised>) -> Raised {
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
unsafe extern "C" fn enter(object: Object, _: Object) -> Object {
    // SAFETY: CPython checks the class of `object`, and keeps it alive.
    guarded(|| unsafe {
        exclusively(object, || scope(object).scope.enter(&NativeRoot))
            .map_err(|error| raised(object, error))?;
        Ok(Owned::from_borrowed(object).into_ptr())
    })
}

unsafe extern "C" fn exit(object: Object, _: *mut Object, count: ffi::Py_ssize_t) -> Object {
    // SAFETY: CPython checks the class of `object`, and keeps it alive.
    guarded(|| unsafe {
        if count != 3 {
            return Err(raise_arguments(c"__exit__", 3, 3, count));
        }
        let Scope { scope, is_strict, .. } = scope(object);
        exclusively(object, || scope.leave(&NativeRoot, *is_strict))
            .map_err(|error| raised(object, error))?;
        Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr())
    })
}

/// Whether the scope that `object` is has been entered and not left.
///
/// # Safety
///
/// `object` is an instance that is alive.
unsafe fn is_entered(object: Object) -> bool {
    // SAFETY: the object is an instance, by the contract of this function.
    unsafe { exclusively(object, || scope(object).scope.with_entered(|_, _| ())).is_some() }
}

unsafe extern "C" fn get_is_entered(object: Object, _: *mut c_void) -> Object {
    // SAFETY: CPython checks the class of `object`.
    guarded(|| unsafe { Ok(ffi::PyBool_FromLong(is_entered(object).into())) })
}

unsafe extern "C" fn repr(object: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; the format matches the arguments.
    guarded(|| unsafe {
        let entered = if is_entered(object) { c" entered" } else { c"" };
        let scope = &scope(object).scope;
        let pairs = Owned::new(ffi::PyList_New(0))?;
        for (variable, _) in scope.values() {
            if ffi::PyList_Append(pairs.as_ptr(), variable.as_ptr()) < 0 {
                return Err(Raised);
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

unsafe extern "C" fn traverse(object: Object, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
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
            [before.root().map(heap::object_of_ref), Some(mark.native.as_ptr())]
        });
        class::traverse(object, &entered.unwrap_or_default(), visit, arg)
    }
}

/// A scope that is a value may be entered later, where it is one: a cycle of what cannot change.
unsafe extern "C" fn clear(object: Object) -> c_int {
    // SAFETY: CPython calls this for a complete instance, which it keeps alive.
    unsafe { exclusively(object, || scope(object).scope.abandon()) };
    0
}

unsafe extern "C" fn dealloc(object: Object) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        dropping::bounded(object, || {
            ptr::drop_in_place(&raw mut (*object.cast::<Scope>()).scope);
            FREE.give(object);
        });
    }
}

/// The function `scope`.
pub(super) fn scope_function(module: Object) -> Result<Owned, Raised> {
    let call = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: scope_of };
    let doc = c"scope($module, values, /, *, strict=False)\n--\n\n\
        Return a Scope in which several variables have values of their own.\n\n\
        The values are a mapping of context variables, or an iterable of pairs; of several pairs of\n\
        one variable the last one counts. MISSING takes a value away. The values are read at once,\n\
        and set, all in one step, when a with statement enters the scope. When it leaves the scope,\n\
        whether the body returns or raises, they are restored to what they were, and what else the\n\
        body set stays. A scope without values sets nothing.\n\n\
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
    class::function(module, class::method(c"scope", call, flags, doc))
}

pub(super) fn init() -> Result<(), Raised> {
    let methods = vec![
        class::method(
            c"__enter__",
            ffi::PyMethodDefPointer { PyCFunction: enter },
            ffi::METH_NOARGS,
            c"__enter__($self, /)\n--\n\n\
            Set the variables in the current context, and return the scope itself.\n\n\
            Raise RuntimeError if it is entered already.",
        ),
        class::method(
            c"__exit__",
            ffi::PyMethodDefPointer { PyCFunctionFast: exit },
            ffi::METH_FASTCALL,
            c"__exit__($self, type, val, tb, /)\n--\n\n\
            Restore the variables to what they were.\n\n\
            Raise RuntimeError if it is not entered, and ValueError if it was entered in another\n\
            context and is strict.",
        ),
        class::not_to_be_pickled(),
        ffi::PyMethodDef::zeroed(),
    ];
    let attributes = class::attributes(&[(
        c"is_entered",
        get_is_entered,
        c"Whether the scope was entered and not left since.",
    )]);
    let doc =
        c"What scope() and ContextVar.scope() return: a context manager for one use at a time.\n\n\
        It may be entered again after it was left.";
    // SAFETY: each slot has the value that its number stands for.
    unsafe {
        CLASS.make(
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
                (ffi::Py_tp_methods, class::leaked(methods)),
                (ffi::Py_tp_getset, attributes),
                (ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
            ],
        )
    }
}
