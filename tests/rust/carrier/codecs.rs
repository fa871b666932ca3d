//! Codecs: each value comes back as it was, and text that no encoder writes is refused.

use ctxvars::carrier::Codec;
use proptest::prelude::*;
use std::fmt::Debug;
use std::sync::Arc;

fn comes_back<T: Codec + Debug + PartialEq>(value: &T) -> Result<(), TestCaseError> {
    let text = value.encode();
    let decoded = T::decode(&text);
    prop_assert_eq!(decoded.as_ref(), Some(value), "{}", text);
    Ok(())
}

proptest! {
    #[test]
    fn texts_come_back(text: String, character: char, optional: Option<String>) {
        comes_back(&text)?;
        comes_back(&Box::<str>::from(text.as_str()))?;
        comes_back(&Arc::<str>::from(text.as_str()))?;
        comes_back(&Arc::new(text.clone()))?;
        comes_back(&character)?;
        comes_back(&optional)?;
        comes_back(&Some(format!("~{text}")))?;
        comes_back(&Some(optional))?;
    }

    #[test]
    fn numbers_come_back(small: i8, signed: i128, unsigned: u128, optional: Option<u16>, flag: bool) {
        comes_back(&small)?;
        comes_back(&signed)?;
        comes_back(&unsigned)?;
        comes_back(&optional)?;
        comes_back(&Box::new(flag))?;
    }

    #[test]
    fn finite_floats_come_back(
        double in any::<f64>().prop_union(prop::num::f64::ANY).prop_filter("NaN", |it| !it.is_nan()),
        single in prop::num::f32::ANY.prop_filter("NaN", |it| !it.is_nan()),
    ) {
        comes_back(&double)?;
        comes_back(&single)?;
    }

    #[test]
    fn bytes_come_back(bytes: Vec<u8>) {
        comes_back(&bytes)?;
    }

    #[test]
    fn no_text_panics(text: String) {
        let _ = (Vec::<u8>::decode(&text), f64::decode(&text), u8::decode(&text), char::decode(&text));
        let _ = (bool::decode(&text), Option::<Vec<u8>>::decode(&text), i128::decode(&text));
    }
}

#[test]
fn nan_comes_back() {
    assert!(f64::decode(&f64::NAN.encode()).is_some_and(f64::is_nan));
    assert!(f32::decode(&f32::NAN.encode()).is_some_and(f32::is_nan));
}

#[test]
fn numbers_out_of_range_are_refused() {
    assert_eq!([u8::decode("256"), u8::decode("-1"), u8::decode("+1")], [None; 3]);
    assert_eq!(i64::decode("9223372036854775808"), None);
    assert_eq!(i8::decode("-128"), Some(i8::MIN));
}

#[test]
fn a_character_is_one_character() {
    assert_eq!([char::decode(""), char::decode("ab"), char::decode("ä")], [None, None, Some('ä')]);
}
