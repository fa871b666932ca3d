//! Headers of an attacker: nothing panics, nothing leaks, and the rest is read.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use ctxvars::carrier::{Carrier, Level, MAX_BYTES, MAX_MEMBERS, Portable, Reason};
use ctxvars::{Context, ContextVar};
use proptest::prelude::*;
use std::sync::LazyLock;

pub(super) static TENANT: ContextVar<String> = ContextVar::new("tenant");
pub(super) static CART: ContextVar<Vec<String>> = ContextVar::new("cart");

pub(super) static CARRIER: LazyLock<Carrier> = LazyLock::new(|| {
    let encode = |cart: &Vec<String>| serde_json::to_string(cart).unwrap();
    let cart =
        Portable::with_codec(&CART, "tests.cart", encode, |text| serde_json::from_str(text).ok());
    Carrier::builder()
        .with(Portable::new(&TENANT, "tests.tenant"))
        .with(cart.to(Level::Process))
        .build()
        .unwrap()
});

/// Parts of headers. Only names and values without percent signs are in the model.
const PIECES: [&str; 16] = [
    ",tests.tenant=",
    ",tests.tenant=",
    "tests.tenant =",
    ",other=1",
    ",,,,,,,,,,,,,,,,,,,,",
    "a",
    "=",
    ",",
    ";",
    ";p",
    ";p=q",
    " ",
    "\t",
    "\"",
    "\\",
    "\u{e4}",
];

/// The tenant, by a model of reading.
fn model(text: &str) -> Option<String> {
    let mut taken = None;
    let mut end = 0;
    for (index, member) in text.split(',').enumerate() {
        end += member.len() + usize::from(index > 0);
        if index >= MAX_MEMBERS || end > MAX_BYTES {
            break;
        }
        let mut parts = member.split(';');
        let (name, value) = parts.next()?.split_once('=').unwrap_or_default();
        let [name, value] = [name, value].map(|it| it.trim_matches([' ', '\t']));
        let is_legal = |it: char| it.is_ascii_graphic() && !"\"\\".contains(it);
        let is_property = |property: &str| {
            let (key, value) = property.split_once('=').unwrap_or((property, ""));
            let [key, value] = [key, value].map(|it| it.trim_matches([' ', '\t']));
            let is_token = |it: char| it.is_ascii_alphanumeric() || "!#$%&'*+.^_`|~-".contains(it);
            !key.is_empty() && key.chars().all(is_token) && value.chars().all(is_legal)
        };
        if name == "tests.tenant" && value.chars().all(is_legal) && parts.all(is_property) {
            if taken.as_ref().is_some_and(|taken| taken != value) {
                return None;
            }
            taken = Some(value.to_owned());
        }
    }
    taken
}

proptest! {
    #[test]
    fn no_octets_panic(octets: Vec<u8>) {
        let received = CARRIER.extract(&[("baggage", octets)], Level::Process);
        for each in received.foreign() {
            prop_assert!(each.bytes().all(|it| matches!(it, b' '..=b'~' | b'\t')));
        }
    }

    #[test]
    fn headers_are_read_as_a_model_reads_them(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)
    ) {
        let text = pieces.concat();
        let received = CARRIER.extract(&[("baggage", &text)], Level::Internal);
        prop_assert_eq!(received.get(&TENANT).cloned(), model(&text), "{}", text);
        // Each member that is read is a value, an error or foreign, and equal members are one value.
        let dropped: usize = received.errors().iter().map(|it| it.members).sum();
        prop_assert!(dropped + received.foreign().len() <= text.split(',').count());
    }

    #[test]
    fn values_of_the_surrounding_context_do_not_leak(text in "[a-z=,;%]{0,200}") {
        let before = Context::new().with_value(&TENANT, "before".into());
        let context = CARRIER.extract(&[("baggage", text)], Level::Internal).apply_to(before);
        prop_assert_eq!(context.get(&TENANT), None);
    }
}

#[test]
fn a_header_of_megabytes_is_cut_at_the_limit() {
    for unit in ["a=1,", ",", ";", "%20", " ", "=", "tests.tenant,", "\u{e9}"] {
        let text = format!("tests.tenant=globex,b={}", unit.repeat((1 << 20) / unit.len()));
        let received = CARRIER.extract(&[("baggage", text)], Level::Internal);
        assert_eq!(received.get(&TENANT).map(String::as_str), Some("globex"));
        assert!(received.errors().len() + received.foreign().len() <= MAX_MEMBERS);
        assert_eq!(received.errors()[0].reason, Reason::Limit);
    }
}

#[test]
fn debug_output_and_messages_do_not_have_values() {
    let headers = [("baggage", "tests.tenant=secret,tests.cart=secret,secret")];
    let received = CARRIER.extract(&headers, Level::Process);
    let errors: Vec<_> = received.errors().iter().map(ToString::to_string).collect();
    let expected = [
        "dropped 1 members of a header: syntax",
        "dropped the portable variable \"tests.cart\": value",
    ];
    assert_eq!(errors, expected);
    let debug = format!("{received:?}");
    assert!(debug.starts_with("Received { values: [\"tenant\"], errors: [Dropped {"), "{debug}");
    assert!(!debug.contains("secret"));
}
