//! Whether an issuer accepts a token, and what the verdicts of several issuers come to.
//!
//! Each issuer that the token may be from, in the order of the configuration, is a candidate and gives one verdict. One rule
//! combines them: the first that accepts decides. If none does and one could not tell, since its keys or its answer could
//! not be had, that is a fault: it may be the one whose token it is. Otherwise the token is refused, for the reason of the
//! last candidate that knows it.

use super::{Bearer, Trust};
use crate::token::cache::{self, TokenDigest, Verified};
use crate::token::introspection::Question;
use crate::token::issuer::Loaded;
use crate::token::jws::{self, Jws};
use crate::token::rules::Purpose;
use portcullis_core::pool::Client;
use portcullis_core::{Claim, Code, Denial, Effects, Facts};
use std::sync::Arc;

/// What a candidate says of a token.
enum Verdict {
    /// It is good.
    Accepted(Verified),
    /// It is not, for this reason.
    Refused(Denial),
    /// It may be, and the issuer could not be asked.
    Unknown(Denial),
    /// It is another issuer's.
    Foreign,
}

impl Verdict {
    fn of(result: Result<Verified, Denial>) -> Verdict {
        match result {
            Ok(verified) => Verdict::Accepted(verified),
            Err(denial) if denial.code() == Code::Fault => Verdict::Unknown(denial),
            Err(denial) => Verdict::Refused(denial),
        }
    }
}

/// What the verdicts so far come to.
struct Combined {
    /// The refusal where no candidate refuses.
    nobody: Denial,
    refused: Option<Denial>,
    unknown: Option<Denial>,
}

impl Combined {
    /// Nobody has spoken; this is said where nobody does.
    fn new(nobody: Denial) -> Combined {
        Combined { nobody, refused: None, unknown: None }
    }

    /// Takes a verdict. `Some` where it decides.
    fn take(&mut self, verdict: Verdict) -> Option<Verified> {
        match verdict {
            Verdict::Accepted(verified) => return Some(verified),
            // A server that does not know the token says nothing against what another one said of it.
            Verdict::Refused(denial) if denial.code() == Code::TokenInactive && self.refused.is_some() => {}
            Verdict::Refused(denial) => self.refused = Some(denial),
            Verdict::Unknown(denial) => self.unknown = Some(denial),
            Verdict::Foreign => {}
        }
        None
    }

    fn refusal(self) -> Denial {
        self.unknown.or(self.refused).unwrap_or(self.nobody)
    }
}

/// A token whose issuer is to be found.
struct Unverified<'a> {
    text: &'a str,
    digest: TokenDigest,
    /// What a signed one says, until a candidate takes it.
    jws: Option<Jws<'a>>,
    /// The issuer that a signed one names.
    issuer: Option<String>,
}

impl Bearer {
    /// Verifies a token that is not known yet, and remembers it.
    ///
    /// # Errors
    /// The refusal that the verdicts of all candidates come to.
    pub(super) async fn verify(
        &self,
        text: &str,
        digest: TokenDigest,
        facts: &Facts<'_>,
        effects: &dyn Effects,
    ) -> Result<Verified, Denial> {
        let mut token = Unverified { text, digest, jws: None, issuer: None };
        let nobody = if jws::looks_signed(text) {
            let jws = Jws::parse(text)?;
            token.issuer = jws.claims.member("iss").and_then(Claim::as_text).map(str::to_owned);
            token.jws = Some(jws);
            Denial::new(Code::TokenIssuer, "it is from no issuer that the route accepts")
        } else {
            Denial::new(Code::TokenMalformed, "it is not a signed token, and nobody can be asked about it")
        };
        let mut combined = Combined::new(nobody);
        for (number, trust) in self.trusts.iter().enumerate() {
            let verdict = match jws::looks_signed(text) {
                true => self.verdict_on_signed(number, trust, &mut token, facts, effects).await,
                false => self.verdict_on_opaque(number, trust, &token, facts, effects).await,
            };
            if let Some(verified) = combined.take(verdict) {
                self.cache.insert(digest, verified.clone());
                return Ok(verified);
            }
        }
        Err(combined.refusal())
    }

