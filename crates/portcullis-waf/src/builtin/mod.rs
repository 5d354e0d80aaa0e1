//! The builtin rules: what a gateway can see of the usual attacks, without any file.
//!
//! They are SecLang like any others, in four parts: `setup.conf` gives defaults, `rules.conf` searches requests and
//! `answers.conf` responses, and `evaluation.conf`, which comes after all other rules, adds up and refuses. Names of variables and the meaning of
//! scores are those of the Core Rule Set, so that both can run together. `cases.txt` says what each rule must and must
//! not match.

use crate::seclang::Loader;
use crate::seclang::tree::Item;
use std::sync::OnceLock;

const SETUP: &str = include_str!("setup.conf");
const RULES: &str = include_str!("rules.conf");
const ANSWERS: &str = include_str!("answers.conf");
const EVALUATION: &str = include_str!("evaluation.conf");

impl Loader {
    /// Adds the builtin rules. They belong before all others; [`evaluation`](Self::evaluation) belongs after.
    #[must_use]
    pub fn builtin(self) -> Self {
        // The expressions live as long as a rule that has them. These are wanted again with each configuration.
        static KEPT: OnceLock<Vec<Item>> = OnceLock::new();
        let rules = |loader: Loader| {
            loader
                .text("builtin/rules.conf", RULES.as_bytes())
                .text("builtin/answers.conf", ANSWERS.as_bytes())
        };
        KEPT.get_or_init(|| rules(Loader::new()).items());
        rules(self.text("builtin/setup.conf", SETUP.as_bytes()))
    }

    /// Adds what refuses a request whose score has reached the threshold, unless a rule set before has added up by
    /// itself.
    #[must_use]
    pub fn evaluation(self) -> Self {
        self.text("builtin/evaluation.conf", EVALUATION.as_bytes())
    }
}
