//! `Scope`, the function `scope`, and the body of `ContextVar.scope`.

#![allow(unsafe_code)] // Scopes are hot: they have a free list, and are made in place.

use super::root_variable::NativeRoot;
use super::token;
use super::variable::VariableObject;
use crate::context::{self, Before, ScopeError};
use crate::map::reserve;
use crate::python::interpreter::free_threading::with_object_lock;
use crate::python::interpreter::memory::{gc, trashcan};
use crate::python::interpreter::{
    Arguments, ErrorSet, Exception, FreeList, Getter, Method, Owned, RawObject, Slot, TypeSpec,
    TypedObject as _, check_count, ffi, module_function_with_keywords, raise, raise_arguments,
    type_object, typed_object, types,
};
use crate::python::map::entries;
use crate::python::map::py_heap::{self, PyHeap};
use crate::python::observation::{self, Kind};
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

typed_object! {
    /// A `Scope`.
    ScopeObject: SCOPE
}

static FREE: FreeList<64> = FreeList::new();

/// A variable and its value, or `None` to take the value away.
pub(crate) type Pair = (VariableObject, Option<Owned>);

#[repr(C)]
struct Scope {
    object: ffi::PyObject,
    scope: context::Scope<NativeRoot>,
    is_strict: bool,
}

impl ScopeObject {
    #[inline]
    fn instance(&self) -> &Scope {
        // SAFETY: instances are a `Scope`, whose fields `make` has written. The reference keeps the
        // instance alive.
        unsafe { &*self.as_ptr().cast() }
    }

    /// Sets the variables in the current context.
    #[inline]
    pub(crate) fn enter(&self) -> Result<(), ScopeError<ErrorSet>> {
        observation::changing(Kind::ScopeEnter, self.variables(), || {
            with_object_lock(self, || self.instance().scope.enter(&NativeRoot))
        })
    }

    /// Gives the variables their previous values back.
    #[inline]
    pub(crate) fn leave(&self) -> Result<(), ScopeError<ErrorSet>> {
        let Scope { scope, is_strict, .. } = self.instance();
        observation::changing(Kind::ScopeExit, self.variables(), || {
            with_object_lock(self, || scope.leave(&NativeRoot, *is_strict))
        })
    }

    fn variables(&self) -> impl Iterator<Item = &VariableObject> {
        self.instance().scope.values().map(|(variable, _)| variable)
    }

    /// Whether the scope has been entered and not left.
    fn is_entered(&self) -> bool {
        with_object_lock(self, || self.instance().scope.with_entered(|_, _| ())).is_some()
    }
}

/// A scope for these variables and values, which sets `last` after the others.
pub(crate) fn make(
    others: Vec<Pair>,
    last: Option<Pair>,
    is_strict: bool,
) -> Result<Owned, ErrorSet> {
    // SAFETY: a block of the free list is the memory of a scope. The fields are written before
    // other code can see the object.
    unsafe {
        let object = FREE.take().unwrap_or_else(|| ffi::PyObject_GC_New(types::SCOPE.as_ptr()));
        if object.is_null() {
            return Err(ErrorSet);
        }
        let this = object.cast::<Scope>();
        (&raw mut (*this).scope).write(context::Scope::new(others, last));
        (*this).is_strict = is_strict;
        ffi::PyObject_GC_Track(object.cast());
        Owned::new(object)
    }
}

/// A variable and the value given for it; `MISSING` takes its value away.
#[inline]
pub(crate) fn given(variable: &VariableObject, value: Owned) -> Result<Pair, ErrorSet> {
    let is_missing = value.is(token::missing());
    let stored = if is_missing { None } else { Some(variable.stored(value)?) };
    Ok((variable.clone(), stored))
}

/// The arguments `(argument, /, *, strict=False)` of the function `name`.
#[inline]
fn parsed<'a>(
    name: &'static CStr,
    arguments: Arguments<'a>,
) -> Result<(&'a Owned, bool), ErrorSet> {
    let [argument] = arguments.positional else {
        return Err(raise_arguments(name, 1, 1, arguments.positional.len() as isize));
    };
    let strict = arguments.keyword(name, c"strict")?;
    Ok((argument, strict.map_or(Ok(false), Owned::is_true)?))
}

