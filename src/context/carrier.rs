//! The storage of the current bindings.

use super::bindings::{Bindings, BindingsHeap};
use crate::map::Heap;

/// Stores the current bindings of a flow of control, such as a thread or a task.
///
/// For example, an interpreter may store the current bindings itself. Its variables are numbers (see
/// [`Variable`](super::Variable)) and its values are strings:
///
/// ```
/// # use ctxvars::context::{self, Bindings, Carrier, ErrorOf, Variable, Version};
/// # use ctxvars::map::{ArcHeap, Hash, LowWord};
/// # use std::cell::RefCell;
/// # use std::convert::Infallible;
/// # #[derive(Clone)]
/// # struct Global(u32);
/// # impl Variable for Global {
/// #     fn hash<L: LowWord>(&self) -> Hash<L> {
/// #         Hash::mix(u64::from(self.0))
/// #     }
/// #     fn is(&self, other: &Self) -> bool {
/// #         self.0 == other.0
/// #     }
/// # }
/// type Globals = ArcHeap<Global, &'static str, Version>;
///
/// struct Interpreter {
///     current: RefCell<Bindings<Globals>>,
///     id: Version,
/// }
///
/// impl Carrier for Interpreter {
///     type Heap = Globals;
///     type UpdateMark = Version;
///
///     fn current(&self) -> Result<Bindings<Globals>, ErrorOf<Self>> {
///         Ok(self.current.borrow().clone())
///     }
///
///     fn update<R>(
///         &self,
///         edit: impl FnOnce(&mut Bindings<Globals>) -> Result<R, ErrorOf<Self>>,
///     ) -> Result<(R, Version), ErrorOf<Self>> {
///         Ok((edit(&mut self.current.borrow_mut())?, self.id))
///     }
///
///     fn revert(
///         &self,
///         mark: &Version,
///         edit: impl FnOnce(&mut Bindings<Globals>) -> Result<(), ErrorOf<Self>>,
///         done: impl FnOnce(),
///     ) -> Result<bool, ErrorOf<Self>> {
///         if *mark == self.id {
///             edit(&mut self.current.borrow_mut())?;
///             done();
///         }
///         Ok(*mark == self.id)
///     }
/// }
///
/// let interpreter = Interpreter { current: RefCell::default(), id: Version::next() };
/// let Ok(change) = context::set(&interpreter, Global(1), "one");
/// assert_eq!(interpreter.current.borrow().len(), 1);
/// assert_eq!(context::reset(&interpreter, &Global(1), &change), Ok(()));
/// assert!(interpreter.current.borrow().is_empty());
/// ```
///
/// The examples of [`set`](super::set), [`reset`](super::reset) and [`Change`](super::Change) use this
/// `Interpreter`, with a method `get`.
pub trait Carrier: Sized {
    /// The heap of the bindings.
    type Heap: BindingsHeap;
    /// Identifies the context of an update, so that [`revert`](Self::revert) can check whether the same
    /// context is current.
    type UpdateMark;

    /// A clone of the current bindings. O(1).
    ///
    /// # Errors
    ///
    /// The carrier failed.
    ///
    /// See [`Carrier`] for an example.
    fn current(&self) -> Result<Bindings<Self::Heap>, ErrorOf<Self>>;

    /// Edits the current bindings, and returns the result of `edit` and a mark of the current context.
    ///
    /// The carrier may pass its own bindings to `edit`, which then edits them in place. So `edit`
    /// fails only before it has changed a value, and it runs no code that could use the carrier:
    /// it returns what it takes out of the bindings, and does not drop it.
    ///
    /// # Errors
    ///
    /// The carrier or `edit` failed; the current values are unchanged.
    ///
    /// See [`Carrier`] for an example.
    fn update<R>(
        &self,
        edit: impl FnOnce(&mut Bindings<Self::Heap>) -> Result<R, ErrorOf<Self>>,
    ) -> Updated<Self, R>;

    /// Sets one variable, and returns its old value and a mark of the current context.
    ///
    /// The default is an [`update`](Self::update). A carrier that can do it in fewer steps overrides it.
    ///
    /// # Errors
    ///
    /// The carrier failed; the current values are unchanged.
    #[inline]
    fn set(
        &self,
        variable: &VariableOf<Self>,
        value: ValueOf<Self>,
    ) -> Updated<Self, Option<ValueOf<Self>>> {
        let key = variable.clone();
        self.update(|bindings| bindings.set(key, value))
    }

    /// Puts the old value of a variable back, in fewer steps than [`revert`](Self::revert). Returns
    /// the value that it replaces, or `None` if only [`revert`](Self::revert) can do it. The default
    /// returns `None`.
    #[inline]
    fn put_back(
        &self,
        mark: &Self::UpdateMark,
        variable: &VariableOf<Self>,
        old: &ValueOf<Self>,
    ) -> Option<ValueOf<Self>> {
        let _ = (mark, variable, old);
        None
    }

    /// Undoes the update that returned `mark`.
    ///
    /// `edit` undoes it, under the conditions of [`update`](Self::update); a carrier may restore the
    /// old bindings without calling it, if nothing has changed since. `done` is called when the
    /// bindings are restored, before values are dropped. If the current context is not the context
    /// of the update, the result is `false` and nothing changes.
    ///
    /// # Errors
    ///
    /// The carrier or `edit` failed; the current values are unchanged.
    ///
    /// See [`Carrier`] for an example.
    fn revert(
        &self,
        mark: &Self::UpdateMark,
        edit: impl FnOnce(&mut Bindings<Self::Heap>) -> Result<(), ErrorOf<Self>>,
        done: impl FnOnce(),
    ) -> Result<bool, ErrorOf<Self>>;
}

/// The result of an update by a carrier: a value, and the mark of the context.
///
/// See [`Carrier`] for an example.
pub type Updated<C, T> = Result<(T, <C as Carrier>::UpdateMark), ErrorOf<C>>;

/// The error type of a carrier.
///
/// See [`VariableOf`] for an example.
pub type ErrorOf<C> = <<C as Carrier>::Heap as Heap>::Error;
/// The variable type of a carrier.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// use ctxvars::context::{ResetError, ValueOf, VariableOf, reset, set};
///
/// /// Calls `function` while `variable` has `value`, over any carrier.
/// fn scope<C: Carrier, R>(
///     carrier: &C,
///     (variable, value): (VariableOf<C>, ValueOf<C>),
///     function: impl FnOnce() -> R,
/// ) -> Result<R, ResetError<ErrorOf<C>>> {
///     let change = set(carrier, variable, value).map_err(ResetError::Carrier)?;
///     let result = function();
///     reset(carrier, change.variable(), &change).map(|()| result)
/// }
///
/// let interpreter = Interpreter::new();
/// let inside = scope(&interpreter, (Global(1), "one"), || interpreter.get(&Global(1)));
/// assert_eq!((inside, interpreter.get(&Global(1))), (Ok(Some("one")), None));
/// ```
pub type VariableOf<C> = <<C as Carrier>::Heap as BindingsHeap>::Variable;
/// The value type of a carrier.
///
/// See [`VariableOf`] for an example.
pub type ValueOf<C> = <<C as Carrier>::Heap as Heap>::Value;
