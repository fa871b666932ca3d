//! Values to text and back.
//!
//! A decoder accepts what its encoder writes, and little else: other text comes from other machines.

use super::base64;
use super::float;
use std::sync::Arc;

/// Values that become text and back.
///
/// The codecs of this crate write and accept the text of the Python package:
///
/// | type | text | Python |
/// | --- | --- | --- |
/// | `String`, `Box<str>`, `Arc<str>` | itself | `str` |
/// | `char` | itself | `str` |
/// | integers | decimal digits | `int` |
/// | `bool` | `true` or `false` | `bool` |
/// | `f64`, `f32` | the shortest decimal number with this value, such as `0.1` or `1e-05`; `inf`, `nan` | `float` |
/// | `Vec<u8>` | base64url without padding | `bytes` |
/// | `Option<T>` | `~` for `None`; a text that begins with `~` gets another one in front | <code>T \| None</code> |
/// | `Box<T>`, `Arc<T>` | that of `T` | |
/// | [`Deadline`](super::Deadline) | the remaining seconds, with milliseconds | `deadline` |
///
/// Implement it for other types, or pass functions to
/// [`Portable::with_codec`](super::Portable::with_codec). Encoding does not fail, as in
/// [`ToString`].
///
/// ```
/// use ctxvars::carrier::Codec;
///
/// #[derive(Debug, PartialEq)]
/// struct Celsius(i32);
///
/// impl Codec for Celsius {
///     fn encode(&self) -> String {
///         self.0.encode()
///     }
///
///     fn decode(text: &str) -> Option<Self> {
///         i32::decode(text).filter(|degrees| *degrees >= -273).map(Self)
///     }
/// }
///
/// assert_eq!(Celsius::decode(&Celsius(-5).encode()), Some(Celsius(-5)));
/// assert_eq!(Option::<String>::encode(&Some("~".into())), "~~");
/// assert_eq!([1e16, 0.00001].map(|number| number.encode()), ["1e+16", "1e-05"]);
/// ```
pub trait Codec: Sized {
    /// The text of a value.
    fn encode(&self) -> String;

    /// The value of a text, or `None` if [`encode`](Self::encode) does not write such text.
    ///
    /// The text comes from another machine, so this should take linear time and not panic.
    fn decode(text: &str) -> Option<Self>;
}

impl Codec for String {
    fn encode(&self) -> String {
        self.clone()
    }

    fn decode(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Codec for Box<str> {
    fn encode(&self) -> String {
        self.as_ref().to_owned()
    }

    fn decode(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl Codec for Arc<str> {
    fn encode(&self) -> String {
        self.as_ref().to_owned()
    }

    fn decode(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl Codec for char {
    fn encode(&self) -> String {
        self.to_string()
    }

    fn decode(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Codec for bool {
    fn encode(&self) -> String {
        self.to_string()
    }

    fn decode(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Codec for $integer {
            fn encode(&self) -> String {
                self.to_string()
            }

            fn decode(text: &str) -> Option<Self> {
                // `parse` would accept a plus sign.
                if text.starts_with('+') { None } else { text.parse().ok() }
            }
        }
    )*};
}

integers! { i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }

macro_rules! floats {
    ($($float:ty)*) => {$(
        impl Codec for $float {
            fn encode(&self) -> String {
                float::as_python_writes(&format!("{self:e}"))
            }

            fn decode(text: &str) -> Option<Self> {
                if float::is_written_by_python(text) { text.parse().ok() } else { None }
            }
        }
    )*};
}

floats! { f32 f64 }

impl Codec for Vec<u8> {
    fn encode(&self) -> String {
        base64::encode(self)
    }

    fn decode(text: &str) -> Option<Self> {
        base64::decode(text)
    }
}

/// The text of `None`. Text that begins with it is escaped by it.
const NONE: &str = "~";

impl<T: Codec> Codec for Option<T> {
    fn encode(&self) -> String {
        match self.as_ref().map(T::encode) {
            None => NONE.to_owned(),
            Some(text) if text.starts_with(NONE) => format!("{NONE}{text}"),
            Some(text) => text,
        }
    }

    fn decode(text: &str) -> Option<Self> {
        match text.strip_prefix(NONE) {
            None => T::decode(text).map(Some),
            Some("") => Some(None),
            Some(escaped) if escaped.starts_with(NONE) => T::decode(escaped).map(Some),
            Some(_) => None,
        }
    }
}

impl<T: Codec> Codec for Box<T> {
    fn encode(&self) -> String {
        T::encode(self)
    }

    fn decode(text: &str) -> Option<Self> {
        T::decode(text).map(Self::new)
    }
}

impl<T: Codec> Codec for Arc<T> {
    fn encode(&self) -> String {
        T::encode(self)
    }

    fn decode(text: &str) -> Option<Self> {
        T::decode(text).map(Self::new)
    }
}
