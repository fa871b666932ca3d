//! A minimal variable.

use ctxvars::context::Variable;
use ctxvars::map::{Hash, LowWord};

/// A variable whose identity is a number.
#[derive(Clone)]
pub(crate) struct Number(pub(crate) u32);

impl Variable for Number {
    fn hash<L: LowWord>(&self) -> Hash<L> {
        Hash::mix(u64::from(self.0))
    }

    fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
