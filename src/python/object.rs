//! Strong references, raised exceptions, and the guard around everything that CPython calls.

#![allow(unsafe_code)] // Counts references by hand: `Py<T>` checks the lock each time.

use super::ffi;
use pyo3::prelude::*;
use std::any::Any;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};

/// An exception has been set on the thread state.
#[derive(Debug)]
pub(super) struct Raised;

impl Raised {
    /// Takes the exception off the thread state, with its traceback.
    ///
    /// It is an `Owned`, unlike `PyErr`: where the lock is held unknown to PyO3, what is dropped of
    /// PyO3's is kept until much later.
    pub(super) fn take(self) -> Option<Owned> {
        // SAFETY: the lock is held, and the references that come back are new.
        unsafe {
            #[cfg(Py_3_12)]
            let value = ffi::PyErr_GetRaisedException();
            #[cfg(not(Py_3_12))]
            let value = {
                let (mut class, mut value) = (ptr::null_mut(), ptr::null_mut());
                let mut traceback = ptr::null_mut();
                ffi::PyErr_Fetch(&raw mut class, &raw mut value, &raw mut traceback);
                ffi::PyErr_NormalizeException(&raw mut class, &raw mut value, &raw mut traceback);
                if !value.is_null() && !traceback.is_null() {
                    ffi::PyException_SetTraceback(value, traceback);
                }
                ffi::Py_XDECREF(class);
                ffi::Py_XDECREF(traceback);
                value
            };
            Owned::new(value).ok()
        }
    }

    /// Raises an exception that has been taken.
    pub(super) fn again(exception: Owned) -> Self {
        let value = exception.into_ptr();
        // SAFETY: the lock is held; the reference is given away.
        unsafe {
            #[cfg(Py_3_12)]
            ffi::PyErr_SetRaisedException(value);
            #[cfg(not(Py_3_12))]
            {
                let class: Object = ffi::Py_TYPE(value).cast();
                ffi::Py_INCREF(class);
                ffi::PyErr_Restore(class, value, ffi::PyException_GetTraceback(value));
            }
        }
        Self
    }
}

/// The exception of the thread state while other code runs, `None` if there is none.
///
/// Unlike what [`Raised::take`] returns it is put back as it was found, not normalised.
pub(super) struct PutAside {
    #[cfg(Py_3_12)]
    value: Object,
    #[cfg(not(Py_3_12))]
    parts: [Object; 3],
}

impl PutAside {
    #[inline]
    pub(super) fn new() -> Self {
        // SAFETY: the thread is attached to the interpreter; the references that come back are new.
        unsafe {
            #[cfg(Py_3_12)]
            return Self { value: ffi::PyErr_GetRaisedException() };
            #[cfg(not(Py_3_12))]
            {
                let mut parts = [ptr::null_mut(); 3];
                let [class, value, traceback] = &mut parts;
                ffi::PyErr_Fetch(class, value, traceback);
                Self { parts }
            }
        }
    }

    /// Makes it the exception of the thread state again, in place of any other.
    #[inline]
    pub(super) fn put_back(self) {
        // SAFETY: the thread is attached to the interpreter; the references are given away.
        unsafe {
            #[cfg(Py_3_12)]
            ffi::PyErr_SetRaisedException(self.value);
            #[cfg(not(Py_3_12))]
            {
                let [class, value, traceback] = self.parts;
                ffi::PyErr_Restore(class, value, traceback);
            }
        }
    }
}

/// What a function of CPython returns: an object, or null if it raised.
pub(super) type Object = *mut ffi::PyObject;

/// A strong reference to a Python object.
///
/// It must be cloned and dropped only by a thread that is attached to the interpreter (and so holds
/// its lock, if it has one), as all are that call this module: no thread is started here, and no
/// `Owned` leaves it but inside Python objects.
#[repr(transparent)]
pub(super) struct Owned(NonNull<ffi::PyObject>);

impl Owned {
    /// Takes over a new reference, or learns that the function that made it has raised.
    ///
    /// # Safety
    ///
    /// `object` is null, with an exception set, or a reference that the caller gives away.
    #[inline]
    pub(super) unsafe fn new(object: Object) -> Result<Self, Raised> {
        NonNull::new(object).map(Self).ok_or(Raised)
    }

