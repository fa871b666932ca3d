//! The operations of an isolated async generator, and the hooks by which event loops end those that
//! nobody exhausts.
//!
//! An async generator reads the hooks of its thread when its first operation is made. It calls
//! `firstiter` with itself then, and `finalizer` when it is dropped while suspended, so that the loop
//! closes it. A loop that knew the original would close that, outside of the context of the body. So
//! the hooks of the thread are replaced while the original reads them: by a `firstiter` that calls
//! the loop's with the proxy, and by a `finalizer` that does nothing, because the proxy calls the
//! loop's when it is dropped itself.
//!
//! An audit hook can refuse each change of the hooks, so it may happen that they cannot be put back.
//! Therefore the replacements call the loop's hooks with any other generator than the original.

#![allow(unsafe_code)] // The functions in the slots of the class.

use crate::python::interpreter::ffi::CallSlot as _;
use crate::python::interpreter::free_threading::SharedRef;
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, catch_panic, ffi, is_true, lazy_import, name, raise, type_object,
};
use crate::python::isolation::generator_methods::call_method;
use crate::python::isolation::proxy::{operation_of, proxy};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// The hooks of the loop in which an async generator has its first operation made.
pub(crate) struct Hooks {
    /// Whether the original has read the hooks, as far as is known.
    are_read: AtomicBool,
    /// Whether `aclose` has been called.
    is_closing: AtomicBool,
    /// Those of the thread while they are replaced: a [`Replaced`].
    replaced: SharedRef,
    finalizer: SharedRef,
}

impl Hooks {
    pub(crate) const fn new() -> Self {
        Self {
            are_read: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            replaced: SharedRef::new(None),
            finalizer: SharedRef::new(None),
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }

    /// What the collector is to visit.
    pub(crate) fn references(&self) -> [Option<RawObject>; 2] {
        [self.replaced.visited(), self.finalizer.visited()]
    }

    /// Drops them, for the collector.
    pub(crate) fn clear(&self) {
        self.replaced.set(None);
        self.finalizer.set(None);
    }
}

/// The functions that replace the hooks: one bound to a proxy, and one to a [`Replaced`], because a
/// finalizer must not refer to the proxy.
static FIRSTITER: AtomicPtr<ffi::PyMethodDef> = AtomicPtr::new(ptr::null_mut());
static FINALIZER: AtomicPtr<ffi::PyMethodDef> = AtomicPtr::new(ptr::null_mut());

/// Makes an operation of the original of the proxy `object`, and returns what stands for it.
///
/// # Safety
///
/// `object` is a proxy; `make` returns a new reference, or null.
unsafe fn operate(object: RawObject, make: impl FnOnce(RawObject) -> RawObject) -> RawObject {
    // SAFETY: as the caller promises.
    catch_panic(|| unsafe {
        let this = proxy(object);
        let _nested = this.count_nested()?;
        let make = || Owned::new(make(this.original()));
        let is_first = !this.hooks().are_read.swap(true, Ordering::Relaxed);
        let made = if is_first { with_other_hooks(object, make)? } else { make()? };
        operation_of(object, made)
    })
}

/// # Safety
///
/// `object` is a proxy.
unsafe fn with_other_hooks(
    object: RawObject,
    make: impl FnOnce() -> Result<Owned, ErrorSet>,
) -> Result<Owned, ErrorSet> {
    // SAFETY: the object is a proxy.
    unsafe {
        let this = proxy(object);
        let replaced = match Replaced::new(object) {
            Ok(Some(replaced)) => replaced,
            Ok(None) => return make(),
            Err(ErrorSet) => {
                // The original has not been resumed, and has still to read the hooks.
                this.hooks().are_read.store(false, Ordering::Relaxed);
                return Err(ErrorSet);
            }
        };
        let made = make();
        if this.hooks().replaced.visited().is_none() {
            return made;
        }
        // The original has read hooks before it was isolated, or `firstiter` could not put them back.
        let error = made.is_err().then(|| ErrorSet.take()).flatten();
        let restore = replaced.begin(ffi::Py_None()).and_then(|_| replaced.restore(object));
        match error {
            Some(error) => Err(ErrorSet::restore(error)),
            None => restore.and(made),
        }
    }
}

/// The hooks of a thread that are replaced for one generator: a list of them and, once the generator
/// has read what replaces them, its address.
///
/// The collector shows the list to other code, which may change it. So nothing is taken for granted.
struct Replaced(Owned);

impl Replaced {
    /// Replaces the hooks of the thread, if it has any.
    ///
    /// # Safety
    ///
    /// `object` is a proxy.
    unsafe fn new(object: RawObject) -> Result<Option<Self>, ErrorSet> {
        // SAFETY: the object is a proxy; all other objects are kept alive here.
        unsafe {
            let this = Self::of_thread()?;
            let [firstiter, finalizer] = this.hooks()?;
            let is_none = |hook: &Owned| ffi::Py_IsNone(hook.as_ptr()) != 0;
            if is_none(&firstiter) && is_none(&finalizer) {
                return Ok(None);
            }
            let function = |row: &AtomicPtr<ffi::PyMethodDef>, bound_to| {
                let row = row.load(Ordering::Relaxed);
                Owned::new(ffi::PyCFunction_NewEx(row, bound_to, ptr::null_mut()))
            };
            let firstiter = function(&FIRSTITER, object)?;
            let finalizer = match is_none(&finalizer) {
                true => finalizer,
                false => function(&FINALIZER, this.0.as_ptr())?,
            };
            proxy(object).hooks().replaced.set(Some(this.0.clone()));
            let Err(ErrorSet) = set_hooks(&firstiter, &finalizer) else { return Ok(Some(this)) };
            // One of them may be replaced nevertheless.
            let error = ErrorSet.take();
            if this.restore(object).is_err() {
                drop(ErrorSet.take());
            }
            Err(error.map_or(ErrorSet, ErrorSet::restore))
        }
    }

