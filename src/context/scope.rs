//! Scopes: setting several variables while a body runs, over any carrier.
//!
//! ```text
//! enter: before = current; update(set or remove all)    // one update, however many variables
//! leave: revert(mark, restore all from before)          // in the context that was entered
//!        update(restore variables that still have the values of the scope)   // in another context
//! ```
//!
//! If the bindings have not changed since [`enter`](Scope::enter), the carrier restores the old ones
//! without an edit. If the body has set other variables, these changes survive.

use super::bindings::{Bindings, BindingsHeap as _};
use super::carrier::{Carrier, ErrorOf, ValueOf, VariableOf};
use crate::map::Heap;
use std::cell::RefCell;

/// A variable of a scope, and its value while the scope is entered; `None` unsets it.
type Assignment<C> = (VariableOf<C>, Option<ValueOf<C>>);

/// Variables that are set, or unset, while the scope is entered.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// use ctxvars::context::{Scope, ScopeError};
///
/// let interpreter = Interpreter::new();
/// let Ok(_) = context::set(&interpreter, Global(1), "before");
/// let Ok(_) = context::set(&interpreter, Global(4), "unset inside");
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
/// assert_eq!(interpreter.get(&Global(4)), Some("unset inside"));
/// ```
pub struct Scope<C: Carrier> {
    others: Vec<Assignment<C>>,
    /// With a single variable, `others` is empty and needs no allocation.
    last: Option<Assignment<C>>,
    entered: RefCell<Option<Entered<C>>>,
}

/// The state that is needed to leave a scope.
struct Entered<C: Carrier> {
    /// The bindings before the scope was entered.
    before: Bindings<C::Heap>,
    mark: C::UpdateMark,
}

/// The error of entering or leaving a scope.
///
/// `E` is the error of the carrier.
///
/// See [`Scope`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeError<E> {
    /// The scope is entered already.
    Entered,
    /// The scope is not entered.
    NotEntered,
    /// The scope was entered in another context.
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
    /// A scope for `others` and `last`. Of several values for one variable, the last one wins. `None`
    /// unsets a variable.
    ///
    /// See [`Scope`] for an example.
    #[inline]
    pub const fn new(others: Vec<Assignment<C>>, last: Option<Assignment<C>>) -> Self {
        Self { others, last, entered: RefCell::new(None) }
    }

    /// The variables and their values, in the order in which they are set.
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

    /// If the scope is entered, calls `function` with the bindings before that and the mark of the
    /// carrier.
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
        function: impl FnOnce(&Bindings<C::Heap>, &C::UpdateMark) -> R,
    ) -> Option<R> {
        let entered = self.entered.try_borrow().ok()?;
        entered.as_ref().map(|entered| function(&entered.before, &entered.mark))
    }

    /// Sets the variables in the current context, in one update. O(k log n) for k variables.
    ///
    /// # Errors
    ///
    /// The scope is entered already, or the carrier failed; the context is unchanged.
    ///
    /// See [`Scope`] for an example.
    #[inline]
    pub fn enter(&self, carrier: &C) -> Result<(), ScopeError<ErrorOf<C>>> {
        if self.with_entered(|_, _| ()).is_some() {
            return Err(ScopeError::Entered);
        }
        let (before, mark) = carrier.update(|bindings| {
            // The clone keeps replaced values alive until the update is complete.
            let before = bindings.clone();
            self.give(bindings)?;
            Ok(before)
        })?;
        self.entered.replace(Some(Entered { before, mark }));
        Ok(())
    }

    /// Restores the variables to their values before the scope was entered, or unsets them. Other
    /// variables that were set since keep their values. O(1) if nothing was set since, else
    /// O(k log n) for k variables.
    ///
    /// If the current context is not the context that was entered, a strict scope returns an error.
    /// Otherwise a variable is restored only if its value is still the value of the scope, as in a
    /// copy of the context that was made inside the scope. A variable that the scope has unset is not
    /// restored there, because another context may have it unset for another reason.
    ///
    /// # Errors
    ///
    /// The scope is not entered; or it is strict and was entered in another context; or the carrier
    /// failed. The scope and the context are unchanged then.
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

    /// Ends the scope without restoring the variables.
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

    /// Sets the variables in `bindings`; of several values for one variable, the last one wins.
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
        // Keeps replaced values alive until the end, because destructors may run user code.
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
            let variable = C::Heap::variable(&given.key)?;
            if now.get(variable)?.is_some_and(is_given) {
                entered.restore(variable, &mut restored)?;
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
    /// Restores the old value of `variable` in `bindings`, or unsets it.
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
