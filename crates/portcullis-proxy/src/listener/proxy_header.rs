//! What a load balancer says of a client before the client's own first byte: the PROXY protocol, versions 1 and 2.
//!
//! Only addresses that the operator lists are asked for it, and those must send it: a connection of theirs without one, or
//! with one that is not exactly well-formed, is closed. From anybody else it is not read at all, so that nobody else can
//! say who they are. The header is looked at in the socket before it is taken out, so not a byte beyond it is touched.

use ipnet::IpNet;
use portcullis_core::{Code, Denial};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The longest header of version 1 (section 2.1), and the beginning of one of version 2 (section 2.2).
const LONGEST_TEXT: usize = 107;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 2 that is read: addresses, and more extensions than any balancer sends.
const LONGEST: usize = 2048;
/// How long to wait before a header that has not come whole is looked at again.
const PAUSE: Duration = Duration::from_millis(2);

/// Whether a peer sends a header.
pub(crate) fn is_sent_by(peer: IpAddr, balancers: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    balancers.iter().any(|network| network.contains(&peer))
}

/// Takes the header out of the socket. The client's address; the balancer's own for a connection that it makes to see
/// whether anybody is there.
///
/// # Errors
/// There is none, or it is not one, or it is not there in time.
pub(crate) async fn take(
    socket: &mut TcpStream,
    peer: SocketAddr,
    patience: Duration,
) -> Result<SocketAddr, Option<Denial>> {
    let denial = |detail: &'static str| Some(Denial::new(Code::ProxyHeader, detail));
    let taken = async {
        let mut buffer = [0; LONGEST];
        loop {
            // If the socket fails here, the client is gone.
            let size = socket.peek(&mut buffer).await.map_err(|_| None)?;
            let seen = buffer.get(..size).unwrap_or_default();
            if seen.is_empty() {
                return Err(None);
            }
            match parse(seen) {
                Parsed::Whole { length, client } => {
                    let header = buffer.get_mut(..length).unwrap_or_default();
                    socket.read_exact(header).await.map_err(|_| None)?;
                    return Ok(client.unwrap_or(peer));
                }
                Parsed::Wrong(detail) => return Err(denial(detail)),
                Parsed::Incomplete => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    tokio::time::timeout(patience, taken)
        .await
        .unwrap_or_else(|_| Err(denial("no PROXY header came in time")))
}

#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    /// So many bytes; no client where the balancer speaks for itself.
    Whole {
        length: usize,
        client: Option<SocketAddr>,
    },
    /// More may come.
    Incomplete,
    Wrong(&'static str),
}

fn parse(bytes: &[u8]) -> Parsed {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(byte, wanted)| byte == wanted);
    if begins(&SIGNATURE) {
        binary(bytes)
    } else if begins(b"PROXY ") {
        text(bytes)
    } else {
        Parsed::Wrong("the balancer sent no PROXY header")
    }
}

/// Version 1, section 2.1.
fn text(bytes: &[u8]) -> Parsed {
    const WRONG: Parsed = Parsed::Wrong("a PROXY header of version 1 that is not one");
    let Some(end) = bytes.windows(2).take(LONGEST_TEXT - 1).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LONGEST_TEXT { Parsed::Incomplete } else { WRONG };
    };
    let length = end + 2;
    let Some(Ok(line)) = bytes.get(..end).map(std::str::from_utf8) else { return WRONG };
    let words: Vec<&str> = line.split(' ').collect();
    let port = |word: &str| word.parse::<u16>().ok().filter(|port| port.to_string() == word);
    let client = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", family, source, destination, from, to] => {
            let addresses = match *family {
                "TCP4" => source
                    .parse::<Ipv4Addr>()
                    .ok()
                    .zip(destination.parse::<Ipv4Addr>().ok())
                    .map(|both| IpAddr::V4(both.0)),
                "TCP6" => source
                    .parse::<Ipv6Addr>()
                    .ok()
                    .zip(destination.parse::<Ipv6Addr>().ok())
                    .map(|both| IpAddr::V6(both.0)),
                _ => None,
            };
            match (addresses, port(from), port(to)) {
                (Some(address), Some(port), Some(_)) => Some(SocketAddr::new(address, port)),
                _ => return WRONG,
            }
        }
        _ => return WRONG,
    };
    Parsed::Whole { length, client }
}

