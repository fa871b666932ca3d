//! Proxies of generators, coroutines and async generators whose bodies run in isolated contexts.
//!
//! A proxy forwards each step to the original, in the context of the body, and all other operations
//! unchanged. It adds no Python frame: tracebacks are those of the original.
//!
//! | type | original | methods |
//! | --- | --- | --- |
//! | `generator` | a generator, or the iterator behind `await coroutine` | `__next__ send throw close` |
//! | `coroutine` | a coroutine | `__await__ send throw close` |
//! | `awaitable` | one operation of an async generator, or a coroutine made of a generator | both |
//! | `async_generator` | an async generator | `__anext__ asend athrow aclose` |
//!
//! `proxy.__class__` is the class of the original, so that `isinstance` and `inspect` answer as for
//! the original. `type(proxy)` is the type of the proxy, and the only thing at which CPython looks.
//!
//! # Finalizing abandoned bodies
//!
//! CPython closes a suspended generator when it is dropped, in whatever context that happens. A
//! proxy does so first, in the context of the body: when the proxy itself is dropped, or when the
//! garbage collector finds both objects unreachable. The collector finalizes objects in the order
//! in which they were tracked. So the proxy is tracked first, and the original is tracked again
//! behind it. (The collector of a free-threaded build keeps no order, and may finalize the original
//! first.) An original to which other references exist is left alone. `async_generator.rs` says how
//! event loops take part.

#![allow(unsafe_code)] // Proxies are hot: they have free lists, and bodies may drop them in a step.

use super::async_generator::{self, Hooks};
use super::body::{Body, ContextSource};
use super::generator_methods;
use super::original::{
    is_async_generator, is_awaitable, is_coroutine, is_generator, is_running, refuses,
};
use crate::python::interpreter::error::{clear_exception, is_exception_set};
use crate::python::interpreter::memory::{gc, trashcan};
use crate::python::interpreter::{
    ErrorSet, Exception, FreeList, Getter, Method, Owned, RawObject, RecursionGuard, SavedError,
    Slot, TypeHandle, TypeSpec, TypedObject as _, attribute_of_proxy, catch_panic, exactly, ffi,
    module_function, name, raise, raise_message, type_object, typed_object, types,
};
use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr;

typed_object! {
    /// A proxy, of any of the four types.
    ProxyObject:
        ISOLATED_GENERATOR | ISOLATED_COROUTINE | ISOLATED_AWAITABLE | ISOLATED_ASYNC_GENERATOR
}

/// For proxies of one operation of another proxy: an `await`, or a step of an async generator.
static FREE_GENERATORS: FreeList<32> = FreeList::new();
static FREE_AWAITABLES: FreeList<32> = FreeList::new();

/// The owner of the body that a proxy resumes.
enum BodyOwner {
    /// The proxy itself.
    This(Body),
    /// The proxy of an async generator; this proxy is one of its operations.
    Parent(ProxyObject),
}

#[repr(C)]
pub(super) struct Proxy {
    object: ffi::PyObject,
    original: Owned,
    owner: BodyOwner,
    /// For async generators.
    hooks: Hooks,
    /// Whether the original is a proxy, so that only this proxy counts the depth of the nest.
    is_nested: bool,
    weak_references: RawObject,
}

impl ProxyObject {
    #[inline(always)]
    pub(super) fn proxy(&self) -> &Proxy {
        // SAFETY: instances of the four types are a `Proxy`, whose fields `make` has written. The
        // reference keeps the instance alive.
        unsafe { &*self.as_ptr().cast() }
    }
}

impl Proxy {
    #[inline(always)]
    pub(super) fn original(&self) -> &Owned {
        &self.original
    }

    pub(super) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// The body that it resumes, and the proxy that has this body.
    #[inline(always)]
    fn body_and_owner(&self) -> (&Body, &Self) {
        let mut owner = self;
        loop {
            match &owner.owner {
                BodyOwner::This(body) => return (body, owner),
                BodyOwner::Parent(other) => owner = other.proxy(),
            }
        }
    }

