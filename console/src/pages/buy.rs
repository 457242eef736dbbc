//! Buying a pack of credits at the payment provider, and the orders that came of it.

use crate::{
    Error,
    frame::{Answer, Faults, Page, Protected, SignedIn, State, reply},
    pages::reader,
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::payment::{
    CreditPack, Money, PaymentProvider, ProviderFault,
    order::{self, OpenError, OpenOrder, RefreshError},
    packs,
};
use entity::{OrderId, order::Model, order::Status};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "page/buy.html")]
struct BuyPage {
    page: Page,
    packs: Vec<Pack>,
    orders: Vec<Row>,
    faults: Faults,
}

struct Pack {
    id: String,
    credits: String,
    price: String,
    chosen: bool,
}

struct Row {
    id: String,
    time: format::Moment,
    credits: format::Amount,
    price: String,
    tone: &'static str,
    status: Phrase,
}

#[derive(Template)]
#[template(path = "page/orders/show.html")]
struct OrderPage {
    page: Page,
    id: String,
    moving: bool,
    explanation: Phrase,
    tone: &'static str,
    status: Phrase,
    credits: format::Amount,
    price: String,
    time: format::Moment,
    pay_at: Option<String>,
}

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    #[serde(default)]
    pack: String,
}

/// The packs on sale and the orders so far.
pub(crate) async fn show(console: State, page: Page, member: SignedIn) -> Answer {
    provider(&console, &member)?;

    let template = buy_page(&console, page, &member, Faults::none()).await?;

    reply::page(&template)
}

/// Opens an order and leads to its page.
pub(crate) async fn submit(
    console: State,
    page: Page,
    member: SignedIn,
    Protected(form): Protected<Form>,
) -> Answer {
    let provider = provider(&console, &member)?;
    let packs = packs::on_sale(&console.db).await?;
    let Some(pack) = form
        .pack
        .parse::<usize>()
        .ok()
        .and_then(|place| packs.get(place))
    else {
        let faults = Faults::of("pack", phrase("buy-choose"));
        return reply::refused(&buy_page(&console, page, &member, faults).await?);
    };

    let id = OrderId::fresh();
    let back = format!("{}/console/orders/{id}", page.base_url());
    let wanted = OpenOrder {
        id,
        tenant: member.tenant(),
        member: member.member(),
        pack: pack.clone(),
        success_url: back.clone(),
        cancel_url: back,
        email: reader::email(&console.db, &member).await?,
    };
    let opened = order::open(&console.db, provider.as_ref(), wanted, console.clock.now()).await;

    match opened {
        Ok(_) => Ok(reply::see_other(format!("/console/orders/{id}"))),
        Err(OpenError::TooMany) => refused(&console, page, &member, phrase("buy-too-many")).await,
        Err(OpenError::Provider(fault)) => {
            tracing::warn!(%fault, order.id = %id, "the payment provider opened no checkout");
            refused(&console, page, &member, phrase("buy-unavailable")).await
        }
        Err(OpenError::Taken) => Err(Error::Internal("a fresh order id was taken".into())),
        Err(OpenError::Store(cause)) => Err(Error::Store(cause)),
    }
}

async fn refused(console: &State, page: Page, member: &SignedIn, why: Phrase) -> Answer {
    reply::refused(&buy_page(console, page, member, Faults::of("form", why)).await?)
}

/// One order. While it is unfinished the page asks the provider and loads itself again.
pub(crate) async fn show_order(
    console: State,
    page: Page,
    member: SignedIn,
    path: web::Path<String>,
) -> Answer {
    let provider = provider(&console, &member)?;
    let id: OrderId = path.parse().map_err(|_| Error::NotFound)?;
    let which = (member.tenant(), id);

    let found =
        match order::refresh(&console.db, provider.as_ref(), which, console.clock.now()).await {
            Ok(order) => order,
            Err(RefreshError::NotFound) => return Err(Error::NotFound),
            Err(RefreshError::Provider(
                ProviderFault::Refused(_) | ProviderFault::Unavailable(_),
            )) => order::find(&console.db, which.0, id)
                .await?
                .ok_or(Error::NotFound)?,
            Err(RefreshError::Apply(cause)) => return Err(Error::Internal(cause.to_string())),
            Err(RefreshError::Store(cause)) => return Err(Error::Store(cause)),
        };

    reply::page(&order_page(page, &found))
}

