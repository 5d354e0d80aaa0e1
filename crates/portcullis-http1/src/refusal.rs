//! Why a message is refused: one reason for each rule, with the section that has it.

use std::fmt;

macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal, $source:literal;)+) => {
        /// Why a message has no single reading, or exceeds a limit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal { $($(#[doc = $doc])+ #[doc = ""] #[doc = concat!("Source: ", $source, ".")] $name,)+ }

        impl Refusal {
            /// Every reason.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$name,)+];

            /// What is wrong, in a few words for a log.
            pub fn reason(self) -> &'static str {
                match self { $(Refusal::$name => $text,)+ }
            }

            /// The document and the section that has the rule.
            pub fn source(self) -> &'static str {
                match self { $(Refusal::$name => $source,)+ }
            }
        }
    };
}

refusals! {
    /// A TLS handshake on a connection that carries plain HTTP.
    Tls => "a TLS handshake where plain HTTP is expected", "RFC 8446, section 5.1";
    /// The preface of HTTP/2.
    Http2Preface => "the preface of HTTP/2", "RFC 9113, section 3.4";
    /// More empty lines before a request line than are skipped.
    EmptyLines => "too many empty lines before the request line", "RFC 9112, section 2.2";
    /// A line that ends with LF alone.
    BareLineFeed => "a line that ends with a bare LF", "RFC 9112, section 2.2";
    /// A CR that is not followed by LF.
    BareCarriageReturn => "a bare CR", "RFC 9112, section 2.2";
    /// A NUL.
    Nul => "a NUL byte", "RFC 9110, section 5.5";
    /// A control byte other than a tab within a field value.
    ControlByte => "a control byte", "RFC 9110, section 5.5";
    /// The request line is not a method, a target and a version with one space between them.
    RequestLine => "the request line is not `method SP target SP version`", "RFC 9112, section 3";
    /// The method is not a token, or longer than any.
    Method => "the method is not a token, or too long", "RFC 9110, section 9.1";
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version => "not HTTP/1.0 or HTTP/1.1", "RFC 9112, section 2.3";
    /// The status line is not a version, three digits and a reason.
    StatusLine => "the status line is not `version SP status SP reason`", "RFC 9112, section 4";
    /// A status below 100.
    Status => "not a status code", "RFC 9110, section 15";
    /// The target is in none of the four forms, or its authority has user information.
    TargetForm => "the target is in none of the four forms", "RFC 9112, section 3.2";
    /// The authority form is for `CONNECT` alone, and `CONNECT` takes no other.
    AuthorityForm => "the authority form belongs to CONNECT, and CONNECT to it", "RFC 9112, section 3.2.3";
    /// The asterisk form is for `OPTIONS` alone.
    AsteriskForm => "the asterisk form is for OPTIONS alone", "RFC 9112, section 3.2.4";
    /// A scheme other than `http` and `https`.
    Scheme => "the target has another scheme than http or https", "RFC 9110, section 4.2";
    /// A byte that no target holds.
    TargetCharacter => "the target has a byte that must be escaped", "RFC 3986, section 2";
    /// A fragment, which is never sent.
    Fragment => "the target has a fragment", "RFC 9112, section 3.2";
    /// The target is longer than [`HeadLimits::max_target_bytes`](crate::HeadLimits::max_target_bytes).
    TargetTooLong => "the target is too long", "RFC 9112, section 3";
    /// HTTP/1.1 without `Host`, or an absolute target without it.
    HostMissing => "no Host field", "RFC 9112, section 3.2";
    /// More than one `Host` field.
    HostRepeated => "several Host fields", "RFC 9112, section 3.2";
    /// A `Host` that is not a host and an optional port.
    HostInvalid => "Host is not a host with an optional port", "RFC 9112, section 3.2";
    /// `Host` and the target name different authorities.
    HostConflict => "Host and the target name different authorities", "RFC 9112, section 3.2.2";
    /// A line that continues the one before, or a space before the first field.
    ObsoleteFold => "a folded field line", "RFC 9112, section 5.2";
    /// Whitespace between a field name and its colon.
    SpaceBeforeColon => "whitespace before the colon of a field", "RFC 9112, section 5.1";
    /// A field line without a colon.
    FieldWithoutColon => "a field line without a colon", "RFC 9112, section 5";
    /// A field name that is empty or not a token.
    FieldName => "a field name that is not a token", "RFC 9110, section 5.1";
    /// A field value with a byte that none holds.
    FieldValue => "a field value with a byte that none may hold", "RFC 9110, section 5.5";
    /// More fields than the limit.
    TooManyFields => "too many fields", "RFC 6585, section 5";
    /// A field line that is longer than the limit.
    FieldTooLarge => "a field line is too long", "RFC 6585, section 5";
    /// A head that is larger than the limit.
    HeadTooLarge => "the head is too large", "RFC 6585, section 5";
    /// Both `Content-Length` and `Transfer-Encoding`.
    LengthAndCoding => "both Content-Length and Transfer-Encoding", "RFC 9112, section 6.1";
    /// More than one `Content-Length`, whether or not they agree.
    LengthRepeated => "several Content-Length fields", "RFC 9112, section 6.3";
    /// A `Content-Length` that is not a number of digits, a list included.
    LengthInvalid => "Content-Length is not a decimal number", "RFC 9110, section 8.6";
    /// A `Content-Length` of 2^63 or more.
    LengthTooLarge => "Content-Length is out of range", "RFC 9110, section 8.6";
    /// A `Transfer-Encoding` other than exactly `chunked`, once.
    Coding => "Transfer-Encoding is not chunked, once", "RFC 9112, section 6.1";
    /// `Transfer-Encoding` in HTTP/1.0.
    CodingInHttp10 => "Transfer-Encoding in HTTP/1.0", "RFC 9112, section 6.1";
    /// A chunk that does not begin with hexadecimal digits.
    ChunkSize => "a chunk size that is not hexadecimal digits", "RFC 9112, section 7.1";
    /// A chunk size of more than 16 digits, or of 2^63 or more.
    ChunkTooLarge => "a chunk size out of range", "RFC 9112, section 7.1";
    /// A chunk extension outside of the grammar.
    ChunkExtension => "a malformed chunk extension", "RFC 9112, section 7.1.1";
    /// More bytes of chunk extensions than the limit.
    ChunkExtensionTooLong => "chunk extensions are too long", "RFC 9112, section 7.1.1";
    /// Chunk data that is not followed by CRLF.
    ChunkEnd => "chunk data without CRLF at its end", "RFC 9112, section 7.1";
    /// A trailer section that is larger than the limit.
    TrailersTooLarge => "the trailer section is too large", "RFC 9112, section 7.1.2";
    /// A trailer field that only a head may have.
    ForbiddenTrailer => "a trailer field that only a head may have", "RFC 9110, section 6.5.1";
    /// The connection ended in the middle of a message.
    Incomplete => "the connection ended in the middle of a message", "RFC 9112, section 8";
}

impl Refusal {
    /// Whether a limit was exceeded, rather than a rule broken.
    pub fn is_limit(self) -> bool {
        matches!(
            self,
            Refusal::TargetTooLong
                | Refusal::TooManyFields
                | Refusal::FieldTooLarge
                | Refusal::HeadTooLarge
                | Refusal::ChunkExtensionTooLong
                | Refusal::TrailersTooLarge
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.reason(), self.source())
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_words_and_a_section_of_an_rfc() {
        let mut seen = HashSet::new();
        for refusal in Refusal::ALL {
            assert!(seen.insert(refusal.reason()), "{refusal:?}");
            assert!(refusal.source().starts_with("RFC "), "{refusal:?}");
            assert!(refusal.to_string().contains("section"), "{refusal:?}");
        }
    }
}
