//! Compressed bodies: unpacked under a cap on size and on ratio, or refused.

use std::io::Read;

use flate2::bufread::{GzDecoder, ZlibDecoder};

use crate::limits::Limits;
use crate::message::{Fields, texts};
use crate::violation::Class;

/// What is wrong.
pub(crate) type Refusal = (Class, &'static str);

/// The body as the content codings of its fields say. `None`: it is not compressed.
pub(crate) fn decoded(fields: &dyn Fields, body: &[u8], limits: &Limits) -> Result<Option<Vec<u8>>, Refusal> {
    let unsupported = (Class::Unsupported, "content_encoding");
    let codings = texts(fields, "content-encoding").ok_or(unsupported)?;
    let mut codings = codings.iter().flat_map(|line| line.split(',')).map(str::trim);
    let coding = codings.next().unwrap_or("identity").to_ascii_lowercase();
    // SECURITY: each further coding multiplies what one byte may become, and no client needs two (one_coding_only).
    if codings.next().is_some() {
        return Err(unsupported);
    }
    match coding.as_str() {
        "identity" => Ok(None),
        "gzip" | "x-gzip" => {
            let mut decoder = GzDecoder::new(body);
            let unpacked = unpack(&mut decoder, body.len(), limits)?;
            finished(unpacked, decoder.into_inner())
        }
        "deflate" => {
            let mut decoder = ZlibDecoder::new(body);
            let unpacked = unpack(&mut decoder, body.len(), limits)?;
            finished(unpacked, decoder.into_inner())
        }
        _ => Err(unsupported),
    }
}

/// What follows the compressed data would reach the backend without having been judged.
fn finished(unpacked: Vec<u8>, rest: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    if rest.is_empty() { Ok(Some(unpacked)) } else { Err((Class::Malformed, "content_encoding")) }
}

fn unpack(decoder: &mut dyn Read, compressed: usize, limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let by_ratio = compressed.saturating_mul(limits.ratio);
    let most = limits.decoded_bytes.min(by_ratio);
    let bound_met = if by_ratio < limits.decoded_bytes { "decoded_ratio" } else { "decoded_size" };
    let mut unpacked = Vec::new();
    // SECURITY: memory follows what has been read, and one byte more than the cap is enough to know (gzip bombs in hostile.rs).
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    match decoder.take(bound).read_to_end(&mut unpacked) {
        Err(_) => Err((Class::Malformed, "content_encoding")),
        Ok(length) if length > most => Err((Class::TooLarge, bound_met)),
        Ok(_) => Ok(unpacked),
    }
}
