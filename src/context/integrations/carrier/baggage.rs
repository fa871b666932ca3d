//! The header `baggage` of W3C: its grammar and its limits.
//!
//! ```text
//! baggage-string = list-member 0*179( OWS "," OWS list-member )
//! list-member    = key OWS "=" OWS value *( OWS ";" OWS property )
//! property       = key OWS "=" OWS value / key OWS
//! key            = token                      ; RFC 7230, section 3.2.6
//! value          = *baggage-octet             ; percent-encoded UTF-8
//! baggage-octet  = %x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E
//! ```
//!
//! Each function takes time linear in its argument.

use std::str;

/// The name of the header.
pub(super) const HEADER: &str = "baggage";

/// The largest number of members that a header may have.
pub const MAX_MEMBERS: usize = 64;

/// The largest length of a header: that of all repeated headers together, with the commas between them.
pub const MAX_BYTES: usize = 8192;

/// The largest version that is read.
pub(super) const MAX_VERSION: u16 = 9999;

/// Appends the percent-encoded UTF-8 of a text.
///
/// The grammar allows more characters, but some readers decode `+` as a space, or split at the second
/// `=`.
pub(super) fn quote(text: &str, quoted: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/@".contains(&byte) {
            quoted.push(byte.into());
        } else {
            let [high, low] = [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)].into());
            quoted.extend(['%', high, low]);
        }
    }
}

/// Decodes a value: a `+` stays, and octets that are not UTF-8 become U+FFFD. The result is `None` if
/// two hexadecimal digits do not follow each percent sign.
pub(super) fn unquote(value: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (code, after) = after.split_at_checked(2)?;
            let digit = |it: u8| char::from(it).to_digit(16);
            octets.push((digit(code[0])? << 4 | digit(code[1])?) as u8);
            rest = after;
        } else {
            octets.push(*first);
        }
    }
    let text = String::from_utf8(octets);
    Some(text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// A list-member.
#[derive(Debug, PartialEq)]
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    /// Still percent-encoded.
    pub(super) value: &'a str,
    /// The property `v`: 1 if there is none, 0 if it cannot be read.
    pub(super) version: u16,
}

/// A list-member, or `None` if it violates the grammar.
pub(super) fn parse_member(text: &[u8]) -> Option<Member<'_>> {
    let mut parts = text.split(|it| *it == b';');
    let (name, value) = split_at_equals(parts.next()?);
    let (name, value) = (as_key(name)?, as_value(value?)?);
    let mut version = None;
    for property in parts {
        let (key, value) = split_at_equals(property);
        let (key, value) = (as_key(key)?, value.map(as_value));
        match value {
            Some(value) if key == "v" => {
                let first = version.is_none();
                version = Some(parse_version(value?).filter(|_| first).unwrap_or(0));
            }
            Some(value) => drop(value?),
            None => {}
        }
    }
    Some(Member { name, value, version: version.unwrap_or(1) })
}

fn parse_version(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|it| it.is_ascii_digit());
    text.parse().ok().filter(|version| is_number && text.len() <= 4 && *version <= MAX_VERSION)
}

/// The parts before and behind the first equals sign, without the white space around them.
fn split_at_equals(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let place = text.iter().position(|it| *it == b'=');
    let key = &text[..place.unwrap_or(text.len())];
    (strip(key), place.map(|place| strip(&text[place + 1..])))
}

/// What is behind the white space of a text and in front of it.
pub(super) fn strip(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The name of a member, which need not follow the grammar.
pub(super) fn name_of(member: &[u8]) -> &[u8] {
    split_at_equals(member).0
}

/// Whether a text is a token of HTTP.
pub(super) fn is_token(text: &[u8]) -> bool {
    let is_legal = |it: &u8| it.is_ascii_alphanumeric() || b"!#$%&'*+.^_`|~-".contains(it);
    !text.is_empty() && text.iter().all(is_legal)
}

fn as_key(text: &[u8]) -> Option<&str> {
    if is_token(text) { str::from_utf8(text).ok() } else { None }
}

fn as_value(text: &[u8]) -> Option<&str> {
    let is_legal = |it: &u8| it.is_ascii_graphic() && !b"\",;\\".contains(it);
    if text.iter().all(is_legal) { str::from_utf8(text).ok() } else { None }
}

/// The first members of a header, within the limits, and the number of the others.
///
/// A member that exceeds a limit is dropped as a whole, and so are all members behind it. Empty members,
/// which lists of HTTP may have, count as well.
pub(super) fn within_limits(text: &[u8]) -> (impl Iterator<Item = &[u8]>, usize) {
    let is_comma = |it: &u8| *it == b',';
    let commas = |text: &[u8]| text.iter().filter(|it| is_comma(it)).count();
    let fitting = match text.get(..=MAX_BYTES) {
        // The comma behind the last member that fits may be the first octet over the limit.
        Some(start) => start.iter().rposition(is_comma).map_or(&text[..0], |end| &text[..end]),
        None => text,
    };
    // Without text, `split` returns one empty member.
    let found = if fitting.is_empty() { 0 } else { commas(fitting) + 1 };
    let total = if text.is_empty() { 0 } else { commas(text) + 1 };
    let read = found.min(MAX_MEMBERS);
    (fitting.split(is_comma).take(read), total - read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_version_has_one_to_four_digits_and_is_not_repeated() {
        let versions = [
            ("a=1", 1),
            ("a=1;v", 1),
            ("a=1;v=2", 2),
            ("a=1 ; p=1;v = 0002 ;q", 2),
            ("a=1;v=10000", 0),
            ("a=1;v=", 0),
            ("a=1;v=+2", 0),
            ("a=1;v=2;v=2", 0),
            ("a=1;v=x;v=2", 0),
        ];
        for (text, version) in versions {
            let member = parse_member(text.as_bytes());
            assert_eq!(member, Some(Member { name: "a", value: "1", version }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_text_is_legal_and_comes_back(text: String) {
            let mut quoted = String::new();
            quote(&text, &mut quoted);
            prop_assert_eq!(as_value(quoted.as_bytes()), Some(quoted.as_str()));
            prop_assert_eq!(unquote(&quoted), Some(text));
        }

        #[test]
        fn members_within_the_limits_are_the_first_ones(
            lengths in prop::collection::vec(0_usize..300, 0..200)
        ) {
            let members: Vec<_> = lengths.into_iter().map(|length| "a".repeat(length)).collect();
            let text = members.join(",");
            let (read, dropped) = within_limits(text.as_bytes());
            let read: Vec<_> = read.map(|it| String::from_utf8_lossy(it).into_owned()).collect();
            prop_assert!(read.len() <= MAX_MEMBERS && read.join(",").len() <= MAX_BYTES);
            prop_assert_eq!(&read[..], &members[..read.len()]);
            let expected = if text.is_empty() { 0 } else { members.len() };
            prop_assert_eq!(read.len() + dropped, expected);
            // One more member would exceed a limit.
            if let Some(next) = members.get(read.len()).filter(|_| dropped > 0) {
                let length = read.join(",").len() + usize::from(!read.is_empty()) + next.len();
                prop_assert!(read.len() == MAX_MEMBERS || length > MAX_BYTES);
            }
        }
    }
}
