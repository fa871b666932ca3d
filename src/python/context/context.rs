//! `Context`, a facade over a native context, and `copy_context`.
//!
//! The native context holds the bindings, as the value of the root variable. The facade reads them
//! there, so it is right whichever code runs, copies or changes the native context.

#![allow(unsafe_code)] // Contexts are hot: they have a free list, and are made in place.

use super::entered::Entered;
use super::variable;
use super::{native, native_layout};
use crate::map::Trie;
use crate::python::interpreter::error::clear_exception;
use crate::python::interpreter::memory::{gc, trashcan};
use crate::python::interpreter::{
    Arguments, ErrorSet, Exception, FirstCall, FreeList, Getter, Method, Owned, RawObject,
    RecursionGuard, Slot, TypeSpec, TypedObject, eq_or_ne, ffi, get_or_default,
    module_function_without_arguments, raise, raise_message, raise_value, type_object,
    typed_object, types,
};
use crate::python::map::diff_merge;
use crate::python::map::iterator::{self, EntryPart};
use crate::python::map::key::ByEquality;
use crate::python::map::py_heap::{MapObject, PyHeap};
use crate::python::observation::{self, Kind};
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr;

typed_object! {
    /// A `Context`.
    ContextObject: CONTEXT
}

static FREE: FreeList<64> = FreeList::new();

#[repr(C)]
struct Context {
    object: ffi::PyObject,
    native: Owned,
    weak_references: RawObject,
    /// Whether this facade is the only object that knows its native context, which the collector does
    /// not track then: the facade visits its values instead. Most copies are run once, or never.
    is_native_hidden: Cell<bool>,
}

/// Dead facades with a native context that no other code has: to be used for the next copies. Each
/// saves making a native context.
static WITH_NATIVE: FreeList<16> = FreeList::new();

/// A facade of a copy of a native context, or of the current one. O(1).
#[inline]
fn facade_of_copy(source: Option<&Owned>) -> Result<Owned, ErrorSet> {
    // SAFETY: a block of this list is the memory of a context, whose fields `facade` has written.
    // Its native context is still there. It is dropped if it cannot be used.
    unsafe {
        let kept = if native_layout::is_active() { WITH_NATIVE.take() } else { None };
        if let Some(object) = kept {
            let native = &raw mut (*object.cast::<Context>()).native;
            if native_layout::fill(&*native, source) {
                (*object.cast::<Context>()).is_native_hidden.set(true);
                ffi::PyObject_GC_Track(object.cast());
                return Owned::new(object);
            }
            native_layout::show(&*native);
            ptr::drop_in_place(native);
            trashcan::clear_reference_count(object);
            FREE.give(object);
        }
    }
    facade(match source {
        Some(source) => native::copy_of(source)?,
        None => native::copy_of_current()?,
    })
}

/// A facade of `native`. O(1).
#[inline]
fn facade(native: Owned) -> Result<Owned, ErrorSet> {
    // SAFETY: a block of the free list is the memory of a context. The fields are written before
    // other code can see the object.
    unsafe {
        let object = FREE.take().unwrap_or_else(|| ffi::PyObject_GC_New(types::CONTEXT.as_ptr()));
        if object.is_null() {
            return Err(ErrorSet);
        }
        let this = object.cast::<Context>();
        (&raw mut (*this).native).write(native);
        (*this).weak_references = ptr::null_mut();
        (*this).is_native_hidden = Cell::new(false);
        ffi::PyObject_GC_Track(object.cast());
        Owned::new(object)
    }
}

/// An object that has a native context: a facade, or a native context that has been extended.
pub(crate) trait HasNative: TypedObject {
    /// The native context, for any use.
    fn native(&self) -> &Owned;

    /// The native context, from which the caller only reads values.
    fn native_to_read(&self) -> &Owned;

    fn bindings(&self) -> Result<Trie<PyHeap>, ErrorSet> {
        native::bindings(self.native_to_read())
    }
}

impl ContextObject {
    #[inline]
    fn fields(&self) -> &Context {
        // SAFETY: instances are a `Context`, whose fields `facade` has written. Only `dealloc`
        // changes a field that is not a `Cell`, and the reference keeps the instance alive.
        unsafe { &*self.as_ptr().cast::<Context>() }
    }
}

impl HasNative for ContextObject {
    #[inline]
    fn native(&self) -> &Owned {
        let Context { native, is_native_hidden, .. } = self.fields();
        if is_native_hidden.replace(false) {
            native_layout::show(native);
        }
        native
    }

