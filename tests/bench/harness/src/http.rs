//! The server's side of HTTP/1.1, as far as runtimes and SDKs need it: one request after the other on a
//! connection, bodies by their length.

use std::io::Read;

use anyhow::{Context, Result, bail};

/// The most that one request may have.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// One request.
pub struct Request {
    /// Method, path and headers, as they came.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default()
    }
}

/// Reads the requests of one connection.
pub struct Reader {
    buffer: Vec<u8>,
    filled: usize,
}

impl Reader {
    pub fn new() -> Self {
        Self { buffer: vec![0; 256 * 1024], filled: 0 }
    }

    /// The next request; `None` when the other side has hung up between two.
    pub fn read(&mut self, stream: &mut impl Read) -> Result<Option<Request>> {
        let head_end = loop {
            if let Some(at) = memchr::memmem::find(&self.buffer[..self.filled], b"\r\n\r\n") {
                break at + 4;
            }
            if self.more(stream)? == 0 {
                if self.filled == 0 {
                    return Ok(None);
                }
                bail!("hung up within a request");
            }
        };
        let head = std::str::from_utf8(&self.buffer[..head_end - 2]).context("a request's head")?.to_owned();
        let mut request = Request { head, body: Vec::new() };
        if request.header("transfer-encoding").is_some() {
            bail!("a chunked request, which nothing here should send");
        }
        let length: usize = request.header("content-length").unwrap_or("0").parse()?;
        while self.filled < head_end + length {
            if self.more(stream)? == 0 {
                bail!("hung up within a request's body");
            }
        }
        request.body = self.buffer[head_end..head_end + length].to_vec();
        self.buffer.copy_within(head_end + length..self.filled, 0);
        self.filled -= head_end + length;
        Ok(Some(request))
    }

    fn more(&mut self, stream: &mut impl Read) -> Result<usize> {
        if self.filled == self.buffer.len() {
            if self.filled >= MAX_BYTES {
                bail!("a request of more than {MAX_BYTES} bytes");
            }
            self.buffer.resize(self.filled * 2, 0);
        }
        let read = stream.read(&mut self.buffer[self.filled..])?;
        self.filled += read;
        Ok(read)
    }
}

/// An answer, as bytes that are written at once.
pub fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
