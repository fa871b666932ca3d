//! The carrier of the Python module: one native context variable, the *root*.
//!
//! Its value in a native context is the bindings of that context. Code that copies or switches
//! native contexts (tasks, event loops, greenlets, executors) thereby copies and switches the
//! bindings.
//!
//! | | if [`native_layout`] is active | otherwise |
//! | --- | --- | --- |
//! | the value of the root | a [cell](super::cell) with the bindings | the bindings, as a `Map` |
//! | an update | edits the cell, if the current context is its only owner | |
//! | an update otherwise | sets the root to a new cell | sets the root to a new `Map` |
//! | a mark | the current native context | the native token of the update |
//!
//! Without the layout, no public function of CPython returns the current context, but resetting a
//! native token fails in any context but its own.
//!
//! # When memory is short
//!
//! The two functions of CPython may fail after they have changed something:
//!
//! - `PyContextVar_Set` makes its token first. If that fails, it sets the variable all the same, and
//!   then reports the failure. [`install`] puts the old value back.
//! - `PyContextVar_Reset` marks the token as used first. If setting the old value fails then, the
//!   token cannot be used again. The mark remembers that, and the next [`revert`](Carrier::revert)
//!   does not use the native token.

#![allow(unsafe_code)] // Keeps a reference in an atomic.

use super::cell::CellObject;
use super::native;
use super::native_layout::{self, Path};
use super::variable::{VariableObject, of_key};
use crate::context::{Bindings, BindingsHeap, Carrier, Version, Versioned};
use crate::map::Trie;
use crate::python::interpreter::error::clear_exception;
use crate::python::interpreter::free_threading::FREE_THREADED;
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::{ErrorSet, Exception, Owned, TypedObject as _, ffi, raise};
use crate::python::isolation::inherit_live::{self, Followed};
use crate::python::map::py_heap::{MapObject, PyHeap};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

static ROOT: AtomicPtr<ffi::PyObject> = AtomicPtr::new(ptr::null_mut());

/// The root variable.
#[inline]
pub(crate) fn variable() -> &'static Owned {
    // SAFETY: `init` has stored a reference during the import of the module, before any other
    // function could be called. It is never dropped.
    unsafe { Owned::borrowed(&*ROOT.as_ptr()) }
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    ROOT.store(native::new_variable(c"ctxvars")?.into_ptr(), Ordering::Relaxed);
    Ok(())
}

/// A value of the root variable.
pub(crate) enum Stored {
    Cell(CellObject),
    Map(MapObject),
}

impl Stored {
    /// The bindings. O(1).
    #[inline]
    pub(crate) fn share(&self) -> Bindings<PyHeap> {
        match self {
            Self::Cell(cell) => cell.share(),
            Self::Map(map) => Bindings::from_root(map.share().into_root()),
        }
    }

    /// The shape of the bindings: see [`MapTag::shape`](crate::python::map::py_heap::MapTag::shape).
    #[inline]
    pub(crate) fn shape(&self) -> Version {
        match self {
            Self::Cell(cell) => cell.shape(),
            // A map in the root is not edited in place, so its version tells its shape.
            Self::Map(map) => map.tag().version(),
        }
    }

    /// Calls `reader`, which runs no other code, with the bindings.
    #[inline]
    pub(crate) fn with<R>(&self, reader: impl FnOnce(&Bindings<PyHeap>) -> R) -> R {
        match self {
            Self::Cell(cell) => cell.with(reader),
            Self::Map(_) => reader(&self.share()),
        }
    }

    /// The bindings, as a map. O(1).
    pub(crate) fn into_map(self) -> MapObject {
        match self {
            Self::Cell(cell) => cell.map(),
            Self::Map(map) => map,
        }
    }

    fn as_object(&self) -> &Owned {
        match self {
            Self::Cell(cell) => cell,
            Self::Map(map) => map,
        }
    }
}

