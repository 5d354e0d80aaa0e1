//! Fields that spoof, repeat, alias or take away.

use super::*;

pub(super) fn fields(table: &mut Table) {
    let (admin, user) = (admin(), user());
    for name in ["X_Api_Key", "X.Api.Key", "x-api_key", "X_API-KEY"] {
        table.refused(&format!("{name} alone"), get_with("/admin", &[&format!("{name}: {ADMIN_KEY}")]), 400);
        table.refused(
            &format!("{name} beside a key"),
            get_with("/data", &[&user, &format!("{name}: {ADMIN_KEY}")]),
            400,
        );
    }
    for alias in ["Authorization_: x", "cookie_: x", "te_: trailers"] {
        table.served(alias, get_with("/public", &[alias]), "GET /public");
    }
    for name in [
        "X-Forwarded-For",
        "X-Real-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "True-Client-IP",
        "X-Originating-IP",
        "X-Remote-IP",
        "X-Remote-Addr",
        "Forwarded",
        "Forwarded-For",
        "X-Forwarded",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-User",
        "X_Forwarded_For",
        "X.Forwarded.For",
        "X_Real_IP",
        "X-Consumer-Name",
        "X-Consumer-Roles",
        "X-Consumer-Anything",
        "X_Consumer_Name",
        "X.Consumer.Roles",
        "X-Request-Id",
        "X_Request_Id",
    ] {
        let spoof = format!("{name}: spoofed-9.9.9.9");
        table.served(&format!("{name} of a stranger"), get_with("/public", &[&spoof]), "GET /public");
        table.served(
            &format!("{name} of a user, twice"),
            get_with("/data", &[&spoof, &user, &spoof]),
            "GET /data",
        );
        table.refused(&format!("{name} in place of a key"), get_with("/admin", &[&spoof]), 401);
    }
    table.served(
        "identity beside a public route's key",
        get_with("/public", &[&admin, "X-Consumer-Name: spoofed"]),
        "GET /public",
    );

    for named in [
        "x-api-key",
        "X-Api-Key, close",
        "close, x-consumer-name",
        "content-length",
        "x-forwarded-for",
        "host",
        "transfer-encoding",
        "authorization",
        "cookie",
        "close, x-anything",
        "x-request-id",
    ] {
        table.refused(
            &format!("Connection: {named}"),
            get_with("/data", &[&user, &format!("Connection: {named}")]),
            400,
        );
    }
    // The last rows that name close are answered and closed.
    for row in &mut table.0 {
        if row.name.starts_with("Connection: ") && row.name.contains("close") {
            row.then = Closed;
        }
    }
    table.served(
        "Connection: keep-alive, te",
        get_with("/public", &["Connection: keep-alive, te", "TE: trailers", "Keep-Alive: timeout=9"]),
        "GET /public",
    );
    table.row(
        "Connection: close",
        get_with("/public", &["Connection: close"]),
        &[200],
        Closed,
        &["GET /public"],
    );
    table.served(
        "fields of one connection",
        get_with(
            "/public",
            &[
                "Proxy: http://spoofed.example",
                "Proxy-Connection: keep-alive",
                "Proxy-Authorization: Basic c3Bvb2ZlZA==",
            ],
        ),
        "GET /public",
    );

    for (name, lines) in [
        ("the key twice", &[user.as_str(), user.as_str()][..]),
        ("two keys", &[&user, &admin]),
        ("two keys, the other way round", &[&admin, &user]),
        ("a key and an empty one", &[&admin, "X-Api-Key:"]),
        ("two keys in one field", &[&format!("{admin}, {USER_KEY}")]),
        ("the key twice in one field", &[&format!("{admin},{ADMIN_KEY}")]),
        ("an empty key", &["X-Api-Key:"]),
        ("an empty key of spaces", &["X-Api-Key:   \t "]),
        ("a wrong key", &["X-Api-Key: adm-7f1d0c55e2b94a6e8d3c"]),
        ("a key in another case", &[&format!("X-Api-Key: {}", ADMIN_KEY.to_uppercase())]),
        ("the beginning of a key", &[&format!("X-Api-Key: {}", &ADMIN_KEY[..10])]),
        ("a key and more", &[&format!("{admin}x")]),
        ("a key in quotes", &[&format!("X-Api-Key: \"{ADMIN_KEY}\"")]),
        ("a key of 600 characters", &[&format!("X-Api-Key: {}", "a".repeat(600))]),
        ("an expired key", &[&format!("X-Api-Key: {EXPIRED_KEY}")]),
        ("the key in another field", &[&format!("Authorization: Bearer {ADMIN_KEY}")]),
        ("the key in a cookie", &[&format!("Cookie: x-api-key={ADMIN_KEY}; session={ADMIN_KEY}")]),
        ("no key", &[]),
    ] {
        table.refused(name, get_with("/admin", lines), 401);
    }
    table.refused("a user on an admin's path", get_with("/admin/users", &[&user]), 403);
    table.refused("the key in the query", get(&format!("/admin?x-api-key={ADMIN_KEY}&key={ADMIN_KEY}")), 401);
    table.refused(
        "a key that is not text",
        raw("GET /admin HTTP/1.1\r\nHost: a.example\r\nX-Api-Key: @\r\n\r\n", b"\xff\xfe"),
        401,
    );
    table.served(
        "a key with space around it",
        get_with("/admin", &[&format!("X-Api-Key: \t {ADMIN_KEY} \t ")]),
        "GET /admin",
    );
    table.served(
        "a key where none is asked for",
        get_with("/public?a=1", &[&admin, &format!("Cookie: a=b; session={ADMIN_KEY}")]),
        "GET /public?a=1",
    );
    table.served(
        "an expired key where none is asked for",
        get_with("/public", &[&format!("X-Api-Key: {EXPIRED_KEY}")]),
        "GET /public",
    );

    table.served("a key in the query", get(&format!("/q?a=1&key={ADMIN_KEY}&b=2")), "GET /q?a=1&b=2");
    table.served("a key in the query, escaped", get(&format!("/q?%6bey={ADMIN_KEY}")), "GET /q");
    table.served(
        "a key in a public query",
        get(&format!("/public?k%65y={ADMIN_KEY}&a=1")),
        "GET /public?a=1",
    );
    table.refused("two keys in the query", get(&format!("/q?key={USER_KEY}&key={ADMIN_KEY}")), 401);
    table.refused("two keys in the query, one escaped", get(&format!("/q?key={ADMIN_KEY}&k%65y=x")), 401);
    table.refused("an empty key in the query", get("/q?key="), 401);
    table.refused("a key in the query after another mark", get(&format!("/q?a=1;key={ADMIN_KEY}")), 401);
    table.served(
        "a key in a cookie",
        get_with("/c", &[&format!("Cookie: a=1; session={ADMIN_KEY}; b=2")]),
        "GET /c",
    );
    table.refused(
        "two keys in a cookie",
        get_with("/c", &[&format!("Cookie: session={ADMIN_KEY}; session=x")]),
        401,
    );
    table.refused(
        "two keys in two cookies",
        get_with("/c", &[&format!("Cookie: session={ADMIN_KEY}"), "Cookie: session=x"]),
        401,
    );

    for (name, lines) in [
        ("a folded field", &["X-A: b\r\n c"][..]),
        ("a folded key", &[&format!("X-Api-Key:\r\n {ADMIN_KEY}")]),
        ("a bare CR in a value", &["X-A: b\rX-Api-Key: c"]),
        ("a CR before a name", &["\rX-A: b"]),
        ("a NUL in a value", &["X-A: b\0c"]),
        ("a NUL in a name", &["X-A\0: b"]),
        ("a space in a name", &["X A: b"]),
        ("a space before the colon", &[&format!("X-Api-Key : {ADMIN_KEY}")]),
        ("no colon", &["X-A"]),
        ("no name", &[": b"]),
        ("8 bits in a name", &["X-Ä: b"]),
        ("brackets in a name", &["X(A): b"]),
    ] {
        table.cut(name, get_with("/public", lines), 400);
    }
    table.cut("a space before the first field", "GET /public HTTP/1.1\r\n Host: a.example\r\n\r\n", 400);
    table.cut(
        "a key in a folded first line",
        "GET /public HTTP/1.1\r\n X-Api-Key: a\r\nHost: a.example\r\n\r\n",
        400,
    );
    table.served("8 bits in a value", get_with("/public", &["X-A: é"]), "GET /public");
    // A server may take a bare LF for a line end (RFC 9112, section 2.2); another one does not.
    table.cut("bare LF as the end of each line", "GET /public HTTP/1.1\nHost: a.example\n\n", 400);
    let many: Vec<String> = (0..100).map(|number| format!("X-{number}: a")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    table.cut("101 fields", get_with("/public", &many), 431);
    let large = format!("X-A: {}", "a".repeat(7 * 1024));
    table.refused("40 KiB of fields", get_with("/public", &[large.as_str(); 6]), 431);
    table.refused(
        "a field of 10 KiB",
        get_with("/public", &[&format!("X-A: {}", "a".repeat(10 * 1024))]),
        431,
    );
    table.cut("200 KiB of fields", get_with("/public", &[large.as_str(); 29]), 431);
    table.served("a range", get_with("/public", &["Range: bytes=0-0,0-0"]), "GET /public");
    table.served("conditions", get_with("/public", &["If-Match: *", "If-Range: \"a\""]), "GET /public");
}
