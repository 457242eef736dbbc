//! What the fields of an account's forms hold, and how a fault in one is said.

use crate::words::{Phrase, phrase};
use identity::{
    EmailAddress, NameFault,
    email::EmailFault,
    password::{Password, PasswordFault},
    person::DisplayName,
};

pub(in crate::pages) fn name(text: &str) -> Result<DisplayName, Phrase> {
    DisplayName::parse(text).map_err(|fault| match fault {
        NameFault::Empty => phrase("name-empty"),
        NameFault::TooLong => phrase("name-long"),
        NameFault::Unprintable => phrase("name-unprintable"),
    })
}

pub(in crate::pages) fn email(text: &str) -> Result<EmailAddress, Phrase> {
    EmailAddress::parse(text).map_err(|fault| match fault {
        EmailFault::Empty => phrase("email-empty"),
        EmailFault::TooLong | EmailFault::Malformed => phrase("email-malformed"),
    })
}

pub(in crate::pages) fn password(text: &str) -> Result<Password, Phrase> {
    Password::parse(text).map_err(password_fault)
}

pub(in crate::pages) fn password_fault(fault: PasswordFault) -> Phrase {
    match fault {
        PasswordFault::TooShort => phrase("password-short"),
        PasswordFault::TooLong => phrase("password-long"),
        PasswordFault::Unprintable => phrase("password-unprintable"),
        PasswordFault::Common => phrase("password-common"),
        PasswordFault::OwnWords => phrase("password-personal"),
    }
}
