//! A request of HTTP/2 in frames of our own, so that no library corrects a field or refuses to send it.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// What a peer takes in one frame, unless it says otherwise (RFC 9113, section 4.2).
const LARGEST: usize = 16_384;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A number of HPACK with a prefix of seven bits (RFC 7541, section 5.1).
fn number(value: usize, block: &mut Vec<u8>) {
    let Some(mut rest) = value.checked_sub(127) else { return block.push(u8::try_from(value).unwrap()) };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// Each field as a literal without indexing and without Huffman coding.
fn block(fields: &[(String, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let bytes: Vec<u8> =
                text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect();
            number(bytes.len(), &mut block);
            block.extend(bytes);
        }
    }
    block
}

/// Sends a request on a connection of its own. The status; 0 for one that HPACK has no short form for, and 1 for a reset.
pub async fn ask(
    to: SocketAddr,
    fields: &[(String, String)],
    body: &[u8],
    trailers: &[(String, String)],
) -> u16 {
    // What was recorded under TLS is sent in the clear, so the scheme is too.
    let in_the_clear = |(name, value): &(String, String)| {
        (name.clone(), if name == ":scheme" { "http".to_owned() } else { value.clone() })
    };
    let fields: Vec<(String, String)> = fields.iter().map(in_the_clear).collect();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    let last = |is: bool| if is { END_STREAM } else { 0 };
    let head = block(&fields);
    assert!(head.len() <= LARGEST, "a long head");
    bytes.extend(frame(HEADERS, END_HEADERS | last(body.is_empty() && trailers.is_empty()), 1, &head));
    let parts = body.chunks(LARGEST).count();
    for (index, part) in body.chunks(LARGEST).enumerate() {
        bytes.extend(frame(DATA, last(index + 1 == parts && trailers.is_empty()), 1, part));
    }
    if !trailers.is_empty() {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(trailers)));
    }
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.unwrap();
        match (head[3], head[4] & 1) {
            (HEADERS, _) => return status(&payload),
            (SETTINGS, 0) => stream.write_all(&frame(SETTINGS, 1, 0, &[])).await.unwrap(),
            (RST_STREAM | GOAWAY, _) => return 1,
            _ => {}
        }
    }
}

/// The status by its entry in the static table (RFC 7541, appendix A), behind changes of the table's size.
fn status(block: &[u8]) -> u16 {
    let first = block.iter().find(|byte| **byte & 0xe0 != 0x20);
    match first.unwrap() {
        0x88 => 200,
        0x89 => 204,
        0x8c => 400,
        0x8d => 404,
        _ => 0,
    }
}