    /// Those that `sys.get_asyncgen_hooks` returns. Other code can replace that function.
    fn of_thread() -> Result<Self, ErrorSet> {
        // SAFETY: the hooks are alive; they are checked to be a tuple of two.
        unsafe {
            let hooks = ffi::PyObject_CallNoArgs(lazy_import::GET_ASYNCGEN_HOOKS.get()?);
            let hooks = Owned::new(hooks)?;
            if ffi::PyTuple_Check(hooks.as_ptr()) == 0 || ffi::PyTuple_Size(hooks.as_ptr()) != 2 {
                let message = c"sys.get_asyncgen_hooks() must return a tuple of two, got %R";
                return Err(raise(ffi::PyExc_TypeError, message, hooks.as_ptr()));
            }
            Owned::new(ffi::PySequence_List(hooks.as_ptr())).map(Self)
        }
    }

    fn hooks(&self) -> Result<[Owned; 2], ErrorSet> {
        // SAFETY: the object is a list, as it is made above.
        let item = |at| unsafe { Owned::new(ffi::PyList_GetItemRef(self.0.as_ptr(), at)) };
        Ok([item(0)?, item(1)?])
    }

    /// Notes that `generator` has read what replaces the hooks; `false` if another one had before.
    ///
    /// # Safety
    ///
    /// `generator` is alive.
    unsafe fn begin(&self, generator: RawObject) -> Result<bool, ErrorSet> {
        // SAFETY: the object is a list.
        unsafe {
            if ffi::PyList_Size(self.0.as_ptr()) > 2 {
                return Ok(false);
            }
            let address = Owned::new(ffi::PyLong_FromVoidPtr(generator.cast()))?;
            match ffi::PyList_Append(self.0.as_ptr(), address.as_ptr()) {
                ..0 => Err(ErrorSet),
                _ => Ok(true),
            }
        }
    }

    /// Whether it is for `generator` that they are replaced. While they are, the generator is alive,
    /// so no other one can have its address and these hooks.
    ///
    /// # Safety
    ///
    /// `generator` is alive.
    unsafe fn are_for(&self, generator: RawObject) -> Result<bool, ErrorSet> {
        // SAFETY: the object is a list.
        unsafe {
            let address = Owned::new(ffi::PyLong_FromVoidPtr(generator.cast()))?;
            match ffi::PySequence_Contains(self.0.as_ptr(), address.as_ptr()) {
                ..0 => Err(ErrorSet),
                found => Ok(found != 0),
            }
        }
    }

    /// Makes them the hooks of the thread again.
    ///
    /// # Safety
    ///
    /// `object` is the proxy for which they are replaced.
    unsafe fn restore(&self, object: RawObject) -> Result<(), ErrorSet> {
        let [firstiter, finalizer] = self.hooks()?;
        set_hooks(&firstiter, &finalizer)?;
        // SAFETY: the object is a proxy.
        unsafe { proxy(object) }.hooks().replaced.set(None);
        Ok(())
    }
}

fn set_hooks(firstiter: &Owned, finalizer: &Owned) -> Result<(), ErrorSet> {
    let arguments = [firstiter.as_ptr(), finalizer.as_ptr()];
    // SAFETY: the hooks are alive.
    unsafe {
        let set = lazy_import::SET_ASYNCGEN_HOOKS.get()?;
        let done = ffi::PyObject_Vectorcall(set, arguments.as_ptr(), 2, ptr::null_mut());
        Owned::new(done).map(drop)
    }
}

/// Calls a hook unless it is `None`; a new reference to what it returned, or to `None`.
///
/// # Safety
///
/// The generator is alive.
unsafe fn call_hook(hook: &Owned, generator: RawObject) -> Result<RawObject, ErrorSet> {
    // SAFETY: as the caller promises.
    unsafe {
        if ffi::Py_IsNone(hook.as_ptr()) != 0 {
            return Ok(hook.clone().into_ptr());
        }
        Owned::new(ffi::PyObject_CallOneArg(hook.as_ptr(), generator)).map(Owned::into_ptr)
    }
}

/// Called with the original of the proxy `object`: puts the loop's hooks back, and calls the loop's.
unsafe extern "C" fn firstiter(object: RawObject, generator: RawObject) -> RawObject {
    // SAFETY: the function is bound to a proxy; both are alive.
    catch_panic(|| unsafe {
        let own = proxy(object).hooks();
        let Some(replaced) = own.replaced.get().map(Replaced) else {
            return Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr());
        };
        let [firstiter, finalizer] = replaced.hooks()?;
        if !replaced.begin(generator)? {
            return call_hook(&firstiter, generator);
        }
        if ffi::Py_IsNone(finalizer.as_ptr()) == 0 {
            own.finalizer.set(Some(finalizer));
        }
        replaced.restore(object)?;
        call_hook(&firstiter, object)
    })
}

