//! `ContextVar`.
//!
//! | file | concept |
//! | --- | --- |
//! | `mod.rs` | the variable, and the look-up of its value |
//! | `new.rs` | the constructor |
//! | `default.rs`, `default_factory.rs` | defaults; those that a factory makes once for each context |
//! | `weak.rs` | variables that do not keep their values alive |

#![allow(unsafe_code)] // `get` is the hottest function: it returns a cached value without checks.

use super::cell::CellObject;
use super::root_variable::{self, NativeRoot, Stored};
use super::{scope, token};
use crate::context::{self, Variable, Version};
use crate::map::{Hash, HashOf, LowWord};
use crate::python::interpreter::free_threading::FREE_THREADED;
use crate::python::interpreter::{
    ErrorSet, Exception, HasFields, Method, Owned, RawObject, Slot, TypeSpec, TypedObject as _,
    catch_panic, check_count, ffi, member, raise, raise_value, type_object, typed_object, types,
};
use crate::python::map::py_heap::PyHeap;
use crate::python::observation::{self, Kind};
use std::borrow::Borrow;
use std::cell::Cell;
use std::ffi::CStr;
use std::iter;
use std::ptr;
use std::sync::atomic::AtomicUsize;

mod default;
pub(crate) mod default_factory;
mod new;
mod weak;

use default::Default;

typed_object! {
    /// A `ContextVar`.
    VariableObject: CONTEXT_VAR
}

/// Whether a variable remembers where its value was found last.
const IS_CACHED: bool = !FREE_THREADED;

/// The fields of a variable.
pub(crate) struct ContextVar {
    name: Owned,
    default: Default,
    /// Whether the bindings hold a weak reference in place of the value.
    is_weak: bool,
    hash: ffi::Py_hash_t,
    /// The hash in maps.
    mixed: HashOf<PyHeap>,
    /// The shape of the bindings in which `place` is the place of the value; see [`IS_CACHED`].
    shape: Cell<Version>,
    /// The address of the value in nodes of these bindings, null if there is none. It is used
    /// only while bindings of that shape are alive.
    place: Cell<*const Owned>,
    /// See [`hint`](VariableObject::hint).
    hint: AtomicUsize,
}

// SAFETY: `new` makes all variables, by `create`. They have no list of weak references.
unsafe impl HasFields for VariableObject {
    type Fields = ContextVar;

    fn references(fields: &ContextVar) -> [Option<RawObject>; 4] {
        let [first, second] = fields.default.references();
        [Some(fields.name.as_ptr()), first, second, None]
    }
}

impl Variable for VariableObject {
    #[inline]
    fn hash<L: LowWord>(&self) -> Hash<L> {
        let mixed = self.fields().mixed;
        Hash::from_words(mixed.high.bits(), mixed.low)
    }

    #[inline]
    fn is(&self, other: &Self) -> bool {
        Owned::is(self, other)
    }
}

impl Clone for VariableObject {
    #[inline]
    fn clone(&self) -> Self {
        self.clone_reference()
    }
}

// A variable is a key of bindings, which are maps of objects.
impl Borrow<Owned> for VariableObject {
    #[inline]
    fn borrow(&self) -> &Owned {
        self
    }
}

impl From<VariableObject> for Owned {
    #[inline]
    fn from(variable: VariableObject) -> Self {
        variable.into_owned()
    }
}

impl VariableObject {
    /// The value in bindings. O(1) if the last call was for bindings of this shape, else O(log n).
    #[inline]
    pub(crate) fn get_in(&self, stored: &Stored) -> Result<Option<Owned>, ErrorSet> {
        let (this, shape) = (self.fields(), stored.shape());
        if IS_CACHED && this.shape.get() == shape {
            // SAFETY: the bindings have the shape for which the place is right, and are alive.
            return Ok(unsafe { this.place.get().as_ref() }.cloned());
        }
        let value = stored.with(|bindings| {
            let value = bindings.get(self)?;
            if shape != Version::EMPTY {
                self.remember(shape, ptr_or_null(value));
            }
            Ok(value.cloned())
        })?;
        if this.is_weak { weak::referent(value) } else { Ok(value) }
    }

