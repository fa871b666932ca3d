//! `Entered`, a guard that restores a variable when it is dropped.
//!
//! Guards may be dropped in any order. So a thread has a list of its live guards, the *layers*. If a
//! guard is dropped before a later guard of the same variable in the same context, it passes its old
//! value on: the later guard restores this value instead.

use super::carrier::ThreadLocal;
use super::variable::ContextVar;
use crate::context::change::{self, Change};
use crate::context::version::Version;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem;

/// The change by a live guard.
struct Layer {
    guard: Version,
    change: Change<ThreadLocal>,
}

thread_local! {
    /// The layers of a thread, in the order in which they were entered.
    static LAYERS: RefCell<Vec<Layer>> = const { RefCell::new(Vec::new()) };
}

/// Restores the old value of a variable when it is dropped: see [`ContextVar::enter`].
#[must_use = "the old value is restored when the guard is dropped, here at once"]
pub struct Entered<'a, T> {
    /// Identifies the layer.
    guard: Version,
    variable: PhantomData<&'a ContextVar<T>>,
    /// The layer belongs to the thread.
    not_send: PhantomData<*const ()>,
}

impl<T> Entered<'_, T> {
    /// The guard of a change that has just been made.
    pub(super) fn new(change: Change<ThreadLocal>) -> Self {
        let guard = Version::next();
        // An error means that the thread is ending: the guard restores nothing.
        let _ = LAYERS.try_with(|layers| layers.borrow_mut().push(Layer { guard, change }));
        Self { guard, variable: PhantomData, not_send: PhantomData }
    }
}

impl<T> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        // An error means that the thread is ending, and that its context has been dropped or will be.
        let removed = LAYERS.try_with(|layers| remove(&mut layers.borrow_mut(), self.guard));
        // The list is not borrowed here, because destructors of values may run user code.
        if let Ok(Some(Removed::Last(change))) = removed {
            // An error means that another context is current: it is left as it is.
            let _ = change::reset(&ThreadLocal, change.variable(), &change);
        }
    }
}

/// A change that was taken out of the list.
enum Removed {
    /// It is to be undone.
    Last(Change<ThreadLocal>),
    /// A later guard will restore the value from before both of them.
    Passed(#[expect(dead_code, reason = "it is dropped by the caller")] Change<ThreadLocal>),
}

/// Removes the layer of `guard`. O(1) for the last layer, otherwise O(number of later layers).
fn remove(layers: &mut Vec<Layer>, guard: Version) -> Option<Removed> {
    let place = layers.iter().rposition(|layer| layer.guard == guard)?;
    let mut change = layers.remove(place).change;
    let later = layers[place..].iter_mut().find(|layer| {
        let later = &layer.change;
        later.variable() == change.variable() && later.mark() == change.mark()
    });
    Some(match later {
        // The two changes differ in their old values only.
        Some(later) => {
            mem::swap(&mut later.change, &mut change);
            Removed::Passed(change)
        }
        None => Removed::Last(change),
    })
}

impl<T> fmt::Debug for Entered<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}
