//! The engine of Portcullis: what a request is, what may stop it, and the proof that nothing did.
//!
//! This crate decides; it never acts. It has no async runtime, no clock, no randomness, no file and no socket:
//! whatever a check may ask of the world comes through [`Effects`]. So the server, the library, a test and an
//! offline explanation all run the same decision on the same [`Plan`].
//!
//! A request passes these stages, in this order, and the order is by type: each stage is made from the one before
//! it and from nothing else.
//!
//! ```text
//! Parts --Head::admit--> Admitted --route--> Routed --screen--> Screened --authenticate--> Authenticated
//!       --authorize--> Authorized --charge--> Cleared --inspect--> Permit
//! ```
//!
//! | module      | holds                                                                            |
//! |-------------|----------------------------------------------------------------------------------|
//! | [`conn`]      | what is known of a connection before it has said anything                      |
//! | [`head`]      | the canonical request head, and the refusal of every ambiguous one             |
//! | [`route`]     | which route a request belongs to: exactly one                                  |
//! | [`check`]     | the traits of the checks, a trait a stage, and their modes                     |
//! | [`conversation`] | what follows an upgrade, where a check reads it                        |
//! | [`effects`]   | what a check may ask of the world                                              |
//! | [`principal`] | who sends the request                                                          |
//! | [`plan`]      | everything that is decided before the first request arrives                    |
//! | [`stage`]     | the stages, and the one function that runs them                                |
//! | [`body`]      | bodies under their cap, streamed or held                                       |
//! | [`held`]      | memory for bodies that are held until they are judged                          |
//! | [`pool`]      | pools that clients share: a bound, a share per address, a short fair queue     |
//! | [`overload`]  | whether the gateway is too slow, and whose requests it gives up first          |
//! | [`examine`]   | what an answer must pass before the client sees it                             |
//! | [`permit`]    | the only thing that can be forwarded                                           |
//! | [`denial`]    | why a request was refused: codes, statuses, and what the record alone may know |
//! | [`answer`]    | what the client sees of a refusal                                              |
//! | [`record`]    | exactly one account of each request                                            |

pub mod answer;
pub mod body;
pub mod check;
pub mod claims;
pub mod conn;
pub mod conversation;
pub mod denial;
pub mod effects;
pub mod endpoint;
pub mod error_bodies;
pub mod examine;
pub mod head;
pub mod held;
mod hex;
pub mod method;
pub mod network;
pub mod notes;
pub mod overload;
pub mod page;
pub mod permit;
pub mod plan;
pub mod pool;
pub mod principal;
pub mod record;
pub mod route;
pub mod stage;
pub mod trace;

pub use answer::refusal;
pub use body::{BodyRefused, Capped};
pub use check::{
    AnswerFields, Answers, Authenticate, Authentication, Authn, Authorize, Charged, Check, CheckId, Control,
    CrossOrigin, Guarded, Held, InFlight, Inspect, InspectAnswer, Inspected, LateCost, Mode, Operation,
    OperationUse, Operations, Policy, Quota, SchemeKind, Screen, SecurityScheme, Shape, Wants,
};
pub use claims::{Claim, ClaimPath};
pub use conn::{CertificateName, ClientAddress, ClientCertificate, Conn, Transport};
pub use conversation::{Breach, Conversation, Heard};
pub use denial::{Advice, Code, Denial, Position, Violation};
pub use effects::{
    Algorithm, Charging, Clock, Count, CountKey, Effects, Fault, Fetch, Fetched, Job, KeyDigest, KeyRecord,
    KeySetId, Keys, KeysBuf, Limit, LimitId, Now, Standing, Step, Wait,
};
pub use examine::{Examined, Examiner};
pub use head::{Head, HeadPolicy, Once};
pub use held::{HeldAccounts, HeldMemory, Holding, Taken};
pub use method::MethodSet;
pub use notes::{Arguments, BodyFormat, Notes, Searched};
pub use permit::Permit;
pub use plan::{
    Argument, Controls, CredentialLocation, ErrorDetail, Inspection, IsHarmless, KeptCredential, Plan,
    Proofs, Snapshot,
};
pub use principal::{
    Consumer, ConsumerId, Consumers, CountedCredential, CredentialName, Evidence, Fingerprint, Ground,
    Identity, KeyId, KeyProfile, MethodId, NoHolder, NotAKeyId, Principal, StoredKey, Subject,
};
pub use record::{Level, Outcome, Record, RecordSink, Recording, RequestId};
pub use route::{Route, RouteId, RouteTable, TargetId};
pub use stage::{Admission, Cleared, Dialogue, Facts, Refused, Said, judge};
