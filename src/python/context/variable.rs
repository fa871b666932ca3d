//! `ContextVar`.

#![allow(unsafe_code)] // The functions in the slots of the class.

use super::{root_variable, scope, token};
use crate::context::{self, Variable, Version, Versioned as _};
use crate::map::{Hash, HashOf, LowWord};
use crate::python::context::default_factory::Factory;
use crate::python::context::root_variable::NativeRoot;
use crate::python::interpreter::free_threading::FREE_THREADED;
use crate::python::interpreter::memory::{gc, trashcan};
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, catch_panic, ffi, name, raise, raise_arguments, raise_message,
    raise_value, type_object,
};
use crate::python::map::py_heap;
use crate::python::map::py_heap::PyHeap;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr;

/// Whether a variable remembers the value that was last looked up.
const IS_CACHED: bool = !FREE_THREADED;

/// What a variable has where it has no value.
enum Default {
    Nothing,
    Value(Owned),
    Factory(Factory),
}

#[repr(C)]
struct ContextVar {
    object: ffi::PyObject,
    hash: ffi::Py_hash_t,
    name: Owned,
    default: Default,
    /// The hash in the map.
    mixed: HashOf<PyHeap>,
    /// The bindings for which `cached` is right; see [`IS_CACHED`].
    cached_version: Cell<Version>,
    /// The value in these bindings, null if there is none. Not counted: it is only used while
    /// bindings of that version are current, and they keep it alive.
    cached: Cell<RawObject>,
}

impl Default {
    /// What the arguments of the class say, of which each may be null.
    ///
    /// # Safety
    ///
    /// Both are null or alive.
    unsafe fn of(default: RawObject, factory: RawObject) -> Result<Self, ErrorSet> {
        // SAFETY: as the caller promises; exceptions live as long as the interpreter.
        unsafe {
            if factory.is_null() {
                let is_given = !default.is_null();
                let value = || Self::Value(Owned::from_borrowed(default));
                return Ok(if is_given { value() } else { Self::Nothing });
            }
            if !default.is_null() {
                let message = c"cannot specify both default and default_factory";
                return Err(raise_message(ffi::PyExc_ValueError, message));
            }
            if ffi::PyCallable_Check(factory) == 0 {
                let message = c"ContextVar() argument 'default_factory' must be callable, got %R";
                return Err(raise(ffi::PyExc_TypeError, message, factory));
            }
            Factory::new(Owned::from_borrowed(factory)).map(Self::Factory)
        }
    }

    /// Whether the collector must know of a variable with this default.
    fn is_traceable(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Value(default) => py_heap::may_be_tracked(default),
            // The native variable is tracked.
            Self::Factory(_) => true,
        }
    }
}

/// # Safety
///
/// `object` is an instance of `ContextVar` that outlives `'a`.
#[inline]
unsafe fn variable<'a>(object: RawObject) -> &'a ContextVar {
    // SAFETY: as the caller promises.
    unsafe { &*object.cast() }
}

/// The keys of bindings are context variables.
impl Variable for Owned {
    #[inline]
    fn hash<L: LowWord>(&self) -> Hash<L> {
        // SAFETY: bindings are made by `set` below, whose variables are instances.
        let mixed = unsafe { variable(self.as_ptr()) }.mixed;
        Hash::from_words(mixed.high.bits(), mixed.low)
    }

    #[inline]
    fn is(&self, other: &Self) -> bool {
        ptr::eq(self.as_ptr(), other.as_ptr())
    }
}

impl ContextVar {
    /// The value in `bindings`, null if there is none; not counted. O(1) if they are those of the
    /// last call, else O(log n).
    ///
    /// # Safety
    ///
    /// `bindings` is the object of bindings.
    #[inline]
    unsafe fn value_in(&self, bindings: &Owned) -> Result<RawObject, ErrorSet> {
        // SAFETY: as the caller promises.
        unsafe {
            let version = py_heap::tag(bindings.as_ptr()).version();
            if version == Version::EMPTY {
                // There are no bindings, or a map that is none has been put in their place.
                return Ok(ptr::null_mut());
            }
            if IS_CACHED && self.cached_version.get() == version {
                return Ok(self.cached.get());
            }
            self.look_up(bindings)
        }
    }

    /// # Safety
    ///
    /// `bindings` is the object of bindings.
    #[cold]
    unsafe fn look_up(&self, bindings: &Owned) -> Result<RawObject, ErrorSet> {
        // SAFETY: as the caller promises; `self` is a live object.
        unsafe {
            let this = ptr::from_ref(self).cast_mut().cast();
            let is_it = |stored: &Owned| Ok(ptr::eq(stored.as_ptr(), this));
            let map = py_heap::borrow(bindings.as_ptr());
            let found = map.get(self.mixed, is_it)?;
            let value = found.map_or(ptr::null_mut(), |entry| entry.value.as_ptr());
            if IS_CACHED {
                self.cached.set(value);
                self.cached_version.set(py_heap::tag(bindings.as_ptr()).version());
            }
            Ok(value)
        }
    }

