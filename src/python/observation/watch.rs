//! The hook of `ctxvars.watch`.
//!
//! The hook is called as `hook(kind, variable, old, new)` after a change of a watched variable, and
//! as `hook("switch", None, MISSING, MISSING)` after another context has become current. From Python
//! 3.14 on, CPython tells of each switch. On older versions only `Context.run` does.

#![allow(unsafe_code)] // Adds a watcher of contexts, and reports exceptions.

use super::{Entry, Kind, WATCH, quietly, switch};
use crate::python::context::token;
use crate::python::interpreter::free_threading::SharedRef;
use crate::python::interpreter::{ErrorSet, Owned, SavedError, ffi, name};

static HOOK: SharedRef = SharedRef::new(None);
/// A frozenset of the watched variables.
static VARIABLES: SharedRef = SharedRef::new(None);

/// Whether CPython tells of switches of contexts.
pub(super) const SEES_SWITCHES: bool = cfg!(Py_3_14);

/// Sets the hook for these variables, or takes it away.
pub(super) fn set(hook: Option<(Owned, Owned)>) -> Result<(), ErrorSet> {
    let Some((hook, variables)) = hook else {
        switch(WATCH, false);
        #[cfg(Py_3_14)]
        watcher::remove()?;
        HOOK.set(None);
        VARIABLES.set(None);
        return Ok(());
    };
    #[cfg(Py_3_14)]
    watcher::add()?;
    VARIABLES.set(Some(variables));
    HOOK.set(Some(hook));
    switch(WATCH, true);
    Ok(())
}

/// Calls the hook. What it raises is reported, since it is not an exception of the change.
fn call(kind: &Owned, variable: &Owned, old: &Owned, new: &Owned) {
    let Some(hook) = HOOK.get() else { return };
    if hook.call([kind, variable, old, new]).is_err() {
        // SAFETY: an exception is set; the report names the hook, which is alive.
        unsafe { ffi::PyErr_WriteUnraisable(hook.as_ptr()) };
    }
}

/// Tells the hook of a change of variables, which had these values before.
pub(super) fn changed<'a>(kind: Kind, before: impl Iterator<Item = &'a Entry>) {
    let Some(watched) = VARIABLES.get() else { return };
    let missing = token::missing();
    for (variable, old) in before {
        if quietly(watched.contains(variable)) != Some(true) {
            continue;
        }
        let Some(new) = quietly(variable.get_current()) else { continue };
        let (old, new) = (old.as_ref().unwrap_or(missing), new.as_ref().unwrap_or(missing));
        call(kind.name(), variable, old, new);
    }
}

/// Tells the hook that another context has become current.
#[cold]
pub(super) fn switched() {
    let saved = SavedError::new();
    let missing = token::missing();
    call(name!("switch"), &Owned::none(), missing, missing);
    saved.restore();
}

#[cfg(Py_3_14)]
mod watcher {
    use super::{ErrorSet, ffi};
    use crate::python::interpreter::{RawObject, catch_panic, checked};
    use std::ffi::c_int;
    use std::sync::atomic::{AtomicI32, Ordering};

    /// The number that CPython has given to the watcher.
    static WATCHER: AtomicI32 = AtomicI32::new(NONE);
    const NONE: i32 = -1;

    unsafe extern "C" fn on_event(_: ffi::PyContextEvent, _: RawObject) -> c_int {
        catch_panic(|| {
            super::switched();
            Ok(0)
        })
    }

    /// Adds the watcher, unless it is there. Two threads may add two, and each switch be told twice.
    pub(super) fn add() -> Result<(), ErrorSet> {
        if WATCHER.load(Ordering::Relaxed) == NONE {
            // SAFETY: the function takes what CPython passes.
            let watcher = checked(unsafe { ffi::PyContext_AddWatcher(on_event) })?;
            WATCHER.store(watcher, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Removes the watcher, if it is there.
    pub(super) fn remove() -> Result<(), ErrorSet> {
        match WATCHER.swap(NONE, Ordering::Relaxed) {
            NONE => Ok(()),
            // SAFETY: the number is that of a watcher, which no other call has removed.
            watcher => checked(unsafe { ffi::PyContext_ClearWatcher(watcher) }).map(drop),
        }
    }
}
