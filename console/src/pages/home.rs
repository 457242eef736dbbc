//! The public page at `/`.

use crate::frame::{Answer, Page, reply};
use askama::Template;

#[derive(Template)]
#[template(path = "page/home.html")]
struct Home {
    page: Page,
}

/// Says what this installation is and where to go.
pub(crate) async fn show(page: Page) -> Answer {
    reply::page(&Home { page })
}
