//! The context of a body: entered at each of its steps, and left at each of its yields.

#![allow(unsafe_code)] // Calls the C API of contexts, which PyO3 does not wrap.

use super::context;
use super::ffi;
use super::live::{Caller, Live};
use super::object::{Object, Owned, Raised, is_true, raise_message};
use super::sharing::{FREE_THREADED, Slot};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where the body of a generator, a coroutine or an async generator runs.
pub(super) struct Body {
    /// The native context; if none was given, a copy of the current one, made at the first step.
    context: Slot,
    /// In which thread a step is made, [`NOWHERE`] if none is.
    running: AtomicUsize,
    /// Of a body whose variables follow those of its caller.
    live: Option<Box<Live>>,
}

/// Which context a body gets.
pub(super) enum Origin {
    /// This native one.
    Given(Owned),
    /// A copy of the one in which its first step is made.
    Copy,
    /// That, in which variables follow those of the caller until the body sets them.
    Live,
}

impl Origin {
    /// What the arguments `context` and `live` of Python functions say.
    ///
    /// # Safety
    ///
    /// Both are alive.
    pub(super) unsafe fn from_arguments(context: Object, live: Object) -> Result<Self, Raised> {
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
    pub(super) fn for_call(&self) -> Result<Self, Raised> {
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
    pub(super) fn reference(&self) -> Option<Object> {
        match self {
            Self::Given(context) => Some(context.as_ptr()),
            Self::Copy | Self::Live => None,
        }
    }
}

/// No thread.
const NOWHERE: usize = 0;

/// A number of this thread; with the interpreter's lock, all threads are one.
#[inline]
fn this_thread() -> usize {
    thread_local! {
        static HERE: u8 = const { 0 };
    }
    if FREE_THREADED { HERE.with(|here| ptr::from_ref(here).addr()) } else { 1 }
}

impl Body {
    pub(super) fn new(origin: Origin) -> Self {
        let (context, live) = match origin {
            Origin::Given(context) => (Some(context), None),
            Origin::Copy => (None, None),
            Origin::Live => (None, Some(Box::new(Live::new()))),
        };
        Self { context: Slot::new(context), running: AtomicUsize::new(NOWHERE), live }
    }

    /// Whether there is a context yet: if not, no step has been made.
    pub(super) fn has_context(&self) -> bool {
        self.context.visited().is_some()
    }

    fn context(&self) -> Result<Owned, Raised> {
        match self.context.get() {
            Some(context) => Ok(context),
            None => Ok(self.context.get_or_set(context::copy_of_current()?)),
        }
    }

    /// Runs `forward`, which makes the original go on, in the context of the body.
    ///
    /// An exception that `forward` leaves set stays so. One of this function means that the context
    /// could not be entered, brought up to date, or left because foreign code has switched it.
    #[inline]
    pub(super) fn step<R>(&self, forward: impl FnOnce() -> R) -> Result<R, Raised> {
        self.run(self.live.as_deref(), forward)
    }

    /// As [`step`](Self::step), for the end of a body that was dropped: whoever drops it, or is
    /// interrupted by the collector, is not its caller, and is not followed.
    pub(super) fn last_step<R>(&self, forward: impl FnOnce() -> R) -> Result<R, Raised> {
        self.run(None, forward)
    }

    /// Whether a step would be made inside of another one. Without the interpreter's lock, the
    /// context refuses those of other threads.
    #[inline]
    fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) == this_thread()
    }

    #[inline]
    fn run<R>(&self, live: Option<&Live>, forward: impl FnOnce() -> R) -> Result<R, Raised> {
        if self.is_running() {
            // Whoever makes a step inside of a step is told so by the original.
            return Ok(forward());
        }
        let context = self.context()?;
        let caller = live.map(|_| Caller::current()).transpose()?;
        // SAFETY: the context is a native one.
        unsafe { context::enter(&context)? };
        self.running.store(this_thread(), Ordering::Relaxed);
        let followed = match (live, &caller) {
            (Some(live), Some(caller)) => live.follow(caller, &context),
            _ => Ok(()),
        };
        let result = followed.map(|()| forward());
        self.running.store(NOWHERE, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { context::exit(&context)? };
        result
    }

    /// What the collector is to visit.
    pub(super) fn references(&self) -> [Option<Object>; 4] {
        let [bindings, natives, tokens] =
            self.live.as_ref().map_or([None; 3], |live| live.references());
        [self.context.visited(), bindings, natives, tokens]
    }

    /// Drops what it has come to hold since it was made, for the collector.
    pub(super) fn clear(&self) {
        self.context.set(None);
        if let Some(live) = &self.live {
            live.clear();
        }
    }
}
