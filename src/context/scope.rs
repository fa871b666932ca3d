//! Setting variables for as long as a body runs, over any carrier.
//!
//! ```text
//! enter: before = current; update(set or remove all)    // one update, however many variables
//! leave: revert(mark, restore all from before)          // where it was entered
//!        update(restore from before what is still ours) // elsewhere, if anything is
//! ```
//!
//! A carrier whose bindings are those of [`enter`](Scope::enter) reverts without an edit. Otherwise
//! the body left changes behind; those to other variables survive.

use super::bindings::Bindings;
use super::carrier::{Carrier, ErrorOf, ValueOf, VariableOf};
use crate::map::Heap;
use std::cell::RefCell;

/// A variable of a scope, and the value that it has while the scope is entered, or `None` if it has
/// none.
type Assignment<C> = (VariableOf<C>, Option<ValueOf<C>>);

/// Variables with values that they have, or do not have, while the scope is entered.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// use ctxvars::context::{Scope, ScopeError};
///
/// let interpreter = Interpreter::new();
/// let Ok(_) = context::set(&interpreter, Global(1), "before");
/// let Ok(_) = context::set(&interpreter, Global(4), "taken away inside");
/// let others = vec![(Global(1), Some("inside")), (Global(4), None)];
/// let scope = Scope::new(others, Some((Global(2), Some("inside"))));
///
/// assert_eq!(scope.enter(&interpreter), Ok(()));
/// assert_eq!(interpreter.get(&Global(4)), None);
/// assert_eq!(scope.enter(&interpreter), Err(ScopeError::Entered));
/// let Ok(_) = context::set(&interpreter, Global(1), "set by the body");
/// let Ok(_) = context::set(&interpreter, Global(3), "left behind");
///
/// let elsewhere = Interpreter::new();
/// assert_eq!(scope.leave(&elsewhere, true), Err(ScopeError::OtherContext));
/// assert_eq!(scope.leave(&interpreter, true), Ok(()));
/// assert_eq!(scope.leave(&interpreter, true), Err(ScopeError::NotEntered));
/// let values = [1, 2, 3].map(|number| interpreter.get(&Global(number)));
/// assert_eq!(values, [Some("before"), None, Some("left behind")]);
/// assert_eq!(interpreter.get(&Global(4)), Some("taken away inside"));
/// ```
pub struct Scope<C: Carrier> {
    others: Vec<Assignment<C>>,
    /// A single variable needs no allocation.
    last: Option<Assignment<C>>,
    entered: RefCell<Option<Entered<C>>>,
}

/// What is needed to leave a scope.
struct Entered<C: Carrier> {
    /// The bindings before it was entered.
    before: Bindings<C::Heap>,
    mark: C::UpdateMark,
}

/// Why a scope could not be entered or left.
///
/// `E` is the error of the carrier.
///
/// See [`Scope`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeError<E> {
    /// It is entered already.
    Entered,
    /// It is not entered.
    NotEntered,
    /// It was entered in another context.
    OtherContext,
    /// The carrier failed.
    Carrier(E),
}

impl<E> From<E> for ScopeError<E> {
    fn from(error: E) -> Self {
        Self::Carrier(error)
    }
}

impl<C: Carrier> Scope<C> {
    /// A scope for `others` and `last`: of several values for one variable, the last one counts.
    /// `None` takes the value of a variable away.
    ///
    /// See [`Scope`] for an example.
    #[inline]
    pub const fn new(others: Vec<Assignment<C>>, last: Option<Assignment<C>>) -> Self {
        Self { others, last, entered: RefCell::new(None) }
    }

    /// The variables and the values that they get, in the order in which they get them.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// use ctxvars::context::Scope;
    ///
    /// let others = vec![(Global(1), Some("one"))];
    /// let scope = Scope::<Interpreter>::new(others, Some((Global(2), None)));
    /// assert!(scope.values().map(|(variable, _)| variable.0).eq([1, 2]));
    /// ```
    pub fn values(&self) -> impl Iterator<Item = &(VariableOf<C>, Option<ValueOf<C>>)> {
        self.others.iter().chain(&self.last)
    }

    /// Calls `f` with the bindings before the scope was entered and what the carrier left behind,
    /// if it is entered.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// use ctxvars::context::Scope;
    ///
    /// let interpreter = Interpreter::new();
    /// let scope = Scope::new(Vec::new(), Some((Global(1), Some("one"))));
    /// assert_eq!(scope.with_entered(|_, _| ()), None);
    /// assert_eq!(scope.enter(&interpreter), Ok(()));
    /// let entered = scope.with_entered(|before, mark| (before.len(), *mark));
    /// assert_eq!(entered, Some((0, interpreter.id)));
    /// ```
    pub fn with_entered<R>(
        &self,
        f: impl FnOnce(&Bindings<C::Heap>, &C::UpdateMark) -> R,
    ) -> Option<R> {
        let entered = self.entered.try_borrow().ok()?;
        entered.as_ref().map(|entered| f(&entered.before, &entered.mark))
    }

