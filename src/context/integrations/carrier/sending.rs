//! Writing the header.

use super::baggage::{
    HEADER, MAX_BYTES, MAX_MEMBERS, name_of, parse_member, quote, strip, within_limits,
};
use super::headers::HeadersMut;
use super::portable::Level;
use super::set::Carrier;
#[cfg(feature = "signing")]
use super::signer::{Signed, Signer};
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::str;

/// Writes values of the current context into headers, with options: see [`Carrier::sending`].
#[derive(Clone, Copy, Debug)]
#[must_use = "the header is written by `inject`, or returned by `value`"]
pub struct Sending<'a> {
    carrier: &'a Carrier,
    to: Level,
    foreign: &'a [String],
    #[cfg(feature = "signing")]
    signer: Option<&'a Signer>,
}

impl<'a> Sending<'a> {
    pub(super) const fn new(carrier: &'a Carrier, to: Level) -> Self {
        Self {
            carrier,
            to,
            foreign: &[],
            #[cfg(feature = "signing")]
            signer: None,
        }
    }

    /// Passes on members of variables that the carrier does not have, usually those of
    /// [`Received::foreign`](super::Received::foreign). Those that do not fit, or are not members of a
    /// header, are left out. O(1).
    ///
    /// See [`Carrier::sending`] for an example.
    pub const fn foreign(mut self, members: &'a [String]) -> Self {
        self.foreign = members;
        self
    }

    /// Signs the values. O(1).
    ///
    /// See [`Signer`] for an example.
    #[cfg(feature = "signing")]
    pub const fn signer(mut self, signer: &'a Signer) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Writes the header: see [`Carrier::inject`]. O(variables + length).
    ///
    /// # Errors
    ///
    /// The header would exceed the limits. The headers are unchanged.
    pub fn inject(&self, headers: &mut impl HeadersMut) -> Result<(), InjectError> {
        if let Some(mut text) = self.value()? {
            let present = headers.header_values(HEADER).flat_map(|value| within_limits(value).0);
            append(&mut text, present.filter_map(as_text).filter(|member| !member.is_empty()));
            headers.set_header(HEADER, text);
        }
        Ok(())
    }

    /// The value of the header `baggage`, or `None` if there is nothing to send. O(variables + length).
    ///
    /// # Errors
    ///
    /// The header would exceed the limits.
    ///
    /// See [`Carrier::sending`] for an example.
    pub fn value(&self) -> Result<Option<String>, InjectError> {
        let members = self.members();
        let mut text = members.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(",");
        if members.len() > MAX_MEMBERS || text.len() > MAX_BYTES {
            return Err(InjectError::new(&members, text.len()));
        }
        append(
            &mut text,
            self.foreign
                .iter()
                .map(String::as_str)
                .filter(|it| parse_member(it.as_bytes()).is_some()),
        );
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// The names and texts of the members of variables that are set, and of the signature.
    fn members(&self) -> Vec<(&'static str, String)> {
        let mut members = Vec::new();
        #[cfg(feature = "signing")]
        let mut signed = Vec::new();
        for each in self.carrier.declared() {
            if each.level() < self.to {
                continue;
            }
            let Some(text) = each.encode_current() else { continue };
            let (name, version) = (each.name(), each.version());
            members.push((name, member(name, &text, version)));
            #[cfg(feature = "signing")]
            signed.push(Signed { name, version, text });
        }
        #[cfg(feature = "signing")]
        if let Some(signer) = self.signer.filter(|_| !signed.is_empty()) {
            let signature = signer.sign(signed);
            members.push((super::SIGNATURE, member(super::SIGNATURE, &signature, 1)));
        }
        members
    }
}

fn member(name: &str, text: &str, version: u16) -> String {
    let mut member = String::with_capacity(name.len() + 1 + text.len());
    member.push_str(name);
    member.push('=');
    quote(text, &mut member);
    if version != 1 {
        member.push_str(&format!(";v={version}"));
    }
    member
}

/// A member that a header has already, without white space around it. It need not follow the grammar,
/// but control characters and octets beyond ASCII are not written again.
fn as_text(member: &[u8]) -> Option<&str> {
    let is_legal = |it: &u8| matches!(it, b' '..=b'~' | b'\t');
    str::from_utf8(strip(member)).ok().filter(|text| text.bytes().all(|it| is_legal(&it)))
}

/// Adds other members behind those of a header, as far as they fit.
fn append<'a>(text: &mut String, others: impl Iterator<Item = &'a str>) {
    let before = text.clone();
    let members = || before.split(',').filter(|it| !it.is_empty());
    let taken: HashSet<_> = members().map(|it| name_of(it.as_bytes())).collect();
    let mut count = members().count();
    for other in others {
        if count == MAX_MEMBERS || text.len() + 1 + other.len() > MAX_BYTES {
            break;
        }
        if !taken.contains(name_of(other.as_bytes())) {
            if count > 0 {
                text.push(',');
            }
            text.push_str(other);
            count += 1;
        }
    }
}

/// The error of [`Carrier::inject`]: the header would exceed the limits of 64 members and 8192 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InjectError {
    /// The number of members.
    pub members: usize,
    /// The length of the header.
    pub bytes: usize,
    /// The name of the variable with the longest member.
    pub longest: &'static str,
    /// The length of this member.
    pub longest_bytes: usize,
}

impl InjectError {
    fn new(members: &[(&'static str, String)], bytes: usize) -> Self {
        // Of several, `max_by_key` returns the last.
        let longest = members.iter().rev().max_by_key(|(_, text)| text.len());
        let (longest, longest_bytes) = longest.map_or(("", 0), |(name, text)| (*name, text.len()));
        Self { members: members.len(), bytes, longest, longest_bytes }
    }
}

impl fmt::Display for InjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { members, bytes, longest, longest_bytes } = self;
        write!(
            f,
            "the header has {members} members and {bytes} bytes, but at most {MAX_MEMBERS} and \
             {MAX_BYTES} are allowed: the longest member is that of the portable variable \
             {longest:?}, with {longest_bytes} bytes"
        )
    }
}

impl Error for InjectError {}
