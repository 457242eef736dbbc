//! Name, language and colours.

use super::{sessions, tenants};
use crate::{
    Error,
    frame::{Answer, Faults, Page, Protected, SignedIn, State, Theme, Tone, reply, reply::Keep},
    pages::{account::fields, reader},
    words::{Locale, phrase},
};
use askama::Template;
use identity::person::{self, Profile};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/settings/show.html")]
struct SettingsPage {
    page: Page,
    name: String,
    email: String,
    verified: bool,
    chosen_locale: String,
    tenants: Vec<tenants::Row>,
    sessions: Vec<sessions::Row>,
    faults: Faults,
}

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    name: String,
    locale: String,
    theme: String,
}

/// Shows it.
pub(crate) async fn show(console: State, page: Page, member: SignedIn) -> Answer {
    let name = member.display_name().to_owned();
    let locale = page.locale().tag().to_owned();

    let template = settings_page(&console, page, &member, (name, locale), Faults::none()).await?;

    reply::page(&template)
}

/// Saves.
pub(crate) async fn submit(
    console: State,
    page: Page,
    member: SignedIn,
    Protected(form): Protected<Form>,
) -> Answer {
    let mut faults = Faults::none();
    let name = faults.take("name", fields::name(&form.name));
    let locale = Locale::parse(&form.locale).ok_or(phrase("language-unknown"));
    let locale = faults.take("locale", locale);
    let (Some(display_name), Some(locale)) = (name, locale) else {
        let values = (form.name, form.locale);
        return reply::refused(&settings_page(&console, page, &member, values, faults).await?);
    };

    let profile = Profile {
        display_name,
        locale: person::Locale::from_tag(locale.tag()),
    };
    person::change_profile(&console.db, &member, profile, console.clock.now()).await?;

    Ok(reply::see_other("/console/settings")
        .keep(Keep::Locale(locale))
        .keep(Keep::Theme(Theme::parse(&form.theme)))
        .flash(Tone::Good, phrase("settings-saved")))
}

async fn settings_page(
    console: &State,
    page: Page,
    member: &SignedIn,
    (name, chosen_locale): (String, String),
    faults: Faults,
) -> Result<SettingsPage, Error> {
    let row = reader::row(&console.db, member)
        .await?
        .ok_or(Error::NotFound)?;
    Ok(SettingsPage {
        name,
        verified: row.email_verified_at.is_some(),
        email: row.email,
        chosen_locale,
        tenants: tenants::rows(console, &page, member).await?,
        sessions: sessions::rows(console, &page, member).await?,
        faults,
        page,
    })
}