/// `variable.scope(value, *, strict=False)`
pub(crate) fn scope_of_variable(
    variable: &VariableObject,
    arguments: Arguments<'_>,
) -> Result<Owned, ErrorSet> {
    let (value, is_strict) = parsed(c"scope", arguments)?;
    make(Vec::new(), Some(given(variable, value.clone())?), is_strict)
}

fn scope_of(arguments: Arguments<'_>) -> Result<Owned, ErrorSet> {
    let (values, is_strict) = parsed(c"scope", arguments)?;
    if !entries::is_source(values)? {
        let message =
            c"scope() argument 'values' must be a mapping or an iterable of pairs, got %R";
        return Err(raise(Exception::TypeError, message, values));
    }
    let size = if values.is_dict() { values.length()? } else { 0 };
    let mut pairs = reserve::with_capacity::<PyHeap, Pair>(size)?;
    entries::each_pair(values, c"scope", |key, value| {
        let Some(variable) = VariableObject::of(&key) else {
            let message = c"scope() argument 'values' must have context variables as keys, got %R";
            return Err(raise(Exception::TypeError, message, &key));
        };
        reserve::push::<PyHeap, _>(&mut pairs, given(variable, value)?)
    })?;
    let last = pairs.pop();
    make(pairs, last, is_strict)
}

/// Raises the exception of an error.
#[cold]
pub(crate) fn raised(scope: &ScopeObject, error: ScopeError<ErrorSet>) -> ErrorSet {
    let (exception, message): (_, &'static CStr) = match error {
        ScopeError::Carrier(raised) => return raised,
        ScopeError::Entered => (
            Exception::RuntimeError,
            c"%R is entered already: make another one, with scope(), for each use",
        ),
        ScopeError::NotEntered => {
            (Exception::RuntimeError, c"%R is not entered: use it in a with statement")
        }
        ScopeError::OtherContext => {
            (Exception::ValueError, c"%R was entered in a different Context")
        }
    };
    raise(exception, message, scope)
}

/// Returns the scope itself, as the `__enter__` of a token does.
#[inline]
fn enter(scope: &ScopeObject) -> Result<Owned, ErrorSet> {
    scope.enter().map_err(|error| raised(scope, error))?;
    Ok((**scope).clone())
}

#[inline]
fn exit(scope: &ScopeObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    check_count(c"__exit__", arguments, 3, 3)?;
    scope.leave().map_err(|error| raised(scope, error))?;
    Ok(Owned::none())
}

fn repr(scope: &ScopeObject) -> Result<Owned, ErrorSet> {
    let entered = if scope.is_entered() { c" entered" } else { c"" };
    let variables = Owned::list()?;
    for (variable, _) in scope.instance().scope.values() {
        variables.append(variable)?;
    }
    // SAFETY: the format takes a C string, an object, and a pointer.
    unsafe {
        Owned::new(ffi::calling!(PyUnicode_FromFormat(
            c"<Scope%s vars=%R at %p>".as_ptr(),
            entered.as_ptr(),
            variables.as_ptr(),
            scope.as_ptr(),
        )))
    }
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: the garbage collector visits tracked instances, whose fields have been written.
    unsafe {
        let scope = &ScopeObject::unchecked(Owned::borrowed(&object)).instance().scope;
        for (variable, value) in scope.values() {
            for reference in [Some(&**variable), value.as_ref()].into_iter().flatten() {
                let stop = visit(reference.as_ptr(), arg);
                if stop != 0 {
                    return stop;
                }
            }
        }
        let entered = scope.with_entered(|before, mark| {
            let before = match before {
                Before::Bindings(before) => before.root().map(py_heap::object_of_ref),
                Before::Value(old) => old.as_ref().map(Owned::as_ptr),
            };
            [before, Some(mark.native.as_ptr())]
        });
        gc::traverse(object, &entered.unwrap_or_default(), visit, arg)
    }
}

