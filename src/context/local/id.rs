//! The identity of a variable.

use crate::context::bindings::Variable;
use crate::map::{Hash, LowWord};
use std::sync::atomic::{AtomicU64, Ordering};

/// The identity of a [`ContextVar`](crate::ContextVar).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct VariableId(u64);

impl VariableId {
    /// A new identity: consecutive numbers, from 1. O(1).
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The number.
    #[inline]
    pub(super) const fn number(self) -> u64 {
        self.0
    }

    /// The identity of variables that have never been set.
    pub(super) const NEVER_SET: Self = Self(0);

    /// The identity with this number.
    #[inline]
    pub(super) const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl Variable for VariableId {
    #[inline]
    fn hash<L: LowWord>(&self) -> Hash<L> {
        Hash::mix(self.0)
    }

    #[inline]
    fn is(&self, other: &Self) -> bool {
        self == other
    }
}
