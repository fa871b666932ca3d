//! Bodies whose variables follow the caller's where the body has not set them itself: the rule of
//! PEP 568, for `inherit="live"`.

#![allow(unsafe_code)] // Hands objects over to PyO3, and takes them back.

use super::context;
use super::heap::{self, PyHeap};
use super::object::{Object, Owned, Raised, lock, name};
use super::root::{self, NativeRoot};
use super::sharing::Slot;
use crate::context::{Bindings, Carrier as _, follow};
use crate::map::{Trie, reserve};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::ptr;

/// What a body has inherited from its caller.
pub(super) struct Live {
    /// The bindings, which were those of the caller but where the body has set a variable.
    bindings: Slot,
    /// The values of other native variables than the root, a `dict`; `None` before the first step.
    natives: Slot,
    /// The tokens of those that only the caller had, a `dict`: they alone can be taken away again.
    tokens: Slot,
}

/// What the caller of a body has.
pub(super) struct Caller {
    bindings: Option<Owned>,
    /// A copy of its native context.
    context: Owned,
}

impl Caller {
    /// The current context. O(1).
    pub(super) fn current() -> Result<Self, Raised> {
        let bindings = root::current_object()?;
        Ok(Self { bindings, context: context::copy_of_current()? })
    }
}

impl Live {
    pub(super) const fn new() -> Self {
        Self { bindings: Slot::new(None), natives: Slot::new(None), tokens: Slot::new(None) }
    }

    /// What the collector is to visit.
    pub(super) fn references(&self) -> [Option<Object>; 3] {
        [&self.bindings, &self.natives, &self.tokens].map(Slot::visited)
    }

    /// Brings what the body has not set itself up to date; its context is entered, and a copy of
    /// the caller's when this is called first. O(changes x log n), and O(1) for each native variable.
    pub(super) fn follow(&self, caller: &Caller, context: &Owned) -> Result<(), Raised> {
        match (self.natives.get(), self.tokens.get()) {
            (Some(natives), Some(tokens)) => {
                self.follow_bindings(caller.bindings.as_ref())?;
                let py = lock();
                let [natives, tokens, now, context] =
                    [&natives, &tokens, &caller.context, context].map(|object| bound(py, object));
                // SAFETY: these two have been made as such.
                let [natives, tokens] =
                    [natives, tokens].map(|dict| unsafe { dict.cast_into_unchecked::<PyDict>() });
                let of_root = usize::from(caller.bindings.is_some());
                if natives.is_empty() && now.len()? == of_root {
                    return Ok(());
                }
                Ok(follow_natives(&now, &context, &natives, &tokens)?)
            }
            _ => self.begin(caller),
        }
    }

    /// Notes what the body has inherited at its first step.
    fn begin(&self, caller: &Caller) -> Result<(), Raised> {
        let py = lock();
        let natives = new_dict(py)?;
        for (variable, value) in others(&bound(py, &caller.context))? {
            natives.set_item(variable, value)?;
        }
        let tokens = new_dict(py)?;
        self.bindings.set(caller.bindings.clone());
        self.tokens.set(Some(owned(tokens)));
        self.natives.set(Some(owned(natives)));
        Ok(())
    }

    /// The core does this.
    fn follow_bindings(&self, caller: Option<&Owned>) -> Result<(), Raised> {
        let inherited = self.bindings.get();
        let [before, now] = [inherited.as_ref(), caller]
            .map(|object| object.map_or(ptr::null_mut(), Owned::as_ptr));
        if ptr::eq(before, now) {
            return Ok(());
        }
        let [mut inherited, leader] = [inherited.as_ref(), caller].map(|object| match object {
            // SAFETY: the objects are those of bindings.
            Some(object) => unsafe { heap::share_bindings(object) },
            None => Bindings::new(),
        });
        let is_same = |a: &Owned, b: &Owned| ptr::eq(a.as_ptr(), b.as_ptr());
        NativeRoot.update(|own| follow(own, &mut inherited, &leader, is_same))?;
        self.bindings.set(Some(heap::into_object(Trie::from_root(inherited.into_root()))));
        Ok(())
    }
}

