//! Every metric, declared once: its name, what kind it is, and what it says.

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations by their length.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name, with its unit.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// What it says, in one line.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

macro_rules! families {
    ($($name:ident = $text:literal $kind:ident [$($label:literal),*] $help:literal;)+) => {
        $(
            #[doc = $help]
            pub static $name: Family =
                Family { name: $text, kind: Kind::$kind, help: $help, labels: &[$($label),*] };
        )+

        /// Every metric, in the order of the documentation.
        pub static ALL: &[&Family] = &[$(&$name),+];
    };
}

families! {
    REQUESTS = "portcullis_requests_total" Counter ["route", "status", "outcome", "code"]
        "Requests by route, status, outcome (served, refused, failed, aborted) and denial code.";
    CONSUMER_REQUESTS = "portcullis_consumer_requests_total" Counter ["consumer", "outcome"]
        "Requests by consumer and outcome.";
    CHECK_REFUSALS = "portcullis_check_refusals_total" Counter ["check", "code", "mode"]
        "Refusals of checks; with the mode observe, what would have been refused.";
    RULE_MATCHES = "portcullis_waf_rule_matches_total" Counter ["rule"]
        "Requests and answers that a rule of security.waf matched, by the id of the rule.";
    SEARCHED_VALUES = "portcullis_waf_values_total" Counter ["result"]
        "Values of requests that rules searched (searched), and that a document proves harmless (harmless).";
    CHECK_SECONDS = "portcullis_check_duration_seconds" Histogram ["check", "verdict"]
        "Time of a check by its verdict (pass, refuse, in whatever mode), of one request in 16.";
    LIMIT_REQUESTS = "portcullis_limit_requests_total" Counter ["limit", "left"]
        "Requests by their tightest limit and how much of it was left, in percent (0, under_10, under_50, 50_or_more).";
    REQUEST_SECONDS = "portcullis_request_duration_seconds" Histogram ["route"]
        "From the arrival of a request to the end of its answer.";
    GATEWAY_SECONDS = "portcullis_gateway_duration_seconds" Histogram ["route"]
        "The same without the time in which the upstream was waited for.";
    UPSTREAM_SECONDS = "portcullis_upstream_duration_seconds" Histogram ["route"]
        "From the start of forwarding to the head of the upstream's answer.";
    UPSTREAM_RESPONSES = "portcullis_upstream_responses_total" Counter ["upstream", "status"]
        "Answers of upstreams by status; the status none where there was no answer.";
    RECEIVED_BYTES = "portcullis_received_bytes_total" Counter ["route"]
        "Bytes of request bodies that were read.";
    SENT_BYTES = "portcullis_sent_bytes_total" Counter ["route"]
        "Bytes of response bodies that were handed to connections.";
    CONNECTIONS = "portcullis_connections" Gauge ["listener"]
        "Connections of clients now.";
    CONNECTIONS_REFUSED = "portcullis_connections_refused_total" Counter ["listener", "reason"]
        "Connections that were closed at once: over a cap of their listener (cap), or for want of file descriptors (files, without a listener).";
    CLIENT_DESCRIPTORS = "portcullis_client_file_descriptors" Gauge []
        "File descriptors that clients have now.";
    CLIENT_DESCRIPTORS_LIMIT = "portcullis_client_file_descriptors_limit" Gauge []
        "The most file descriptors that clients may have.";
    HELD_BYTES = "portcullis_held_body_bytes" Gauge []
        "Memory of bodies that are held until they are judged, in all workers.";
    HELD_BYTES_LIMIT = "portcullis_held_body_bytes_limit" Gauge []
        "The most memory for held bodies of one worker.";
    UNREAD_BYTES = "portcullis_unread_answer_bytes" Gauge []
        "Bytes of answers that wait for clients that do not read, beyond the small parts that are not counted, in all workers.";
    TLS_HANDSHAKES = "portcullis_tls_handshakes_total" Counter ["listener"]
        "TLS handshakes that were completed. Failed ones are requests with the code tls_handshake or client_certificate.";
    CERTIFICATE_EXPIRY = "portcullis_certificate_expiry_timestamp_seconds" Gauge ["listener"]
        "When the first certificate of a listener expires, in seconds since 1970; 0 while it has none.";
    SERVER_UP = "portcullis_upstream_server_up" Gauge ["group", "server"]
        "Whether a server of a group gets requests (1), or is left out (0).";
    SERVER_RUNNING = "portcullis_upstream_server_requests_running" Gauge ["group", "server"]
        "Requests that a server of a group has now.";
    SERVER_REQUESTS = "portcullis_upstream_server_requests_total" Counter ["group", "server"]
        "Requests that were sent to a server of a group, or tried to be.";
    SERVER_FAILURES = "portcullis_upstream_server_failures_total" Counter ["group", "server"]
        "Requests that failed at a server of a group: no connection, no answer, none in time, or 502, 503 or 504.";
    SERVER_RETRIES = "portcullis_upstream_server_retries_total" Counter ["group", "server"]
        "Requests that were sent to a server of a group after another one had failed.";
    SERVER_EJECTIONS = "portcullis_upstream_server_ejections_total" Counter ["group", "server"]
        "How often a server of a group was left out after failures.";
    GENERATION = "portcullis_configuration_generation" Gauge []
        "The generation of the configuration that runs; 1 at the start.";
    GENERATION_SINCE = "portcullis_configuration_since_timestamp_seconds" Gauge []
        "Since when this configuration runs, in seconds since 1970.";
    RELOADS = "portcullis_configuration_reloads_total" Counter ["result"]
        "Attempts to change the configuration by their result (success, failure).";
    RELOAD_SUCCESS = "portcullis_configuration_last_reload_success" Gauge []
        "Whether the last attempt to change the configuration succeeded (1) or failed (0).";
    OLD_CONFIGURATIONS = "portcullis_configurations_retiring" Gauge []
        "Older configurations that running requests still use.";
    LOG_LINES_DROPPED = "portcullis_log_lines_dropped_total" Counter ["log"]
        "Lines and entries that a log (access, audit) or the record stream (stream) did not take.";
    FINDINGS = "portcullis_findings_total" Counter ["detector", "severity"]
        "Findings of suspicious activity that began.";
    FINDINGS_OPEN = "portcullis_findings_open" Gauge []
        "Findings of suspicious activity that go on.";
    DETECTION_EVENTS = "portcullis_detection_events_total" Counter ["result"]
        "Requests that detectors examined (seen), and those that there was no time for (dropped).";
    DETECTION_BYTES = "portcullis_detection_bytes" Gauge []
        "Memory of the detectors.";
    SPANS = "portcullis_spans_total" Counter ["result"]
        "Spans of traces by what became of them (sent, dropped).";
    STORE_KEYS = "portcullis_store_keys" Gauge []
        "Valid keys of the store that the gateway knows.";
    STORE_SILENCE = "portcullis_store_silence_seconds" Gauge []
        "How long ago the store of keys last answered. Beyond its max_stale, its keys are refused with 503.";
    WORKERS = "portcullis_workers" Gauge []
        "Threads that serve requests.";
    BUILD_INFO = "portcullis_build_info" Gauge ["version"]
        "Always 1; the version is in the label.";
    PROCESS_CPU = "process_cpu_seconds_total" Counter []
        "Processor time of the process, in user and system mode.";
    PROCESS_RESIDENT = "process_resident_memory_bytes" Gauge []
        "Resident memory of the process.";
    PROCESS_VIRTUAL = "process_virtual_memory_bytes" Gauge []
        "Virtual memory of the process.";
    PROCESS_OPEN_FDS = "process_open_fds" Gauge []
        "Open file descriptors of the process.";
    PROCESS_MAX_FDS = "process_max_fds" Gauge []
        "The most file descriptors that the process may open.";
    PROCESS_THREADS = "process_threads" Gauge []
        "Threads of the process.";
    PROCESS_START = "process_start_time_seconds" Gauge []
        "When the process started, in seconds since 1970.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_are() {
        let mut names: Vec<_> = ALL.iter().map(|family| family.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        for family in ALL {
            assert_eq!(family.kind == Kind::Counter, family.name.ends_with("_total"), "{}", family.name);
            assert!(family.help.ends_with('.') && !family.help.contains('\n'), "{}", family.name);
            assert_eq!(family.kind == Kind::Histogram, family.name.ends_with("_duration_seconds"));
        }
    }

    #[test]
    fn every_metric_is_documented() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md")).unwrap();
        for family in ALL {
            assert!(
                page.contains(&format!("| `{}` |", family.name)),
                "docs/metrics.md lacks {}",
                family.name
            );
            assert!(page.contains(family.help), "docs/metrics.md says something else of {}", family.name);
        }
    }
}
