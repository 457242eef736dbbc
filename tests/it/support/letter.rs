//! Mail as it was written: headers, and the plain and the rich form decoded. Reads what our sender writes (RFC 2045:
//! one level of `multipart/alternative`, quoted-printable, base64 or plain).

use base64::{Engine, engine::general_purpose::STANDARD};

/// One letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub from: String,
    pub to: String,
    pub subject: String,
    pub message_id: String,
    /// The plain form.
    pub text: String,
    /// The rich form.
    pub html: String,
}

impl Mail {
    /// Reads one from its bytes on the wire.
    pub fn read(raw: &str) -> Self {
        let (head, body) = raw
            .split_once("\r\n\r\n")
            .expect("a blank line ends the head");
        let kind = header(head, "content-type");
        assert!(kind.starts_with("multipart/alternative"), "{kind}");
        let boundary = kind
            .split_once("boundary=\"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(boundary, _)| boundary)
            .expect("the parts have a boundary");
        let parts: Vec<&str> = body
            .split(&format!("--{boundary}"))
            .filter(|part| part.starts_with("\r\n"))
            .collect();
        assert_eq!(parts.len(), 2, "a plain and a rich form");
        Self {
            from: header(head, "from"),
            to: header(head, "to"),
            subject: header(head, "subject"),
            message_id: header(head, "message-id"),
            text: part(parts[0], "text/plain"),
            html: part(parts[1], "text/html"),
        }
    }

    /// The only address that begins so, which both forms name.
    pub fn link(&self, begins: &str) -> String {
        let (_, rest) = self
            .text
            .split_once(begins)
            .unwrap_or_else(|| panic!("{begins} is in the letter: {}", self.text));
        let end = rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len());
        let link = format!("{begins}{}", &rest[..end]);
        assert_eq!(self.text.matches(begins).count(), 1, "{}", self.text);
        assert!(
            self.html.contains(&format!("href=\"{link}\"")),
            "the rich form leads to {link}: {}",
            self.html
        );
        link
    }
}

/// A header's value, unfolded.
fn header(head: &str, name: &str) -> String {
    let mut found: Option<String> = None;
    for line in head.split("\r\n") {
        if line.starts_with([' ', '\t']) {
            if let Some(value) = &mut found {
                value.push_str(line);
            }
            continue;
        }
        if let Some(value) = found {
            return value;
        }
        found = line
            .split_once(": ")
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned());
    }
    found.unwrap_or_else(|| panic!("the letter has a {name}: {head}"))
}

fn part(raw: &str, kind: &str) -> String {
    let (head, body) = raw.split_once("\r\n\r\n").expect("a part has a head");
    let head = head.trim_start();
    assert!(header(head, "content-type").starts_with(kind), "{head}");
    match header(head, "content-transfer-encoding").as_str() {
        "7bit" | "8bit" => body.to_owned(),
        "base64" => {
            let joined: String = body.split_whitespace().collect();
            let bytes = STANDARD.decode(joined).expect("the part is base64");
            String::from_utf8(bytes).expect("the part is text")
        }
        "quoted-printable" => unquoted(body),
        other => panic!("an encoding that our sender does not use: {other}"),
    }
}

fn unquoted(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        bytes.extend_from_slice(before.as_bytes());
        rest = if let Some(rest) = after.strip_prefix("\r\n") {
            rest
        } else {
            bytes.push(u8::from_str_radix(&after[..2], 16).expect("two digits"));
            &after[2..]
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).expect("the part is text")
}
