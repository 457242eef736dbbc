//! The installation's secrets in the forms that the crates take them.

use crate::config::Config;
use billing::code::{CodeKeys, KeyTooShort};
use identity::{
    key::{KeyForm, Keys, PepperRing, PrefixFault},
    seal::MasterKey,
};

/// What seals, and what keys digests.
#[derive(Clone, Debug)]
pub struct Keyring {
    /// The form of API keys, and the peppers of their digests.
    pub keys: Keys,
    /// Seals the secrets of channels.
    pub master: MasterKey,
    /// The keys of redemption codes' digests.
    pub codes: CodeKeys,
}

/// Why the configured secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringFault {
    /// The prefix of API keys is another service's, or malformed.
    #[error("the prefix of API keys cannot be used: {0}")]
    Prefix(#[from] PrefixFault),
    /// The secret of redemption codes is too short.
    #[error("the secret of redemption codes is too short")]
    Codes(#[from] KeyTooShort),
}

impl Keyring {
    /// The secrets of this configuration.
    ///
    /// # Errors
    /// As the variants say.
    pub fn of(config: &Config) -> Result<Self, KeyringFault> {
        Ok(Self {
            keys: Keys::new(
                KeyForm::with_prefix(&config.key_prefix)?,
                PepperRing::from(config.keys.pepper.clone()),
            ),
            master: MasterKey::from(config.keys.master.clone()),
            codes: CodeKeys::new(config.keys.code.expose())?,
        })
    }
}
