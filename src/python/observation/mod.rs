//! Observing changes of variables: the recorder of `ctxvars.record`, and the hook of `ctxvars.watch`.
//!
//! | file | concept |
//! | --- | --- |
//! | `mod.rs` | the switch that says whether there are observers; what they are told |
//! | `recorder.rs` | the recorder: a ring of events, and the contexts in which they happened |
//! | `contexts.rs` | telling contexts apart |
//! | `place.rs` | the code that makes a change; the names of the thread and the task |
//! | `watch.rs` | the hook of `watch` |
//! | `functions.rs` | the functions of the module |
//!
//! The methods that are called most often are replaced while there is an observer. Other changes read
//! the switch once. Observers are told after the change is complete, with replaced values still alive:
//! dropping them may run code that makes other changes, which come later.
//!
//! An observer that fails does not change the result of an operation. An event for which memory is too
//! short is lost.

mod contexts;
mod functions;
mod place;
mod recorder;
mod watch;

pub(crate) use functions::functions;

use super::context::context;
use super::context::root_variable;
use super::context::variable::{self, VariableObject};
use super::interpreter::error::clear_exception;
use super::interpreter::free_threading::is_only_reference;
use super::interpreter::{ErrorSet, Owned, SavedError, name};
use crate::context::Version;
use place::Place;
use std::sync::atomic::{AtomicU8, Ordering};

/// The observers that are on: [`RECORDER`], [`WATCH`].
static OBSERVERS: AtomicU8 = AtomicU8::new(0);
const RECORDER: u8 = 1;
const WATCH: u8 = 2;

/// Whether there is an observer.
#[inline(always)]
pub(crate) fn is_observed() -> bool {
    OBSERVERS.load(Ordering::Relaxed) != 0
}

fn is_on(observer: u8) -> bool {
    OBSERVERS.load(Ordering::Relaxed) & observer != 0
}

fn switch(observer: u8, on: bool) {
    if on {
        OBSERVERS.fetch_or(observer, Ordering::Relaxed);
    } else {
        OBSERVERS.fetch_and(!observer, Ordering::Relaxed);
    }
    variable::observe(is_observed());
    context::observe(is_observed());
}

/// What an event is about.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Set,
    Reset,
    Delete,
    ScopeEnter,
    ScopeExit,
    Apply,
    RunEnter,
    RunExit,
    Copy,
    Wrap,
    Drop,
    Missing,
}

impl Kind {
    fn name(self) -> &'static Owned {
        match self {
            Self::Set => name!("set"),
            Self::Reset => name!("reset"),
            Self::Delete => name!("delete"),
            Self::ScopeEnter => name!("scope_enter"),
            Self::ScopeExit => name!("scope_exit"),
            Self::Apply => name!("apply"),
            Self::RunEnter => name!("run_enter"),
            Self::RunExit => name!("run_exit"),
            Self::Copy => name!("copy"),
            Self::Wrap => name!("wrap"),
            Self::Drop => name!("drop"),
            Self::Missing => name!("missing"),
        }
    }
}

/// Makes a change of `variables`, and tells the observers if it succeeds.
#[inline(always)]
pub(crate) fn changing<'a, R, E>(
    kind: Kind,
    variables: impl Iterator<Item = &'a VariableObject>,
    change: impl FnOnce() -> Result<R, E>,
) -> Result<R, E> {
    if is_observed() { observed(kind, variables, change) } else { change() }
}

#[cold]
#[inline(never)]
fn observed<'a, R, E>(
    kind: Kind,
    variables: impl Iterator<Item = &'a VariableObject>,
    change: impl FnOnce() -> Result<R, E>,
) -> Result<R, E> {
    let before = Before::of(variables);
    let result = change()?;
    if let Some(before) = before {
        before.tell(kind);
    }
    Ok(result)
}

/// What observers need to know from before a change.
struct Before {
    place: Option<Place>,
    version: Version,
    /// The variables that will change, and their values.
    first: Option<Entry>,
    others: Vec<Entry>,
}

/// A variable, and its value.
type Entry = (VariableObject, Option<Owned>);

impl Before {
    /// `None` if memory is too short, or other code has set the root variable. The change itself will
    /// find that, too.
    fn of<'a>(mut variables: impl Iterator<Item = &'a VariableObject>) -> Option<Self> {
        let entry =
            |variable: &VariableObject| Some((variable.clone(), quietly(variable.get_current())?));
        let place = Place::innermost();
        let version = quietly(current_version())?;
        let first = match variables.next() {
            Some(variable) => Some(entry(variable)?),
            None => None,
        };
        // Most changes are of one variable, and need no allocation.
        let mut others = Vec::new();
        for variable in variables {
            others.try_reserve(1).ok()?;
            others.push(entry(variable)?);
        }
        Some(Self { place, version, first, others })
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.first.iter().chain(&self.others)
    }

    fn tell(&self, kind: Kind) {
        if is_on(RECORDER) {
            let variables = self.entries().map(|(variable, _)| variable);
            recorder::record_change(kind, self.version, self.place.as_ref(), variables);
        }
        if is_on(WATCH) {
            watch::changed(kind, self.entries());
        }
    }
}

/// The result of a step that observers need only; its exception is dropped.
fn quietly<T, E>(result: Result<T, E>) -> Option<T> {
    result.map_err(|_| clear_exception()).ok()
}

fn current_version() -> Result<Version, ErrorSet> {
    let stored = root_variable::current_stored()?;
    Ok(stored.map_or(Version::EMPTY, |stored| stored.with(|bindings| bindings.version())))
}

/// Tells the recorder what happens in the current context, which changes no variable.
#[inline(always)]
pub(crate) fn note(kind: Kind) {
    if is_observed() {
        noted(kind, None);
    }
}

#[cold]
#[inline(never)]
fn noted(kind: Kind, variable: Option<&VariableObject>) {
    if is_on(RECORDER) {
        let saved = SavedError::new();
        recorder::record(kind, variable);
        saved.restore();
    }
}

/// Tells the recorder that a `get` will return a default, if it will.
#[cold]
pub(crate) fn note_default(variable: &VariableObject) {
    if let Some(None) = quietly(variable.get_current()) {
        noted(Kind::Missing, Some(variable));
    }
}

/// Tells the recorder that a `get` has found no value, and will raise.
#[cold]
pub(crate) fn note_missing(variable: &VariableObject) {
    noted(Kind::Missing, Some(variable));
}

/// Tells the recorder that the facade of a native context dies, and is its only owner.
#[inline(always)]
pub(crate) fn note_drop(native: &Owned) {
    if is_observed() {
        dropped(native);
    }
}

#[cold]
#[inline(never)]
fn dropped(native: &Owned) {
    if is_on(RECORDER) && is_only_reference(native) {
        recorder::record_drop(native.as_ptr().addr());
    }
}

/// Tells the hook of `watch` that `Context.run` has entered or left a context, unless CPython does.
pub(crate) fn run_switched() {
    if is_on(WATCH) && !watch::SEES_SWITCHES {
        watch::switched();
    }
}

/// Calls the hook for a `LookupError` of a variable, which has been raised.
#[cold]
pub(crate) fn explain_missing(variable: &VariableObject) {
    if is_on(RECORDER) {
        recorder::explain_missing(variable);
    }
}
