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

use super::{async_generator, generator_methods};
use crate::python::interpreter::memory::{gc, trashcan};
use crate::python::interpreter::types;
use crate::python::interpreter::{
    ErrorSet, FreeList, Owned, RawObject, RecursionGuard, SavedError, TypeHandle, attribute,
    attribute_or_of, catch_panic, ffi, name, raise, raise_arguments, raise_message, type_object,
};
use crate::python::isolation::async_generator::Hooks;
use crate::python::isolation::body::{Body, ContextSource};
use crate::python::isolation::original::{is_awaitable, is_running, refuses};
use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr;

/// For what stands for one operation of another proxy: an `await`, or a step of an async generator.
static FREE_GENERATORS: FreeList<32> = FreeList::new();
static FREE_AWAITABLES: FreeList<32> = FreeList::new();

/// BodyOwner body a proxy makes go on.
enum BodyOwner {
    /// Its own.
    This(Body),
    /// That of another proxy: one operation of it is what this one stands for.
    Parent(Owned),
}

#[repr(C)]
pub(crate) struct Proxy {
    object: ffi::PyObject,
    original: Owned,
    owner: BodyOwner,
    /// Of an async generator.
    hooks: Hooks,
    /// Whether the original is a proxy, so that nothing but this counts the depth of the nest.
    is_nested: bool,
    weak_references: RawObject,
}

impl Proxy {
    /// The original, not counted.
    #[inline]
    pub(crate) fn original(&self) -> RawObject {
        self.original.as_ptr()
    }

    pub(crate) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// The body that it resumes, and the proxy that has this body.
    #[inline]
    fn body_and_owner(&self) -> (&Body, &Self) {
        let mut owner = self;
        loop {
            match &owner.owner {
                BodyOwner::This(body) => return (body, owner),
                // SAFETY: the other one is a proxy, and kept alive.
                BodyOwner::Parent(other) => owner = unsafe { proxy(other.as_ptr()) },
            }
        }
    }

    /// `RecursionError` if steps are nested too deep.
    #[inline]
    pub(crate) fn count_nested(&self) -> Result<Option<RecursionGuard>, ErrorSet> {
        if self.is_nested {
            RecursionGuard::uncounted(c" in an isolated body").map(Some)
        } else {
            Ok(None)
        }
    }

    /// Makes a step: runs `forward`, which resumes the original, in the context of the body.
    #[inline]
    pub(crate) fn step<R>(
        &self,
        forward: impl FnOnce(RawObject) -> Result<R, ErrorSet>,
    ) -> Result<R, ErrorSet> {
        let _nested = self.count_nested()?;
        let original = self.original();
        let (body, owner) = self.body_and_owner();
        let result = body.step(|| refuses(original), || forward(original));
        if result.is_err() {
            owner.end_after_error(!ptr::eq(owner, self));
        }
        result
    }

    /// As [`end_if_over`](Self::end_if_over), after a step that has raised, or ended an iterator.
    #[cold]
    fn end_after_error(&self, by_operation: bool) {
        // SAFETY: exceptions live as long as the interpreter.
        let is_result = || unsafe {
            !ffi::PyErr_Occurred().is_null()
                && ffi::PyErr_ExceptionMatches(ffi::PyExc_StopIteration) != 0
        };
        if by_operation && self.may_yield_by_returning() && is_result() {
            return;
        }
        let error = SavedError::new();
        self.end_if_over();
        error.restore();
    }

    /// As [`end_if_over`](Self::end_if_over), after a step that has returned.
    pub(crate) fn end_after_return(&self) {
        let (_, owner) = self.body_and_owner();
        if ptr::eq(owner, self) || !owner.may_yield_by_returning() {
            owner.end_if_over();
        }
    }

    /// Whether an operation that returns a value leaves the body suspended: those of an async
    /// generator do, unless it is being closed.
    fn may_yield_by_returning(&self) -> bool {
        // SAFETY: the proxy is alive.
        let is_async = unsafe {
            types::ISOLATED_ASYNC_GENERATOR.is_type_of(ptr::from_ref(self).cast_mut().cast())
        };
        is_async && !self.hooks.is_closing()
    }

