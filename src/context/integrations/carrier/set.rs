//! `Carrier`: the portable variables of a program, with unique names.

use super::RESERVED;
use super::deadline;
use super::headers::{Headers, HeadersMut};
use super::portable::{Declared, Level, Portable};
use super::received::Received;
use super::receiving::Receiving;
use super::sending::{InjectError, Sending};
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A set of portable variables, which writes their values into headers and reads them.
///
/// A program usually has one, in a `static`: see [the module](super) for an example. The
/// [`Deadline`](super::Deadline) belongs to each carrier.
pub struct Carrier {
    declared: Vec<Box<dyn Declared>>,
    /// The places in `declared`.
    by_name: HashMap<&'static str, usize>,
}

impl Carrier {
    /// A carrier without variables, to which variables can be added. O(1).
    ///
    /// See [the module](super) for an example.
    pub const fn builder() -> CarrierBuilder {
        CarrierBuilder { declared: Vec::new() }
    }

    /// Writes the values of the current context into headers, as one header `baggage`.
    /// O(variables + length).
    ///
    /// `to` says where the headers are sent. [`Level::Internal`] leaves out the variables of
    /// [`Level::Process`], and [`Level::Public`] leaves out all but those of this level. Members that
    /// the header has already stay, unless a variable replaces them or they do not fit. Without a
    /// value to send, the headers are not changed.
    ///
    /// # Errors
    ///
    /// The header would exceed the limits of 64 members and 8192 bytes. The headers are unchanged.
    ///
    /// See [the module](super) for an example.
    pub fn inject(&self, headers: &mut impl HeadersMut, to: Level) -> Result<(), InjectError> {
        self.sending(to).inject(headers)
    }

    /// As [`inject`](Self::inject), with options. O(1).
    ///
    /// ```
    /// use ctxvars::ContextVar;
    /// use ctxvars::carrier::{Carrier, Level, Portable};
    ///
    /// static TENANT: ContextVar<String> = ContextVar::new("tenant");
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let carrier = Carrier::builder().with(Portable::new(&TENANT, "acme.tenant")).build()?;
    /// let received = carrier.extract(&[("baggage", "acme.tenant=globex,userId=alice")], Level::Internal);
    /// let _received = received.enter();
    /// let sent = carrier.sending(Level::Internal).foreign(received.foreign()).value()?;
    /// assert_eq!(sent.as_deref(), Some("acme.tenant=globex,userId=alice"));
    /// # Ok(())
    /// # }
    /// ```
    pub const fn sending(&self, to: Level) -> Sending<'_> {
        Sending::new(self, to)
    }

    /// Reads the values of the variables from headers. O(variables + length).
    ///
    /// `accept` has the variables that the sender may set: a [`Level`], which accepts all variables that
    /// are declared to travel there, or the result of [`accept`](Self::accept).
    ///
    /// No content of a header is an error: see [hostile headers](super#hostile-headers).
    ///
    /// See [the module](super) for an example.
    pub fn extract<H>(&self, headers: &H, accept: impl Into<Accept>) -> Received
    where
        H: Headers + ?Sized,
    {
        self.receiving(accept).extract(headers)
    }

    /// As [`extract`](Self::extract), with options. O(1).
    ///
    /// ```
    /// use ctxvars::ContextVar;
    /// use ctxvars::carrier::{Carrier, Level, Portable};
    ///
    /// static TENANT: ContextVar<String> = ContextVar::new("tenant");
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let carrier = Carrier::builder().with(Portable::new(&TENANT, "acme.tenant")).build()?;
    /// let _tenant = TENANT.enter("globex".to_owned());
    /// let receiving = carrier.receiving(Level::Internal).clear_missing(false);
    /// receiving.extract_values(["userId=alice"]).scope(|| assert!(TENANT.is_set()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn receiving(&self, accept: impl Into<Accept>) -> Receiving<'_> {
        Receiving::new(self, accept.into())
    }

    /// The variables with these names, to be accepted by [`extract`](Self::extract). O(names).
    ///
    /// At the edge to the public, accept the variables that a client may set. Make the list once: a
    /// clone is O(1).
    ///
    /// # Errors
    ///
    /// There is no variable with one of these names.
    ///
    /// ```
    /// use ctxvars::ContextVar;
    /// use ctxvars::carrier::{Carrier, Portable, Reason};
    ///
    /// static TENANT: ContextVar<String> = ContextVar::new("tenant");
    /// static LOCALE: ContextVar<String> = ContextVar::new("locale");
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let carrier = Carrier::builder()
    ///     .with(Portable::new(&TENANT, "acme.tenant"))
    ///     .with(Portable::new(&LOCALE, "acme.locale"))
    ///     .build()?;
    /// let edge = carrier.accept(["acme.locale"])?;
    /// let forged = [("baggage", "acme.tenant=acme,acme.locale=fr")];
    /// let received = carrier.extract(&forged, &edge);
    /// assert_eq!(received.get(&LOCALE).map(String::as_str), Some("fr"));
    /// assert_eq!(received.get(&TENANT), None);
    /// assert_eq!(received.errors()[0].reason, Reason::NotAccepted);
    /// # Ok(())
    /// # }
    /// ```
    pub fn accept<N>(&self, names: impl IntoIterator<Item = N>) -> Result<Accept, UnknownName>
    where
        N: AsRef<str>,
    {
        let known = |name: N| match self.by_name.get_key_value(name.as_ref()) {
            Some((name, _)) => Ok(*name),
            None => Err(UnknownName(name.as_ref().to_owned())),
        };
        let names: HashSet<_> = names.into_iter().map(known).collect::<Result<_, _>>()?;
        Ok(Accept(Accepted::Names(Arc::new(names))))
    }

    pub(super) fn declared(&self) -> &[Box<dyn Declared>] {
        &self.declared
    }

    /// The place of a variable in [`declared`](Self::declared). O(length).
    pub(super) fn place_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carrier ")?;
        f.debug_set().entries(self.declared.iter().map(|each| each.name())).finish()
    }
}

