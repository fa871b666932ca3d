//! The values that a thread looked up last.
//!
//! Bindings with one version have the same entries for ever, so what was found in them is
//! remembered beside it, and need not be forgotten when other bindings become current.

use super::id::VariableId;
use super::value::ValueAddress;
use crate::context::version::Version;
use std::cell::Cell;

/// How many lookups a thread remembers; each variable has its place, shared with others. Variables
/// are numbered in a row, so that those of a small program have places of their own.
const SLOTS: usize = 16;

/// What a thread remembers.
pub(super) struct LookupCache([Lookup; SLOTS]);

/// The value that a variable has in the bindings of a version.
struct Lookup {
    variable: Cell<VariableId>,
    bindings: Cell<Version>,
    /// Valid while bindings of that version are current, which keep the value alive.
    value: Cell<ValueAddress>,
}

impl Lookup {
    #[expect(clippy::declare_interior_mutable_const, reason = "each use is another one")]
    const NONE: Self = Self {
        variable: Cell::new(VariableId::NEVER_SET),
        bindings: Cell::new(Version::EMPTY),
        value: Cell::new(ValueAddress::NONE),
    };
}

impl LookupCache {
    /// Nothing but that a variable which was never set has no value in empty bindings.
    pub(super) const fn new() -> Self {
        Self([const { Lookup::NONE }; SLOTS])
    }

    #[inline]
    fn place(&self, variable: VariableId) -> &Lookup {
        &self.0[variable.number() as usize % SLOTS]
    }

    /// Where the value of `variable` in the bindings with this version is, if it is remembered.
    /// O(1).
    #[inline]
    pub(super) fn get(&self, variable: VariableId, bindings: Version) -> Option<ValueAddress> {
        let lookup = self.place(variable);
        let is_it = lookup.variable.get() == variable && lookup.bindings.get() == bindings;
        is_it.then(|| lookup.value.get())
    }

    /// Remembers where a value is, instead of another one. O(1).
    pub(super) fn insert(&self, variable: VariableId, bindings: Version, value: ValueAddress) {
        let lookup = self.place(variable);
        lookup.variable.set(variable);
        lookup.bindings.set(bindings);
        lookup.value.set(value);
    }
}
