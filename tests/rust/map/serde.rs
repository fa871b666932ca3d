//! The feature `serde`: maps serialize and deserialize as maps.

use ctxvars::HashTrieMap;
use proptest::prelude::*;
use serde_json::{Value, from_str, from_value, to_string, to_value};
use std::collections::BTreeMap;
use std::hash::RandomState;

type Map = HashTrieMap<String, u32>;

proptest! {
    #[test]
    fn maps_round_trip(model: BTreeMap<String, u32>) {
        let map: Map = model.clone().into_iter().collect();
        let written = to_string(&map).expect("a map can be written");
        let read: Map = from_str(&written).expect("it can be read");
        read.check_invariants();
        assert_eq!(read, map);
        // The serialized form does not depend on the hasher.
        let with_other_hasher: HashTrieMap<String, u32, RandomState> =
            from_str(&written).expect("it can be read");
        assert_eq!(to_value(&with_other_hasher).ok(), to_value(&model).ok());
        assert_eq!(from_str::<BTreeMap<String, u32>>(&written).ok(), Some(model));
    }
}

#[test]
fn nested_maps_round_trip() {
    let inner: HashTrieMap<u32, Vec<Option<bool>>> =
        (0..40).map(|n| (n, vec![None, Some(n % 2 == 0)])).collect();
    let outer: HashTrieMap<String, HashTrieMap<u32, Vec<Option<bool>>>> =
        HashTrieMap::from([("a".to_owned(), inner.clone()), ("b".to_owned(), inner.without(&3))]);
    let read = to_value(&outer).and_then(from_value).expect("it can be written and read");
    assert_eq!(outer, read);
}

#[test]
fn the_last_of_duplicate_keys_wins() {
    let read: Map = from_str(r#"{"a": 1, "b": 2, "a": 3}"#).expect("keys may come twice");
    assert_eq!(read, HashTrieMap::from([("a".to_owned(), 3), ("b".to_owned(), 2)]));
    let read: Map = from_str("{}").expect("a map may be empty");
    assert!(read.is_empty());
}

#[test]
fn deserializing_something_else_fails() {
    for (text, problem) in [
        ("[]", "expected a map"),
        ("7", "expected a map"),
        ("null", "expected a map"),
        (r#"[["a", 1]]"#, "expected a map"),
        (r#"{"a": "1"}"#, "expected u32"),
        (r#"{"a": -1}"#, "expected u32"),
        (r#"{"a": 1"#, "EOF"),
        (r#"{"a": 1, "b"}"#, "expected `:`"),
    ] {
        let error = from_str::<Map>(text).expect_err(text).to_string();
        assert!(error.contains(problem), "{text}: {error}");
    }
    let error = from_str::<HashTrieMap<u8, u8>>(r#"{"300": 1}"#).expect_err("too large");
    assert!(error.to_string().contains("u8"), "{error}");
}

/// A format may announce any number of entries, so memory is allocated for real entries.
#[test]
fn a_huge_size_hint_allocates_little() {
    use serde::de::value::{Error, MapDeserializer};
    use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

    /// Announces `usize::MAX` entries, and has two.
    struct Boasting;

    struct Two(u32);

    impl<'de> MapAccess<'de> for Two {
        type Error = Error;

        fn next_key_seed<K: serde::de::DeserializeSeed<'de>>(
            &mut self,
            seed: K,
        ) -> Result<Option<K::Value>, Error> {
            self.0 += 1;
            if self.0 > 2 {
                return Ok(None);
            }
            seed.deserialize(serde::de::value::U32Deserializer::new(self.0)).map(Some)
        }

        fn next_value_seed<V: serde::de::DeserializeSeed<'de>>(
            &mut self,
            seed: V,
        ) -> Result<V::Value, Error> {
            seed.deserialize(serde::de::value::U32Deserializer::new(7))
        }

        fn size_hint(&self) -> Option<usize> {
            Some(usize::MAX)
        }
    }

    impl<'de> Deserializer<'de> for Boasting {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_map(Two(0))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
            ignored_any
        }
    }

    let read = HashTrieMap::<u32, u32>::deserialize(Boasting).expect("two entries");
    assert_eq!(read, HashTrieMap::from([(1, 7), (2, 7)]));
    let pairs = vec![(1_u32, 2_u32), (3, 4)];
    let read = HashTrieMap::<u32, u32>::deserialize(MapDeserializer::<_, Error>::new(
        pairs.clone().into_iter(),
    ));
    assert_eq!(read.expect("two entries"), pairs.into_iter().collect());
}

#[test]
fn maps_serialize_as_maps() {
    let map: Map = HashTrieMap::from([("key".to_owned(), 1)]);
    assert_eq!(to_string(&map).ok().as_deref(), Some(r#"{"key":1}"#));
    assert_eq!(to_value(Map::new()).ok(), Some(Value::Object(serde_json::Map::new())));
}
