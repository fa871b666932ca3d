//! A variable and a value to set, without their type.

#![allow(unsafe_code)] // Reads a value as the type of its variable, whose identity it checks.

use super::carrier::ThreadLocal;
use super::context::Context;
use super::entered::Entered;
use super::id::VariableId;
use super::prune;
use super::slots;
use super::value::LocalValue;
use super::variable::ContextVar;
use crate::context::change::{self, Change};
use std::fmt;

/// A variable, and the value that it is to have; or none, to unset it.
///
/// A clone shares the value. O(1).
#[derive(Clone)]
pub(in crate::context) struct Assignment {
    variable: VariableId,
    value: Option<LocalValue>,
}

impl Assignment {
    /// Sets `variable` to `value`. O(1).
    pub(in crate::context) fn set<T>(variable: &ContextVar<T>, value: T) -> Self
    where
        T: Send + Sync + 'static,
    {
        Self { variable: variable.id_to_set(), value: Some(LocalValue::new(value)) }
    }

    /// Unsets `variable`. O(1).
    pub(in crate::context) fn unset<T>(variable: &ContextVar<T>) -> Self
    where
        T: Send + Sync + 'static,
    {
        Self { variable: variable.id_to_set(), value: None }
    }

    /// The value, if this is an assignment to `variable`. O(1).
    pub(in crate::context) fn value_of<T>(&self, variable: &ContextVar<T>) -> Option<&T>
    where
        T: Send + Sync + 'static,
    {
        let value = self.value.as_ref().filter(|_| self.variable == variable.id())?;
        // SAFETY: identities are unique for all time, so this assignment was made by `set` with the
        // same variable, whose values are of the type `T`, because its type cannot change.
        Some(unsafe { value.get() })
    }

    /// The name of the variable; "" if it has been dropped. O(1).
    pub(in crate::context) fn name(&self) -> &'static str {
        self.variable.description().map_or("", |slots::Description { name, .. }| name)
    }

    /// Makes the assignment in another context than the current one. O(log n).
    pub(in crate::context) fn apply_to(&self, context: &mut Context) {
        context.assign(self.variable, self.value.clone());
    }

    /// Makes the assignment in the current context. O(log n).
    fn apply(&self) -> Change<ThreadLocal> {
        if prune::may_be_needed() {
            ThreadLocal.prune_before_setting(self.variable);
        }
        let changed = match &self.value {
            Some(value) => change::set(&ThreadLocal, self.variable, value.clone()),
            None => change::unset(&ThreadLocal, self.variable),
        };
        match changed {
            Ok(change) => change,
            Err(never) => match never {},
        }
    }
}

/// Without the value, which may be secret.
impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

/// Restores the old values of several variables when it is dropped.
#[derive(Debug, Default)]
pub(in crate::context) struct EnteredAll(Vec<Entered<'static, ()>>);

impl EnteredAll {
    /// Makes an assignment in the current context, which is undone when the guard is dropped. O(log n).
    pub(in crate::context) fn push(&mut self, assignment: &Assignment) {
        self.0.push(Entered::new(assignment.apply()));
    }
}

impl Drop for EnteredAll {
    fn drop(&mut self) {
        // The latest first: each is the last layer of the thread then, unless guards are crossed.
        while self.0.pop().is_some() {}
    }
}
