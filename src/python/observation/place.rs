//! Where a change happens: the code, the stack, the names of the thread and of the task.
//!
//! Nothing here runs Python code, so no change comes between a change and its event. (The collector
//! may run, on Python 3.11, where an object is allocated.)

#![allow(unsafe_code)] // Reads frames by the C API.

use super::quietly;
use crate::python::interpreter::lazy_import::{GET_RUNNING_LOOP, TASK_TYPE};
use crate::python::interpreter::{ErrorSet, Owned, ffi, name};

/// The longest stack that is kept.
const MOST_FRAMES: usize = 64;

/// A place in Python code.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) code: Owned,
    /// The offset of the instruction, in bytes.
    pub(super) instruction: u32,
}

/// A frame object.
struct Frame(Owned);

impl Frame {
    /// The innermost frame of this thread, `None` if it runs no Python code, or memory is too short.
    fn innermost() -> Option<Self> {
        // SAFETY: the call returns a borrowed reference to a frame of this thread, or null. No
        // frame ends before the reference is counted.
        unsafe {
            let frame = ffi::PyEval_GetFrame().cast::<ffi::PyObject>();
            (!frame.is_null()).then(|| Self(Owned::from_borrowed(frame)))
        }
    }

    fn place(&self) -> Option<Place> {
        let frame = self.0.as_ptr().cast();
        // SAFETY: the object is a frame, which has a code object. The first call returns a new
        // reference to it.
        unsafe {
            let code = quietly(Owned::new(ffi::PyFrame_GetCode(frame).cast()))?;
            let instruction = ffi::PyFrame_GetLasti(frame).try_into().unwrap_or(0);
            Some(Place { code, instruction })
        }
    }

    fn caller(&self) -> Option<Self> {
        // SAFETY: the object is a frame. The call returns a new reference or null, which it returns
        // without an exception for the outermost frame.
        let caller = unsafe { Owned::new(ffi::PyFrame_GetBack(self.0.as_ptr().cast()).cast()) };
        quietly(caller).map(Self)
    }
}

impl Place {
    /// The offset of the instruction; at most 16 MB, which no code has.
    pub(super) fn short_instruction(&self) -> [u8; 3] {
        let [a, b, c, too_far] = self.instruction.to_le_bytes();
        if too_far == 0 { [a, b, c] } else { [u8::MAX; 3] }
    }

    pub(super) fn innermost() -> Option<Self> {
        Frame::innermost()?.place()
    }

    /// The stack of this thread, innermost first. Where memory is too short, it ends.
    pub(super) fn stack() -> Vec<Self> {
        let mut places = Vec::new();
        let mut frame = Frame::innermost();
        while let Some(here) = frame {
            if places.len() == MOST_FRAMES || places.try_reserve(1).is_err() {
                break;
            }
            places.extend(here.place());
            frame = here.caller();
        }
        places
    }
}

/// The identity of this thread, as `threading.get_ident` returns it.
pub(super) fn thread() -> u64 {
    // SAFETY: the function reads the identity of the calling thread.
    unsafe { ffi::PyThread_get_thread_ident() as u64 }
}

/// A number of this thread, which no later thread gets.
pub(super) fn unique_thread() -> u64 {
    // SAFETY: the state of an attached thread is alive.
    unsafe { ffi::PyThreadState_GetID(ffi::PyThreadState_Get()) as u64 }
}

/// A module, if it has been imported.
fn imported(name: &Owned) -> Option<Owned> {
    // SAFETY: the name is alive. The call returns a new reference, or null without an exception if
    // the module has not been imported.
    quietly(unsafe { Owned::new(ffi::PyImport_GetModule(name.as_ptr())) })
}

/// The name of this thread, if `threading` knows it.
pub(super) fn thread_name() -> Option<Owned> {
    let active = quietly(imported(name!("threading"))?.generic_attribute(name!("_active")))?;
    let thread = quietly(active.dict_item(&quietly(Owned::from_u64(thread()))?))??;
    quietly(thread.generic_attribute(name!("_name"))).filter(Owned::is_exact_text)
}

/// The current task of asyncio, if there is one.
pub(super) fn task() -> Option<Owned> {
    imported(name!("_asyncio"))?;
    let running = quietly(GET_RUNNING_LOOP.get().and_then(Owned::call_without_arguments))?;
    if running.is_none() {
        return None;
    }
    quietly(current_task(&running))?
}

/// The name of the current task of asyncio, if there is one.
pub(super) fn task_name() -> Option<Owned> {
    let task = task()?;
    // The methods of a subclass may be Python code.
    let is_task = quietly(TASK_TYPE.get()).is_some_and(|class| task.type_object().is(class));
    if !is_task {
        return None;
    }
    quietly(task.call_method_without_arguments(name!("get_name"))).filter(Owned::is_exact_text)
}

#[cfg(Py_3_12)]
fn current_task(running: &Owned) -> Result<Option<Owned>, ErrorSet> {
    use crate::python::interpreter::lazy_import::CURRENT_TASK;
    let task = CURRENT_TASK.get()?.call_one(running)?;
    Ok((!task.is_none()).then_some(task))
}

/// `asyncio.current_task` is Python code on Python 3.11.
#[cfg(not(Py_3_12))]
fn current_task(running: &Owned) -> Result<Option<Owned>, ErrorSet> {
    use crate::python::interpreter::lazy_import::CURRENT_TASKS;
    CURRENT_TASKS.get()?.dict_item(running)
}
