//! Declarations: names are unique, and mistakes are named.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use ctxvars::ContextVar;
use ctxvars::carrier::{Carrier, CarrierBuilder, Portable};

static FIRST: ContextVar<String> = ContextVar::new("first");
static SECOND: ContextVar<u8> = ContextVar::new("second");

fn message(builder: CarrierBuilder) -> String {
    builder.build().unwrap_err().to_string()
}

fn first(name: &'static str) -> CarrierBuilder {
    Carrier::builder().with(Portable::new(&FIRST, name))
}

#[test]
fn two_variables_cannot_have_one_name() {
    let message = message(first("tests.name").with(Portable::new(&SECOND, "tests.name")));
    let (taken, owner) = message.split_once(", because it belongs to ").unwrap();
    assert!(
        taken.starts_with(
            "the portable name \"tests.name\" is already taken: the variable \"second\""
        )
    );
    assert!(owner.starts_with("the variable \"first\" (declared at "));
    // Where `Portable::new` is called.
    assert_eq!(message.matches(file!()).count(), 2, "{message}");
}

#[test]
fn one_variable_cannot_have_two_names() {
    let message = message(first("tests.one").with(Portable::new(&FIRST, "tests.two")));
    let end = "cannot be portable as \"tests.two\": it is portable as \"tests.one\" already";
    assert!(message.starts_with("the variable \"first\"") && message.ends_with(end), "{message}");
}

#[test]
fn two_carriers_may_share_variables() {
    assert!(first("tests.one").build().is_ok());
    assert!(first("tests.two").build().is_ok());
}

#[test]
fn a_name_is_a_token_of_http() {
    let long = &*"x".repeat(257).leak();
    for name in ["", "a b", "a=b", "a,b", "ä", "a\n", long] {
        assert!(message(first(name)).starts_with("a portable name must be a token"), "{name}");
    }
    assert!(first(&long[1..]).build().is_ok());
    assert!(first("a!#$%&'*+.^_`|~-Z9").build().is_ok());
}

#[test]
fn names_of_ctxvars_are_reserved() {
    for name in ["ctxvars.deadline", "ctxvars.signature", "ctxvars.other"] {
        assert!(message(first(name)).ends_with("is reserved: it begins with \"ctxvars.\""));
    }
}

#[test]
fn versions_are_in_range_and_unique() {
    let declared = |version| Portable::new(&SECOND, "tests.second").version(version);
    let message = |portable| message(Carrier::builder().with(portable));
    for version in [0, 10_000] {
        let expected =
            format!("tests.second: a version must be a number from 1 to 9999, got {version}");
        assert_eq!(message(declared(version)), expected);
        assert_eq!(message(declared(1).older(version, |_| None)), expected);
    }
    let expected = "tests.second: there are two decoders for version 2";
    assert_eq!(message(declared(2).older(2, |_| None)), expected);
    assert_eq!(message(declared(3).older(2, |_| None).older(2, |_| None)), expected);
    assert!(Carrier::builder().with(declared(9999).older(1, |_| None)).build().is_ok());
}

#[test]
fn an_unknown_name_cannot_be_accepted() {
    let carrier = first("tests.first").build().unwrap();
    let error = carrier.accept(["tests.first", "tests.frist"]).unwrap_err();
    assert!(error.to_string().starts_with("\"tests.frist\" cannot be accepted"));
    assert!(carrier.accept(["ctxvars.deadline"]).is_ok());
}

#[test]
fn debug_output_has_the_names() {
    let builder = first("tests.first");
    assert_eq!(format!("{builder:?}"), r#"CarrierBuilder ["tests.first"]"#);
    let carrier = builder.build().unwrap();
    assert_eq!(format!("{carrier:?}"), r#"Carrier {"tests.first", "ctxvars.deadline"}"#);
}
