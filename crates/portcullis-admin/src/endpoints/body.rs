//! The body of an order: one object of JSON, each member once, and none that nobody expects.

use super::Call;
use crate::problem::Problem;
use http::StatusCode;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// The object of a body in JSON, with these members alone.
pub(crate) fn object(call: &Call<'_>, members: &[&str]) -> Result<serde_json::Map<String, Value>, Problem> {
    let bad = |what: String| Problem::new(StatusCode::BAD_REQUEST, what);
    let headers = call.asked.request.headers();
    // SECURITY: a form of another site can send this without asking; JSON it cannot (hostile_requests_are_refused_or_harmless).
    let json = headers.get(http::header::CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str().is_ok_and(|kind| {
            kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        })
    });
    if !json {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json"));
    }
    let Members(object) = serde_json::from_slice(call.asked.request.body())
        .map_err(|error| bad(format!("the body is not a JSON object with each member once: {error}")))?;
    match object.keys().find(|key| !members.contains(&key.as_str())) {
        Some(_) => Err(bad(format!("the body may have {}", members.join(", ")))),
        None => Ok(object),
    }
}

/// The members of a JSON object, each of which stands there once.
struct Members(serde_json::Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = serde_json::Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    // SECURITY: which of two values an order means is not to be guessed (hostile_requests_are_refused_or_harmless).
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member stands there twice"));
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}
