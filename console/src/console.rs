//! What every handler of the console is given, and how the console is configured.

use crate::{limits::Limits, mail::Post, pages::operator::channel::upstream::Wire};
use billing::{code::CodeKeys, payment::PaymentProvider};
use entity::{Clock, Database};
use identity::{key::Keys, password::Hasher, seal::MasterKey};
use ipnet::IpNet;
use outbound::Outbound;
use std::{fmt, sync::Arc};
use url::Url;

/// State of the console; a clone is a few pointers.
#[derive(Clone)]
pub struct Console {
    /// Rows.
    pub db: Database,
    /// What time it is.
    pub clock: Clock,
    /// Passwords.
    pub hasher: Hasher,
    /// The form of new keys, and the peppers of their digests.
    pub keys: Arc<Keys>,
    /// The keys of redemption codes' digests.
    pub code_keys: CodeKeys,
    /// Seals the secrets of channels.
    pub master: MasterKey,
    /// The way out to providers, for testing channels.
    pub outbound: Outbound,
    /// Where credits are bought; nothing hides buying.
    pub payments: Option<Arc<dyn PaymentProvider>>,
    /// How letters leave.
    pub post: Post,
    /// How this installation is set up.
    pub config: Arc<Config>,
    pub(crate) limits: Arc<Limits>,
}

/// What a console is made of.
pub struct Parts {
    /// Rows.
    pub db: Database,
    /// What time it is.
    pub clock: Clock,
    /// Passwords.
    pub hasher: Hasher,
    /// The form of new keys, and the peppers of their digests.
    pub keys: Arc<Keys>,
    /// The keys of redemption codes' digests.
    pub code_keys: CodeKeys,
    /// Seals the secrets of channels.
    pub master: MasterKey,
    /// The way out to providers, for testing channels.
    pub outbound: Outbound,
    /// Where credits are bought; nothing hides buying.
    pub payments: Option<Arc<dyn PaymentProvider>>,
    /// How letters leave.
    pub post: Post,
    /// How this installation is set up.
    pub config: Config,
}

impl Console {
    /// What speaks with providers.
    pub(crate) fn wire(&self) -> Wire<'_> {
        Wire {
            outbound: &self.outbound,
            master: &self.master,
        }
    }

    /// A console over these parts.
    pub fn new(parts: Parts) -> Self {
        Self {
            db: parts.db,
            clock: parts.clock,
            hasher: parts.hasher,
            keys: parts.keys,
            code_keys: parts.code_keys,
            master: parts.master,
            outbound: parts.outbound,
            payments: parts.payments,
            post: parts.post,
            config: Arc::new(parts.config),
            limits: Arc::new(Limits::new()),
        }
    }
}

/// How an installation presents itself to people.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where people and clients reach this installation, without a trailing slash: `https://tollgate.example`.
    pub public_url: Url,
    /// What the installation is called in pages and mail.
    pub site_name: String,
    /// Signs form tokens and one-shot cookies; the same on every replica.
    pub form_secret: FormSecret,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether a stranger may sign up.
    pub sign_up_open: bool,
}

impl Config {
    /// Whether pages are served by https, so that cookies are marked and HSTS is sent.
    pub fn secure(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// The public address without a trailing slash, as clients are told it.
    pub fn base_url(&self) -> &str {
        self.public_url.as_str().trim_end_matches('/')
    }
}

/// 32 bytes that sign form tokens. Never printed.
#[derive(Clone)]
pub struct FormSecret([u8; 32]);

impl FormSecret {
    /// The secret of an installation.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for FormSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FormSecret(..)")
    }
}
