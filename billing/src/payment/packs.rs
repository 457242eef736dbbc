//! Which packs are on sale: a list that operators keep, or four packs in US dollars until they do.

use super::money::{CreditPack, Money, PackFault};
use entity::{Actor, Credits, Database, PersonId, Timestamp, audit_trail, setting};
use sea_orm::DbErr;

/// The setting that holds them.
const SETTING: &str = "credit_packs";
/// Most packs on sale at once.
const PACKS_MAX: usize = 24;
/// What is on sale until operators say otherwise, in dollars.
const FIRST: [i64; 4] = [5, 20, 50, 100];

/// Why the list was not changed.
#[derive(Debug, thiserror::Error)]
pub enum PacksError {
    /// Nothing on sale is said by taking the provider's key out, not by an empty list.
    #[error("between 1 and {PACKS_MAX} packs can be on sale")]
    Count,
    /// The database failed.
    #[error("the packs were not stored: {0}")]
    Store(#[from] DbErr),
}

/// The packs on sale, in the order buyers see them.
pub async fn on_sale(db: &Database) -> Result<Vec<CreditPack>, DbErr> {
    if let Some(packs) = setting::read(db.read(), SETTING).await? {
        return Ok(packs);
    }
    let first: Result<Vec<CreditPack>, PackFault> = FIRST.into_iter().map(at_list_price).collect();
    first.map_err(|fault| DbErr::Custom(fault.to_string()))
}

/// A credit for a dollar.
fn at_list_price(dollars: i64) -> Result<CreditPack, PackFault> {
    let text = dollars.to_string();
    let credits = Credits::parse(&text).map_err(|_| PackFault::Credits)?;
    let cents = dollars.checked_mul(100).ok_or(PackFault::Price)?;
    CreditPack::new(
        &format!("{text} credits"),
        credits,
        Money::new(cents, "usd")?,
    )
}

/// Puts these packs on sale in place of all others. Orders keep what they were made of.
#[tracing::instrument(name = "packs.put_on_sale", skip_all)]
pub async fn put_on_sale(
    db: &Database,
    packs: Vec<CreditPack>,
    operator: PersonId,
    now: Timestamp,
) -> Result<(), PacksError> {
    if !(1..=PACKS_MAX).contains(&packs.len()) {
        return Err(PacksError::Count);
    }
    db.write(move |tx| {
        Box::pin(async move {
            setting::write(tx, SETTING, &packs, now).await?;
            let entry = audit_trail::Entry {
                actor: Actor::Operator(operator),
                action: "packs.put_on_sale",
                subject: ("setting", SETTING.to_owned()),
                tenant: None,
                reason: None,
                detail: Some(serde_json::json!({ "packs": packs })),
            };
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}
