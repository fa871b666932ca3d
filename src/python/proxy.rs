//! What stands for a generator, a coroutine or an async generator whose body runs in a context of
//! its own.
//!
//! A proxy forwards each step to the original, in the context of the body, and all else that it is
//! asked to the original as it is. It adds no Python frame: tracebacks are those of the original.
//!
//! | class | stands for | has |
//! | --- | --- | --- |
//! | `generator` | a generator, or the iterator behind `await coroutine` | `__next__ send throw close` |
//! | `coroutine` | a coroutine | `__await__ send throw close` |
//! | `awaitable` | one operation of an async generator, or a coroutine made of a generator | both |
//! | `async_generator` | an async generator | `__anext__ asend athrow aclose` |
//!
//! `proxy.__class__` is the class of the original, so that `isinstance` and `inspect` answer as for
//! the original; `type(proxy)` tells the truth. CPython itself looks at `type` only.
//!
//! # How a body ends that nobody makes go on
//!
//! CPython closes a suspended generator when it is dropped, in whatever context that happens. A
//! proxy does so first, in the context of the body: when it is dropped itself, or when the collector
//! finds both as garbage, which finalises objects in the order in which they were tracked; so the
//! proxy is tracked first, and the original again behind it. (The collector of a free-threaded build
//! keeps no order, and may end the original first.) An original that somebody else refers to, too, is
//! left alone. See `async_generator.rs` for those.

#![allow(unsafe_code)] // The functions in the slots of the classes.

use super::async_generator::{self, Hooks};
use super::body::{Body, Origin};
use super::class::{self, Class, FreeList};
use super::dropping;
use super::object::{
    Object, Owned, Raised, attribute, attribute_or_of, guarded, is_true, name, raise,
    raise_arguments,
};
use super::steps;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr;

static GENERATOR: Class = Class::unset();
static COROUTINE: Class = Class::unset();
static AWAITABLE: Class = Class::unset();
static ASYNC_GENERATOR: Class = Class::unset();

/// For what stands for one operation of another proxy: an `await`, or a step of an async generator.
static FREE_GENERATORS: FreeList<32> = FreeList::new();
static FREE_AWAITABLES: FreeList<32> = FreeList::new();

/// Whose body a proxy makes go on.
enum Whose {
    /// Its own.
    Own(Body),
    /// That of another proxy: one operation of it is what this one stands for.
    Of(Owned),
}

#[repr(C)]
pub(super) struct Proxy {
    object: ffi::PyObject,
    original: Owned,
    whose: Whose,
    /// Of an async generator.
    hooks: Hooks,
    weak_references: Object,
}

impl Proxy {
    /// The original, not counted.
    #[inline]
    pub(super) fn original(&self) -> Object {
        self.original.as_ptr()
    }

    pub(super) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// The body that it makes go on.
    #[inline]
    pub(super) fn body(&self) -> &Body {
        match &self.whose {
            Whose::Own(body) => body,
            // SAFETY: the other one is a proxy with a body of its own, and kept alive.
            Whose::Of(owner) => unsafe { proxy(owner.as_ptr()) }.body(),
        }
    }
}

/// # Safety
///
/// `object` is a proxy that outlives `'a`.
#[inline]
pub(super) unsafe fn proxy<'a>(object: Object) -> &'a Proxy {
    // SAFETY: as the caller promises.
    unsafe { &*object.cast() }
}

/// A new proxy, tracked.
fn make(class: &Class, original: Owned, whose: Whose) -> Result<Object, Raised> {
    // SAFETY: the lock is held; the fields are written before anybody can see the object. What the
    // list keeps has been a proxy of the class.
    unsafe {
        let kept = free_list(class.as_ptr(), &whose).and_then(|list| list.take());
        let object = kept.unwrap_or_else(|| ffi::PyObject_GC_New(class.as_ptr()));
        if object.is_null() {
            return Err(Raised);
        }
        let this = object.cast::<Proxy>();
        (&raw mut (*this).original).write(original);
        (&raw mut (*this).whose).write(whose);
        (&raw mut (*this).hooks).write(Hooks::new());
        (*this).weak_references = ptr::null_mut();
        ffi::PyObject_GC_Track(object.cast());
        Ok(object)
    }
}

