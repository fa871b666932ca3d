//! The headers of the crate `http`.

use super::headers::{Headers, HeadersMut};
use ::http::header::{HeaderMap, HeaderName, HeaderValue};

impl Headers for HeaderMap {
    fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

impl HeadersMut for HeaderMap {
    /// # Panics
    ///
    /// The name is not in lower case, or the value has characters that are illegal in headers.
    fn set_header(&mut self, name: &'static str, value: String) {
        let value = HeaderValue::try_from(value).expect("the value is visible ASCII");
        self.insert(HeaderName::from_static(name), value);
    }
}
