//! Iteration over the variables and values of a context.

#![allow(unsafe_code)] // Shows a value by the function of its variable.

use super::carrier::LocalHeap;
use super::context::Context;
use super::id::VariableId;
use super::slots::Description;
use super::value::LocalValue;
use super::variable::ContextVar;
use crate::map::Iter;
use std::fmt;

/// An iterator over the variables of a [`Context`] and their values: see [`Context::iter`].
pub struct Entries<'a> {
    bindings: Iter<'a, LocalHeap>,
}

impl<'a> Entries<'a> {
    pub(super) const fn new(bindings: Iter<'a, LocalHeap>) -> Self {
        Self { bindings }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        self.bindings.by_ref().find_map(|(_, entry)| {
            let description = entry.key.description()?;
            Some(Entry { variable: entry.key, description, value: &entry.value })
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.bindings.size_hint().1)
    }
}

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").finish_non_exhaustive()
    }
}

/// A variable that is set in a [`Context`], with its value: see [`Context::iter`].
///
/// The type of the variable is erased. [`get`](Self::get) returns the value of a known variable. The
/// debug output is that of the value, if the variable was made by
/// [`with_debug`](ContextVar::with_debug), and `_` otherwise.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    variable: VariableId,
    description: Description,
    value: &'a LocalValue,
}

impl<'a> Entry<'a> {
    /// The name of the variable. O(1).
    ///
    /// See [`Context::iter`] for an example.
    pub const fn name(&self) -> &'static str {
        self.description.name
    }

    /// The value, if the entry belongs to `variable`, otherwise `None`. O(1).
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    /// static LEVEL: ContextVar<u8> = ContextVar::new("level");
    ///
    /// let context = Context::new().with_value(&LEVEL, 3);
    /// let entry = context.iter().next().expect("there is one entry");
    /// assert_eq!((entry.get(&USER), entry.get(&LEVEL)), (None, Some(&3)));
    /// ```
    pub fn get<T: Send + Sync + 'static>(&self, variable: &ContextVar<T>) -> Option<&'a T> {
        // SAFETY: a value of the variable has the type `T`.
        (variable.id() == self.variable).then(|| unsafe { self.value.get() })
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.description.show {
            // SAFETY: the description and the value belong to the same variable.
            Some(show) => unsafe { show(self.value, f) },
            None => f.write_str("_"),
        }
    }
}

impl<'a> IntoIterator for &'a Context {
    type Item = Entry<'a>;
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}
