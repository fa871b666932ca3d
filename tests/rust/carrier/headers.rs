//! Headers: what is injected is extracted, into and from any kind of object.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use super::hostile::{CARRIER, CART, TENANT};
use ctxvars::Context;
use ctxvars::carrier::{HeadersMut, InjectError, Level};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};

fn travels(mut headers: impl HeadersMut) {
    TENANT.scope("globex".into(), || CARRIER.inject(&mut headers, Level::Internal)).unwrap();
    let received = CARRIER.extract(&headers, Level::Internal);
    assert_eq!(received.get(&TENANT).map(String::as_str), Some("globex"));
    assert_eq!(headers.header_values("BAGGAGE").count(), 1);
}

#[test]
fn what_is_injected_is_extracted() {
    travels(Vec::<(String, String)>::new());
    travels(vec![(b"Baggage".to_vec(), b"a=1".to_vec()), (b"host".to_vec(), b"a".to_vec())]);
    travels(HashMap::from([("BAGGAGE".to_owned(), "a=1".to_owned())]));
    travels(HashMap::from([("host".to_owned(), b"a".to_vec())]));
    travels(BTreeMap::from([("Baggage".to_owned(), String::new())]));
    #[cfg(feature = "http")]
    travels(http::HeaderMap::new());
}

#[cfg(feature = "http")]
#[test]
fn repeated_headers_of_http_are_one_list() {
    use http::{HeaderMap, HeaderValue};

    let mut headers = HeaderMap::new();
    for value in ["a=1", "tests.tenant=globex"] {
        headers.append("baggage", HeaderValue::from_static(value));
    }
    let received = CARRIER.extract(&headers, Level::Internal);
    assert_eq!(received.get(&TENANT).map(String::as_str), Some("globex"));
    assert_eq!(received.foreign(), ["a=1"]);
    TENANT.scope("acme".into(), || CARRIER.inject(&mut headers, Level::Internal)).unwrap();
    assert_eq!(headers.get_all("baggage").iter().collect::<Vec<_>>(), ["tests.tenant=acme,a=1"]);
}

#[test]
fn without_values_headers_stay_as_they_are() {
    let mut headers = vec![("Baggage".to_owned(), "a=1, b".to_owned())];
    CARRIER.inject(&mut headers, Level::Internal).unwrap();
    assert_eq!(headers, [("Baggage".into(), "a=1, b".into())]);
}

#[test]
fn foreign_members_that_break_the_grammar_are_left_out() {
    let foreign = ["a=1,b=2", "c=3\r\nset-cookie: d", "e", "f=4"].map(str::to_owned);
    let value = CARRIER.sending(Level::Internal).foreign(&foreign).value();
    assert_eq!(value.unwrap().as_deref(), Some("f=4"));
}

#[test]
fn octets_that_are_illegal_are_not_written_again() {
    let mut headers = vec![(b"baggage".to_vec(), b"a=\xff,b=\x01,broken,c=3".to_vec())];
    TENANT.scope("acme".into(), || CARRIER.inject(&mut headers, Level::Internal)).unwrap();
    assert_eq!(headers[0].1, b"tests.tenant=acme,broken,c=3");
}

#[test]
fn a_header_over_the_limit_is_an_error_with_the_name_and_changes_nothing() {
    let mut headers = vec![("baggage".to_owned(), "a=1".to_owned())];
    let mut context = Context::new()
        .with_value(&TENANT, "x".repeat(8192))
        .with_value(&CART, vec!["tea".to_owned()]);
    let error: InjectError =
        context.run(|| CARRIER.inject(&mut headers, Level::Process)).unwrap_err();
    assert_eq!((error.members, error.longest, error.longest_bytes), (2, "tests.tenant", 8205));
    assert_eq!(headers, [("baggage".into(), "a=1".into())]);
}

proptest! {
    #[test]
    fn any_text_comes_back(text: String, items: Vec<String>) {
        let mut context =
            Context::new().with_value(&TENANT, text.clone()).with_value(&CART, items.clone());
        let value = context.run(|| CARRIER.sending(Level::Process).value());
        if let Ok(Some(value)) = value {
            prop_assert!(value.bytes().all(|it| it.is_ascii_graphic()));
            let received = CARRIER.receiving(Level::Process).extract_values([value]);
            prop_assert_eq!(received.get(&TENANT), Some(&text));
            prop_assert_eq!(received.get(&CART), Some(&items));
            prop_assert!(received.errors().is_empty());
        }
    }
}
