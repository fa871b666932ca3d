//! A cache of the values that a thread has looked up last.
//!
//! Bindings with one version always have the same entries. So a cached value is stored with the
//! version of the bindings, and stays valid when other bindings become current in between.

use super::super::id::VariableId;
use super::super::value::ValueAddress;
use crate::context::version::Version;
use std::cell::Cell;

/// The size of the cache. The slot of a variable follows from its number. Variables have consecutive
/// numbers, so up to this many variables do not share slots.
const SLOTS: usize = 16;

/// The cache of a thread: one slot for each variable modulo the size.
pub(super) struct LookupCache([Lookup; SLOTS]);

/// The value of a variable in the bindings with a version.
struct Lookup {
    variable: Cell<VariableId>,
    bindings: Cell<Version>,
    /// Valid while bindings with that version are current, because these keep the value alive.
    value: Cell<ValueAddress>,
}

impl Lookup {
    #[expect(clippy::declare_interior_mutable_const, reason = "each use makes a new value")]
    const NONE: Self = Self {
        variable: Cell::new(VariableId::NEVER_SET),
        bindings: Cell::new(Version::EMPTY),
        value: Cell::new(ValueAddress::NONE),
    };
}

impl LookupCache {
    /// An empty cache. (Its slots say that a variable which was never set has no value in empty
    /// bindings, which is true.)
    pub(super) const fn new() -> Self {
        Self([const { Lookup::NONE }; SLOTS])
    }

    #[inline]
    fn slot(&self, variable: VariableId) -> &Lookup {
        &self.0[variable.number() as usize % SLOTS]
    }

    /// The cached address of the value of `variable` in the bindings with this version. O(1).
    #[inline]
    pub(super) fn get(&self, variable: VariableId, bindings: Version) -> Option<ValueAddress> {
        let lookup = self.slot(variable);
        let is_it = lookup.variable.get() == variable && lookup.bindings.get() == bindings;
        is_it.then(|| lookup.value.get())
    }

    /// Caches the address of a value, in place of the old content of the slot. O(1).
    pub(super) fn insert(&self, variable: VariableId, bindings: Version, value: ValueAddress) {
        let lookup = self.slot(variable);
        lookup.variable.set(variable);
        lookup.bindings.set(bindings);
        lookup.value.set(value);
    }
}
