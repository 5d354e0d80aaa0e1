//! The formats of the OpenAPI registry that JSON Schema does not have.

use serde_json::Number;

/// What a number must fit into.
#[derive(Clone, Copy, Debug)]
pub(super) enum NumberFormat {
    /// An integer between these, inclusive.
    Integer { least: i128, most: i128 },
    /// IEEE 754 single precision: not beyond its range.
    Float,
}

/// The format of this name, if it is one of numbers.
pub(super) fn number_format(name: &str) -> Option<NumberFormat> {
    let integer = |least: i128, most: i128| Some(NumberFormat::Integer { least, most });
    match name {
        "int8" => integer(i8::MIN.into(), i8::MAX.into()),
        "int16" => integer(i16::MIN.into(), i16::MAX.into()),
        "int32" => integer(i32::MIN.into(), i32::MAX.into()),
        "int64" => integer(i64::MIN.into(), i64::MAX.into()),
        "uint8" => integer(0, u8::MAX.into()),
        "uint16" => integer(0, u16::MAX.into()),
        "uint32" => integer(0, u32::MAX.into()),
        "uint64" => integer(0, u64::MAX.into()),
        "float" => Some(NumberFormat::Float),
        _ => None,
    }
}

impl NumberFormat {
    pub(super) fn holds(self, number: &Number) -> bool {
        match self {
            NumberFormat::Integer { least, most } => match whole(number) {
                Some(value) => (least..=most).contains(&value),
                None => false,
            },
            NumberFormat::Float => number.as_f64().is_some_and(|value| value.abs() <= f64::from(f32::MAX)),
        }
    }
}

/// The value of a number without a fraction, exactly.
fn whole(number: &Number) -> Option<i128> {
    if let Some(value) = number.as_i64() {
        return Some(value.into());
    }
    if let Some(value) = number.as_u64() {
        return Some(value.into());
    }
    let value = number.as_f64()?;
    // Beyond 64 bits no integer format holds it, so the cast below is exact.
    (value.fract() == 0.0 && value.abs() < 1e20).then_some(value as i128)
}

/// Whether `text` is base64 (RFC 4648, section 4) with its padding and nothing else.
pub(super) fn is_base64(text: &str) -> bool {
    if !text.len().is_multiple_of(4) {
        return false;
    }
    let mut bytes = vec![0; text.len() / 4 * 3];
    <base64ct::Base64 as base64ct::Encoding>::decode(text, &mut bytes).is_ok()
}
