//! Reading the header.

use super::RESERVED;
use super::baggage::{HEADER, name_of, parse_member, strip, unquote, within_limits};
use super::headers::Headers;
use super::received::{Dropped, Reason, Received};
use super::set::{Accept, Carrier};
#[cfg(feature = "signing")]
use super::signer::{Signed, Signer};
use std::str;

/// Reads values from headers, with options: see [`Carrier::receiving`].
#[derive(Clone, Debug)]
#[must_use = "the header is read by `extract`"]
pub struct Receiving<'a> {
    carrier: &'a Carrier,
    accept: Accept,
    clear_missing: bool,
    #[cfg(feature = "signing")]
    signer: Option<&'a Signer>,
}

impl<'a> Receiving<'a> {
    pub(super) const fn new(carrier: &'a Carrier, accept: Accept) -> Self {
        Self {
            carrier,
            accept,
            clear_missing: true,
            #[cfg(feature = "signing")]
            signer: None,
        }
    }

    /// Whether variables that are not received lose the value that they have where the received values
    /// are used. It is true by default: a request does not see the values of another one. O(1).
    ///
    /// If it is false, a received [`Deadline`](super::Deadline) can only shorten the one that is there.
    ///
    /// See [`Carrier::receiving`] for an example.
    pub const fn clear_missing(mut self, clear: bool) -> Self {
        self.clear_missing = clear;
        self
    }

    /// Takes values only from members that a valid signature covers. O(1).
    ///
    /// See [`Signer`] for an example.
    #[cfg(feature = "signing")]
    pub const fn signer(mut self, signer: &'a Signer) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Reads the header: see [`Carrier::extract`]. O(variables + length).
    pub fn extract<H: Headers + ?Sized>(&self, headers: &H) -> Received {
        self.extract_values(headers.header_values(HEADER))
    }

    /// Reads the values of all headers `baggage`, or of one, or of an environment variable.
    /// O(variables + length).
    ///
    /// ```
    /// # use ctxvars::ContextVar;
    /// # use ctxvars::carrier::{Carrier, Level, Portable};
    /// # static TENANT: ContextVar<String> = ContextVar::new("tenant");
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let carrier = Carrier::builder().with(Portable::new(&TENANT, "acme.tenant")).build()?;
    /// let received = carrier.receiving(Level::Process).extract_values(std::env::var("BAGGAGE"));
    /// assert_eq!(received.get(&TENANT), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn extract_values<V>(&self, values: impl IntoIterator<Item = V>) -> Received
    where
        V: AsRef<[u8]>,
    {
        let mut text = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                text.push(b',');
            }
            text.extend_from_slice(value.as_ref());
        }
        let mut reading = Reading::new(self.carrier);
        reading.read(&text);
        reading.drop_repeated();
        #[cfg(feature = "signing")]
        if let Some(signer) = self.signer {
            reading.drop_unsigned(signer);
        }
        reading.decode(&self.accept, self.clear_missing)
    }
}

/// The text of a declared variable.
struct Raw {
    /// The place in [`Carrier::declared`].
    place: usize,
    text: String,
    version: u16,
    /// Whether another member has the same name and another value.
    is_repeated: bool,
}

/// The state while a header is read.
struct Reading<'a> {
    carrier: &'a Carrier,
    /// At most 64, so they are searched from start to end.
    raw: Vec<Raw>,
    errors: Vec<Dropped>,
    foreign: Vec<String>,
    #[cfg(feature = "signing")]
    signatures: Vec<String>,
}

impl<'a> Reading<'a> {
    const fn new(carrier: &'a Carrier) -> Self {
        Self {
            carrier,
            raw: Vec::new(),
            errors: Vec::new(),
            foreign: Vec::new(),
            #[cfg(feature = "signing")]
            signatures: Vec::new(),
        }
    }

    fn read(&mut self, text: &[u8]) {
        let (members, dropped) = within_limits(text);
        if dropped > 0 {
            self.errors.push(Dropped { name: None, reason: Reason::Limit, members: dropped });
        }
        // Lists of HTTP may have empty members.
        members.map(strip).filter(|text| !text.is_empty()).for_each(|text| self.read_member(text));
    }

    fn read_member(&mut self, text: &[u8]) {
        let name = str::from_utf8(name_of(text)).unwrap_or_default();
        let place = self.carrier.place_of(name);
        let Some(member) = parse_member(text) else {
            return self.drop_member(place, Reason::Syntax);
        };
        if let Some(place) = place {
            match unquote(member.value) {
                Some(text) => self.add(place, text, member.version),
                None => self.drop_member(Some(place), Reason::Syntax),
            }
            return;
        }
        #[cfg(feature = "signing")]
        if name == super::SIGNATURE {
            self.signatures.push(member.value.to_owned());
        }
        if !name.starts_with(RESERVED) {
            self.foreign.extend(str::from_utf8(text).map(str::to_owned));
        }
    }

    fn add(&mut self, place: usize, text: String, version: u16) {
        match self.raw.iter_mut().find(|raw| raw.place == place) {
            Some(raw) => raw.is_repeated |= (&raw.text, raw.version) != (&text, version),
            None => self.raw.push(Raw { place, text, version, is_repeated: false }),
        }
    }

    fn drop_repeated(&mut self) {
        self.drop_if(Reason::Repeated, |raw, _| raw.is_repeated);
    }

    #[cfg(feature = "signing")]
    fn drop_unsigned(&mut self, signer: &Signer) {
        // Of several signatures, none is valid.
        let signature = match &self.signatures[..] {
            [signature] => unquote(signature).unwrap_or_default(),
            _ => String::new(),
        };
        let signed = self.raw.iter().map(|raw| Signed {
            name: self.carrier.declared()[raw.place].name(),
            version: raw.version,
            text: raw.text.clone(),
        });
        let covered = signer.verify(&signature, signed);
        self.drop_if(Reason::Signature, |_, name| !covered.contains(name));
    }

    /// Drops the texts of all variables for which `is_dropped` returns true for their text and name.
    fn drop_if(&mut self, reason: Reason, is_dropped: impl Fn(&Raw, &str) -> bool) {
        for raw in std::mem::take(&mut self.raw) {
            let name = self.carrier.declared()[raw.place].name();
            if is_dropped(&raw, name) {
                self.drop_member(Some(raw.place), reason);
            } else {
                self.raw.push(raw);
            }
        }
    }

    /// Decodes the values of accepted variables.
    fn decode(mut self, accept: &Accept, clear_missing: bool) -> Received {
        let declared = self.carrier.declared();
        let mut values = Vec::new();
        let mut is_missing = vec![clear_missing; declared.len()];
        for Raw { place, text, version, .. } in std::mem::take(&mut self.raw) {
            let each = &declared[place];
            let decoded = if accept.includes(each.as_ref()) {
                each.decode(version, &text)
            } else {
                Err(Reason::NotAccepted)
            };
            match decoded {
                Ok(assignment) => {
                    is_missing[place] = false;
                    values.push(assignment);
                }
                Err(reason) => self.drop_member(Some(place), reason),
            }
        }
        let missing = declared.iter().zip(is_missing).filter(|(_, is_missing)| *is_missing);
        let missing = missing.map(|(each, _)| each.unset()).collect();
        Received::new(values, missing, clear_missing, self.errors, self.foreign)
    }

    fn drop_member(&mut self, place: Option<usize>, reason: Reason) {
        let name = place.map(|place| self.carrier.declared()[place].name());
        self.errors.push(Dropped { name, reason, members: 1 });
    }
}
