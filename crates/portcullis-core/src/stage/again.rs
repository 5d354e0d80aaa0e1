//! Whether a request that still runs would be let in now.
//!
//! A request is judged once, when it arrives. One that runs for long, such as a WebSocket, can outlive what let it in: a
//! token expires, a key is revoked, a session ends, another plan comes. So what let it in is kept beside it, by name, and is
//! judged again from time to time, by the plan that is current then: its route, addresses, credentials and permissions.
//! Nothing is counted or recorded. Header fields are not kept, so what reads them is not asked again: limits, and what looks
//! into requests (`inspect`). Where a method cannot tell, or an evidence has no name, the request ends.

use super::{Facts, blocked};
use crate::check::{Authentication, Authn, Guarded, Mode};
use crate::conn::Conn;
use crate::denial::{Code, Denial};
use crate::effects::{Effects, Standing};
use crate::head::Head;
use crate::plan::Snapshot;
use crate::principal::{Evidence, Principal};

/// What let a request in.
#[derive(Clone)]
pub struct Admission {
    head: Head,
    conn: Conn,
    principal: Principal,
}

impl Admission {
    /// What let in the request with this head, of which the fields are left out.
    pub(crate) fn new(head: Head, conn: Conn, principal: Principal) -> Admission {
        Admission { head, conn, principal }
    }

    /// Judges it by what holds now.
    ///
    /// # Errors
    /// Why it would not be let in. [`Code::Fault`] where that cannot be told.
    pub async fn judge(&self, snapshot: &Snapshot) -> Result<(), Denial> {
        let effects = snapshot.effects();
        // SECURITY: a block ends what runs as well (a_block_ends_what_runs).
        if effects.is_blocked(self.head.client()) {
            return Err(blocked());
        }
        let id = snapshot.routes.find(&self.head)?;
        let fault = || Denial::new(Code::Fault, "a route number of another plan");
        let route = snapshot.routes.route(id).ok_or_else(fault)?;
        if let Some(wish) = self.head.upgrade() {
            let wish = wish.as_bytes().to_ascii_lowercase();
            if !route.upgrades.iter().any(|protocol| protocol.as_bytes() == wish) {
                return Err(Denial::new(Code::UpgradeRefused, "the route no longer allows this upgrade"));
            }
        }
        let (head, conn) = (&self.head, &self.conn);
        let facts = Facts {
            head,
            conn,
            plan: snapshot,
            route,
            route_id: id,
            now: effects.now(),
            source: Standing::Free,
            holding: None,
            notes: None,
        };
        for Guarded { mode, check } in &route.controls.screen {
            if *mode == Mode::Enforce {
                check.screen(&facts, effects).resolve().await.map_err(|denial| denial.by(check.id()))?;
            }
        }
        let principal = self.identify(&facts, effects).await?;
        // SECURITY: and a block of a consumer here ends what it runs (a_block_ends_what_runs).
        if principal.name(&snapshot.consumers).is_some_and(|name| effects.is_blocked_as(head.client(), name))
        {
            return Err(blocked());
        }
        for Guarded { mode, check } in &route.controls.authorize {
            if *mode == Mode::Enforce {
                let allowed = check.authorize(&facts, &principal, effects).resolve().await;
                allowed.map_err(|denial| denial.by(check.id()))?;
            }
        }
        Ok(())
    }

    /// Who it is by what the route wants now.
    async fn identify(&self, facts: &Facts<'_>, effects: &dyn Effects) -> Result<Principal, Denial> {
        let (mode, upheld) = match &facts.route.controls.authentication {
            Authentication::Public { .. } => return Ok(Principal::ANONYMOUS),
            Authentication::AnyOf { mode, methods } => {
                let mut upheld = Err(lost());
                for method in methods {
                    if let Some(found) = self.uphold(method.as_ref(), facts, effects).await {
                        upheld = found.map(Principal::of);
                        break;
                    }
                }
                (*mode, upheld)
            }
            Authentication::AllOf { mode, methods } => {
                let mut upheld = Ok(Principal::ANONYMOUS);
                for method in methods {
                    let found = self.uphold(method.as_ref(), facts, effects).await;
                    let found = found.unwrap_or_else(|| Err(lost()));
                    upheld = upheld.and_then(|mut principal| match principal.add(found?) {
                        true => Ok(principal),
                        false => Err(Denial::new(Code::CredentialsDisagree, "credentials of two consumers")),
                    });
                }
                (*mode, upheld)
            }
        };
        match mode {
            Mode::Enforce => upheld,
            Mode::Observe | Mode::Off => Ok(upheld.unwrap_or(Principal::ANONYMOUS)),
        }
    }

    /// What this method says of the evidence that is its own. `None` where none is.
    async fn uphold(
        &self,
        method: &dyn crate::check::Authenticate,
        facts: &Facts<'_>,
        effects: &dyn Effects,
    ) -> Option<Result<Evidence, Denial>> {
        for evidence in self.principal.evidence() {
            let found = match method.uphold(evidence, facts, effects).resolve().await {
                Authn::NotMine => continue,
                Authn::Claim(upheld) | Authn::ClaimAndTell(upheld, _) => {
                    // SECURITY: whatever a method says, nothing outlives its end (a_stream_ends_with_its_token).
                    let held = upheld.ground.as_ref().ok_or_else(lost);
                    held.and_then(|ground| ground.holds_at(facts.now.unix)).map(|()| upheld)
                }
                Authn::Deny(denial) => Err(denial),
            };
            return Some(found.map_err(|denial| denial.by(method.id())));
        }
        None
    }
}

fn lost() -> Denial {
    Denial::new(Code::CredentialUnknown, "no method of the route accepts what let the request in")
}
