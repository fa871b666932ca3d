//! `apply_changes`: changes made in one context, repeated in the current one.

use super::root_variable::{self, NativeRoot};
use crate::context::{Bindings, Rebased};
use crate::python::interpreter::{
    ErrorSet, Exception, Owned, RecursionGuard, exactly, module_function, raise, type_object,
};
use crate::python::map::diff_merge::Conflicts;
use crate::python::map::key::{self, ByIdentity};
use crate::python::map::py_heap::PyHeap;
use std::ffi::CStr;

/// The bindings that an argument is.
fn bindings(object: &Owned, message: &'static CStr) -> Result<Bindings<PyHeap>, ErrorSet> {
    match root_variable::as_bindings(object) {
        Some(map) => Ok(Bindings::from_root(map.share().into_root())),
        None => Err(raise(Exception::TypeError, message, object)),
    }
}

/// `apply_changes(base, new, resolve)`: raises `MergeConflict`, and changes nothing, if there are
/// conflicts and `resolve` is `None`.
///
/// Setting a variable is a change, even to an equal value: changes are recognised by identity, and
/// `resolve` is called for each variable that both sides have set. Without `resolve`, setting a
/// variable to equal values is not a conflict, and the current value stays.
fn apply_changes(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [base, new, resolve] = exactly(c"apply_changes", arguments)?;
    let message = c"apply_changes() argument 'base' must be the bindings of a context, got %R";
    let base = bindings(base, message)?;
    let message = c"apply_changes() argument 'new' must be the bindings of a context, got %R";
    let new = bindings(new, message)?;
    let conflicts = Conflicts::new(resolve)?;
    let _nested = RecursionGuard::walking(c" while applying changes")?;
    let rebased = Rebased::new(&NativeRoot, &base, &new, &mut ByIdentity, |entries| {
        if let ([_, Some(ours), Some(theirs)], false) = (entries, conflicts.has_resolver()) {
            if key::are_equal(&ours.value, &theirs.value)? {
                return Ok(Some(ours.value.clone()));
            }
        }
        conflicts.resolve(entries)
    })?;
    conflicts.check()?;
    rebased.install(&NativeRoot, &mut ByIdentity, |entry| {
        let message = c"%R was set while changes to it were applied";
        raise(Exception::RuntimeError, message, &entry.key)
    })?;
    Ok(Owned::none())
}

/// The function `apply_changes`, which is not public.
pub(crate) fn apply_changes_function(module: &Owned) -> Result<Owned, ErrorSet> {
    let doc = c"apply_changes($module, base, new, resolve, /)\n--\n\n\
        Make the changes between two values of Context.bindings in the current context.\n\n\
        Raise MergeConflict if there are conflicts and resolve is None; then nothing has changed.";
    type_object::function(module, module_function(c"apply_changes", apply_changes, doc))
}
