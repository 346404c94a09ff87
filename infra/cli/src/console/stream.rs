//! Answers that go on: server-sent events (WHATWG HTML, "Server-sent events"), over a request that carries the
//! key, which a browser's `EventSource` cannot.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use serde::Serialize;
use tokio::sync::mpsc;

/// The media type.
pub(super) const MEDIA_TYPE: &str = "text/event-stream";

/// How many messages wait for a reader.
const ROOM: usize = 256;

/// Keeps a connection from being taken for dead, and finds out when it is.
pub(super) const PING: &str = ": still here\n\n";

/// What a browser reads.
pub(super) struct Stream(mpsc::Receiver<Bytes>);

/// What writes to it.
pub(super) type Writer = mpsc::Sender<Bytes>;

/// A stream and its other end.
pub(super) fn open() -> (Writer, Stream) {
    let (writer, reader) = mpsc::channel(ROOM);
    (writer, Stream(reader))
}

/// One message.
pub(super) fn message(event: &str, data: &impl Serialize) -> Bytes {
    // JSON on one line: what is told are texts, numbers, lists and maps by text.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {event}\ndata: {data}\n\n").into()
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