/// The list that keeps the memory of such proxies, if there is one.
fn free_list(class: *mut ffi::PyTypeObject, whose: &Whose) -> Option<&'static FreeList<32>> {
    match whose {
        Whose::Own(_) => None,
        Whose::Of(_) if ptr::eq(class, GENERATOR.as_ptr()) => Some(&FREE_GENERATORS),
        Whose::Of(_) => Some(&FREE_AWAITABLES),
    }
}

/// The proxy of the iterator behind an `await` of the coroutine that `owner` stands for.
pub(super) fn iterator_of(owner: Object, original: Owned) -> Result<Object, Raised> {
    // SAFETY: the owner is alive.
    make(&GENERATOR, original, Whose::Of(unsafe { Owned::from_borrowed(owner) }))
}

/// The proxy of an operation of the async generator that `owner` stands for.
pub(super) fn operation_of(owner: Object, original: Owned) -> Result<Object, Raised> {
    // SAFETY: the owner is alive.
    make(&AWAITABLE, original, Whose::Of(unsafe { Owned::from_borrowed(owner) }))
}

/// Whether a generator can be awaited: `types.coroutine` has marked its code.
///
/// # Safety
///
/// `generator` is one of CPython's.
unsafe fn is_awaitable(generator: Object) -> Result<bool, Raised> {
    // SAFETY: as the caller promises.
    unsafe {
        let code = Owned::new(ffi::PyObject_GetAttr(generator, name!("gi_code")))?;
        let flags = Owned::new(ffi::PyObject_GetAttr(code.as_ptr(), name!("co_flags")))?;
        let flags = ffi::PyLong_AsLong(flags.as_ptr());
        if flags == -1 && !ffi::PyErr_Occurred().is_null() {
            return Err(Raised);
        }
        Ok(flags & std::ffi::c_long::from(ffi::CO_ITERABLE_COROUTINE) != 0)
    }
}

/// The class whose instances can stand for `original`, `None` if it is not that of a body.
///
/// # Safety
///
/// `original` is alive.
unsafe fn class_for(original: Object) -> Result<Option<&'static Class>, Raised> {
    // SAFETY: as the caller promises; a class has a table of these slots, or null.
    unsafe {
        if ffi::PyGen_CheckExact(original) != 0 {
            return Ok(Some(if is_awaitable(original)? { &AWAITABLE } else { &GENERATOR }));
        }
        if ffi::PyCoro_CheckExact(original) != 0 {
            return Ok(Some(&COROUTINE));
        }
        if ffi::PyAsyncGen_CheckExact(original) != 0 {
            return Ok(Some(&ASYNC_GENERATOR));
        }
        // Others, ours and those of Cython among them, are known by what they can do.
        let class = ffi::Py_TYPE(original);
        let table = (*class).tp_as_async.as_ref();
        let is_async = table.is_some_and(|table| table.am_anext.is_some());
        let class = match (
            table.is_some_and(|table| table.am_await.is_some()),
            (*class).tp_iternext.is_some(),
        ) {
            _ if is_async => &ASYNC_GENERATOR,
            (true, true) => &AWAITABLE,
            (true, false) => &COROUTINE,
            (false, true) => &GENERATOR,
            (false, false) => return Ok(None),
        };
        let method = if is_async { name!("athrow") } else { name!("throw") };
        Ok(attribute(original, method)?.map(|_| class))
    }
}

/// Whether `original` is in the middle of a step.
///
/// # Safety
///
/// `original` is alive.
unsafe fn is_running(original: Object) -> Result<bool, Raised> {
    for name in [name!("gi_running"), name!("cr_running"), name!("ag_running")] {
        // SAFETY: as the caller promises.
        unsafe {
            if let Some(value) = attribute(original, name)? {
                return is_true(value.as_ptr());
            }
        }
    }
    Ok(false)
}