    /// Adds a reference to a live object.
    ///
    /// # Safety
    ///
    /// `object` points to a live object.
    #[inline]
    pub(super) unsafe fn from_borrowed(object: Object) -> Self {
        // SAFETY: the object is alive, so not null.
        unsafe {
            ffi::Py_INCREF(object);
            Self(NonNull::new_unchecked(object))
        }
    }

    /// A live object as a reference that is not counted.
    ///
    /// # Safety
    ///
    /// The object outlives the reference.
    #[inline]
    pub(super) unsafe fn borrowed(object: &Object) -> &Self {
        // SAFETY: `Owned` is transparent, and a live object is not null.
        unsafe { &*ptr::from_ref(object).cast() }
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> Object {
        self.0.as_ptr()
    }

    /// Gives the reference away.
    #[inline]
    pub(super) fn into_ptr(self) -> Object {
        std::mem::ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Clone for Owned {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: `self` keeps the object alive.
        unsafe { Self::from_borrowed(self.as_ptr()) }
    }
}

impl Drop for Owned {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `self` owns the reference.
        unsafe { ffi::Py_DECREF(self.as_ptr()) };
    }
}

/// The lock, which is held wherever CPython calls.
#[inline]
pub(super) fn lock<'py>() -> Python<'py> {
    // SAFETY: CPython has called.
    unsafe { Python::assume_attached() }
}

/// An interned string, as a borrowed reference. Never fails: see `names.rs`.
macro_rules! name {
    ($name:literal) => {
        $crate::python::names::at(const { $crate::python::names::index_of($name) })
    };
}
pub(super) use name;

/// Whether an object is true.
///
/// # Safety
///
/// It is alive.
pub(super) unsafe fn is_true(object: Object) -> Result<bool, Raised> {
    // SAFETY: as the caller promises.
    match unsafe { ffi::PyObject_IsTrue(object) } {
        ..0 => Err(Raised),
        answer => Ok(answer != 0),
    }
}

/// The attribute of an object, `None` if it has none of that name.
///
/// # Safety
///
/// Both are alive, and the name is a `str`.
pub(super) unsafe fn attribute(object: Object, name: Object) -> Result<Option<Owned>, Raised> {
    let mut found = ptr::null_mut();
    // SAFETY: as the caller promises; `found` receives a reference or null.
    unsafe {
        if ffi::PyObject_GetOptionalAttr(object, name, &raw mut found) < 0 {
            return Err(Raised);
        }
        Ok(Owned::new(found).ok())
    }
}

/// The body of the `tp_getattro` of an object that stands for another one: its own attribute, or
/// else that of its original, which `original_of` finds.
///
/// An original may stand for another one in turn. Such nests are walked here, not by recursion.
///
/// # Safety
///
/// The object and the name, a `str`, are alive, and each object keeps its original alive.
pub(super) unsafe fn attribute_or_of(
    object: Object,
    name: Object,
    original_of: impl Fn(Object) -> Option<Object>,
) -> Result<Object, Raised> {
    let mut object = object;
    while let Some(original) = original_of(object) {
        // SAFETY: the first object keeps all others alive; exceptions live as long as the
        // interpreter.
        unsafe {
            let found = ffi::PyObject_GenericGetAttr(object, name);
            if !found.is_null() || ffi::PyErr_ExceptionMatches(ffi::PyExc_AttributeError) == 0 {
                return Owned::new(found).map(Owned::into_ptr);
            }
            ffi::PyErr_Clear();
        }
        object = original;
    }
    // SAFETY: as above.
    unsafe { Owned::new(ffi::PyObject_GetAttr(object, name)).map(Owned::into_ptr) }
}

/// What a slot returns to say that it raised.
pub(super) trait Failure {
    const FAILED: Self;
}

impl Failure for Object {
    const FAILED: Self = ptr::null_mut();
}

/// `int` and `Py_ssize_t` results.
impl Failure for i32 {
    const FAILED: Self = -1;
}

impl Failure for isize {
    const FAILED: Self = -1;
}

impl Failure for ffi::PySendResult {
    const FAILED: Self = Self::PYGEN_ERROR;
}

/// Runs the body of a function that CPython called.
#[inline]
pub(super) fn guarded<R: Failure>(body: impl FnOnce() -> Result<R, Raised>) -> R {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(result)) => result,
        Ok(Err(Raised)) => R::FAILED,
        Err(panic) => {
            raise_panic(&*panic);
            R::FAILED
        }
    }
}

