//! What a configuration says is what happens: every key is known, has an effect, and is refused where it is wrong.
//!
//! | module        | holds                                                                       |
//! |---------------|-----------------------------------------------------------------------------|
//! | `harness`     | reading a document and judging requests by it                               |
//! | `network`     | an issuer, and other servers that the gateway asks                          |
//! | `keys`        | every key that the schema declares                                          |
//! | `examples`    | documents that together contain every key                                   |
//! | `certificates` | certificates for documents                                                |
//! | `misspelt`    | a slip in any key is refused, with its place and the name that was meant    |
//! | `effects`     | every key has an effect that can be seen                                    |
//! | `spellings`   | the forms that people paste work as written, or are refused by name         |
//! | `authorization` | whose object it is, what a claim is compared with, and what an expression may be |
//! | `codes`       | every diagnostic, with its place and what to do about it                    |
//! | `vouching`    | what a method established counts for that method alone                      |
//! | `secrets`     | what is printed holds no secret                                             |
//! | `passwords`   | whose name and password it is, and what it costs to find out               |
//! | `login`       | sessions, and who is sent to log in                                        |
//! | `guessing`    | whoever guesses credentials waits, and nobody else does                    |
//! | `headers`     | no header that speaks for the gateway or another product gets to a backend  |
//! | `providers`   | the configurations for well-known identity providers take what these issue  |
//! | `paths`       | a pattern of another product is no path                                     |
//! | `pages`       | what the pages of the documentation show loads                              |
//! | `conformance` | what every check must do, for all checks of a document                      |
//! | `reference`   | the page in `docs/` is what the code says                                   |
#![allow(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#[path = "../support/authority.rs"]
mod authority;
mod authorization;
mod certificates;
mod codes;
mod conformance;
mod effects;
mod examples;
#[allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#[path = "../tokens/forge.rs"]
mod forge;
mod guessing;
mod harness;
mod headers;
mod keys;
mod login;
mod misspelt;
mod mistakes;
mod network;
mod openapi;
mod pages;
mod passwords;
mod paths;
mod providers;
mod reference;
mod secrets;
mod spellings;
mod vouching;
