//! The objects that keep headers.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

/// Headers that can be read.
///
/// Implemented for maps, and for vectors, slices and arrays of pairs, with names and values of text or
/// bytes.
pub trait Headers {
    /// The values of all headers whose name is `name`, in any case, in order.
    ///
    /// ```
    /// use ctxvars::carrier::Headers;
    ///
    /// let headers = [("Host", "a"), ("Baggage", "b=1"), ("baggage", "c=2")];
    /// let values: Vec<_> = headers.header_values("baggage").collect();
    /// assert_eq!(values, [b"b=1", b"c=2"]);
    /// ```
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;
}

/// Headers that can be changed.
///
/// Implemented for maps, and for vectors of pairs, with names and values of `String` or `Vec<u8>`.
pub trait HeadersMut: Headers {
    /// Makes `value` the only value of the header `name`.
    ///
    /// [`Carrier::inject`](super::Carrier::inject) passes a name in lower case, and a value of visible
    /// characters of ASCII, spaces and tabs.
    ///
    /// ```
    /// use ctxvars::carrier::HeadersMut as _;
    ///
    /// let mut headers = vec![("Baggage".to_owned(), "a=1".to_owned())];
    /// headers.set_header("baggage", "b=2".into());
    /// assert_eq!(headers, [("baggage".into(), "b=2".into())]);
    /// ```
    fn set_header(&mut self, name: &'static str, value: String);
}

fn is_named(key: &impl AsRef<[u8]>, name: &str) -> bool {
    key.as_ref().eq_ignore_ascii_case(name.as_bytes())
}

fn values_of<'a, K, V>(
    pairs: impl Iterator<Item = (&'a K, &'a V)>,
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]>
where
    K: AsRef<[u8]> + 'a,
    V: AsRef<[u8]> + 'a,
{
    pairs.filter(move |(key, _)| is_named(key, name)).map(|(_, value)| value.as_ref())
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> Headers for [(K, V)] {
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        values_of(self.iter().map(|(key, value)| (key, value)), name)
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>, const N: usize> Headers for [(K, V); N] {
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self[..].header_values(name)
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> Headers for Vec<(K, V)> {
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self[..].header_values(name)
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>, S> Headers for HashMap<K, V, S> {
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        values_of(self.iter(), name)
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> Headers for BTreeMap<K, V> {
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        values_of(self.iter(), name)
    }
}

impl<K, V> HeadersMut for Vec<(K, V)>
where
    K: AsRef<[u8]> + From<&'static str>,
    V: AsRef<[u8]> + From<String>,
{
    fn set_header(&mut self, name: &'static str, value: String) {
        self.retain(|(key, _)| !is_named(key, name));
        self.push((name.into(), value.into()));
    }
}

impl<K, V, S> HeadersMut for HashMap<K, V, S>
where
    K: AsRef<[u8]> + From<&'static str> + Eq + Hash,
    V: AsRef<[u8]> + From<String>,
    S: BuildHasher,
{
    fn set_header(&mut self, name: &'static str, value: String) {
        self.retain(|key, _| !is_named(key, name));
        self.insert(name.into(), value.into());
    }
}

impl<K, V> HeadersMut for BTreeMap<K, V>
where
    K: AsRef<[u8]> + From<&'static str> + Ord,
    V: AsRef<[u8]> + From<String>,
{
    fn set_header(&mut self, name: &'static str, value: String) {
        self.retain(|key, _| !is_named(key, name));
        self.insert(name.into(), value.into());
    }
}
