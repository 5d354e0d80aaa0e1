//! Where a body ends: told twice, told badly, or not told.

use super::*;

pub(super) fn framing(table: &mut Table) {
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    let te = "Transfer-Encoding: chunked";
    table.served("a body with a length", post(&["Content-Length: 5"], "hello"), "POST /data");
    table.served("a body in chunks", post(&[te], chunked), "POST /data");
    table.served("chunked in another spelling", post(&["tRaNsFeR-eNcOdInG: ChUnKeD"], chunked), "POST /data");
    // One request, one framing: a server that takes the other one sees another request (RFC 9112, section 6.3).
    let smuggled = format!("0\r\n\r\n{}", get("/admin"));
    let length = format!("Content-Length: {}", smuggled.len());
    table.cut("length, then chunks", post(&[&length, te], &smuggled), 400);
    table.cut("chunks, then length", post(&[te, &length], &smuggled), 400);
    table.cut("a short length, then chunks", post(&["Content-Length: 3", te], chunked), 400);
    table.cut("chunks, then a length of 0", post(&[te, "Content-Length: 0"], chunked), 400);
    table.cut("the same length twice", post(&["Content-Length: 5", "Content-Length: 5"], "hello"), 400);
    for (name, lines) in [
        ("two lengths", &["Content-Length: 5", "Content-Length: 6"][..]),
        ("two lengths, the other way round", &["Content-Length: 6", "Content-Length: 5"]),
        ("a length with a sign", &["Content-Length: +5"]),
        ("a list of lengths", &["Content-Length: 5, 5"]),
        ("a length in two words", &["Content-Length: 5 5"]),
        ("a negative length", &["Content-Length: -5"]),
        ("no length", &["Content-Length:"]),
        ("a hexadecimal length", &["Content-Length: 0x5"]),
        ("a length with a point", &["Content-Length: 5.0"]),
        ("a length of 2^64", &["Content-Length: 18446744073709551616"]),
        ("a length of very many digits", &["Content-Length: 99999999999999999999999999"]),
        ("a length in words", &["Content-Length: five"]),
        ("xchunked", &["Transfer-Encoding: xchunked"]),
        ("chunked in quotes", &["Transfer-Encoding: \"chunked\""]),
        ("identity", &["Transfer-Encoding: identity"]),
        ("chunked, identity", &["Transfer-Encoding: chunked, identity"]),
        ("chunked and a parameter", &["Transfer-Encoding: chunked;q=1"]),
        ("chunked, then gzip in another field", &["Transfer-Encoding: chunked", "Transfer-Encoding: gzip"]),
        ("no coding", &["Transfer-Encoding:"]),
        ("a space before the colon of the coding", &["Transfer-Encoding : chunked"]),
        ("a tab before the colon of the coding", &["Transfer-Encoding\t: chunked"]),
        ("a space before the colon of the length", &["Content-Length : 5"]),
        ("a folded coding", &["Transfer-Encoding:\r\n chunked"]),
        ("a folded second coding", &["Transfer-Encoding: identity,\r\n chunked"]),
        ("a vertical tab in the coding", &["Transfer-Encoding: \u{b}chunked"]),
    ] {
        table.cut(name, post(lines, chunked), 400);
    }
    for (name, lines) in [
        ("gzip, chunked", &["Transfer-Encoding: gzip, chunked"][..]),
        ("chunked, chunked", &["Transfer-Encoding: chunked, chunked"]),
        ("chunked twice", &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]),
        ("identity, then chunked", &["Transfer-Encoding: identity", "Transfer-Encoding: chunked"]),
        ("an empty coding, then chunked", &["Transfer-Encoding: , chunked"]),
    ] {
        table.cut(name, post(lines, chunked), 400);
    }
    table.cut("a length of 2^64 - 1", post(&["Content-Length: 18446744073709551615"], ""), 400);
    table.served("a tab before the coding", post(&["Transfer-Encoding:\tchunked"], chunked), "POST /data");
    for alias in [
        "Content_Length: 99",
        "Transfer_Encoding: chunked",
        "Transfer.Encoding: chunked",
        "content.length: 99",
    ] {
        table.refused(alias, post(&["Content-Length: 5", alias], "hello"), 400);
    }
    let old = format!("POST /data HTTP/1.0\r\nHost: a.example\r\n{}\r\n{te}\r\n\r\n{chunked}", user());
    table.cut("chunks in HTTP/1.0", old, 400);
    for (name, body) in [
        ("a negative chunk", "-5\r\nhello\r\n0\r\n\r\n"),
        ("a chunk size with a sign", "+5\r\nhello\r\n0\r\n\r\n"),
        ("a chunk size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("a chunk size in words", "five\r\nhello\r\n0\r\n\r\n"),
        ("a chunk without a size", "\r\nhello\r\n0\r\n\r\n"),
        ("a chunk size of 2^64", "10000000000000000\r\nhello\r\n0\r\n\r\n"),
        ("a chunk without its end", "5\r\nhello0\r\n\r\n"),
        ("a chunk that is longer than it says", "5\r\nhelloGET\r\n0\r\n\r\n"),
        ("a bare LF after the size", "5\nhello\r\n0\r\n\r\n"),
        ("a bare LF after the data", "5\r\nhello\n0\r\n\r\n"),
        ("a bare CR after the size", "5\rhello\r\n0\r\n\r\n"),
        ("a bare LF in a chunk extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("a bare LF at the end", "5\r\nhello\r\n0\r\n\n"),
        ("a bare LF after the last size", "5\r\nhello\r\n0\n\r\n"),
        ("a bare LF after a trailer field", "5\r\nhello\r\n0\r\nx: y\n\r\n"),
        ("a space after the size", "5 \r\nhello\r\n0\r\n\r\n"),
        ("an empty chunk extension", "5;\r\nhello\r\n0\r\n\r\n"),
        ("an underscore in the size", "0_5\r\nhello\r\n0\r\n\r\n"),
        ("a folded trailer field", "5\r\nhello\r\n0\r\nx: y\r\n z\r\n\r\n"),
        ("a space before the size", " 5\r\nhello\r\n0\r\n\r\n"),
        ("a chunk extension of 20 KiB", &format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(20 * 1024))),
    ] {
        table.cut(name, post(&[te], body), 400);
    }
    table.served("chunk extensions", post(&[te], "5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n"), "POST /data");
    for trailer in [
        admin(),
        "X-Consumer-Name: root".into(),
        "X-Forwarded-For: 9.9.9.9".into(),
        "Content-Length: 99".into(),
    ] {
        let body = format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n");
        table.served(
            &format!("a trailer with {trailer}"),
            post(&[te, "Trailer: X-Api-Key"], &body),
            "POST /data",
        );
        let keyless = request("POST", "/admin", &[te, "Trailer: X-Api-Key"], &body);
        table.row(&format!("a trailer with {trailer} and no key"), keyless, &[401], Closed, &[]);
    }
}
