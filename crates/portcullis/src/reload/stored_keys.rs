//! The store of keys that a plan uses: opened with the first plan that names it, and kept for the next.

use portcullis_core::Plan;
use portcullis_keys::{LiveKeys, Settings, live};
use portcullis_runtime::State;
use std::sync::Arc;

/// The store of keys: the one that the running plan has, where it is told the same.
pub(super) fn open(
    settings: Settings,
    notice: Arc<live::Notice>,
    plan: &Plan,
    state: &State,
) -> Result<Arc<LiveKeys>, String> {
    let name = settings.fingerprint();
    let keys = match state.kept().find::<LiveKeys>(&name) {
        Some(there) => {
            there.tell(notice);
            there
        }
        None => {
            let live = LiveKeys::start(settings, notice).map_err(|error| error.to_string())?;
            state.kept().insert(&name, Arc::new(live))
        }
    };
    // SECURITY: a name is one consumer's, so that nobody gets what another one may (a_name_that_two_have_does_not_start).
    let both = keys.conflicts(|name| plan.consumers.named(name).is_some());
    if let [first, ..] = both.as_slice() {
        return Err(format!(
            "the configuration and the store both have a consumer `{first}`; remove one (`portcullis consumers remove`)"
        ));
    }
    Ok(keys)
}
