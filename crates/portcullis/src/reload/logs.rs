//! Where records go, while configurations come and go.
//!
//! A configuration that writes to the same place as the one before goes on with the open log, so that no line is lost or
//! stands between two others, and the audit log stays one chain.

use crate::document::{AccessLogConfig, AuditLogConfig, LogOutput};
use portcullis_core::{Level, Plan, Record, RecordSink};
use portcullis_telemetry::access_log::Style;
use portcullis_telemetry::audit::key::SigningKey;
use portcullis_telemetry::notices::Notices;
use portcullis_telemetry::{AccessLog, AuditLog, Fan, OnFull};
use rand::Rng;
use std::io;
use std::sync::Arc;

/// Opens logs.
pub(crate) struct Logs {
    /// In place of any access log.
    given: Option<Arc<dyn RecordSink>>,
    /// Addresses are hashed under it. Made at each start.
    secret: [u8; 32],
    /// Which notices reach standard error and the access log.
    notices: Arc<Notices>,
    follows: Follows,
}

/// Whether a process before this one still writes the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// Nobody may write it.
    Nobody,
    /// One does, and ends soon.
    Predecessor,
}

/// Hands on what concerns no single request.
pub(crate) struct Notifier {
    access: Arc<dyn RecordSink>,
    audit: Option<Arc<AuditLog>>,
    notices: Arc<Notices>,
}

impl Notifier {
    /// To the audit log in any case, and to the others if operators want notices of this level.
    pub(crate) fn tell(&self, level: Level, about: &str, detail: &str) {
        if let Some(audit) = &self.audit {
            audit.notice(about, detail);
        }
        if self.notices.wants(level) {
            match level {
                Level::Info => self.access.notice(about, detail),
                Level::Warning => self.access.warn(about, detail),
            }
            self.notices.tell(level, about, detail);
        }
    }
}

/// What a configuration says of its logs.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LogsConfig {
    pub(crate) access: AccessLogConfig,
    pub(crate) audit: Option<AuditLogConfig>,
}

/// Logs that are open.
#[derive(Clone)]
pub(crate) struct Open {
    /// Where all records go.
    pub(crate) sink: Arc<dyn RecordSink>,
    /// Where all notices go.
    pub(crate) notifier: Arc<Notifier>,
    /// Where those of the access log go.
    access_sink: Arc<dyn RecordSink>,
    access: Option<Arc<AccessLog>>,
    audit: Option<Arc<AuditLog>>,
    config: LogsConfig,
}

/// Where the records of the access log go, and the log itself, if it is one of ours.
type Access = (Arc<dyn RecordSink>, Option<Arc<AccessLog>>);

impl Logs {
    pub(crate) fn new(given: Option<Arc<dyn RecordSink>>, follows: Follows) -> Logs {
        let mut secret = [0; 32];
        rand::rng().fill_bytes(&mut secret);
        let notices = Arc::new(if given.is_some() { Notices::silent() } else { Notices::to_stderr() });
        Logs { given, secret, notices, follows }
    }

    /// The same for later configurations: whoever writes their audit logs is no predecessor.
    pub(crate) fn settled(self) -> Logs {
        Logs { follows: Follows::Nobody, ..self }
    }

    /// Which notices reach standard error and the access log.
    pub(super) fn notices(&self) -> &Arc<Notices> {
        &self.notices
    }

    /// Where records of a configuration go; where they went `before`, as far as that is the same place.
    pub(super) fn open(&self, config: LogsConfig, before: Option<&Open>) -> io::Result<Open> {
        let (access_sink, access) = self.open_access(&config.access, before)?;
        let audit = match &config.audit {
            None => None,
            Some(wanted) => match before.filter(|before| before.config.audit.as_ref() == Some(wanted)) {
                Some(before) => before.audit.clone(),
                None => {
                    let (access, notices) = (Arc::clone(&access_sink), Arc::clone(&self.notices));
                    let told = Notifier { access, audit: None, notices };
                    Some(Arc::new(self.open_audit(wanted, told)?))
                }
            },
        };
        let audit_sink = audit.as_ref().map(|audit| Arc::clone(audit) as Arc<dyn RecordSink>);
        let sink = Fan::of(Arc::clone(&access_sink), audit_sink);
        let notifier = Arc::new(Notifier {
            access: Arc::clone(&access_sink),
            audit: audit.clone(),
            notices: Arc::clone(&self.notices),
        });
        Ok(Open { sink, notifier, access_sink, access, audit, config })
    }

    fn open_access(&self, config: &AccessLogConfig, before: Option<&Open>) -> io::Result<Access> {
        if let Some(before) = before.filter(|before| self.given.is_some() || before.config.access == *config)
        {
            return Ok((Arc::clone(&before.access_sink), before.access.clone()));
        }
        let log = match (&self.given, config) {
            (Some(sink), _) => return Ok((Arc::clone(sink), None)),
            (None, AccessLogConfig::Off) => return Ok((Arc::new(Nowhere), None)),
            (None, AccessLogConfig::On(settings)) => {
                let (on_full, style) = (settings.on_full.into(), settings.style.style(&self.secret));
                match &settings.output {
                    LogOutput::Stdout => AccessLog::stdout(on_full, style)?,
                    LogOutput::File { path, rotation } => AccessLog::file(path, on_full, style, *rotation)?,
                    LogOutput::Syslog(server) => AccessLog::syslog(server.clone(), on_full, style)?,
                }
            }
        };
        let log = Arc::new(log);
        Ok((Arc::clone(&log) as Arc<dyn RecordSink>, Some(log)))
    }

    fn open_audit(&self, config: &AuditLogConfig, told: Notifier) -> io::Result<AuditLog> {
        let key_file = config.key_file();
        let key = SigningKey::load(&key_file)?;
        let syslog = match &config.syslog {
            None => None,
            Some(server) => {
                Some(AccessLog::syslog(server.settings().clone(), OnFull::Drop, Style::default())?)
            }
        };
        let on_head = Box::new(move |entry: u64, head: &str| {
            let detail = format!("entry {entry} has the hash {head}");
            if let Some(syslog) = &syslog {
                syslog.notice("audit", &detail);
            }
            told.tell(Level::Info, "audit", &detail);
        });
        match self.follows {
            Follows::Nobody => AuditLog::open(&config.file, key, on_head),
            Follows::Predecessor => AuditLog::open_after_predecessor(&config.file, &key_file, key, on_head),
        }
    }
}

impl Open {
    /// The access log, if it is one of ours.
    pub(super) fn access(&self) -> Option<&Arc<AccessLog>> {
        self.access.as_ref()
    }

    /// The audit log.
    pub(super) fn audit(&self) -> Option<&Arc<AuditLog>> {
        self.audit.as_ref()
    }

    /// Opens the access log's file again by its name.
    pub(super) fn reopen(&self) {
        if let Some(log) = &self.access {
            log.reopen();
        }
    }

    pub(super) fn flush(&self) {
        if let Some(audit) = &self.audit {
            audit.flush();
        }
        if let Some(log) = &self.access {
            log.flush();
        }
    }
}

/// A sink for those who want no records.
struct Nowhere;

impl RecordSink for Nowhere {
    fn write(&self, _: &Record, _: &Plan) {}
}
