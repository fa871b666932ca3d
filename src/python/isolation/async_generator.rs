//! The operations of an isolated async generator, and the hooks by which event loops close
//! abandoned ones.
//!
//! An async generator reads the hooks of its thread at its first operation. It then calls
//! `firstiter` with itself, and calls `finalizer` when it is dropped while suspended, so that the
//! loop closes it. If the loop had a reference to the original, it would close the original outside
//! of the context of the body. So the hooks of the thread are replaced while the original reads
//! them: by a `firstiter` that calls the loop's one with the proxy, and by a `finalizer` that does
//! nothing. The proxy calls the loop's finalizer when the proxy itself is dropped.
//!
//! An audit hook can refuse each change of the hooks, so restoring them may fail. Therefore the
//! replacements call the loop's hooks for any other generator than the original.

#![allow(unsafe_code)] // Calls a slot, and makes functions that are bound to a proxy.

use super::proxy::{ProxyObject, operation_of};
use crate::python::interpreter::ffi::CallSlot as _;
use crate::python::interpreter::free_threading::SharedRef;
use crate::python::interpreter::{
    ErrorSet, Exception, Method, Owned, RawObject, TypedObject as _, catch_panic, ffi, lazy_import,
    name, raise, type_object,
};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// The hooks of the event loop that runs the first operation of an async generator.
pub(crate) struct Hooks {
    /// Whether the original has read the hooks, as far as this module can see.
    are_read: AtomicBool,
    /// Whether `aclose` has been called.
    is_closing: AtomicBool,
    /// The hooks of the thread while they are replaced: a [`Replaced`].
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

    /// The references for the garbage collector.
    pub(crate) fn references(&self) -> [Option<RawObject>; 2] {
        [self.replaced.visited(), self.finalizer.visited()]
    }

    /// Drops the references, to break cycles.
    pub(crate) fn clear(&self) {
        self.replaced.set(None);
        self.finalizer.set(None);
    }
}

/// The functions that replace the hooks. The first is bound to a proxy, and the second to the list
/// of a [`Replaced`], since a finalizer must not refer to the proxy.
static FIRSTITER: AtomicPtr<ffi::PyMethodDef> = AtomicPtr::new(ptr::null_mut());
static FINALIZER: AtomicPtr<ffi::PyMethodDef> = AtomicPtr::new(ptr::null_mut());

/// Makes an operation of the original of a proxy, and returns a proxy of the operation.
fn operate(
    proxy: &ProxyObject,
    make: impl FnOnce(&Owned) -> Result<Owned, ErrorSet>,
) -> Result<Owned, ErrorSet> {
    let this = proxy.proxy();
    let _nested = this.count_nested()?;
    let make = || make(this.original());
    let is_first = !this.hooks().are_read.swap(true, Ordering::Relaxed);
    let operation = if is_first { with_replaced_hooks(proxy, make)? } else { make()? };
    operation_of(proxy, operation)
}

fn with_replaced_hooks(
    proxy: &ProxyObject,
    make: impl FnOnce() -> Result<Owned, ErrorSet>,
) -> Result<Owned, ErrorSet> {
    let hooks = proxy.proxy().hooks();
    let replaced = match Replaced::new(proxy) {
        Ok(Some(replaced)) => replaced,
        Ok(None) => return make(),
        Err(ErrorSet) => {
            // The original has not been resumed, and has still to read the hooks.
            hooks.are_read.store(false, Ordering::Relaxed);
            return Err(ErrorSet);
        }
    };
    let made = make();
    if hooks.replaced.visited().is_none() {
        return made;
    }
    // The original has read hooks before it was isolated, or `firstiter` could not restore them.
    let error = made.is_err().then(|| ErrorSet.take()).flatten();
    let restored = replaced.begin(&Owned::none()).and_then(|_| replaced.restore(proxy));
    match error {
        Some(error) => Err(ErrorSet::restore(error)),
        None => restored.and(made),
    }
}

/// The hooks of a thread that are replaced for one generator: a list of them and, once the
/// generator has read the replacements, its address.
///
/// The garbage collector shows the list to other code, which may change it. So the code below
/// relies on nothing about its contents.
struct Replaced(Owned);

/// `id(object)`
fn address_of(object: &Owned) -> Result<Owned, ErrorSet> {
    // SAFETY: the call reads the address only, and returns a new reference or null.
    unsafe { Owned::new(ffi::PyLong_FromVoidPtr(object.as_ptr().cast())) }
}

