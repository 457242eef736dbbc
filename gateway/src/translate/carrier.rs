//! Sealed carriers: opaque state of one upstream, on its way through a client of another protocol and back.
//!
//! A carrier opens only for the tenant it was given to, and means something only to the account and model that made
//! what it holds.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entity::TenantId;
use identity::seal::{MasterKey, open_carrier, seal_carrier};
use serde::{Deserialize, Serialize};

use super::answer::Opaque;

/// What every carrier begins with; nothing that does may reach an upstream.
pub(crate) const MARK: &str = "gw1.";

/// Seals and opens the carriers of one call at one channel.
#[derive(Clone, Debug)]
pub(crate) struct Carriers {
    pub(crate) master: MasterKey,
    pub(crate) tenant: TenantId,
    /// Protocol, account and model that opaque state is bound to.
    pub(crate) origin: String,
}

/// What a carrier holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Cargo {
    #[serde(rename = "o")]
    origin: String,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    redacted: Option<String>,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    encrypted: Option<String>,
}

/// A carrier's content, once it has come back to where it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The thought's text as the upstream wrote it, which a signature is only good for.
    pub(crate) text: String,
    pub(crate) opaque: Option<Opaque>,
}

impl Carriers {
    /// A carrier for a thought.
    pub(crate) fn seal(&self, text: &str, opaque: Option<&Opaque>) -> String {
        let mut cargo = Cargo {
            origin: self.origin.clone(),
            text: Some(text.to_owned()),
            ..Cargo::default()
        };
        match opaque {
            Some(Opaque::Signature(value)) => cargo.signature = Some(value.clone()),
            Some(Opaque::Redacted(value)) => cargo.redacted = Some(value.clone()),
            Some(Opaque::Encrypted(value)) => cargo.encrypted = Some(value.clone()),
            None => {}
        }
        let plain = serde_json::to_vec(&cargo).expect("texts only");
        let sealed = seal_carrier(&self.master, self.tenant, &plain);
        format!("{MARK}{}", URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What a carrier of this upstream holds; nothing for anything else.
    pub(crate) fn open(&self, carrier: &str) -> Option<Opened> {
        let sealed = URL_SAFE_NO_PAD.decode(carrier.strip_prefix(MARK)?).ok()?;
        let plain = open_carrier(&self.master, self.tenant, &sealed)?;
        let cargo: Cargo = serde_json::from_slice(&plain).ok()?;
        (cargo.origin == self.origin).then(|| Opened {
            text: cargo.text.unwrap_or_default(),
            opaque: cargo
                .signature
                .map(Opaque::Signature)
                .or(cargo.redacted.map(Opaque::Redacted))
                .or(cargo.encrypted.map(Opaque::Encrypted)),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const MASTER: &str = "1:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";

    pub(crate) fn carriers(origin: &str) -> Carriers {
        Carriers {
            master: MasterKey::parse(MASTER).expect("a ring"),
            tenant: TenantId::fresh(),
            origin: origin.to_owned(),
        }
    }

    #[test]
    fn a_carrier_opens_only_where_it_was_made_and_for_whom() {
        let here = carriers("messages|a|m");
        let sealed = here.seal("hm", Some(&Opaque::Signature("sig".to_owned())));
        let opened = Opened {
            text: "hm".to_owned(),
            opaque: Some(Opaque::Signature("sig".to_owned())),
        };

        assert!(sealed.starts_with(MARK));
        assert_eq!(here.open(&sealed), Some(opened));
        let elsewhere = Carriers {
            origin: "messages|b|m".to_owned(),
            ..here.clone()
        };
        assert_eq!(elsewhere.open(&sealed), None);
        let stranger = Carriers {
            tenant: carriers("").tenant,
            ..here.clone()
        };
        assert_eq!(stranger.open(&sealed), None);
        for bad in [
            "",
            "gw1.",
            "gw1.!!",
            "gw1.AAAA",
            "sig",
            &sealed[..sealed.len() - 2],
        ] {
            assert_eq!(here.open(bad), None, "{bad}");
        }
    }
}