    #[inline]
    fn native_to_read(&self) -> &Owned {
        &self.fields().native
    }
}

/// The value of `key` in a native context. Raises `TypeError` unless it is a variable of this
/// module.
#[inline]
pub(crate) fn value_of(native: &Owned, key: &Owned) -> Result<Option<Owned>, ErrorSet> {
    let variable = variable::of_key(key)?;
    match native::stored_in(native)? {
        Some(stored) => variable.get_in(&stored),
        None => Ok(None),
    }
}

fn new(arguments: &Owned, keywords: Option<&Owned>) -> Result<Owned, ErrorSet> {
    let has_keywords = match keywords {
        Some(keywords) => keywords.length()? != 0,
        None => false,
    };
    if has_keywords || arguments.length()? != 0 {
        let message = c"Context() does not accept any arguments";
        return Err(raise_message(Exception::TypeError, message));
    }
    facade(native::new_context()?)
}

/// Enters a context to make the call that the arguments are.
#[inline(always)]
fn enter<'a, 'b>(
    context: &'a ContextObject,
    arguments: Arguments<'b>,
) -> Result<(Entered<'a>, FirstCall<'b>), ErrorSet> {
    let Some(call) = arguments.first_call() else {
        let message = c"run() missing 1 required positional argument";
        return Err(raise_message(Exception::TypeError, message));
    };
    let Ok(entered) = Entered::new(context.native()) else {
        // The only reason is that it is entered. The message shows the facade.
        clear_exception();
        let message = c"cannot enter context: %R is already entered";
        return Err(raise(Exception::RuntimeError, message, context));
    };
    Ok((entered, call))
}

#[inline]
fn run(context: &ContextObject, arguments: Arguments<'_>) -> Result<Owned, ErrorSet> {
    let (entered, call) = enter(context, arguments)?;
    entered.run(|| call.make())
}

/// `run` for observers.
fn run_observed(context: &ContextObject, arguments: Arguments<'_>) -> Result<Owned, ErrorSet> {
    let (entered, call) = enter(context, arguments)?;
    let result = entered.run(|| {
        observation::note(Kind::RunEnter);
        observation::run_switched();
        let result = call.make();
        observation::note(Kind::RunExit);
        result
    });
    observation::run_switched();
    result
}

/// Replaces `run` by the method for observers, or that by `run`.
pub(crate) fn observe(on: bool) {
    let method = if on { run_row(run_observed) } else { run_row(run) };
    type_object::replace_method(&types::CONTEXT, &method);
}

fn subscript(context: &ContextObject, key: &Owned) -> Result<Owned, ErrorSet> {
    value_of(context.native_to_read(), key)?.ok_or_else(|| raise_value(Exception::KeyError, key))
}

fn contains(context: &ContextObject, key: &Owned) -> Result<bool, ErrorSet> {
    Ok(value_of(context.native_to_read(), key)?.is_some())
}

fn get(context: &ContextObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    get_or_default(arguments, |key| value_of(context.native_to_read(), key))
}

fn length(context: &ContextObject) -> Result<usize, ErrorSet> {
    Ok(context.bindings()?.len())
}

fn keys(context: &ContextObject) -> Result<Owned, ErrorSet> {
    iterator::over(context.bindings()?, EntryPart::Key)
}

fn compare(context: &ContextObject, other: &Owned, operator: c_int) -> Result<Owned, ErrorSet> {
    let others = ContextObject::of(other);
    eq_or_ne(operator, others.is_some(), || {
        let Some(others) = others else { return Ok(false) };
        // Comparing values may set variables (gh-142829), so the bindings are kept alive here.
        let own = context.bindings()?;
        // Another thread may be changing the context, so it is read once.
        let others = if context.is(other) { own.clone() } else { others.bindings()? };
        let nested = RecursionGuard::counted(c" in comparison")?;
        own.equal(&others, &mut ByEquality::within(nested))
    })
}

/// `Context.wrap` of facades.
fn wrap(context: &Owned) -> Result<Owned, ErrorSet> {
    native::check_native(context)?;
    observation::note(Kind::Wrap);
    facade(context.clone())
}

/// The bindings of a context as a `Map`.
fn bindings<T: HasNative>(context: &T) -> Result<Owned, ErrorSet> {
    Ok(MapObject::from_trie(context.bindings()?).into_owned())
}