    /// `RecursionError` if steps are nested too deep.
    #[inline(always)]
    pub(super) fn count_nested(&self) -> Result<Option<RecursionGuard>, ErrorSet> {
        if self.is_nested {
            RecursionGuard::uncounted(c" in an isolated body").map(Some)
        } else {
            Ok(None)
        }
    }

    /// Makes a step: runs `forward`, which resumes the original, in the context of the body.
    #[inline(always)]
    pub(super) fn step<R>(
        &self,
        forward: impl FnOnce(&Owned) -> Result<R, ErrorSet>,
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
        let is_result = || is_exception_set() && Exception::StopIteration.is_set();
        if by_operation && self.may_yield_by_returning() && is_result() {
            return;
        }
        let error = SavedError::new();
        self.end_if_over();
        error.restore();
    }

    /// As [`end_if_over`](Self::end_if_over), after a step that has returned.
    pub(super) fn end_after_return(&self) {
        let (_, owner) = self.body_and_owner();
        if ptr::eq(owner, self) || !owner.may_yield_by_returning() {
            owner.end_if_over();
        }
    }

    /// Whether an operation that returns a value leaves the body suspended. Those of async
    /// generators do, unless the generator is being closed.
    fn may_yield_by_returning(&self) -> bool {
        let object: RawObject = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: a `Proxy` begins with the head of a live object.
        let object = unsafe { Owned::borrowed(&object) };
        types::ISOLATED_ASYNC_GENERATOR.is_type_of(object) && !self.hooks.is_closing()
    }

    /// Releases the context if the original has ended, and so runs no more code.
    fn end_if_over(&self) {
        let BodyOwner::This(body) = &self.owner else { return };
        if !body.has_ended() && is_over(&self.original) {
            body.end();
        }
    }
}

/// Whether the original of a proxy has ended; no exception is set. For the types of other code
/// there is no way to find out.
fn is_over(original: &Owned) -> bool {
    if let Some(proxy) = ProxyObject::of(original) {
        return proxy.proxy().body_and_owner().0.has_ended();
    }
    let frame = if is_generator(original) {
        name!("gi_frame")
    } else if is_coroutine(original) {
        name!("cr_frame")
    } else if is_async_generator(original) {
        name!("ag_frame")
    } else {
        return false;
    };
    match original.attribute(frame) {
        Ok(frame) => frame.is_none(),
        Err(ErrorSet) => {
            clear_exception(); // of an audit hook
            false
        }
    }
}

/// The original of a proxy, `None` if `object` is not one.
fn original_of(object: &Owned) -> Option<Owned> {
    ProxyObject::of(object).map(|proxy| proxy.proxy().original.clone())
}

/// The object below a nest of proxies, or `object` itself if it is not a proxy.
pub(super) fn innermost(object: &Owned) -> Owned {
    let mut object = object.clone();
    while let Some(original) = original_of(&object) {
        object = original;
    }
    object
}

/// A new proxy, which the garbage collector tracks.
#[inline(always)]
fn make(handle: &TypeHandle, original: Owned, owner: BodyOwner) -> Result<Owned, ErrorSet> {
    let is_nested = ProxyObject::of(&original).is_some();
    // SAFETY: a block of the free list is the memory of a proxy of this type. The fields are
    // written before other code can see the object.
    unsafe {
        let kept = free_list(handle.as_ptr(), &owner).and_then(|list| list.take());
        let object = kept.unwrap_or_else(|| ffi::PyObject_GC_New(handle.as_ptr()));
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
        Owned::new(object)
    }
}

/// The free list for such proxies, if there is one.
fn free_list(class: *mut ffi::PyTypeObject, owner: &BodyOwner) -> Option<&'static FreeList<32>> {
    let is = |handle: &TypeHandle| ptr::eq(class, handle.as_ptr());
    match owner {
        BodyOwner::This(_) => None,
        BodyOwner::Parent(_) if is(&types::ISOLATED_GENERATOR) => Some(&FREE_GENERATORS),
        BodyOwner::Parent(_) if is(&types::ISOLATED_AWAITABLE) => Some(&FREE_AWAITABLES),
        BodyOwner::Parent(_) => None,
    }
}