/// Adds variables to a [`Carrier`], and checks them.
#[must_use = "the carrier is made by `build`"]
pub struct CarrierBuilder {
    declared: Vec<Box<dyn Declared>>,
}

impl CarrierBuilder {
    /// Adds a variable. O(1).
    ///
    /// See [the module](super) for an example.
    pub fn with<T: Send + Sync + 'static>(mut self, portable: Portable<T>) -> Self {
        self.declared.push(Box::new(portable));
        self
    }

    /// The carrier. O(variables).
    ///
    /// # Errors
    ///
    /// A name is not a token, begins with `ctxvars.`, or is the name of two variables; a variable has two
    /// names; or a version is out of range or has two decoders. The message names the variables.
    ///
    /// ```
    /// use ctxvars::ContextVar;
    /// use ctxvars::carrier::{Carrier, Portable};
    ///
    /// static TENANT: ContextVar<String> = ContextVar::new("tenant");
    /// static CUSTOMER: ContextVar<String> = ContextVar::new("customer");
    ///
    /// let error = Carrier::builder()
    ///     .with(Portable::new(&TENANT, "acme.tenant"))
    ///     .with(Portable::new(&CUSTOMER, "acme.tenant"))
    ///     .build()
    ///     .unwrap_err();
    /// assert!(error.to_string().starts_with(r#"the portable name "acme.tenant" is already taken"#));
    /// ```
    pub fn build(mut self) -> Result<Carrier, DeclarationError> {
        for each in &self.declared {
            each.check()?;
            if each.name().starts_with(RESERVED) {
                return Err(DeclarationError::new(format!(
                    "the portable name {:?} is reserved: it begins with {RESERVED:?}",
                    each.name()
                )));
            }
        }
        self = self.with(deadline::portable());
        let mut by_name = HashMap::new();
        let mut by_variable = HashMap::new();
        for (place, each) in self.declared.iter().enumerate() {
            let name = each.name();
            if let Some(other) = by_name.insert(name, place) {
                return Err(DeclarationError::new(format!(
                    "the portable name {name:?} is already taken: {} cannot have it, because it belongs \
                     to {}",
                    each.owner(),
                    self.declared[other].owner()
                )));
            }
            if let Some(other) = by_variable.insert(each.variable(), name) {
                return Err(DeclarationError::new(format!(
                    "{} cannot be portable as {name:?}: it is portable as {other:?} already",
                    each.owner()
                )));
            }
        }
        Ok(Carrier { declared: self.declared, by_name })
    }
}

impl fmt::Debug for CarrierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CarrierBuilder ")?;
        f.debug_list().entries(self.declared.iter().map(|each| each.name())).finish()
    }
}

/// The variables that the sender of a header may set: a [`Level`], or names from
/// [`Carrier::accept`].
#[derive(Clone, Debug)]
pub struct Accept(Accepted);

#[derive(Clone, Debug)]
enum Accepted {
    Level(Level),
    Names(Arc<HashSet<&'static str>>),
}

impl Accept {
    /// Whether the sender may set a variable. O(length of the name).
    pub(super) fn includes(&self, declared: &dyn Declared) -> bool {
        match &self.0 {
            Accepted::Level(level) => declared.level() >= *level,
            Accepted::Names(names) => names.contains(declared.name()),
        }
    }
}

/// All variables that are declared to travel to the level.
impl From<Level> for Accept {
    fn from(level: Level) -> Self {
        Self(Accepted::Level(level))
    }
}

/// A clone, in O(1).
impl From<&Self> for Accept {
    fn from(accept: &Self) -> Self {
        accept.clone()
    }
}

/// The error of [`CarrierBuilder::build`]: a declaration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclarationError(String);

impl DeclarationError {
    pub(super) const fn new(message: String) -> Self {
        Self(message)
    }
}

impl fmt::Display for DeclarationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for DeclarationError {}

/// The error of [`Carrier::accept`]: a name that the carrier does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName(String);

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} cannot be accepted: it is not a portable variable of this carrier", self.0)
    }
}

impl Error for UnknownName {}
