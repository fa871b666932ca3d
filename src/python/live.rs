//! Bodies whose variables follow the caller's where the body has not set them itself: the rule of
//! PEP 568, for `inherit="live"`.

#![allow(unsafe_code)] // Calls the C API of contexts, which PyO3 does not wrap.

use super::body::{shared, visited};
use super::heap;
use super::object::{Object, Owned, Raised};
use super::proxy::lock;
use super::root::{self, NativeRoot};
use crate::context::{Bindings, Carrier as _, follow};
use crate::map::Trie;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::cell::Cell;
use std::ptr;

/// What a body has inherited from its caller.
pub(super) struct Live {
    /// The bindings, which were those of the caller but where the body has set a variable.
    bindings: Cell<Option<Owned>>,
    /// The values of other native variables than the root, a `dict`; `None` before the first step.
    natives: Cell<Option<Owned>>,
    /// The tokens of those that only the caller had, a `dict`: they alone can be taken away again.
    tokens: Cell<Option<Owned>>,
}

/// A native context as it was.
pub(super) struct Caller(Owned);

impl Caller {
    /// The current context. O(1).
    pub(super) fn current() -> Result<Self, Raised> {
        // SAFETY: the lock is held; a new reference comes back, or null with an exception.
        unsafe { Owned::new(ffi::PyContext_CopyCurrent()) }.map(Self)
    }

    /// The copy of it, which nobody else has.
    pub(super) fn into_context(self) -> Owned {
        self.0
    }
}

impl Live {
    pub(super) const fn new() -> Self {
        Self { bindings: Cell::new(None), natives: Cell::new(None), tokens: Cell::new(None) }
    }

    /// What the collector is to visit.
    pub(super) fn references(&self) -> [Option<Object>; 3] {
        [&self.bindings, &self.natives, &self.tokens].map(visited)
    }

    /// Brings what the body has not set itself up to date; its context is entered, and a copy of
    /// the caller's when this is called first. O(changes x log n), and O(1) for each native variable.
    pub(super) fn follow(&self, caller: &Caller, context: &Owned) -> Result<(), Raised> {
        // SAFETY: both are native contexts.
        let [caller, context] = [&caller.0, context]
            .map(|object| unsafe { Bound::from_borrowed_ptr(lock(), object.as_ptr()) });
        self.follow_all(&caller, &context).map_err(|error| {
            error.restore(lock());
            Raised
        })
    }

    fn follow_all(&self, caller: &Bound<'_, PyAny>, context: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = caller.py();
        // SAFETY: the root is alive.
        let root = unsafe { Bound::from_borrowed_ptr(py, root::variable()) };
        let raised = |Raised| PyErr::fetch(py);
        let bindings = value_in(caller, &root)?.map(owned);
        let bindings = bindings.map(root::checked).transpose().map_err(raised)?;
        match (shared(&self.natives), shared(&self.tokens)) {
            (Some(natives), Some(tokens)) => {
                self.follow_bindings(bindings).map_err(raised)?;
                let [natives, tokens] = [natives, tokens].map(|dict| bound(py, dict));
                follow_natives(&root, caller, context, natives.cast()?, tokens.cast()?)
            }
            _ => {
                let natives = PyDict::new(py);
                for item in caller.call_method0(intern!(py, "items"))?.try_iter()? {
                    let (variable, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) =
                        item?.extract()?;
                    natives.set_item(variable, value)?;
                }
                if natives.contains(&root)? {
                    natives.del_item(&root)?;
                }
                self.bindings.set(bindings);
                self.tokens.set(Some(owned(PyDict::new(py).into_any())));
                self.natives.set(Some(owned(natives.into_any())));
                Ok(())
            }
        }
    }

    /// The core does this.
    fn follow_bindings(&self, caller: Option<Owned>) -> Result<(), Raised> {
        let inherited = shared(&self.bindings);
        let [before, now] = [&inherited, &caller]
            .map(|object| object.as_ref().map_or(ptr::null_mut(), Owned::as_ptr));
        if ptr::eq(before, now) {
            return Ok(());
        }
        let [mut inherited, leader] = [&inherited, &caller].map(|object| match object {
            // SAFETY: `follow_all` has checked it.
            Some(object) => unsafe { heap::share_bindings(object) },
            None => Bindings::new(),
        });
        let is_same = |a: &Owned, b: &Owned| ptr::eq(a.as_ptr(), b.as_ptr());
        NativeRoot.update(|own| follow(own, &mut inherited, &leader, is_same))?;
        self.bindings.set(Some(heap::into_object(Trie::from_root(inherited.into_root()))));
        Ok(())
    }
}

fn owned(object: Bound<'_, PyAny>) -> Owned {
    // SAFETY: the reference is given away.
    unsafe { Owned::new(object.into_ptr()).unwrap_unchecked() }
}

fn bound(py: Python<'_>, object: Owned) -> Bound<'_, PyAny> {
    // SAFETY: the reference is given away.
    unsafe { Bound::from_owned_ptr(py, object.into_ptr()) }
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
    root: &Bound<'_, PyAny>,
    caller: &Bound<'_, PyAny>,
    context: &Bound<'_, PyAny>,
    inherited: &Bound<'_, PyDict>,
    tokens: &Bound<'_, PyDict>,
) -> PyResult<()> {
    let py = root.py();
    for item in caller.call_method0(intern!(py, "items"))?.try_iter()? {
        let (variable, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
        let before = inherited.get_item(&variable)?;
        let is_unchanged = are_same(before.as_ref(), Some(&value));
        if variable.is(root) || is_unchanged {
            continue;
        }
        if !are_same(value_in(context, &variable)?.as_ref(), before.as_ref()) {
            continue; // the body has set it
        }
        let token = variable.call_method1(intern!(py, "set"), (&value,))?;
        if before.is_none() {
            tokens.set_item(&variable, token)?;
        }
        inherited.set_item(variable, value)?;
    }
    for variable in inherited.keys() {
        if caller.contains(&variable)? {
            continue;
        }
        let Some(token) = tokens.get_item(&variable)? else { continue };
        let before = inherited.get_item(&variable)?;
        if are_same(value_in(context, &variable)?.as_ref(), before.as_ref()) {
            variable.call_method1(intern!(py, "reset"), (token,))?;
            inherited.del_item(&variable)?;
            tokens.del_item(variable)?;
        }
    }
    Ok(())
}
