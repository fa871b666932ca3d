//! Using the values of a header.

use super::deadline;
use crate::context::local::{Assignment, EnteredAll};
use crate::context::{Context, ContextVar};
use std::fmt;

/// The values of a header, and what was dropped: the result of
/// [`Carrier::extract`](super::Carrier::extract).
///
/// The values are used by one of these methods, any number of times:
///
/// | method | the values are set |
/// | --- | --- |
/// | [`scope`](Self::scope) | while a function runs |
/// | [`enter`](Self::enter) | until a guard is dropped |
/// | [`context`](Self::context), [`apply_to`](Self::apply_to) | in a context, for a future or another thread |
///
/// A variable of the carrier that was not received is unset there, and has its default or no value, unless
/// [`clear_missing`](super::Receiving::clear_missing) is false. Each method takes O(k log n), for `k`
/// variables of the carrier.
#[must_use = "the values are set by `scope`, `enter` or `context`"]
pub struct Received {
    values: Vec<Assignment>,
    /// Unsets the other variables of the carrier, if they are to lose their values.
    missing: Vec<Assignment>,
    clear_missing: bool,
    errors: Vec<Dropped>,
    foreign: Vec<String>,
}

impl Received {
    pub(super) const fn new(
        values: Vec<Assignment>,
        missing: Vec<Assignment>,
        clear_missing: bool,
        errors: Vec<Dropped>,
        foreign: Vec<String>,
    ) -> Self {
        Self { values, missing, clear_missing, errors, foreign }
    }

    /// The received value of `variable`, or `None`. O(values).
    ///
    /// See [`Carrier::accept`](super::Carrier::accept) for an example.
    pub fn get<T: Send + Sync + 'static>(&self, variable: &ContextVar<T>) -> Option<&T> {
        self.values.iter().find_map(|each| each.value_of(variable))
    }

    /// Everything that was dropped. O(1).
    ///
    /// Write it to a log or a metric: it has the names of declared variables only, and no values. A
    /// sender chooses how often it occurs.
    ///
    /// See [`Carrier::accept`](super::Carrier::accept) for an example.
    pub fn errors(&self) -> &[Dropped] {
        &self.errors
    }

    /// The members of variables that the carrier does not have, for
    /// [`Sending::foreign`](super::Sending::foreign). O(1).
    ///
    /// See [`Carrier::sending`](super::Carrier::sending) for an example.
    pub fn foreign(&self) -> &[String] {
        &self.foreign
    }

    /// Runs `function` with the received values in the current context, and returns its result.
    ///
    /// The old values are restored when `function` returns or panics. Do not return a future from
    /// `function`: use [`context`](Self::context).
    ///
    /// See [the module](super) for an example.
    pub fn scope<R>(&self, function: impl FnOnce() -> R) -> R {
        let _entered = self.enter();
        function()
    }

    /// Sets the received values in the current context until the returned guard is dropped.
    ///
    /// The rules are those of [`ContextVar::enter`]: guards may be dropped in any order, and a guard
    /// that is dropped in another context changes nothing. Do not hold the guard across an await: use
    /// [`context`](Self::context).
    ///
    /// ```
    /// use ctxvars::ContextVar;
    /// use ctxvars::carrier::{Carrier, Level, Portable};
    ///
    /// static TENANT: ContextVar<String> = ContextVar::new("tenant");
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let carrier = Carrier::builder().with(Portable::new(&TENANT, "acme.tenant")).build()?;
    /// let entered = carrier.extract(&[("baggage", "acme.tenant=globex")], Level::Internal).enter();
    /// assert_eq!(TENANT.get().as_deref(), Some("globex"));
    /// drop(entered);
    /// assert_eq!(TENANT.get(), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn enter(&self) -> Entered {
        let mut entered = EnteredAll::default();
        let current = deadline::current();
        self.assignments(current).for_each(|each| entered.push(each));
        Entered { _all: entered }
    }

    /// A copy of the current context with the received values.
    ///
    /// See [the module](super#requests-in-async-code) for an example.
    #[must_use = "the returned context has the values, not the current one"]
    pub fn context(&self) -> Context {
        self.apply_to(Context::current())
    }

    /// Returns the context with the received values.
    ///
    /// ```
    /// use ctxvars::{Context, ContextVar};
    /// use ctxvars::carrier::{Carrier, Level, Portable};
    ///
    /// static TENANT: ContextVar<String> = ContextVar::new("tenant");
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let carrier = Carrier::builder().with(Portable::new(&TENANT, "acme.tenant")).build()?;
    /// let received = carrier.extract(&[("baggage", "acme.tenant=globex")], Level::Internal);
    /// let context = received.apply_to(Context::new());
    /// assert_eq!(context.get(&TENANT).map(String::as_str), Some("globex"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "the returned context has the values, not the current one"]
    pub fn apply_to(&self, mut context: Context) -> Context {
        let current = deadline::of(&context);
        self.assignments(current).for_each(|each| each.apply_to(&mut context));
        context
    }

    /// All assignments, where `current` is the deadline.
    fn assignments(&self, current: Option<super::Deadline>) -> impl Iterator<Item = &Assignment> {
        let kept = current.filter(|_| !self.clear_missing);
        let is_later = move |each: &&Assignment| {
            let received = each.value_of(&deadline::DEADLINE);
            kept.zip(received).is_some_and(|(kept, received)| kept < *received)
        };
        self.missing.iter().chain(self.values.iter().filter(move |each| !is_later(each)))
    }
}

/// Without the values, which may be secret.
impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("values", &self.values)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

/// Restores the values from before [`Received::enter`] when it is dropped.
#[derive(Debug)]
#[must_use = "the old values are restored when the guard is dropped, here at once"]
pub struct Entered {
    _all: EnteredAll,
}

/// Something in a header that was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The name of a variable of the carrier; `None` for members without one.
    pub name: Option<&'static str>,
    /// Why it was dropped.
    pub reason: Reason,
    /// How many members were dropped.
    pub members: usize,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "dropped the portable variable {name:?}: {}", self.reason),
            None => write!(f, "dropped {} members of a header: {}", self.members, self.reason),
        }
    }
}

/// Why a member of a header was dropped. The output of `Display` is that of the Python package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It is beyond the limit of 64 members or 8192 bytes.
    Limit,
    /// It violates the grammar.
    Syntax,
    /// Another member has the same name and another value.
    Repeated,
    /// The receiver does not accept the variable.
    NotAccepted,
    /// Its version has no decoder.
    Version,
    /// The codec or the validation has refused it.
    Value,
    /// A valid signature does not cover it.
    Signature,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limit => "limit",
            Self::Syntax => "syntax",
            Self::Repeated => "repeated",
            Self::NotAccepted => "not accepted",
            Self::Version => "version",
            Self::Value => "value",
            Self::Signature => "signature",
        })
    }
}

/// The values of a request can be sent to the thread that handles it.
const _: () = {
    const fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<Received>();
};