    async fn verdict_on_signed(
        &self,
        number: usize,
        trust: &Trust,
        token: &mut Unverified<'_>,
        facts: &Facts<'_>,
        effects: &dyn Effects,
    ) -> Verdict {
        // SECURITY: the keys of one issuer verify its own tokens only (tests/tokens/attacks.rs).
        let Some(named) = token.issuer.clone().filter(|named| trust.issuer.may_be(named)) else {
            return Verdict::Foreign;
        };
        let loaded = match trust.issuer.loaded(facts.now.monotonic, effects).await {
            Ok(loaded) if loaded.issuer == named => loaded,
            Ok(_) => return Verdict::Foreign,
            Err(fault) => return Verdict::Unknown(Denial::new(Code::Fault, fault.detail)),
        };
        if loaded.keys.is_empty() && trust.introspector.is_some() {
            return Verdict::of(self.ask(number, trust, &loaded, token, None, facts, effects).await);
        }
        let checked = self.check_signed(number, trust, Arc::clone(&loaded), token, facts, effects).await;
        match checked {
            // SECURITY: a made-up token is refused by its signature and costs the server no question
            // (tests/config/effects/tokens.rs).
            Ok(verified) if trust.asks_signed => {
                let asked = self.ask(number, trust, &loaded, token, Some(&verified), facts, effects).await;
                Verdict::of(asked.map(|asked| Verified { generation: verified.generation, ..asked }))
            }
            checked => Verdict::of(checked),
        }
    }

    async fn check_signed(
        &self,
        number: usize,
        trust: &Trust,
        loaded: Arc<Loaded>,
        token: &mut Unverified<'_>,
        facts: &Facts<'_>,
        effects: &dyn Effects,
    ) -> Result<Verified, Denial> {
        // An issuer can be named twice, for different purposes and audiences; then it is read once more.
        let jws = match token.jws.take() {
            Some(jws) => jws,
            None => Jws::parse(token.text)?,
        };
        trust.rules.judge_type(jws.typ.as_deref())?;
        let loaded = trust.issuer.verify(&jws, loaded, facts.now.monotonic, effects).await?;
        let purpose = Purpose::of_type(jws.typ.as_deref());
        let judged = trust.rules.judge(&loaded.issuer, jws.claims, purpose, facts.now.unix)?;
        Ok(Verified {
            subject: Arc::new(judged.subject),
            until: judged.expires,
            expires: Some(judged.expires),
            binding: judged.binding,
            issuer: number,
            generation: loaded.generation,
            guessable: false,
            asked: None,
        })
    }

    async fn verdict_on_opaque(
        &self,
        number: usize,
        trust: &Trust,
        token: &Unverified<'_>,
        facts: &Facts<'_>,
        effects: &dyn Effects,
    ) -> Verdict {
        if trust.introspector.is_none() {
            return Verdict::Foreign;
        }
        // Before anything is fetched for it.
        if let Err(denial) = self.may_ask(&token.digest, facts, effects) {
            return Verdict::Refused(denial);
        }
        match trust.issuer.loaded(facts.now.monotonic, effects).await {
            Ok(loaded) => Verdict::of(self.ask(number, trust, &loaded, token, None, facts, effects).await),
            Err(fault) => Verdict::Unknown(Denial::new(Code::Fault, fault.detail)),
        }
    }