    /// Releases the context if the original has ended: it runs no more code.
    fn end_if_over(&self) {
        let BodyOwner::This(body) = &self.owner else { return };
        // SAFETY: the original is alive.
        if !body.has_ended() && unsafe { is_over(self.original()) } {
            body.end();
        }
    }
}

/// Whether the original of a proxy has ended. Of those of other code this cannot be known.
///
/// # Safety
///
/// `original` is alive, and no exception is set.
unsafe fn is_over(original: RawObject) -> bool {
    // SAFETY: the object is alive; it is a proxy if its class is one of these.
    unsafe {
        if is_proxy(original) {
            return proxy(original).body_and_owner().0.has_ended();
        }
        let frame = if ffi::PyGen_CheckExact(original) != 0 {
            name!("gi_frame")
        } else if ffi::PyCoro_CheckExact(original) != 0 {
            name!("cr_frame")
        } else if ffi::PyAsyncGen_CheckExact(original) != 0 {
            name!("ag_frame")
        } else {
            return false;
        };
        match Owned::new(ffi::PyObject_GetAttr(original, frame)) {
            Ok(frame) => ffi::Py_IsNone(frame.as_ptr()) != 0,
            Err(ErrorSet) => {
                ffi::PyErr_Clear(); // an audit hook may have raised it
                false
            }
        }
    }
}

/// Whether `object` is a proxy.
///
/// # Safety
///
/// `object` is alive.
#[inline]
unsafe fn is_proxy(object: RawObject) -> bool {
    // SAFETY: the object is alive.
    let class = unsafe { ffi::Py_TYPE(object) };
    let classes = [
        &types::ISOLATED_GENERATOR,
        &types::ISOLATED_COROUTINE,
        &types::ISOLATED_AWAITABLE,
        &types::ISOLATED_ASYNC_GENERATOR,
    ];
    classes.iter().any(|each| ptr::eq(each.as_ptr(), class))
}

/// The original of a proxy, `None` if `object` is not one.
fn original_of(object: RawObject) -> Option<RawObject> {
    // SAFETY: callers pass objects that are alive.
    unsafe { is_proxy(object).then(|| proxy(object).original()) }
}

/// The object below all proxies that stand for one another; `object` itself if it is not a proxy.
pub(crate) fn innermost(object: RawObject) -> RawObject {
    let mut object = object;
    while let Some(original) = original_of(object) {
        object = original;
    }
    object
}

/// # Safety
///
/// `object` is a proxy that outlives `'a`.
#[inline]
pub(crate) unsafe fn proxy<'a>(object: RawObject) -> &'a Proxy {
    // SAFETY: as the caller promises.
    unsafe { &*object.cast() }
}

/// A new proxy, tracked.
fn make(class: &TypeHandle, original: Owned, owner: BodyOwner) -> Result<RawObject, ErrorSet> {
    // SAFETY: the lock is held; the fields are written before anybody can see the object. What the
    // list keeps has been a proxy of the class.
    unsafe {
        let is_nested = is_proxy(original.as_ptr());
        let kept = free_list(class.as_ptr(), &owner).and_then(|list| list.take());
        let object = kept.unwrap_or_else(|| ffi::PyObject_GC_New(class.as_ptr()));
        if object.is_null() {
            return Err(ErrorSet);
        }
        let this = object.cast::<Proxy>();
        (&raw mut (*this).original).write(original);
        (&raw mut (*this).owner).write(owner);
        (&raw mut (*this).hooks).write(Hooks::new());
        (*this).is_nested = is_nested;
        (*this).weak_references = ptr::null_mut();
        ffi::PyObject_GC_Track(object.cast());
        Ok(object)
    }
}

/// The list that keeps the memory of such proxies, if there is one.
fn free_list(class: *mut ffi::PyTypeObject, owner: &BodyOwner) -> Option<&'static FreeList<32>> {
    match owner {
        BodyOwner::This(_) => None,
        BodyOwner::Parent(_) if ptr::eq(class, types::ISOLATED_GENERATOR.as_ptr()) => {
            Some(&FREE_GENERATORS)
        }
        BodyOwner::Parent(_) if ptr::eq(class, types::ISOLATED_AWAITABLE.as_ptr()) => {
            Some(&FREE_AWAITABLES)
        }
        BodyOwner::Parent(_) => None,
    }
}