    /// Gives the variables their values in the current context: one update. O(k log n) for k
    /// variables.
    ///
    /// # Errors
    ///
    /// The scope is entered already, or that of the carrier; the context is as before then.
    ///
    /// See [`Scope`] for an example.
    #[inline]
    pub fn enter(&self, carrier: &C) -> Result<(), ScopeError<ErrorOf<C>>> {
        if self.with_entered(|_, _| ()).is_some() {
            return Err(ScopeError::Entered);
        }
        let (before, mark) = carrier.update(|bindings| {
            // What is replaced stays alive in here, so that nothing is dropped before all is done.
            let before = bindings.clone();
            self.give(bindings)?;
            Ok(before)
        })?;
        self.entered.replace(Some(Entered { before, mark }));
        Ok(())
    }

    /// Gives the variables the values that they had before the scope was entered, or none. What
    /// else was set since stays. O(1) if nothing was, else O(k log n) for k variables.
    ///
    /// If the current context is not the one that was entered, a variable is restored only if its
    /// value is still the very one that the scope gave it, as in a copy that was made inside the
    /// scope; or that is an error, if the scope `is_strict`. A variable whose value the scope took
    /// away is not restored there: that it has none does not show that the scope did it.
    ///
    /// # Errors
    ///
    /// The scope is not entered, or was entered in another context and `is_strict`, or that of the
    /// carrier; the scope and the context are as before then.
    ///
    /// See [`Scope`] for an example.
    #[inline]
    pub fn leave(&self, carrier: &C, is_strict: bool) -> Result<(), ScopeError<ErrorOf<C>>> {
        let Some(entered) = self.entered.take() else { return Err(ScopeError::NotEntered) };
        let left = self.undo(carrier, &entered, is_strict);
        if left.is_err() {
            self.entered.replace(Some(entered));
        }
        left
    }

    /// Forgets that the scope is entered: what it set stays.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// use ctxvars::context::Scope;
    ///
    /// let interpreter = Interpreter::new();
    /// let scope = Scope::new(Vec::new(), Some((Global(1), Some("one"))));
    /// assert_eq!(scope.enter(&interpreter), Ok(()));
    /// scope.abandon();
    /// assert_eq!(scope.enter(&interpreter), Ok(()));
    /// ```
    pub fn abandon(&self) {
        drop(self.entered.take());
    }

    /// Gives the variables in `bindings` their values: of several for one variable, the last one.
    fn give(&self, bindings: &mut Bindings<C::Heap>) -> Result<(), ErrorOf<C>> {
        for (variable, value) in self.values() {
            match value {
                Some(value) => drop(bindings.set(variable.clone(), value.clone())?),
                None => drop(bindings.remove(variable)?),
            }
        }
        Ok(())
    }

    fn undo(
        &self,
        carrier: &C,
        entered: &Entered<C>,
        is_strict: bool,
    ) -> Result<(), ScopeError<ErrorOf<C>>> {
        // Keeps what is taken out alive until everything is done: dropping it may run user code.
        let mut kept = None;
        let restore_all = |bindings: &mut Bindings<C::Heap>| {
            kept = Some(bindings.clone());
            self.values().try_for_each(|(variable, _)| entered.restore(variable, bindings))
        };
        if carrier.revert(&entered.mark, restore_all, || ())? {
            return Ok(());
        }
        if is_strict {
            return Err(ScopeError::OtherContext);
        }
        let now = carrier.current()?;
        let mut restored = now.clone();
        let mut given = Bindings::new();
        self.give(&mut given)?;
        for (_, given) in given.iter() {
            let is_given = |found: &ValueOf<C>| C::Heap::is_identical(found, &given.value);
            if now.get(&given.key)?.is_some_and(is_given) {
                entered.restore(&given.key, &mut restored)?;
            }
        }
        if restored.version() != now.version() {
            carrier.update(|bindings| {
                *bindings = restored;
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl<C: Carrier> Entered<C> {
    /// Gives `variable` in `bindings` the value that it had before, or none.
    fn restore(
        &self,
        variable: &VariableOf<C>,
        bindings: &mut Bindings<C::Heap>,
    ) -> Result<(), ErrorOf<C>> {
        match self.before.get(variable)? {
            Some(old) => drop(bindings.set(variable.clone(), old.clone())?),
            None => drop(bindings.remove(variable)?),
        }
        Ok(())
    }
}
