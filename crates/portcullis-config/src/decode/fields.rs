//! A mapping read key by key.
//!
//! Decides which spellings of a key are accepted and what happens to the keys nobody asked for: they are errors, with the
//! name that was probably meant. Does not decide what the keys mean. A reader that gives up early must do so after an
//! error was pushed; [`Fields::finish`] is what finds unknown keys, so nothing read before it may be used without it.

use super::{Context, Decode};
use crate::diagnostic::{Diagnostic, Severity};
use crate::node::{Entry, Node, Value};
use crate::render::quoted;
use crate::source::Span;
use crate::suggest;

/// A key as it is printed, with the other spellings that are accepted. The camelCase spelling of each is accepted too.
#[derive(Debug, Clone, Copy)]
pub struct Key<'n> {
    name: &'n str,
    aliases: &'n [&'n str],
}

impl<'n> Key<'n> {
    /// A key in snake_case, which is how it is printed.
    pub const fn new(name: &'n str) -> Self {
        Self { name, aliases: &[] }
    }

    /// Accepts these spellings as well.
    #[must_use]
    pub const fn aliases(self, aliases: &'n [&'n str]) -> Self {
        Self { aliases, ..self }
    }

    /// The spelling that is printed.
    pub fn name(&self) -> &'n str {
        // A field called `type` is declared as `r#type`.
        self.name.strip_prefix("r#").unwrap_or(self.name)
    }

    /// All spellings: the name, its camelCase form, the aliases and theirs; each once.
    pub fn spellings(&self) -> Vec<String> {
        let mut spellings: Vec<String> = Vec::new();
        for name in self.names() {
            for spelling in [name.to_owned(), camel_case(name)] {
                if !spellings.contains(&spelling) {
                    spellings.push(spelling);
                }
            }
        }
        spellings
    }

    fn names(&self) -> impl Iterator<Item = &'n str> {
        std::iter::once(self.name()).chain(self.aliases.iter().copied())
    }

    fn matches(&self, written: &str) -> bool {
        self.names().any(|name| name == written || is_camel_case_of(written, name))
    }
}

impl<'n> From<&'n str> for Key<'n> {
    fn from(name: &'n str) -> Self {
        Self::new(name)
    }
}

/// The keys of one mapping, taken one after the other. End with [`Fields::finish`].
#[must_use = "unknown keys are found by `finish`"]
#[derive(Debug)]
pub struct Fields<'n> {
    span: Span,
    entries: Vec<Option<&'n Entry>>,
    known: Vec<Known<'n>>,
}

/// A key that was asked for or declared.
#[derive(Debug)]
struct Known<'n> {
    key: Key<'n>,
    secret: bool,
    /// Which diagnostic says that the key is missing, if one does.
    missing: Option<usize>,
}

impl<'n> Fields<'n> {
    pub(super) fn new(entries: &'n [Entry], span: Span) -> Self {
        Self { span, entries: entries.iter().map(Some).collect(), known: Vec::new() }
    }

    /// Where the whole mapping stands.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The value of a key. Not given, it is [`Decode::when_absent`] or else an error: `required::<Option<T>>` is optional.
    pub fn required<T: Decode>(&mut self, key: impl Into<Key<'n>>, cx: &mut Context) -> Option<T> {
        let key = key.into();
        if let Some(entry) = self.take(key, T::SECRET, cx) {
            return decode_entry(entry, key, cx);
        }
        let absent = T::when_absent();
        if absent.is_none() {
            let index = cx.diagnostics.len();
            cx.error("config.missing_key", self.span, format!("the key `{}` is missing", key.name()))
                .label(format!("`{}` belongs here", key.name()));
            if let Some(known) = self.known.last_mut() {
                known.missing = Some(index);
            }
        }
        absent
    }

    /// The value of the key that decides which other keys there are, such as `type`. Without it the others mean nothing: a
    /// misspelt one is found here, and the rest is abandoned.
    pub fn tag<T: Decode>(&mut self, key: impl Into<Key<'n>>, cx: &mut Context) -> Option<T> {
        let key = key.into();
        let value = self.required(key, cx);
        if value.is_some() {
            return value;
        }
        if self.known.last().is_some_and(|known| known.missing.is_some()) {
            let misspelt = |entry: &mut &Entry| suggest::closest(&entry.key, key.names()).is_some();
            if let Some(entry) = self.entries.iter_mut().find_map(|slot| slot.take_if(misspelt)) {
                refuse_unknown(entry, &mut self.known, cx);
            }
        }
        self.abandon(cx);
        None
    }

    /// Gives up on all keys that nobody has taken: hides their values, since what nobody reads may be secrets on a line
    /// that is printed, and keeps [`Fields::finish`] from calling them unknown. Only after an error was pushed.
    // SECURITY: guarded by tests::tagged::what_is_abandoned_is_not_printed.
    pub fn abandon(&mut self, cx: &mut Context) {
        self.take_rest().into_iter().for_each(|entry| cx.diagnostics.conceal_values(&entry.value));
    }

    /// The value of a key that may be left out. The outer `None` means that it is there and wrong.
    pub fn optional<T: Decode>(&mut self, key: impl Into<Key<'n>>, cx: &mut Context) -> Option<Option<T>> {
        self.required::<Option<T>>(key, cx)
    }

    /// The value of a key, or `default` when it is not given.
    pub fn or_else<T: Decode>(
        &mut self,
        key: impl Into<Key<'n>>,
        default: impl FnOnce() -> T,
        cx: &mut Context,
    ) -> Option<T> {
        let key = key.into();
        match self.take(key, T::SECRET, cx) {
            Some(entry) => decode_entry(entry, key, cx),
            None => Some(default()),
        }
    }

