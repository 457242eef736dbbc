//! How a letter leaves: to a mail server, into a folder where there is none, or into memory for tests.

use lettre::{
    AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::authentication::Credentials,
};
use std::{
    fmt, fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A server that has not answered by then is asked again later.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A letter to one person, in their language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The mailbox.
    pub to: String,
    /// One line.
    pub subject: String,
    /// For those who read plain text.
    pub text: String,
    /// For everybody else.
    pub html: String,
}

/// Why a letter did not leave.
#[derive(Debug, thiserror::Error)]
pub enum MailFault {
    /// The sender or recipient is no mailbox.
    #[error("the address is no mailbox: {0}")]
    Address(#[from] lettre::address::AddressError),
    /// The letter cannot be written as mail.
    #[error("the letter cannot be written: {0}")]
    Message(#[from] lettre::error::Error),
    /// The server's settings are unusable, or it did not take the letter.
    #[error("the mail server did not take it: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// The folder did not take the letter.
    #[error("the mail folder did not take it: {0}")]
    File(#[from] lettre::transport::file::Error),
    /// The folder cannot be made.
    #[error("the mail folder cannot be made: {0}")]
    Folder(#[from] io::Error),
}

/// A mail server.
pub struct Server {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Account and password.
    pub account: Option<(String, String)>,
}

/// How the connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// From the first byte.
    Implicit,
    /// After a greeting.
    StartTls,
    /// Not at all: for a server on this machine.
    None,
}

/// The way letters take; a clone shares it.
#[derive(Clone)]
pub struct Post {
    from: Mailbox,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    File(AsyncFileTransport<Tokio1Executor>),
    Memory(Memory),
}

/// Letters kept in memory, for tests.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Vec<Letter>>>);

impl Memory {
    /// The letters sent so far, the oldest first.
    pub fn letters(&self) -> Vec<Letter> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, letter: Letter) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(letter);
    }
}

impl Post {
    /// By a mail server; `from` is `Name <name@example.org>` or the address alone.
    ///
    /// # Errors
    /// When the sender is no mailbox or the server's name no host.
    pub fn smtp(from: &str, server: Server) -> Result<Self, MailFault> {
        type Smtp = AsyncSmtpTransport<Tokio1Executor>;
        let builder = match server.tls {
            Tls::Implicit => Smtp::relay(&server.host)?,
            Tls::StartTls => Smtp::starttls_relay(&server.host)?,
            Tls::None => Smtp::builder_dangerous(&server.host),
        };
        let mut builder = builder.port(server.port).timeout(Some(TIMEOUT));
        if let Some((account, password)) = server.account {
            builder = builder.credentials(Credentials::new(account, password));
        }
        Ok(Self {
            from: from.parse()?,
            way: Way::Smtp(builder.build()),
        })
    }

    /// Into a folder, one file a letter, which is made where it is missing.
    ///
    /// # Errors
    /// When the sender is no mailbox or the folder cannot be made.
    pub fn folder(from: &str, folder: &Path) -> Result<Self, MailFault> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            from: from.parse()?,
            way: Way::File(AsyncFileTransport::new(folder)),
        })
    }

    /// Into memory.
    ///
    /// # Errors
    /// When the sender is no mailbox.
    pub fn memory(from: &str, memory: Memory) -> Result<Self, MailFault> {
        Ok(Self {
            from: from.parse()?,
            way: Way::Memory(memory),
        })
    }

    /// Sends one letter. `id` names it, so that a mail program shows a letter sent twice once.
    pub(super) async fn send(&self, letter: Letter, id: &str) -> Result<(), MailFault> {
        let message = self.message(&letter, id)?;
        match &self.way {
            Way::Smtp(server) => drop(server.send(message).await?),
            Way::File(folder) => drop(folder.send(message).await?),
            Way::Memory(memory) => memory.keep(letter),
        }
        Ok(())
    }

    fn message(&self, letter: &Letter, id: &str) -> Result<Message, MailFault> {
        let host = self.from.email.domain();
        let body = MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone());
        Ok(Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, letter.to.parse()?))
            .subject(letter.subject.clone())
            .message_id(Some(format!("<{id}@{host}>")))
            .multipart(body)?)
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.way {
            Way::Smtp(_) => "Post(smtp)",
            Way::File(_) => "Post(folder)",
            Way::Memory(_) => "Post(memory)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(to: &str, subject: &str) -> Letter {
        Letter {
            to: to.to_owned(),
            subject: subject.to_owned(),
            text: "plain".to_owned(),
            html: "<p>rich</p>".to_owned(),
        }
    }

    fn post() -> Post {
        Post::memory("Tollgate <mail@tollgate.example>", Memory::default()).expect("a mailbox")
    }

    #[test]
    fn a_letter_has_one_recipient_and_no_smuggled_header() {
        let written = post()
            .message(
                &letter("ada@example.org", "Hello\r\nBcc: eve@example.org"),
                "7",
            )
            .expect("a letter");

        let text = String::from_utf8_lossy(&written.formatted()).into_owned();
        assert!(!text.to_ascii_lowercase().contains("\r\nbcc:"), "{text}");
        assert_eq!(written.envelope().to().len(), 1);
    }

    #[test]
    fn what_is_no_mailbox_is_refused() {
        for to in [
            "",
            "ada",
            "ada@example.org, eve@example.org",
            "ada@example.org\r\nBcc: eve@example.org",
        ] {
            assert!(post().message(&letter(to, "Hello"), "7").is_err(), "{to:?}");
        }
    }
}
