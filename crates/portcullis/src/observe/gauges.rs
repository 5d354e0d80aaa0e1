//! What is not counted from records: connections, memory, certificates, the configuration, the logs.

use super::{Seen, View};
use crate::reload::Reloader;
use portcullis_proxy::{Counts, ServerState, Standing};
use portcullis_telemetry::metrics::exposition::Exposition;
use portcullis_telemetry::metrics::families::{self, Family};
use portcullis_telemetry::metrics::number;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Writes what there is to say now.
pub(crate) fn write(view: &View, to: &mut Exposition) {
    let Some(gateway) = view.gateway() else { return };
    let seen = gateway.seen();
    front(&gateway, to);
    memory(&seen, to);
    tls(&seen, to);
    upstreams(&seen, to);
    configuration(&gateway, to);
    if let Some(detection) = &seen.detection {
        to.family(&families::FINDINGS);
        for ((detector, severity), count) in detection.found() {
            to.sample(&[("detector", &detector), ("severity", severity)], number(count));
        }
        let open = detection.findings().iter().filter(|finding| finding.open).count();
        gauge(to, &families::FINDINGS_OPEN, open as u64);
        to.family(&families::DETECTION_EVENTS)
            .sample(&[("result", "seen")], number(detection.seen()))
            .sample(&[("result", "dropped")], number(detection.dropped()));
        gauge(to, &families::DETECTION_BYTES, detection.bytes() as u64);
    }
    if let Some(traces) = &seen.traces {
        to.family(&families::SPANS);
        to.sample(&[("result", "sent")], number(traces.sent()));
        to.sample(&[("result", "dropped")], number(traces.dropped()));
    }
    if let Some(desk) = &seen.keys {
        let (keys, silence) = desk.keys.standing();
        gauge(to, &families::STORE_KEYS, keys as u64);
        to.family(&families::STORE_SILENCE).sample(&[], silence.as_secs_f64());
    }
    to.family(&families::LOG_LINES_DROPPED);
    if let Some(access) = &seen.access {
        to.sample(&[("log", "access")], number(access.lost()));
    }
    if let Some(audit) = &seen.audit {
        to.sample(&[("log", "audit")], number(audit.dropped()));
    }
}

fn gauge(to: &mut Exposition, family: &'static Family, value: u64) {
    to.family(family).sample(&[], number(value));
}

fn front(gateway: &Reloader, to: &mut Exposition) {
    let usage = gateway.usage();
    to.family(&families::CONNECTIONS);
    for (listener, connections) in &usage.connections {
        to.sample(&[("listener", &listener.to_string())], number(*connections as u64));
    }
    let (taken, most) = usage.client_descriptors;
    gauge(to, &families::CLIENT_DESCRIPTORS, taken as u64);
    gauge(to, &families::CLIENT_DESCRIPTORS_LIMIT, most as u64);
    to.family(&families::CONNECTIONS_REFUSED);
    for (listener, refused) in &usage.refused {
        to.sample(&[("listener", &listener.to_string()), ("reason", "cap")], number(*refused));
    }
    to.sample(&[("listener", ""), ("reason", "files")], number(usage.refused_for_files));
    gauge(to, &families::UNREAD_BYTES, usage.unread as u64);
    gauge(to, &families::WORKERS, gateway.workers() as u64);
}

fn memory(seen: &Seen, to: &mut Exposition) {
    gauge(to, &families::HELD_BYTES, seen.held.used() as u64);
    gauge(to, &families::HELD_BYTES_LIMIT, seen.plan.max_held_bytes as u64);
}

fn tls(seen: &Seen, to: &mut Exposition) {
    to.family(&families::TLS_HANDSHAKES);
    for (listener, tls) in &seen.protections {
        to.sample(&[("listener", listener)], number(tls.handshakes_completed()));
    }
    to.family(&families::CERTIFICATE_EXPIRY);
    for (listener, tls) in &seen.protections {
        to.sample(&[("listener", listener)], number(tls.expires().map_or(0, |end| end.as_secs())));
    }
}

fn upstreams(seen: &Seen, to: &mut Exposition) {
    let now = Instant::now();
    let servers: Vec<_> = seen
        .groups
        .iter()
        .flat_map(|group| group.present().into_iter().map(move |server| (group, server)))
        .map(|(group, server)| (group, group.standing(&server, now), server.state.counts(), server))
        .collect();
    let mut each = |family: &'static Family, of: &dyn Fn(Standing, &ServerState, &Counts) -> u64| {
        to.family(family);
        for (group, standing, counts, server) in &servers {
            let labels = [("group", &*group.name), ("server", server.url.as_str())];
            to.sample(&labels, number(of(*standing, &server.state, counts)));
        }
    };
    each(&families::SERVER_UP, &|standing, _, _| u64::from(standing == Standing::In));
    each(&families::SERVER_RUNNING, &|_, _, counts| counts.running);
    each(&families::SERVER_REQUESTS, &|_, _, counts| counts.requests);
    each(&families::SERVER_FAILURES, &|_, _, counts| counts.failures);
    each(&families::SERVER_RETRIES, &|_, _, counts| counts.retries);
    each(&families::SERVER_EJECTIONS, &|_, state, _| state.ejected());
}

fn configuration(gateway: &Reloader, to: &mut Exposition) {
    let status = gateway.status();
    let since = status.since.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    gauge(to, &families::GENERATION, status.generation);
    gauge(to, &families::GENERATION_SINCE, since.as_secs());
    to.family(&families::RELOADS)
        .sample(&[("result", "success")], number(status.generation.saturating_sub(1)))
        .sample(&[("result", "failure")], number(status.failures));
    gauge(to, &families::RELOAD_SUCCESS, u64::from(status.last_failure.is_none()));
    gauge(to, &families::OLD_CONFIGURATIONS, gateway.retiring() as u64);
}
