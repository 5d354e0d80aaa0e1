//! Keys from another system, as a CSV file of hashes (RFC 4180).
//!
//! The first line names the columns: `consumer` and `hash` must be there; `expires`, `roles`, `scopes`, `plan`, `addresses`,
//! `routes` and `note` may. A hash is `sha256:` or `hmac-sha256:` and 64 hexadecimal digits. Lists are separated by spaces, and
//! roles by commas as well.

use crate::fault::StoreError;
use crate::model::{KeySettings, Owner, Seconds};
use crate::pepper::NO_PEPPER;
use crate::store::ImportedKey;
use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;

/// Reads a file of hashes. `pepper` is what the pepper of `hmac-sha256:` hashes is called, and `owner` says whose a consumer is.
///
/// # Errors
/// A line is not what it should be. Says which, and shows nothing of what stands there.
pub fn read_csv(
    text: &str,
    pepper: &str,
    mut owner: impl FnMut(&str) -> Owner,
) -> Result<Vec<ImportedKey>, StoreError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut records = records(text)?.into_iter();
    let (_, columns) = records.next().ok_or_else(|| StoreError::invalid("the file is empty"))?;
    let known = ["consumer", "hash", "expires", "roles", "scopes", "plan", "addresses", "routes", "note"];
    for (at, column) in columns.iter().enumerate() {
        if !known.contains(&column.as_str()) {
            // A key may stand there by mistake.
            return Err(StoreError::invalid(format!(
                "column {} of the first line is none of {}",
                at + 1,
                known.join(", ")
            )));
        }
    }
    let named = |name: &str| columns.iter().filter(|column| *column == name).count();
    for needed in ["consumer", "hash"] {
        if named(needed) != 1 {
            return Err(StoreError::invalid(format!("the first line must name one column `{needed}`")));
        }
    }
    // SECURITY: which of two ends or lists of addresses counts is a matter of taste (what_is_wrong_is_told_by_its_line_and_not_shown).
    if let Some(twice) = columns.iter().find(|column| named(column) > 1) {
        return Err(StoreError::invalid(format!("the first line names the column `{twice}` twice")));
    }
    let mut keys = Vec::new();
    for (line, fields) in records {
        let wrong = |why: &str| StoreError::invalid(format!("line {line}: {why}"));
        if fields.len() != columns.len() {
            return Err(wrong("it has another number of fields than the first line"));
        }
        let mut key = ImportedKey {
            consumer: String::new(),
            owner: Owner::Stored,
            pepper: NO_PEPPER.to_owned(),
            hash: [0; 32],
            settings: KeySettings::default(),
            expires: None,
        };
        for (column, field) in columns.iter().zip(fields).filter(|(_, field)| !field.is_empty()) {
            let words = || -> Vec<String> {
                field.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
            };
            match column.as_str() {
                "consumer" => key.consumer.clone_from(&field),
                "hash" => {
                    let (peppered, hash) = hash(&field).ok_or_else(|| {
                        wrong("its hash is not `sha256:` or `hmac-sha256:` and 64 hexadecimal digits")
                    })?;
                    key.hash = hash;
                    if peppered {
                        pepper.clone_into(&mut key.pepper);
                    }
                }
                "expires" => {
                    key.expires = Some(
                        moment(&field).ok_or_else(|| wrong("its `expires` is not a moment in RFC 3339"))?,
                    )
                }
                "roles" => key.settings.roles = Some(words()),
                "scopes" => key.settings.scopes = Some(words()),
                "plan" => key.settings.plan = Some(field.clone()),
                "addresses" => {
                    let networks = words().iter().map(|word| network(word)).collect::<Option<Vec<_>>>();
                    // SECURITY: a list without an entry would be no restriction (a_restriction_to_nothing_is_none).
                    key.settings.addresses = networks
                        .filter(|networks| !networks.is_empty())
                        .ok_or_else(|| wrong("its `addresses` are not addresses or networks"))?;
                }
                "routes" => {
                    key.settings.routes = words();
                    if key.settings.routes.is_empty() {
                        return Err(wrong("its `routes` are no paths"));
                    }
                }
                _ => key.settings.note.clone_from(&field),
            }
        }
        if key.consumer.is_empty() || key.hash == [0; 32] {
            return Err(wrong("it lacks a consumer or a hash"));
        }
        key.owner = owner(&key.consumer);
        keys.push(key);
    }
    Ok(keys)
}

