//! Signatures that are not the key's over this very token.

use super::Expected::{Passes, Refused};
use super::{Stage, Table};
use crate::forge::{Signer, base64url};
use serde_json::json;

/// The order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The order of the base point of Ed25519, the least significant byte first.
const ED_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// What is signed, and the signature.
fn parts(token: &str) -> (String, Vec<u8>) {
    let (signed, _) = token.rsplit_once('.').unwrap();
    (signed.to_owned(), decoded(token))
}

fn decoded(token: &str) -> Vec<u8> {
    use base64ct::{Base64UrlUnpadded, Encoding};
    Base64UrlUnpadded::decode_vec(token.rsplit_once('.').unwrap().1).unwrap()
}

/// A signature as ASN.1 writes it (RFC 3279, section 2.2.3), which JOSE does not.
fn der(signature: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let mut bytes = bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
        if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            bytes.insert(0, 0);
        }
        [&[2, u8::try_from(bytes.len()).unwrap()][..], &bytes].concat()
    };
    let (r, s) = (integer(&signature[..32]), integer(&signature[32..]));
    [&[0x30, u8::try_from(r.len() + s.len()).unwrap()][..], &r, &s].concat()
}

pub fn rows(table: &mut Table, stage: &Stage) {
    table.family("signature");
    let claims = stage.claims();
    let row = |table: &mut Table, name: &str, signed: &str, signature: &[u8]| {
        table.bearer(name, "/jwt", &format!("{signed}.{}", base64url(signature)), Refused("token_signature"));
    };
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    for signer in [&stage.rsa, &stage.ec, &stage.ed] {
        let of = signer.algorithm;
        let token = signer.token(&claims);
        table.bearer(&format!("a good {of} token"), "/jwt", &token, Passes);
        let (signed, signature) = parts(&token);
        let zeros = vec![0; signature.len()];
        let longer = [&signature[..], &[0]].concat();
        let shifted = [&[0], &signature[..]].concat();
        for (name, signature) in [
            ("no signature", &[][..]),
            ("a signature of zeros", &zeros[..]),
            ("one bit of the first byte flipped", &flipped(&signature, 0)[..]),
            ("one bit of the last byte flipped", &flipped(&signature, signature.len() - 1)[..]),
            ("the last byte missing", &signature[..signature.len() - 1]),
            ("a byte more", &longer[..]),
            ("a zero before it", &shifted[..]),
        ] {
            row(table, &format!("{of}: {name}"), &signed, signature);
        }
        let other = decoded(&signer.token(&stage.but(&json!({ "sub": "bob" }))));
        row(table, &format!("{of}: the signature of another token"), &signed, &other);
        let admin = base64url(stage.but(&json!({ "roles": ["admin"] })).to_string());
        let (header, _) = signed.split_once('.').unwrap();
        row(table, &format!("{of}: other claims"), &format!("{header}.{admin}"), &signature);
        let header = base64url(crate::forge::with(&signer.header(), &json!({ "x": 1 })).to_string());
        let (_, payload) = signed.split_once('.').unwrap();
        row(table, &format!("{of}: another header"), &format!("{header}.{payload}"), &signature);
    }

    let (signed, signature) = parts(&stage.ec.token(&claims));
    let zero = [0; 32];
    let one = {
        let mut one = [0; 32];
        one[31] = 1;
        one
    };
    let (r, s) = signature.split_at(32);
    for (name, r, s) in [
        ("r is zero", &zero[..], s),
        ("s is zero", r, &zero[..]),
        ("r and s are the order", &ORDER[..], &ORDER[..]),
        ("r is the order", &ORDER[..], s),
        ("s is the order", r, &ORDER[..]),
        ("r and s are one", &one[..], &one[..]),
        ("r is the order and s is zero", &ORDER[..], &zero[..]),
        ("all bits set", &[0xff; 32][..], &[0xff; 32][..]),
        ("r and s exchanged", s, r),
    ] {
        row(table, &format!("ES256: {name}"), &signed, &[r, s].concat());
    }
    row(table, "ES256: as ASN.1", &signed, &der(&signature));

    // The same signature with the order added to its second half (RFC 8032, section 5.1.7, asks for the small one).
    let (signed, signature) = parts(&stage.ed.token(&claims));
    let mut malleable = signature;
    let mut carry = 0_u16;
    for (byte, order) in malleable[32..].iter_mut().zip(ED_ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    row(table, "EdDSA: the order added to S", &signed, &malleable);
    // The neutral point and zero, which verify for a key of small order.
    let neutral = {
        let mut neutral = [0; 64];
        neutral[0] = 1;
        neutral
    };
    row(table, "EdDSA: the neutral point", &signed, &neutral);

    // A signature over the claims alone, or with the parts exchanged, covers another text.
    let payload = base64url(claims.to_string());
    let header = base64url(stage.rsa.header().to_string());
    let signed = format!("{header}.{payload}");
    row(table, "over the claims alone", &signed, &stage.rsa.sign(payload.as_bytes()));
    row(table, "over the text before base64", &signed, &stage.rsa.sign(claims.to_string().as_bytes()));
    row(
        table,
        "over the parts exchanged",
        &signed,
        &stage.rsa.sign(format!("{payload}.{header}").as_bytes()),
    );
    let self_signed = Signer::rsa("kid-rsa");
    row(table, "by a key that was made up", &signed, &self_signed.sign(signed.as_bytes()));
}
