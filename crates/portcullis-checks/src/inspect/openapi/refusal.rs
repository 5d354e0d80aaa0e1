//! How a refusal is told: a status by what is wrong, and where, never with what value.
//!
//! A body that is too large once unpacked is 413, one of another kind 415, one that has no reading 400, and one that a
//! schema refuses 422. What is wrong outside of the body is 400.

use portcullis_core::{Advice, Code, Denial, Position, Violation};
use portcullis_openapi::{Class, Place, Violations};

/// The refusal of a request.
pub fn of_request(violations: &Violations) -> Denial {
    let in_body = violations.iter().any(|violation| violation.place == Place::Body);
    let code = match (violations.class(), in_body) {
        (Class::Unavailable, _) => return no_memory(violations),
        (Class::TooLarge, _) => Code::BodyTooLarge,
        (Class::Unsupported, _) => Code::MediaTypeRefused,
        (Class::Malformed, true) => Code::ContentMalformed,
        (Class::Invalid, true) => Code::ContentInvalid,
        (Class::Malformed | Class::Invalid, false) => Code::RequestInvalid,
    };
    refuse(code, violations)
}

/// The refusal of an answer.
pub fn of_answer(violations: &Violations) -> Denial {
    match violations.class() {
        Class::Unavailable => no_memory(violations),
        Class::TooLarge | Class::Unsupported | Class::Malformed | Class::Invalid => {
            refuse(Code::AnswerInvalid, violations)
        }
    }
}

/// The refusal of a content coding.
pub fn of_coding(class: Class, reason: &'static str) -> Denial {
    let code = match class {
        Class::TooLarge => Code::BodyTooLarge,
        Class::Malformed | Class::Invalid => Code::ContentMalformed,
        Class::Unsupported => Code::MediaTypeRefused,
        Class::Unavailable => return no_memory(&reason),
    };
    Denial::new(code, format!("a content coding: {reason}"))
        .pointing_out([Violation::new("content-encoding", reason)])
}

/// Nothing is wrong with the message; there was no memory to judge it.
pub fn no_memory(about: &dyn std::fmt::Display) -> Denial {
    let detail = format!("no memory for judging a body is left ({about})");
    Denial::new(Code::Overloaded, detail).advising(Advice::RetryAfter { seconds: 1 })
}

fn refuse(code: Code, violations: &Violations) -> Denial {
    let pointed = violations.iter().map(|violation| {
        let named = match violation.name.is_empty() {
            true => violation.pointer.clone(),
            false => format!("/{}{}", escaped(&violation.name), violation.pointer),
        };
        let pointed = Violation::new(named, violation.reason).at(violation.offset.map(Position::Offset));
        match violation.place {
            Place::Body => pointed,
            Place::Status | Place::Path | Place::Query | Place::Header | Place::Cookie => {
                pointed.within(violation.place.as_str())
            }
        }
    });
    Denial::new(code, violations.to_string()).pointing_out(pointed)
}

/// A name as a part of a JSON Pointer (RFC 6901, section 3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
