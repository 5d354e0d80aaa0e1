//! `portcullis keys`.

use super::{Opened, Place, columns, told, words};
use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{CARE, GOOD, STRONG, count, print, print_error};
use portcullis::keys::model::{now, time};
use portcullis::keys::span::{End, lasting, span};
use portcullis::keys::{Key, KeyFilter, KeySettings, NewKey, Rotation, StoreError, import};
use portcullis::{KeyId, visible};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// What can be done with keys.
#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Make a key for a consumer, and show it: the only time that it is shown.
    ///
    /// The key alone is on standard output. With `--json`, an object with `key` and `id`.
    Create(Create),
    /// List the keys of the store, without the keys themselves.
    List(List),
    /// Show what the store knows of a key.
    Show(One),
    /// Make a key that says the same as another one, which is accepted for a while beside it.
    Rotate(Rotate),
    /// Revoke a key. Every gateway that is connected to the store refuses it within a second.
    Revoke(One),
    /// Add keys of another system, by their hashes: all of them or none.
    ///
    /// The first line names the columns: `consumer` and `hash`, and any of `expires`, `roles`, `scopes`, `plan`, `addresses`,
    /// `routes` and `note`. A hash is `sha256:` or `hmac-sha256:` and 64 hexadecimal digits.
    Import(Import),
}

