//! The steps of proxies: `__next__`, `send`, `throw`, `close` and `await`.

#![allow(unsafe_code)] // `next` and `send_slot` are hot, and return more than an object.

use super::original::is_coroutine;
use super::proxy::{Proxy, ProxyObject, innermost, iterator_of};
use crate::python::interpreter::ffi::{CallSlot as _, PySendResult};
use crate::python::interpreter::{
    ErrorSet, Exception, Method, Owned, RawObject, TypedObject as _, catch_panic, ffi, name,
    raise_message, type_object,
};
use std::ptr;

/// `__next__`, which `for` and `yield from` call.
pub(super) unsafe extern "C" fn next(object: RawObject) -> RawObject {
    // SAFETY: `tp_iternext` of the types in `proxy.rs` gets a proxy. The body may drop all other
    // references to it, so this function holds one. The slot of the original's type gets an
    // instance, and returns a new reference, or null: without an exception at the end of the
    // iterator.
    catch_panic(|| unsafe {
        let alive = Owned::from_borrowed(object);
        let this = ProxyObject::unchecked(&alive).proxy();
        this.step(|original| match (*ffi::Py_TYPE(original.as_ptr())).tp_iternext {
            Some(next) => Owned::new(next.call_slot((original.as_ptr(),))),
            None => Err(ErrorSet),
        })
        .map(Owned::into_ptr)
    })
}

/// The slot that C code calls in place of `send`: the tasks of asyncio, and `await`.
pub(super) unsafe extern "C" fn send_slot(
    object: RawObject,
    value: RawObject,
    result: *mut RawObject,
) -> PySendResult {
    // SAFETY: `am_send` of the types in `proxy.rs` gets a proxy, a live value, and a place for the
    // result. The body may drop all other references to the proxy, so this function holds one.
    catch_panic(|| unsafe {
        *result = ptr::null_mut();
        let alive = Owned::from_borrowed(object);
        let this = ProxyObject::unchecked(&alive).proxy();
        let (outcome, found) = this.step(|original| {
            let mut found = ptr::null_mut();
            let outcome = ffi::PyIter_Send(original.as_ptr(), value, &raw mut found);
            Ok((outcome, Owned::new(found)?))
        })?;
        if outcome == PySendResult::PYGEN_RETURN {
            this.end_after_return();
        }
        *result = found.into_ptr();
        Ok(outcome)
    })
}

/// Runs `forward` with the original of a proxy, in the context of the body. The body may drop all
/// other references to the proxy.
fn step(
    proxy: &ProxyObject,
    forward: impl FnOnce(&Owned) -> Result<Owned, ErrorSet>,
) -> Result<Owned, ErrorSet> {
    let alive = proxy.clone_reference();
    alive.proxy().step(forward)
}

fn send(proxy: &ProxyObject, value: &Owned) -> Result<Owned, ErrorSet> {
    step(proxy, |original| original.call_method_one(name!("send"), value))
}

fn throw(proxy: &ProxyObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    step(proxy, |original| original.attribute(name!("throw"))?.call_slice(arguments))
}

fn close(proxy: &ProxyObject) -> Result<Owned, ErrorSet> {
    let alive = proxy.clone_reference();
    let this: &Proxy = alive.proxy();
    let result = this.step(|original| original.call_method_without_arguments(name!("close")))?;
    this.end_after_return();
    Ok(result)
}

/// The slot that `await` calls for a coroutine. Like the interpreter, it refuses a coroutine that
/// is being awaited.
pub(super) fn await_coroutine(proxy: &ProxyObject) -> Result<Owned, ErrorSet> {
    let original = innermost(proxy);
    if is_coroutine(&original) && !original.attribute(name!("cr_await"))?.is_none() {
        let message = c"coroutine is being awaited already";
        return Err(raise_message(Exception::RuntimeError, message));
    }
    await_by_name(proxy)
}

/// `__await__` of a coroutine, called by name. Like that of the original, it refuses nothing.
fn await_by_name(proxy: &ProxyObject) -> Result<Owned, ErrorSet> {
    let alive = proxy.clone_reference();
    let this = alive.proxy();
    let _nested = this.count_nested()?;
    let iterator = this.original().call_method_without_arguments(name!("__await__"))?;
    iterator_of(&alive, iterator)
}

/// The methods of all proxies but those of async generators.
pub(super) fn methods() -> Vec<Method<ProxyObject>> {
    vec![
        Method::one(
            c"send",
            send,
            c"send($self, value, /)\n--\n\nResume the original with a value, in its context.",
        ),
        Method::fast(
            c"throw",
            throw,
            c"throw($self, /, *exception)\n--\n\nResume the original with an exception, in its context.",
        ),
        Method::without_arguments(
            c"close",
            close,
            c"close($self, /)\n--\n\nEnd the original, in its context.",
        ),
        type_object::not_to_be_pickled(),
    ]
}

/// The methods of coroutines.
pub(super) fn coroutine_methods() -> Vec<Method<ProxyObject>> {
    let mut methods = methods();
    let doc = c"__await__($self, /)\n--\n\nReturn an iterator to be used in await expression.";
    // Without `METH_COEXIST`, the slot would take the place of the method.
    methods.insert(0, Method::without_arguments(c"__await__", await_by_name, doc).coexisting());
    methods
}
