//! A tunnel whose client is heard: each of its messages is judged before it goes on.
//!
//! What the client says is put together from its frames, judged, and sent on in a frame of the gateway's own; so the upstream reads
//! what was judged, and in the order in which it was said. What the upstream says goes by unread. What the gateway itself tells
//! the client stands between two messages of the upstream. Where the client does not read, it is not heard either. A breach
//! ends the connection with a close frame to both sides.

use super::messages::{Broken, Event, Reader, close, frame};
use super::websocket::Frames;
use portcullis_core::{Breach, Code, Denial, Dialogue, Said};
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// So much is read at once.
const BUFFER: usize = 8192;
/// So many refusals wait for a client that does not read, until it is not heard any more.
const WAITING: usize = 8;
/// How long a close frame may wait for the end of what the upstream says.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the gateway itself tells a client.
enum Own {
    /// A message.
    Message(Vec<u8>),
    /// The last frame.
    Close(Vec<u8>),
}

impl Own {
    /// Whether it can stand where the upstream's frames are now (RFC 6455, section 5.4).
    fn fits(&self, frames: &Frames) -> bool {
        match self {
            Own::Message(_) => frames.is_between_messages(),
            Own::Close(_) => frames.is_between(),
        }
    }
}

/// Carries both directions until one side ends it. The denial is why the gateway ended it; the client has been told then.
///
/// # Errors
/// A connection broke.
pub(super) async fn carry<C, U>(
    client: &mut C,
    upstream: &mut U,
    dialogue: Box<Dialogue>,
) -> io::Result<Option<Denial>>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (from_client, to_client) = tokio::io::split(client);
    let (from_upstream, to_upstream) = tokio::io::split(upstream);
    let (tell, told) = channel(WAITING);
    let mut up = pin!(Up { dialogue, to_upstream, tell }.run(from_client));
    let mut down = pin!(down(from_upstream, to_client, told));
    tokio::select! {
        ended = &mut up => match ended? {
            None => down.await.map(|()| None),
            Some(denial) => {
                let _late = tokio::time::timeout(FAREWELL, down).await;
                Ok(Some(denial))
            }
        },
        // The client may have something left to say, which is its end.
        ended = &mut down => match ended {
            Ok(()) => up.await,
            Err(error) => Err(error),
        },
    }
}

/// From the client to the upstream.
struct Up<W> {
    dialogue: Box<Dialogue>,
    to_upstream: W,
    tell: Sender<Own>,
}