    /// What `get` returns when there is no value.
    ///
    /// # Safety
    ///
    /// There are `count` arguments, at most one.
    unsafe fn default(
        &self,
        arguments: *const RawObject,
        count: ffi::Py_ssize_t,
    ) -> Result<RawObject, ErrorSet> {
        // SAFETY: as the caller promises; exceptions live as long as the interpreter.
        unsafe {
            if count == 1 {
                return Ok(Owned::from_borrowed(*arguments).into_ptr());
            }
            match &self.default {
                Default::Value(default) => Ok(default.clone().into_ptr()),
                Default::Factory(factory) => factory.get().map(Owned::into_ptr),
                Default::Nothing => {
                    let this = ptr::from_ref(self).cast_mut().cast();
                    Err(raise_value(ffi::PyExc_LookupError, this))
                }
            }
        }
    }
}

/// What `get` returns, if that is known from the last call: a value, or null with an exception.
///
/// # Safety
///
/// `object` is an instance.
#[inline]
pub(crate) unsafe fn get_cached(object: RawObject) -> Option<RawObject> {
    // SAFETY: the object is an instance, by the contract of this function; the bindings of the
    // cached version are current, so they keep the value alive.
    unsafe {
        let this = variable(object);
        if !IS_CACHED || !root_variable::is_current(this.cached_version.get()) {
            return None;
        }
        let value = this.cached.get();
        if value.is_null() {
            return Some(catch_panic(|| this.default(ptr::null(), 0)));
        }
        ffi::Py_INCREF(value);
        Some(value)
    }
}

/// The body of `ContextVar.get`.
///
/// # Safety
///
/// `object` is an instance, and there are `count` arguments, which are alive.
pub(crate) unsafe extern "C" fn get(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // The hit comes first, on its own: nothing in it can fail or panic.
    // SAFETY: as the caller promises; CPython is one, which checks the class.
    unsafe {
        let this = variable(object);
        if !IS_CACHED || count > 1 || !root_variable::is_current(this.cached_version.get()) {
            return get_slowly(object, arguments, count);
        }
        let value = this.cached.get();
        if value.is_null() {
            return catch_panic(|| this.default(arguments, count));
        }
        ffi::Py_INCREF(value);
        value
    }
}

#[cold]
unsafe extern "C" fn get_slowly(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython checks the class of `object` and passes `count` arguments.
    catch_panic(|| unsafe {
        if count > 1 {
            return Err(raise_arguments(c"get", 0, 1, count));
        }
        match current_value(object)? {
            Some(value) => Ok(value.into_ptr()),
            None => variable(object).default(arguments, count),
        }
    })
}

unsafe extern "C" fn set(object: RawObject, value: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both objects are alive.
    catch_panic(|| unsafe {
        let token = token::PendingToken::new()?;
        let (variable, value) = (Owned::from_borrowed(object), Owned::from_borrowed(value));
        Ok(token.finish(context::set(&NativeRoot, variable, value)?))
    })
}

unsafe extern "C" fn is_set(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        let is_set = current_value(object)?.is_some();
        Ok(ffi::PyBool_FromLong(is_set.into()))
    })
}

