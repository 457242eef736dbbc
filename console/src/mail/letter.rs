//! What letters say: subject, plain text and HTML from `templates/mail`, in the reader's language.

use super::post::Letter;
use crate::words::{Locale, Phrase};
use askama::Template;

/// What the three forms of a letter are filled from.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The reader's language.
    pub locale: Locale,
    /// What the installation is called.
    pub site: String,
    /// What the reader is called.
    pub name: String,
    /// Where the letter's button leads.
    pub link: String,
    /// What a receipt lists.
    pub lines: Vec<Line>,
}

/// One line of a receipt.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub name: Phrase,
    pub value: String,
}

impl Facts {
    fn say(&self, id: &str) -> String {
        self.locale.say(id)
    }

    fn say_with(&self, id: &'static str, name: &'static str, text: &str) -> String {
        self.locale
            .say_phrase(&crate::words::phrase(id).with(name, text))
    }

    fn say_phrase(&self, phrase: &Phrase) -> String {
        self.locale.say_phrase(phrase)
    }
}

macro_rules! forms {
    ($($name:ident: $path:literal, $escape:literal;)+) => {$(
        #[derive(Template)]
        #[template(path = $path, escape = $escape)]
        struct $name<'a> {
            facts: &'a Facts,
        }
    )+};
}

forms! {
    VerifySubject: "mail/verify.subject", "none";
    VerifyText: "mail/verify.txt", "none";
    VerifyHtml: "mail/verify.html", "html";
    RecoverSubject: "mail/recover.subject", "none";
    RecoverText: "mail/recover.txt", "none";
    RecoverHtml: "mail/recover.html", "html";
    KeyRefusedSubject: "mail/key_refused.subject", "none";
    KeyRefusedText: "mail/key_refused.txt", "none";
    KeyRefusedHtml: "mail/key_refused.html", "html";
    ReceiptSubject: "mail/receipt.subject", "none";
    ReceiptText: "mail/receipt.txt", "none";
    ReceiptHtml: "mail/receipt.html", "html";
    AuditSubject: "mail/audit.subject", "none";
    AuditText: "mail/audit.txt", "none";
    AuditHtml: "mail/audit.html", "html";
}

/// The letter that proves a mailbox.
pub(super) fn verify(facts: &Facts, to: String) -> askama::Result<Letter> {
    letter(
        to,
        &VerifySubject { facts },
        &VerifyText { facts },
        &VerifyHtml { facts },
    )
}

/// The letter that leads to a new password.
pub(super) fn recover(facts: &Facts, to: String) -> askama::Result<Letter> {
    letter(
        to,
        &RecoverSubject { facts },
        &RecoverText { facts },
        &RecoverHtml { facts },
    )
}

/// The receipt of a purchase.
pub(super) fn receipt(facts: &Facts, to: String) -> askama::Result<Letter> {
    letter(
        to,
        &ReceiptSubject { facts },
        &ReceiptText { facts },
        &ReceiptHtml { facts },
    )
}

/// The letter to an operator whose channel lost a key.
pub(super) fn key_refused(facts: &Facts, to: String) -> askama::Result<Letter> {
    letter(
        to,
        &KeyRefusedSubject { facts },
        &KeyRefusedText { facts },
        &KeyRefusedHtml { facts },
    )
}

/// The alert that a law of the ledger is broken.
pub(super) fn audit(facts: &Facts, to: String) -> askama::Result<Letter> {
    letter(
        to,
        &AuditSubject { facts },
        &AuditText { facts },
        &AuditHtml { facts },
    )
}

fn letter(
    to: String,
    subject: &impl Template,
    text: &impl Template,
    html: &impl Template,
) -> askama::Result<Letter> {
    let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Letter {
        to,
        subject: one_line(subject.render()?),
        text: text.render()?,
        html: html.render()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::phrase;

    fn facts(locale: Locale) -> Facts {
        Facts {
            locale,
            site: "Tollgate".into(),
            name: "<Ada>".into(),
            link: "https://tollgate.example/console/verify/secret".into(),
            lines: vec![Line {
                name: phrase("col-price"),
                value: "5.00 USD".into(),
            }],
        }
    }

    #[test]
    fn every_letter_names_the_site_and_holds_its_link_in_both_languages() {
        for locale in Locale::ALL {
            let facts = facts(locale);
            for write in [verify, recover, receipt, key_refused, audit] {
                let letter = write(&facts, "ada@example.org".into()).expect("a letter");

                assert!(letter.subject.contains("Tollgate"), "{}", letter.subject);
                assert!(letter.text.contains(&facts.link), "{}", letter.text);
                assert!(letter.html.contains(&facts.link), "{}", letter.html);
                assert!(!letter.html.contains("<Ada>"), "{}", letter.html);
                assert!(letter.text.contains("<Ada>"), "{}", letter.text);
            }
        }
    }
}
