//! Logging in with a real OpenID provider that nobody here wrote, through a running gateway.
//!
//! | module     | holds                                                                          |
//! |------------|--------------------------------------------------------------------------------|
//! | `site`     | a gateway with a public address, a provider that knows it, and a backend       |
//! | `browser`  | a browser without a screen: cookies, redirects, and the provider's own forms   |
//! | `webdriver`| Chromium, driven over HTTP                                                     |
//! | `round`    | login, session, logout, and what each of them is worth                         |
//! | `attacks`  | stolen, replayed, forged and misdirected requests                              |
//! | `refreshing` | refresh: once for all, and what a provider that is down does                 |
//! | `sessions`   | sessions of several cookies, the ID token at logout, forms of the provider     |
//! | `provider_ends` | back-channel logout                                                       |
//! | `gateways`   | one login at two gateways                                                      |
//! | `library`    | the same from a program                                                        |
//! | `pages`      | what a person sees where it does not go as usual                               |
//! | `chromium` | the same in a browser that people use                                          |

#![expect(
    unreachable_pub,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod browser;
mod chromium;
mod gateways;
mod library;
mod pages;
mod provider_ends;
mod refreshing;
mod round;
mod sessions;
mod site;
mod webdriver;
