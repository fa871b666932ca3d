//! Values that travel in headers.

mod agreement;
mod codecs;
mod declarations;
mod headers;
mod hostile;
mod received;