/// An address or a network. One of IPv4 in the form of IPv6 is that of IPv4, as which clients are known. An address within a
/// network (`10.0.0.1/8`) is neither: nobody knows which of both was meant. Nor is `010.0.0.0/8`, which some read as octal.
pub fn network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    text.split_once('/')?.0.parse::<IpAddr>().ok()?;
    let network: IpNet = text.parse().ok().filter(|net: &IpNet| net.addr() == net.network())?;
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (IpAddr::V4(address), Some(prefix)) => Ipv4Net::new(address, prefix).ok().map(IpNet::V4),
        (IpAddr::V4(_) | IpAddr::V6(_), _) => Some(network),
    }
}

/// A moment in RFC 3339, in seconds since 1970.
pub fn moment(text: &str) -> Option<Seconds> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_second()).ok()
}

/// Whether a pepper was used, and the hash.
fn hash(text: &str) -> Option<(bool, [u8; 32])> {
    let (algorithm, digits) = text.split_once(':')?;
    let peppered = match algorithm {
        "sha256" => false,
        "hmac-sha256" => true,
        _ => return None,
    };
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some((peppered, hash))
}

/// The records of a file, each with the number of its line. Empty lines are passed over.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, StoreError> {
    let mut records = Vec::new();
    let (mut fields, mut field, mut quoted, mut was_quoted) = (Vec::new(), String::new(), false, false);
    let (mut line, mut begun) = (1, 1);
    let mut chars = text.chars().peekable();
    while let Some(next) = chars.next() {
        line += usize::from(next == '\n');
        match next {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() && !was_quoted => (quoted, was_quoted) = (true, true),
            '"' => return Err(StoreError::invalid(format!("line {line}: a quote stands within a field"))),
            _ if quoted => field.push(next),
            c if was_quoted && !matches!(c, ',' | '\r' | '\n' | ' ') => {
                return Err(StoreError::invalid(format!("line {line}: something stands behind a quote")));
            }
            ',' => {
                fields.push(std::mem::take(&mut field).trim().to_owned());
                was_quoted = false;
            }
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => {
                end_record(&mut records, &mut fields, &mut field, begun);
                (begun, was_quoted) = (line, false);
            }
            _ => field.push(next),
        }
    }
    if quoted {
        return Err(StoreError::invalid(format!("line {begun}: a quote is not closed")));
    }
    end_record(&mut records, &mut fields, &mut field, begun);
    Ok(records)
}

