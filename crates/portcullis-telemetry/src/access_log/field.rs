//! What can stand in a line of the access log: these fields and no others.
//!
//! A field is a part of the record, which has no place for a credential or a body, nor for a header but those in which a client says
//! what it is; of the target and of the referrer, the path alone is a field. So no configuration can write a secret.

macro_rules! fields {
    ($($name:ident = $text:literal $about:literal)+) => {
        /// What can stand in a line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field { $(#[doc = $about] $name,)+ }

        impl Field {
            /// All of them, in the order of a line of JSON.
            pub const ALL: &'static [Field] = &[$(Field::$name,)+];

            /// Its name.
            pub fn as_str(self) -> &'static str {
                match self { $(Field::$name => $text,)+ }
            }

            /// Its name as that of a member of an object in JSON, with what stands around it, after another member.
            pub(crate) fn member(self) -> &'static str {
                match self { $(Field::$name => concat!(",\"", $text, "\":"),)+ }
            }

            /// What it is, as in the documentation.
            pub fn about(self) -> &'static str {
                match self { $(Field::$name => $about,)+ }
            }

            /// The field of this name.
            pub fn named(name: &str) -> Option<Field> {
                Field::ALL.iter().copied().find(|field| field.as_str() == name)
            }
        }
    };
}

fields! {
    Time = "time" "When the request arrived: RFC 3339 in UTC, with microseconds."
    ClfTime = "clf_time" "The same as the Common Log Format writes it, in UTC. Not in JSON unless it is listed."
    RequestId = "request_id" "The id of the request, which refusals show to clients."
    Peer = "peer" "The address and port that the connection came from."
    Client = "client" "The client's address, behind trusted proxies. Until the head is accepted, JSON has none, and a text has the peer's address."
    Method = "method" "The method."
    Protocol = "protocol" "The version of HTTP, such as `HTTP/2.0`. Not in JSON unless it is listed."
    Host = "host" "The host, in its canonical form."
    Path = "path" "The path, without the query."
    Route = "route" "The path of the route, as the configuration writes it."
    User = "user" "The consumer, or else the subject of the token. Not in JSON unless it is listed."
    Consumer = "consumer" "The authenticated consumer."
    Issuer = "issuer" "The issuer of the token, if a token was used."
    Subject = "subject" "The subject of the token, if a token was used."
    AuthenticatedBy = "authenticated_by" "The check that authenticated the request, such as `authn.api_key`."
    Key = "key" "The number of the key in the store of keys, which is no secret."
    Outcome = "outcome" "`served`, `refused`, `failed` (forwarded, and the upstream or the gateway failed) or `aborted` (the client left)."
    Denied = "denied" "Why it was refused or failed: `code`, `check` and `detail`. A text has the code."
    Observed = "observed" "What checks in `observe` mode would have refused. A text has the codes."
    Searched = "searched" "What the rules of `waf` found: `rules`, `values` and `harmless`. A text has the ids of the rules."
    Status = "status" "The status that the client got. Without one, a text has `000`."
    BytesReceived = "bytes_received" "Bytes of the request's body that were read."
    BytesSent = "bytes_sent" "Bytes of the answer's body that were sent."
    ElapsedUs = "elapsed_us" "Microseconds from the arrival to the end."
    Upstream = "upstream" "The server that was asked, or `handler`."
    UpstreamStatus = "upstream_status" "The status of the upstream's answer."
    UpstreamUs = "upstream_us" "Microseconds from the gateway's decision to the head of the upstream's answer."
    UpstreamGroup = "upstream_group" "The group that the server belongs to."
    Referer = "referer" "The `Referer` header up to its path, 512 bytes at most. Not in JSON unless it is listed."
    UserAgent = "user_agent" "The `User-Agent` header, 512 bytes at most. Not in JSON unless it is listed."
    UpstreamTries = "upstream_tries" "How often the request was sent to a server of the group, or tried to be."
}

impl Field {
    /// What a line of JSON has without being told to.
    pub(crate) fn usual() -> impl Iterator<Item = Field> {
        let more = |field: &Field| {
            let listed_only =
                [Field::ClfTime, Field::Protocol, Field::User, Field::Referer, Field::UserAgent];
            listed_only.contains(field)
        };
        Field::ALL.iter().copied().filter(move |field| !more(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_documented() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/logs.md");
        let page = std::fs::read_to_string(page).unwrap();
        for field in Field::ALL {
            let row = format!("| `{}` | {} |", field.as_str(), field.about());
            assert!(page.contains(&row), "docs/logs.md lacks\n{row}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, Field::ALL.len(), "docs/logs.md describes a field that there is not");
    }
}
