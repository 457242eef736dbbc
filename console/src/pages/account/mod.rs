//! Getting in and out: sign-up, proof of the mailbox, sign-in, sign-out, recovery, and the first operator.

pub(super) mod fields;
pub(crate) mod recover;
pub(crate) mod setup;
pub(crate) mod sign_in;
pub(crate) mod sign_out;
pub(crate) mod sign_up;
pub(crate) mod verify;

use crate::frame::Page;
use askama::Template;

/// A link from a mail or a log that does nothing any more, and the way on.
#[derive(Template)]
#[template(path = "page/link_used.html")]
struct LinkUsed {
    page: Page,
    title: String,
    text: String,
    way: &'static str,
    way_label: String,
}

/// Something that happens in the reader's mailbox now.
#[derive(Template)]
#[template(path = "page/mailbox.html")]
struct Mailbox {
    page: Page,
    title: String,
    text: String,
}
