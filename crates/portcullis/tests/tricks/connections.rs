//! Upgrades, pipelines, smuggled requests and broken protocol.

use super::*;

pub(super) fn connections(table: &mut Table) {
    let (admin, user) = (admin(), user());
    table.row("no version", "GET /public\r\n\r\n", &[400], Closed, &[]);
    for version in
        ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/1", "HTTP/11", "http/1.1", "HTTP/1.1x", "HTTP /1.1"]
    {
        table.cut(version, format!("GET /public {version}\r\nHost: a.example\r\n\r\n"), 400);
    }
    let row = table.row("the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[], Closed, &[]);
    row.records = 1;
    table.cut("a TLS hello", &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], 400);
    table.served("CRLFs before the request", format!("\r\n\r\n{}", get("/public")), "GET /public");
    table.cut("two spaces in the request line", "GET  /public HTTP/1.1\r\nHost: a.example\r\n\r\n", 400);
    table.cut("two spaces before the version", "GET /public  HTTP/1.1\r\nHost: a.example\r\n\r\n", 400);
    table.cut("a tab in the request line", "GET\t/public HTTP/1.1\r\nHost: a.example\r\n\r\n", 400);
    table.cut("a space before the method", " GET /public HTTP/1.1\r\nHost: a.example\r\n\r\n", 400);
    table.cut(
        "a space at the end of the request line",
        "GET /public HTTP/1.1 \r\nHost: a.example\r\n\r\n",
        400,
    );
    table.cut("a space in the path", "GET /public /admin HTTP/1.1\r\nHost: a.example\r\n\r\n", 400);
    table.cut("a bare CR in the request line", "GET /public\rHTTP/1.1\r\nHost: a.example\r\n\r\n", 400);
    table.cut("a NUL in the method", "G\0ET /public HTTP/1.1\r\nHost: a.example\r\n\r\n", 400);

    let websocket = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ];
    let with = |line: &str| {
        [&websocket[..], &[line]].concat().iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()
    };
    let lines =
        |lines: Vec<String>, target| get_with(target, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    table.row("an upgrade without a key", get_with("/ws", &websocket), &[401], Open, &[]);
    table.row("an upgrade where none is allowed", lines(with(&user), "/data"), &[400], Open, &[]);
    table.row("an upgrade to what is not public", get_with("/admin", &websocket), &[400], Open, &[]);
    table.row(
        "an upgrade to another protocol",
        get_with("/ws", &["Connection: upgrade", "Upgrade: h2", &user]),
        &[400],
        Open,
        &[],
    );
    table.row(
        "an upgrade with a body",
        lines(with(&format!("{user}\r\nContent-Length: 5")), "/ws") + "hello",
        &[400],
        Open,
        &[],
    );
    table.row(
        "an upgrade, then a request",
        lines(with("X-A: b"), "/ws") + &get("/admin"),
        &[401, 401],
        Open,
        &[],
    );
    // An offer counts in HTTP/1.1 alone, and only where Connection names it (RFC 9110, section 7.8).
    table.served(
        "an upgrade without its option",
        get_with("/data", &["Upgrade: websocket", &user]),
        "GET /data",
    );
    let old = format!(
        "GET /data HTTP/1.0\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n{user}\r\n\r\n"
    );
    table.row("an upgrade in HTTP/1.0", old, &[200], Closed, &["GET /data"]);
    let h2c =
        ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"];
    table.row("h2c", get_with("/public", &h2c), &[200], Open, &["GET /public"]);
    table.row("h2c without a key", get_with("/admin", &h2c), &[401], Open, &[]);
    table.row(
        "h2c, then a request",
        get_with("/public", &h2c) + &get("/admin"),
        &[200, 401],
        Open,
        &["GET /public"],
    );

    table.row(
        "100-continue",
        post(&["Expect: 100-continue", "Content-Length: 5"], "hello"),
        &[100, 200],
        Open,
        &["POST /data"],
    );
    table.row(
        "100-continue without a key",
        request("POST", "/admin", &["Expect: 100-continue", "Content-Length: 5"], ""),
        &[401],
        Closed,
        &[],
    );
    table.refused("another expectation", post(&["Expect: 200-ok", "Content-Length: 5"], "hello"), 400);
    table.refused(
        "two expectations",
        post(&["Expect: 100-continue", "Expect: 100-continue", "Content-Length: 5"], "hello"),
        400,
    );

    // A body that is a request is a body, whether the request that has it is served or refused.
    let inner = get_with("/admin", &[&admin]);
    let length = format!("Content-Length: {}", inner.len());
    table.served(
        "GET with a request as its body",
        request("GET", "/public", &[&length], &inner),
        "GET /public",
    );
    table.row(
        "a refused GET with a request as its body",
        request("GET", "/admin", &[&length], &inner),
        &[401],
        Open,
        &[],
    );
    table.row(
        "an unknown path with a request as its body",
        request("GET", "/nowhere", &[&length], &inner),
        &[404],
        Open,
        &[],
    );
    table.row(
        "an ambiguous path with a request as its body",
        request("GET", "/files/../x", &[&length], &inner),
        &[400],
        Open,
        &[],
    );
    let chunk = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    let te = "Transfer-Encoding: chunked";
    table.served("GET with a request in a chunk", request("GET", "/public", &[te], &chunk), "GET /public");
    table.row(
        "a refused GET with a request in a chunk",
        request("GET", "/admin", &[te], &chunk),
        &[401],
        Closed,
        &[],
    );
    let large = get_with("/admin", &[&admin]).repeat(200);
    let length = format!("Content-Length: {}", large.len());
    table.row(
        "a refused POST with many requests as its body",
        request("POST", "/admin", &[&length], &large),
        &[401],
        Closed,
        &[],
    );
    table.served("a length of 0, then nothing", post(&["Content-Length: 0"], ""), "POST /data");
    table.row(
        "a length of 0, then a request",
        post(&["Content-Length: 0"], &get("/admin")),
        &[200, 401],
        Open,
        &["POST /data"],
    );
    table.row(
        "a short length, then a request",
        post(&["Content-Length: 5"], &format!("hello{}", get("/admin"))),
        &[200, 401],
        Open,
        &["POST /data"],
    );
    table.row(
        "a short length, then garbage",
        post(&["Content-Length: 3"], "hello there\r\n\r\n"),
        &[200, 400],
        Closed,
        &["POST /data"],
    );

    let (mine, theirs) = (get_with("/admin", &[&admin]), get("/admin"));
    table.row(
        "an admin's request, then a stranger's",
        format!("{mine}{theirs}"),
        &[200, 401],
        Open,
        &["GET /admin"],
    );
    table.row(
        "a stranger's request, then an admin's",
        format!("{theirs}{mine}"),
        &[401, 200],
        Open,
        &["GET /admin"],
    );
    let first = get_with("/data", &[&user]);
    table.row(
        "a user's request, then theirs to an admin's path",
        format!("{first}{}", get_with("/admin", &[&user])),
        &[200, 403],
        Open,
        &["GET /data"],
    );
    table.row(
        "three in a row, the last ambiguous",
        format!("{mine}{mine}{}", get("/files/../admin")),
        &[200, 200, 400],
        Open,
        &["GET /admin", "GET /admin"],
    );
    table.row(
        "close, then a request",
        format!("{}{mine}", get_with("/public", &["Connection: close"])),
        &[200],
        Closed,
        &["GET /public"],
    );
    let old = "GET /public HTTP/1.0\r\nHost: a.example\r\n\r\n";
    table.row("HTTP/1.0, then a request", format!("{old}{mine}"), &[200], Closed, &["GET /public"]);
}
