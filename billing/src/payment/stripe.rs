//! The payment port on Stripe Checkout.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use stripe::{Client, ClientBuilder, IdempotencyKey, RequestStrategy, StripeError, StripeRequest};
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData,
    ProductData, RetrieveCheckoutSession,
};
use stripe_shared::{
    CheckoutSession, CheckoutSessionMode, CheckoutSessionPaymentStatus, CheckoutSessionStatus,
};
use stripe_types::Currency;

use super::port::{
    Checkout, PaymentProvider, PaymentState, ProviderFault, SessionState, SessionView,
};

/// What orders and inbox rows call this provider.
pub const NAME: &str = "stripe";
/// Tries of one request, all with the same idempotency key.
const TRIES: u32 = 3;
/// First wait between two tries; it doubles.
const PAUSE: Duration = Duration::from_millis(250);
/// How long one try may take, unless configured otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// How to reach Stripe.
#[derive(Clone)]
pub struct Settings {
    /// The secret or restricted key, `sk_..` or `rk_..`; its own text says whether it is live.
    pub secret_key: String,
    /// Another base address than Stripe's own, for tests.
    pub api_base: Option<String>,
    /// How long one try may take.
    pub timeout: Duration,
}

/// Never the key.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("api_base", &self.api_base)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Why Stripe cannot be used as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsFault {
    /// The key is none.
    #[error("the Stripe key must start with sk_ or rk_")]
    Key,
    /// The key or the address holds what no request can.
    #[error("the Stripe settings cannot be used: {0}")]
    Client(String),
}

/// Stripe, with our key.
#[derive(Clone)]
pub struct Stripe {
    client: Client,
    livemode: bool,
}

/// Never the key.
impl fmt::Debug for Stripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stripe")
            .field("livemode", &self.livemode)
            .finish_non_exhaustive()
    }
}

impl Stripe {
    /// Prepares requests; nothing is sent yet.
    pub fn new(settings: &Settings) -> Result<Self, SettingsFault> {
        let key = settings.secret_key.trim();
        if !key.starts_with("sk_") && !key.starts_with("rk_") {
            return Err(SettingsFault::Key);
        }
        let mut builder = ClientBuilder::new(key).timeout(settings.timeout);
        if let Some(base) = &settings.api_base {
            builder = builder.url(format!("{}/", base.trim_end_matches('/')));
        }
        let client = builder
            .build()
            .map_err(|fault| SettingsFault::Client(fault.to_string()))?;
        Ok(Self {
            client,
            livemode: key.starts_with("sk_live_") || key.starts_with("rk_live_"),
        })
    }

    async fn create(&self, checkout: &Checkout) -> Result<SessionView, ProviderFault> {
        let request = form(checkout)?;
        let key = IdempotencyKey::new(format!("tollgate-order-{}", checkout.order))
            .map_err(|fault| ProviderFault::Refused(fault.to_string()))?;
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.create_once(&request, key.clone()).await {
                Err(ProviderFault::Unavailable(fault)) => {
                    tracing::warn!(order.id = %checkout.order, %fault, "Stripe is asked again");
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2);
                }
                answered => return answered,
            }
        }
        self.create_once(&request, key).await
    }

    async fn create_once(
        &self,
        request: &CreateCheckoutSession,
        key: IdempotencyKey,
    ) -> Result<SessionView, ProviderFault> {
        let strategy = RequestStrategy::Idempotent(key);
        let sent = request
            .customize()
            .request_strategy(strategy)
            .send(&self.client);
        sent.await.map(view).map_err(|fault| fault_of(&fault))
    }

    async fn retrieve(&self, id: &str) -> Result<SessionView, ProviderFault> {
        // The id becomes part of a path: nothing else than an id may.
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(ProviderFault::Refused("this is no session id".to_owned()));
        }
        let request = RetrieveCheckoutSession::new(id);
        request
            .send(&self.client)
            .await
            .map(view)
            .map_err(|fault| fault_of(&fault))
    }
}

impl PaymentProvider for Stripe {
    fn name(&self) -> &'static str {
        NAME
    }

    fn livemode(&self) -> bool {
        self.livemode
    }

    fn open_session<'a>(
        &'a self,
        checkout: &'a Checkout,
    ) -> BoxFuture<'a, Result<SessionView, ProviderFault>> {
        self.create(checkout).boxed()
    }

    fn session<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<SessionView, ProviderFault>> {
        self.retrieve(id).boxed()
    }
}

fn form(checkout: &Checkout) -> Result<CreateCheckoutSession, ProviderFault> {
    let currency = match checkout.price.currency().parse::<Currency>() {
        Ok(Currency::Unknown(code)) => {
            return Err(ProviderFault::Refused(format!(
                "{code} is no currency of Stripe's"
            )));
        }
        Ok(currency) => currency,
        Err(never) => match never {},
    };
    let mut price = CreateCheckoutSessionLineItemsPriceData::new(currency);
    price.unit_amount = Some(checkout.price.minor());
    price.product_data = Some(ProductData::new(checkout.product.as_str()));
    let mut item = CreateCheckoutSessionLineItems::new();
    item.price_data = Some(price);
    item.quantity = Some(1);
    let mut request = CreateCheckoutSession::new()
        .mode(CheckoutSessionMode::Payment)
        .client_reference_id(checkout.order.to_string())
        .line_items(vec![item])
        .metadata([("order".to_owned(), checkout.order.to_string())])
        .success_url(checkout.success_url.as_str())
        .cancel_url(checkout.cancel_url.as_str());
    if let Some(email) = &checkout.email {
        request = request.customer_email(email.as_str());
    }
    Ok(request)
}

fn view(session: CheckoutSession) -> SessionView {
    let state = match session.status {
        Some(CheckoutSessionStatus::Open) => SessionState::Open,
        Some(CheckoutSessionStatus::Complete) => SessionState::Complete,
        Some(CheckoutSessionStatus::Expired) => SessionState::Expired,
        _ => SessionState::Unknown,
    };
    let payment = match session.payment_status {
        CheckoutSessionPaymentStatus::Paid => PaymentState::Paid,
        CheckoutSessionPaymentStatus::Unpaid => PaymentState::Unpaid,
        CheckoutSessionPaymentStatus::NoPaymentRequired => PaymentState::NotRequired,
        _ => PaymentState::Unknown,
    };
    SessionView {
        id: session.id.to_string(),
        reference: session.client_reference_id,
        state,
        payment,
        total_minor: session.amount_total,
        tax_minor: session
            .total_details
            .map_or(0, |details| details.amount_tax),
        currency: session.currency.map(|currency| currency.to_string()),
        livemode: session.livemode,
        payment_id: session.payment_intent.map(|intent| intent.id().to_string()),
        url: session.url,
    }
}

/// Whether asking again may help. An answer that does not parse may have done what was asked, so the same key is sent
/// again.
fn fault_of(fault: &StripeError) -> ProviderFault {
    match fault {
        StripeError::Stripe(error, status) if !matches!(status, 409 | 424 | 429 | 500..=599) => {
            let message = error
                .message
                .clone()
                .unwrap_or_else(|| "no reason given".to_owned());
            ProviderFault::Refused(format!("{status}: {message}"))
        }
        StripeError::ConfigError(reason) => ProviderFault::Refused(reason.clone()),
        StripeError::Stripe(_, status) => ProviderFault::Unavailable(format!("status {status}")),
        StripeError::JSONDeserialize(reason) | StripeError::ClientError(reason) => {
            ProviderFault::Unavailable(reason.clone())
        }
        StripeError::Timeout => ProviderFault::Unavailable("no answer in time".to_owned()),
    }
}
