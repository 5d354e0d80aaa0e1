//! Which requests together look like an attack.
//!
//! One request rarely shows an attack; a hundred of them do. Each detector gets a short [`Event`] for every request and
//! raises a [`Finding`] in plain words, with its evidence. Nothing here reads a clock, starts a thread, or knows a request,
//! a route or a configuration: time comes with the events, so that a day can be played through in a second, and the
//! detectors can be tried on traffic that nobody sent.
//!
//! | file           | decides                                                                  |
//! |----------------|--------------------------------------------------------------------------|
//! | [`event`]        | what a detector gets to know of a request                                |
//! | [`finding`]      | what is told of an attack                                                |
//! | [`detector`]     | what a detector is, and the list of all of them                          |
//! | `detectors/`    | a detector in each file                                                  |
//! | [`engine`]       | events to detectors, and what they raise to the ledger                   |
//! | [`ledger`]       | what is one finding, when it is over, and how many are kept              |
//! | [`table`]        | memory for what is counted by address, consumer or key, bounded in bytes |
//! | [`window`]       | counts over the last minutes                                             |
//! | [`history`]      | a consumer's own past                                                    |
//!
//! Memory is bounded in bytes, whatever clients send. Under a flood of made-up addresses the quiet ones are forgotten first,
//! so a finding may be missed, and none is invented.

pub mod detector;
mod detectors;
pub mod engine;
pub mod event;
pub mod finding;
pub mod history;
pub mod ledger;
pub mod table;
pub mod window;

pub use detector::{DETECTORS, Detector, Kind, Raise};
pub use engine::{Change, Engine, Exempt};
pub use event::{Ending, Event, Moment, Name, Text, Who};
pub use finding::{Evidence, Finding, Severity, Subject};
