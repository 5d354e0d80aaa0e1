//! Quotas by the calendar: where a period ends, in which time zone, and what clients are told of it.

use crate::trial::{Setup, Trial, consumer, get};

fn quota(more: &str) -> Trial {
    Setup::new().compile(&format!("quota: {{ max_requests: 2, by: route, {more} }}"))
}

/// How many of three requests are within the quota at this moment.
fn at(trial: &Trial, moment: &str) -> usize {
    trial.world.be(moment);
    trial.of(3, || get("/x"), &consumer(0))
}

#[test]
fn a_quota_begins_anew_with_its_period() {
    for (per, last, first) in [
        ("hour", "2026-05-05T12:59:59Z", "2026-05-05T13:00:00Z"),
        ("day", "2026-05-05T23:59:59Z", "2026-05-06T00:00:00Z"),
        ("month", "2026-04-30T23:59:59Z", "2026-05-01T00:00:00Z"),
        ("month", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
        // A leap year, and one that is none.
        ("month", "2024-02-29T23:59:59Z", "2024-03-01T00:00:00Z"),
        ("month", "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z"),
        ("day", "2024-02-28T23:59:59Z", "2024-02-29T00:00:00Z"),
    ] {
        let trial = quota(&format!("per: {per}"));
        assert_eq!(at(&trial, last), 2, "{per} {last}");
        assert_eq!(at(&trial, last), 0, "{per} {last}");
        assert_eq!(at(&trial, first), 2, "{per} {first}");
    }
}

#[test]
fn a_quota_lasts_all_of_its_period() {
    for (per, first, last) in [
        ("hour", "2026-05-05T12:00:00Z", "2026-05-05T12:59:59Z"),
        ("day", "2026-05-05T00:00:00Z", "2026-05-05T23:59:59Z"),
        ("month", "2026-05-01T00:00:00Z", "2026-05-31T23:59:59Z"),
        ("month", "2024-02-01T00:00:00Z", "2024-02-29T23:59:59Z"),
    ] {
        let trial = quota(&format!("per: {per}"));
        assert_eq!((at(&trial, first), at(&trial, last)), (2, 0), "{per} {first}");
    }
}

#[test]
fn midnight_is_that_of_the_time_zone() {
    let trial = quota("per: day, time_zone: Europe/Berlin");
    for (moment, within) in [
        ("2026-01-10T22:59:59Z", 2),
        ("2026-01-10T23:00:00Z", 2),
        ("2026-01-11T22:59:59Z", 0),
        // The day on which clocks are put forward has 23 hours.
        ("2026-03-28T23:00:00Z", 2),
        ("2026-03-29T21:59:59Z", 0),
        ("2026-03-29T22:00:00Z", 2),
        // In summer it is an hour earlier in UTC.
        ("2026-07-10T21:59:59Z", 2),
        ("2026-07-10T22:00:00Z", 2),
        ("2026-07-11T21:59:59Z", 0),
        // The one on which they are put back has 25.
        ("2026-10-24T22:00:00Z", 2),
        ("2026-10-25T22:59:59Z", 0),
        ("2026-10-25T23:00:00Z", 2),
    ] {
        assert_eq!(at(&trial, moment), within, "{moment}");
    }
}

#[test]
fn a_time_zone_that_nobody_knows_is_a_mistake() {
    for zone in ["Europe/Atlantis", "\"\"", "\"+01:00\""] {
        let wrong = Setup::new().wrong(&format!("quota: {{ max: 1, per: day, time_zone: {zone} }}"));
        assert_eq!(wrong, [format!("config.time_zone: no time zone is called `{}`", zone.trim_matches('"'))]);
    }
    assert_eq!(Setup::new().wrong("quota: []"), ["config.empty_list: the list of quotas is empty"]);
    assert_eq!(Setup::new().wrong("quota: { max: 1, per: day, name: \"a b\" }").len(), 1);
    assert_eq!(Setup::new().wrong("quota: { max: 1, per: day, cost: 2 }").len(), 1);
}

#[test]
fn clients_are_told_of_a_quota_as_far_as_its_length_is_known() {
    for (more, policy, described) in [
        ("per: hour", "\"quota\";q=2;w=3600", "each hour (UTC)"),
        ("per: day, name: daily", "\"daily\";q=2;w=86400", "each day (UTC)"),
        ("per: month, time_zone: Asia/Tokyo", "\"quota\";q=2", "each month (Asia/Tokyo)"),
    ] {
        let trial = quota(more);
        let told: Vec<_> = trial.policies().iter().map(|policy| policy.text.as_str()).collect();
        assert_eq!(told, [policy], "{more}");
        let listed = format!(
            "quota.calendar enforce: all clients together: 2 requests in {described}, in fixed windows"
        );
        assert_eq!(trial.listed("quota"), [listed]);
    }
}