fn diff<T: HasNative>(context: &T, other: &Owned) -> Result<Owned, ErrorSet> {
    let Some(other) = T::of(other) else {
        let message = c"diff() argument 'other' must be a Context, got %R";
        return Err(raise(Exception::TypeError, message, other));
    };
    let (old, new) = (context.bindings()?, other.bindings()?);
    diff_merge::diff_of(&old, &new, &mut ByEquality::default())
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: the garbage collector visits tracked instances, whose fields have been written.
    unsafe {
        let Context { native, is_native_hidden, .. } =
            ContextObject::unchecked(Owned::borrowed(&object)).fields();
        if !is_native_hidden.get() {
            return gc::traverse(object, &[Some(native.as_ptr())], visit, arg);
        }
        match native_layout::traverse_hidden(native, visit, arg) {
            0 => gc::traverse(object, &[], visit, arg),
            stop => stop,
        }
    }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this once, when the last reference to a context is gone. The fields are
    // initialised, and not used after they are dropped.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let this = object.cast::<Context>();
        gc::clear_weak_references(object, (*this).weak_references);
        (*this).weak_references = ptr::null_mut();
        let (native, is_hidden) = (&(*this).native, (*this).is_native_hidden.get());
        observation::note_drop(native);
        if native_layout::is_active()
            && WITH_NATIVE.has_room()
            && native_layout::empty(native, is_hidden)
        {
            if WITH_NATIVE.has_room() {
                return WITH_NATIVE.give(object);
            }
            // Other code has run, and has filled the list.
            native_layout::show(native);
        } else if is_hidden {
            native_layout::show(native);
        }
        ptr::drop_in_place(&raw mut (*this).native);
        FREE.give(object);
    }
}

/// The methods of contexts that those of the standard library do not have.
pub(crate) fn methods_beyond<T: HasNative>(
    wrap: impl Fn(&Owned) -> Result<Owned, ErrorSet> + Copy,
) -> Vec<Method<T>> {
    vec![
        Method::of_type_one(
            c"wrap",
            wrap,
            c"wrap($type, native, /)\n--\n\n\
            Return a Context over a contextvars.Context that other code made.\n\n\
            Both are one context: a value set in one is seen in the other. Raise TypeError for other\n\
            objects. O(1).\n\n\
            >>> import contextvars, ctxvars\n\
            >>> native = contextvars.copy_context()\n\
            >>> ctxvars.Context.wrap(native).native is native\n\
            True",
        ),
        Method::one(
            c"diff",
            diff::<T>,
            c"diff($self, other, /)\n--\n\n\
            Return the MapDiff that leads from the bindings of this context to those of another.\n\n\
            O(changes x log n) if one is a copy of the other.\n\n\
            >>> import ctxvars\n\
            >>> user = ctxvars.ContextVar('user')\n\
            >>> before = ctxvars.Context()\n\
            >>> after = before.copy()\n\
            >>> _ = after.run(user.set, 'Ada')\n\
            >>> before.diff(after).added[user]\n\
            'Ada'",
        ),
    ]
}

/// The attributes of contexts that those of the standard library do not have.
pub(crate) fn getters_beyond<T: HasNative>() -> Vec<Getter<T>> {
    vec![
        Getter::new(
            c"bindings",
            bindings::<T>,
            c"The variables of ctxvars that have a value now, with these values, as a Map. O(1).",
        ),
        Getter::new(
            c"native",
            |context: &T| Ok(context.native().clone()),
            c"The contextvars.Context of this context, for code that accepts no other type.",
        ),
    ]
}

