//! One article in the frame of the public pages.

use super::{
    article::{Article, MENU, Part},
    guide::Guide,
};
use crate::{
    Error,
    frame::{Answer, Page, State, reply},
};
use actix_web::web;
use askama::Template;

#[derive(Template)]
#[template(path = "page/docs/article.html")]
struct Shown {
    page: Page,
    menu: &'static [Part],
    article: Article,
    guide: Guide,
}

impl Shown {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "templates pass fields by reference"
    )]
    fn is(&self, article: &Article) -> bool {
        *article == self.article
    }

    /// Which of the article templates is due: its name and language.
    fn text(&self) -> (&'static str, &'static str) {
        (self.article.slug(), self.page.locale().tag())
    }
}

/// `/docs`: the first article.
pub(crate) async fn start(page: Page, console: State) -> Answer {
    answer(page, &console, Article::Start).await
}

/// `/docs/{slug}`
pub(crate) async fn show(page: Page, console: State, slug: web::Path<String>) -> Answer {
    let article = Article::at(&slug).ok_or(Error::NotFound)?;

    answer(page, &console, article).await
}

async fn answer(page: Page, console: &State, article: Article) -> Answer {
    let guide = Guide::of(console).await?;

    reply::page(&Shown {
        page,
        menu: MENU,
        article,
        guide,
    })
}
