//! Scopes: setting several variables while a body runs, over any carrier.
//!
//! ```text
//! enter: before = current; update(set or remove all)    // one update, however many variables
//!        old = set(variable)                            // if there is only one
//! leave: revert(mark, restore all from before)          // in the context that was entered
//!        update(restore variables that still have the values of the scope)   // in another context
//! ```
//!
//! If the bindings have not changed since [`enter`](Scope::enter), the old ones are put back in O(1).
//! If the body has set other variables, these changes survive. A scope of one variable keeps its old
//! value only, as a token does.

use super::bindings::{Bindings, BindingsHeap};
use super::carrier::{Carrier, ErrorOf, ValueOf, VariableOf};
use super::change;
use super::version::Version;
use crate::map::Heap;
use std::cell::RefCell;
use std::mem;

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
    before: Before<C::Heap>,
    /// The version of the bindings that the scope made, if it is needed.
    version: Version,
    mark: C::UpdateMark,
}

/// The values before a scope was entered.
///
/// See [`Scope::with_entered`] for an example.
pub enum Before<H: Heap> {
    /// All bindings, if the scope has several variables.
    Bindings(Bindings<H>),
    /// The value of the only variable of the scope, `None` if it was not set.
    Value(Option<H::Value>),
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

    /// If the scope is entered, calls `function` with the values before that and the mark of the
    /// carrier.
    ///
    /// ```
    #[doc = include_str!("doc_prelude.txt")]
    /// use ctxvars::context::{Before, Scope};
    ///
    /// let interpreter = Interpreter::new();
    /// let scope = Scope::new(Vec::new(), Some((Global(1), Some("one"))));
    /// assert_eq!(scope.with_entered(|_, _| ()), None);
    /// assert_eq!(scope.enter(&interpreter), Ok(()));
    /// let entered = scope.with_entered(|before, mark| (matches!(before, Before::Value(None)), *mark));
    /// assert_eq!(entered, Some((true, interpreter.id)));
    /// ```
    pub fn with_entered<R>(
        &self,
        function: impl FnOnce(&Before<C::Heap>, &C::UpdateMark) -> R,
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
        let entered =
            if let (true, Some((variable, Some(value)))) = (self.others.is_empty(), &self.last) {
                let (old, mark) = carrier.set(variable, value.clone())?;
                Entered { before: Before::Value(old), version: Version::UNUSED, mark }
            } else {
                let ((before, version), mark) = carrier.update(|bindings| {
                    let before = all_or_nothing(bindings, |bindings| self.give(bindings))?;
                    Ok((before, bindings.version()))
                })?;
                Entered { before: Before::Bindings(before), version, mark }
            };
        self.entered.replace(Some(entered));
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
                Some(value) => drop(bindings.set_by_reference(variable, value.clone())?),
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
        let is_left = match (&entered.before, &self.last) {
            (Before::Value(old), Some((variable, _))) => {
                change::put_back(carrier, &entered.mark, variable, old.as_ref(), || ())?
            }
            _ => self.restore_all(carrier, entered)?,
        };
        if is_left {
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
            // Dropped after the update, because destructors may run user code.
            let (_replaced, _) = carrier.update(|bindings| Ok(mem::replace(bindings, restored)))?;
        }
        Ok(())
    }

    /// Restores all variables, in the context that was entered. Returns `false`, and changes nothing,
    /// if another one is current.
    fn restore_all(&self, carrier: &C, entered: &Entered<C>) -> Result<bool, ErrorOf<C>> {
        // Replaced values are dropped at the end, because destructors may run user code.
        let mut kept = None;
        let restore = |bindings: &mut Bindings<C::Heap>| {
            kept = Some(match &entered.before {
                Before::Bindings(before) if bindings.version() == entered.version => {
                    mem::replace(bindings, before.clone())
                }
                _ => all_or_nothing(bindings, |bindings| {
                    self.values().try_for_each(|(variable, _)| entered.restore(variable, bindings))
                })?,
            });
            Ok(())
        };
        carrier.revert(&entered.mark, restore, || ())
    }
}

/// Makes several edits, and returns the bindings from before; or undoes all, if one fails.
///
/// The old bindings keep replaced values alive until the caller drops them.
fn all_or_nothing<H: BindingsHeap>(
    bindings: &mut Bindings<H>,
    edits: impl FnOnce(&mut Bindings<H>) -> Result<(), H::Error>,
) -> Result<Bindings<H>, H::Error> {
    let before = bindings.clone();
    match edits(bindings) {
        Ok(()) => Ok(before),
        Err(error) => {
            // The edited bindings have no value that is not owned elsewhere: by those before, or by
            // the source of the new values.
            *bindings = before;
            Err(error)
        }
    }
}

impl<C: Carrier> Entered<C> {
    /// Restores the old value of `variable` in `bindings`, or unsets it.
    fn restore(
        &self,
        variable: &VariableOf<C>,
        bindings: &mut Bindings<C::Heap>,
    ) -> Result<(), ErrorOf<C>> {
        let old = match &self.before {
            Before::Bindings(before) => before.get(variable)?,
            Before::Value(old) => old.as_ref(),
        };
        match old {
            Some(old) => drop(bindings.set_by_reference(variable, old.clone())?),
            None => drop(bindings.remove(variable)?),
        }
        Ok(())
    }
}