/// Whether objects of the type of `object` can be awaited, and whether they are async iterators.
fn async_abilities(object: &Owned) -> (bool, bool) {
    // SAFETY: the object keeps its type alive, which has a table of these slots, or null.
    let table = unsafe { (*ffi::Py_TYPE(object.as_ptr())).tp_as_async.as_ref() };
    table.map_or((false, false), |table| (table.am_await.is_some(), table.am_anext.is_some()))
}

fn is_iterator(object: &Owned) -> bool {
    // SAFETY: the object is alive; the function reads its type.
    unsafe { ffi::PyIter_Check(object.as_ptr()) != 0 }
}

/// The proxy of the iterator behind an `await` of the coroutine below `owner`. The coroutine may be
/// of other code, and return any object.
pub(super) fn iterator_of(owner: &ProxyObject, original: Owned) -> Result<Owned, ErrorSet> {
    if is_coroutine(&original) || (is_generator(&original) && is_awaitable(&original)?) {
        let message = c"__await__() returned a coroutine";
        return Err(raise_message(Exception::TypeError, message));
    }
    if !is_iterator(&original) {
        let message = c"__await__() returned non-iterator of type '%.100s'";
        // SAFETY: the format takes a C string, the name of a type that is alive.
        unsafe {
            let name = original.type_name().as_ptr();
            ffi::calling!(PyErr_Format(ffi::PyExc_TypeError, message.as_ptr(), name));
        }
        return Err(ErrorSet);
    }
    make(&types::ISOLATED_GENERATOR, original, BodyOwner::Parent(owner.clone_reference()))
}

/// The proxy of an operation of the async generator below `owner`. The generator may be of other
/// code, and return any object.
pub(super) fn operation_of(owner: &ProxyObject, original: Owned) -> Result<Owned, ErrorSet> {
    let handle = if is_iterator(&original) {
        &types::ISOLATED_AWAITABLE
    } else if async_abilities(&original).0 {
        &types::ISOLATED_COROUTINE
    } else {
        let message = c"an operation of an isolated async generator must be awaitable, got %R";
        return Err(raise(Exception::TypeError, message, &original));
    };
    make(handle, original, BodyOwner::Parent(owner.clone_reference()))
}

/// The type of proxies of `original`, `None` if it has no body.
fn proxy_type_of(original: &Owned) -> Result<Option<&'static TypeHandle>, ErrorSet> {
    if is_generator(original) {
        let is_awaitable = is_awaitable(original)?;
        return Ok(Some(match is_awaitable {
            true => &types::ISOLATED_AWAITABLE,
            false => &types::ISOLATED_GENERATOR,
        }));
    }
    if is_coroutine(original) {
        return Ok(Some(&types::ISOLATED_COROUTINE));
    }
    if is_async_generator(original) {
        return Ok(Some(&types::ISOLATED_ASYNC_GENERATOR));
    }
    // Other types, such as those of Cython and of this module, are recognised by their abilities.
    let (can_be_awaited, is_async) = async_abilities(original);
    let handle = match (can_be_awaited, is_iterator(original)) {
        _ if is_async => &types::ISOLATED_ASYNC_GENERATOR,
        (true, true) => &types::ISOLATED_AWAITABLE,
        (true, false) => &types::ISOLATED_COROUTINE,
        (false, true) => &types::ISOLATED_GENERATOR,
        (false, false) => return Ok(None),
    };
    let method = if is_async { name!("athrow") } else { name!("throw") };
    Ok(original.optional_attribute(method)?.map(|_| handle))
}

