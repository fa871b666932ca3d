//! The context of a body: entered at each of its steps, and left at each of its yields.

#![allow(unsafe_code)] // Calls the C API of contexts, which PyO3 does not wrap.

use crate::python::context::context;
use crate::python::context::entered::{Entered, is_current};
use crate::python::interpreter::free_threading::{FREE_THREADED, SharedRef};
use crate::python::interpreter::{ErrorSet, Owned, RawObject, ffi, is_true, raise_message};
use crate::python::isolation::inherit_live::{Caller, Live};
use std::sync::atomic::{AtomicU8, Ordering};

/// Where the body of a generator, a coroutine or an async generator runs.
pub(crate) struct Body {
    /// The native context; if none was given, a copy of the current one, made at the first step.
    context: SharedRef,
    /// [`SUSPENDED`], [`RUNNING`] or [`ENDED`].
    state: AtomicU8,
    /// Of a body whose variables follow those of its caller.
    live: Option<Box<Live>>,
}

/// Which context a body gets.
pub(crate) enum ContextSource {
    /// This native one.
    Given(Owned),
    /// A copy of the one in which its first step is made.
    Copy,
    /// That, in which variables follow those of the caller until the body sets them.
    Live,
}

impl ContextSource {
    /// What the arguments `context` and `live` of Python functions say.
    ///
    /// # Safety
    ///
    /// Both are alive.
    pub(crate) unsafe fn from_arguments(
        context: RawObject,
        live: RawObject,
    ) -> Result<Self, ErrorSet> {
        // SAFETY: as the caller promises.
        let (context, live) = unsafe { (context::native_or_none(context)?, is_true(live)?) };
        match (context, live) {
            (Some(context), false) => Ok(Self::Given(context)),
            (None, false) => Ok(Self::Copy),
            (None, true) => Ok(Self::Live),
            (Some(_), true) => {
                let message = c"a body in a context that is given cannot follow its caller";
                // SAFETY: exceptions live as long as the interpreter.
                Err(raise_message(unsafe { ffi::PyExc_ValueError }, message))
            }
        }
    }

    /// Another one for each call of a function: a context that is given is copied.
    pub(crate) fn for_call(&self) -> Result<Self, ErrorSet> {
        Ok(match self {
            Self::Given(context) => {
                // SAFETY: the context is alive, and a native one.
                Self::Given(unsafe { context::copy_of(context)? })
            }
            Self::Copy => Self::Copy,
            Self::Live => Self::Live,
        })
    }

    /// What the collector is to visit.
    pub(crate) fn reference(&self) -> Option<RawObject> {
        match self {
            Self::Given(context) => Some(context.as_ptr()),
            Self::Copy | Self::Live => None,
        }
    }
}

/// Between two steps.
const SUSPENDED: u8 = 0;
/// In a step, which some thread makes.
const RUNNING: u8 = 1;
/// The original has ended, and the context is released.
const ENDED: u8 = 2;

/// The state of a body during a step, which ends with the step however that ends.
struct Running<'a>(&'a AtomicU8);

impl<'a> Running<'a> {
    #[inline]
    fn new(state: &'a AtomicU8) -> Self {
        state.store(RUNNING, Ordering::Relaxed);
        Self(state)
    }
}

impl Drop for Running<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.store(SUSPENDED, Ordering::Relaxed);
    }
}

impl Body {
    pub(crate) fn new(origin: ContextSource) -> Self {
        let (context, live) = match origin {
            ContextSource::Given(context) => (Some(context), None),
            ContextSource::Copy => (None, None),
            ContextSource::Live => (None, Some(Box::new(Live::new()))),
        };
        Self { context: SharedRef::new(context), state: AtomicU8::new(SUSPENDED), live }
    }

    /// Whether there is a context: there is none before the first step, and after the last one.
    pub(crate) fn has_context(&self) -> bool {
        self.context.visited().is_some()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ENDED
    }

    /// Releases the context, because the original has ended. Runs user code, as each release does.
    pub(crate) fn end(&self) {
        self.state.store(ENDED, Ordering::Relaxed);
        self.context.set(None);
        if let Some(live) = &self.live {
            live.clear();
        }
    }

    /// Runs `forward`, which resumes the original, in the context of the body.
    ///
    /// The exception is that of `forward`, or says that the context could not be entered, brought up
    /// to date or left. `refuses` reports whether the original refuses to be resumed now by itself.
    #[inline]
    pub(crate) fn step<R>(
        &self,
        refuses: impl FnOnce() -> Result<bool, ErrorSet>,
        forward: impl FnOnce() -> Result<R, ErrorSet>,
    ) -> Result<R, ErrorSet> {
        self.run(self.live.as_deref(), refuses, forward)
    }

    /// As [`step`](Self::step), for the end of a body that was dropped: the code that drops it, or
    /// is interrupted by the collector, is not its caller, and is not followed.
    pub(crate) fn last_step<R>(
        &self,
        forward: impl FnOnce() -> Result<R, ErrorSet>,
    ) -> Result<R, ErrorSet> {
        self.run(None, || Ok(false), forward)
    }

    #[inline]
    fn run<R>(
        &self,
        live: Option<&Live>,
        refuses: impl FnOnce() -> Result<bool, ErrorSet>,
        forward: impl FnOnce() -> Result<R, ErrorSet>,
    ) -> Result<R, ErrorSet> {
        let context = match self.context.get() {
            Some(context) => context,
            // The original runs no more code of the user.
            None if self.has_ended() => return forward(),
            None => self.context.get_or_set(context::copy_of_current()?),
        };
        let caller = live.map(|_| Caller::current()).transpose()?;
        // SAFETY: the context is a native one.
        let Ok(entered) = (unsafe { Entered::new(&context) }) else {
            return self.step_inside_of_step(&context, refuses, forward);
        };
        entered.run(|| {
            let _running = Running::new(&self.state);
            match (live, caller) {
                (Some(live), Some(caller)) => live.step(caller, &context, forward),
                _ => forward(),
            }
        })
    }

    /// A step whose context cannot be entered, because it is entered already: an exception is set.
    ///
    /// It is right to make the step nevertheless where the body itself makes it, in its context.
    /// From another thread, or from another context that the body has entered, it would run outside
    /// of the context.
    #[cold]
    fn step_inside_of_step<R>(
        &self,
        context: &Owned,
        refuses: impl FnOnce() -> Result<bool, ErrorSet>,
        forward: impl FnOnce() -> Result<R, ErrorSet>,
    ) -> Result<R, ErrorSet> {
        if self.state.load(Ordering::Relaxed) != RUNNING {
            return Err(ErrorSet); // other code has entered the context
        }
        let error = ErrorSet.take();
        // SAFETY: the context is a native one.
        if unsafe { is_current(context)? } || (!FREE_THREADED && refuses()?) {
            return forward();
        }
        Err(error.map_or(ErrorSet, ErrorSet::restore))
    }

    /// What the collector is to visit.
    pub(crate) fn references(&self) -> [Option<RawObject>; 4] {
        let [bindings, natives, tokens] =
            self.live.as_ref().map_or([None; 3], |live| live.references());
        [self.context.visited(), bindings, natives, tokens]
    }

    /// Drops what it has come to hold since it was made, for the collector.
    pub(crate) fn clear(&self) {
        self.context.set(None);
        if let Some(live) = &self.live {
            live.clear();
        }
    }
}
