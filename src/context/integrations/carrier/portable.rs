//! `Portable` and `Level`: how a variable travels.

use super::baggage::{MAX_VERSION, is_token};
use super::codec::Codec;
use super::received::Reason;
use super::set::DeclarationError;
use crate::context::ContextVar;
use crate::context::local::Assignment;
use std::fmt;
use std::panic::Location;
use std::ptr;

/// How far values may travel, from near to far.
///
/// The level of a variable is the farthest place that its values may reach, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Other processes of the same program.
    Process,
    /// Services of the same owner: the default of a variable.
    Internal,
    /// Everywhere.
    Public,
}

type Encode<T> = Box<dyn Fn(&T) -> String + Send + Sync>;
type Decode<T> = Box<dyn Fn(&str) -> Option<T> + Send + Sync>;
type Validate<T> = Box<dyn Fn(&T) -> bool + Send + Sync>;

/// How a variable travels: its name in headers, its codec, and how far it may go.
///
/// [`CarrierBuilder::with`](super::CarrierBuilder::with) adds it to a carrier, and
/// [`build`](super::CarrierBuilder::build) checks it.
///
/// ```
/// use ctxvars::ContextVar;
/// use ctxvars::carrier::{Level, Portable};
///
/// static DEPTH: ContextVar<u32> = ContextVar::new("depth");
///
/// let depth = Portable::new(&DEPTH, "acme.depth")
///     .to(Level::Public)
///     .validate(|depth| *depth < 100)
///     .version(2)
///     .older(1, |text| u32::try_from(text.len()).ok());
/// assert_eq!(format!("{depth:?}"), r#"Portable { name: "acme.depth", to: Public, version: 2, .. }"#);
/// ```
#[must_use = "a variable is portable in a carrier only: see `CarrierBuilder::with`"]
pub struct Portable<T: 'static> {
    variable: &'static ContextVar<T>,
    name: &'static str,
    to: Level,
    version: u16,
    encode: Encode<T>,
    decode: Decode<T>,
    /// The decoders of earlier versions.
    older: Vec<(u16, Decode<T>)>,
    validate: Option<Validate<T>>,
    declared_at: &'static Location<'static>,
}

impl<T: Send + Sync + 'static> Portable<T> {
    /// The variable travels under this name, with the codec of its type. O(1).
    ///
    /// The name is a token of HTTP with at most 256 characters. Begin it with the name of your
    /// organisation, as in `acme.tenant`.
    ///
    /// See [`Portable`] for an example.
    #[track_caller]
    pub fn new(variable: &'static ContextVar<T>, name: &'static str) -> Self
    where
        T: Codec,
    {
        Self::with_codec(variable, name, T::encode, T::decode)
    }

    /// The variable travels under this name, with two functions as its codec. O(1).
    ///
    /// `decode` gets text from other machines: it returns `None` to refuse it, and should take linear
    /// time and not panic.
    ///
    /// ```
    /// use ctxvars::ContextVar;
    /// use ctxvars::carrier::Portable;
    /// use std::net::IpAddr;
    ///
    /// static CLIENT: ContextVar<IpAddr> = ContextVar::new("client");
    ///
    /// Portable::with_codec(&CLIENT, "acme.client", IpAddr::to_string, |text| text.parse().ok());
    /// ```
    #[track_caller]
    pub fn with_codec(
        variable: &'static ContextVar<T>,
        name: &'static str,
        encode: impl Fn(&T) -> String + Send + Sync + 'static,
        decode: impl Fn(&str) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        Self {
            variable,
            name,
            to: Level::Internal,
            version: 1,
            encode: Box::new(encode),
            decode: Box::new(decode),
            older: Vec::new(),
            validate: None,
            declared_at: Location::caller(),
        }
    }

    /// The farthest place that values may reach; without it, [`Level::Internal`]. O(1).
    ///
    /// See [`Portable`] for an example.
    pub fn to(mut self, level: Level) -> Self {
        self.to = level;
        self
    }

    /// The version of the encoding, from 1 to 9999. It is sent as `;v=2`, unless it is 1. O(1).
    ///
    /// See [`Portable`] for an example.
    pub fn version(mut self, version: u16) -> Self {
        self.version = version;
        self
    }

    /// Reads values of an earlier version. Versions without a decoder are dropped. O(1).
    ///
    /// See [`Portable`] for an example.
    pub fn older(
        mut self,
        version: u16,
        decode: impl Fn(&str) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        self.older.push((version, Box::new(decode)));
        self
    }

    /// Drops received values for which `validate` returns `false`. O(1).
    ///
    /// See [`Portable`] for an example.
    pub fn validate(mut self, validate: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.validate = Some(Box::new(validate));
        self
    }
}

impl<T> fmt::Debug for Portable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portable")
            .field("name", &self.name)
            .field("to", &self.to)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The longest name, in bytes.
const MAX_NAME: usize = 256;

/// A [`Portable`] without its type.
pub(super) trait Declared: Send + Sync {
    fn name(&self) -> &'static str;

    fn level(&self) -> Level;

    fn version(&self) -> u16;

    /// The address of the variable, by which it is compared.
    fn variable(&self) -> *const ();

    /// How error messages name the declaration.
    fn owner(&self) -> String;

    /// Checks all that does not depend on other declarations. O(length of the name + versions).
    fn check(&self) -> Result<(), DeclarationError>;

    /// The text of the value in the current context, unless only a default is there.
    fn encode_current(&self) -> Option<String>;

    /// Sets the variable to the value of a text.
    fn decode(&self, version: u16, text: &str) -> Result<Assignment, Reason>;

    /// Unsets the variable.
    fn unset(&self) -> Assignment;
}

impl<T: Send + Sync + 'static> Declared for Portable<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn level(&self) -> Level {
        self.to
    }

    fn version(&self) -> u16 {
        self.version
    }

    fn variable(&self) -> *const () {
        ptr::from_ref(self.variable).cast()
    }

    fn owner(&self) -> String {
        format!("the variable {:?} (declared at {})", self.variable.name(), self.declared_at)
    }

    fn check(&self) -> Result<(), DeclarationError> {
        if !is_token(self.name.as_bytes()) || self.name.len() > MAX_NAME {
            return Err(DeclarationError::new(format!(
                "a portable name must be a token of HTTP with at most {MAX_NAME} characters, such as \
                 \"acme.tenant\", got {:?}",
                self.name
            )));
        }
        let versions = || self.older.iter().map(|(version, _)| *version);
        for (index, version) in versions().chain([self.version]).enumerate() {
            let refused = if !(1..=MAX_VERSION).contains(&version) {
                "a version must be a number from 1 to 9999, got"
            } else if versions().take(index).any(|earlier| earlier == version) {
                "there are two decoders for version"
            } else {
                continue;
            };
            return Err(DeclarationError::new(format!("{}: {refused} {version}", self.name)));
        }
        Ok(())
    }

    fn encode_current(&self) -> Option<String> {
        let encode = || self.variable.with(|value| value.map(&self.encode));
        if self.variable.is_set() { encode() } else { None }
    }

    fn decode(&self, version: u16, text: &str) -> Result<Assignment, Reason> {
        let decode = if version == self.version {
            &self.decode
        } else {
            let found = self.older.iter().find(|(older, _)| *older == version);
            &found.ok_or(Reason::Version)?.1
        };
        let value = decode(text).ok_or(Reason::Value)?;
        match &self.validate {
            Some(validate) if !validate(&value) => Err(Reason::Value),
            _ => Ok(Assignment::set(self.variable, value)),
        }
    }

    fn unset(&self) -> Assignment {
        Assignment::unset(self.variable)
    }
}
