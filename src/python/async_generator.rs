//! The operations of an isolated async generator, and the hooks by which event loops end those that
//! nobody exhausts.
//!
//! An async generator asks `sys.get_asyncgen_hooks()` when its first operation is made: it tells
//! `firstiter` of itself then, and `finalizer` when it is dropped while suspended, so that the loop
//! closes it. A loop that were told of the original would close that, outside of the context of the
//! body. So the original meets other hooks: a `firstiter` that tells the loop's of the proxy, and a
//! `finalizer` that does nothing, because the proxy calls the loop's when it is dropped itself.

#![allow(unsafe_code)] // The functions in the slots of the class.

use super::class;
use super::ffi::{self, Outcall as _};
use super::imported;
use super::object::{Object, Owned, Raised, guarded, name};
use super::proxy::{operation_of, proxy};
use super::sharing::Slot;
use super::steps::call_method;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// The hooks of the loop in which an async generator has its first operation made.
pub(super) struct Hooks {
    /// Whether the first operation has been made.
    are_asked: AtomicBool,
    /// Whether `aclose` has been called.
    is_closing: AtomicBool,
    /// Those of the thread, while the original meets others.
    replaced: Slot,
    finalizer: Slot,
}

impl Hooks {
    pub(super) const fn new() -> Self {
        Self {
            are_asked: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            replaced: Slot::new(None),
            finalizer: Slot::new(None),
        }
    }

    /// What the collector is to visit.
    pub(super) fn references(&self) -> [Option<Object>; 2] {
        [self.replaced.visited(), self.finalizer.visited()]
    }

    /// Drops them, for the collector.
    pub(super) fn clear(&self) {
        self.replaced.set(None);
        self.finalizer.set(None);
    }
}

/// The `firstiter` that the original meets, of which each proxy makes a function that is bound to it.
static FIRSTITER: AtomicPtr<ffi::PyMethodDef> = AtomicPtr::new(ptr::null_mut());
/// The `finalizer` that the original meets, which must not refer to the proxy.
static FINALIZER: AtomicPtr<ffi::PyObject> = AtomicPtr::new(ptr::null_mut());

/// Makes an operation of the original of the proxy `object`, and returns what stands for it.
///
/// # Safety
///
/// `object` is a proxy; `make` returns a new reference, or null.
unsafe fn operate(object: Object, make: impl FnOnce(Object) -> Object) -> Object {
    // SAFETY: as the caller promises.
    guarded(|| unsafe {
        let this = proxy(object);
        let make = || Owned::new(make(this.original()));
        let is_first = !this.hooks().are_asked.swap(true, Ordering::Relaxed);
        let made = if is_first { with_other_hooks(object, make)? } else { make()? };
        operation_of(object, made)
    })
}

/// # Safety
///
/// `object` is a proxy.
unsafe fn with_other_hooks(
    object: Object,
    make: impl FnOnce() -> Result<Owned, Raised>,
) -> Result<Owned, Raised> {
    // SAFETY: as the caller promises; the hooks are a tuple of two.
    unsafe {
        let hooks = ffi::PyObject_CallNoArgs(imported::GET_ASYNCGEN_HOOKS.get()?);
        let hooks = Owned::new(hooks)?;
        let [firstiter, finalizer] = [0, 1].map(|at| ffi::PyTuple_GetItem(hooks.as_ptr(), at));
        if ffi::Py_IsNone(firstiter) != 0 && ffi::Py_IsNone(finalizer) != 0 {
            return make();
        }
        let row = FIRSTITER.load(Ordering::Relaxed);
        let other_firstiter = Owned::new(ffi::PyCFunction_NewEx(row, object, ptr::null_mut()))?;
        let other_finalizer = match ffi::Py_IsNone(finalizer) {
            0 => FINALIZER.load(Ordering::Relaxed),
            _ => finalizer,
        };
        set_hooks(other_firstiter.as_ptr(), other_finalizer)?;
        let replaced = &proxy(object).hooks().replaced;
        replaced.set(Some(hooks.clone()));
        let made = make();
        if replaced.take().is_some() {
            // The original has been asked for an operation before it was isolated.
            let error = Raised.take();
            set_hooks(firstiter, finalizer)?;
            if let Some(error) = error {
                Raised::again(error);
            }
        }
        made
    }
}

/// # Safety
///
/// Both are alive.
unsafe fn set_hooks(firstiter: Object, finalizer: Object) -> Result<(), Raised> {
    let arguments = [firstiter, finalizer];
    // SAFETY: as the caller promises.
    unsafe {
        let set = imported::SET_ASYNCGEN_HOOKS.get()?;
        let done = ffi::PyObject_Vectorcall(set, arguments.as_ptr(), 2, ptr::null_mut());
        Owned::new(done).map(drop)
    }
}

