//! A mailbox, as people type it and as we compare it.

use std::fmt;

/// A mail address in lower case. Never printed by `Debug`, for it must not reach a log.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

/// Why a text is not a mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailFault {
    /// Nothing was typed.
    #[error("empty")]
    Empty,
    /// Longer than a mailbox can be (254 characters; 64 before the `@`).
    #[error("too long")]
    TooLong,
    /// Not `name@host.tld`.
    #[error("not a mail address")]
    Malformed,
}

/// RFC 5321, 4.5.3.1: a path of 256 octets less its angle brackets.
const MAX_BYTES: usize = 254;
const MAX_LOCAL_BYTES: usize = 64;

impl EmailAddress {
    /// Reads an address such as `ada@example.org`. Spaces around it are forgiven. Quoted local parts, comments
    /// and address literals are refused: nobody's mailbox needs them and mail programs disagree on them.
    ///
    /// # Errors
    /// When the text cannot be a mailbox that mail reaches.
    pub fn parse(text: &str) -> Result<Self, EmailFault> {
        let text = text.trim();
        if text.is_empty() {
            return Err(EmailFault::Empty);
        }
        let (local, host) = text.rsplit_once('@').ok_or(EmailFault::Malformed)?;
        if text.len() > MAX_BYTES || local.len() > MAX_LOCAL_BYTES {
            return Err(EmailFault::TooLong);
        }
        if is_local(local) && is_host(host) {
            Ok(Self(text.to_lowercase()))
        } else {
            Err(EmailFault::Malformed)
        }
    }

    /// The address, for the row, the mail and its owner's own pages.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    pub(crate) fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(..)")
    }
}

/// A dot-atom of RFC 5322, letters beyond ASCII included (RFC 6531).
fn is_local(text: &str) -> bool {
    let atom = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|letter| letter.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(letter))
    };
    text.split('.').all(atom)
}

/// Two labels or more, the last not a number.
fn is_host(text: &str) -> bool {
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part
                .chars()
                .all(|letter| letter.is_alphanumeric() || letter == '-')
    };
    let last_is_a_name = text
        .rsplit('.')
        .next()
        .is_some_and(|last| last.len() >= 2 && !last.bytes().all(|byte| byte.is_ascii_digit()));
    text.contains('.') && last_is_a_name && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_are_read() {
        for (typed, kept) in [
            ("ada@example.org", "ada@example.org"),
            (
                "  Ada.Byron+tollgate@Mail.Example.ORG ",
                "ada.byron+tollgate@mail.example.org",
            ),
            ("o'neil@example.ie", "o'neil@example.ie"),
            ("用户@例子.公司", "用户@例子.公司"),
            ("a@b.co", "a@b.co"),
        ] {
            let address = EmailAddress::parse(typed).map(|address| address.as_str().to_owned());
            assert_eq!(address.as_deref(), Ok(kept), "{typed}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long_host = format!("a@{}.org", "a.".repeat(130));
        for (typed, fault) in [
            ("", EmailFault::Empty),
            ("   ", EmailFault::Empty),
            ("ada", EmailFault::Malformed),
            ("@example.org", EmailFault::Malformed),
            ("ada@", EmailFault::Malformed),
            ("ada@localhost", EmailFault::Malformed),
            ("ada@10.0.0.1", EmailFault::Malformed),
            ("ada@example..org", EmailFault::Malformed),
            ("ada..b@example.org", EmailFault::Malformed),
            ("a da@example.org", EmailFault::Malformed),
            ("ada@exa mple.org", EmailFault::Malformed),
            ("ada@-example.org", EmailFault::Malformed),
            ("a@b@example.org", EmailFault::Malformed),
            (
                "ada@example.org\r\nBcc: x@example.org",
                EmailFault::Malformed,
            ),
            (&long_local, EmailFault::TooLong),
            (&long_host, EmailFault::TooLong),
        ] {
            assert_eq!(EmailAddress::parse(typed).err(), Some(fault), "{typed}");
        }
    }
}
