//! Whose requests are counted together.

use http::HeaderName;
use portcullis_config::{Context, Decode, Definitions, Node, Spanned, Value, keyword, object};
use portcullis_core::{
    ClaimPath, Code, CountKey, Denial, Evidence, Facts, Identity, Keys, Once, Operation, Principal,
};
use serde_json::json;

keyword! {
    /// Whose requests are counted together.
    pub enum ByWord {
        /// The requests of each consumer. Where nobody is authenticated, those of each address.
        Consumer = "consumer",
        /// The requests with each API key or password. Otherwise as `consumer`.
        Key = "key",
        /// The requests of each address. The addresses of an IPv6 /64 count as one.
        Address = "address",
        /// The requests of each operation of the route's OpenAPI document. Where the route has no document, and for requests
        /// that the document does not declare, all requests of the route.
        Operation = "operation",
        /// All requests of a route.
        Route = "route",
        /// All requests that the limit is about.
        Gateway = "gateway",
    }
}

/// One thing by which requests are counted.
#[derive(Clone, Debug)]
pub enum Part {
    /// A word.
    Word(ByWord),
    /// Those with the same value of this header field; requests without it are counted by address.
    Header(Spanned<HeaderName>),
    /// Those with the same value of this claim of the same issuer; requests without it are counted by consumer.
    Claim(String, ClaimPath),
}

/// Whose requests are counted together: one thing, or those that agree in all of several.
#[derive(Clone, Debug)]
pub struct By(pub Vec<Part>);

object! {
    /// Counts requests by the value of a header or a claim; one of the two.
    struct ByValue {
        /// The name of a header, which is read before authentication. Everyone who knows a value can use up its limit, and
        /// everyone who invents values gets a limit for each.
        pub header: Option<Spanned<String>>,
        /// The name of a claim of the token, or names with dots between them, such as `org.id`. It counts per issuer.
        pub claim: Option<Spanned<String>>,
    }
}

impl Decode for Part {
    fn decode(node: &Node, cx: &mut Context) -> Option<Part> {
        if !matches!(node.value, Value::Mapping(_)) {
            return ByWord::decode(node, cx).map(Part::Word);
        }
        let ByValue { header, claim, .. } = ByValue::decode(node, cx)?;
        match (header, claim) {
            (Some(header), None) => {
                let span = header.span;
                let name = crate::authn::counted_field_name(&header, cx);
                name.map(|value| Part::Header(Spanned { value, span }))
            }
            (None, Some(claim)) => match ClaimPath::parse(&claim.value) {
                Some(path) => Some(Part::Claim(claim.value, path)),
                None => {
                    cx.error("config.claim_path", claim.span, "this is not the path of a claim")
                        .help("write names with dots between them, such as `org.id`");
                    None
                }
            },
            (Some(_), Some(_)) | (None, None) => {
                cx.error("config.limit_by", node.span, "this names a header or a claim, one of the two")
                    .help("write `by: { header: x-tenant }`, or a list for both");
                None
            }
        }
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [ByWord::schema(definitions), ByValue::schema(definitions)] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        Some(match self {
            Part::Word(word) => json!(word.as_str()),
            Part::Header(name) => json!({ "header": name.value.as_str() }),
            Part::Claim(claim, _) => json!({ "claim": claim }),
        })
    }
}

impl Decode for By {
    fn decode(node: &Node, cx: &mut Context) -> Option<By> {
        let Value::Sequence(items) = &node.value else {
            return Part::decode(node, cx).map(|part| By(vec![part]));
        };
        let parts: Vec<Option<Part>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| cx.index(index, |cx| Part::decode(item, cx)))
            .collect();
        let parts = parts.into_iter().collect::<Option<Vec<Part>>>()?;
        let names: Vec<String> = parts.iter().map(Part::name).collect();
        let twice =
            names.iter().enumerate().any(|(index, name)| names.iter().skip(index + 1).any(|it| it == name));
        if parts.is_empty() || parts.len() > Keys::MOST || twice {
            cx.error(
                "config.limit_by",
                node.span,
                format!("a combination has 1 to {} different parts", Keys::MOST),
            )
            .help("write for instance `by: [consumer, route]`");
            return None;
        }
        Some(By(parts))
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        let part = Part::schema(definitions);
        let list = json!({ "type": "array", "items": part, "minItems": 1, "maxItems": Keys::MOST });
        json!({ "anyOf": [part, list] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        match self.0.as_slice() {
            [part] => part.written(),
            parts => Some(json!(parts.iter().filter_map(Part::written).collect::<Vec<_>>())),
        }
    }
}

impl Part {
    fn name(&self) -> String {
        match self {
            Part::Word(word) => word.as_str().to_owned(),
            Part::Header(field) => field.value.as_str().to_owned(),
            Part::Claim(claim, _) => format!("claim {claim}"),
        }
    }

    /// Whether it is about who sends a request.
    fn asks_who(&self) -> bool {
        matches!(self, Part::Word(ByWord::Consumer | ByWord::Key) | Part::Claim(..))
    }

