//! A client's end of a connection: as little HTTP as the answers here need, so that the load costs little itself.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

/// A kept connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came of a request.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// When the first byte of the body came.
    pub(super) first: Option<Instant>,
    /// When events came, those that came together as one.
    pub(super) events_at: Vec<Instant>,
    /// Events in all.
    pub(super) events: u64,
}

/// How far an answer's body is.
enum Body {
    Left(usize),
    Chunked,
}

impl Connection {
    pub(super) async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(8 << 10),
        })
    }

    /// Sends a request and reads its answer to the end.
    pub(super) async fn ask(&mut self, request: &[u8]) -> io::Result<Came> {
        self.stream.write_all(request).await?;
        let body = self.head().await?;
        let mut came = Came::default();
        match body {
            Body::Left(length) => {
                while self.buffer.len() < length {
                    self.more().await?;
                }
                came.first = Some(Instant::now());
                self.buffer.drain(..length);
            }
            Body::Chunked => self.chunks(&mut came).await?,
        }
        Ok(came)
    }

    /// Sends a request and reads only the head and the first byte of its answer.
    pub(super) async fn begin(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await?;
        self.head().await?;
        while self.buffer.is_empty() {
            self.more().await?;
        }
        Ok(())
    }

    /// Sends a request for a stream and reads it to the end, keeping nothing; answers how many bytes its body had.
    pub(super) async fn drain(&mut self, request: &[u8]) -> io::Result<u64> {
        const LAST: &[u8] = b"\r\n0\r\n\r\n";
        self.stream.write_all(request).await?;
        self.head().await?;
        let mut bytes = 0;
        loop {
            if self.buffer.ends_with(LAST) {
                return Ok(bytes);
            }
            let kept = self.buffer.len().min(LAST.len());
            self.buffer.drain(..self.buffer.len() - kept);
            self.more().await?;
            bytes += u64::try_from(self.buffer.len() - kept).unwrap_or(0);
        }
    }

    async fn head(&mut self) -> io::Result<Body> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        self.buffer.drain(..end + 4);
        if !head.starts_with("http/1.1 200") {
            let status = head.lines().next().unwrap_or_default();
            return Err(io::Error::other(status.to_owned()));
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        Ok(length.map_or(Body::Chunked, Body::Left))
    }

    async fn chunks(&mut self, came: &mut Came) -> io::Result<()> {
        loop {
            let line = loop {
                if let Some(line) = find(&self.buffer, b"\r\n") {
                    break line;
                }
                self.more().await?;
            };
            let size = std::str::from_utf8(&self.buffer[..line])
                .ok()
                .and_then(|text| usize::from_str_radix(text.trim(), 16).ok())
                .ok_or_else(|| io::Error::other("no chunk size"))?;
            let end = line + 2 + size + 2;
            while self.buffer.len() < end {
                self.more().await?;
            }
            if size > 0 {
                let now = Instant::now();
                came.first.get_or_insert(now);
                let text = &self.buffer[line + 2..line + 2 + size];
                let events = text.windows(2).filter(|two| *two == b"\n\n").count();
                came.events += u64::try_from(events).unwrap_or(0);
                came.events_at.push(now);
            }
            self.buffer.drain(..end);
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::Error::other("the connection ended early"));
        }
        Ok(())
    }
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}
