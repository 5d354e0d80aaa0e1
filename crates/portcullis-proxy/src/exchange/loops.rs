//! Requests that come back to the gateway that sent them.
//!
//! An upstream that is the gateway itself, directly or by way of others, would make one request thousands. Each forwarded
//! request carries `CDN-Loop` (RFC 8586) with a name that is random for this gateway; one that arrives with it is 508.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use portcullis_core::{Code, Denial};

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// The name under which a gateway knows its own requests.
pub(crate) struct LoopName(HeaderValue);

impl LoopName {
    /// A name of these random bytes.
    pub(crate) fn new(random: [u8; 16]) -> LoopName {
        let name = format!("portcullis-{:032x}", u128::from_be_bytes(random));
        LoopName(HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("portcullis")))
    }

    /// Whether a request is new here.
    ///
    /// # Errors
    /// This gateway has forwarded it before.
    pub(super) fn judge(&self, headers: &HeaderMap) -> Result<(), Denial> {
        let values = headers.get_all(CDN_LOOP).iter();
        let mut members = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        // A member may have parameters (RFC 8586, section 2).
        let name = |member: &[u8]| {
            let name = member.split(|byte| *byte == b';').next().unwrap_or_default();
            name.trim_ascii() == self.0.as_bytes()
        };
        // SECURITY: each round would begin another one (an_upstream_that_is_the_gateway_itself_is_508).
        match members.any(name) {
            false => Ok(()),
            true => Err(Denial::new(Code::LoopDetected, "the request has passed this gateway before")),
        }
    }

    /// Marks a request that is forwarded.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        headers.append(CDN_LOOP, self.0.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_knows_its_own_requests_and_no_others() {
        let (own, other) = (LoopName::new([7; 16]), LoopName::new([8; 16]));
        let mut headers = HeaderMap::new();
        headers.insert(CDN_LOOP, HeaderValue::from_static("some-cdn; a=b, x"));
        own.mark(&mut headers);
        assert!(own.judge(&headers).is_err() && other.judge(&headers).is_ok());
        let joined = format!("x,\t{} ; a=\"b\"", own.0.to_str().unwrap());
        let joined = HeaderMap::from_iter([(CDN_LOOP, HeaderValue::from_str(&joined).unwrap())]);
        assert!(own.judge(&joined).is_err() && own.judge(&HeaderMap::new()).is_ok());
    }
}