/// Called by the original of the proxy `object`: puts the loop's hooks back, and tells the loop.
unsafe extern "C" fn firstiter(object: Object, _original: Object) -> Object {
    // SAFETY: the function is bound to a proxy; the hooks are a tuple of two.
    guarded(|| unsafe {
        let this = proxy(object).hooks();
        let none = || Owned::from_borrowed(ffi::Py_None());
        let Some(hooks) = this.replaced.take() else { return Ok(none().into_ptr()) };
        let [firstiter, finalizer] = [0, 1].map(|at| ffi::PyTuple_GetItem(hooks.as_ptr(), at));
        set_hooks(firstiter, finalizer)?;
        if ffi::Py_IsNone(finalizer) == 0 {
            this.finalizer.set(Some(Owned::from_borrowed(finalizer)));
        }
        if ffi::Py_IsNone(firstiter) != 0 {
            return Ok(none().into_ptr());
        }
        Owned::new(ffi::PyObject_CallOneArg(firstiter, object)).map(Owned::into_ptr)
    })
}

unsafe extern "C" fn finalizer(_: Object, _original: Object) -> Object {
    // SAFETY: `None` lives as long as the interpreter.
    unsafe { Owned::from_borrowed(ffi::Py_None()).into_ptr() }
}

/// Whether the loop has been told to end the original of the proxy `object`, which is dropped.
///
/// # Safety
///
/// `object` is a proxy.
pub(super) unsafe fn is_left_to_finalizer(object: Object) -> Result<bool, Raised> {
    // SAFETY: as the caller promises.
    unsafe {
        let this = proxy(object);
        let Some(finalizer) = this.hooks().finalizer.take() else { return Ok(false) };
        let asked = |name| Owned::new(ffi::PyObject_GetAttr(this.original(), name));
        if ffi::Py_IsNone(asked(name!("ag_frame"))?.as_ptr()) != 0 {
            return Ok(true); // it has ended
        }
        let is_running = ffi::Py_IsTrue(asked(name!("ag_running"))?.as_ptr()) != 0;
        if is_running && this.hooks().is_closing.load(Ordering::Relaxed) {
            return Ok(false); // it cannot be closed twice
        }
        Owned::new(ffi::PyObject_CallOneArg(finalizer.as_ptr(), object))?;
        Ok(true)
    }
}

/// `__anext__`, and so what `async for` calls.
pub(super) unsafe extern "C" fn anext(object: Object) -> Object {
    // SAFETY: CPython checks the class of `object`, whose original is an async iterator.
    unsafe {
        operate(object, |original| {
            match (*ffi::Py_TYPE(original)).tp_as_async.as_ref().and_then(|table| table.am_anext) {
                Some(anext) => anext.outcall((original,)),
                None => ptr::null_mut(),
            }
        })
    }
}

unsafe extern "C" fn asend(object: Object, value: Object) -> Object {
    // SAFETY: CPython checks the class of `object`; the value is alive.
    unsafe {
        operate(object, |original| ffi::PyObject_CallMethodOneArg(original, name!("asend"), value))
    }
}

unsafe extern "C" fn athrow(
    object: Object,
    arguments: *mut Object,
    count: ffi::Py_ssize_t,
) -> Object {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments.
    unsafe { operate(object, |original| call_method(original, name!("athrow"), arguments, count)) }
}

unsafe extern "C" fn aclose(object: Object, _: Object) -> Object {
    // SAFETY: CPython checks the class of `object`.
    unsafe {
        proxy(object).hooks().is_closing.store(true, Ordering::Relaxed);
        operate(object, |original| ffi::PyObject_CallMethodNoArgs(original, name!("aclose")))
    }
}

/// The methods of isolated async generators.
pub(super) fn methods() -> Vec<ffi::PyMethodDef> {
    vec![
        class::method(
            c"asend",
            ffi::PyMethodDefPointer { PyCFunction: asend },
            ffi::METH_O,
            c"asend($self, value, /)\n--\n\n\
            Return an awaitable that makes the original go on with a value, in its context.",
        ),
        class::method(
            c"athrow",
            ffi::PyMethodDefPointer { PyCFunctionFast: athrow },
            ffi::METH_FASTCALL,
            c"athrow($self, /, *exception)\n--\n\n\
            Return an awaitable that makes the original go on with an exception, in its context.",
        ),
        class::method(
            c"aclose",
            ffi::PyMethodDefPointer { PyCFunction: aclose },
            ffi::METH_NOARGS,
            c"aclose($self, /)\n--\n\n\
            Return an awaitable that ends the original, in its context.",
        ),
        class::not_to_be_pickled(),
        ffi::PyMethodDef::zeroed(),
    ]
}

/// Makes what the originals meet in place of the loop's hooks.
pub(super) fn init() -> Result<(), Raised> {
    let row = |name, call| {
        let call = ffi::PyMethodDefPointer { PyCFunction: call };
        class::leaked(vec![class::method(name, call, ffi::METH_O, c"A hook of ctxvars.")]).cast()
    };
    FIRSTITER.store(row(c"firstiter", firstiter), Ordering::Relaxed);
    let null = ptr::null_mut();
    // SAFETY: the row lives for ever; a new reference comes back, or null with an exception.
    let made =
        unsafe { Owned::new(ffi::PyCFunction_NewEx(row(c"finalizer", finalizer), null, null))? };
    FINALIZER.store(made.into_ptr(), Ordering::Relaxed);
    Ok(())
}