    /// The entry of a key as it stands, for what no type describes. Nothing about it is checked.
    pub fn take_raw(&mut self, key: impl Into<Key<'n>>, cx: &mut Context) -> Option<&'n Entry> {
        self.take(key.into(), false, cx)
    }

    /// Whether a key is given and has not been taken. The key counts as known from now on.
    pub fn has(&mut self, key: impl Into<Key<'n>>) -> bool {
        let key = key.into();
        self.know(key, false);
        self.entries.iter().flatten().any(|entry| key.matches(&entry.key))
    }

    /// Names keys for suggestions only; given, they are still refused unless somebody takes them.
    pub fn declare<K: Into<Key<'n>>>(&mut self, keys: impl IntoIterator<Item = K>) {
        for key in keys {
            self.know(key.into(), false);
        }
    }

    /// The entries that nobody has taken, all taken now: for mappings whose other keys are names that the user chose. What
    /// will not be read must be given to [`Fields::abandon`] instead.
    pub fn take_rest(&mut self) -> Vec<&'n Entry> {
        self.entries.iter_mut().filter_map(Option::take).collect()
    }

    /// Refuses every key that nobody has taken. `None` means that there was one.
    pub fn finish(self, cx: &mut Context) -> Option<()> {
        let Self { span: _, entries, mut known } = self;
        let mut clean = Some(());
        for entry in entries.into_iter().flatten() {
            clean = None;
            refuse_unknown(entry, &mut known, cx);
        }
        clean
    }

    fn know(&mut self, key: Key<'n>, secret: bool) {
        self.known.push(Known { key, secret, missing: None });
    }

    /// Takes the entry of a key; a second spelling of the same key is an error.
    fn take(&mut self, key: Key<'n>, secret: bool, cx: &mut Context) -> Option<&'n Entry> {
        self.know(key, secret);
        let mut taken: Option<&'n Entry> = None;
        for slot in &mut self.entries {
            let Some(entry) = slot.take_if(|entry| key.matches(&entry.key)) else { continue };
            let Some(first) = taken else {
                taken = Some(entry);
                continue;
            };
            let message = format!("{} and {} are the same key", quoted(&first.key), quoted(&entry.key));
            if secret || entry.value.as_str().is_none() {
                cx.diagnostics.conceal_values(&entry.value);
            }
            cx.error("config.duplicate_key", entry.key_span, message)
                .label("given again here")
                .help(format!("keep one of them; the preferred spelling is `{}`", key.name()))
                .related(first.key_span, "first given here");
        }
        taken
    }
}

fn decode_entry<T: Decode>(entry: &Entry, key: Key<'_>, cx: &mut Context) -> Option<T> {
    cx.at(key.name(), |cx| T::decode(&entry.value, cx))
}

/// Hides a value in whatever is printed of the document.
pub(super) fn conceal(node: &Node, cx: &mut Context) {
    cx.diagnostics.conceal(node.span);
}

fn refuse_unknown(entry: &Entry, known: &mut [Known<'_>], cx: &mut Context) {
    let spellings = known.iter().flat_map(|known| known.key.names());
    let suggestion = suggest::closest(&entry.key, spellings);
    let meant =
        suggestion.and_then(|name| known.iter_mut().find(|known| known.key.names().any(|one| one == name)));

    // SECURITY: the line is printed, and under a misspelt key may stand a secret. Guarded by
    // tests::the_value_of_a_misspelt_key_is_not_printed_if_it_may_be_a_secret.
    let scalar = !matches!(entry.value.value, Value::Sequence(_) | Value::Mapping(_));
    if !(scalar && matches!(meant, Some(Known { secret: false, .. }))) {
        cx.diagnostics.conceal_values(&entry.value);
    }

    let mut problem = Diagnostic::new(
        "config.unknown_key",
        Severity::Error,
        entry.key_span,
        format!("unknown key {}", quoted(&entry.key)),
    );
    problem.path = cx.at(&entry.key, |cx| cx.path().to_owned());
    let Some(meant) = meant else {
        let mut names: Vec<&str> = known.iter().map(|known| known.key.name()).collect();
        names.sort_unstable();
        names.dedup();
        if let Some(place) = cx.place_of(&entry.key) {
            problem.label("not known here").help(format!("`{}` belongs {place}", entry.key));
        } else {
            problem.label("not known here");
            if !names.is_empty() {
                problem.help(format!("the keys known here are `{}`", names.join("`, `")));
            }
        }
        cx.diagnostics.push(problem);
        return;
    };
    problem.label(format!("did you mean `{}`?", meant.key.name()));
    // A required key that is there but misspelt is one fault, not two.
    let replaced =
        meant.missing.take().is_some_and(|index| cx.diagnostics.replace_error(index, problem.clone()));
    if !replaced {
        cx.diagnostics.push(problem);
    }
}

/// `max_requests` as `maxRequests`.
pub(crate) fn camel_case(name: &str) -> String {
    camel_characters(name).collect()
}

fn is_camel_case_of(written: &str, name: &str) -> bool {
    camel_characters(name).eq(written.chars())
}

fn camel_characters(name: &str) -> impl Iterator<Item = char> {
    let mut after_underscore = false;
    name.chars().filter_map(move |character| {
        if character == '_' {
            after_underscore = true;
            return None;
        }
        let upper = std::mem::take(&mut after_underscore);
        Some(if upper { character.to_ascii_uppercase() } else { character })
    })
}