/// The body of a `tp_richcompare` that knows `==` and `!=` of comparable objects only.
pub(super) fn compared(
    operator: c_int,
    comparable: bool,
    are_equal: impl FnOnce() -> Result<bool, Raised>,
) -> Object {
    // SAFETY: the lock is held; `NotImplemented` lives as long as the interpreter.
    guarded(|| unsafe {
        let (equal, not_equal) = (operator == ffi::Py_EQ, operator == ffi::Py_NE);
        if !comparable || !(equal || not_equal) {
            return Ok(Owned::from_borrowed(ffi::Py_NotImplemented()).into_ptr());
        }
        Ok(ffi::PyBool_FromLong((are_equal()? == equal).into()))
    })
}

/// Counts one level of a nest towards the limit of recursion, for as long as it lives.
pub(super) struct Nested(usize);

/// How much more a level counts than by the call that CPython itself counts. CPython 3.12 and 3.13
/// allow a number of nested calls, whatever stack they need, and a level of ours may need as much
/// as this many of the interpreter's. Before, the limit is far lower; later, the stack is measured.
const MORE_CALLS: usize = if cfg!(all(Py_3_12, not(Py_3_14))) { 7 } else { 0 };

/// The same for a walk over several maps in lockstep. Each level of the trie takes 1.4 kB of stack, of
/// which CPython 3.12 and 3.13 have some 800 bytes for each call that they allow.
const CALLS_OF_WALK: usize = if cfg!(not(Py_3_12)) {
    8
} else if cfg!(not(Py_3_14)) {
    32
} else {
    1
};

impl Nested {
    /// `RecursionError` if there are too many levels; `what` tells what was being done. For what
    /// CPython counts itself, such as comparisons and reprs.
    #[inline]
    pub(super) fn counted(what: &'static std::ffi::CStr) -> Result<Self, Raised> {
        Self::enter(MORE_CALLS, what)
    }

    /// As [`counted`](Self::counted), for what CPython does not count, such as hashing.
    #[inline]
    pub(super) fn uncounted(what: &'static std::ffi::CStr) -> Result<Self, Raised> {
        Self::enter(MORE_CALLS + 1, what)
    }

    /// As [`uncounted`](Self::uncounted), for a walk that runs user code on its way.
    pub(super) fn walking(what: &'static std::ffi::CStr) -> Result<Self, Raised> {
        Self::enter(CALLS_OF_WALK, what)
    }

    #[inline]
    fn enter(calls: usize, what: &'static std::ffi::CStr) -> Result<Self, Raised> {
        let mut nested = Self(0);
        while nested.0 < calls {
            // SAFETY: the lock is held.
            if unsafe { ffi::Py_EnterRecursiveCall(what.as_ptr()) } != 0 {
                return Err(Raised);
            }
            nested.0 += 1;
        }
        Ok(nested)
    }
}

impl Drop for Nested {
    #[inline]
    fn drop(&mut self) {
        for _ in 0..self.0 {
            // SAFETY: the lock is held, and as many calls have been entered.
            unsafe { ffi::Py_LeaveRecursiveCall() };
        }
    }
}

#[cold]
fn raise_panic(panic: &(dyn Any + Send)) {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let (start, len) = (message.as_ptr().cast(), message.len() as isize);
    // SAFETY: the thread is attached; the message is UTF-8, and the format takes one string.
    unsafe {
        if let Ok(message) = Owned::new(ffi::PyUnicode_FromStringAndSize(start, len)) {
            ffi::calling!(PyErr_Format(
                ffi::PyExc_SystemError,
                c"panic in ctxvars, please report it: %U".as_ptr(),
                message.as_ptr(),
            ));
        }
    }
}