/// The proxy of the iterator behind an `await` of the coroutine that `owner` stands for, which other
/// code may have made.
pub(crate) fn iterator_of(owner: RawObject, original: Owned) -> Result<RawObject, ErrorSet> {
    let iterator = original.as_ptr();
    // SAFETY: both are alive; the format takes the name of a class.
    unsafe {
        let is_coroutine = ffi::PyCoro_CheckExact(iterator) != 0
            || (ffi::PyGen_CheckExact(iterator) != 0 && is_awaitable(iterator)?);
        if is_coroutine {
            let message = c"__await__() returned a coroutine";
            return Err(raise_message(ffi::PyExc_TypeError, message));
        }
        if ffi::PyIter_Check(iterator) == 0 {
            let message = c"__await__() returned non-iterator of type '%.100s'";
            let name = (*ffi::Py_TYPE(iterator)).tp_name;
            ffi::calling!(PyErr_Format(ffi::PyExc_TypeError, message.as_ptr(), name));
            return Err(ErrorSet);
        }
        make(&types::ISOLATED_GENERATOR, original, BodyOwner::Parent(Owned::from_borrowed(owner)))
    }
}

/// The proxy of an operation of the async generator that `owner` stands for, which other code may
/// have made.
pub(crate) fn operation_of(owner: RawObject, original: Owned) -> Result<RawObject, ErrorSet> {
    let operation = original.as_ptr();
    // SAFETY: both are alive; a class has a table of these slots, or null.
    unsafe {
        let table = (*ffi::Py_TYPE(operation)).tp_as_async.as_ref();
        let class = if ffi::PyIter_Check(operation) != 0 {
            &types::ISOLATED_AWAITABLE
        } else if table.is_some_and(|table| table.am_await.is_some()) {
            &types::ISOLATED_COROUTINE
        } else {
            let message = c"an operation of an isolated async generator must be awaitable, got %R";
            return Err(raise(ffi::PyExc_TypeError, message, operation));
        };
        make(class, original, BodyOwner::Parent(Owned::from_borrowed(owner)))
    }
}

/// The class owner instances can stand for `original`, `None` if it is not that of a body.
///
/// # Safety
///
/// `original` is alive.
unsafe fn class_for(original: RawObject) -> Result<Option<&'static TypeHandle>, ErrorSet> {
    // SAFETY: as the caller promises; a class has a table of these slots, or null.
    unsafe {
        if ffi::PyGen_CheckExact(original) != 0 {
            return Ok(Some(if is_awaitable(original)? {
                &types::ISOLATED_AWAITABLE
            } else {
                &types::ISOLATED_GENERATOR
            }));
        }
        if ffi::PyCoro_CheckExact(original) != 0 {
            return Ok(Some(&types::ISOLATED_COROUTINE));
        }
        if ffi::PyAsyncGen_CheckExact(original) != 0 {
            return Ok(Some(&types::ISOLATED_ASYNC_GENERATOR));
        }
        // Others, ours and those of Cython among them, are known by what they can do.
        let class = ffi::Py_TYPE(original);
        let table = (*class).tp_as_async.as_ref();
        let is_async = table.is_some_and(|table| table.am_anext.is_some());
        let class = match (
            table.is_some_and(|table| table.am_await.is_some()),
            ffi::PyIter_Check(original) != 0,
        ) {
            _ if is_async => &types::ISOLATED_ASYNC_GENERATOR,
            (true, true) => &types::ISOLATED_AWAITABLE,
            (true, false) => &types::ISOLATED_COROUTINE,
            (false, true) => &types::ISOLATED_GENERATOR,
            (false, false) => return Ok(None),
        };
        let method = if is_async { name!("athrow") } else { name!("throw") };
        Ok(attribute(original, method)?.map(|_| class))
    }
}

/// A proxy of `original`, owner code is to run as `body` says; `refused` is the message about what
/// has none.
///
/// # Safety
///
/// `original` is alive.
pub(crate) unsafe fn isolate(
    original: RawObject,
    body: Body,
    refused: &'static CStr,
) -> Result<RawObject, ErrorSet> {
    // SAFETY: as the caller promises; exceptions live as long as the interpreter.
    unsafe {
        let Some(class) = class_for(original)? else {
            return Err(raise(ffi::PyExc_TypeError, refused, original));
        };
        let proxy = make(class, Owned::from_borrowed(original), BodyOwner::This(body))?;
        if ffi::PyObject_GC_IsTracked(original) != 0 {
            // See the top of this file.
            ffi::PyObject_GC_UnTrack(original.cast());
            ffi::PyObject_GC_Track(original.cast());
        }
        Ok(proxy)
    }
}