unsafe extern "C" fn delete(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`, which is alive; so are exceptions.
    catch_panic(|| unsafe {
        let token = token::PendingToken::new()?;
        match context::delete(&NativeRoot, Owned::from_borrowed(object))? {
            Some(change) => Ok(token.finish(change)),
            None => Err(raise_value(ffi::PyExc_LookupError, object)),
        }
    })
}

unsafe extern "C" fn reset(object: RawObject, token: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; both objects are alive.
    catch_panic(|| unsafe {
        if !types::TOKEN.is_type_of(token) {
            let message = c"expected an instance of Token, got %R";
            return Err(raise(ffi::PyExc_TypeError, message, token));
        }
        token::reset(Owned::borrowed(&object), token)?;
        Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr())
    })
}

unsafe extern "C" fn new(
    class: *mut ffi::PyTypeObject,
    arguments: RawObject,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython passes a tuple and a dict or null; the format matches the variables. There
    // are no subclasses, so `class` is ours.
    catch_panic(|| unsafe {
        let [mut name, mut default, mut factory]: [RawObject; 3] = [ptr::null_mut(); 3];
        // Who does not use what the standard library does not have gets its messages.
        let has_factory = !keywords.is_null()
            && match ffi::PyDict_Contains(keywords, name!("default_factory")) {
                ..0 => return Err(ErrorSet),
                found => found != 0,
            };
        let (format, factory_name) = if has_factory {
            (c"O|$OO:ContextVar", c"default_factory".as_ptr())
        } else {
            (c"O|$O:ContextVar", ptr::null())
        };
        let names = [c"".as_ptr(), c"default".as_ptr(), factory_name, ptr::null()];
        let parsed = ffi::calling!(PyArg_ParseTupleAndKeywords(
            arguments,
            keywords,
            format.as_ptr(),
            names.as_ptr().cast_mut().cast(),
            &raw mut name,
            &raw mut default,
            &raw mut factory,
        ));
        if parsed == 0 {
            return Err(ErrorSet);
        }
        if ffi::PyUnicode_Check(name) == 0 {
            let message = c"context variable name must be a str";
            return Err(raise_message(ffi::PyExc_TypeError, message));
        }
        // A subclass of `str` may raise here.
        let name_hash = ffi::PyObject_Hash(name);
        if name_hash == -1 {
            return Err(ErrorSet);
        }
        let default = Default::of(default, factory)?;
        let object: *mut ContextVar = ffi::PyObject_GC_New(class);
        if object.is_null() {
            return Err(ErrorSet);
        }
        // Variables of one name differ by their address, whose lowest bits are all the same.
        let address = object.addr().rotate_right(4) as ffi::Py_hash_t;
        let hash = match address ^ name_hash {
            -1 => -2,
            hash => hash,
        };
        let name = Owned::from_borrowed(name);
        let traceable = py_heap::may_be_tracked(&name) || default.is_traceable();
        (&raw mut (*object).name).write(name);
        (&raw mut (*object).default).write(default);
        (*object).hash = hash;
        (*object).mixed = Hash::mix(hash as u64);
        // No bindings to look up anything in have the empty version.
        (*object).cached_version = Cell::new(Version::UNUSED);
        (*object).cached = Cell::new(ptr::null_mut());
        if traceable {
            ffi::PyObject_GC_Track(object.cast());
        }
        Ok(object.cast())
    })
}

unsafe extern "C" fn hash(object: RawObject) -> ffi::Py_hash_t {
    // SAFETY: CPython checks the class of `object`.
    unsafe { variable(object) }.hash
}

unsafe extern "C" fn repr(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the formats match the arguments.
    catch_panic(|| unsafe {
        let this = variable(object);
        let name = this.name.as_ptr();
        let (format, default) = match &this.default {
            Default::Nothing => {
                let format = c"<ContextVar name=%R at %p>".as_ptr();
                return Ok(ffi::calling!(PyUnicode_FromFormat(format, name, object)));
            }
            Default::Value(default) => (c"<ContextVar name=%R default=%R at %p>", default),
            Default::Factory(factory) => {
                (c"<ContextVar name=%R default_factory=%R at %p>", &factory.function)
            }
        };
        Ok(ffi::calling!(PyUnicode_FromFormat(format.as_ptr(), name, default.as_ptr(), object)))
    })
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a live instance.
    unsafe {
        let this = variable(object);
        let [default, made] = match &this.default {
            Default::Nothing => [None; 2],
            Default::Value(default) => [Some(default.as_ptr()), None],
            Default::Factory(factory) => factory.references().map(Some),
        };
        gc::traverse(object, &[Some(this.name.as_ptr()), default, made], visit, arg)
    }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference is gone; the fields are initialised.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        trashcan::bounded(object, || {
            let this = object.cast::<ContextVar>();
            ptr::drop_in_place(&raw mut (*this).name);
            ptr::drop_in_place(&raw mut (*this).default);
            gc::free(object);
        });
    }
}

/// The value of the variable `object` in the current context. O(1) for the context of the last
/// call, else O(log n).
///
/// # Safety
///
/// `object` is an instance.
unsafe fn current_value(object: RawObject) -> Result<Option<Owned>, ErrorSet> {
    // SAFETY: as the caller promises; the bindings have been checked.
    unsafe {
        match root_variable::current_object()? {
            Some(bindings) => value_of(object, &bindings),
            None => Ok(None),
        }
    }
}

/// The value of `key`, which must be a context variable, in `bindings`.
///
/// # Safety
///
/// `key` is alive, and `bindings` the object of bindings.
#[inline]
pub(crate) unsafe fn value_of(key: RawObject, bindings: &Owned) -> Result<Option<Owned>, ErrorSet> {
    // SAFETY: the class is checked; bindings keep their values alive.
    unsafe {
        let value = variable(key).value_in(bindings)?;
        Ok((!value.is_null()).then(|| Owned::from_borrowed(value)))
    }
}

/// Whether a variable has a default or a factory of defaults.
///
/// # Safety
///
/// `object` is an instance.
pub(crate) unsafe fn has_default(object: RawObject) -> bool {
    // SAFETY: the object is an instance, by the contract of this function.
    !matches!(unsafe { variable(object) }.default, Default::Nothing)
}

/// Raises `TypeError` unless `key` is a context variable.
///
/// # Safety
///
/// `key` is alive.
#[inline]
pub(crate) unsafe fn check_key(key: RawObject) -> Result<(), ErrorSet> {
    // SAFETY: as the caller promises; exceptions live as long as the interpreter.
    unsafe {
        if types::CONTEXT_VAR.is_type_of(key) {
            return Ok(());
        }
        Err(raise(ffi::PyExc_TypeError, c"a ContextVar key was expected, got %R", key))
    }
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    let methods = vec![
        type_object::method(
            c"get",
            ffi::PyMethodDefPointer { PyCFunctionFast: get },
            ffi::METH_FASTCALL,
            c"get($self, default=<unrepresentable>, /)\n--\n\n\
            Return the value of the variable in the current context.\n\n\
            If it has none, return the argument, if one is given, or else the default that the\n\
            variable was made with, or else raise LookupError. O(1) for the context of the last\n\
            call, else O(log n) in the number of variables. (PEP 567)",
        ),
        type_object::method(
            c"set",
            ffi::PyMethodDefPointer { PyCFunction: set },
            ffi::METH_O,
            c"set($self, value, /)\n--\n\n\
            Give the variable a value in the current context.\n\n\
            Return a Token that restores the previous value, by reset() or as a context manager.\n\
            O(log n) in the number of variables of the context. (PEP 567)",
        ),
        type_object::method(
            c"reset",
            ffi::PyMethodDefPointer { PyCFunction: reset },
            ffi::METH_O,
            c"reset($self, token, /)\n--\n\n\
            Restore the value that the variable had before the set() or delete() that returned the\n\
            token.\n\n\
            Raise RuntimeError if the token has been used, ValueError if it was created by another\n\
            variable or in another context. O(log n). (PEP 567)",
        ),
        type_object::method(
            c"is_set",
            ffi::PyMethodDefPointer { PyCFunction: is_set },
            ffi::METH_NOARGS,
            c"is_set($self, /)\n--\n\n\
            Return whether the variable has a value in the current context: a default is none.\n\n\
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
        type_object::method(
            c"delete",
            ffi::PyMethodDefPointer { PyCFunction: delete },
            ffi::METH_NOARGS,
            c"delete($self, /)\n--\n\n\
            Take the value of the variable away in the current context, as if it was never set.\n\n\
            Return a Token that restores it, as that of set() does; raise LookupError if there is\n\
            none. O(log n).\n\n\
            >>> import ctxvars\n\
            >>> level = ctxvars.ContextVar('level', default=0)\n\
            >>> _ = level.set(5)\n\
            >>> with level.delete():\n\
            ...     level.get()\n\
            0\n\
            >>> level.get()\n\
            5",
        ),
        type_object::method(
            c"scope",
            ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: scope::scope_of_variable },
            ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
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
        ffi::PyMethodDef::zeroed(),
    ];
    let members = type_object::object_at(
        offset_of!(ContextVar, name),
        c"name",
        c"The name that the variable was made with.",
    );
    let doc = c"ContextVar(name, /, *, default=..., default_factory=...)\n\n\
        A variable whose value belongs to the current context.\n\n\
        Where it has no value, get() returns the default or, with a default_factory, what that\n\
        returned when it was first needed in the current context: each context has its own, which\n\
        its copies do not inherit. Raise ValueError if both are given.\n\n\
        The name, a str, is for people and need not be unique. Variables are eq_or_ne by identity.\n\
        Make them at module level: a context that has a value for one keeps it alive. (PEP 567)";
    // SAFETY: each slot has the value that its number stands for.
    unsafe {
        types::CONTEXT_VAR.make(
            c"ctxvars.ContextVar",
            size_of::<ContextVar>(),
            0,
            0,
            &[
                (ffi::Py_tp_new, new as *mut c_void),
                (ffi::Py_tp_dealloc, dealloc as *mut c_void),
                (ffi::Py_tp_traverse, traverse as *mut c_void),
                (ffi::Py_tp_hash, hash as *mut c_void),
                (ffi::Py_tp_repr, repr as *mut c_void),
                (ffi::Py_tp_methods, type_object::leaked(methods)),
                (ffi::Py_tp_members, members),
                (ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast()),
            ],
        )
    }
}