    /// Remembers where the value lies in bindings of this shape. A weak variable remembers nothing, so
    /// that `get` has to take the slow path, which reads the weak reference.
    #[inline]
    pub(crate) fn remember(&self, shape: Version, place: *const Owned) {
        if IS_CACHED && !self.fields().is_weak {
            self.fields().place.set(place);
            self.fields().shape.set(shape);
        }
    }

    /// Whether the variable is known to have no value in bindings of this shape.
    #[inline]
    pub(crate) fn is_unset_in(&self, shape: Version) -> bool {
        IS_CACHED && self.fields().shape.get() == shape && self.fields().place.get().is_null()
    }

    /// The index in a leaf at which `set` found the variable last.
    #[inline]
    pub(crate) fn hint(&self) -> &AtomicUsize {
        &self.fields().hint
    }

    /// The value in the current context.
    pub(crate) fn get_current(&self) -> Result<Option<Owned>, ErrorSet> {
        match root_variable::current_stored()? {
            Some(stored) => self.get_in(&stored),
            None => Ok(None),
        }
    }

    /// The result of `get` without a value: the argument, or else the default.
    pub(crate) fn default_or(&self, argument: Option<&Owned>) -> Result<Owned, ErrorSet> {
        if let Some(argument) = argument {
            return Ok(argument.clone());
        }
        match &self.fields().default {
            Default::Value(default) => Ok(default.clone()),
            Default::Factory(factory) => factory.get(),
            Default::Nothing => Err(self.raise_missing()),
        }
    }

    #[cold]
    fn raise_missing(&self) -> ErrorSet {
        observation::note_missing(self);
        let raised = raise_value(Exception::LookupError, self);
        observation::explain_missing(self);
        raised
    }

    /// What the bindings hold for a value.
    #[inline]
    pub(crate) fn stored(&self, value: Owned) -> Result<Owned, ErrorSet> {
        if self.fields().is_weak { weak::reference(&value) } else { Ok(value) }
    }

    /// The value that the bindings held; `None` if it is gone.
    pub(crate) fn live(&self, stored: &Owned) -> Result<Option<Owned>, ErrorSet> {
        if self.fields().is_weak {
            weak::referent(Some(stored.clone()))
        } else {
            Ok(Some(stored.clone()))
        }
    }

    /// Whether the variable has a default, or a factory of defaults.
    pub(crate) fn has_default(&self) -> bool {
        !matches!(self.fields().default, Default::Nothing)
    }

    /// The value in the current context, or its absence, if it can be told without calling other code.
    #[inline(always)]
    pub(crate) fn cached_value(&self) -> Option<Option<Owned>> {
        // SAFETY: the value is cloned at once.
        unsafe { self.current_place() }.map(Option::<&Owned>::cloned)
    }

    /// The value in the current context, `Some(None)` if it has none; or `None`, if only the slow
    /// path can tell.
    ///
    /// # Safety
    ///
    /// The current bindings keep the value alive. The caller uses it before other code runs.
    #[inline(always)]
    unsafe fn current_place<'a>(&self) -> Option<Option<&'a Owned>> {
        let this = self.fields();
        let place = match root_variable::current_cell(|cell| {
            if this.shape.get() == cell.shape() {
                Some(this.place.get())
            } else {
                self.place_in(cell)
            }
        }) {
            Some(place) => place?,
            None if root_variable::is_current_version(this.shape.get()) => this.place.get(),
            None => return None,
        };
        // SAFETY: the current bindings have the shape for which the place is right.
        Some(unsafe { place.as_ref() })
    }