impl<W: AsyncWrite + Unpin> Up<W> {
    async fn run(mut self, mut client: impl AsyncRead + Unpin) -> io::Result<Option<Denial>> {
        let mut reader = Reader::new(self.dialogue.most());
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = client.read(&mut buffer);
            let size = match reader.deadline() {
                None => read.await?,
                Some(deadline) => match tokio::time::timeout_at(deadline, read).await {
                    Ok(read) => read?,
                    Err(_) => return self.end(Reader::too_slow()).await,
                },
            };
            if size == 0 {
                self.to_upstream.shutdown().await?;
                return Ok(None);
            }
            let mut input = buffer.get(..size).unwrap_or_default();
            loop {
                let now = self.dialogue.effects().monotonic();
                match reader.read(&mut input, self.dialogue.holding(), now) {
                    Ok(None) => break,
                    Ok(Some(Event::Control(Control::Close, payload))) => {
                        self.send(OpCode::Control(Control::Close), &payload).await?;
                        // SECURITY: what comes after the end is nobody's message (nothing_follows_a_close_frame).
                        while client.read(&mut buffer).await? > 0 {}
                        self.to_upstream.shutdown().await?;
                        return Ok(None);
                    }
                    Ok(Some(event)) => {
                        if let Some(broken) = self.hear(event).await? {
                            return self.end(broken).await;
                        }
                    }
                    Err(broken) => return self.end(broken).await,
                }
            }
        }
    }

    /// What a client says goes on, or it is told why not.
    async fn hear(&mut self, event: Event) -> io::Result<Option<Broken>> {
        match event {
            Event::Control(kind, payload) => {
                if self.dialogue.is_one_too_many() {
                    let breach = Breach { status: 1008, reason: "Too many messages" };
                    let detail = "more WebSocket pings than any client needs";
                    return Ok(Some((breach, Denial::new(Code::RateLimited, detail))));
                }
                self.send(OpCode::Control(kind), &payload).await?;
            }
            Event::Text(message) => match self.dialogue.judge(&message.text).await {
                Said::Pass => self.send(OpCode::Data(Data::Text), &message.text).await?,
                Said::Breach(breach, denial) => return Ok(Some((breach, denial))),
                Said::Refused(text) => {
                    let own = Own::Message(frame(OpCode::Data(Data::Text), None, text.as_bytes()));
                    // Nobody hears it any more where the upstream has ended the connection.
                    let _ended = self.tell.send(own).await;
                }
            },
        }
        Ok(None)
    }

    async fn send(&mut self, opcode: OpCode, payload: &[u8]) -> io::Result<()> {
        let frame = frame(opcode, Some(self.mask()), payload);
        self.to_upstream.write_all(&frame).await?;
        self.to_upstream.flush().await
    }

    /// Ends the connection. Both sides are told, as far as they listen.
    async fn end(&mut self, (breach, denial): Broken) -> io::Result<Option<Denial>> {
        let Breach { status, reason } = breach;
        let _gone = self.tell.send(Own::Close(close(None, status, reason))).await;
        let farewell = close(Some(self.mask()), 1001, "");
        let told = async {
            self.to_upstream.write_all(&farewell).await?;
            self.to_upstream.shutdown().await
        };
        let _gone = tokio::time::timeout(FAREWELL, told).await;
        Ok(Some(denial))
    }

    /// A mask that no client can foretell (RFC 6455, section 5.3).
    fn mask(&self) -> [u8; 4] {
        let [one, two, three, four, ..] = self.dialogue.effects().random();
        [one, two, three, four]
    }
}

/// From the upstream, and from the gateway itself, to the client.
async fn down(
    mut upstream: impl AsyncRead + Unpin,
    mut client: impl AsyncWrite + Unpin,
    mut own: Receiver<Own>,
) -> io::Result<()> {
    let mut frames = Frames::default();
    let mut waiting: Option<Own> = None;
    let mut open = true;
    let mut buffer = vec![0; BUFFER];
    loop {
        if let Some(own) = waiting.take_if(|own| own.fits(&frames)) {
            match own {
                Own::Message(frame) => client.write_all(&frame).await?,
                Own::Close(frame) => {
                    client.write_all(&frame).await?;
                    return client.shutdown().await;
                }
            }
            client.flush().await?;
        }
        tokio::select! {
            next = own.recv(), if open && waiting.is_none() => match next {
                Some(next) => waiting = Some(next),
                None => open = false,
            },
            size = upstream.read(&mut buffer) => {
                let mut rest = buffer.get(..size?).unwrap_or_default();
                if rest.is_empty() {
                    return client.shutdown().await;
                }
                while !rest.is_empty() {
                    if waiting.is_none() {
                        waiting = own.try_recv().ok();
                    }
                    // Frame by frame only where something has to go between two of them.
                    let size = match &waiting {
                        Some(_) => frames.pass_one(rest),
                        None => {
                            frames.pass(rest);
                            rest.len()
                        }
                    };
                    let Some((part, after)) = rest.split_at_checked(size) else { break };
                    client.write_all(part).await?;
                    rest = after;
                    match waiting.take_if(|own| own.fits(&frames)) {
                        None => {}
                        Some(Own::Message(frame)) => client.write_all(&frame).await?,
                        Some(Own::Close(frame)) => {
                            client.write_all(&frame).await?;
                            return client.shutdown().await;
                        }
                    }
                }
                client.flush().await?;
            }
        }
    }
}