    /// Asks the authorization server about a token. Of one that is `signed` it is asked only whether it is active.
    #[expect(clippy::too_many_arguments, reason = "what a question needs, from four places")]
    async fn ask(
        &self,
        number: usize,
        trust: &Trust,
        loaded: &Loaded,
        token: &Unverified<'_>,
        signed: Option<&Verified>,
        facts: &Facts<'_>,
        effects: &dyn Effects,
    ) -> Result<Verified, Denial> {
        let (Some(introspector), Some(url)) = (&trust.introspector, &loaded.introspection) else {
            return Err(Denial::new(Code::TokenMalformed, "nobody can be asked about it"));
        };
        self.may_ask(&token.digest, facts, effects)?;
        let address = facts.head.client();
        let digest = token.digest;
        let client = Client { address, known: effects.is_known(address, cache::fingerprint(&digest)) };
        let (issuer, rules) = (loaded.issuer.as_str(), &trust.rules);
        let question = Question { url, issuer, rules, token: token.text, digest, client, signed };
        let outcome = introspector.ask(&question, effects).await?;
        Ok(Verified {
            subject: outcome.subject,
            until: outcome.until,
            expires: outcome.expires,
            binding: outcome.binding,
            issuer: number,
            generation: loaded.generation,
            guessable: signed.is_none(),
            asked: Some(token.text.into()),
        })
    }

    /// Whether an authorization server is asked about the token: not for a source that must wait, unless the token was good
    /// from there before.
    fn may_ask(&self, digest: &TokenDigest, facts: &Facts<'_>, effects: &dyn Effects) -> Result<(), Denial> {
        match facts.blocked() {
            Some(denial) if !effects.is_known(facts.head.client(), cache::fingerprint(digest)) => Err(denial),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::Subject;
    use std::time::Duration;

    fn accepted(issuer: usize) -> Verdict {
        Verdict::Accepted(Verified {
            subject: Arc::new(Subject::new("i", "s", Claim::Null)),
            until: Duration::ZERO,
            expires: None,
            binding: Default::default(),
            issuer,
            generation: 0,
            guessable: false,
            asked: None,
        })
    }

    fn refused(code: Code) -> Verdict {
        Verdict::Refused(Denial::new(code, "no"))
    }

    fn unknown() -> Verdict {
        Verdict::Unknown(Denial::new(Code::Fault, "nobody answers"))
    }

    /// The number of the issuer that accepts, or the code of the refusal.
    fn combine(nobody: Code, verdicts: Vec<Verdict>) -> Result<usize, Code> {
        let mut combined = Combined::new(Denial::new(nobody, "nobody"));
        for verdict in verdicts {
            if let Some(verified) = combined.take(verdict) {
                return Ok(verified.issuer);
            }
        }
        Err(combined.refusal().code())
    }

    #[test]
    fn the_first_that_accepts_decides_and_silence_is_no_refusal() {
        use Code::{Fault, TokenAudience, TokenInactive, TokenIssuer, TokenMalformed, TokenSignature};
        let signed = |verdicts| combine(TokenIssuer, verdicts);
        let opaque = |verdicts| combine(TokenMalformed, verdicts);
        assert_eq!(signed(vec![]), Err(TokenIssuer));
        assert_eq!(signed(vec![Verdict::Foreign, Verdict::Foreign]), Err(TokenIssuer));
        assert_eq!(signed(vec![Verdict::Foreign, accepted(1), refused(TokenAudience)]), Ok(1));
        // A refusal, or silence, of one does not stand in the way of another.
        assert_eq!(signed(vec![refused(TokenSignature), unknown(), accepted(2)]), Ok(2));
        assert_eq!(signed(vec![accepted(0), accepted(1)]), Ok(0));
        // A token that may be good is not called a bad one, and not a good one either.
        assert_eq!(signed(vec![unknown(), refused(TokenAudience)]), Err(Fault));
        assert_eq!(signed(vec![refused(TokenSignature), refused(TokenAudience)]), Err(TokenAudience));
        assert_eq!(opaque(vec![refused(TokenInactive), refused(TokenAudience)]), Err(TokenAudience));
        assert_eq!(opaque(vec![refused(TokenAudience), refused(TokenInactive)]), Err(TokenAudience));
        assert_eq!(opaque(vec![refused(TokenInactive), Verdict::Foreign]), Err(TokenInactive));
        assert_eq!(signed(vec![Verdict::Foreign, refused(TokenInactive)]), Err(TokenInactive));
        assert_eq!(opaque(vec![Verdict::Foreign]), Err(TokenMalformed));
        assert_eq!(opaque(vec![refused(TokenInactive), unknown()]), Err(Fault));
    }
}