unsafe extern "C" fn getattro(object: RawObject, name: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the name is alive.
    catch_panic(|| unsafe { attribute_or_of(object, name, original_of) })
}

unsafe extern "C" fn setattro(object: RawObject, name: RawObject, value: RawObject) -> c_int {
    // SAFETY: CPython checks the class of `object`; a null value deletes the attribute.
    catch_panic(|| unsafe {
        match ffi::PyObject_SetAttr(innermost(object), name, value) {
            ..0 => Err(ErrorSet),
            done => Ok(done),
        }
    })
}

unsafe extern "C" fn get_class(object: RawObject, _: *mut c_void) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    catch_panic(|| unsafe {
        let class = ffi::PyObject_GetAttr(innermost(object), name!("__class__"));
        Owned::new(class).map(Owned::into_ptr)
    })
}

unsafe extern "C" fn repr(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the format takes one object.
    catch_panic(|| unsafe {
        let _nested = RecursionGuard::counted(c" while getting the repr of an isolated body")?;
        let original = proxy(object).original();
        let text = ffi::calling!(PyUnicode_FromFormat(c"<isolated %R>".as_ptr(), original));
        Owned::new(text).map(Owned::into_ptr)
    })
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython calls this for a tracked, and so complete, instance.
    unsafe {
        let this = proxy(object);
        let body = match &this.owner {
            BodyOwner::This(body) => body.references(),
            BodyOwner::Parent(owner) => [Some(owner.as_ptr()), None, None, None],
        };
        let hooks = this.hooks.references();
        match gc::visit_all(&body, visit, arg) {
            0 => {}
            stop => return stop,
        }
        gc::traverse(object, &[Some(this.original()), hooks[0], hooks[1]], visit, arg)
    }
}

/// Breaks cycles through what a proxy has come to hold since it was made: the bindings that a body
/// follows, for example, may hold the proxy itself, and maps cannot be cleared.
unsafe extern "C" fn clear(object: RawObject) -> c_int {
    // SAFETY: CPython calls this for a complete instance, which it keeps alive.
    let this = unsafe { proxy(object) };
    if let BodyOwner::This(body) = &this.owner {
        body.clear();
    }
    this.hooks.clear();
    0
}

/// Ends the body of a proxy that nobody can make go on any more.
unsafe extern "C" fn finalize(object: RawObject) {
    catch_panic(|| {
        let before = ErrorSet.take();
        // SAFETY: CPython calls this for a live instance.
        unsafe {
            if end(object).is_err() {
                ffi::PyErr_WriteUnraisable(object);
            }
        }
        if let Some(error) = before {
            ErrorSet::restore(error);
        }
        Ok(0)
    });
}

