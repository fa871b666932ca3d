//! The changes between the bindings of two contexts: `changed_bindings` lists them, `apply_changes`
//! makes them in the current context.

use super::root_variable::{self, NativeRoot};
use super::variable::VariableObject;
use crate::context::{Bindings, Rebased};
use crate::python::interpreter::{
    ErrorSet, Exception, Owned, RecursionGuard, TypedObject as _, exactly, module_function, raise,
    type_object,
};
use crate::python::map::diff_merge::{Conflicts, diff_of};
use crate::python::map::key::{self, ByIdentity};
use crate::python::map::py_heap::{MapObject, PyHeap};
use crate::python::observation::{self, Kind};
use std::ffi::CStr;

/// The argument as the map of the bindings of a context.
fn bindings<'a>(object: &'a Owned, message: &'static CStr) -> Result<&'a MapObject, ErrorSet> {
    root_variable::as_bindings(object).ok_or_else(|| raise(Exception::TypeError, message, object))
}

/// `changed_bindings(base, new)`: the `MapDiff` between the bindings. As for `apply_changes`, setting a
/// variable is a change, even to an equal value.
fn changed_bindings(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [base, new] = exactly(c"changed_bindings", arguments)?;
    let message = c"changed_bindings() argument 'base' must be the bindings of a context, got %R";
    let base = bindings(base, message)?;
    let message = c"changed_bindings() argument 'new' must be the bindings of a context, got %R";
    let new = bindings(new, message)?;
    diff_of(&base.trie(), &new.trie(), &mut ByIdentity)
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
    let [base, new] = [base, new].map(|map| Bindings::from_root(map.share().into_root()));
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
    observation::changing(Kind::Apply, changed_variables(&base, &new), || {
        rebased.install(&NativeRoot, &mut ByIdentity, |entry| {
            let message = c"%R was set while changes to it were applied";
            raise(Exception::RuntimeError, message, &entry.key)
        })
    })?;
    Ok(Owned::none())
}

/// The variables that have other values, or none, in `new`. O(n): for observers only.
fn changed_variables<'a>(
    base: &'a Bindings<PyHeap>,
    new: &'a Bindings<PyHeap>,
) -> impl Iterator<Item = &'a VariableObject> {
    let differs = |variable: &VariableObject, value: &Owned, from: &Bindings<PyHeap>| !matches!(from.get(variable), Ok(Some(other)) if other.is(value));
    let set = new.iter().filter_map(move |(_, entry)| {
        VariableObject::of(&entry.key).filter(|it| differs(it, &entry.value, base))
    });
    let removed = base.iter().filter_map(|(_, entry)| {
        VariableObject::of(&entry.key).filter(|it| matches!(new.get(it), Ok(None)))
    });
    set.chain(removed)
}

/// The functions `apply_changes` and `changed_bindings`, which are not public, with their names.
pub(crate) fn functions(module: &Owned) -> Result<[(&'static CStr, Owned); 2], ErrorSet> {
    let apply_doc = c"apply_changes($module, base, new, resolve, /)\n--\n\n\
        Make the changes between two values of Context.bindings in the current context.\n\n\
        Raise MergeConflict if there are conflicts and resolve is None; then nothing has changed.";
    let changed_doc = c"changed_bindings($module, base, new, /)\n--\n\n\
        Return the MapDiff between two values of Context.bindings.\n\n\
        Values are compared by identity.";
    let add = |row| type_object::function(module, row);
    Ok([
        (c"apply_changes", add(module_function(c"apply_changes", apply_changes, apply_doc))?),
        (
            c"changed_bindings",
            add(module_function(c"changed_bindings", changed_bindings, changed_doc))?,
        ),
    ])
}