/// Breaks the cycle of a scope that is a value in the bindings which it will restore.
fn clear(scope: &ScopeObject) {
    with_object_lock(scope, || scope.instance().scope.abandon());
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this once, when the last reference to a scope is gone. The field is
    // initialised, and not used after it is dropped.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        trashcan::bounded(object, || {
            ptr::drop_in_place(&raw mut (*object.cast::<Scope>()).scope);
            FREE.give(object);
        });
    }
}

/// The function `scope`.
pub(crate) fn scope_function(module: &Owned) -> Result<Owned, ErrorSet> {
    let doc = c"scope($module, values, /, *, strict=False)\n--\n\n\
        Return a Scope in which several variables have the given values.\n\n\
        The values are a mapping of context variables, or an iterable of pairs; of several pairs\n\
        for one variable, the last one counts. MISSING takes a value away. The values are read at\n\
        once. They are set, in one step, when a with statement enters the scope. When it leaves\n\
        the scope, whether the body returns or raises, the variables get their previous values\n\
        back; other variables that the body has set keep their values.\n\n\
        If the scope is left in another context than the one in which it was entered, a variable\n\
        is restored only if its value is the very object that the scope set, as in a copy that was\n\
        made inside the scope. With strict=True, that raises ValueError instead, and changes\n\
        nothing.\n\n\
        While it is entered, the scope keeps the previous values alive. Raise TypeError if a key\n\
        is not a context variable. O(k log n) for k values among n variables; O(1) to leave if\n\
        nothing else was set. (PEP 567, whose tokens restore one variable each)\n\n\
        >>> import ctxvars\n\
        >>> user = ctxvars.ContextVar('user', default='nobody')\n\
        >>> level = ctxvars.ContextVar('level', default=0)\n\
        >>> with ctxvars.scope({user: 'Ada', level: 1}):\n\
        ...     user.get(), level.get()\n\
        ('Ada', 1)\n\
        >>> user.get(), level.get()\n\
        ('nobody', 0)";
    type_object::function(module, module_function_with_keywords(c"scope", scope_of, doc))
}

const DOC: &CStr =
    c"The result of scope() and ContextVar.scope(): a context manager that sets variables.\n\n\
    It is for one use at a time: it can be entered again only after it has been left.\n\n\
    >>> import ctxvars\n\
    >>> level = ctxvars.ContextVar('level', default=0)\n\
    >>> with level.scope(1) as scope:\n\
    ...     level.get(), scope.is_entered\n\
    (1, True)\n\
    >>> level.get(), scope.is_entered\n\
    (0, False)";

pub(crate) fn init() -> Result<(), ErrorSet> {
    let spec = TypeSpec {
        name: c"ctxvars.Scope",
        doc: Some(DOC),
        flags: ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
        // SAFETY: both functions work on a `Scope`.
        slots: unsafe {
            vec![
                Slot::raw(ffi::Py_tp_dealloc, dealloc as *mut c_void),
                Slot::raw(ffi::Py_tp_traverse, traverse as *mut c_void),
                Slot::clear(clear),
                Slot::unhashable(),
                Slot::repr(repr),
            ]
        },
        methods: vec![
            Method::without_arguments(
                c"__enter__",
                enter,
                c"__enter__($self, /)\n--\n\n\
                Set the variables in the current context, and return the scope itself.\n\n\
                Raise RuntimeError if it is entered already.",
            ),
            Method::fast(
                c"__exit__",
                exit,
                c"__exit__($self, type, val, tb, /)\n--\n\n\
                Give the variables their previous values back.\n\n\
                Raise RuntimeError if the scope is not entered, and ValueError if it is strict and\n\
                was entered in another context.",
            ),
            type_object::not_to_be_pickled(),
        ],
        getters: vec![Getter::new(
            c"is_entered",
            |scope: &ScopeObject| Ok(Owned::from_bool(scope.is_entered())),
            c"Whether the scope has been entered and not left.",
        )],
        ..TypeSpec::default()
    };
    // SAFETY: instances are a `Scope`, and the slots above drop and visit one.
    unsafe { types::SCOPE.make(size_of::<Scope>(), 0, spec) }
}