fn run_row<F>(function: F) -> Method<ContextObject>
where
    F: Fn(&ContextObject, Arguments<'_>) -> Result<Owned, ErrorSet> + Copy,
{
    Method::keywords(
        c"run",
        function,
        c"Run a callable in this context: run(callable, *args, **kwargs).\n\n\
        Return its result, or raise its exception. Variables that it sets are set in this\n\
        context only. Raise RuntimeError if the context is entered already. O(1), without a\n\
        Python frame. (PEP 567)\n\n\
        >>> import ctxvars\n\
        >>> user = ctxvars.ContextVar('user', default='nobody')\n\
        >>> context = ctxvars.Context()\n\
        >>> _ = context.run(user.set, 'Ada')\n\
        >>> context.run(user.get), user.get()\n\
        ('Ada', 'nobody')",
    )
}

fn methods() -> Vec<Method<ContextObject>> {
    let mut methods = vec![
        run_row(run),
        Method::fast(
            c"get",
            get,
            c"get($self, key, default=None, /)\n--\n\n\
            Return the value of the variable in this context, or the default. O(log n).\n\n\
            >>> import ctxvars\n\
            >>> user = ctxvars.ContextVar('user')\n\
            >>> ctxvars.Context().get(user, 'nobody')\n\
            'nobody'",
        ),
        Method::without_arguments(
            c"copy",
            |context: &ContextObject| {
                observation::note(Kind::Copy);
                facade_of_copy(Some(context.native_to_read()))
            },
            c"copy($self, /)\n--\n\n\
            Return another context with the same values. O(1).\n\n\
            >>> import ctxvars\n\
            >>> context = ctxvars.Context()\n\
            >>> context.copy() == context, context.copy() is context\n\
            (True, False)",
        ),
        Method::without_arguments(
            c"keys",
            keys,
            c"keys($self, /)\n--\n\nReturn an iterator over the variables that have a value.",
        ),
        Method::without_arguments(
            c"values",
            |context: &ContextObject| iterator::over(context.bindings()?, EntryPart::Value),
            c"values($self, /)\n--\n\nReturn an iterator over the values.",
        ),
        Method::without_arguments(
            c"items",
            |context: &ContextObject| iterator::over(context.bindings()?, EntryPart::Item),
            c"items($self, /)\n--\n\nReturn an iterator over pairs of variable and value.",
        ),
    ];
    methods.extend(methods_beyond(wrap));
    methods
}

const DOC: &CStr = c"Context()\n\n\
    A mapping of context variables to values, in which code can be run.\n\n\
    copy_context() returns a copy of the current context; Context() is empty. (PEP 567)\n\n\
    >>> import ctxvars\n\
    >>> user = ctxvars.ContextVar('user')\n\
    >>> context = ctxvars.Context()\n\
    >>> _ = context.run(user.set, 'Ada')\n\
    >>> user in context, context[user], len(context)\n\
    (True, 'Ada', 1)";

pub(crate) fn init() -> Result<(), ErrorSet> {
    // SAFETY: instances are a `Context`: `dealloc` and `traverse` work on one, and the offset is
    // that of its list of weak references.
    unsafe {
        let spec = TypeSpec {
            name: c"ctxvars.Context",
            doc: Some(DOC),
            slots: vec![
                Slot::new(new),
                Slot::raw(ffi::Py_tp_dealloc, dealloc as *mut c_void),
                Slot::raw(ffi::Py_tp_traverse, traverse as *mut c_void),
                Slot::unhashable(),
                Slot::compare(compare),
                Slot::iter(keys),
                Slot::fallible_length(length),
                Slot::subscript(subscript),
                Slot::contains(contains),
            ],
            methods: methods(),
            getters: getters_beyond(),
            members: vec![type_object::Member::offset(
                c"__weaklistoffset__",
                offset_of!(Context, weak_references),
            )],
            ..TypeSpec::default()
        };
        types::CONTEXT.make(size_of::<Context>(), 0, spec)
    }
}

/// The native context that `context` is or is a facade of, `None` for Python's `None`.
pub(crate) fn native_or_none(context: &Owned) -> Result<Option<Owned>, ErrorSet> {
    if context.is_none() {
        return Ok(None);
    }
    if let Some(facade) = ContextObject::of(context) {
        return Ok(Some(facade.native().clone()));
    }
    if !native::is_native_context(context) {
        let message = c"context must be a Context, ours or native, or None, got %R";
        return Err(raise(Exception::TypeError, message, context));
    }
    Ok(Some(context.clone()))
}

/// The function `copy_context`.
pub(crate) fn copy_context_function(module: &Owned) -> Result<Owned, ErrorSet> {
    let doc = c"copy_context($module, /)\n--\n\n\
        Return a copy of the current context. O(1). (PEP 567)\n\n\
        >>> import ctxvars\n\
        >>> user = ctxvars.ContextVar('user', default='nobody')\n\
        >>> with user.scope('Ada'):\n\
        ...     context = ctxvars.copy_context()\n\
        >>> user.get(), context.run(user.get)\n\
        ('nobody', 'Ada')";
    let copy = || {
        observation::note(Kind::Copy);
        facade_of_copy(None)
    };
    type_object::function(module, module_function_without_arguments(c"copy_context", copy, doc))
}