/// The provider, where there is one and the member may pay; else there is no such page.
fn provider(console: &State, member: &SignedIn) -> Result<Arc<dyn PaymentProvider>, Error> {
    if !member.may_pay() {
        return Err(Error::NotFound);
    }
    console.payments.clone().ok_or(Error::NotFound)
}

async fn buy_page(
    console: &State,
    page: Page,
    member: &SignedIn,
    faults: Faults,
) -> Result<BuyPage, Error> {
    let packs = packs::on_sale(&console.db).await?;
    let orders = order::list(&console.db, member.tenant()).await?;
    Ok(BuyPage {
        packs: packs
            .iter()
            .enumerate()
            .map(|(place, pack)| Pack {
                id: place.to_string(),
                credits: page.say_phrase(&pack_words(pack)),
                price: pack.price().to_string(),
                chosen: place == 0,
            })
            .collect(),
        orders: orders.iter().map(row).collect(),
        page,
        faults,
    })
}

fn pack_words(pack: &CreditPack) -> Phrase {
    let total = pack
        .credits()
        .checked_add(pack.bonus())
        .unwrap_or(pack.credits());
    if pack.bonus().is_zero() {
        phrase("pack-credits").with("credits", total.to_string())
    } else {
        phrase("pack-bonus")
            .with("credits", total.to_string())
            .with("bonus", pack.bonus().to_string())
    }
}

fn row(order: &Model) -> Row {
    let (tone, status, _) = standing(order.status);
    Row {
        id: order.id.to_string(),
        time: format::moment(order.created_at),
        credits: credits(order),
        price: price(order),
        tone,
        status,
    }
}

fn order_page(page: Page, order: &Model) -> OrderPage {
    let (tone, status, explanation) = standing(order.status);
    let unpaid = matches!(order.status, Status::SessionOpen);
    OrderPage {
        page,
        id: order.id.to_string(),
        moving: matches!(
            order.status,
            Status::Created | Status::SessionOpen | Status::AwaitingFunds
        ),
        explanation,
        tone,
        status,
        credits: credits(order),
        price: price(order),
        time: format::moment(order.created_at),
        pay_at: order.checkout_url.clone().filter(|_| unpaid),
    }
}

fn credits(order: &Model) -> format::Amount {
    format::amount(
        order
            .credits
            .checked_add(order.bonus)
            .unwrap_or(order.credits),
    )
}

fn price(order: &Model) -> String {
    Money::new(order.amount_minor, &order.currency).map_or_else(
        |_| format!("{} {}", order.amount_minor, order.currency),
        |money| money.to_string(),
    )
}

/// Badge and explanation of where an order stands.
fn standing(status: Status) -> (&'static str, Phrase, Phrase) {
    let ended = phrase("order-ended-text");
    match status {
        Status::Created => (
            "note",
            phrase("order-created"),
            phrase("order-created-text"),
        ),
        Status::SessionOpen => (
            "note",
            phrase("order-session-open"),
            phrase("order-session-open-text"),
        ),
        Status::AwaitingFunds => (
            "note",
            phrase("order-awaiting-funds"),
            phrase("order-awaiting-funds-text"),
        ),
        Status::Credited => (
            "good",
            phrase("order-credited"),
            phrase("order-credited-text"),
        ),
        Status::PartiallyRefunded => ("warn", phrase("order-partially-refunded"), ended),
        Status::Refunded => ("", phrase("order-refunded"), ended),
        Status::Disputed => (
            "warn",
            phrase("order-disputed"),
            phrase("order-review-text"),
        ),
        Status::ChargedBack => ("bad", phrase("order-charged-back"), ended),
        Status::Expired => ("", phrase("order-expired"), ended),
        Status::Canceled => ("", phrase("order-canceled"), ended),
        Status::Failed => ("bad", phrase("order-failed"), ended),
        Status::Review => ("warn", phrase("order-review"), phrase("order-review-text")),
    }
}
