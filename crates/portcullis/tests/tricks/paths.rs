//! Paths, targets and hosts that could be read in two ways.

use super::*;

pub(super) fn paths(table: &mut Table) {
    // Out of a public folder, into what is not public.
    for path in [
        "/files/../admin",
        "/files/x/../../admin",
        "/files/..",
        "/files/./../admin",
        "/./admin",
        "/files/%2e%2e/admin",
        "/files/%2E%2E/admin",
        "/files/.%2e/admin",
        "/files/%2e./admin",
        "/files/%2e",
        "//admin",
        "/files//admin",
        "/files//../admin",
        "///files/x",
        "/files/..%2fadmin",
        "/files/%2fadmin",
        "/files%2f..%2fadmin",
        "/files/..%5cadmin",
        "/files/%5c..%5cadmin",
        "/files/..\\admin",
        "/files\\..\\admin",
        "/files/..;/admin",
        "/files/..;x=1/admin",
        "/files/x;/../admin",
        "/files/..%3Bx/admin",
        "/files/%2e%2e%3b/admin",
        "/files/..%20/admin",
        "/files/..%23/admin",
        "/admin;x=1",
        "/admin;",
        "/;/admin",
        "/public;/../admin",
        "/files/%3b%2e%2e/%2e%2e/admin",
        "/files/a%00",
        "/admin%00.png",
        "/files/%0d%0aX-Consumer-Name:%20root",
        "/files/a%0a",
        "/files/a%7f",
        "/files/a%1f",
        "/files/%c0%ae%c0%ae/admin",
        "/files/..%c0%afadmin",
        "/files/%e0%80%ae%e0%80%ae/admin",
        "/files/..%e0%80%afadmin",
        "/files/%f0%80%80%afadmin",
        "/files/%ff",
        "/files/%ed%a0%80",
        "/files/%c3/%a9",
        "/files/%252e%252e/admin",
        "/files/%252e%252e%252fadmin",
        "/files/..%252fadmin",
        "/files/%25252e",
        "/files/%255c",
        "/files/%",
        "/files/%2",
        "/files/%zz",
        "/files/%u002e%u002e/admin",
        "/files/%%32%65",
        "/public?a=%00",
        "/public?a=%",
    ] {
        table.refused(&format!("path {path}"), get(path), 400);
    }
    for (path, status) in [
        ("/Admin", 404),
        ("/ADMIN", 404),
        // With an empty rest it is below `/admin`, which is judged alike.
        ("/admin/", 401),
        ("/admin.json", 404),
        ("/public/", 404),
        ("/admin%20", 404),
        ("/admin%3f", 404),
        ("/admin%23", 404),
        ("/admin?", 401),
        ("/admin?/public", 401),
        ("/admin?x=/../public", 401),
        ("/%61dmin", 401),
        ("/%61%64%6d%69%6e", 401),
        ("/adm%69n/x", 401),
        ("/admin/%61", 401),
        ("/files", 404),
        ("/", 404),
    ] {
        table.refused(&format!("path {path}"), get(path), status);
    }
    let admin = admin();
    for (path, seen) in [
        ("/%61dmin", "/admin"),
        ("/adm%69n/%7e", "/admin/~"),
        ("/admin/%e2%82%ac", "/admin/%E2%82%AC"),
        ("/admin?a=../b", "/admin?a=../b"),
    ] {
        table.served(&format!("path {path} with a key"), get_with(path, &[&admin]), &format!("GET {seen}"));
    }
    for (path, seen) in [
        ("/files/", "/files/"),
        ("/files/admin", "/files/admin"),
        ("/files/%3badmin", "/files/%3Badmin"),
        ("/files/...", "/files/..."),
        ("/files/a%20b", "/files/a%20b"),
        ("/files/100%25", "/files/100%25"),
    ] {
        table.served(&format!("path {path}"), get(path), &format!("GET {seen}"));
    }
    // A fragment is no part of a request (RFC 9112, section 3.2); servers cut it off, or do not.
    for path in [
        "/public#/../admin",
        "/files/x#?/admin",
        "/public#",
        "/public?a#f",
        "http://a.example/public#f",
        "http://a.example#f",
        "*#",
    ] {
        table.cut(&format!("path {path}"), get(path), 400);
    }
    table.cut("path of 9 KiB", get(&format!("/files/{}", "a".repeat(9 * 1024))), 414);
    table.cut("query of 9 KiB", get(&format!("/public?{}", "a".repeat(9 * 1024))), 414);
    table.cut("path of 200 KiB", get(&format!("/files/{}", "a".repeat(200 * 1024))), 414);
    table.cut("NUL in the path", raw("GET /files/@ HTTP/1.1\r\nHost: a.example\r\n\r\n", b"\0"), 400);
    table.cut("DEL in the path", raw("GET /files/@ HTTP/1.1\r\nHost: a.example\r\n\r\n", b"\x7f"), 400);
    table.served(
        "UTF-8 in the path",
        raw("GET /files/@ HTTP/1.1\r\nHost: a.example\r\n\r\n", "é".as_bytes()),
        "GET /files/%C3%A9",
    );
    table.cut(
        "overlong UTF-8 in the path",
        raw("GET /files/@/admin HTTP/1.1\r\nHost: a.example\r\n\r\n", b"\xc0\xae\xc0\xae"),
        400,
    );
    table.cut("Latin 1 in the path", raw("GET /files/@ HTTP/1.1\r\nHost: a.example\r\n\r\n", b"\xe9"), 400);
}

