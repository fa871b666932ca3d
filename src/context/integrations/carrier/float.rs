//! Floating-point numbers as Python's `repr` writes them.

/// The text of a number in Python, from the text that Rust writes by `{:e}`. O(length).
///
/// Both are the shortest digits from which the number can be read back, so only their layout differs.
pub(super) fn as_python_writes(scientific: &str) -> String {
    let (sign, unsigned) = match scientific.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", scientific),
    };
    // Without an exponent, it is an infinity or NaN.
    let Some((mantissa, exponent)) = unsigned.split_once('e') else {
        return scientific.to_lowercase();
    };
    let digits = mantissa.replace('.', "");
    let exponent: i32 = exponent.parse().expect("Rust writes a decimal exponent");
    let text = match exponent {
        -4..=-1 => {
            let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
            format!("0.{zeros}{digits}")
        }
        0..=15 => {
            let point = exponent as usize + 1;
            let (whole, fraction) = digits.split_at(point.min(digits.len()));
            let fraction = if fraction.is_empty() { "0" } else { fraction };
            format!("{whole:0<point$}.{fraction}")
        }
        _ => {
            let exponent_sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{exponent_sign}{:02}", exponent.unsigned_abs())
        }
    };
    format!("{sign}{text}")
}

/// Whether a text matches `-?([0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?|inf|nan)`. O(length).
pub(super) fn is_written_by_python(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    matches!(unsigned, "inf" | "nan") || [whole, fraction, exponent].into_iter().all(is_number)
}