/// The value of the root variable in the current context, if there is one.
#[inline]
pub(crate) fn current_stored() -> Result<Option<Stored>, ErrorSet> {
    native::get(variable())?.map(checked).transpose()
}

/// The current bindings as a map, `None` if the native context has no bindings.
pub(crate) fn current_map() -> Result<Option<MapObject>, ErrorSet> {
    Ok(current_stored()?.map(Stored::into_map))
}

/// Calls `reader`, which runs no other code, with the cell of the current context; `None` if it has
/// none, or it is not known.
#[inline(always)]
pub(crate) fn current_cell<R>(reader: impl FnOnce(&CellObject) -> R) -> Option<R> {
    let value = native_layout::current_value()?;
    // SAFETY: the current context keeps the value alive, since no other code runs here.
    CellObject::of(unsafe { Owned::borrowed(&value) }).map(reader)
}

/// The current native context.
pub(crate) fn current_context() -> Result<Owned, ErrorSet> {
    match native_layout::current_context() {
        Some(context) => Ok(context),
        None => context_with(current_stored()?.as_ref(), &GcPause::new()),
    }
}

/// The current native context, which has these bindings, without knowledge of the layout.
///
/// A token reveals its context to the garbage collector. Setting the root variable to the value that
/// it has changes nothing, and returns a token of the current context.
fn context_with(bindings: Option<&Stored>, paused: &GcPause) -> Result<Owned, ErrorSet> {
    let now = set(&or_empty(bindings), paused)?;
    let current = native::context_of(&now)?;
    if bindings.is_none() {
        // The variable had no value. If this fails, it keeps empty bindings, which are equivalent.
        if let Err(raised) = native::reset(variable(), &now, paused) {
            drop(raised.take());
        }
    }
    Ok(current)
}

/// Whether the current bindings are a `Map` of this version. A `Map` in the root is not edited in
/// place, so the version tells its shape. It is not that of empty bindings.
///
/// No reference to the bindings is kept: until other code runs, the current context keeps them, and
/// their values, alive.
#[inline]
pub(crate) fn is_current_version(version: Version) -> bool {
    if native_layout::is_active() {
        return false;
    }
    match native::get(variable()) {
        Ok(Some(found)) => MapObject::of(&found).is_some_and(|it| it.tag().version() == version),
        Ok(None) => false,
        Err(ErrorSet) => {
            // The slow path, which the caller takes now, raises the error again.
            clear_exception();
            false
        }
    }
}

/// The map that an object is, if it is bindings: these have a version, unless they are empty.
#[inline]
pub(crate) fn as_bindings(object: &Owned) -> Option<&MapObject> {
    MapObject::of(object).filter(|map| map.tag().version() != Version::EMPTY || map.len() == 0)
}

/// The `Map` that bindings are. O(1).
#[inline]
pub(crate) fn map_of(bindings: Bindings<PyHeap>) -> MapObject {
    MapObject::from_trie(Trie::from_root(bindings.into_root()))
}

/// The bindings that are a value of the root variable, as a map.
pub(crate) fn as_map(value: &Owned) -> Option<Owned> {
    match CellObject::of(value) {
        Some(cell) => Some(cell.map().into_owned()),
        None => as_bindings(value).map(|map| (**map).clone()),
    }
}

/// The bindings that are a value of the root variable. Other code can find the variable in a native
/// context, and set it to anything.
#[inline]
pub(crate) fn checked(value: Owned) -> Result<Stored, ErrorSet> {
    if CellObject::of(&value).is_some() {
        // SAFETY: the object is a cell, as `of` has found.
        return Ok(Stored::Cell(unsafe { CellObject::from_owned_unchecked(value) }));
    }
    if as_bindings(&value).is_some() {
        // SAFETY: the object is a map, as `as_bindings` has found.
        return Ok(Stored::Map(unsafe { MapObject::from_owned_unchecked(value) }));
    }
    let message = c"the native context variable of ctxvars was set by other code, to %R";
    Err(raise(Exception::RuntimeError, message, &value))
}