impl Replaced {
    /// Replaces the hooks of the thread, if it has any.
    fn new(proxy: &ProxyObject) -> Result<Option<Self>, ErrorSet> {
        let this = Self::of_thread()?;
        let [firstiter, finalizer] = this.hooks()?;
        if firstiter.is_none() && finalizer.is_none() {
            return Ok(None);
        }
        let function = |row: &AtomicPtr<ffi::PyMethodDef>, bound_to: &Owned| {
            let row = row.load(Ordering::Relaxed);
            // SAFETY: `init` has stored a row that is never freed. The call returns a new
            // reference, or null.
            unsafe { Owned::new(ffi::PyCFunction_NewEx(row, bound_to.as_ptr(), ptr::null_mut())) }
        };
        let firstiter = function(&FIRSTITER, proxy)?;
        let finalizer = match finalizer.is_none() {
            true => finalizer,
            false => function(&FINALIZER, &this.0)?,
        };
        proxy.proxy().hooks().replaced.set(Some(this.0.clone()));
        let Err(ErrorSet) = set_hooks(&firstiter, &finalizer) else { return Ok(Some(this)) };
        // One of the two may be replaced nevertheless.
        let error = ErrorSet.take();
        if this.restore(proxy).is_err() {
            drop(ErrorSet.take());
        }
        Err(error.map_or(ErrorSet, ErrorSet::restore))
    }

    /// The result of `sys.get_asyncgen_hooks`. Other code can replace that function.
    fn of_thread() -> Result<Self, ErrorSet> {
        let hooks = lazy_import::GET_ASYNCGEN_HOOKS.get()?.call_without_arguments()?;
        if hooks.items_of_tuple_like().is_none_or(|items| items.len() != 2) {
            let message = c"sys.get_asyncgen_hooks() must return a tuple of two, got %R";
            return Err(raise(Exception::TypeError, message, &hooks));
        }
        hooks.to_list().map(Self)
    }

    fn hooks(&self) -> Result<[Owned; 2], ErrorSet> {
        // SAFETY: `of_thread` and `finalizer` make values of lists only; an index outside raises.
        let item = |at| unsafe { Owned::new(ffi::PyList_GetItemRef(self.0.as_ptr(), at)) };
        Ok([item(0)?, item(1)?])
    }

    /// Records that `generator` has read the replacements; `false` if another one had before.
    fn begin(&self, generator: &Owned) -> Result<bool, ErrorSet> {
        if self.0.length()? > 2 {
            return Ok(false);
        }
        self.0.append(&address_of(generator)?)?;
        Ok(true)
    }

    /// Whether the hooks are replaced for `generator`. The generator is alive as long as they are,
    /// so no other one can have its address and these hooks.
    fn are_for(&self, generator: &Owned) -> Result<bool, ErrorSet> {
        self.0.contains(&address_of(generator)?)
    }

    /// Makes these the hooks of the thread again, which were replaced for the proxy.
    fn restore(&self, proxy: &ProxyObject) -> Result<(), ErrorSet> {
        let [firstiter, finalizer] = self.hooks()?;
        set_hooks(&firstiter, &finalizer)?;
        proxy.proxy().hooks().replaced.set(None);
        Ok(())
    }
}

fn set_hooks(firstiter: &Owned, finalizer: &Owned) -> Result<(), ErrorSet> {
    lazy_import::SET_ASYNCGEN_HOOKS.get()?.call([firstiter, finalizer]).map(drop)
}

/// Calls a hook unless it is `None`.
fn call_hook(hook: &Owned, generator: &Owned) -> Result<Owned, ErrorSet> {
    if hook.is_none() { Ok(hook.clone()) } else { hook.call_one(generator) }
}

/// Called with the original of the proxy `object`: restores the loop's hooks, and calls the loop's
/// `firstiter` with the proxy.
unsafe extern "C" fn firstiter(object: RawObject, generator: RawObject) -> RawObject {
    // SAFETY: `Replaced::new` binds the function to a proxy, which the function object keeps alive.
    // The caller keeps the argument alive.
    let (proxy, generator) =
        unsafe { (ProxyObject::unchecked(Owned::borrowed(&object)), Owned::borrowed(&generator)) };
    catch_panic(|| {
        let own = proxy.proxy().hooks();
        let Some(replaced) = own.replaced.get().map(Replaced) else {
            return Ok(Owned::none().into_ptr());
        };
        let [firstiter, finalizer] = replaced.hooks()?;
        if !replaced.begin(generator)? {
            return call_hook(&firstiter, generator).map(Owned::into_ptr);
        }
        if !finalizer.is_none() {
            own.finalizer.set(Some(finalizer));
        }
        replaced.restore(proxy)?;
        call_hook(&firstiter, proxy).map(Owned::into_ptr)
    })
}

