//! `portcullis consumers`.

use super::{Place, columns, told, words};
use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{GOOD, count};
use portcullis::keys::model::now;
use portcullis::keys::{Consumer, ConsumerChange};
use portcullis::visible;
use serde_json::{Value, json};

/// What can be done with consumers.
#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Add a consumer to the store.
    Add(Write),
    /// List the consumers of the store.
    List(Place),
    /// Change a consumer. What is not given stays; an empty text removes it.
    Set(Write),
    /// Remove a consumer, and revoke its keys.
    Remove(Name),
}

#[derive(clap::Args)]
pub(crate) struct Name {
    /// The consumer's name.
    name: String,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
pub(crate) struct Write {
    /// Its name, which upstreams get in `X-Consumer-Name`.
    name: String,
    /// Its roles.
    #[arg(long, value_name = "A,B")]
    roles: Option<String>,
    /// What its keys may be used for at most. Default: each key says so for itself.
    #[arg(long, value_name = "A,B")]
    scopes: Option<String>,
    /// The plan by which its requests are counted.
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// Who it is.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    place: Place,
}

fn list(text: &Option<String>) -> Option<Vec<String>> {
    text.as_ref().map(|text| words(std::slice::from_ref(text)))
}

pub(crate) fn run(action: Action) -> Outcome {
    match action {
        Action::Add(write) => add(&write),
        Action::Set(write) => set(&write),
        Action::List(place) => {
            let mut opened = place.open()?;
            let consumers = opened.store.consumers().map_err(told)?;
            let json = Value::from(consumers.iter().map(Consumer::json).collect::<Vec<_>>());
            opened.print(&json, || {
                let mut rows = vec![["NAME", "ROLES", "SCOPES", "PLAN", "NOTE"].map(str::to_owned).to_vec()];
                let or = |text: String| if text.is_empty() { "-".to_owned() } else { visible(&text) };
                rows.extend(consumers.iter().map(|consumer| {
                    vec![
                        visible(&consumer.name),
                        or(consumer.roles.join(",")),
                        or(consumer.scopes.as_ref().map(|scopes| scopes.join(",")).unwrap_or_default()),
                        or(consumer.plan.clone().unwrap_or_default()),
                        visible(&consumer.note),
                    ]
                }));
                format!("{}{}\n", columns(&rows), count(consumers.len(), "consumer"))
            });
            Ok(Exit::Well)
        }
        Action::Remove(Name { name, place }) => {
            let mut opened = place.open()?;
            let revoked = opened.store.remove_consumer(&name).map_err(told)?;
            let keys = count(usize::try_from(revoked).unwrap_or(usize::MAX), "key");
            let said = || format!("{GOOD}removed{GOOD:#}: {}; {keys} revoked\n", visible(&name));
            opened.print(&json!({ "name": name, "revoked_keys": revoked }), said);
            Ok(Exit::Well)
        }
    }
}

fn add(write: &Write) -> Outcome {
    let mut opened = write.place.open()?;
    let consumer = Consumer {
        name: write.name.clone(),
        roles: list(&write.roles).unwrap_or_default(),
        scopes: list(&write.scopes),
        plan: write.plan.clone().filter(|plan| !plan.is_empty()),
        note: write.note.clone().unwrap_or_default(),
        created: now(),
    };
    opened.terms.check_consumer(&consumer).map_err(told)?;
    opened.store.add_consumer(&consumer).map_err(told)?;
    opened.print(&consumer.json(), || format!("{GOOD}added{GOOD:#}: {}\n", visible(&consumer.name)));
    Ok(Exit::Well)
}

fn set(write: &Write) -> Outcome {
    let mut opened = write.place.open()?;
    opened.terms.check_plan(write.plan.as_ref()).map_err(told)?;
    let change = ConsumerChange {
        roles: list(&write.roles),
        scopes: list(&write.scopes).map(Some),
        plan: write.plan.clone().map(|plan| Some(plan).filter(|plan| !plan.is_empty())),
        note: write.note.clone(),
    };
    let consumer = opened.store.set_consumer(&write.name, change).map_err(told)?;
    opened.print(&consumer.json(), || format!("{GOOD}changed{GOOD:#}: {}\n", visible(&consumer.name)));
    Ok(Exit::Well)
}