/// The cell of the current context, if the context is its only owner; and the context. With
/// `within`, also only if that is the current context.
#[inline]
fn owned_cell(within: Option<&Owned>) -> Option<(CellObject, Owned)> {
    let (value, context) = native_layout::owned_value(within)?;
    CellObject::of(&value)?;
    // SAFETY: the object is a cell, as `of` has found.
    Some((unsafe { CellObject::from_owned_unchecked(value) }, context))
}

/// As [`owned_cell`], if the bindings in the cell may be edited.
#[inline]
fn editable_cell() -> Option<(CellObject, Owned)> {
    owned_cell(None).filter(|(cell, _)| cell.is_editable())
}

/// Sets the root variable in the current context, and returns the native token.
#[inline]
fn set(object: &Owned, paused: &GcPause) -> Result<Owned, ErrorSet> {
    let token = native::set(variable(), object, paused);
    native_layout::refresh_cache();
    token
}

/// Makes `bindings` current in place of `before`, to which `path` leads if the path is known. Returns
/// what [`Mark`] holds, and an object to be dropped after the update, because that may run user code.
#[inline]
fn install(
    bindings: Bindings<PyHeap>,
    path: Option<Path>,
    before: Option<&Stored>,
    paused: &GcPause,
) -> Result<(Owned, Option<Owned>), ErrorSet> {
    let object = stored_object(bindings)?;
    if let Some((context, old)) = path.and_then(|path| path.replace(&object, paused)) {
        return Ok((context, Some(old)));
    }
    let token = set(&object, paused).map_err(|raised| restore(raised, &object, before, paused))?;
    Ok((native_layout::current_context().unwrap_or(token), None))
}

/// The path to the current value of the root variable, if it is known, and the value.
#[inline]
fn current_path() -> Result<(Option<Path>, Option<Stored>), ErrorSet> {
    Ok(match Path::current() {
        Some((path, value)) => (Some(path), Some(checked(value)?)),
        None => (None, current_stored()?),
    })
}

/// The value of the root variable for bindings.
#[inline]
fn stored_object(bindings: Bindings<PyHeap>) -> Result<Owned, ErrorSet> {
    if native_layout::is_active() {
        return CellObject::new(bindings).map(CellObject::into_owned);
    }
    Ok(map_of(bindings).into_owned())
}

/// After a failure to set the root variable to `object`: restores its old value, if CPython has set
/// it all the same.
#[cold]
fn restore(
    raised: ErrorSet,
    object: &Owned,
    before: Option<&Stored>,
    paused: &GcPause,
) -> ErrorSet {
    let error = raised.take();
    if matches!(native::get(variable()), Ok(Some(now)) if now.is(object)) {
        // This may fail in the same way, and set the variable all the same. If it does not even set
        // the variable, no memory is left for anything.
        if let Err(another) = set(&or_empty(before), paused) {
            drop(another.take());
        }
    }
    error.map_or(ErrorSet, ErrorSet::restore)
}

/// The value of the root variable, or empty bindings.
fn or_empty(value: Option<&Stored>) -> Owned {
    let empty = || MapObject::from_trie(Trie::new()).into_owned();
    value.map_or_else(empty, |value| value.as_object().clone())
}

/// Makes `bindings`, in which values have been restored, current in place of `before`. Variables that
/// followed a caller until they were set follow it again.
///
/// Returns objects to be dropped after the update.
fn install_changed(
    mut bindings: Bindings<PyHeap>,
    path: Option<Path>,
    before: Option<&Stored>,
    paused: &GcPause,
) -> Result<[Option<Owned>; 2], ErrorSet> {
    let followed = if inherit_live::is_following() {
        inherit_live::follow_again(&mut bindings)?
    } else {
        None
    };
    let (_, old) = install(bindings, path, before, paused)?;
    Ok([old, followed.and_then(Followed::keep)])
}

