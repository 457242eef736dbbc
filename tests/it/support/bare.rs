//! A provider of bare sockets, for what no HTTP server would do: each connection goes as the test says.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// The head of an answer that streams until its connection closes.
pub const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// A running provider; it ends with this value.
pub struct Bare {
    pub base: String,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Bare {
    /// Hands every connection to `handle`, once its request has been read.
    pub async fn start<H, F>(handle: H) -> Self
    where
        H: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                hear(&mut socket).await;
                tokio::spawn(handle(socket));
            }
        });
        Self {
            base,
            connections,
            task,
        }
    }

    /// One that says exactly these bytes and closes.
    pub async fn saying(bytes: Vec<u8>) -> Self {
        let bytes = Arc::new(bytes);
        Self::start(move |mut socket| {
            let bytes = Arc::clone(&bytes);
            async move {
                drop(socket.write_all(&bytes).await);
                drop(socket.shutdown().await);
            }
        })
        .await
    }

    /// How many connections came so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address where nobody listens.
pub async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

/// Reads a request to its announced end.
async fn hear(socket: &mut TcpStream) {
    let mut heard = Vec::new();
    let mut piece = vec![0; 16 << 10];
    loop {
        let text = String::from_utf8_lossy(&heard).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .and_then(|length| length.trim().parse().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return;
            }
        }
        match socket.read(&mut piece).await {
            Ok(read) if read > 0 => heard.extend_from_slice(piece.get(..read).unwrap_or_default()),
            _ => return,
        }
    }
}