    /// Looks up the place of the value in a cell, null if there is none, and remembers it.
    #[inline(never)]
    fn place_in(&self, cell: &CellObject) -> Option<*const Owned> {
        if self.fields().is_weak {
            return None;
        }
        let place = cell.with(|bindings| bindings.get(self).ok().map(ptr_or_null))?;
        self.remember(cell.shape(), place);
        Some(place)
    }

    /// The result of `get()`.
    #[cold]
    pub(crate) fn get_slowly(&self, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
        check_count(c"get", arguments, 0, 1)?;
        match self.get_current()? {
            Some(value) => Ok(value),
            None => self.default_or(arguments.first()),
        }
    }
}

/// The address of a value, null for `None`.
#[inline]
fn ptr_or_null(value: Option<&Owned>) -> *const Owned {
    value.map_or(ptr::null(), ptr::from_ref)
}

/// Raises `TypeError` unless `key` is a context variable.
#[inline]
pub(crate) fn of_key(key: &Owned) -> Result<&VariableObject, ErrorSet> {
    VariableObject::of(key)
        .ok_or_else(|| raise(Exception::TypeError, c"a ContextVar key was expected, got %R", key))
}

/// `ContextVar.get`. The hit of the cache comes first, by itself: it can neither fail nor panic,
/// and needs no guard.
unsafe extern "C" fn get(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: the row of this function is in the table of `ContextVar` only, so `object` is a
    // variable. CPython passes `count` arguments, which the caller keeps alive. The current
    // bindings have the shape for which the place is right, and keep the value alive.
    unsafe {
        let this = VariableObject::unchecked(Owned::borrowed(&object));
        if !IS_CACHED || count > 1 {
            return get_without_cache(object, arguments, count);
        }
        match this.current_place() {
            Some(Some(value)) => value.clone().into_ptr(),
            Some(None) => get_default(object, arguments, count),
            None => get_without_cache(object, arguments, count),
        }
    }
}

/// The result of `get` if the cache says that there is no value.
#[inline(never)]
unsafe extern "C" fn get_default(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: `get` passes its arguments on, a variable and `count` live objects.
    catch_panic(|| unsafe {
        let this = VariableObject::unchecked(Owned::borrowed(&object));
        let arguments = Owned::borrowed_array(arguments, count as usize);
        this.default_or(arguments.first()).map(Owned::into_ptr)
    })
}

#[cold]
#[inline(never)]
unsafe extern "C" fn get_without_cache(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: `get` passes its arguments on, a variable and `count` live objects.
    catch_panic(|| unsafe {
        let this = VariableObject::unchecked(Owned::borrowed(&object));
        let arguments = Owned::borrowed_array(arguments, count as usize);
        this.get_slowly(arguments).map(Owned::into_ptr)
    })
}

/// `get` for observers.
unsafe extern "C" fn get_observed(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython passes what it passes to `get`: a variable, and `count` live arguments.
    unsafe {
        let this = VariableObject::unchecked(Owned::borrowed(&object));
        // Without a default, the `LookupError` is noted.
        if count == 1 || (count == 0 && this.has_default()) {
            observation::note_default(this);
        }
        get(object, arguments, count)
    }
}

/// `set` for observers.
fn set_observed(variable: &VariableObject, value: &Owned) -> Result<Owned, ErrorSet> {
    observation::changing(Kind::Set, iter::once(variable), || set(variable, value))
}

/// Replaces `get` and `set` by the methods for observers, or these by `get` and `set`.
pub(crate) fn observe(on: bool) {
    for method in if on {
        [get_row(get_observed), set_row(set_observed)]
    } else {
        [get_row(get), set_row(set)]
    } {
        type_object::replace_method(&types::CONTEXT_VAR, &method);
    }
}

#[inline]
fn set(variable: &VariableObject, value: &Owned) -> Result<Owned, ErrorSet> {
    let token = token::PendingToken::new()?;
    let value = variable.stored(value.clone())?;
    Ok(token.finish(context::set(&NativeRoot, variable.clone(), value)?))
}

