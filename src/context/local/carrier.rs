//! The carrier of Rust programs: the current bindings of each thread in a thread-local.

#![allow(unsafe_code)] // Passes on the promise that a variable has values of one type.

use super::current::{CURRENT, Current};
use super::id::VariableId;
use super::value::LocalValue;
use crate::context::bindings::Bindings;
use crate::context::carrier::Carrier;
use crate::context::version::Version;
use crate::map::ArcHeap;
use std::convert::Infallible;

/// Where the bindings of Rust programs live.
///
/// A [`Context`](crate::Context) is such bindings: see there for examples.
pub(super) type LocalHeap = ArcHeap<VariableId, LocalValue, Version>;

/// The [`Carrier`] that keeps the current bindings of each thread in a thread-local.
///
/// Programs use it by [`ContextVar`](crate::ContextVar) and [`Context`](crate::Context): see there
/// for examples.
#[derive(Clone, Copy, Debug)]
pub(super) struct ThreadLocal;

impl ThreadLocal {
    /// Runs `reader` with the value that `variable` has now.
    ///
    /// # Safety
    ///
    /// `variable` has values of the type `T` only.
    #[inline]
    pub(super) unsafe fn read<T, R>(
        self,
        variable: VariableId,
        reader: impl FnOnce(Option<&T>) -> R,
    ) -> R {
        // SAFETY: as the caller promises.
        CURRENT.with(|current| unsafe { current.read(variable, reader) })
    }

    /// The current bindings, shared. O(1).
    #[inline]
    pub(super) fn snapshot(self) -> Bindings<LocalHeap> {
        CURRENT.with(Current::snapshot)
    }

    /// Runs `f` with `bindings` current in the context `identity`; what it sets goes to `bindings`.
    /// O(1).
    #[inline]
    pub(super) fn enter<R>(
        self,
        bindings: &mut Bindings<LocalHeap>,
        identity: &mut Version,
        f: impl FnOnce() -> R,
    ) -> R {
        CURRENT.with(|current| current.enter(bindings, identity, f))
    }
}

impl Carrier for ThreadLocal {
    type Heap = LocalHeap;
    /// The identity of the context that was updated.
    type UpdateMark = Version;

    #[inline]
    fn current(&self) -> Result<Bindings<LocalHeap>, Infallible> {
        Ok(self.snapshot())
    }

    #[inline]
    fn update<R>(
        &self,
        edit: impl FnOnce(&mut Bindings<LocalHeap>) -> Result<R, Infallible>,
    ) -> Result<(R, Version), Infallible> {
        CURRENT.with(|current| Ok((current.edit(edit)?, current.identity())))
    }

    #[inline]
    fn revert(
        &self,
        mark: &Version,
        edit: impl FnOnce(&mut Bindings<LocalHeap>) -> Result<(), Infallible>,
        done: impl FnOnce(),
    ) -> Result<bool, Infallible> {
        CURRENT.with(|current| {
            let same = current.identity() == *mark;
            if same {
                current.edit(edit)?;
                done();
            }
            Ok(same)
        })
    }
}
