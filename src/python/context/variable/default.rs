//! The default of a `ContextVar`.

use super::default_factory::Factory;
use crate::python::interpreter::{ErrorSet, Exception, Owned, RawObject, raise, raise_message};
use crate::python::map::py_heap;

/// The default of a variable.
pub(super) enum Default {
    Nothing,
    Value(Owned),
    Factory(Factory),
}

impl Default {
    /// The default according to the arguments of the constructor.
    pub(super) fn of(default: Option<&Owned>, factory: Option<&Owned>) -> Result<Self, ErrorSet> {
        match (default, factory) {
            (None, None) => Ok(Self::Nothing),
            (Some(default), None) => Ok(Self::Value(default.clone())),
            (Some(_), Some(_)) => {
                let message = c"cannot specify both default and default_factory";
                Err(raise_message(Exception::ValueError, message))
            }
            (None, Some(factory)) if factory.is_callable() => {
                Factory::new(factory.clone()).map(Self::Factory)
            }
            (None, Some(factory)) => {
                let message = c"ContextVar() argument 'default_factory' must be callable, got %R";
                Err(raise(Exception::TypeError, message, factory))
            }
        }
    }

    /// Whether the garbage collector must track a variable with this default.
    pub(super) fn is_traceable(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Value(default) => py_heap::may_be_tracked(default),
            // The native variable of a factory is tracked.
            Self::Factory(_) => true,
        }
    }

    /// The objects that the garbage collector visits.
    pub(super) fn references(&self) -> [Option<RawObject>; 2] {
        match self {
            Self::Nothing => [None, None],
            Self::Value(default) => [Some(default.as_ptr()), None],
            Self::Factory(factory) => factory.references().map(Some),
        }
    }
}
