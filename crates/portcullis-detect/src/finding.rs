//! What is told of an attack.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look when there is time.
    Low,
    /// Worth a look today.
    Medium,
    /// Likely an attack.
    High,
}

impl Severity {
    /// All, the least first.
    pub const ALL: [Severity; 3] = [Severity::Low, Severity::Medium, Severity::High];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whom a finding is about. What is not known is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The address: an IPv4 one, or the first one of an IPv6 /64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The consumer that its sender was shown to be, or the subject of a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// A consumer that somebody tried to be. Anybody can do that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
}

/// A fact that a finding rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is, such as `wrong credentials`.
    pub what: String,
    /// The value. May hold what a client wrote.
    pub value: String,
}

/// Something suspicious.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its id, unique among those that are kept.
    pub id: String,
    /// The detector, such as `scanner`.
    pub detector: String,
    /// How much it matters.
    pub severity: Severity,
    /// What happened, in plain words.
    pub summary: String,
    /// Whom it is about.
    pub subject: Subject,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// When it began, in seconds since 1970.
    pub start: u64,
    /// When it was last seen, in seconds since 1970.
    pub last: u64,
    /// Whether it goes on, as far as can be told.
    pub open: bool,
    /// The address that it comes from, where one alone is responsible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Until when its sender is blocked for it, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_until: Option<u64>,
}
