//! Operators and transformations against the published vectors of another implementation.
//!
//! They are found by `CRS_DIR` (the folder with `vectors/`); without it this says so, and the unit tests remain.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and prints what it measured"
)]

use portcullis_waf::transform::Transformation;
use portcullis_waf::{Loader, Plan, Request, Settings, Transaction};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

mod support;

/// `\u0000` and `\xHH` in a vector's text, as bytes.
fn bytes(text: &str, hexadecimal: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"\\u0000") {
            out.push(0);
            rest = after;
        } else if let Some(after) = rest.strip_prefix(b"\\0")
            && hexadecimal
        {
            out.push(0);
            rest = after;
        } else if hexadecimal
            && rest.starts_with(b"\\x")
            && let Some(pair) = rest.get(2..4)
            && let Ok(byte) = u8::from_str_radix(std::str::from_utf8(pair).unwrap_or("?"), 16)
        {
            out.push(byte);
            rest = &rest[4..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

fn vectors(kind: &str) -> Option<Vec<(String, Vec<Value>)>> {
    let directory = support::crs_dir()?.join("vectors").join(kind);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    Some(
        files
            .into_iter()
            .map(|path| {
                let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
            })
            .collect(),
    )
}

/// Compares what differs with the list of known deviations: neither may have what the other has not.
fn compare(kind: &str, total: usize, found: &BTreeSet<String>) {
    let known = support::table("deviations.txt");
    let known: BTreeSet<String> = known
        .into_iter()
        .filter_map(|(key, reason)| {
            assert!(!reason.is_empty(), "{key} has no reason");
            key.strip_prefix(&format!("{kind}/")).map(str::to_owned)
        })
        .collect();
    println!("{kind}: {} of {total} vectors agree, {} deviations", total - found.len(), found.len());
    assert_eq!(found, &known, "deviations found, and those that tests/data/deviations.txt lists");
}

#[test]
fn transformations_agree_with_the_vectors() {
    let Some(vectors) = vectors("transformations") else { return };
    let (mut found, mut total) = (BTreeSet::new(), 0);
    for (name, cases) in vectors {
        let transformation = Transformation::named(&name).unwrap();
        for (number, case) in cases.iter().enumerate() {
            total += 1;
            // The input of a decoder of escapes is not unescaped before.
            let escapes = matches!(name.as_str(), "escapeSeqDecode" | "cssDecode");
            let input = bytes(case["input"].as_str().unwrap(), !escapes);
            let expected = bytes(case["output"].as_str().unwrap(), true);
            let output = transformation.apply(&input).unwrap_or(input);
            if output != expected {
                println!("{name}/{number}: {} is not {}", output.escape_ascii(), expected.escape_ascii());
                found.insert(format!("{name}/{number}"));
            }
        }
    }
    compare("transformations", total, &found);
}

/// What a rule with that operator says of a value, and what it captures; `Err` if it does not load.
fn ask(operator: &str, argument: &str, value: &[u8], capture: bool) -> Result<(bool, Vec<Vec<u8>>), String> {
    let argument = argument.replace('"', "\\\"");
    let capture = if capture { ",capture" } else { "" };
    let rule = format!(
        "SecRule REQUEST_HEADERS:probe \"@{operator} {argument}\" \"id:1,phase:1,pass,log{capture}\"\n"
    );
    let loader = if operator == "pmFromFile" {
        let directory = support::scratch("vectors");
        std::fs::write(directory.join("pmFromFile-01.dat"), "abc\ndef\nghi\nxxx yyy zzz\n").unwrap();
        std::fs::write(directory.join("one.conf"), rule).unwrap();
        let loader = Loader::new().path(&directory.join("one.conf"));
        std::fs::remove_dir_all(directory).unwrap();
        loader
    } else {
        Loader::new().text("vector", rule.as_bytes())
    };
    let plan = Plan::new(loader, &Settings::default()).map_err(|errors| errors.to_string())?;
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let headers: [(&[u8], &[u8]); 1] = [(b"probe", value)];
    let request = Request {
        method: b"GET",
        target: b"/",
        protocol: b"HTTP/1.1",
        headers: &headers,
        client: (here, 1),
        server: (here, 2),
        unique_id: b"1",
    };
    let mut transaction = Transaction::new(&plan, request);
    transaction.request_headers();
    let captures = transaction.captures();
    Ok((transaction.finish().ids().any(|id| id == 1), captures))
}

#[test]
fn operators_agree_with_the_vectors() {
    let Some(vectors) = vectors("operators") else { return };
    let (mut found, mut total) = (BTreeSet::new(), 0);
    for (name, cases) in vectors {
        for (number, case) in cases.iter().enumerate() {
            total += 1;
            let input = bytes(case["input"].as_str().unwrap(), true);
            let expected = case["ret"].as_i64() == Some(1);
            let groups = case.get("re_groups").and_then(Value::as_array);
            let answer = ask(&name, case["param"].as_str().unwrap_or(""), &input, groups.is_some());
            let agrees = match &answer {
                Ok((matched, captures)) => {
                    let groups: Option<Vec<Vec<u8>>> = groups.map(|groups| {
                        groups.iter().map(|group| group.as_str().unwrap().as_bytes().to_vec()).collect()
                    });
                    *matched == expected && groups.is_none_or(|groups| groups == *captures)
                }
                Err(_) => false,
            };
            if !agrees {
                let key = match number {
                    _ if answer.is_err() && name == "validateSchema" => format!("{name}/*"),
                    _ if answer.is_err() && name == "nids" => format!("{name}/*"),
                    _ => format!("{name}/{number}"),
                };
                if found.insert(key.clone()) {
                    println!("{key}: {answer:?}, expected {expected}: {case}");
                }
            }
        }
    }
    compare("operators", total, &found);
}