    /// `whose` is the evidence that says whose requests are counted.
    fn key<'a>(
        &self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        whose: Option<&'a Evidence>,
    ) -> Result<CountKey<'a>, Denial> {
        let address = CountKey::Address(facts.head.client());
        Ok(match self {
            Part::Word(ByWord::Address) => address,
            Part::Word(ByWord::Route) => CountKey::Route(facts.route_id.0),
            Part::Word(ByWord::Operation) => match operation(facts) {
                Some(Operation { document, method, path, .. }) => {
                    CountKey::Operation { document, method, path }
                }
                None => CountKey::Route(facts.route_id.0),
            },
            Part::Word(ByWord::Gateway) => CountKey::Gateway,
            Part::Word(ByWord::Consumer) => who(whose).unwrap_or(address),
            // SECURITY: the key counts wherever it stands among several credentials, and so does the claim
            // (a_limit_counts_by_the_key_and_the_claim_wherever_they_stand).
            Part::Word(ByWord::Key) => whose
                .into_iter()
                .chain(principal.evidence())
                .find_map(credential)
                .or_else(|| who(whose))
                .unwrap_or(address),
            Part::Claim(_, path) => principal
                .claimant()
                .and_then(|subject| {
                    let value = subject.claims.at(path).and_then(|claim| claim.as_text())?;
                    Some(CountKey::Claim { issuer: &subject.issuer, value })
                })
                .or_else(|| who(whose))
                .unwrap_or(address),
            Part::Header(name) => match facts.head.once(name.value.as_str()) {
                Once::One(_) => facts
                    .head
                    .headers()
                    .get(&name.value)
                    .map_or(address, |value| CountKey::Value(value.as_bytes())),
                Once::Absent => address,
                // SECURITY: a repeated field must not choose among several counters (a_repeated_key_field_is_refused).
                Once::Repeated | Once::Unreadable => {
                    return Err(Denial::new(
                        Code::AmbiguousHeader,
                        "the field by which requests are counted is not there once",
                    ));
                }
            },
        })
    }
}

/// The operation of a request, where its route has a document that declares it.
pub(super) fn operation<'a>(facts: &Facts<'a>) -> Option<Operation<'a>> {
    facts.route.controls.inspection.operations.as_ref()?.operation(facts.head)
}

/// The key or password that this is, if it is one.
fn credential(evidence: &Evidence) -> Option<CountKey<'_>> {
    evidence.counted_as.map(CountKey::Credential)
}

/// The key of whom this evidence names; `None` for nobody in particular.
fn who(evidence: Option<&Evidence>) -> Option<CountKey<'_>> {
    match evidence?.identity() {
        Identity::Consumer(id) => Some(CountKey::Consumer(*id)),
        Identity::Stored(key) => Some(CountKey::Subject(&key.count_key)),
        Identity::Subject(subject) => Some(CountKey::Subject(&subject.key)),
        Identity::Anonymous => None,
    }
}

impl By {
    /// By consumer.
    pub fn consumer() -> By {
        By(vec![Part::Word(ByWord::Consumer)])
    }

    /// What it is called in the names of counters.
    pub(crate) fn name(&self) -> String {
        self.0.iter().map(Part::name).collect::<Vec<_>>().join(" and ")
    }

    /// For people.
    pub fn describe(&self) -> String {
        let each = |part: &Part| match part {
            Part::Word(ByWord::Consumer) => "consumer".to_owned(),
            Part::Word(ByWord::Key) => "key".to_owned(),
            Part::Word(ByWord::Address) => "address".to_owned(),
            Part::Word(ByWord::Route) => "route".to_owned(),
            Part::Word(ByWord::Operation) => "operation".to_owned(),
            Part::Word(ByWord::Gateway) => "gateway".to_owned(),
            Part::Header(name) => format!("value of {}", name.value),
            Part::Claim(claim, _) => format!("value of the claim {claim}"),
        };
        match self.0.as_slice() {
            [Part::Word(ByWord::Route)] => "all clients together".to_owned(),
            [Part::Word(ByWord::Gateway)] => "everything together".to_owned(),
            parts => format!("each {}", parts.iter().map(each).collect::<Vec<_>>().join(" and ")),
        }
    }

    /// Whether clients choose what they are counted by.
    pub fn is_by_headers_alone(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Header(_)))
    }

    /// Whether it can be told before anybody is authenticated.
    pub(crate) fn is_early(&self) -> bool {
        let early = |part: &Part| matches!(part, Part::Word(ByWord::Address) | Part::Header(_));
        // A route or the gateway alone is counted late, so that nobody who may not can use it up.
        self.0.iter().any(early) && !self.0.iter().any(Part::asks_who)
    }

    /// Whether it is by something that only authentication tells, and that no address stands in for.
    pub fn needs_authentication(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Word(ByWord::Key) | Part::Claim(..)))
    }

    /// Whether a line of the access log tells it: the log has neither headers nor claims, and names no key.
    pub(crate) fn is_logged(&self) -> bool {
        self.0.iter().all(|part| match part {
            Part::Word(
                ByWord::Consumer | ByWord::Address | ByWord::Operation | ByWord::Route | ByWord::Gateway,
            ) => true,
            Part::Word(ByWord::Key) | Part::Header(_) | Part::Claim(..) => false,
        })
    }

    /// Whether it is by the operations of a document.
    pub(crate) fn is_by_operation(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Word(ByWord::Operation)))
    }

    /// The fields that must be there when it is asked.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Spanned<HeaderName>> {
        self.0.iter().filter_map(|part| match part {
            Part::Header(name) => Some(name),
            Part::Word(_) | Part::Claim(..) => None,
        })
    }

    /// Whose counter it is for this request. `whose` is the evidence that says whose requests are counted.
    pub(crate) fn keys<'a>(
        &self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        whose: Option<&'a Evidence>,
    ) -> Result<Keys<'a>, Denial> {
        if let [part] = self.0.as_slice() {
            return part.key(facts, principal, whose).map(Keys::one);
        }
        let mut keys = [CountKey::Gateway; Keys::MOST];
        for (place, part) in keys.iter_mut().zip(&self.0) {
            *place = part.key(facts, principal, whose)?;
        }
        Keys::several(keys.into_iter().take(self.0.len()))
            .ok_or_else(|| Denial::new(Code::Fault, "a combination of too many parts"))
    }
}

#[cfg(test)]
mod tests;
