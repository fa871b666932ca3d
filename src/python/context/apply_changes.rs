//! `apply_changes`: what was set in one context, set in the current one.

#![allow(unsafe_code)] // The function of the module, and the objects that it is called with.

use super::root_variable;
use crate::context::{Bindings, Rebased};
use crate::python::context::root_variable::NativeRoot;
use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, RecursionGuard, catch_panic, ffi, raise, raise_arguments,
    type_object,
};
use crate::python::map::diff_merge::Conflicts;
use crate::python::map::key::ByIdentity;
use crate::python::map::py_heap::PyHeap;
use crate::python::map::{key, py_heap};
use std::ffi::CStr;

/// The bindings that an argument is.
///
/// # Safety
///
/// `object` is alive.
unsafe fn bindings(
    object: RawObject,
    message: &'static CStr,
) -> Result<Bindings<PyHeap>, ErrorSet> {
    // SAFETY: as the caller promises; exceptions live as long as the interpreter.
    unsafe {
        if !root_variable::are_bindings(object) {
            return Err(raise(ffi::PyExc_TypeError, message, object));
        }
        Ok(py_heap::share_bindings(Owned::borrowed(&object)))
    }
}

/// `apply_changes(base, new, resolve)`: raises `MergeConflict` if there are conflicts and `resolve` is
/// `None`. Then nothing has changed.
///
/// What was set is a change, be it to an equal value: changes are told by identity, and whoever
/// resolves conflicts is asked about each variable that both sides have set. Where nobody does, it is
/// no conflict if they have set it to equal values; ours is kept.
unsafe extern "C" fn apply_changes(
    _: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython passes `count` arguments, which are alive.
    catch_panic(|| unsafe {
        if count != 3 {
            return Err(raise_arguments(c"apply_changes", 3, 3, count));
        }
        let message = c"apply_changes() argument 'base' must be the bindings of a context, got %R";
        let base = bindings(*arguments, message)?;
        let message = c"apply_changes() argument 'new' must be the bindings of a context, got %R";
        let new = bindings(*arguments.add(1), message)?;
        let conflicts = Conflicts::new(*arguments.add(2))?;
        let _nested = RecursionGuard::walking(c" while applying changes")?;
        let rebased = Rebased::new(&NativeRoot, &base, &new, &mut ByIdentity, |entries| {
            if let ([_, Some(ours), Some(theirs)], false) = (entries, conflicts.has_resolver()) {
                if key::are_equal(ours.value.as_ptr(), theirs.value.as_ptr())? {
                    return Ok(Some(ours.value.clone()));
                }
            }
            conflicts.resolve(entries)
        })?;
        conflicts.check()?;
        rebased.install(&NativeRoot, &mut ByIdentity, |entry| {
            let message = c"%R was set while changes to it were applied";
            raise(ffi::PyExc_RuntimeError, message, entry.key.as_ptr())
        })?;
        Ok(Owned::from_borrowed(ffi::Py_None()).into_ptr())
    })
}

/// The function `apply_changes`, which is not public.
pub(crate) fn apply_changes_function(module: RawObject) -> Result<Owned, ErrorSet> {
    let call = ffi::PyMethodDefPointer { PyCFunctionFast: apply_changes };
    let doc = c"apply_changes($module, base, new, resolve, /)\n--\n\n\
        Make the changes between two values of Context.bindings in the current context.\n\n\
        Raise MergeConflict if there are conflicts and resolve is None; then nothing has changed.";
    type_object::function(
        module,
        type_object::method(c"apply_changes", call, ffi::METH_FASTCALL, doc),
    )
}