/// Called with an original that is dropped, which its proxy has ended.
unsafe extern "C" fn finalizer(list: RawObject, generator: RawObject) -> RawObject {
    // SAFETY: the function is bound to a list; both are alive.
    catch_panic(|| unsafe {
        let replaced = Replaced(Owned::from_borrowed(list));
        if replaced.are_for(generator)? {
            return Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr());
        }
        let [_, finalizer] = replaced.hooks()?;
        call_hook(&finalizer, generator)
    })
}

/// Whether the loop has been told to end the original of the proxy `object`, which is dropped.
///
/// # Safety
///
/// `object` is a proxy.
pub(crate) unsafe fn handed_to_loop_finalizer(object: RawObject) -> Result<bool, ErrorSet> {
    // SAFETY: as the caller promises.
    unsafe {
        let this = proxy(object);
        let Some(finalizer) = this.hooks().finalizer.take() else { return Ok(false) };
        let asked = |name| Owned::new(ffi::PyObject_GetAttr(this.original(), name));
        if ffi::Py_IsNone(asked(name!("ag_frame"))?.as_ptr()) != 0 {
            return Ok(true); // it has ended
        }
        if is_true(asked(name!("ag_running"))?.as_ptr())? && this.hooks().is_closing() {
            return Ok(false); // it cannot be closed twice
        }
        Owned::new(ffi::PyObject_CallOneArg(finalizer.as_ptr(), object))?;
        Ok(true)
    }
}

/// `__anext__`, and so what `async for` calls.
pub(crate) unsafe extern "C" fn anext(object: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`, whose original is an async iterator.
    unsafe {
        operate(object, |original| {
            match (*ffi::Py_TYPE(original)).tp_as_async.as_ref().and_then(|table| table.am_anext) {
                Some(anext) => anext.call_slot((original,)),
                None => ptr::null_mut(),
            }
        })
    }
}

unsafe extern "C" fn asend(object: RawObject, value: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`; the value is alive.
    unsafe {
        operate(object, |original| ffi::PyObject_CallMethodOneArg(original, name!("asend"), value))
    }
}

unsafe extern "C" fn athrow(
    object: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython checks the class of `object`, and passes `count` arguments.
    unsafe { operate(object, |original| call_method(original, name!("athrow"), arguments, count)) }
}

unsafe extern "C" fn aclose(object: RawObject, _: RawObject) -> RawObject {
    // SAFETY: CPython checks the class of `object`.
    unsafe {
        proxy(object).hooks().is_closing.store(true, Ordering::Relaxed);
        operate(object, |original| ffi::PyObject_CallMethodNoArgs(original, name!("aclose")))
    }
}

/// The methods of isolated async generators.
pub(crate) fn methods() -> Vec<ffi::PyMethodDef> {
    vec![
        type_object::method(
            c"asend",
            ffi::PyMethodDefPointer { PyCFunction: asend },
            ffi::METH_O,
            c"asend($self, value, /)\n--\n\n\
            Return an awaitable that makes the original go on with a value, in its context.",
        ),
        type_object::method(
            c"athrow",
            ffi::PyMethodDefPointer { PyCFunctionFast: athrow },
            ffi::METH_FASTCALL,
            c"athrow($self, /, *exception)\n--\n\n\
            Return an awaitable that makes the original go on with an exception, in its context.",
        ),
        type_object::method(
            c"aclose",
            ffi::PyMethodDefPointer { PyCFunction: aclose },
            ffi::METH_NOARGS,
            c"aclose($self, /)\n--\n\n\
            Return an awaitable that ends the original, in its context.",
        ),
        type_object::not_to_be_pickled(),
        ffi::PyMethodDef::zeroed(),
    ]
}

/// Makes the methods that replace the hooks.
pub(crate) fn init() {
    let row = |name, call| {
        let call = ffi::PyMethodDefPointer { PyCFunction: call };
        type_object::leaked(vec![type_object::method(
            name,
            call,
            ffi::METH_O,
            c"A hook of ctxvars.",
        )])
        .cast()
    };
    FIRSTITER.store(row(c"firstiter", firstiter), Ordering::Relaxed);
    FINALIZER.store(row(c"finalizer", finalizer), Ordering::Relaxed);
}
