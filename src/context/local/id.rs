//! The identity of a variable.
//!
//! An identity is the number of a *slot* and the generation of the slot. Each variable that has been
//! set has a slot, until it is dropped. Then another variable may take the slot, with a later
//! generation, so an identity is unique for all time. That is why a value of a dropped variable, which
//! some context may still hold, is never taken for a value of another variable and type.

use super::slots::{self, Description};
use crate::context::bindings::Variable;
use crate::map::{Hash, LowWord};

/// The identity of a [`ContextVar`](crate::ContextVar).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct VariableId(u64);

impl VariableId {
    /// A new identity. The slots of the first variables have consecutive numbers, from 1. O(1).
    pub(super) fn next(description: Description) -> Self {
        let (slot, generation) = slots::occupy(description);
        Self(u64::from(generation) << 32 | u64::from(slot))
    }

    /// Marks the variable as dropped. It must not be used afterwards. O(1).
    pub(super) fn release(self) {
        slots::vacate(self.slot(), self.generation());
    }

    /// Whether the variable has been dropped. O(1).
    pub(super) fn is_dropped(self) -> bool {
        slots::is_vacated(self.slot(), self.generation())
    }

    /// The description of the variable, or `None` if it has been dropped. O(1).
    pub(super) fn description(self) -> Option<Description> {
        slots::description(self.slot(), self.generation())
    }

    const fn slot(self) -> u32 {
        self.0 as u32
    }

    const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The number. Its low 32 bits are that of the slot.
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
