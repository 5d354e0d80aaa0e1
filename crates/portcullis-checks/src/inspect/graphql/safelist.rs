//! The operations that a route takes, and no others: by the SHA-256 of their documents, or by the names that they were
//! registered under.

use super::document::{self, Kind};
use super::measure::measure;
use portcullis_config::{Context, Spanned, object};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

/// No document of an operator's own is larger.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
const MAX_TOKENS: usize = 1_000_000;

object! {
    /// The only allowed operations (persisted queries).
    pub struct GraphqlSafelistConfig {
        /// The SHA-256 hashes of the documents, as 64 hexadecimal digits. A request can contain the document, or its hash
        /// as `extensions.persistedQuery.sha256Hash`. A hash alone is accepted with POST only, because it could be a
        /// mutation.
        pub hashes: Vec<Spanned<String>> = Vec::new(),
        /// A JSON file that maps ids to documents, as client compilers write it. A request can contain the document, its
        /// hash, or its id as `id` or `documentId`.
        pub file: Option<Spanned<PathBuf>>,
    }
}

/// What runs.
#[derive(Debug, Default)]
pub struct Safelist {
    hashes: HashSet<[u8; 32]>,
    /// What those do that are known.
    known: HashMap<[u8; 32], Known>,
    /// Their hashes, by id.
    ids: HashMap<String, [u8; 32]>,
}

/// What a document does that an operator has registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// One of its operations changes something.
    pub mutates: bool,
    /// One of its operations listens.
    pub subscribes: bool,
}

impl GraphqlSafelistConfig {
    /// What runs. `None` means that an error was pushed.
    pub fn compile(&self, cx: &mut Context) -> Option<Safelist> {
        let mut safelist = Safelist::default();
        let mut complete = true;
        for hash in &self.hashes {
            match parse_hash(&hash.value) {
                Some(bytes) => {
                    safelist.hashes.insert(bytes);
                }
                None => {
                    cx.error("config.graphql_hash", hash.span, "this is no SHA-256 hash")
                        .help("write the 64 hexadecimal digits that `sha256sum` prints");
                    complete = false;
                }
            }
        }
        if let Some(file) = &self.file {
            match read_documents(&file.value).and_then(|documents| safelist.add(documents)) {
                Ok(()) => {}
                Err(why) => {
                    cx.error(
                        "config.graphql_documents",
                        file.span,
                        format!("the documents cannot be read: {why}"),
                    )
                    .help("the file holds a JSON object of ids and documents: `{ \"id\": \"query { a }\" }`");
                    complete = false;
                }
            }
        }
        if complete && safelist.hashes.is_empty() {
            cx.error(
                "config.empty_list",
                self.at,
                "the list of operations is empty, so every request is rejected",
            )
            .help("give `hashes` or a `file`, or leave the section out");
            return None;
        }
        complete.then_some(safelist)
    }
}

impl GraphqlSafelistConfig {
    /// One of the operations, which only reads; `None` where only hashes are known.
    pub fn sample(&self) -> Option<String> {
        let documents = read_documents(&self.file.as_ref()?.value).ok()?;
        documents.into_values().find(|text| {
            let reads = text.trim_start();
            reads.starts_with('{') || (reads.starts_with("query") && !reads.contains('$'))
        })
    }
}

fn read_documents(path: &std::path::Path) -> Result<BTreeMap<String, String>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("{size} bytes, {MAX_FILE_BYTES} are allowed"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

impl Safelist {
    fn add(&mut self, documents: BTreeMap<String, String>) -> Result<(), String> {
        for (id, text) in documents {
            let read = document::read(&text, MAX_TOKENS, &());
            let (document, _) = read.map_err(|flaw| format!("the document `{id}` is none: {flaw:?}"))?;
            let measured = measure(&document);
            let measured = measured.map_err(|flaw| format!("the document `{id}` is none: {flaw:?}"))?;
            let does = |kind| measured.operations.iter().any(|operation| operation.kind == kind);
            let known = Known { mutates: does(Kind::Mutation), subscribes: does(Kind::Subscription) };
            let hash = hash_of(&text);
            self.hashes.insert(hash);
            self.ids.insert(id, hash);
            self.known.insert(hash, known);
        }
        Ok(())
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there is none; then nothing passes.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether this is the hash of one of them.
    pub fn contains(&self, hash: &[u8; 32]) -> bool {
        self.hashes.contains(hash)
    }

    /// What the document with this hash does, where it is known.
    pub fn known(&self, hash: &[u8; 32]) -> Option<Known> {
        self.known.get(hash).copied()
    }

    /// The hash of what is registered under this id.
    pub fn find(&self, id: &str) -> Option<[u8; 32]> {
        self.ids.get(id).copied()
    }
}

/// The SHA-256 of a document.
pub fn hash_of(document: &str) -> [u8; 32] {
    Sha256::digest(document.as_bytes()).into()
}

/// The hash that these hexadecimal digits, in either case, stand for.
pub fn parse_hash(digits: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}
