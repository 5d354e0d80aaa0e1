//! The bytes of clients: honest ones, tricks, and mixtures by chance.

use crate::ours::{self, Stream};

/// Written by hand. Every `|` begins another request on the same connection.
const WRITTEN: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a?b=c&d HTTP/1.1\r\nHost: a:8080\r\nAccept: */*\r\n\r\n",
    "GET /? HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET //a/../b HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /%2e%2E/%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc",
    "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "DELETE /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "PROPFIND /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 00005\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\ncontent-length:5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \t5\t \r\n\r\nhello",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ChUnKeD\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked \r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0\r\n\r\nGET /\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d;\\\"\"\r\nhello\r\n0;e\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 ; a = b\r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nDigest: x\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\nTE: trailers\r\n\r\n0\r\nx: y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    "GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \r\nZ: a\tb\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX_Y: 1\r\nX.Y~z: 2\r\n1: 3\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: \u{e4}\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length-X: 5\r\nX-Transfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, content-length\r\nContent-Length: 0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\nhello",
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: a\r\nX-Original-URL: /b\r\n\r\n",
    "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// Pieces of a request, most of them right.
const LINES: &[&str] = &[
    "GET / HTTP/1.1",
    "POST /a HTTP/1.1",
    "PUT /a?b=%20 HTTP/1.1",
    "GET http://a/c HTTP/1.1",
    "DELETE /d HTTP/1.1",
    "POST /e HTTP/1.0",
];
const FIELDS: &[&str] = &[
    "Host: a",
    "Host: a:80",
    "X: y",
    "X:y ",
    "Content-Length: 5",
    "Content-Length: 5",
    "Content-Length: 05",
    "Content-Length: 0",
    "Content-Length: +5",
    "Content-Length: 5, 5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: Chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding : chunked",
    "Connection: keep-alive",
    "Connection: close",
    "Connection: Transfer-Encoding",
    "Accept: */*",
    " folded",
    "Cookie: a=b; c=\"d\"",
    "X-\u{e4}: b",
    "Empty:",
];
const BODIES: &[&str] = &[
    "hello",
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "5;a\r\nhello\r\n0\r\n\r\n",
    "5;a=\"\r\nhello\r\n0\r\n\r\n",
    "005\r\nhello\r\n00\r\nx: y\r\n\r\n",
    "1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
    "0\r\n\r\n",
    "0\r\n\n",
    "5\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "",
];

/// A generator whose whole state is one number, so that every run has the same cases (xorshift64*).
struct Chance(u64);

impl Chance {
    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % bound
    }

    fn request(&mut self) -> String {
        let mut text = format!("{}\r\nHost: a\r\n", self.of(LINES));
        for _ in 0..self.below(4) {
            text.push_str(self.of(FIELDS));
            text.push_str(if self.below(40) == 0 { "\n" } else { "\r\n" });
        }
        text.push_str("\r\n");
        text.push_str(self.of(BODIES));
        text
    }
}

/// Every stream that has a request which we accept.
pub(crate) fn streams() -> Vec<Stream> {
    let mut raw: Vec<Vec<u8>> = WRITTEN.iter().map(|text| text.as_bytes().to_vec()).collect();
    // Each one behind another, so that where it ends is where the next begins.
    raw.extend(WRITTEN.iter().map(|text| format!("{text}{}", WRITTEN[1]).into_bytes()));
    let mut chance = Chance(0x5eed);
    while raw.len() < 1500 {
        let requests: Vec<String> = (0..=chance.below(3)).map(|_| chance.request()).collect();
        raw.push(requests.concat().into_bytes());
    }
    let mut streams: Vec<Stream> = raw.iter().flat_map(|raw| ours::streams(raw)).collect();
    streams.sort_by(|left, right| left.bytes.cmp(&right.bytes));
    streams.dedup_by(|left, right| left.bytes == right.bytes);
    streams
}