/// # Safety
///
/// `object` is a proxy.
unsafe fn end(object: RawObject) -> Result<(), ErrorSet> {
    // SAFETY: as the caller promises; it keeps the original alive.
    unsafe {
        let this = proxy(object);
        let BodyOwner::This(body) = &this.owner else { return Ok(()) };
        if this.is_nested {
            return Ok(()); // the other proxy ends its body itself, when it is dropped
        }
        if async_generator::handed_to_loop_finalizer(object)? {
            return Ok(());
        }
        // Without a context no step has been made, and nothing is left to end. (The count may be
        // wrong while other threads use the original: then they see it end.)
        let original = this.original();
        if body.has_context() && ffi::Py_REFCNT(original) == 1 {
            // This tells of exceptions itself, and does nothing when CPython calls it again.
            body.last_step(|| {
                ffi::PyObject_CallFinalizer(original);
                Ok(())
            })?;
        }
        Ok(())
    }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference is gone; the instance is complete. It must
    // not be seen through weak references while it waits to be dropped.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let this = object.cast::<Proxy>();
        gc::clear_weak_references(object, (*this).weak_references);
        trashcan::bounded(object, || {
            let list = free_list(ffi::Py_TYPE(object), &(*this).owner);
            if list.is_none() {
                ffi::PyObject_GC_Track(object.cast());
                if ffi::PyObject_CallFinalizerFromDealloc(object) < 0 {
                    return; // somebody refers to it again
                }
                ffi::PyObject_GC_UnTrack(object.cast());
            }
            ptr::drop_in_place(&raw mut (*this).original);
            ptr::drop_in_place(&raw mut (*this).owner);
            ptr::drop_in_place(&raw mut (*this).hooks);
            match list {
                Some(list) => list.give(object),
                None => gc::free(object),
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
    class: &TypeHandle,
    name: &'static CStr,
    methods: Vec<ffi::PyMethodDef>,
    slots: &[(c_int, *mut c_void)],
) -> Result<(), ErrorSet> {
    let attributes =
        type_object::attributes(&[(c"__class__", get_class, c"The class of the original.")]);
    let members = type_object::weak_references_at(offset_of!(Proxy, weak_references));
    let mut all = vec![
        (ffi::Py_tp_dealloc, dealloc as *mut c_void),
        (ffi::Py_tp_finalize, finalize as *mut c_void),
        (ffi::Py_tp_traverse, traverse as *mut c_void),
        (ffi::Py_tp_clear, clear as *mut c_void),
        (ffi::Py_tp_getattro, getattro as *mut c_void),
        (ffi::Py_tp_setattro, setattro as *mut c_void),
        (ffi::Py_tp_repr, repr as *mut c_void),
        (ffi::Py_tp_getset, attributes),
        (ffi::Py_tp_members, members),
        (ffi::Py_tp_methods, type_object::leaked(methods)),
    ];
    all.extend_from_slice(slots);
    let flags = ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    // SAFETY: as the caller promises.
    unsafe { class.make(name, size_of::<Proxy>(), 0, flags, &all) }
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    async_generator::init();
    let iter = (ffi::Py_tp_iter, ffi::slot::PyObject_SelfIter as *mut c_void);
    let next = (ffi::Py_tp_iternext, generator_methods::next as *mut c_void);
    let send = (ffi::Py_am_send, generator_methods::send_slot as *mut c_void);
    let await_self = (ffi::Py_am_await, ffi::slot::PyObject_SelfIter as *mut c_void);
    let await_original = (ffi::Py_am_await, generator_methods::await_coroutine as *mut c_void);
    let aiter = (ffi::Py_am_aiter, ffi::slot::PyObject_SelfIter as *mut c_void);
    let anext = (ffi::Py_am_anext, async_generator::anext as *mut c_void);
    // SAFETY: each slot has the value that its number stands for.
    unsafe {
        make_class(
            &types::ISOLATED_GENERATOR,
            c"ctxvars._core.isolated_generator",
            generator_methods::methods(),
            &[iter, next, send],
        )?;
        make_class(
            &types::ISOLATED_COROUTINE,
            c"ctxvars._core.isolated_coroutine",
            generator_methods::coroutine_methods(),
            &[await_original, send],
        )?;
        make_class(
            &types::ISOLATED_AWAITABLE,
            c"ctxvars._core.isolated_awaitable",
            generator_methods::methods(),
            &[iter, next, await_self, send],
        )?;
        make_class(
            &types::ISOLATED_ASYNC_GENERATOR,
            c"ctxvars._core.isolated_async_generator",
            async_generator::methods(),
            &[aiter, anext],
        )
    }
}

/// `isolate(body, context, live, /)`
unsafe extern "C" fn isolate_body(
    _: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython passes `count` arguments, which are alive.
    catch_panic(|| unsafe {
        if count != 3 {
            return Err(raise_arguments(c"isolate", 3, 3, count));
        }
        let origin = ContextSource::from_arguments(*arguments.add(1), *arguments.add(2))?;
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
pub(crate) fn isolate_function(module: RawObject) -> Result<Owned, ErrorSet> {
    let call = ffi::PyMethodDefPointer { PyCFunctionFast: isolate_body };
    let doc = c"isolate($module, body, context, live, /)\n--\n\n\
        Return what stands for a generator, a coroutine or an async generator, and makes each of\n\
        its steps in a context: the one given, ours or native, or if that is None a copy of that\n\
        of its first step. If it is live, variables follow the caller's until the body sets them.";
    type_object::function(module, type_object::method(c"isolate", call, ffi::METH_FASTCALL, doc))
}