/// The version of the newest bindings, with the GIL.
static LAST_VERSION: AtomicU64 = AtomicU64::new(0);

impl BindingsHeap for PyHeap {
    type Variable = VariableObject;

    #[inline]
    fn variable(key: &Owned) -> Result<&VariableObject, ErrorSet> {
        of_key(key)
    }

    #[inline]
    fn is_same_key(a: &Owned, b: &Owned) -> bool {
        a.is(b)
    }

    #[inline]
    fn hint(variable: &VariableObject) -> Option<&AtomicUsize> {
        Some(variable.hint())
    }

    /// With the GIL, a load and a store are enough; they are cheaper than an atomic addition.
    #[inline]
    fn next_version() -> Version {
        if FREE_THREADED {
            return Version::next();
        }
        let version = LAST_VERSION.load(Ordering::Relaxed) + 1;
        LAST_VERSION.store(version, Ordering::Relaxed);
        Version::from_number(version)
    }
}

/// The [`Carrier`] that keeps the current bindings in the root variable.
pub(crate) struct NativeRoot;

/// The trace of an update, by which it can be reverted.
pub(crate) struct Mark {
    /// The native context of the update; or, if [`native_layout`] is not active, the token of the
    /// update of the root.
    pub(crate) native: Owned,
    /// With a token, the version of the bindings that the update made, or the unused version if the
    /// token cannot be used any more. It changes only in the context of the update.
    version: AtomicU64,
}

impl Mark {
    /// The mark of an update in a native context, which is known.
    #[inline]
    fn of_context(native: Owned) -> Self {
        Self { native, version: AtomicU64::new(Version::UNUSED.number()) }
    }

    /// The native context of the update, unless the garbage collector has cleared its token.
    pub(crate) fn context(&self) -> Option<Owned> {
        if native_layout::is_active() {
            return Some(self.native.clone());
        }
        native::context_visited_in(&self.native)
    }

    /// Whether the current native context, which has these bindings, is the one that was updated.
    fn is_of_current_context(
        &self,
        bindings: Option<&Stored>,
        paused: &GcPause,
    ) -> Result<bool, ErrorSet> {
        if native_layout::is_active() {
            return Ok(native_layout::is_current(&self.native));
        }
        let current = context_with(bindings, paused)?;
        Ok(self.context().is_some_and(|updated| updated.is(&current)))
    }

    fn is_version(&self, version: Version) -> bool {
        self.version.load(Ordering::Relaxed) == version.number()
    }
}

impl Carrier for NativeRoot {
    type Heap = PyHeap;
    type UpdateMark = Mark;

    #[inline]
    fn current(&self) -> Result<Bindings<PyHeap>, ErrorSet> {
        Ok(shared(current_stored()?.as_ref()))
    }

    #[inline]
    fn update<R>(
        &self,
        edit: impl FnOnce(&mut Bindings<PyHeap>) -> Result<R, ErrorSet>,
    ) -> Result<(R, Mark), ErrorSet> {
        // A collection between reading and installing the bindings would lose what it sets, and
        // crash the native context itself (gh-148891).
        let paused = GcPause::new();
        match editable_cell() {
            Some((cell, native)) => Ok((cell.edit(edit)?, Mark::of_context(native))),
            None => update_shared(edit, &paused),
        }
    }

    #[inline]
    fn set(
        &self,
        variable: &VariableObject,
        value: Owned,
    ) -> Result<(Option<Owned>, Mark), ErrorSet> {
        let (value, owned) = match owned_cell(None) {
            Some((cell, native)) => match cell.replace(variable, value) {
                Ok(old) => return Ok((Some(old), Mark::of_context(native))),
                Err(value) => (value, Some((cell, native))),
            },
            None => (value, None),
        };
        let paused = GcPause::new();
        match owned.filter(|(cell, _)| cell.is_editable()) {
            Some((cell, native)) => {
                let old = cell.edit(|bindings| bindings.set(variable.clone(), value))?;
                Ok((old, Mark::of_context(native)))
            }
            None => {
                let edit = |bindings: &mut Bindings<PyHeap>| bindings.set_in_copy(variable, value);
                update_shared(edit, &paused)
            }
        }
    }