/// A proxy of `original`, whose code is to run as `body` says; `refused` is the message about what
/// has none.
///
/// # Safety
///
/// `original` is alive.
pub(super) unsafe fn isolate(
    original: Object,
    body: Body,
    refused: &'static CStr,
) -> Result<Object, Raised> {
    // SAFETY: as the caller promises; exceptions live as long as the interpreter.
    unsafe {
        let Some(class) = class_for(original)? else {
            return Err(raise(ffi::PyExc_TypeError, refused, original));
        };
        let proxy = make(class, Owned::from_borrowed(original), Whose::Own(body))?;
        if ffi::PyObject_GC_IsTracked(original) != 0 {
            // See the top of this file.
            ffi::PyObject_GC_UnTrack(original.cast());
            ffi::PyObject_GC_Track(original.cast());
        }
        Ok(proxy)
    }
}

unsafe extern "C" fn getattro(object: Object, name: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; the name is alive.
    guarded(|| unsafe { attribute_or_of(proxy(object).original(), object, name) })
}

unsafe extern "C" fn setattro(object: Object, name: Object, value: Object) -> c_int {
    // SAFETY: CPython checks the class of `object`; a null value deletes the attribute.
    guarded(|| unsafe {
        match ffi::PyObject_SetAttr(proxy(object).original(), name, value) {
            ..0 => Err(Raised),
            done => Ok(done),
        }
    })
}

unsafe extern "C" fn get_class(object: Object, _: *mut c_void) -> Object {
    // SAFETY: CPython checks the class of `object`.
    unsafe { ffi::PyObject_GetAttr(proxy(object).original(), name!("__class__")) }
}

unsafe extern "C" fn repr(object: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; the format takes one object.
    unsafe { ffi::PyUnicode_FromFormat(c"<isolated %R>".as_ptr(), proxy(object).original()) }
}

unsafe extern "C" fn traverse(object: Object, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a tracked, and so complete, instance.
    unsafe {
        let this = proxy(object);
        let body = match &this.whose {
            Whose::Own(body) => body.references(),
            Whose::Of(owner) => [Some(owner.as_ptr()), None, None, None],
        };
        let hooks = this.hooks.references();
        match class::visit_all(&body, visit, arg) {
            0 => {}
            stop => return stop,
        }
        class::traverse(object, &[Some(this.original()), hooks[0], hooks[1]], visit, arg)
    }
}

/// Ends the body of a proxy that nobody can make go on any more.
unsafe extern "C" fn finalize(object: Object) {
    guarded(|| {
        let before = Raised.take();
        // SAFETY: CPython calls this for a live instance.
        unsafe {
            if end(object).is_err() {
                ffi::PyErr_WriteUnraisable(object);
            }
        }
        if let Some(error) = before {
            Raised::again(error);
        }
        Ok(0)
    });
}

/// # Safety
///
/// `object` is a proxy.
unsafe fn end(object: Object) -> Result<(), Raised> {
    // SAFETY: as the caller promises; it keeps the original alive.
    unsafe {
        let this = proxy(object);
        let Whose::Own(body) = &this.whose else { return Ok(()) };
        if async_generator::is_left_to_finalizer(object)? {
            return Ok(());
        }
        // Without a context no step has been made, and nothing is left to end. (The count may be
        // wrong while other threads use the original: then they see it end.)
        let original = this.original();
        if body.has_context() && ffi::Py_REFCNT(original) == 1 {
            // This tells of exceptions itself, and does nothing when CPython calls it again.
            body.last_step(|| ffi::PyObject_CallFinalizer(original))?;
        }
        Ok(())
    }
}

unsafe extern "C" fn dealloc(object: Object) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete. It must
    // not be seen through weak references while it waits to be dropped.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let this = object.cast::<Proxy>();
        class::clear_weak_references(object, (*this).weak_references);
        dropping::bounded(object, || {
            let list = free_list(ffi::Py_TYPE(object), &(*this).whose);
            if list.is_none() {
                ffi::PyObject_GC_Track(object.cast());
                if ffi::PyObject_CallFinalizerFromDealloc(object) < 0 {
                    return; // somebody refers to it again
                }
                ffi::PyObject_GC_UnTrack(object.cast());
            }
            ptr::drop_in_place(&raw mut (*this).original);
            ptr::drop_in_place(&raw mut (*this).whose);
            ptr::drop_in_place(&raw mut (*this).hooks);
            match list {
                Some(list) => list.give(object),
                None => class::free(object),
            }
        });
    }
}