fn end_record(
    records: &mut Vec<(usize, Vec<String>)>,
    fields: &mut Vec<String>,
    field: &mut String,
    line: usize,
) {
    let last = std::mem::take(field).trim().to_owned();
    if fields.is_empty() && last.is_empty() {
        return;
    }
    fields.push(last);
    records.push((line, std::mem::take(fields)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5";

    fn read(text: &str) -> Result<Vec<ImportedKey>, StoreError> {
        read_csv(text, "abcd", |name| if name == "filed" { Owner::Configured } else { Owner::Stored })
    }

    #[test]
    fn a_file_with_all_columns_is_read() {
        let text = format!(
            "consumer,hash,expires,roles,scopes,plan,addresses,routes,note\r\n\
             alice,sha256:{HASH},2027-01-31T00:00:00Z,\"user,admin\",a b,free,10.0.0.0/8 ::1,/orders/{{id}},\"says \"\"hi\"\"\nand more\"\r\n\r\n\
             filed,hmac-sha256:{HASH},,,,,,,\r\n"
        );
        let keys = read(&text).unwrap();
        let [alice, filed] = keys.as_slice() else { panic!("{}", keys.len()) };
        assert_eq!(
            (alice.consumer.as_str(), alice.owner, alice.pepper.as_str()),
            ("alice", Owner::Stored, "")
        );
        assert_eq!(alice.settings.roles.as_deref(), Some(&["user".to_owned(), "admin".to_owned()][..]));
        assert_eq!(alice.settings.scopes.as_ref().map(Vec::len), Some(2));
        assert_eq!(alice.settings.addresses.len(), 2);
        assert_eq!(alice.settings.note, "says \"hi\"\nand more");
        assert_eq!(alice.expires, moment("2027-01-31T00:00:00Z"));
        assert_eq!((filed.owner, filed.pepper.as_str()), (Owner::Configured, "abcd"));
        assert_eq!(filed.settings, KeySettings::default());
    }

    #[test]
    fn a_network_is_what_clients_are_compared_with() {
        let read = |text: &str| network(text).map(|network| network.to_string());
        for (text, expected) in [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.0.0.1", Some("10.0.0.1/32")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("::1", Some("::1/128")),
            ("2001:db8::/32", Some("2001:db8::/32")),
            ("::/0", Some("::/0")),
            ("::ffff:10.0.0.0/104", Some("10.0.0.0/8")),
            ("::ffff:10.0.0.1", Some("10.0.0.1/32")),
            ("10.0.0.1/8", None),
            ("2001:db8::1/32", None),
            ("10.0.0.0/33", None),
            ("010.0.0.0/8", None),
            ("", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_restriction_to_nothing_is_none() {
        for column in ["addresses", "routes"] {
            for nothing in ["\",\"", "\" , \"", "\", ,\""] {
                let text = format!("consumer,hash,{column}\nalice,sha256:{HASH},{nothing}\n");
                let error = read(&text).unwrap_err();
                assert!(error.text.contains("line 2"), "{text}: {error}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_and_not_shown() {
        let secret = "pk_live_0123456789";
        for (text, expected) in [
            (String::new(), "empty"),
            (format!("consumer,{secret}\n"), "column 2"),
            ("consumer\nalice\n".to_owned(), "`hash`"),
            (format!("consumer,hash\n\nalice,{secret}\n"), "line 3"),
            (format!("consumer,hash\nalice,sha256:{HASH},x\n"), "line 2"),
            (format!("consumer,hash\n,sha256:{HASH}\n"), "line 2"),
            (format!("consumer,hash,expires\nalice,sha256:{HASH},tomorrow\n"), "line 2"),
            (format!("consumer,hash,addresses\nalice,sha256:{HASH},home\n"), "line 2"),
            (format!("consumer,hash\nalice,\"sha256:{HASH}\n"), "line 2"),
            (format!("consumer,hash\nali\"ce,sha256:{HASH}\n"), "line 2"),
            (format!("consumer,hash\n\"ali\"ce,sha256:{HASH}\n"), "line 2"),
            (format!("consumer,hash,expires,expires\nalice,sha256:{HASH},2027-01-31T00:00:00Z,\n"), "twice"),
            (format!("consumer,hash,addresses,addresses\nalice,sha256:{HASH},10.0.0.1,::/0\n"), "twice"),
            (format!("consumer,hash,hash\nalice,sha256:{HASH},sha256:{HASH}\n"), "one column `hash`"),
            (format!("Consumer,hash\nalice,sha256:{HASH}\n"), "column 1"),
            (format!("consumer,hash\nalice,SHA256:{HASH}\n"), "line 2"),
            (format!("consumer,hash\nalice,sha256:{HASH}0\n"), "line 2"),
            (format!("consumer,hash\nalice,sha256:{}\n", "0".repeat(64)), "line 2"),
            (format!("consumer,hash,expires\nalice,sha256:{HASH},1969-01-01T00:00:00Z\n"), "line 2"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.text.contains(expected), "{text}: {error}");
            assert!(!error.text.contains(secret), "{error}");
        }
    }
}
