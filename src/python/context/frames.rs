//! `Frames`, the base of the runtime context for OpenTelemetry: values that are attached for a while.
//!
//! `attach` makes a value current and returns a token. `detach` takes the value off again. It works
//! in any order and in any context, unlike `ContextVar.reset`:
//!
//! | `detach(token)` | effect |
//! | --- | --- |
//! | the value is current, in the context where it was attached | the value below is current again |
//! | another value was attached above it | its frame is ended, and skipped once it is on top |
//! | in another context | its frame is ended; the next call in its own context takes it off |
//! | in a copy of the context in which it is current | it is taken off in the copy as well |
//! | once more | none |
//!
//! ```text
//! ContextVar -> Frame { value, ended: (frame below, context) } <- FrameToken { change }
//! ```
//!
//! The value of the variable is a [`Frame`], so that two attachments of one value differ. The token
//! has the frame below, which a program needs only if it keeps the token. So a program that never
//! detaches keeps one frame, and not a chain. Ending a frame moves the frame below, and a weak
//! reference to the context, into the frame.
//!
//! A copy of a context has its own value of the variable. So a task that was created while a frame
//! was current keeps it, also if the frame is ended elsewhere later.

#![allow(unsafe_code)] // Instances of `Frames` are those of Python classes, which CPython allocates.

use super::native;
use super::root_variable::{self, NativeRoot};
use super::variable::VariableObject;
use crate::context::{self, Change, ResetError};
use crate::python::interpreter::free_threading::SharedRef;
use crate::python::interpreter::memory::gc;
use crate::python::interpreter::{
    ErrorSet, Exception, FreeList, HasFields, Method, Owned, RawObject, Slot, TypeSpec,
    TypedObject as _, create, exactly, ffi, raise, raise_message, typed_object, types,
};
use std::cell::OnceCell;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

typed_object! {
    /// An instance of `Frames`.
    FramesObject: FRAMES and_subclasses
}

typed_object! {
    /// A [`Frame`].
    FrameObject: FRAME
}

typed_object! {
    /// A [`FrameToken`].
    FrameTokenObject: FRAME_TOKEN
}

/// A value of the variable.
pub(crate) struct Frame {
    value: Owned,
    /// Whether the frame was detached while it could not be taken off.
    is_ended: AtomicBool,
    /// Of an ended frame: the value of the variable before the frame was attached, if it had one.
    below: SharedRef,
    /// Of an ended frame: a weak reference to the context where it was attached. With a strong one,
    /// a context that is not used again would be part of a cycle.
    context: SharedRef,
}

static FRAMES: FreeList<8> = FreeList::new();

// SAFETY: `attach` makes all frames, by `create`. They have no list of weak references.
unsafe impl HasFields for FrameObject {
    type Fields = Frame;

    fn references(fields: &Frame) -> [Option<RawObject>; 4] {
        [Some(fields.value.as_ptr()), fields.below.visited(), fields.context.visited(), None]
    }

    #[inline(always)]
    fn free_list(_: *mut ffi::PyTypeObject) -> Option<&'static FreeList<8>> {
        Some(&FRAMES)
    }
}

impl FrameObject {
    #[inline]
    fn new(value: &Owned) -> Result<Self, ErrorSet> {
        let fields = Frame {
            value: value.clone(),
            is_ended: AtomicBool::new(false),
            below: SharedRef::new(None),
            context: SharedRef::new(None),
        };
        create(&types::FRAME, fields, true)
    }

    #[inline]
    fn is_ended(&self) -> bool {
        self.fields().is_ended.load(Ordering::Acquire)
    }

    /// Marks the frame as ended.
    fn end(&self, below: Option<Owned>, context: Option<Owned>) {
        let fields = self.fields();
        fields.below.set(below);
        fields.context.set(context);
        fields.is_ended.store(true, Ordering::Release);
    }

    /// Whether the frame has ended, and the current context is the one where it was attached.
    fn is_to_be_taken_off(&self) -> Result<bool, ErrorSet> {
        if !self.is_ended() {
            return Ok(false);
        }
        let Some(context) = self.fields().context.get() else { return Ok(false) };
        match native::referenced(&context)? {
            Some(context) => Ok(context.is(&root_variable::current_context()?)),
            None => Ok(false),
        }
    }
}

/// The result of `attach`.
pub(crate) struct FrameToken {
    frame: FrameObject,
    /// The change that made the frame current. It is made after the token, because then nothing can
    /// fail after it.
    change: OnceCell<Change<NativeRoot>>,
}

static TOKENS: FreeList<8> = FreeList::new();

// SAFETY: `attach` makes all tokens, by `create`. They have no list of weak references.
unsafe impl HasFields for FrameTokenObject {
    type Fields = FrameToken;

    fn references(fields: &FrameToken) -> [Option<RawObject>; 4] {
        let frame = Some(fields.frame.as_ptr());
        match fields.change.get() {
            None => [frame, None, None, None],
            Some(change) => [
                frame,
                Some(change.variable().as_ptr()),
                change.old().map(Owned::as_ptr),
                Some(change.mark().native.as_ptr()),
            ],
        }
    }

