//! The rehash: a second hash, for keys whose first hashes are equal.
//!
//! An attacker can choose many numbers, or tuples of numbers, with one hash: the hash of an `int`
//! is the remainder of a division. The rehash depends on a random secret of the process, so an
//! attacker cannot choose keys with one rehash.
//!
//! | exact type | data in the rehash |
//! | --- | --- |
//! | `int`, `bool` | sign and digits |
//! | `float`, `complex` | the equal `int` if there is one, else the bits |
//! | `str`, `bytes` | the characters, the bytes |
//! | `None` | the type |
//! | `tuple` | the data of all items, if each item has a rehash |
//!
//! Keys of other types have no rehash, because user code or an extension defines their equality. If
//! two equal keys both have a rehash, the rehashes are equal. The rehash of a key never changes.
//! Computing it runs no user code, does not allocate and does not fail.

#![allow(unsafe_code)] // Reads the memory of numbers, strings and tuples.

use crate::python::interpreter::{RawObject, ffi};
use foldhash::quality::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ptr;
use std::sync::OnceLock;

/// Tuples that are nested deeper have no rehash.
const DEEPEST: u32 = 16;
/// Tuples with more items, counted at all levels, have no rehash. The number of items can be
/// exponential in the depth: each tuple may contain the next one twice.
const MOST_ITEMS: u32 = 1000;

/// The secret of the process.
static SECRET: OnceLock<RandomState> = OnceLock::new();

/// The rehash of a key, if its type has one.
///
/// # Safety
///
/// `key` is alive, and has been hashed before.
#[cold]
pub(crate) unsafe fn rehash(key: RawObject) -> Option<u64> {
    let mut state = SECRET.get_or_init(RandomState::default).build_hasher();
    let mut items_left = MOST_ITEMS;
    // SAFETY: `feed` has the contract of this function.
    unsafe { feed(&mut state, key, 0, &mut items_left) }?;
    Some(state.finish())
}

/// The kind of a key. Keys of different kinds are not equal.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Integer,
    NegativeInteger,
    Real,
    Complex,
    Str,
    Bytes,
    None,
    Tuple,
}

/// Adds the kind of a key, and the number of bytes, digits or items that follow.
#[inline]
fn begin(state: &mut impl Hasher, kind: Kind, len: usize) {
    state.write_u64((len as u64) << 8 | kind as u64);
}

/// Adds a key to a hash. Returns `None` if the key has no rehash.
///
/// # Safety
///
/// `key` is alive, and has been hashed before.
unsafe fn feed(
    state: &mut impl Hasher,
    key: RawObject,
    depth: u32,
    items_left: &mut u32,
) -> Option<()> {
    // SAFETY: the key is alive, and each branch reads the layout of the exact type that it has
    // compared. A tuple is immutable and keeps its items alive, and the hash of a tuple has hashed
    // them.
    unsafe {
        let class = ffi::Py_TYPE(key);
        let is = |other: *mut ffi::PyTypeObject| ptr::eq(class, other);
        if is(&raw mut ffi::PyLong_Type) || is(&raw mut ffi::PyBool_Type) {
            feed_int(state, key)?;
        } else if is(&raw mut ffi::PyFloat_Type) {
            feed_real(state, ffi::PyFloat_AS_DOUBLE(key))?;
        } else if is(&raw mut ffi::PyComplex_Type) {
            let (real, imaginary) =
                (ffi::PyComplex_RealAsDouble(key), ffi::PyComplex_ImagAsDouble(key));
            if imaginary != 0.0 {
                begin(state, Kind::Complex, 2);
                feed_real(state, imaginary)?;
            }
            feed_real(state, real)?;
        } else if is(&raw mut ffi::PyUnicode_Type) {
            feed_str(state, key)?;
        } else if is(&raw mut ffi::PyBytes_Type) {
            let len = ffi::PyBytes_Size(key) as usize;
            begin(state, Kind::Bytes, len);
            let data = ffi::PyBytes_AS_STRING(key).cast::<u8>();
            state.write(std::slice::from_raw_parts(data, len));
        } else if ptr::eq(key, ffi::Py_None()) {
            begin(state, Kind::None, 0);
        } else if is(&raw mut ffi::PyTuple_Type) {
            let len = ffi::PyTuple_GET_SIZE(key);
            *items_left = items_left.checked_sub(u32::try_from(len).ok()?)?;
            if depth == DEEPEST {
                return None;
            }
            begin(state, Kind::Tuple, len as usize);
            for index in 0..len {
                feed(state, ffi::PyTuple_GET_ITEM(key, index), depth + 1, items_left)?;
            }
        } else {
            return None;
        }
        Some(())
    }
}

/// Bits in a digit of an `int`. Some builds use 15 bits; `feed_int` excludes them.
const DIGIT_BITS: i32 = 30;

/// Adds the digits of an `int`, from the lowest to the highest one that is not 0.
fn feed_digits(state: &mut impl Hasher, is_negative: bool, digits: &[u32]) {
    let kind = if is_negative { Kind::NegativeInteger } else { Kind::Integer };
    begin(state, kind, digits.len());
    for pair in digits.chunks(2) {
        state.write_u64(u64::from(pair[0]) << 32 | u64::from(*pair.last().unwrap_or(&0)));
    }
}

