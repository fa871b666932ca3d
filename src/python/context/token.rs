//! `Token`.

#![allow(unsafe_code)] // Tokens are hot: they have a free list, and are completed in place.

use super::root_variable::NativeRoot;
use super::variable::VariableObject;
use crate::context::{self, Change, ResetError};
use crate::python::interpreter::free_threading::{FREE_THREADED, is_only_reference};
use crate::python::interpreter::memory::{gc, trashcan};
use crate::python::interpreter::{
    ErrorSet, Exception, FreeList, Getter, Method, Owned, RawObject, Slot, TypeSpec,
    TypedObject as _, check_count, ffi, lazy_import, name, raise, raise_message, type_object,
    typed_object, types,
};
use crate::python::map::py_heap;
use crate::python::observation::{self, Kind};
use std::ffi::{CStr, c_int, c_void};
use std::iter;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

typed_object! {
    /// A `Token`.
    TokenObject: TOKEN
}

static FREE: FreeList<64> = FreeList::new();

/// `contextvars.Token.MISSING`, which is also that of this module.
static MISSING: AtomicPtr<ffi::PyObject> = AtomicPtr::new(ptr::null_mut());

/// `Token.MISSING`.
#[inline]
pub(crate) fn missing() -> &'static Owned {
    // SAFETY: `init` has stored a reference during the import of the module, before any other
    // function could be called. It is never dropped.
    unsafe { Owned::borrowed(&*MISSING.as_ptr()) }
}

#[repr(C)]
struct Token {
    object: ffi::PyObject,
    /// `None` as long as the token is a [`PendingToken`].
    change: Option<Change<NativeRoot>>,
}

impl TokenObject {
    #[inline]
    fn change(&self) -> &Change<NativeRoot> {
        // SAFETY: other code sees a token only after `finish` has given it a change, which stays.
        unsafe { (*self.as_ptr().cast::<Token>()).change.as_ref().unwrap_unchecked() }
    }
}

/// A token without a change, allocated before the change is made, so that nothing can fail after
/// it.
///
/// No other code sees it. If it is not needed, it is freed like any other object.
pub(crate) struct PendingToken(Owned);

impl PendingToken {
    #[inline]
    pub(crate) fn new() -> Result<Self, ErrorSet> {
        // SAFETY: a block of the free list is the memory of a token, of the type's size. The only
        // field is written, so the instance may be dropped.
        unsafe {
            let object = FREE.take().unwrap_or_else(|| ffi::PyObject_GC_New(types::TOKEN.as_ptr()));
            let pending = Owned::new(object)?;
            (&raw mut (*object.cast::<Token>()).change).write(None);
            Ok(Self(pending))
        }
    }

    /// The token for `change`.
    #[inline]
    pub(crate) fn finish(self, change: Change<NativeRoot>) -> Owned {
        let object = self.0.as_ptr();
        // SAFETY: the only reference is this one, the old change is `None`, which needs no drop,
        // and the object is not tracked.
        unsafe {
            (&raw mut (*object.cast::<Token>()).change).write(Some(change));
            ffi::PyObject_GC_Track(object.cast());
        }
        self.0
    }
}

/// Undoes the change of `token` for `variable`.
#[inline]
pub(crate) fn reset(variable: &VariableObject, token: &TokenObject) -> Result<(), ErrorSet> {
    let change = || context::reset(&NativeRoot, variable, token.change());
    let reset = observation::changing(Kind::Reset, iter::once(variable), change);
    let (exception, message) = match reset {
        Ok(()) => return Ok(()),
        Err(ResetError::Carrier(raised)) => return Err(raised),
        Err(ResetError::Used) => (Exception::RuntimeError, c"%R has already been used once"),
        Err(ResetError::OtherVariable) => {
            (Exception::ValueError, c"%R was created by a different ContextVar")
        }
        Err(ResetError::OtherContext) => {
            (Exception::ValueError, c"%R was created in a different Context")
        }
    };
    Err(raise(exception, message, token))
}

fn new(_: &Owned, _: Option<&Owned>) -> Result<Owned, ErrorSet> {
    let message = c"Tokens can only be created by ContextVars";
    Err(raise_message(Exception::RuntimeError, message))
}

fn exit(token: &TokenObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    check_count(c"__exit__", arguments, 3, 3)?;
    reset(token.change().variable(), token)?;
    Ok(Owned::none())
}

fn old_value(token: &TokenObject) -> Result<Owned, ErrorSet> {
    let change = token.change();
    let old = match change.old() {
        Some(old) => change.variable().live(old)?,
        None => None,
    };
    Ok(old.unwrap_or_else(|| missing().clone()))
}

