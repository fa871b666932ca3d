//! Context variables that travel to other services, in the header `baggage` of W3C.
//!
//! A [`Carrier`] is a set of variables, each with a name. [`inject`](Carrier::inject) writes their values
//! into headers, and [`extract`](Carrier::extract) reads them from headers. Names and texts are those
//! of the Python package: services in both languages read the headers of each other.
//!
//! ```
//! use ctxvars::ContextVar;
//! use ctxvars::carrier::{Carrier, Level, Portable};
//! use std::collections::HashMap;
//! use std::sync::LazyLock;
//!
//! static TENANT: ContextVar<String> = ContextVar::new("tenant");
//! static RETRIES: ContextVar<u32> = ContextVar::new("retries");
//! static LOCALE: ContextVar<String> = ContextVar::new("locale");
//!
//! static CARRIER: LazyLock<Carrier> = LazyLock::new(|| {
//!     Carrier::builder()
//!         .with(Portable::new(&TENANT, "acme.tenant"))
//!         .with(Portable::new(&RETRIES, "acme.retries"))
//!         .with(Portable::new(&LOCALE, "acme.locale").to(Level::Public))
//!         .build()
//!         .expect("the names are unique")
//! });
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let _tenant = TENANT.enter("globex & sons".to_owned());
//! let _retries = RETRIES.enter(3);
//! let mut headers = HashMap::<String, String>::new();
//! CARRIER.inject(&mut headers, Level::Internal)?;
//! assert_eq!(headers["baggage"], "acme.tenant=globex%20%26%20sons,acme.retries=3");
//!
//! // In the other service:
//! let headers = [("baggage", "acme.tenant=initech, userId=alice")];
//! let received = CARRIER.extract(&headers, Level::Internal);
//! received.scope(|| {
//!     assert_eq!(TENANT.get().as_deref(), Some("initech"));
//!     assert_eq!(RETRIES.get(), None); // the variables that were not received have no value
//! });
//! assert_eq!(received.foreign(), ["userId=alice"]);
//! assert_eq!(TENANT.get().as_deref(), Some("globex & sons"));
//! # Ok(())
//! # }
//! ```
//!
//! Only values that are set travel: defaults do not.
//!
//! # Requests in async code
//!
//! A guard or a scope belongs to a thread. Give the future of a request a context instead:
//!
//! ```
//! # use ctxvars::carrier::{Carrier, Level, Portable};
//! use ctxvars::{ContextVar, FutureContextExt as _};
//! # use std::sync::LazyLock;
//! # static TENANT: ContextVar<String> = ContextVar::new("tenant");
//! # static CARRIER: LazyLock<Carrier> = LazyLock::new(|| {
//! #     Carrier::builder().with(Portable::new(&TENANT, "acme.tenant")).build().expect("a name")
//! # });
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # let headers = [("baggage", "acme.tenant=globex")];
//!
//! let context = CARRIER.extract(&headers, Level::Internal).context();
//! let tenant = async { TENANT.get() }.in_context(context).await;
//! assert_eq!(tenant.as_deref(), Some("globex"));
//! # });
//! ```
//!
//! The function of a `ctxvars::tower::ContextLayer` (feature `tower`) can do this for each request:
//! `CARRIER.extract(request.headers(), Level::Internal).apply_to(context)`.
//!
//! # Headers
//!
//! Maps and vectors of pairs implement [`Headers`] and [`HeadersMut`], and so does `http::HeaderMap` with
//! the feature `http`. For other objects there are [`Sending::value`], which returns the header, and
//! [`Receiving::extract_values`], which takes it.
//!
//! # Hostile headers
//!
//! A header comes from another machine. Reading it takes linear time, and does not fail: a member that
//! cannot be read is dropped, and listed in [`Received::errors`].
//!
//! | header | effect |
//! | --- | --- |
//! | over 8192 bytes or 64 members, all repeated headers together | the first members are read |
//! | a name with two different values | neither is taken |
//! | an illegal character, a broken percent code, a missing `=` | the member is dropped |
//! | percent codes that are not UTF-8 | U+FFFD |
//! | a text that the codec or the validation refuses; an unknown version | the member is dropped |
//! | a name that is not declared | it is in [`Received::foreign`] |
//!
//! A header can be forged. At the edge to the public, [`accept`](Carrier::accept) the names that clients
//! may set, or [`Level::Public`].
//!
//! # The code
//!
//! | file | concept |
//! | --- | --- |
//! | `portable.rs` | `Portable`, `Level`: how a variable travels |
//! | `set.rs` | `Carrier`: the portable variables of a program, with unique names |
//! | `codec.rs`, `float.rs`, `base64.rs` | values to text and back |
//! | `baggage.rs` | the grammar and the limits of the header |
//! | `headers.rs`, `http.rs` | the objects that keep headers |
//! | `sending.rs` | writing the header |
//! | `receiving.rs`, `received.rs` | reading the header; using the values |
//! | `deadline.rs` | `Deadline`: a portable variable whose text is the remaining time |
//! | `signer.rs` | HMAC over the members of a header |

mod baggage;
mod base64;
mod codec;
mod deadline;
mod float;
mod headers;
#[cfg(feature = "http")]
mod http;
mod portable;
mod received;
mod receiving;
mod sending;
mod set;
#[cfg(feature = "signing")]
mod signer;

pub use baggage::{MAX_BYTES, MAX_MEMBERS};
pub use codec::Codec;
pub use deadline::{Deadline, DeadlineExceeded};
pub use headers::{Headers, HeadersMut};
pub use portable::{Level, Portable};
pub use received::{Dropped, Entered, Reason, Received};
pub use receiving::Receiving;
pub use sending::{InjectError, Sending};
pub use set::{Accept, Carrier, CarrierBuilder, DeclarationError, UnknownName};
#[cfg(feature = "signing")]
pub use signer::{KeyError, Signer};

/// The names of this crate and of the Python package begin so.
const RESERVED: &str = "ctxvars.";

/// The name of the member with the signature.
#[cfg(feature = "signing")]
const SIGNATURE: &str = "ctxvars.signature";