    #[inline]
    fn put_back(&self, mark: &Mark, variable: &VariableObject, old: &Owned) -> Option<Owned> {
        if inherit_live::is_following() {
            return None; // The variable may have to follow a caller again.
        }
        let (cell, _) = owned_cell(Some(&mark.native))?;
        cell.replace(variable, old.clone()).ok()
    }

    #[inline]
    fn revert(
        &self,
        mark: &Mark,
        edit: impl FnOnce(&mut Bindings<PyHeap>) -> Result<(), ErrorSet>,
        done: impl FnOnce(),
    ) -> Result<bool, ErrorSet> {
        if native_layout::is_active() {
            if !native_layout::is_current(&mark.native) {
                return Ok(false);
            }
            // A variable may have to follow a caller again.
            let owned = if inherit_live::is_following() { None } else { editable_cell() };
            if let Some((cell, _)) = owned {
                let _paused = GcPause::new();
                cell.edit(edit)?;
                done();
                return Ok(true);
            }
        }
        self.revert_slowly(mark, edit, done)
    }
}

/// As [`update`](Carrier::update), with a new value of the root.
#[inline]
fn update_shared<R>(
    edit: impl FnOnce(&mut Bindings<PyHeap>) -> Result<R, ErrorSet>,
    paused: &GcPause,
) -> Result<(R, Mark), ErrorSet> {
    let (path, before) = current_path()?;
    let mut bindings = shared(before.as_ref());
    let result = edit(&mut bindings)?;
    let version = AtomicU64::new(bindings.version().number());
    let (native, _old) = install(bindings, path, before.as_ref(), paused)?;
    Ok((result, Mark { native, version }))
}

impl NativeRoot {
    /// As [`revert`](Carrier::revert), by a new value of the root, or by resetting the root.
    #[inline]
    fn revert_slowly(
        &self,
        mark: &Mark,
        edit: impl FnOnce(&mut Bindings<PyHeap>) -> Result<(), ErrorSet>,
        done: impl FnOnce(),
    ) -> Result<bool, ErrorSet> {
        // Dropped last: these bindings may be the only owner of values that are taken out.
        let (path, before) = current_path()?;
        let mut bindings = shared(before.as_ref());
        let paused = GcPause::new();
        let mut replaced = [None, None];
        // If nothing has changed since, the native reset restores the old bindings, unless a
        // variable may have to follow a caller again.
        let is_unchanged = !native_layout::is_active() && mark.is_version(bindings.version());
        if !is_unchanged || inherit_live::is_following() {
            if !mark.is_of_current_context(before.as_ref(), &paused)? {
                return Ok(false);
            }
            edit(&mut bindings)?;
            replaced = install_changed(bindings, path, before.as_ref(), &paused)?;
        } else if !reset(mark, &paused)? {
            return Ok(false);
        }
        done();
        drop(replaced); // may run user code
        Ok(true)
    }
}

/// The bindings that a value of the root is; empty bindings if there is none. O(1).
#[inline]
fn shared(value: Option<&Stored>) -> Bindings<PyHeap> {
    value.map_or_else(Bindings::new, Stored::share)
}

/// Restores the bindings from before the update, if nothing has changed since. Returns `false` if
/// the current native context is another one.
#[inline]
fn reset(mark: &Mark, paused: &GcPause) -> Result<bool, ErrorSet> {
    if native::reset(variable(), &mark.native, paused).is_ok() {
        return Ok(true);
    }
    if Exception::ValueError.is_set() {
        clear_exception();
        return Ok(false);
    }
    if Exception::MemoryError.is_set() {
        mark.version.store(Version::UNUSED.number(), Ordering::Relaxed);
    }
    Err(ErrorSet)
}
