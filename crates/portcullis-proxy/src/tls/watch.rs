//! Reads certificates, keys, authorities and lists again when their files change, and warns of certificates that end soon.
//!
//! Files are looked at in the background; no request waits for it. Files that are bad, or half written, leave what there
//! was in place: that is told once for each change. They are tried again until they can be used, whether they change or not.

use super::{Fault, Source, Tls};
use portcullis_core::{Effects, Job, Wait};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// From how long before its end on a certificate is warned of, and how often.
const WARN_BEFORE: Duration = Duration::from_secs(14 * 24 * 3600);
const WARN_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Looks after the files of a listener's TLS.
pub struct Watch {
    tls: Arc<Tls>,
    files: Vec<PathBuf>,
}

/// What tells that a file, or who may read it, is another than before: the time of its last change of any kind, its size and
/// its number.
type State = Option<(i64, i64, u64, u64)>;

impl Watch {
    /// Whether it looks after this TLS.
    pub fn is_of(&self, tls: &Arc<Tls>) -> bool {
        Arc::ptr_eq(&self.tls, tls)
    }

    /// Looks after the files of this TLS.
    pub fn new(tls: Arc<Tls>) -> Watch {
        let settings = tls.settings();
        let mut files = Vec::new();
        if let Source::Files(pairs) = &settings.source {
            files.extend(pairs.iter().flat_map(|pair| [pair.certificate.clone(), pair.key.clone()]));
        }
        if let Some(clients) = &settings.clients {
            files.push(clients.authorities.clone());
            files.extend(clients.revoked.iter().cloned());
        }
        Watch { tls, files }
    }

    /// A certificate that is renewed by itself is warned of when half of the time for that has passed without success.
    fn warn_before(&self) -> Duration {
        let renewed = self.tls.acme().and_then(|_| self.tls.first());
        let sixth = renewed.map(|pair| pair.expires().saturating_sub(pair.starts()) / 6);
        sixth.map_or(WARN_BEFORE, |sixth| sixth.min(WARN_BEFORE))
    }

    /// The files that are other ones than before, in words; empty where none is.
    fn changed(&self, before: Option<&[State]>, found: &[State]) -> String {
        let before = before.unwrap_or(found).iter();
        let changed = self.files.iter().zip(before.zip(found)).filter(|(_, (before, found))| before != found);
        changed.map(|(file, _)| file.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    fn warn_of_end(&self, effects: &dyn Effects, last: &mut Option<Duration>) {
        let now = effects.now();
        let Some(expires) = self.tls.expires() else { return };
        let left = expires.saturating_sub(now.unix);
        let due = last.is_none_or(|last| now.monotonic.saturating_sub(last) >= WARN_EVERY);
        if left > self.warn_before() || !due {
            return;
        }
        *last = Some(now.monotonic);
        let detail = match left.as_secs() {
            0 => "a certificate has expired; clients refuse it".to_owned(),
            seconds if seconds < 24 * 3600 => format!("a certificate expires in {} hours", seconds / 3600),
            seconds => format!("a certificate expires in {} days", seconds / (24 * 3600)),
        };
        effects.notice("tls", &detail);
    }
}

fn state(file: &PathBuf) -> State {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.ctime(), metadata.ctime_nsec(), metadata.len(), metadata.ino()))
}

impl Job for Watch {
    fn name(&self) -> String {
        "the certificates of a listener".to_owned()
    }

    fn run<'a>(&'a self, effects: &'a dyn Effects) -> Wait<'a, ()> {
        Box::pin(async move {
            // What was read at the start may have changed since, so the first look reads everything again.
            let mut seen: Option<Vec<State>> = None;
            let mut told: Vec<Fault> = Vec::new();
            let mut warned = None;
            loop {
                self.warn_of_end(effects, &mut warned);
                effects.sleep(self.tls.settings().reload_interval).await;
                // Looked at before they are read: what changes in between is seen as a change the next time.
                let found: Vec<State> = self.files.iter().map(state).collect();
                let changed = self.changed(seen.as_deref(), &found);
                if changed.is_empty() && told.is_empty() && seen.is_some() {
                    continue;
                }
                let first = seen.replace(found).is_none();
                let faults = self.tls.reload().err().unwrap_or_default();
                for fault in faults.iter().filter(|fault| !told.contains(fault) || !changed.is_empty()) {
                    effects.warn("tls", &fault.to_string());
                }
                if faults.is_empty() && !first {
                    let what =
                        if changed.is_empty() { "what could not be used before".to_owned() } else { changed };
                    effects.notice("tls", &format!("certificates were read again: {what}"));
                }
                told = faults;
                warned = None;
            }
        })
    }
}