/// Adds an `int`. Returns `None` on builds whose digits are narrower than [`DIGIT_BITS`].
///
/// # Safety
///
/// `key` is alive, and an exact `int` or `bool`.
unsafe fn feed_int(state: &mut impl Hasher, key: RawObject) -> Option<()> {
    // SAFETY: the key is an `int`, so its digits lie behind the basic size of the type; digits have
    // 4 bytes, as the item size shows. `sign_and_len` returns their number. An `int` does not
    // change.
    unsafe {
        let class = &raw const ffi::PyLong_Type;
        if (*class).tp_itemsize as usize != size_of::<u32>() {
            return None;
        }
        let (is_negative, len) = sign_and_len(key);
        let digits = key.byte_offset((*class).tp_basicsize).cast::<u32>().cast_const();
        let digits = std::slice::from_raw_parts(digits, len);
        feed_digits(state, is_negative, digits);
    }
    Some(())
}

/// Whether an `int` is negative, and how many digits it has.
///
/// # Safety
///
/// `key` is alive, and an exact `int` or `bool`.
#[cfg(not(Py_3_12))]
unsafe fn sign_and_len(key: RawObject) -> (bool, usize) {
    // SAFETY: before 3.12, an `int` is an object of variable size, so this field exists. Its sign
    // is the sign of the `int`.
    let size = unsafe { (*key.cast::<ffi::PyVarObject>()).ob_size };
    (size < 0, size.unsigned_abs())
}

/// Whether an `int` is negative, and how many digits it has. From 3.12 on, both are in one word.
///
/// # Safety
///
/// `key` is alive, and an exact `int` or `bool`.
#[cfg(Py_3_12)]
unsafe fn sign_and_len(key: RawObject) -> (bool, usize) {
    const SIGN: usize = 3;
    const NEGATIVE: usize = 2;
    const NON_SIZE_BITS: u32 = 3;
    // SAFETY: from 3.12 on, an `int` has this word behind the object header.
    let tag = unsafe { key.add(1).cast::<usize>().read() };
    (tag & SIGN == NEGATIVE, tag >> NON_SIZE_BITS)
}

/// Adds a number as the `int` that it equals, if there is one, else as its bits.
fn feed_real(state: &mut impl Hasher, number: f64) -> Option<()> {
    if number.fract() != 0.0 || !number.is_finite() {
        begin(state, Kind::Real, size_of::<f64>());
        state.write_u64(number.to_bits());
        return Some(());
    }
    if number == 0.0 {
        feed_digits(state, false, &[]);
        return Some(());
    }
    // The number is `mantissa << shift`. A negative shift removes zeros only, because the number is
    // an integer.
    const MANTISSA_BITS: i32 = f64::MANTISSA_DIGITS as i32 - 1;
    let bits = number.to_bits();
    let exponent = (bits >> MANTISSA_BITS & 0x7FF) as i32;
    let mantissa = bits & ((1 << MANTISSA_BITS) - 1) | 1 << MANTISSA_BITS;
    let shift = exponent - 1023 - MANTISSA_BITS;
    let (mantissa, shift) = if shift < 0 { (mantissa >> -shift, 0) } else { (mantissa, shift) };
    let width = shift + (u64::BITS - mantissa.leading_zeros()) as i32;
    let digit = |index: i32| {
        let offset = index * DIGIT_BITS - shift;
        let part = match offset {
            64.. => 0,
            0.. => mantissa >> offset,
            -63..0 => mantissa << -offset,
            _ => 0,
        };
        part as u32 & ((1 << DIGIT_BITS) - 1)
    };
    const MOST_DIGITS: usize = (f64::MAX_EXP / DIGIT_BITS + 1) as usize;
    let mut digits = [0; MOST_DIGITS];
    let len = (width + DIGIT_BITS - 1) / DIGIT_BITS;
    (0..).zip(&mut digits[..len as usize]).for_each(|(index, place)| *place = digit(index));
    feed_digits(state, number < 0.0, &digits[..len as usize]);
    Some(())
}

/// Adds the characters of a `str`. Returns `None` for a string that is not ready (before 3.12).
///
/// # Safety
///
/// `key` is alive, and an exact `str`.
unsafe fn feed_str(state: &mut impl Hasher, key: RawObject) -> Option<()> {
    // SAFETY: the key is a `str` and ready, as checked below. So its data are `len` bytes: the
    // number of characters times their width. A string does not change, and the slice is not used
    // after the call.
    unsafe {
        // Before 3.12, hashing a string makes it ready.
        #[cfg(not(Py_3_12))]
        if ffi::PyUnicode_IS_READY(key) == 0 {
            return None;
        }
        // Equal strings have equal widths: a string has the narrowest width that fits.
        let width = ffi::PyUnicode_KIND(key) as usize;
        let len = ffi::PyUnicode_GET_LENGTH(key) as usize * width;
        begin(state, Kind::Str, len);
        state.write_u64(width as u64);
        let data = ffi::PyUnicode_DATA(key).cast::<u8>().cast_const();
        state.write(std::slice::from_raw_parts(data, len));
    }
    Some(())
}
