//! What a demo installation holds: an operator, a member with credits and a key, sandbox models with prices, a code.

use crate::keyring::Keyring;
use billing::{
    code::{BatchError, Gives, NewBatch, create_batch},
    ledger::{GrantError, GrantOrder, grant},
    shop::{
        channel::{self, AddChannel, AddChannelError, ServeError, Served},
        group::ensure_default,
        model::{self, AddModel, AddModelError, NewPrice, SetPriceError},
        price_table::{ListPrice, PriceSheet},
    },
};
use entity::{
    Actor, ChannelId, CodeBatchId, Credits, Database, Platform, TenantId, Timestamp, channel::Kind,
    email_token::Purpose, grant::Source, price_version,
};
use identity::{
    email::EmailAddress,
    email_token,
    key::{IssueKey, IssueKeyError, KeyName},
    operator::{self, CreateOperator, CreateOperatorError},
    password::{Attempt, Hasher, Password},
    person::{self, DisplayName, Locale, SignUp, SignUpError},
    session::{self, SignIn, SignInError},
};
use sea_orm::DbErr;

/// Nano-credits a token of input costs with the demo's chat models.
pub(super) const INPUT_NANOS: i64 = 1_000;
/// Nano-credits a token of output costs with the demo's chat models.
pub(super) const OUTPUT_NANOS: i64 = 2_000;
/// Nano-credits a token costs with the demo's embedding model.
pub(super) const EMBEDDING_NANOS: i64 = 100;

const OPERATOR: &str = "operator@demo.example";
const MEMBER: &str = "member@demo.example";
const PASSWORD: &str = "a toll for every word";

/// What there is to try.
#[derive(Debug)]
pub struct Stage {
    /// The operator's mail address.
    pub operator: &'static str,
    /// The member's mail address.
    pub member: &'static str,
    /// The password of both.
    pub password: &'static str,
    /// The member's tenant.
    pub tenant: TenantId,
    /// The member's API key.
    pub key: String,
    /// A redemption code that nobody has used.
    pub code: String,
}

