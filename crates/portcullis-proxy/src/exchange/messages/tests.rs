use super::*;
use portcullis_core::HeldMemory;
use proptest::prelude::*;

const MASK: [u8; 4] = [1, 2, 3, 4];

/// A client's frame with this first byte.
fn sent(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame(OpCode::Data(Data::Text), Some(MASK), payload);
    frame[0] = first;
    frame
}

fn read(memory: &HeldMemory, most: u64, bytes: &[u8], step: usize) -> (Vec<String>, Option<u16>) {
    let holding = memory.holding([192, 0, 2, 1].into());
    let (mut reader, mut seen) = (Reader::new(most), Vec::new());
    for mut part in bytes.chunks(step) {
        loop {
            match reader.read(&mut part, &holding, Duration::ZERO) {
                Ok(None) => break,
                Ok(Some(Event::Text(message))) => {
                    seen.push(String::from_utf8(message.text.to_vec()).unwrap())
                }
                Ok(Some(Event::Control(kind, payload))) => seen.push(format!("{kind:?} {payload:?}")),
                Err((breach, _)) => return (seen, Some(breach.status)),
            }
        }
    }
    (seen, None)
}

fn come(bytes: &[u8]) -> (Vec<String>, Option<u16>) {
    let memory = HeldMemory::new(1 << 20);
    let come = read(&memory, 1000, bytes, bytes.len().max(1));
    assert_eq!(read(&memory, 1000, bytes, 1), come, "byte by byte");
    assert_eq!(memory.used(), 0, "what was read is held no longer");
    come
}

#[test]
fn messages_are_put_together() {
    let parts = [
        sent(0x01, b"a "),
        sent(0x89, b"ping"),
        sent(0x00, b"whole"),
        sent(0x00, b""),
        sent(0x80, b" text"),
        sent(0x81, b"next"),
        sent(0x8a, b""),
        sent(0x88, &[0x03, 0xe8, b'o', b'k']),
    ];
    let expected =
        ["Ping [112, 105, 110, 103]", "a whole text", "next", "Pong []", "Close [3, 232, 111, 107]"];
    assert_eq!(come(&parts.concat()), (expected.map(str::to_owned).to_vec(), None));
}

#[test]
fn breaches_end_the_connection() {
    let long = sent(0x81, &[b'a'; 1001]);
    let mut unmasked = frame(OpCode::Data(Data::Text), None, b"text");
    for (status, bytes) in [
        (1002, std::mem::take(&mut unmasked)),
        // Reserved bits, as of a compressed message, and reserved kinds.
        (1002, sent(0xc1, b"a")),
        (1002, sent(0xa1, b"a")),
        (1002, sent(0x91, b"a")),
        (1002, sent(0x83, b"a")),
        (1002, sent(0x8b, b"a")),
        // A control frame in parts, or too long.
        (1002, sent(0x09, b"a")),
        (1002, sent(0x89, &[0; 126])),
        // A part of nothing, and a message within a message.
        (1002, sent(0x80, b"a")),
        (1002, [sent(0x01, b"a"), sent(0x81, b"b")].concat()),
        (1002, [sent(0x81, b"a"), sent(0x80, b"b")].concat()),
        // Lengths in more bytes than they need.
        (1002, vec![0x81, 0xfe, 0, 1, 1, 2, 3, 4, 0]),
        (1002, vec![0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 0]),
        (1003, sent(0x82, b"a")),
        (1007, sent(0x81, b"\xff")),
        (1007, [sent(0x01, b"\xc3"), sent(0x80, b"(")].concat()),
        (1007, sent(0x88, b"\x03\xe8\xff")),
        // Close frames whose status nobody may send.
        (1002, sent(0x88, b"a")),
        (1002, sent(0x88, &[0x03, 0xed])),
        (1002, sent(0x88, &[0, 1])),
        (1009, long),
        (1009, [sent(0x01, &[b'a'; 600]), sent(0x80, &[b'a'; 600])].concat()),
        // A length that no message has takes nothing.
        (1009, vec![0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]),
    ] {
        let (seen, ended) = come(&bytes);
        assert_eq!(ended, Some(status), "{bytes:x?} {seen:?}");
    }
    // Two halves of a character in two parts are one character.
    assert_eq!(come(&[sent(0x01, b"\xc3"), sent(0x80, b"\xa9")].concat()).0, ["é"]);
}

#[test]
fn a_length_takes_no_memory() {
    let memory = HeldMemory::new(1 << 20);
    let holding = memory.holding([192, 0, 2, 1].into());
    let mut reader = Reader::new(1 << 40);
    let announced = [0x81, 0xff, 0, 0, 0, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
    let mut input = announced.as_slice();
    assert!(reader.read(&mut input, &holding, Duration::ZERO).unwrap().is_none());
    assert_eq!(memory.used(), 0);
    let mut took = 0;
    let ended = loop {
        let mut input = [0; 4096].as_slice();
        match reader.read(&mut input, &holding, Duration::ZERO) {
            Ok(_) => took += 4096,
            Err((breach, _)) => break breach.status,
        }
        assert!(memory.used() <= 2 * took + STEP, "{} bytes for {took}", memory.used());
    };
    assert_eq!(ended, 1013, "where no memory is left, the connection ends");
    drop(reader);
    assert_eq!(memory.used(), 0);
}

#[test]
fn a_million_fragments_are_cut_short() {
    let begun = std::time::Instant::now();
    let many = [sent(0x01, b""), sent(0x00, b"").repeat(1_000_000)].concat();
    let memory = HeldMemory::new(1 << 20);
    assert_eq!(read(&memory, 1 << 20, &many, 8192).1, Some(1008));
    let letters = [sent(0x01, b"a"), sent(0x00, b"a").repeat(9_998), sent(0x80, b"a")].concat();
    let (seen, ended) = read(&memory, 1 << 20, &letters, 8192);
    assert_eq!((seen[0].len(), ended), (10_000, None));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

proptest! {
    #[test]
    fn whatever_comes_is_read_the_same_in_any_parts(
        frames in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..200)), 1..6),
        cut in 0_usize..20,
        step in 1_usize..40,
    ) {
        let mut bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| sent(*first, payload)).collect();
        bytes.truncate(bytes.len().saturating_sub(cut));
        let memory = HeldMemory::new(1 << 20);
        let whole = read(&memory, 500, &bytes, bytes.len().max(1));
        prop_assert_eq!(read(&memory, 500, &bytes, step), whole);
        prop_assert_eq!(memory.used(), 0);
    }
}
