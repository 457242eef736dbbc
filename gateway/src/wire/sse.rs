//! Server-sent events cut into frames, wherever the network cut the bytes.
//!
//! Frames are handed on as they came; heartbeats of our own can then only fall between two of them.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// One frame: its bytes as they came, blank line included, and what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) raw: Bytes,
    /// The event's name; empty where the frame names none.
    pub(crate) event: Bytes,
    /// The data lines, joined by line feeds; empty for a comment.
    pub(crate) data: Bytes,
}

/// A frame grew past the limit without ending.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("an event is larger than {0} bytes")]
pub(crate) struct FrameTooLarge(pub(crate) usize);

/// Cuts a byte stream into frames.
#[derive(Debug)]
pub(crate) struct Splitter {
    buffer: BytesMut,
    /// Where the line begins that is not yet read to its end.
    line_start: usize,
    /// How far that line was searched for its end.
    searched: usize,
    limit: usize,
}

impl Splitter {
    /// A splitter for frames of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            line_start: 0,
            searched: 0,
            limit,
        }
    }

    /// Takes the next piece of the stream.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole frame, `None` until more bytes come.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>, FrameTooLarge> {
        while let Some((end, after)) = self.line_end() {
            let blank = end == self.line_start;
            self.line_start = after;
            self.searched = after;
            if blank {
                return Ok(Some(self.cut(after)));
            }
        }
        if self.buffer.len() > self.limit {
            return Err(FrameTooLarge(self.limit));
        }
        if self.buffer.is_empty() {
            // A stream that waits for more holds no memory of what it has handed on.
            self.buffer = BytesMut::new();
        }
        Ok(None)
    }

    /// What is left when the stream has ended: a last frame whose blank line never came.
    pub(crate) fn finish(&mut self) -> Option<Frame> {
        let length = self.buffer.len();
        (length > 0).then(|| self.cut(length))
    }

    fn cut(&mut self, length: usize) -> Frame {
        self.line_start = 0;
        self.searched = 0;
        Frame::read(self.buffer.split_to(length).freeze())
    }

    /// Where the current line ends and the next begins. A CR at the very end waits, for its LF may follow.
    fn line_end(&mut self) -> Option<(usize, usize)> {
        let Some(offset) = memchr2(b'\n', b'\r', self.buffer.get(self.searched..)?) else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + offset;
        if self.buffer.get(end) == Some(&b'\n') {
            return Some((end, end + 1));
        }
        self.searched = end;
        match self.buffer.get(end + 1) {
            None => None,
            Some(b'\n') => Some((end, end + 2)),
            Some(_) => Some((end, end + 1)),
        }
    }
}

impl Frame {
    /// Reads event and data out of a frame's bytes (WHATWG HTML 9.2.6).
    fn read(raw: Bytes) -> Self {
        let mut event: &[u8] = b"";
        let mut data: Option<Data<'_>> = None;
        let mut rest = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&raw);
        while !rest.is_empty() {
            let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            if let Some(value) = field(line, b"event") {
                event = value;
            } else if let Some(value) = field(line, b"data") {
                data = Some(match data {
                    None => Data::One(value),
                    Some(so_far) => so_far.and(value),
                });
            }
        }
        let event = raw.slice_ref(event);
        let data = match data {
            None => Bytes::new(),
            Some(Data::One(line)) => raw.slice_ref(line),
            Some(Data::Many(lines)) => lines.freeze(),
        };
        Self { raw, event, data }
    }
}

/// Data of one line is a slice of the frame; only that of several lines is copied.
enum Data<'a> {
    One(&'a [u8]),
    Many(BytesMut),
}

impl Data<'_> {
    fn and(self, line: &[u8]) -> Self {
        let mut joined = match self {
            Self::One(first) => BytesMut::from(first),
            Self::Many(lines) => lines,
        };
        joined.extend_from_slice(b"\n");
        joined.extend_from_slice(line);
        Self::Many(joined)
    }
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `text` in two pieces, cut at `at`, and returns (event, data) of every frame.
    fn split(text: &str, at: usize) -> Vec<(String, String)> {
        let (head, tail) = text.as_bytes().split_at(at);
        let mut splitter = Splitter::new(1024);
        let mut frames = Vec::new();
        for piece in [head, tail] {
            splitter.push(piece);
            while let Some(frame) = splitter.next_frame().expect("small frames") {
                frames.push(frame);
            }
        }
        frames.extend(splitter.finish());

        let joined: Vec<u8> = frames.iter().flat_map(|frame| frame.raw.clone()).collect();
        assert_eq!(joined, text.as_bytes(), "no byte is lost");
        let text_of = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        frames
            .iter()
            .map(|frame| (text_of(&frame.event), text_of(&frame.data)))
            .filter(|frame| *frame != (String::new(), String::new()))
            .collect()
    }

    #[test]
    fn frames_are_the_same_wherever_the_bytes_are_cut() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]),
            (
                "event: ping\r\ndata: {}\r\n\r\ndata: b\r\n\r\n",
                &[("ping", "{}"), ("", "b")],
            ),
            ("data:a\rdata: b\r\rdata: c\r\r", &[("", "a\nb"), ("", "c")]),
            ("data: a\r\n\ndata: b\n\r\n", &[("", "a"), ("", "b")]),
            (": keep-alive\n\ndata: \u{4e16}\n\n", &[("", "\u{4e16}")]),
            ("\u{feff}data: a\n\n", &[("", "a")]),
            ("id: 7\nretry: 3\ndata:  a\n\n", &[("", " a")]),
            ("data: a\n\ndata: cut", &[("", "a"), ("", "cut")]),
            ("data\n\n\n\ndata: x\n\n", &[("", "x")]),
        ];

        for (text, expected) in table {
            for at in 0..=text.len() {
                let found = split(text, at);
                let found: Vec<_> = found
                    .iter()
                    .map(|(event, data)| (event.as_str(), data.as_str()))
                    .collect();
                assert_eq!(found, *expected, "{text:?} cut at {at}");
            }
        }
    }

    #[test]
    fn a_frame_without_end_is_refused_at_the_limit() {
        let mut splitter = Splitter::new(8);

        splitter.push(b"data: 123456789");

        assert_eq!(splitter.next_frame(), Err(FrameTooLarge(8)));
    }
}