/// Why a demo cannot be furnished.
#[derive(Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "each variant passes on what its operation says"
)]
pub enum StageError {
    #[error("this data folder is not fresh: it has people in it; name another with --data-dir")]
    NotFresh,
    #[error("the demo's own words were refused: {0}")]
    Words(&'static str),
    #[error(transparent)]
    Operator(#[from] CreateOperatorError),
    #[error(transparent)]
    SignUp(#[from] SignUpError),
    #[error(transparent)]
    SignIn(#[from] SignInError),
    #[error(transparent)]
    Key(#[from] IssueKeyError),
    #[error(transparent)]
    Channel(#[from] AddChannelError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Model(#[from] AddModelError),
    #[error(transparent)]
    Price(#[from] SetPriceError),
    #[error(transparent)]
    Grant(#[from] GrantError),
    #[error(transparent)]
    Code(#[from] BatchError),
    #[error("the database refused: {0}")]
    Store(#[from] DbErr),
}

/// Fills a fresh installation.
///
/// # Errors
/// As the variants say; a folder that was used before is left as it is.
pub async fn furnish(
    db: &Database,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<Stage, StageError> {
    if entity::person::Entity::every()
        .one(db.read())
        .await?
        .is_some()
    {
        return Err(StageError::NotFresh);
    }
    ensure_default(db, now).await?;
    sell_the_sandbox(db, now).await?;

    let hasher = Hasher::new();
    let account = CreateOperator {
        email: mail(OPERATOR)?,
        password: password()?,
        display_name: named("Operator")?,
        locale: Locale::from_tag("en"),
    };
    let (operator, _) = operator::create(db, &hasher, account, now).await?;
    let (tenant, key) = member(db, &hasher, keyring, now).await?;
    let gift = Credits::from_nanos(5_000_000_000);
    let order = GrantOrder::new(
        tenant,
        Source::Goodwill,
        gift,
        "demo:gift",
        Actor::System,
        now,
    );
    grant(db, order, now).await?;
    let batch = NewBatch {
        id: CodeBatchId::fresh(),
        name: "Demo".to_owned(),
        gives: Gives::Credits {
            amount: Credits::from_nanos(10_000_000_000),
            valid_days: None,
        },
        size: 1,
        max_uses: 1,
        most_per_member: None,
        starts_at: None,
        ends_at: None,
        operator: operator.person,
    };
    let made = create_batch(db, &keyring.codes, batch, now).await?;
    let code = made
        .codes
        .first()
        .map(billing::code::RedemptionCode::expose)
        .unwrap_or_default();
    Ok(Stage {
        operator: OPERATOR,
        member: MEMBER,
        password: PASSWORD,
        tenant,
        key,
        code,
    })
}

async fn member(
    db: &Database,
    hasher: &Hasher,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<(TenantId, String), StageError> {
    let order = SignUp {
        email: mail(MEMBER)?,
        password: password()?,
        display_name: named("Member")?,
        locale: Locale::from_tag("en"),
    };
    let made = person::sign_up(db, hasher, order, now).await?;
    let link = db
        .write(move |tx| {
            Box::pin(
                async move { email_token::mint_in(tx, made.person, Purpose::Verify, now).await },
            )
        })
        .await?;
    email_token::verify_email(db, &link, now)
        .await
        .map_err(|_| StageError::Words("the link to the mailbox"))?;
    let sign_in = SignIn {
        email: mail(MEMBER)?,
        password: Attempt::new(PASSWORD),
        address: None,
        user_agent: None,
        replaces: None,
    };
    let (_, right) = session::sign_in(db, hasher, sign_in, now).await?;
    let name = KeyName::parse("demo").map_err(|_| StageError::Words("the key's name"))?;
    let (secret, _) =
        identity::key::issue(db, &keyring.keys, &right, IssueKey::named(name), now).await?;
    Ok((made.tenant, secret.reveal().to_string()))
}

async fn sell_the_sandbox(db: &Database, now: Timestamp) -> Result<(), StageError> {
    let order = AddChannel {
        id: ChannelId::fresh(),
        name: "Sandbox".to_owned(),
        kind: Kind::Sandbox,
        base_url: String::new(),
        secret: None,
        options: entity::channel::Options::default(),
    };
    let id = order.id;
    channel::add(db, order, Actor::System, now).await?;
    for (name, kind) in gateway::SANDBOX_MODELS {
        let order = AddModel {
            name: (*name).to_owned(),
            kind: *kind,
            context_window: Some(128_000),
            max_output: Some(4_000),
            capabilities: Vec::new(),
        };
        let model = model::add(db, order, Actor::System, now).await?;
        let per_million = |nanos: i64| Credits::from_nanos(nanos * 1_000_000);
        let (input, output) = match kind {
            entity::model::Kind::Chat => (INPUT_NANOS, OUTPUT_NANOS),
            entity::model::Kind::Embedding => (EMBEDDING_NANOS, 0),
        };
        let price = NewPrice {
            source: price_version::Source::Sandbox,
            ..NewPrice::of(
                model,
                PriceSheet::plain(ListPrice {
                    input: per_million(input),
                    output: per_million(output),
                    ..ListPrice::default()
                }),
            )
        };
        model::set_price(db, price, Actor::System, now).await?;
    }
    let served = gateway::SANDBOX_MODELS
        .iter()
        .map(|(name, _)| Served {
            name: (*name).to_owned(),
            upstream_name: (*name).to_owned(),
        })
        .collect();
    channel::serve(db, id, served, Actor::System, now).await?;
    Ok(())
}

fn mail(text: &str) -> Result<EmailAddress, StageError> {
    EmailAddress::parse(text).map_err(|_| StageError::Words("a mail address"))
}

fn named(text: &str) -> Result<DisplayName, StageError> {
    DisplayName::parse(text).map_err(|_| StageError::Words("a name"))
}

fn password() -> Result<Password, StageError> {
    Password::parse(PASSWORD).map_err(|_| StageError::Words("the password"))
}