pub(super) fn targets_and_hosts(table: &mut Table) {
    let (admin, user) = (admin(), user());
    table.served("absolute form", get("http://a.example/public"), "GET /public");
    table.served("absolute form, other spelling", get("HTTP://A.EXAMPLE:80/public"), "GET /public");
    table.served("absolute form over https", get("https://a.example/public"), "GET /public");
    table.refused("absolute form of what is not public", get("http://a.example/admin"), 401);
    table.cut("absolute form, other host", get("http://b.example/vhost"), 400);
    table.refused(
        "absolute form, own host in the field",
        "GET http://b.example/vhost HTTP/1.1\r\nHost: b.example\r\n\r\n",
        401,
    );
    table.cut("absolute form with user information", get("http://root@a.example/public"), 400);
    table.cut("absolute form with the host as user", get("http://a.example@b.example/vhost"), 400);
    table.cut("absolute form, other scheme", get("ftp://a.example/public"), 400);
    table.cut("absolute form, file", get("file://a.example/public"), 400);
    table.cut("absolute form without Host", "GET http://a.example/public HTTP/1.1\r\n\r\n", 400);
    table.cut("absolute form without Host in HTTP/1.0", "GET http://a.example/public HTTP/1.0\r\n\r\n", 400);
    table.cut("absolute form, other port", get("http://a.example:8080/public"), 400);
    table.refused("absolute form without a path", get("http://a.example"), 404);
    table.refused("absolute form with dots", get("http://a.example/files/../admin"), 400);
    table.cut("scheme without a host", get("http:///public"), 400);
    table.cut("authority form", get("a.example:80"), 400);
    table.cut("a name", get("public"), 400);
    table.cut("a path without its slash", get("files/../admin"), 400);
    table.refused("CONNECT", request("CONNECT", "a.example:443", &[], ""), 400);
    table.cut("CONNECT to a path", request("CONNECT", "/public", &[], ""), 400);
    table.refused("OPTIONS *", request("OPTIONS", "*", &[], ""), 400);
    table.cut("GET *", get("*"), 400);
    table.refused("TRACE", request("TRACE", "/public", &[&user], ""), 405);
    table.refused("a method in lower case", request("get", "/public", &[], ""), 405);
    table.refused("an unknown method", request("PROPFIND", "/public", &[], ""), 405);
    table.refused("a method that the route lacks", request("DELETE", "/data", &[&user], ""), 405);
    table.refused("an unknown method without a key", request("ADMIN", "/admin", &[], ""), 405);
    table.refused("OPTIONS without a key", request("OPTIONS", "/admin", &[], ""), 401);
    let preflight = ["Origin: https://evil.example", "Access-Control-Request-Method: GET"];
    table.refused("a preflight without a key", request("OPTIONS", "/admin", &preflight, ""), 401);
    table.row("HEAD without a key", request("HEAD", "/admin", &[], ""), &[401], Open, &[]).bodiless = true;
    table.row("HEAD", request("HEAD", "/public", &[], ""), &[200], Open, &["HEAD /public"]).bodiless = true;
    for method in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override"] {
        table.served(method, post(&[&format!("{method}: DELETE"), "Content-Length: 0"], ""), "POST /data");
    }
    for field in ["X-Original-URL", "X-Rewrite-URL", "X-Original-URI", "X_Original_URL"] {
        table.served(field, get_with("/public", &[&format!("{field}: /admin")]), "GET /public");
    }

    table.cut("no Host", "GET /public HTTP/1.1\r\n\r\n", 400);
    table.row("no Host in HTTP/1.0", "GET /public HTTP/1.0\r\n\r\n", &[400], Closed, &[]);
    table.cut("two hosts", "GET /vhost HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", 400);
    table.cut(
        "the same host twice",
        "GET /public HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n",
        400,
    );
    for host in [
        "",
        "a.example,b.example",
        "a.example b.example",
        "root@a.example",
        "a.example/admin",
        "a.example:99999",
        "a.example:80:80",
        "a.example:x",
        "[::1",
        "a.example?b",
        "a.example#b",
        "a.example\\b",
        "%61.example",
    ] {
        table.cut(&format!("Host {host:?}"), format!("GET /vhost HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400);
    }
    for host in ["a..example", "."] {
        table.refused(&format!("Host {host:?}"), format!("GET /vhost HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400);
    }
    for host in ["a.example", "A.EXAMPLE", "a.example.", "a.example:80", "a.example:", "A.Example.:8080"] {
        table.served(
            &format!("Host {host:?}"),
            format!("GET /vhost HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            "GET /vhost",
        );
    }
    for host in ["b.example", "B.EXAMPLE", "b.example.", "b.example:80", "B.example.:443"] {
        table.refused(&format!("Host {host:?}"), format!("GET /vhost HTTP/1.1\r\nHost: {host}\r\n\r\n"), 401);
    }
    for field in ["X-Forwarded-Host", "X-Host", "X-Original-Host", "X_Forwarded_Host"] {
        let lines = format!("GET /vhost HTTP/1.1\r\nHost: b.example\r\n{field}: a.example\r\n\r\n");
        table.refused(&format!("{field} of a public host"), lines, 401);
        table.served(
            &format!("{field} of another host"),
            get_with("/vhost", &[&format!("{field}: b.example")]),
            "GET /vhost",
        );
    }
    table.served(
        "Host of an admin",
        format!("GET /vhost HTTP/1.1\r\nHost: b.example\r\n{admin}\r\n\r\n"),
        "GET /vhost",
    );
    table.refused("an alias of Content-Type", get_with("/vhost", &["Content_Type: b"]), 400);
    table.refused("an alias of Proxy-Connection", get_with("/public", &["Proxy_Connection: close"]), 400);
}
