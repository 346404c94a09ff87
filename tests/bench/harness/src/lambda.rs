//! Lambda's side of the Runtime API, and the function under it: a process that is started, invoked and
//! measured from outside.

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::http::{self, Reader};

/// Nothing that a function does here takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a function is started.
#[derive(Clone)]
pub struct Spec {
    /// Its name in tables and of its log.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<PathBuf>,
    /// Its variables, beside those that Lambda sets.
    pub variables: Vec<(&'static str, String)>,
    /// Where its output goes.
    pub log: PathBuf,
}

/// A running function.
pub struct Function {
    child: Child,
    name: String,
    messages: Receiver<Message>,
    /// The connection that waits for an event.
    waiting: Option<TcpStream>,
    invocations: u64,
    /// The Runtime API's address, and whether it is to end.
    listening: (SocketAddr, Arc<AtomicBool>),
    /// From the start of the process to its first request for an event.
    pub init: Duration,
}

enum Message {
    Next(TcpStream, Instant),
    Response(Vec<u8>, Instant),
    Error(String),
}

impl Function {
    /// Starts the process and waits until it asks for its first event.
    pub fn start(spec: &Spec) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let listening = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let address = listening.0.to_string();
        let ended = Arc::clone(&listening.1);
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || accept(&listener, &ended, &sender));
        let log = File::create(&spec.log).with_context(|| format!("{}", spec.log.display()))?;
        let (program, arguments) = spec.command.split_first().context("no program")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench"),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
                ("AWS_REGION", "ap-southeast-1"),
                ("AWS_DEFAULT_REGION", "ap-southeast-1"),
                ("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                ("AWS_SESSION_TOKEN", "IQoJb3JpZ2luX2VjEDoaDmFwLXNvdXRoZWFzdC0xIkcwRQIhAJ"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
                ("LANG", "en_US.UTF-8"),
                ("PATH", std::env::var("PATH").unwrap_or_default().as_str()),
                ("TZ", "UTC"),
            ])
            .envs(spec.variables.iter().map(|(name, value)| (name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("starting {}", spec.name))?;
        let mut function = Self {
            child,
            name: spec.name.clone(),
            messages,
            waiting: None,
            invocations: 0,
            listening,
            init: Duration::ZERO,
        };
        let ready = function.wait_for_next().with_context(|| format!("see {}", spec.log.display()))?;
        function.init = ready - started;
        Ok(function)
    }

    /// Hands the function an event. Gives its answer and how long it took, from the event's first byte to
    /// the answer's last.
    pub fn invoke(&mut self, event: &[u8]) -> Result<(Vec<u8>, Duration)> {
        if self.waiting.is_none() {
            self.wait_for_next()?;
        }
        let mut stream = self.waiting.take().context("nothing waits")?;
        self.invocations += 1;
        let headers = format!(
            "content-type: application/json\r\nlambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-{:012}\r\nlambda-runtime-deadline-ms: 4102444800000\r\nlambda-runtime-invoked-function-arn: arn:aws:lambda:ap-southeast-1:123456789012:function:bench\r\nlambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1\r\n",
            self.invocations
        );
        let answer = http::answer("200 OK", &headers, event);
        let started = Instant::now();
        stream.write_all(&answer)?;
        match self.message()? {
            Message::Response(body, ended) => Ok((body, ended - started)),
            Message::Error(error) => bail!("{} failed: {error}", self.name),
            Message::Next(..) => bail!("{} asked for an event instead of answering one", self.name),
        }
    }

    fn wait_for_next(&mut self) -> Result<Instant> {
        match self.message()? {
            Message::Next(stream, at) => {
                self.waiting = Some(stream);
                Ok(at)
            }
            Message::Response(..) => bail!("{} answered an event that it had not", self.name),
            Message::Error(error) => bail!("{} failed: {error}", self.name),
        }
    }

    fn message(&mut self) -> Result<Message> {
        let deadline = Instant::now() + PATIENCE;
        // In short steps, so that a process that has died is noticed at once.
        while Instant::now() < deadline {
            match self.messages.recv_timeout(Duration::from_millis(200)) {
                Ok(message) => return Ok(message),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(status) = self.child.try_wait()? {
                        bail!("{} ended: {status}", self.name);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => bail!("the Runtime API has ended"),
            }
        }
        bail!("{} said nothing for {PATIENCE:?}", self.name)
    }

    /// The processor time that the process has used, its ended threads included.
    pub fn cpu(&mut self) -> Result<Duration> {
        // The function must have come to rest: its last bit of work is to ask for the next event.
        if self.waiting.is_none() {
            self.wait_for_next()?;
        }
        let mut clock = 0;
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let pid = libc::pid_t::try_from(self.child.id())?;
        // SAFETY: both calls write only to the variable whose address they are given.
        let failed = unsafe {
            libc::clock_getcpuclockid(pid, &raw mut clock) != 0
                || libc::clock_gettime(clock, &raw mut time) != 0
        };
        if failed {
            bail!("the processor time of {} cannot be read", self.name);
        }
        Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
    }

    /// A field of `/proc/<pid>/status`, in MiB: `VmRSS` is what is resident now, `VmHWM` the most it was.
    pub fn memory(&self, field: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kib: f64 =
            line.and_then(|line| line.trim().strip_suffix(" kB")).context("no such field")?.parse()?;
        Ok(kib / 1024.0)
    }
}

/// Ends the process, and with it the Runtime API's connections.
impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.listening.1.store(true, Ordering::Release);
        // Wakes it, so that it sees that it is to end.
        let _ = TcpStream::connect(self.listening.0);
    }
}

fn accept(listener: &TcpListener, ended: &AtomicBool, sender: &Sender<Message>) {
    for socket in listener.incoming().flatten() {
        if ended.load(Ordering::Acquire) {
            return;
        }
        let sender = sender.clone();
        std::thread::spawn(move || {
            if let Err(error) = serve(socket, &sender) {
                let _ = sender.send(Message::Error(format!("{error:#}")));
            }
        });
    }
}

fn serve(mut socket: TcpStream, sender: &Sender<Message>) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut reader = Reader::new();
    loop {
        // A connection that breaks is one whose process was ended.
        let Ok(Some(request)) = reader.read(&mut socket) else { return Ok(()) };
        let now = Instant::now();
        let path = request.path().strip_prefix("/2018-06-01/runtime/").context("an unknown path")?;
        let (message, is_next) = match path.rsplit('/').next() {
            Some("next") => (Message::Next(socket.try_clone()?, now), true),
            Some("response") => (Message::Response(request.body, now), false),
            _ => (Message::Error(String::from_utf8_lossy(&request.body).into_owned()), false),
        };
        // Before the function is answered: it then asks for its next event, maybe on another connection, whose thread
        // could tell of that first.
        if sender.send(message).is_err() {
            return Ok(());
        }
        if !is_next {
            socket.write_all(&http::answer("202 Accepted", "", b""))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn an_answer_is_told_of_before_the_function_can_ask_for_the_next_event() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut function = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        let (sender, messages) = mpsc::channel();
        let serving = std::thread::spawn(move || serve(socket, &sender));
        let mut accepted = vec![0; http::answer("202 Accepted", "", b"").len()];
        for _ in 0..5000 {
            let request =
                "POST /2018-06-01/runtime/invocation/1/response HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
            function.write_all(request.as_bytes()).unwrap();
            function.read_exact(&mut accepted).unwrap();
            assert!(matches!(messages.try_recv(), Ok(Message::Response(body, _)) if body == b"{}"));
        }
        drop(function);
        serving.join().unwrap().unwrap();
    }
}
