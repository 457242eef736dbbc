//! A mail server on this machine that takes letters in the clear, or refuses them as a test tells it (RFC 5321).

use super::letter::Mail;
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A running server. Stops when dropped.
pub struct Sink {
    pub port: u16,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    taken: Vec<Taken>,
    refusals: VecDeque<Refusal>,
}

/// A letter as it was handed over.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Whom the envelope names as the sender.
    pub from: String,
    /// Whom the envelope names as recipients.
    pub to: Vec<String>,
    pub mail: Mail,
}

/// Where the next letter is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server hangs up when greeted.
    Greeting,
    /// The mailbox is busy.
    Recipient,
    /// The letter was read and is not taken.
    Letter,
}

impl Sink {
    /// Starts on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                // A client that hangs up ends its own conversation only.
                tokio::spawn(async move { converse(stream, &state).await.ok() });
            }
        });
        Self { port, state, task }
    }

    /// The letters taken so far.
    pub fn taken(&self) -> Vec<Taken> {
        lock(&self.state).taken.clone()
    }

    /// Refuses the next letters, each at its place.
    pub fn refuse_next(&self, refusals: impl IntoIterator<Item = Refusal>) {
        lock(&self.state).refusals.extend(refusals);
    }

    /// Whether every refusal was met.
    pub fn has_refused_all(&self) -> bool {
        lock(&self.state).refusals.is_empty()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no test panicked in here")
}

/// Whether the next letter is to be refused here.
fn refuses(state: &Mutex<State>, here: Refusal) -> bool {
    let mut state = lock(state);
    let meant = state.refusals.front() == Some(&here);
    if meant {
        state.refusals.pop_front();
    }
    meant
}

async fn converse(stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    writing.write_all(b"220 sink\r\n").await?;
    let (mut from, mut to) = (String::new(), Vec::new());
    let mut line = String::new();
    loop {
        line.clear();
        if reading.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let said = line.trim_end();
        let verb = said.get(..4).unwrap_or(said).to_ascii_uppercase();
        let answer: &[u8] = match verb.as_str() {
            "EHLO" | "HELO" if refuses(state, Refusal::Greeting) => {
                return writing.write_all(b"421 not now\r\n").await;
            }
            "EHLO" => b"250-sink\r\n250 8BITMIME\r\n",
            "MAIL" => {
                from = address(said);
                to.clear();
                b"250 ok\r\n"
            }
            "RCPT" if refuses(state, Refusal::Recipient) => b"450 the mailbox is busy\r\n",
            "RCPT" => {
                to.push(address(said));
                b"250 ok\r\n"
            }
            "DATA" => {
                writing.write_all(b"354 go on\r\n").await?;
                let raw = letter(&mut reading).await?;
                if refuses(state, Refusal::Letter) {
                    b"451 try again\r\n"
                } else {
                    lock(state).taken.push(Taken {
                        from: from.clone(),
                        to: to.clone(),
                        mail: Mail::read(&raw),
                    });
                    b"250 taken\r\n"
                }
            }
            "QUIT" => return writing.write_all(b"221 bye\r\n").await,
            "RSET" | "NOOP" | "HELO" => b"250 ok\r\n",
            _ => b"502 unknown\r\n",
        };
        writing.write_all(answer).await?;
    }
}

/// What stands between the angle brackets.
fn address(said: &str) -> String {
    said.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map(|(address, _)| address.to_owned())
        .unwrap_or_default()
}

/// A letter's lines up to the lone dot, doubled dots undone.
async fn letter(reading: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<String> {
    let mut raw = String::new();
    loop {
        let mut line = String::new();
        if reading.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(raw);
        }
        raw.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
