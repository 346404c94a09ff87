//! A server for tests: it gives the answers that it was told to give, one a connection, and keeps what it
//! was asked.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What to do with one request.
pub(crate) enum Reply {
    /// Answer it.
    Answer { status: u16, headers: &'static str, body: String },
    /// Read it and close the connection.
    HangUp,
    /// Promise a body and close the connection within it.
    BreakOff,
}

pub(crate) fn answer(status: u16, body: &str) -> Reply {
    Reply::Answer { status, headers: "", body: body.to_owned() }
}

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Such as `GET /webhooks?size=150`.
    pub(crate) line: String,
    /// In lower case, one a line.
    pub(crate) headers: String,
    pub(crate) body: String,
}

pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    thread: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut replies: VecDeque<Reply> = replies.into_iter().collect();
        let kept = Arc::clone(&asked);
        let thread = std::thread::spawn(move || {
            // Gone after its last answer: whoever asks too much is refused, and the test fails.
            while let Some(reply) = replies.pop_front() {
                let (stream, _) = listener.accept().unwrap();
                kept.lock().unwrap().push(serve(stream, reply));
            }
        });
        Self { url, asked, thread }
    }

    /// What it was asked, when it has given all its answers.
    pub(crate) fn finish(self) -> Vec<Asked> {
        self.thread.join().unwrap();
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, reply: Reply) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut headers = String::new();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap();
        let name = name.to_lowercase();
        if name == "content-length" {
            length = value.trim().parse().unwrap();
        }
        headers.extend([&name, ": ", value.trim(), "\n"]);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut stream = reader.into_inner();
    match reply {
        Reply::Answer { status, headers, body } => {
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
            );
            stream.write_all(text.as_bytes()).unwrap();
        }
        Reply::BreakOff => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"code\":\"OK\"").unwrap();
        }
        Reply::HangUp => {}
    }
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    Asked { line, headers, body: String::from_utf8(body).unwrap() }
}
