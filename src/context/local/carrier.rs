//! The carrier of Rust programs: a thread-local with the current bindings.

#![allow(unsafe_code)] // Passes on the condition that a variable has values of one type.

use super::current::{CURRENT, Current};
use super::id::VariableId;
use super::value::LocalValue;
use crate::context::bindings::Bindings;
use crate::context::carrier::Carrier;
use crate::context::version::Version;
use crate::map::ArcHeap;
use std::convert::Infallible;

/// The heap of the bindings of Rust programs.
pub(super) type LocalHeap = ArcHeap<VariableId, LocalValue, Version>;

/// The [`Carrier`] that stores the current bindings of each thread in a thread-local.
#[derive(Clone, Copy, Debug)]
pub(super) struct ThreadLocal;

impl ThreadLocal {
    /// Runs `reader` with the current value of `variable`, or the default.
    ///
    /// # Safety
    ///
    /// All values of `variable` have the type `T`.
    #[inline]
    pub(super) unsafe fn read<'a, T: 'a, R>(
        self,
        variable: VariableId,
        default: impl FnOnce() -> Option<&'a T>,
        reader: impl FnOnce(Option<&T>) -> R,
    ) -> R {
        // SAFETY: the caller guarantees that all values of `variable` have the type `T`.
        CURRENT.with(|current| unsafe { current.read(variable, default, reader) })
    }

    /// Called before `variable` is set, if a variable has been dropped. May drop values of dropped
    /// variables. O(1), amortized.
    pub(super) fn prune_before_setting(self, variable: VariableId) {
        CURRENT.with(|current| current.prune_before_setting(variable));
    }

    /// A clone of the current bindings. O(1).
    #[inline]
    pub(super) fn snapshot(self) -> Bindings<LocalHeap> {
        CURRENT.with(Current::snapshot)
    }

    /// Runs `function` in the context with this identity and these bindings; changes are stored in
    /// `bindings` when it returns. O(1).
    #[inline]
    pub(super) fn enter<R>(
        self,
        bindings: &mut Bindings<LocalHeap>,
        identity: &mut Version,
        function: impl FnOnce() -> R,
    ) -> R {
        CURRENT.with(|current| current.enter(bindings, identity, function))
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
