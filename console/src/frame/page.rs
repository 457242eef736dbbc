//! The frame around a page's content, as templates see it: words, forms' tokens, menus and addresses of assets.

use super::{
    SignedIn, State, Visit,
    nav::{self, Item},
    reply::Flash,
    rights,
};
use crate::Console;
use crate::{
    Error, assets,
    words::{Locale, Phrase},
};
use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use identity::SessionToken;
use std::{
    future::{Ready, ready},
    net::IpAddr,
    rc::Rc,
};

/// Every page template holds one, as the field `page`.
#[derive(Clone)]
pub(crate) struct Page {
    console: State,
    visit: Rc<Visit>,
}

impl Page {
    pub(super) fn new(console: State, visit: Rc<Visit>) -> Self {
        Self { console, visit }
    }

    /// The sentence `id` in the reader's language.
    pub(crate) fn say(&self, id: &str) -> String {
        self.locale().say(id)
    }

    /// The sentence of a phrase, blanks filled.
    pub(crate) fn say_phrase(&self, phrase: &Phrase) -> String {
        self.locale().say_phrase(phrase)
    }

    /// The sentence `id` with one blank filled by a text.
    pub(crate) fn say_with(&self, id: &'static str, name: &'static str, text: &str) -> String {
        self.say_phrase(&crate::words::phrase(id).with(name, text))
    }

    /// The sentence `id` whose blank `$count` is a number.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "templates pass fields by reference"
    )]
    pub(crate) fn say_count(&self, id: &'static str, count: &i64) -> String {
        self.say_phrase(&crate::words::phrase(id).count("count", *count))
    }

    /// The reader's language.
    pub(crate) fn locale(&self) -> Locale {
        self.visit.locale
    }

    /// The languages on offer.
    #[expect(clippy::unused_self, reason = "templates reach the frame as `page.`")]
    pub(crate) fn locales(&self) -> [Locale; 2] {
        Locale::ALL
    }

    /// `light`, `dark`, or nothing where the system decides.
    pub(crate) fn theme(&self) -> &'static str {
        self.visit.theme.map_or("", super::Theme::word)
    }

    /// The token of this reader's forms.
    pub(crate) fn token(&self) -> String {
        self.visit.form_token(&self.console.config)
    }

    /// The message left by the page before.
    pub(crate) fn flash(&self) -> Option<&Flash> {
        self.visit.flash.as_ref()
    }

    /// Who is signed in.
    pub(crate) fn member(&self) -> Option<&SignedIn> {
        self.visit.signed_in.as_ref()
    }

    /// The member's menu.
    pub(crate) fn menu(&self) -> impl Iterator<Item = &'static Item> {
        let buying = self.buying();
        let paying = self.member().is_some_and(|member| member.may_pay());
        nav::MEMBER
            .iter()
            .filter(move |item| buying || item.path != "/console/buy")
            .filter(move |item| paying || item.path != "/console/statement")
    }

    /// The operators' menu; empty for everybody else.
    pub(crate) fn operator_menu(&self) -> &'static [Item] {
        match self.member() {
            Some(member) if member.support().is_some() => nav::OPERATOR,
            _ => &[],
        }
    }

    /// Whether the menu's entry is where the reader is.
    pub(crate) fn is_at(&self, item: &Item) -> bool {
        item.holds(&self.visit.path)
    }

    /// Path and query of this page.
    pub(crate) fn here(&self) -> &str {
        &self.visit.here
    }

    /// Where the request came from.
    pub(crate) fn address(&self) -> IpAddr {
        self.visit.address
    }

    /// The session this browser had before signing in anew.
    pub(crate) fn session_token(&self) -> Option<SessionToken> {
        SessionToken::parse(self.visit.session.as_deref()?)
    }

    /// With which browser.
    pub(crate) fn user_agent(&self) -> &str {
        &self.visit.user_agent
    }

    /// What this installation is called.
    pub(crate) fn site(&self) -> &str {
        &self.console.config.site_name
    }

    /// The address clients are pointed at, without `/v1` and without a trailing slash.
    pub(crate) fn base_url(&self) -> &str {
        self.console.config.base_url()
    }

    /// Whether the reader can buy credits here.
    pub(crate) fn buying(&self) -> bool {
        self.console.payments.is_some() && self.member().is_some_and(|member| member.may_pay())
    }

    /// Whether a stranger may sign up.
    pub(crate) fn sign_up_open(&self) -> bool {
        self.console.config.sign_up_open
    }

    /// The address of a file in `console/static`.
    #[expect(clippy::unused_self, reason = "templates reach the frame as `page.`")]
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::address(name)
    }
}

impl FromRequest for Page {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let console = req.app_data::<web::Data<Console>>().cloned();
        ready(match (console, rights::of(req)) {
            (Some(console), Ok(visit)) => Ok(Self::new(console, visit)),
            (_, Err(error)) => Err(error),
            (None, _) => Err(Error::Internal("the app holds no console".into())),
        })
    }
}