fn owned(dict: Bound<'_, PyDict>) -> Owned {
    // SAFETY: the reference is given away.
    unsafe { Owned::new(dict.into_ptr()).unwrap_unchecked() }
}

fn bound<'py>(py: Python<'py>, object: &Owned) -> Bound<'py, PyAny> {
    // SAFETY: the object is alive.
    unsafe { Bound::from_borrowed_ptr(py, object.as_ptr()) }
}

/// An empty dict. PyO3's own constructor panics where memory is short.
fn new_dict(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    // SAFETY: what comes back is a new reference to a dict, or null with an exception.
    unsafe { Ok(Bound::from_owned_ptr_or_err(py, ffi::PyDict_New())?.cast_into_unchecked()) }
}

/// A list of the keys of a dict. PyO3's own method panics where memory is short.
fn keys_of<'py>(dict: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the argument is a dict; what comes back is a new reference, or null with an exception.
    unsafe { Bound::from_owned_ptr_or_err(dict.py(), ffi::PyDict_Keys(dict.as_ptr())) }
}

/// An interned name, as PyO3 takes it.
fn interned(py: Python<'_>, name: Object) -> Bound<'_, PyString> {
    // SAFETY: the name is a `str`, which lives as long as the process.
    unsafe { Bound::from_borrowed_ptr(py, name).cast_into_unchecked() }
}

/// The variables of a native context but for the root, and their values.
fn others<'py>(
    context: &Bound<'py, PyAny>,
) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
    let mut found = Vec::new();
    for item in context.call_method0(interned(context.py(), name!("items")))?.try_iter()? {
        let (variable, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
        if !ptr::eq(variable.as_ptr(), root::variable()) {
            reserve::push::<PyHeap, _>(&mut found, (variable, value))
                .map_err(|Raised| PyErr::fetch(context.py()))?;
        }
    }
    Ok(found)
}

/// The value of a native variable in a native context.
fn value_in<'py>(
    context: &Bound<'py, PyAny>,
    variable: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if context.contains(variable)? { context.get_item(variable).map(Some) } else { Ok(None) }
}

fn are_same(a: Option<&Bound<'_, PyAny>>, b: Option<&Bound<'_, PyAny>>) -> bool {
    a.map(Bound::as_ptr) == b.map(Bound::as_ptr)
}

/// As the core's `follow`, for the variables of other code, in the current context, which is
/// `context`. One can be taken away only by the token with which it was set here.
fn follow_natives(
    caller: &Bound<'_, PyAny>,
    context: &Bound<'_, PyAny>,
    inherited: &Bound<'_, PyDict>,
    tokens: &Bound<'_, PyDict>,
) -> PyResult<()> {
    let py = caller.py();
    for (variable, value) in others(caller)? {
        let before = inherited.get_item(&variable)?;
        if are_same(before.as_ref(), Some(&value)) {
            continue;
        }
        if !are_same(value_in(context, &variable)?.as_ref(), before.as_ref()) {
            continue; // the body has set it
        }
        let token = variable.call_method1(interned(py, name!("set")), (&value,))?;
        if before.is_none() {
            tokens.set_item(&variable, token)?;
        }
        inherited.set_item(variable, value)?;
    }
    for variable in keys_of(inherited)?.try_iter()? {
        let variable = variable?;
        if caller.contains(&variable)? {
            continue;
        }
        let Some(token) = tokens.get_item(&variable)? else { continue };
        let before = inherited.get_item(&variable)?;
        if are_same(value_in(context, &variable)?.as_ref(), before.as_ref()) {
            variable.call_method1(interned(py, name!("reset")), (token,))?;
            inherited.del_item(&variable)?;
            tokens.del_item(variable)?;
        }
    }
    Ok(())
}