/// Called with an original that is dropped, whose body its proxy has ended.
unsafe extern "C" fn finalizer(list: RawObject, generator: RawObject) -> RawObject {
    // SAFETY: `Replaced::new` binds the function to a list, which the function object keeps alive.
    // The caller keeps the argument alive.
    let (list, generator) = unsafe { (Owned::borrowed(&list), Owned::borrowed(&generator)) };
    catch_panic(|| {
        let replaced = Replaced(list.clone());
        if replaced.are_for(generator)? {
            return Ok(Owned::none().into_ptr());
        }
        let [_, finalizer] = replaced.hooks()?;
        call_hook(&finalizer, generator).map(Owned::into_ptr)
    })
}

/// Whether the finalizer of the loop has been called, to end the original of a proxy that is
/// dropped.
pub(super) fn handed_to_loop_finalizer(proxy: &ProxyObject) -> Result<bool, ErrorSet> {
    let this = proxy.proxy();
    let Some(finalizer) = this.hooks().finalizer.take() else { return Ok(false) };
    if this.original().attribute(name!("ag_frame"))?.is_none() {
        return Ok(true); // it has ended
    }
    let is_running = this.original().attribute(name!("ag_running"))?.is_true()?;
    if is_running && this.hooks().is_closing() {
        return Ok(false); // it cannot be closed twice
    }
    finalizer.call_one(proxy)?;
    Ok(true)
}

/// `__anext__`, which `async for` calls.
pub(super) fn anext(proxy: &ProxyObject) -> Result<Owned, ErrorSet> {
    operate(proxy, |original| {
        // SAFETY: the original keeps its type alive, whose slot gets an instance, and returns a new
        // reference or null.
        unsafe {
            let table = (*ffi::Py_TYPE(original.as_ptr())).tp_as_async.as_ref();
            match table.and_then(|table| table.am_anext) {
                Some(anext) => Owned::new(anext.call_slot((original.as_ptr(),))),
                None => Err(ErrorSet),
            }
        }
    })
}

fn asend(proxy: &ProxyObject, value: &Owned) -> Result<Owned, ErrorSet> {
    operate(proxy, |original| original.call_method_one(name!("asend"), value))
}

fn athrow(proxy: &ProxyObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    operate(proxy, |original| original.attribute(name!("athrow"))?.call_slice(arguments))
}

fn aclose(proxy: &ProxyObject) -> Result<Owned, ErrorSet> {
    proxy.proxy().hooks().is_closing.store(true, Ordering::Relaxed);
    operate(proxy, |original| original.call_method_without_arguments(name!("aclose")))
}

/// The methods of isolated async generators.
pub(super) fn methods() -> Vec<Method<ProxyObject>> {
    vec![
        Method::one(
            c"asend",
            asend,
            c"asend($self, value, /)\n--\n\n\
            Return an awaitable that resumes the original with a value, in its context.",
        ),
        Method::fast(
            c"athrow",
            athrow,
            c"athrow($self, /, *exception)\n--\n\n\
            Return an awaitable that resumes the original with an exception, in its context.",
        ),
        Method::without_arguments(
            c"aclose",
            aclose,
            c"aclose($self, /)\n--\n\n\
            Return an awaitable that ends the original, in its context.",
        ),
        type_object::not_to_be_pickled(),
    ]
}

/// Makes the rows of the functions that replace the hooks.
pub(super) fn init() {
    let row = |name: &'static std::ffi::CStr, call| {
        type_object::leaked(vec![ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunction: call },
            ml_flags: ffi::METH_O,
            ml_doc: c"A hook of ctxvars.".as_ptr(),
        }])
        .cast()
    };
    FIRSTITER.store(row(c"firstiter", firstiter), Ordering::Relaxed);
    FINALIZER.store(row(c"finalizer", finalizer), Ordering::Relaxed);
}
