//! "Did you mean": the known name that is closest to a misspelt one.
//!
//! Decides what counts as close. Case, underscores and dashes do not count, so `maxRequests` finds `max_requests`. A name
//! that is one edit away (a character inserted, removed, replaced, or two swapped) is always found. Nothing close is `None`.

use strsim::{jaro_winkler, osa_distance};

/// Longer than any name we know by far; comparing costs the product of both lengths.
const LONGEST: usize = 128;

/// The candidate closest to `given`, or `None` when none is close; of several equally close ones the most similar.
pub fn closest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > LONGEST {
        return None;
    }
    let lowered = given.to_lowercase();
    let folded = fold(given);
    let mut best: Option<(usize, usize, f64, &'a str)> = None;
    for candidate in candidates {
        let spelled = osa_distance(&lowered, &candidate.to_lowercase());
        let distance = spelled.min(osa_distance(&folded, &fold(candidate)));
        if distance > tolerance(given, candidate) {
            continue;
        }
        let similarity = jaro_winkler(&lowered, candidate);
        let better = best.is_none_or(|(best_distance, best_spelled, best_similarity, _)| {
            (distance, spelled) < (best_distance, best_spelled)
                || ((distance, spelled) == (best_distance, best_spelled) && similarity > best_similarity)
        });
        if better {
            best = Some((distance, spelled, similarity, candidate));
        }
    }
    best.map(|(_, _, _, candidate)| candidate)
}

/// How many edits still count as close: one in any word, one more for every three characters after that.
fn tolerance(given: &str, candidate: &str) -> usize {
    (given.chars().count().max(candidate.chars().count()) / 3).max(1)
}

/// The same for `maxRequests`, `max_requests`, `max-requests` and `MAX REQUESTS`.
fn fold(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 7] =
        ["max_requests", "per", "burst", "roles_allowed", "authentication", "authorization", "by"];

    #[test]
    fn other_spellings_and_slips_are_found() {
        for (given, meant) in [
            ("maxRequests", "max_requests"),
            ("max-requests", "max_requests"),
            ("MAX_REQUEST", "max_requests"),
            ("rolesAlowed", "roles_allowed"),
            ("authentification", "authentication"),
            ("autorisation", "authorization"),
            ("yb", "by"),
            ("pre", "per"),
        ] {
            assert_eq!(closest(given, NAMES), Some(meant), "{given}");
        }
    }

    #[test]
    fn nothing_close_is_none() {
        for given in ["", "upstream", "zzz", "requests_per_minute", &"x".repeat(10_000)] {
            assert_eq!(closest(given, NAMES), None, "{given}");
        }
    }

    #[test]
    fn the_closest_wins() {
        assert_eq!(closest("header", ["headers", "header_name", "header"]), Some("header"));
        assert_eq!(closest("methds", ["method", "methods"]), Some("methods"));
    }

    proptest! {
        #[test]
        fn one_edit_is_always_found(name in "[a-z_]{1,20}", at in 0usize..20, with in "[a-zA-Z_]", edit in 0..4) {
            let mut characters: Vec<char> = name.chars().collect();
            let at = at % characters.len();
            let with = with.chars().next().unwrap();
            match edit {
                0 => characters.insert(at, with),
                1 => { characters.remove(at); }
                2 => characters[at] = with,
                _ => { let next = (at + 1) % characters.len(); if next > at { characters.swap(at, next); } }
            }
            let misspelt: String = characters.into_iter().collect();
            prop_assert_eq!(closest(&misspelt, [name.as_str(), "something_else_entirely"]), Some(name.as_str()));
        }
    }
}