fn is_set(variable: &VariableObject) -> Result<Owned, ErrorSet> {
    Ok(Owned::from_bool(variable.get_current()?.is_some()))
}

fn delete(variable: &VariableObject) -> Result<Owned, ErrorSet> {
    let token = token::PendingToken::new()?;
    observation::changing(Kind::Delete, iter::once(variable), || {
        match context::delete(&NativeRoot, variable.clone())? {
            Some(change) => Ok(token.finish(change)),
            None => Err(raise_value(Exception::LookupError, variable)),
        }
    })
}

#[inline]
fn reset(variable: &VariableObject, token: &Owned) -> Result<Owned, ErrorSet> {
    let Some(token) = token::TokenObject::of(token) else {
        let message = c"expected an instance of Token, got %R";
        return Err(raise(Exception::TypeError, message, token));
    };
    token::reset(variable, token)?;
    Ok(Owned::none())
}

fn repr(variable: &VariableObject) -> Result<Owned, ErrorSet> {
    let this = variable.fields();
    let (name, object) = (this.name.as_ptr(), variable.as_ptr());
    let (format, default) = match &this.default {
        Default::Nothing => {
            let format = c"<ContextVar name=%R at %p>".as_ptr();
            // SAFETY: the format takes an object and a pointer.
            return unsafe {
                Owned::new(ffi::calling!(PyUnicode_FromFormat(format, name, object)))
            };
        }
        Default::Value(default) => (c"<ContextVar name=%R default=%R at %p>", default),
        Default::Factory(factory) => {
            (c"<ContextVar name=%R default_factory=%R at %p>", &factory.function)
        }
    };
    let (format, default) = (format.as_ptr(), default.as_ptr());
    // SAFETY: the formats take two objects and a pointer; the variable keeps the objects alive.
    unsafe { Owned::new(ffi::calling!(PyUnicode_FromFormat(format, name, default, object))) }
}

fn get_row(function: ffi::PyCFunctionFast) -> Method<VariableObject> {
    let get_doc = c"get($self, default=<unrepresentable>, /)\n--\n\n\
        Return the value of the variable in the current context.\n\n\
        If it has none, return the argument, if one is given, or else the default of the variable,\n\
        or else raise LookupError. O(1) for the context of the last call, else O(log n) in the\n\
        number of variables. (PEP 567)\n\n\
        >>> import ctxvars\n\
        >>> user = ctxvars.ContextVar('user')\n\
        >>> user.get('nobody')\n\
        'nobody'\n\
        >>> with user.set('Ada'):\n\
        ...     user.get('nobody')\n\
        'Ada'";
    let get_call = ffi::PyMethodDefPointer { PyCFunctionFast: function };
    // SAFETY: callers pass functions that take `self`, an array and its length, and variables only.
    unsafe { Method::raw(c"get", get_call, ffi::METH_FASTCALL, get_doc) }
}

fn set_row<F>(function: F) -> Method<VariableObject>
where
    F: Fn(&VariableObject, &Owned) -> Result<Owned, ErrorSet> + Copy,
{
    Method::one(
        c"set",
        function,
        c"set($self, value, /)\n--\n\n\
        Set the variable to a value in the current context.\n\n\
        Return a Token that restores the previous value, by reset() or as a context manager.\n\
        O(log n) in the number of variables of the context. (PEP 567)\n\n\
        >>> import ctxvars\n\
        >>> user = ctxvars.ContextVar('user', default='nobody')\n\
        >>> token = user.set('Ada')\n\
        >>> user.get()\n\
        'Ada'\n\
        >>> user.reset(token)\n\
        >>> user.get()\n\
        'nobody'",
    )
}

