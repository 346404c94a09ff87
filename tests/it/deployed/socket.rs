//! A WebSocket client, as far as a page needs one: the handshake, text both ways, the end (RFC 6455).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use http::Uri;

/// A connection.
pub(super) struct Socket(TcpStream);

impl Socket {
    /// Opens one with these subprotocols; or gives the status of the refusal.
    pub(super) async fn open(url: &str, protocols: &[String]) -> Result<Self, u16> {
        let (url, protocols) = (url.parse::<Uri>().unwrap(), protocols.join(", "));
        tokio::task::spawn_blocking(move || Self::handshake(&url, &protocols)).await.unwrap()
    }

    fn handshake(url: &Uri, protocols: &str) -> Result<Self, u16> {
        let authority = url.authority().unwrap().as_str();
        let mut stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let path = url.path();
        let asked = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: {protocols}\r\n\r\n"
        );
        stream.write_all(asked.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        match head.split(' ').nth(1).unwrap().parse().unwrap() {
            101 => {
                assert!(head.to_lowercase().contains("sec-websocket-protocol: smile.v1\r\n"), "{head}");
                Ok(Self(stream))
            }
            status => Err(status),
        }
    }

    /// Sends a short text.
    pub(super) fn say(&mut self, text: &str) {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 126);
        // Final, text; masked, with zeros.
        self.0.write_all(&[&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()).unwrap();
    }

    /// What is said within this time; nothing when the connection ends, or nothing comes.
    pub(super) async fn hear(&mut self, within: Duration) -> Option<String> {
        let mut stream = self.0.try_clone().unwrap();
        tokio::task::spawn_blocking(move || {
            stream.set_read_timeout(Some(within)).unwrap();
            let mut head = [0; 2];
            stream.read_exact(&mut head).ok()?;
            let mut length = usize::from(head[1]);
            if length == 126 {
                let mut more = [0; 2];
                stream.read_exact(&mut more).ok()?;
                length = usize::from(u16::from_be_bytes(more));
            }
            let mut text = vec![0; length];
            stream.read_exact(&mut text).ok()?;
            (head[0] == 0x81).then(|| String::from_utf8(text).unwrap())
        })
        .await
        .unwrap()
    }
}
