//! What we need of a payment provider, and no more.

use entity::OrderId;
use futures_util::future::BoxFuture;

use super::money::Money;

/// A payment provider: opens a checkout session for an order, and says how a session stands.
pub trait PaymentProvider: Send + Sync {
    /// The name orders and inbox rows carry.
    fn name(&self) -> &'static str;

    /// Whether payments are real money.
    fn livemode(&self) -> bool;

    /// Opens the session of an order. Asked again for the same order it returns the same session, for the key it
    /// sends is made of the order's id.
    fn open_session<'a>(
        &'a self,
        checkout: &'a Checkout,
    ) -> BoxFuture<'a, Result<SessionView, ProviderFault>>;

    /// How a session stands now.
    fn session<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<SessionView, ProviderFault>>;
}

/// What the buyer is asked to pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// Our order; the idempotency key is made of it.
    pub order: OrderId,
    /// What the buyer reads.
    pub product: String,
    /// The price without tax.
    pub price: Money,
    /// Where the buyer comes back to after paying.
    pub success_url: String,
    /// Where the buyer comes back to without paying.
    pub cancel_url: String,
    /// Filled in for the buyer.
    pub email: Option<String>,
}

/// A session as the provider has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// The provider's id of it.
    pub id: String,
    /// The order it says it is for.
    pub reference: Option<String>,
    /// Whether the buyer is done with it.
    pub state: SessionState,
    /// Whether money came.
    pub payment: PaymentState,
    /// What is paid in all, in the currency's smallest unit.
    pub total_minor: Option<i64>,
    /// How much of that is tax.
    pub tax_minor: i64,
    /// ISO 4217, lower case.
    pub currency: Option<String>,
    /// Whether it is real money.
    pub livemode: bool,
    /// The provider's id of the payment.
    pub payment_id: Option<String>,
    /// Where the buyer pays, while the session is open.
    pub url: Option<String>,
}

/// Whether the buyer is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// The buyer may still pay.
    Open,
    /// The buyer did what was asked; the money may yet be on its way.
    Complete,
    /// Nobody can pay any more.
    Expired,
    /// Something we do not know.
    Unknown,
}

/// Whether money came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// Not yet, or never.
    Unpaid,
    /// All of it.
    Paid,
    /// The provider asks for none, such as after a full discount. We never sell for nothing.
    NotRequired,
    /// Something we do not know.
    Unknown,
}

/// Why the provider did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFault {
    /// It said no; asking again the same way is no use.
    #[error("the payment provider refused: {0}")]
    Refused(String),
    /// It did not answer, or asked to be left alone for now; the same request may be sent again later.
    #[error("the payment provider is not available: {0}")]
    Unavailable(String),
}