    #[inline(always)]
    fn free_list(_: *mut ffi::PyTypeObject) -> Option<&'static FreeList<8>> {
        Some(&TOKENS)
    }
}

/// The part of an instance that belongs to `Frames`.
///
/// CPython allocates instances, and fills them with zeroes. `__init__` sets both fields once, to
/// references that the instance owns until its end.
#[repr(C)]
struct Frames {
    object: ffi::PyObject,
    default: AtomicPtr<ffi::PyObject>,
    variable: AtomicPtr<ffi::PyObject>,
}

impl FramesObject {
    #[inline(always)]
    fn instance(&self) -> &Frames {
        // SAFETY: an instance of a subclass begins with the memory of an instance of the base, which
        // CPython has filled with zeroes: two null pointers.
        unsafe { &*self.as_ptr().cast() }
    }

    #[inline(always)]
    fn default(&self) -> &Owned {
        // SAFETY: the callers have read the variable, which `init_instance` sets after the default.
        // The instance keeps the default until its end, and `self` keeps the instance alive.
        unsafe { Owned::borrowed(&*self.instance().default.as_ptr()) }
    }

    #[inline(always)]
    fn variable(&self) -> Result<&VariableObject, ErrorSet> {
        let variable = &self.instance().variable;
        if variable.load(Ordering::Acquire).is_null() {
            let message = c"Frames.__init__() was not called";
            return Err(raise_message(Exception::RuntimeError, message));
        }
        // SAFETY: `init_instance` has set the field, to a variable, and no other code changes it.
        // The instance keeps the variable until its end, and `self` keeps the instance alive.
        Ok(unsafe { VariableObject::unchecked(Owned::borrowed(&*variable.as_ptr())) })
    }
}

/// `__init__(self, name, default, /)`
fn init_instance(
    frames: &FramesObject,
    arguments: &Owned,
    _: Option<&Owned>,
) -> Result<(), ErrorSet> {
    let arguments = arguments.items_of_tuple_like().unwrap_or_default();
    let [name, default] = exactly(c"Frames", arguments)?;
    let variable = types::CONTEXT_VAR.object().call_one(name)?;
    let Frames { default: default_field, variable: variable_field, .. } = frames.instance();
    let set_once = |field: &AtomicPtr<ffi::PyObject>, value: &Owned| {
        let (null, value) = (ptr::null_mut(), value.clone());
        let result =
            field.compare_exchange(null, value.as_ptr(), Ordering::AcqRel, Ordering::Acquire);
        if result.is_err() {
            let message = c"Frames.__init__() was called already";
            return Err(raise_message(Exception::RuntimeError, message));
        }
        let _ = value.into_ptr(); // The field owns the reference.
        Ok(())
    };
    set_once(default_field, default)?;
    set_once(variable_field, &variable)
}

/// The value of the variable in the current context.
#[inline]
fn current(variable: &VariableObject) -> Result<Option<Owned>, ErrorSet> {
    match variable.cached_value() {
        Some(value) => Ok(value),
        None => variable.get_current(),
    }
}

/// As [`current`], after ended frames on top have been taken off.
#[inline]
fn current_top(variable: &VariableObject) -> Result<Option<Owned>, ErrorSet> {
    let top = current(variable)?;
    match frame_of(top.as_ref()).filter(|frame| frame.is_ended()) {
        Some(ended) => without_ended(variable, ended.clone_reference()),
        None => Ok(top),
    }
}

/// The frame that a value of the variable is. Other code can find the variable in a context, and set
/// it to anything.
#[inline]
fn frame_of(value: Option<&Owned>) -> Option<&FrameObject> {
    value.and_then(FrameObject::of)
}

/// As [`current_top`], if the frame on top has ended. In a copy of the context where it was attached,
/// it stays.
#[cold]
fn without_ended(variable: &VariableObject, ended: FrameObject) -> Result<Option<Owned>, ErrorSet> {
    if ended.is_to_be_taken_off()? {
        take_off(variable, ended.fields().below.get())
    } else {
        Ok(Some(ended.into_owned()))
    }
}

/// Makes the frame below the current one current, or one further below, if frames between them are
/// to be taken off as well.
#[cold]
fn take_off(
    variable: &VariableObject,
    mut below: Option<Owned>,
) -> Result<Option<Owned>, ErrorSet> {
    while let Some(frame) = frame_of(below.as_ref()) {
        if !frame.is_to_be_taken_off()? {
            break;
        }
        let next = frame.fields().below.get();
        below = next;
    }
    match &below {
        Some(below) => {
            context::set(&NativeRoot, variable.clone(), below.clone())?;
        }
        None => {
            context::delete(&NativeRoot, variable.clone())?;
        }
    }
    Ok(below)
}

#[inline]
fn get_current(frames: &FramesObject) -> Result<Owned, ErrorSet> {
    let top = current_top(frames.variable()?)?;
    let frame = frame_of(top.as_ref());
    Ok(frame.map_or(frames.default(), |frame| &frame.fields().value).clone())
}