fn methods() -> Vec<Method<VariableObject>> {
    vec![
        get_row(get),
        set_row(set),
        Method::one(
            c"reset",
            reset,
            c"reset($self, token, /)\n--\n\n\
            Restore the value that the variable had before the set() or delete() that returned the\n\
            token.\n\n\
            Raise RuntimeError if the token has been used, ValueError if another variable created\n\
            it, or if it was created in another context. O(log n). (PEP 567)\n\n\
            >>> import ctxvars\n\
            >>> user = ctxvars.ContextVar('user', default='nobody')\n\
            >>> user.reset(user.set('Ada'))\n\
            >>> user.get()\n\
            'nobody'",
        ),
        Method::without_arguments(
            c"is_set",
            is_set,
            c"is_set($self, /)\n--\n\n\
            Return whether the variable has a value in the current context; defaults do not count.\n\n\
            It is `variable in copy_context()`, in O(1) for the context of the last call, else\n\
            O(log n).\n\n\
            >>> import ctxvars\n\
            >>> level = ctxvars.ContextVar('level', default=0)\n\
            >>> level.is_set()\n\
            False\n\
            >>> with level.scope(0):\n\
            ...     level.is_set()\n\
            True",
        ),
        Method::without_arguments(
            c"delete",
            delete,
            c"delete($self, /)\n--\n\n\
            Remove the value of the variable in the current context, as if it had never been set.\n\n\
            Return a Token that restores the value, as that of set() does. Raise LookupError if\n\
            there is no value. O(log n).\n\n\
            >>> import ctxvars\n\
            >>> level = ctxvars.ContextVar('level', default=0)\n\
            >>> _ = level.set(5)\n\
            >>> with level.delete():\n\
            ...     level.get()\n\
            0\n\
            >>> level.get()\n\
            5",
        ),
        Method::keywords(
            c"scope",
            scope::scope_of_variable,
            c"scope($self, value, /, *, strict=False)\n--\n\n\
            Return a Scope in which the variable has this value: scope() for one variable.\n\n\
            O(log n) to enter; O(1) to leave if nothing else was set.\n\n\
            >>> import ctxvars\n\
            >>> depth = ctxvars.ContextVar('depth', default=0)\n\
            >>> with depth.scope(1):\n\
            ...     depth.get()\n\
            1\n\
            >>> depth.get()\n\
            0",
        ),
        type_object::class_getitem(),
    ]
}

const DOC: &CStr = c"ContextVar(name, /, *, default=..., default_factory=..., weak=False)\n\n\
    A variable with a value in each context.\n\n\
    If it has no value in the current context, get() returns the default. With a default_factory,\n\
    the default is the result of calling it when a context first needs it; each context has its\n\
    own, which copies of the context do not inherit. Raise ValueError if both are given.\n\n\
    A weak variable does not keep its values alive: when a value is freed, the variable has none.\n\
    Context.items() and the other mappings of all values show the weak references themselves. Raise\n\
    ValueError for weak with default_factory.\n\n\
    The name, a str, is shown in messages and need not be unique. Variables are compared by\n\
    identity. Make them at module level: a context with a value for a variable keeps the variable\n\
    alive. (PEP 567)\n\n\
    >>> import ctxvars\n\
    >>> user = ctxvars.ContextVar('user', default='nobody')\n\
    >>> context = ctxvars.copy_context()\n\
    >>> _ = context.run(user.set, 'Ada')\n\
    >>> context[user], user.get()\n\
    ('Ada', 'nobody')\n\
    >>> log = ctxvars.ContextVar('log', default_factory=list)\n\
    >>> log.get().append('line')\n\
    >>> log.get()\n\
    ['line']";

pub(crate) fn init() -> Result<(), ErrorSet> {
    types::CONTEXT_VAR.make_with_fields::<VariableObject>(TypeSpec {
        name: c"ctxvars.ContextVar",
        doc: Some(DOC),
        slots: vec![
            Slot::new(new::new),
            Slot::hash(|variable: &VariableObject| Ok(variable.fields().hash)),
            Slot::repr(repr),
        ],
        methods: methods(),
        members: vec![member!(ContextVar, name, c"name", c"The name of the variable.")],
        ..TypeSpec::default()
    })
}