/// The body of `get(key, default=None, /)` of a mapping in which `value_of` finds values.
///
/// # Safety
///
/// There are `count` arguments, which are alive.
#[inline]
pub(super) unsafe fn get_or_default(
    arguments: *const Object,
    count: isize,
    value_of: impl FnOnce(Object) -> Result<Option<Owned>, Raised>,
) -> Result<Object, Raised> {
    if !(1..=2).contains(&count) {
        return Err(raise_arguments(c"get", 1, 2, count));
    }
    // SAFETY: as the caller promises.
    unsafe {
        if let Some(value) = value_of(*arguments)? {
            return Ok(value.into_ptr());
        }
        let default = if count == 2 { *arguments.add(1) } else { ffi::Py_None() };
        Ok(Owned::from_borrowed(default).into_ptr())
    }
}

/// Raises `exception` with `format`, in which `%R` is the repr of `argument`.
#[cold]
pub(super) fn raise(
    exception: Object,
    format: &'static std::ffi::CStr,
    argument: Object,
) -> Raised {
    // SAFETY: the lock is held, both objects are alive, and the format takes one object.
    unsafe { ffi::calling!(PyErr_Format(exception, format.as_ptr(), argument)) };
    Raised
}

/// Raises `exception` with a message that names nothing.
#[cold]
pub(super) fn raise_message(exception: Object, message: &'static std::ffi::CStr) -> Raised {
    // SAFETY: the lock is held, the exception is alive, and the message ends with a null byte.
    unsafe { ffi::PyErr_SetString(exception, message.as_ptr()) };
    Raised
}

/// Raises `exception` with `value` as its argument.
#[cold]
pub(super) fn raise_value(exception: Object, value: Object) -> Raised {
    // SAFETY: the lock is held and both objects are alive.
    unsafe { ffi::PyErr_SetObject(exception, value) };
    Raised
}

/// Raises the `KeyError` of `key`, be it a tuple or not.
#[cold]
pub(super) fn raise_key_error(key: Object) -> Raised {
    // SAFETY: the lock is held and the key is alive.
    unsafe {
        if let Ok(arguments) = Owned::new(ffi::calling!(PyTuple_Pack(1, key))) {
            ffi::PyErr_SetObject(ffi::PyExc_KeyError, arguments.as_ptr());
        }
    }
    Raised
}

/// The value of the only keyword that the function `function` takes; `None` if it is not given. Any
/// other keyword raises `TypeError`.
///
/// # Safety
///
/// `arguments` has `count` positional arguments and behind them the values of the keywords, whose
/// names are in the tuple `keywords`, which is null if there are none. All of them are alive.
#[inline]
pub(super) unsafe fn keyword_argument(
    function: &'static std::ffi::CStr,
    keyword: &'static std::ffi::CStr,
    arguments: *const Object,
    count: ffi::Py_ssize_t,
    keywords: Object,
) -> Result<Option<Object>, Raised> {
    // SAFETY: indices are below the length of the tuple, whose items are `str`; behind the
    // positional arguments there is one value for each. The format matches the arguments.
    unsafe {
        let named = if keywords.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(keywords) };
        let mut value = None;
        for index in 0..named {
            let given = ffi::PyTuple_GET_ITEM(keywords, index);
            if ffi::PyUnicode_CompareWithASCIIString(given, keyword.as_ptr()) != 0 {
                ffi::calling!(PyErr_Format(
                    ffi::PyExc_TypeError,
                    c"%s() got an unexpected keyword argument %R".as_ptr(),
                    function.as_ptr(),
                    given,
                ));
                return Err(Raised);
            }
            value = Some(*arguments.offset(count + index));
        }
        Ok(value)
    }
}

/// Raises the `TypeError` that `name` got a number of arguments other than it wants.
#[cold]
pub(super) fn raise_arguments(
    name: &'static std::ffi::CStr,
    least: isize,
    most: isize,
    got: isize,
) -> Raised {
    let (bound, count) = if least == most {
        (c"", most)
    } else if got < least {
        (c"at least ", least)
    } else {
        (c"at most ", most)
    };
    let plural = if count == 1 { c"" } else { c"s" };
    // SAFETY: the lock is held, and the format matches the arguments.
    unsafe {
        ffi::calling!(PyErr_Format(
            ffi::PyExc_TypeError,
            c"%s expected %s%zd argument%s, got %zd".as_ptr(),
            name.as_ptr(),
            bound.as_ptr(),
            count,
            plural.as_ptr(),
            got,
        ));
    }
    Raised
}