/// A proxy of `original`, whose code is to run as `body` says. An object without a body raises
/// `TypeError` with the message `refused`.
pub(super) fn isolate(
    original: &Owned,
    body: Body,
    refused: &'static CStr,
) -> Result<Owned, ErrorSet> {
    let Some(handle) = proxy_type_of(original)? else {
        return Err(raise(Exception::TypeError, refused, original));
    };
    let proxy = make(handle, original.clone(), BodyOwner::This(body))?;
    if original.is_tracked() {
        // The original must be tracked after the proxy: see the top of this file.
        // SAFETY: the object is tracked, so it may be untracked, and then be tracked again.
        unsafe {
            ffi::PyObject_GC_UnTrack(original.as_ptr().cast());
            ffi::PyObject_GC_Track(original.as_ptr().cast());
        }
    }
    Ok(proxy)
}

fn repr(proxy: &ProxyObject) -> Result<Owned, ErrorSet> {
    let _nested = RecursionGuard::counted(c" while getting the repr of an isolated body")?;
    Owned::format(c"<isolated %R>", proxy.proxy().original())
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: the garbage collector visits tracked instances, whose fields have been written.
    unsafe {
        let this = ProxyObject::unchecked(Owned::borrowed(&object)).proxy();
        let body = match &this.owner {
            BodyOwner::This(body) => body.references(),
            BodyOwner::Parent(owner) => [Some(owner.as_ptr()), None, None, None],
        };
        let hooks = this.hooks.references();
        match gc::visit_all(&body, visit, arg) {
            0 => {}
            stop => return stop,
        }
        gc::traverse(object, &[Some(this.original.as_ptr()), hooks[0], hooks[1]], visit, arg)
    }
}

/// Breaks cycles through references that a proxy has received since it was made. For example, the
/// bindings that a body follows may hold the proxy itself, and maps cannot be cleared.
fn clear(proxy: &ProxyObject) {
    let this = proxy.proxy();
    if let BodyOwner::This(body) = &this.owner {
        body.clear();
    }
    this.hooks.clear();
}

/// Ends the body of a proxy that is dropped, so that no code can resume it.
unsafe extern "C" fn finalize(object: RawObject) {
    catch_panic(|| {
        let before = ErrorSet.take();
        // SAFETY: `tp_finalize` gets a live instance. If `end` fails, an exception is set.
        unsafe {
            if end(ProxyObject::unchecked(Owned::borrowed(&object))).is_err() {
                ffi::PyErr_WriteUnraisable(object);
            }
        }
        if let Some(error) = before {
            ErrorSet::restore(error);
        }
        Ok(0)
    });
}

