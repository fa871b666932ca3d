//! The context of a body: entered at each of its steps, and left at each of its yields.

use super::inherit_live::{Caller, Live};
use crate::python::context::entered::{Entered, is_current};
use crate::python::context::{context, native};
use crate::python::interpreter::free_threading::{FREE_THREADED, SharedRef};
use crate::python::interpreter::{ErrorSet, Exception, Owned, RawObject, raise_message};
use std::sync::atomic::{AtomicU8, Ordering};

/// The context and the state of the body of a generator, a coroutine or an async generator.
pub(crate) struct Body {
    /// The native context. If none was given, the first step copies the current one.
    context: SharedRef,
    /// [`SUSPENDED`], [`RUNNING`] or [`ENDED`].
    state: AtomicU8,
    /// For a body whose variables follow those of its caller.
    live: Option<Box<Live>>,
}

/// The source of the context of a body.
pub(crate) enum ContextSource {
    /// This native context.
    Given(Owned),
    /// A copy of the context in which the first step is made.
    Copy,
    /// As `Copy`, but variables follow those of the caller until the body sets them.
    Live,
}

impl ContextSource {
    /// The source according to the arguments `context` and `live` of Python functions.
    pub(crate) fn from_arguments(context: &Owned, live: &Owned) -> Result<Self, ErrorSet> {
        let (context, live) = (context::native_or_none(context)?, live.is_true()?);
        match (context, live) {
            (Some(context), false) => Ok(Self::Given(context)),
            (None, false) => Ok(Self::Copy),
            (None, true) => Ok(Self::Live),
            (Some(_), true) => {
                let message = c"a body in a context that is given cannot follow its caller";
                Err(raise_message(Exception::ValueError, message))
            }
        }
    }

    /// The source for one call of a function, for which a given context is copied.
    pub(crate) fn for_call(&self) -> Result<Self, ErrorSet> {
        Ok(match self {
            Self::Given(context) => Self::Given(native::copy_of(context)?),
            Self::Copy => Self::Copy,
            Self::Live => Self::Live,
        })
    }

    /// The references for the garbage collector.
    pub(crate) fn reference(&self) -> Option<RawObject> {
        match self {
            Self::Given(context) => Some(context.as_ptr()),
            Self::Copy | Self::Live => None,
        }
    }
}

/// Between two steps.
const SUSPENDED: u8 = 0;
/// In a step of some thread.
const RUNNING: u8 = 1;
/// The original has ended, and the context is released.
const ENDED: u8 = 2;

/// Marks a body as running until it is dropped, at the end of the step.
struct Running<'a>(&'a AtomicU8);

impl<'a> Running<'a> {
    #[inline(always)]
    fn new(state: &'a AtomicU8) -> Self {
        state.store(RUNNING, Ordering::Relaxed);
        Self(state)
    }
}

impl Drop for Running<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.store(SUSPENDED, Ordering::Relaxed);
    }
}

impl Body {
    pub(crate) fn new(source: ContextSource) -> Self {
        let (context, live) = match source {
            ContextSource::Given(context) => (Some(context), None),
            ContextSource::Copy => (None, None),
            ContextSource::Live => (None, Some(Box::new(Live::new()))),
        };
        Self { context: SharedRef::new(context), state: AtomicU8::new(SUSPENDED), live }
    }

    /// Whether there is a context: from the first step to the last one.
    pub(crate) fn has_context(&self) -> bool {
        self.context.visited().is_some()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ENDED
    }

    /// Releases the context, because the original has ended. This may run finalizers.
    pub(crate) fn end(&self) {
        self.state.store(ENDED, Ordering::Relaxed);
        self.context.set(None);
        if let Some(live) = &self.live {
            live.clear();
        }
    }

    /// Runs `forward`, which resumes the original, in the context of the body.
    ///
    /// The exception is that of `forward`, or of the failure to enter, update or leave the context.
    /// `refuses` reports whether the original itself refuses to be resumed now.
    #[inline(always)]
    pub(crate) fn step<R>(
        &self,
        refuses: impl FnOnce() -> Result<bool, ErrorSet>,
        forward: impl FnOnce() -> Result<R, ErrorSet>,
    ) -> Result<R, ErrorSet> {
        self.run(self.live.as_deref(), refuses, forward)
    }

    /// As [`step`](Self::step), for the end of a body that was dropped. Its variables do not follow
    /// those of the code that drops it, or that the garbage collector interrupts: such code is not
    /// its caller.
    pub(crate) fn last_step<R>(
        &self,
        forward: impl FnOnce() -> Result<R, ErrorSet>,
    ) -> Result<R, ErrorSet> {
        self.run(None, || Ok(false), forward)
    }

    #[inline(always)]
    fn run<R>(
        &self,
        live: Option<&Live>,
        refuses: impl FnOnce() -> Result<bool, ErrorSet>,
        forward: impl FnOnce() -> Result<R, ErrorSet>,
    ) -> Result<R, ErrorSet> {
        let context = match self.context.get() {
            Some(context) => context,
            // The original has ended, so it runs no more user code.
            None if self.has_ended() => return forward(),
            None => self.context.get_or_set(native::copy_of_current()?),
        };
        let caller = live.map(|_| Caller::current()).transpose()?;
        let Ok(entered) = Entered::new(&context) else {
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

    /// A step whose context cannot be entered, because it is entered already. An exception is set.
    ///
    /// If the body itself makes the step, in its context, the step is right nevertheless. From
    /// another thread, or from another context that the body has entered, it would run outside of
    /// the context.
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
        if is_current(context)? || (!FREE_THREADED && refuses()?) {
            return forward();
        }
        Err(error.map_or(ErrorSet, ErrorSet::restore))
    }

    /// The references for the garbage collector.
    pub(crate) fn references(&self) -> [Option<RawObject>; 4] {
        let [bindings, natives, tokens] =
            self.live.as_ref().map_or([None; 3], |live| live.references());
        [self.context.visited(), bindings, natives, tokens]
    }

    /// Drops the references that it has received since it was made, to break cycles.
    pub(crate) fn clear(&self) {
        self.context.set(None);
        if let Some(live) = &self.live {
            live.clear();
        }
    }
}