/// One of the four classes.
///
/// # Safety
///
/// Each slot has the value that its number stands for.
unsafe fn make_class(
    class: &Class,
    name: &'static CStr,
    methods: Vec<ffi::PyMethodDef>,
    slots: &[(c_int, *mut c_void)],
) -> Result<(), Raised> {
    let attributes = class::attributes(&[(c"__class__", get_class, c"The class of the original.")]);
    let members = class::weak_references_at(offset_of!(Proxy, weak_references));
    let mut all = vec![
        (ffi::Py_tp_dealloc, dealloc as *mut c_void),
        (ffi::Py_tp_finalize, finalize as *mut c_void),
        (ffi::Py_tp_traverse, traverse as *mut c_void),
        (ffi::Py_tp_getattro, getattro as *mut c_void),
        (ffi::Py_tp_setattro, setattro as *mut c_void),
        (ffi::Py_tp_repr, repr as *mut c_void),
        (ffi::Py_tp_getset, attributes),
        (ffi::Py_tp_members, members),
        (ffi::Py_tp_methods, class::leaked(methods)),
    ];
    all.extend_from_slice(slots);
    let flags = ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    // SAFETY: as the caller promises.
    unsafe { class.make(name, size_of::<Proxy>(), 0, flags, &all) }
}

pub(super) fn init() -> Result<(), Raised> {
    async_generator::init()?;
    let iter = (ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void);
    let next = (ffi::Py_tp_iternext, steps::next as *mut c_void);
    let send = (ffi::Py_am_send, steps::send_slot as *mut c_void);
    let await_self = (ffi::Py_am_await, ffi::PyObject_SelfIter as *mut c_void);
    let await_original = (ffi::Py_am_await, steps::await_coroutine as *mut c_void);
    let aiter = (ffi::Py_am_aiter, ffi::PyObject_SelfIter as *mut c_void);
    let anext = (ffi::Py_am_anext, async_generator::anext as *mut c_void);
    // SAFETY: each slot has the value that its number stands for.
    unsafe {
        make_class(
            &GENERATOR,
            c"ctxvars._core.isolated_generator",
            steps::methods(),
            &[iter, next, send],
        )?;
        make_class(
            &COROUTINE,
            c"ctxvars._core.isolated_coroutine",
            steps::methods(),
            &[await_original, send],
        )?;
        make_class(
            &AWAITABLE,
            c"ctxvars._core.isolated_awaitable",
            steps::methods(),
            &[iter, next, await_self, send],
        )?;
        make_class(
            &ASYNC_GENERATOR,
            c"ctxvars._core.isolated_async_generator",
            async_generator::methods(),
            &[aiter, anext],
        )
    }
}

/// `isolate(body, context, live, /)`
unsafe extern "C" fn isolate_body(
    _: Object,
    arguments: *mut Object,
    count: ffi::Py_ssize_t,
) -> Object {
    // SAFETY: CPython passes `count` arguments, which are alive.
    guarded(|| unsafe {
        if count != 3 {
            return Err(raise_arguments("isolate", 3, 3, count));
        }
        let origin = Origin::from_arguments(*arguments.add(1), *arguments.add(2))?;
        let refused = c"isolated() argument must be a function, a generator, a coroutine or an \
            async generator, got %R";
        if is_running(*arguments)? {
            let message = c"isolated() argument %R is running already";
            return Err(raise(ffi::PyExc_RuntimeError, message, *arguments));
        }
        isolate(*arguments, Body::new(origin), refused)
    })
}

/// The function `isolate`, which `ctxvars.isolated` wraps.
pub(super) fn isolate_function<'py>(module: &Bound<'py, PyModule>) -> PyResult<Bound<'py, PyAny>> {
    let call = ffi::PyMethodDefPointer { PyCFunctionFast: isolate_body };
    let doc = c"isolate($module, body, context, live, /)\n--\n\n\
        Return what stands for a generator, a coroutine or an async generator, and makes each of\n\
        its steps in a context: the one given, ours or native, or if that is None a copy of that\n\
        of its first step. If it is live, variables follow the caller's until the body sets them.";
    class::function(module, class::method(c"isolate", call, ffi::METH_FASTCALL, doc))
}