fn end(proxy: &ProxyObject) -> Result<(), ErrorSet> {
    let this = proxy.proxy();
    let BodyOwner::This(body) = &this.owner else { return Ok(()) };
    if this.is_nested {
        return Ok(()); // the other proxy ends its body itself, when it is dropped
    }
    if async_generator::handed_to_loop_finalizer(proxy)? {
        return Ok(());
    }
    // Without a context no step has been made, so there is nothing to end. (While other threads use
    // the original, the reference count may be wrong. Then they see it end.)
    let original = this.original.as_ptr();
    // SAFETY: the proxy keeps the original alive. `PyObject_CallFinalizer` reports exceptions
    // itself, and does nothing when CPython calls it again.
    unsafe {
        if body.has_context() && ffi::Py_REFCNT(original) == 1 {
            body.last_step(|| {
                ffi::PyObject_CallFinalizer(original);
                Ok(())
            })?;
        }
    }
    Ok(())
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference to a proxy is gone. A proxy must not be
    // reached through weak references while it waits to be dropped, so these are cleared first. If
    // the finalizer makes a new reference, the proxy stays alive, and tracked. Else the fields are
    // dropped once.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let this = object.cast::<Proxy>();
        gc::clear_weak_references(object, (*this).weak_references);
        trashcan::bounded(object, || {
            let list = free_list(ffi::Py_TYPE(object), &(*this).owner);
            if list.is_none() {
                ffi::PyObject_GC_Track(object.cast());
                if ffi::PyObject_CallFinalizerFromDealloc(object) < 0 {
                    return;
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

/// Makes one of the four types.
fn make_type(
    handle: &TypeHandle,
    name: &'static CStr,
    methods: Vec<Method<ProxyObject>>,
    slots: impl IntoIterator<Item = Slot<ProxyObject>>,
) -> Result<(), ErrorSet> {
    // SAFETY: instances are a `Proxy`: the functions work on one, and the offset is that of its
    // list of weak references.
    unsafe {
        let mut spec = TypeSpec {
            name,
            flags: ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
            slots: vec![
                Slot::raw(ffi::Py_tp_dealloc, dealloc as *mut c_void),
                Slot::raw(ffi::Py_tp_finalize, finalize as *mut c_void),
                Slot::raw(ffi::Py_tp_traverse, traverse as *mut c_void),
                Slot::clear(clear),
                Slot::get_attribute(|proxy: &ProxyObject, name: &Owned| {
                    attribute_of_proxy(proxy, name, original_of)
                }),
                Slot::set_attribute(|proxy: &ProxyObject, name: &Owned, value: Option<&Owned>| {
                    innermost(proxy).set_attribute(name, value)
                }),
                Slot::repr(repr),
            ],
            methods,
            getters: vec![Getter::new(
                c"__class__",
                |proxy: &ProxyObject| innermost(proxy).attribute(name!("__class__")),
                c"The class of the original.",
            )],
            members: vec![type_object::Member::offset(
                c"__weaklistoffset__",
                offset_of!(Proxy, weak_references),
            )],
            ..TypeSpec::default()
        };
        spec.slots.extend(slots);
        handle.make(size_of::<Proxy>(), 0, spec)
    }
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    async_generator::init();
    let iter = || Slot::itself(ffi::Py_tp_iter);
    // SAFETY: the functions have the types of these slots, and work on proxies.
    let (next, send) = unsafe {
        (
            || Slot::raw(ffi::Py_tp_iternext, generator_methods::next as *mut c_void),
            || Slot::raw(ffi::Py_am_send, generator_methods::send_slot as *mut c_void),
        )
    };
    make_type(
        &types::ISOLATED_GENERATOR,
        c"ctxvars._core.isolated_generator",
        generator_methods::methods(),
        [iter(), next(), send()],
    )?;
    make_type(
        &types::ISOLATED_COROUTINE,
        c"ctxvars._core.isolated_coroutine",
        generator_methods::coroutine_methods(),
        [Slot::await_iterator(generator_methods::await_coroutine), send()],
    )?;
    make_type(
        &types::ISOLATED_AWAITABLE,
        c"ctxvars._core.isolated_awaitable",
        generator_methods::methods(),
        [iter(), next(), Slot::itself(ffi::Py_am_await), send()],
    )?;
    make_type(
        &types::ISOLATED_ASYNC_GENERATOR,
        c"ctxvars._core.isolated_async_generator",
        async_generator::methods(),
        [Slot::itself(ffi::Py_am_aiter), Slot::anext(async_generator::anext)],
    )
}

/// `isolate(body, context, live, /)`
fn isolate_body(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [original, context, live] = exactly(c"isolate", arguments)?;
    let source = ContextSource::from_arguments(context, live)?;
    let refused = c"isolated() argument must be a function, a generator, a coroutine or an \
        async generator, got %R";
    if is_running(original)? {
        let message = c"isolated() argument %R is running already";
        return Err(raise(Exception::RuntimeError, message, original));
    }
    isolate(original, Body::new(source), refused)
}

/// The function `isolate`, which `ctxvars.isolated` wraps.
pub(crate) fn isolate_function(module: &Owned) -> Result<Owned, ErrorSet> {
    let doc = c"isolate($module, body, context, live, /)\n--\n\n\
        Return a proxy of a generator, a coroutine or an async generator, which makes each step in\n\
        a context: the given one, ours or native, or for None a copy of the context of the first\n\
        step. If it is live, variables follow those of the caller until the body sets them.";
    type_object::function(module, module_function(c"isolate", isolate_body, doc))
}
