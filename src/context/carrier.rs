//! Where the current bindings live.

use super::bindings::{Bindings, BindingsHeap};
use crate::map::Heap;

/// Keeps the current bindings of whatever follows the flow of control: a thread, a task.
///
/// The interpreter of a language, whose variables are numbered (see [`Variable`]) and whose values
/// are texts, may keep the current ones itself:
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
/// The examples of [`set`](super::set), [`reset`](super::reset) and [`Change`](super::Change) have this `Interpreter`, with a method `get`.
pub trait Carrier {
    /// Where the nodes of the bindings live.
    type Heap: BindingsHeap;
    /// What an update leaves behind: enough to tell later whether the current context is the one
    /// that was updated.
    type UpdateMark;

    /// The current bindings, shared.
    ///
    /// # Errors
    ///
    /// The carrier's.
    ///
    /// See [`Carrier`] for an example.
    fn current(&self) -> Result<Bindings<Self::Heap>, ErrorOf<Self>>;

    /// Edits the current bindings and makes the result current.
    ///
    /// # Errors
    ///
    /// The carrier's or that of `edit`; the current bindings are as before then.
    ///
    /// See [`Carrier`] for an example.
    fn update<R>(
        &self,
        edit: impl FnOnce(&mut Bindings<Self::Heap>) -> Result<R, ErrorOf<Self>>,
    ) -> Result<(R, Self::UpdateMark), ErrorOf<Self>>;

    /// Edits the current bindings so that they are as before the update that left `mark`.
    ///
    /// `edit` does that for bindings that have changed since. `done` is called when it is done, and
    /// before anything is dropped. Returns `false`, and changes nothing, if the current context is
    /// not the one that was updated.
    ///
    /// # Errors
    ///
    /// The carrier's or that of `edit`; the current bindings are as before then.
    ///
    /// See [`Carrier`] for an example.
    fn revert(
        &self,
        mark: &Self::UpdateMark,
        edit: impl FnOnce(&mut Bindings<Self::Heap>) -> Result<(), ErrorOf<Self>>,
        done: impl FnOnce(),
    ) -> Result<bool, ErrorOf<Self>>;
}

/// The errors of a carrier.
///
/// See [`VariableOf`] for an example.
pub type ErrorOf<C> = <<C as Carrier>::Heap as Heap>::Error;
/// The variables of a carrier.
///
/// ```
#[doc = include_str!("doc_prelude.txt")]
/// use ctxvars::context::{ResetError, ValueOf, VariableOf, reset, set};
///
/// /// Calls `f` while `variable` has `value`, whatever the carrier.
/// fn scope<C: Carrier, R>(
///     carrier: &C,
///     (variable, value): (VariableOf<C>, ValueOf<C>),
///     f: impl FnOnce() -> R,
/// ) -> Result<R, ResetError<ErrorOf<C>>> {
///     let change = set(carrier, variable, value).map_err(ResetError::Carrier)?;
///     let result = f();
///     reset(carrier, change.variable(), &change).map(|()| result)
/// }
///
/// let interpreter = Interpreter::new();
/// let inside = scope(&interpreter, (Global(1), "one"), || interpreter.get(&Global(1)));
/// assert_eq!((inside, interpreter.get(&Global(1))), (Ok(Some("one")), None));
/// ```
pub type VariableOf<C> = <<C as Carrier>::Heap as Heap>::Key;
/// The values of a carrier.
///
/// See [`VariableOf`] for an example.
pub type ValueOf<C> = <<C as Carrier>::Heap as Heap>::Value;