fn repr(token: &TokenObject) -> Result<Owned, ErrorSet> {
    let change = token.change();
    let used = if change.is_used() { c" used" } else { c"" };
    // SAFETY: the format takes a C string, an object, which the token keeps alive, and a pointer.
    unsafe {
        Owned::new(ffi::calling!(PyUnicode_FromFormat(
            c"<Token%s var=%R at %p>".as_ptr(),
            used.as_ptr(),
            change.variable().as_ptr(),
            token.as_ptr(),
        )))
    }
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: the garbage collector visits tracked instances, which `finish` has completed.
    unsafe {
        let change = TokenObject::unchecked(Owned::borrowed(&object)).change();
        let references = [
            Some(change.variable().as_ptr()),
            change.old().map(Owned::as_ptr),
            Some(change.mark().native.as_ptr()),
        ];
        gc::traverse(object, &references, visit, arg)
    }
}

/// Whether dropping an old value may free it, and another token with it.
///
/// A reset gives the old value another reference. Most tokens are therefore freed without the
/// trashcan. On a free-threaded build, other threads may drop their references in the meantime.
#[inline]
fn is_nested(old: &Owned) -> bool {
    (FREE_THREADED || is_only_reference(old)) && py_heap::may_be_tracked(old)
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this when the last reference to a token is gone, and `bounded` again for
    // a queued token, whose field has not been dropped. The field is initialised.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        // The old value is dropped first, so its references are as they are counted here. The
        // variable and the native context need no check, since they free nests with a bounded stack.
        let change = &(*object.cast::<Token>()).change;
        if change.as_ref().and_then(Change::old).is_some_and(is_nested) {
            drop_nested(object);
        } else {
            drop_and_free(object);
        }
    }
}

/// # Safety
///
/// `object` is a dead, untracked token.
#[cold]
#[inline(never)] // It would make `dealloc` save more registers.
unsafe fn drop_nested(object: RawObject) {
    // SAFETY: the token is dead and untracked.
    unsafe { trashcan::bounded(object, || drop_and_free(object)) };
}

/// # Safety
///
/// `object` is a dead, untracked token.
#[inline(always)]
unsafe fn drop_and_free(object: RawObject) {
    // SAFETY: the token is dead, so no other code uses its field or its memory.
    unsafe {
        ptr::drop_in_place(&raw mut (*object.cast::<Token>()).change);
        FREE.give(object);
    }
}

const DOC: &CStr =
    c"The result of ContextVar.set() and delete(), which can restore the previous value once.\n\n\
    ContextVar.reset() takes it. It is also a context manager that resets the variable on exit.\n\
    (PEP 567)\n\n\
    >>> import ctxvars\n\
    >>> user = ctxvars.ContextVar('user', default='nobody')\n\
    >>> with user.set('Ada') as token:\n\
    ...     user.get()\n\
    'Ada'\n\
    >>> token.var is user, token.old_value is ctxvars.Token.MISSING\n\
    (True, True)";

pub(crate) fn init() -> Result<(), ErrorSet> {
    let spec = TypeSpec {
        name: c"ctxvars.Token",
        doc: Some(DOC),
        // SAFETY: both functions work on a `Token`.
        slots: unsafe {
            vec![
                Slot::new(new),
                Slot::raw(ffi::Py_tp_dealloc, dealloc as *mut c_void),
                Slot::raw(ffi::Py_tp_traverse, traverse as *mut c_void),
                Slot::unhashable(),
                Slot::repr(repr),
            ]
        },
        methods: vec![
            type_object::class_getitem(),
            Method::without_arguments(
                c"__enter__",
                |token: &TokenObject| Ok((**token).clone()),
                c"__enter__($self, /)\n--\n\nReturn the token itself.",
            ),
            Method::fast(
                c"__exit__",
                exit,
                c"__exit__($self, type, val, tb, /)\n--\n\n\
                Reset the variable of the token, as ContextVar.reset() does.",
            ),
        ],
        getters: vec![
            Getter::new(
                c"var",
                |token: &TokenObject| Ok((**token.change().variable()).clone()),
                c"The variable that created the token.",
            ),
            Getter::new(c"old_value", old_value, c"The previous value, or Token.MISSING."),
        ],
        ..TypeSpec::default()
    };
    // SAFETY: instances are a `Token`, and the slots above drop and visit one.
    unsafe { types::TOKEN.make(size_of::<Token>(), 0, spec)? };
    let missing = lazy_import::NATIVE_TOKEN.get()?.attribute(name!("MISSING"))?;
    types::TOKEN.set_attribute(c"MISSING", &missing)?;
    MISSING.store(missing.into_ptr(), Ordering::Relaxed);
    Ok(())
}