#[inline]
fn attach(frames: &FramesObject, value: &Owned) -> Result<Owned, ErrorSet> {
    let variable = frames.variable()?;
    let frame = FrameObject::new(value)?;
    let fields = FrameToken { frame: frame.clone_reference(), change: OnceCell::new() };
    let token = create::<FrameTokenObject>(&types::FRAME_TOKEN, fields, true)?;
    // Otherwise ended frames could become a chain.
    current_top(variable)?;
    let change = context::set(&NativeRoot, variable.clone(), frame.into_owned())?;
    let _ = token.fields().change.set(change); // It was empty.
    Ok(token.into_owned())
}

#[inline]
fn detach(frames: &FramesObject, token: &Owned) -> Result<Owned, ErrorSet> {
    let variable = frames.variable()?;
    let Some(token) = FrameTokenObject::of(token) else {
        let message = c"expected an instance of FrameToken, got %R";
        return Err(raise(Exception::TypeError, message, token));
    };
    let FrameToken { frame, change } = token.fields();
    let Some(change) = change.get() else { return Ok(Owned::none()) };
    if !change.variable().is(variable) {
        let message = c"%R was created by a different runtime context";
        return Err(raise(Exception::ValueError, message, token));
    }
    if change.is_used() || frame.is_ended() {
        return Ok(Owned::none());
    }
    let is_current = current(variable)?.is_some_and(|top| top.is(frame));
    if is_current {
        match context::reset(&NativeRoot, variable, change) {
            Ok(()) => return Ok(Owned::none()),
            Err(ResetError::Carrier(raised)) => return Err(raised),
            Err(_) => {} // It is current in a copy of the context where it was attached.
        }
    }
    let context = change.mark().context();
    let context = context.map(|context| native::weak_reference(&context)).transpose()?;
    if is_current {
        take_off(variable, change.old().cloned())?;
    }
    frame.end(change.old().cloned(), context);
    Ok(Owned::none())
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython visits instances, whose fields are null or references from the start.
    unsafe {
        let this = FramesObject::unchecked(Owned::borrowed(&object)).instance();
        let of = |field: &AtomicPtr<ffi::PyObject>| {
            let reference = field.load(Ordering::Relaxed);
            (!reference.is_null()).then_some(reference)
        };
        gc::traverse(object, &[of(&this.default), of(&this.variable)], visit, arg)
    }
}

unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this once, when the last reference to an instance is gone. The fields
    // are null, or own references that are not used again.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let this = &*object.cast::<Frames>();
        for field in [&this.default, &this.variable] {
            drop(Owned::new(field.load(Ordering::Relaxed)));
        }
        gc::free(object);
    }
}

const DOC: &CStr = c"Frames(name, default, /)\n--\n\n\
    The base of the runtime context for OpenTelemetry: values that are attached for a while.\n\n\
    Each context has a stack of values. They can be detached in any order, and in any context.";

/// Makes the type, and those of frames and tokens, which Python code does not name.
pub(crate) fn init() -> Result<(), ErrorSet> {
    types::FRAME.make_with_fields::<FrameObject>(TypeSpec {
        name: c"ctxvars._core.Frame",
        flags: ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
        ..TypeSpec::default()
    })?;
    types::FRAME_TOKEN.make_with_fields::<FrameTokenObject>(TypeSpec {
        name: c"ctxvars._core.FrameToken",
        flags: ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
        ..TypeSpec::default()
    })?;
    let spec = TypeSpec {
        name: c"ctxvars._core.Frames",
        doc: Some(DOC),
        flags: ffi::Py_TPFLAGS_BASETYPE,
        // SAFETY: both functions work on instances of the type and of its subclasses.
        slots: unsafe {
            vec![
                Slot::raw(ffi::Py_tp_dealloc, dealloc as *mut c_void),
                Slot::raw(ffi::Py_tp_traverse, traverse as *mut c_void),
                Slot::init(init_instance),
            ]
        },
        methods: vec![
            Method::one(
                c"attach",
                attach,
                c"attach($self, value, /)\n--\n\n\
                Make a value current in the current context, and return a token to detach it.\n\n\
                O(log n) in the number of variables of the context.",
            ),
            Method::without_arguments(
                c"get_current",
                get_current,
                c"get_current($self, /)\n--\n\n\
                Return the value that was attached last and is not detached, or the default.\n\n\
                O(1) for the context of the last call, else O(log n).",
            ),
            Method::one(
                c"detach",
                detach,
                c"detach($self, token, /)\n--\n\n\
                Take the value off that attach() has made current when it returned the token.\n\n\
                In another context, the value is taken off by the next call in its own context.\n\
                Copies that were made meanwhile keep it. Detaching again changes nothing. Raise\n\
                ValueError if other frames created the token. O(log n).",
            ),
        ],
        ..TypeSpec::default()
    };
    // SAFETY: instances begin with a `Frames`, and the slots above drop and visit one.
    unsafe { types::FRAMES.make(size_of::<Frames>(), 0, spec) }
}