/// Version 2, section 2.2.
fn binary(bytes: &[u8]) -> Parsed {
    const WRONG: Parsed = Parsed::Wrong("a PROXY header of version 2 that is not one");
    let Some(([command, family, high, low], rest)) =
        bytes.get(SIGNATURE.len()..).and_then(|rest| rest.split_first_chunk::<4>())
    else {
        return Parsed::Incomplete;
    };
    let announced = usize::from(u16::from_be_bytes([*high, *low]));
    let length = SIGNATURE.len() + 4 + announced;
    if length > LONGEST {
        return Parsed::Wrong("a PROXY header that is too long");
    }
    let Some(block) = rest.get(..announced) else { return Parsed::Incomplete };
    let client = match (command, family) {
        // LOCAL: the balancer looks whether anybody is there.
        (0x20, _) => None,
        (0x21, 0x11) => {
            match (block.first_chunk::<4>(), block.get(8..12).and_then(|ports| ports.first_chunk::<2>())) {
                (Some(address), Some(port)) => {
                    Some(SocketAddr::new(Ipv4Addr::from(*address).into(), u16::from_be_bytes(*port)))
                }
                _ => return WRONG,
            }
        }
        (0x21, 0x21) => {
            match (block.first_chunk::<16>(), block.get(32..36).and_then(|ports| ports.first_chunk::<2>())) {
                (Some(address), Some(port)) => {
                    Some(SocketAddr::new(Ipv6Addr::from(*address).into(), u16::from_be_bytes(*port)))
                }
                _ => return WRONG,
            }
        }
        _ => return WRONG,
    };
    Parsed::Whole { length, client }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, block].concat()
    }

    fn client(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn well_formed_headers_name_the_client() {
        let four = [192, 0, 2, 1, 127, 0, 0, 1, 0x12, 0x34, 1, 187];
        let six = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 16], &[0, 80, 0, 80]]
            .concat();
        for (bytes, wanted) in [
            (b"PROXY TCP4 192.0.2.1 127.0.0.1 4660 443\r\n".to_vec(), client("192.0.2.1:4660")),
            (b"PROXY TCP6 2001:db8::1 ::1 80 80\r\n".to_vec(), client("[2001:db8::1]:80")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v2(0x21, 0x11, &four), client("192.0.2.1:4660")),
            (v2(0x21, 0x11, &[&four[..], &[3, 0, 4, 1, 2, 3, 4]].concat()), client("192.0.2.1:4660")),
            (v2(0x21, 0x21, &six), client("[2001:db8::1]:80")),
            (v2(0x20, 0, &[]), None),
        ] {
            let length = bytes.len();
            for cut in 1..length {
                assert_eq!(parse(&bytes[..cut]), Parsed::Incomplete, "{cut} of {bytes:?}");
            }
            let followed = [&bytes[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(parse(&followed), Parsed::Whole { length, client: wanted }, "{bytes:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 192.0.2.1 127.0.0.1 04660 443\r\n",
            b"PROXY TCP4 192.0.2.1 127.0.0.1 99999 443\r\n",
            b"PROXY TCP4 192.0.2.1  127.0.0.1 1 443\r\n",
            b"PROXY TCP4 2001:db8::1 ::1 80 80\r\n",
            b"PROXY TCP4 192.0.2.1 127.0.0.1 1\r\n",
            b"PROXY UDP4 192.0.2.1 127.0.0.1 1 2\r\n",
            long.as_bytes(),
            &v2(0x31, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x31, &[0; 216]),
            &v2(0x22, 0x11, &[0; 12]),
        ] {
            assert!(matches!(parse(bytes), Parsed::Wrong(_)), "{:?}", bytes.escape_ascii().to_string());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_a_header_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300), begin in 0_usize..3) {
            let bytes = [[&b""[..], b"PROXY TCP4 ", &SIGNATURE][begin], &bytes].concat();
            if let Parsed::Whole { length, .. } = parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