#[derive(clap::Args)]
pub(crate) struct Create {
    /// The consumer, in the store or in the configuration.
    #[arg(long, value_name = "NAME")]
    consumer: String,
    /// How long it is valid, such as `90d`, or until which day. Default: for ever.
    #[arg(long, value_name = "TIME", value_parser = End::parse, default_value = "never", hide_default_value = true)]
    expires: End,
    /// What it may be used for. Default: the consumer's scopes.
    #[arg(long, value_name = "A,B")]
    scopes: Option<String>,
    /// Some of the consumer's roles. Default: all of them.
    #[arg(long, value_name = "A,B")]
    roles: Option<String>,
    /// The plan by which its requests are counted. Default: the consumer's.
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// Accept it from these addresses and networks alone.
    #[arg(long, value_name = "ADDRESS,NETWORK", value_delimiter = ',')]
    addresses: Vec<String>,
    /// Accept it on these routes alone, by their `path` in the configuration.
    #[arg(long, value_name = "PATH,PATH")]
    routes: Vec<String>,
    /// What it is for.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
pub(crate) struct List {
    /// The keys of this consumer alone.
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
pub(crate) struct One {
    /// The key's number, such as `key_0123456789abcdef`: not the key itself.
    id: String,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
pub(crate) struct Rotate {
    /// The number of the key that is replaced.
    id: String,
    /// How long the old key is still accepted; `0` ends it at once.
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "24h")]
    overlap: Duration,
    /// How long the new key is valid. Default: as long as the old one was.
    #[arg(long, value_name = "TIME", value_parser = lasting)]
    expires: Option<Duration>,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
pub(crate) struct Import {
    /// The CSV file.
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// The number of a key.
// SECURITY: a key that is given in its place is not repeated, as the parser of arguments would
// (a_key_is_no_number_and_is_not_repeated).
fn number(text: &str) -> Result<KeyId, Exit> {
    text.parse().map_err(|_| {
        told(StoreError::invalid("this is not the number of a key, such as `key_0123456789abcdef`"))
    })
}

pub(crate) fn run(action: Action) -> Outcome {
    match action {
        Action::Create(create) => create.run(),
        Action::List(list) => list.run(),
        Action::Show(one) => {
            let id = number(&one.id)?;
            let mut opened = one.place.open()?;
            let key = opened.store.key(id).map_err(told)?;
            opened.print(&key.json(now()), || shown(&key));
            Ok(Exit::Well)
        }
        Action::Rotate(rotate) => rotate.run(),
        Action::Revoke(one) => {
            let id = number(&one.id)?;
            let mut opened = one.place.open()?;
            let key = opened.store.revoke_key(id).map_err(told)?;
            let said = || format!("{GOOD}revoked{GOOD:#}: {} of {}\n", key.id, visible(&key.consumer));
            opened.print(&key.json(now()), said);
            Ok(Exit::Well)
        }
        Action::Import(import) => import.run(),
    }
}

impl Create {
    fn run(&self) -> Outcome {
        let mut opened = self.place.open()?;
        let networks: Option<Vec<_>> =
            self.addresses.iter().map(|text| import::network(text.trim())).collect();
        // SECURITY: `--routes "$ROUTES"` without a value would make a key for all routes (mistakes_are_told).
        if self.routes.iter().any(|text| words(std::slice::from_ref(text)).is_empty()) {
            let text = "--routes: write paths such as `/orders/{id}`, or leave it out for all routes";
            return Err(told(StoreError::invalid(text)));
        }
        let list = |text: &Option<String>| text.as_ref().map(|text| words(std::slice::from_ref(text)));
        let settings = KeySettings {
            roles: list(&self.roles),
            scopes: list(&self.scopes),
            plan: self.plan.clone(),
            addresses: networks.ok_or_else(|| {
                told(StoreError::invalid("--addresses: write addresses or networks, such as `10.0.0.0/8`"))
            })?,
            routes: words(&self.routes),
            note: self.note.clone(),
        };
        let owner = opened.terms.check_key(&self.consumer, &settings).map_err(told)?;
        let made = opened.store.create_key(&self.consumer, owner, settings, self.expires.moment());
        present(&opened, &made.map_err(told)?);
        Ok(Exit::Well)
    }
}

/// Shows a key that was made a moment ago.
fn present(opened: &Opened, made: &NewKey) {
    let NewKey { text, key } = made;
    if opened.is_json() {
        let mut json = key.json(now());
        if let Some(object) = json.as_object_mut() {
            object.insert("key".to_owned(), json!(text.as_str()));
        }
        print(format!("{json:#}\n"));
        return;
    }
    print(format!("{}\n", text.as_str()));
    let until = key.expires.map_or_else(|| "for ever".to_owned(), |at| format!("until {}", time(at)));
    print_error(format!(
        "{STRONG}{}{STRONG:#} for {}, valid {until}. {CARE}Keep the key now{CARE:#}: it is not shown again.\n",
        key.id,
        visible(&key.consumer)
    ));
}

impl List {
    fn run(&self) -> Outcome {
        let mut opened = self.place.open()?;
        let filter = KeyFilter { consumer: self.consumer.clone(), ..KeyFilter::default() };
        let keys = opened.store.keys(&filter).map_err(told)?;
        let at = now();
        let json = Value::from(keys.iter().map(|key| key.json(at)).collect::<Vec<_>>());
        opened.print(&json, || {
            let mut rows = vec![
                ["ID", "CONSUMER", "BEGINS WITH", "STATUS", "EXPIRES", "LAST USED", "NOTE"]
                    .map(str::to_owned)
                    .to_vec(),
            ];
            let moment = |at: Option<u64>| at.map_or_else(|| "-".to_owned(), time);
            rows.extend(keys.iter().map(|key| {
                vec![
                    key.id.to_string(),
                    visible(&key.consumer),
                    if key.hint.is_empty() { "-".to_owned() } else { visible(&key.hint) },
                    key.status(at).as_str().to_owned(),
                    moment(key.expires),
                    moment(key.used),
                    visible(&key.settings.note),
                ]
            }));
            format!("{}{}\n", columns(&rows), count(keys.len(), "key"))
        });
        Ok(Exit::Well)
    }
}

fn shown(key: &Key) -> String {
    let json = key.json(now());
    let rows: Vec<_> = json
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let text = match value {
                Value::String(text) => visible(text),
                Value::Array(list) => {
                    list.iter().filter_map(Value::as_str).map(visible).collect::<Vec<_>>().join(", ")
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
            };
            vec![name.replace('_', " "), text]
        })
        .filter(|row| row.last().is_some_and(|text| !text.is_empty()))
        .collect();
    columns(&rows)
}

impl Rotate {
    fn run(&self) -> Outcome {
        let id = number(&self.id)?;
        let mut opened = self.place.open()?;
        let rotation = Rotation { overlap: self.overlap, valid_for: self.expires };
        let made = opened.store.rotate_key(id, rotation).map_err(told)?;
        present(&opened, &made);
        if !opened.is_json() {
            let old = opened.store.key(id).map_err(told)?;
            let end = old.expires.map_or_else(|| "now".to_owned(), time);
            print_error(format!("{id} is accepted until {end}.\n"));
        }
        Ok(Exit::Well)
    }
}

impl Import {
    fn run(&self) -> Outcome {
        let mut opened = self.place.open()?;
        let text = std::fs::read_to_string(&self.file).map_err(|error| {
            told(StoreError::not_found(format!("cannot read {}: {error}", self.file.display())))
        })?;
        let pepper = opened.store.peppers().ids().next().unwrap_or_default().to_owned();
        let keys = import::read_csv(&text, &pepper, |name| opened.terms.owner(name)).map_err(told)?;
        for key in &keys {
            opened.terms.check_key(&key.consumer, &key.settings).map_err(told)?;
        }
        let ids = opened.store.import(&keys).map_err(told)?;
        let listed: Vec<_> = ids
            .iter()
            .zip(&keys)
            .map(|(id, key)| json!({ "id": id.to_string(), "consumer": key.consumer }))
            .collect();
        let said = || format!("{GOOD}imported{GOOD:#}: {}\n", count(ids.len(), "key"));
        opened.print(&json!({ "imported": listed }), said);
        Ok(Exit::Well)
    }
}
