//! Whether a webhook comes from Stripe: `Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]`, an HMAC-SHA256 over
//! `<t>.<raw body>`. Without a secret nothing is computed and nothing is accepted.

use std::fmt;

use entity::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far the signature's time may lie from ours, either way, in seconds.
pub const TOLERANCE_SECONDS: i64 = 300;
/// Longest header worth reading, in bytes.
const HEADER_MAX: usize = 4_096;
/// Most signatures in one header.
const SIGNATURES_MAX: usize = 16;

/// The signing secrets of our endpoint: one, or several while they are rolled over.
#[derive(Clone, Default)]
pub struct WebhookSecrets(Vec<String>);

impl WebhookSecrets {
    /// Takes the secrets; blank ones are as good as none.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut kept = Vec::new();
        for secret in secrets {
            let secret = secret.trim();
            if !secret.is_empty() {
                kept.push(secret.to_owned());
            }
        }
        Self(kept)
    }

    /// Whether there is none, so that no webhook can be accepted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Never the secrets.
impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSecrets({})", self.0.len())
    }
}

/// Why a webhook is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// We have no secret to check with.
    #[error("no webhook secret is configured")]
    NotConfigured,
    /// There is no signature, or it does not read.
    #[error("the signature header is missing or malformed")]
    Malformed,
    /// It was signed too long ago, or its clock or ours is wrong.
    #[error("the signature's time is more than {TOLERANCE_SECONDS} seconds from ours")]
    Stale,
    /// None of the signatures is ours.
    #[error("no signature matches")]
    Forged,
}

/// Checks the header against the raw body: some signature by some secret must match, and its time must be near ours.
pub fn verify(
    raw: &[u8],
    header: &str,
    secrets: &WebhookSecrets,
    now: Timestamp,
) -> Result<(), SignatureFault> {
    if secrets.is_empty() {
        return Err(SignatureFault::NotConfigured);
    }
    let (signed_at, signatures) = parse(header)?;
    let seconds: i64 = signed_at.parse().map_err(|_| SignatureFault::Malformed)?;
    let ours = now.micros().div_euclid(1_000_000);
    if ours
        .checked_sub(seconds)
        .is_none_or(|age| age.saturating_abs() > TOLERANCE_SECONDS)
    {
        return Err(SignatureFault::Stale);
    }
    let matches = secrets.0.iter().any(|secret| {
        // Hmac takes a key of any length, so this is never an error; were it one, nothing would match.
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).is_ok_and(|mut mac| {
            mac.update(signed_at.as_bytes());
            mac.update(b".");
            mac.update(raw);
            // Compared in constant time.
            signatures
                .iter()
                .any(|signature| mac.clone().verify_slice(signature).is_ok())
        })
    });
    if matches {
        Ok(())
    } else {
        Err(SignatureFault::Forged)
    }
}

fn parse(header: &str) -> Result<(&str, Vec<Vec<u8>>), SignatureFault> {
    if header.len() > HEADER_MAX {
        return Err(SignatureFault::Malformed);
    }
    let mut signed_at = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        let Some((name, value)) = part.trim().split_once('=') else {
            return Err(SignatureFault::Malformed);
        };
        match name {
            "t" if signed_at.is_none() && is_digits(value) => signed_at = Some(value),
            "t" => return Err(SignatureFault::Malformed),
            "v1" => signatures.extend(hex::decode(value)),
            // Other schemes, such as v0 of test mode, are not ours to check.
            _ => {}
        }
    }
    match signed_at {
        Some(signed_at) if (1..=SIGNATURES_MAX).contains(&signatures.len()) => {
            Ok((signed_at, signatures))
        }
        _ => Err(SignatureFault::Malformed),
    }
}

fn is_digits(text: &str) -> bool {
    (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &[u8] = br#"{"id":"evt_1"}"#;
    const SIGNED_AT: i64 = 1_700_000_000;

    fn sign(secret: &str, seconds: &str, raw: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
        mac.update(seconds.as_bytes());
        mac.update(b".");
        mac.update(raw);
        hex::encode(mac.finalize().into_bytes())
    }

    fn header(secret: &str) -> String {
        format!(
            "t={SIGNED_AT},v1={}",
            sign(secret, &SIGNED_AT.to_string(), RAW)
        )
    }

    fn secrets(all: &[&str]) -> WebhookSecrets {
        WebhookSecrets::new(all.iter().map(|secret| (*secret).to_owned()))
    }

    fn at(offset: i64) -> Timestamp {
        Timestamp::from_micros((SIGNED_AT + offset) * 1_000_000)
    }

    #[test]
    fn a_vector_of_known_bytes_verifies() {
        let raw = br#"{"id":"evt_test_webhook","object":"event"}"#;
        let now = Timestamp::from_micros(1_492_774_577_000_000);

        let header = "t=1492774577,\
            v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39,\
            v1=88a022085c6bdb887b02cb26ff76dd681234d9675c0f22844059f55552a8883a";

        assert_eq!(
            verify(raw, header, &secrets(&["whsec_test_secret"]), now),
            Ok(())
        );
    }

    #[test]
    fn any_of_several_signatures_by_any_of_several_secrets_will_do() {
        let two = format!(
            "{},v1={}",
            header("old"),
            sign("new", &SIGNED_AT.to_string(), RAW)
        );

        assert_eq!(verify(RAW, &two, &secrets(&["new"]), at(0)), Ok(()));
        assert_eq!(
            verify(RAW, &header("old"), &secrets(&["new", "old"]), at(0)),
            Ok(())
        );
        assert_eq!(
            verify(RAW, &header("other"), &secrets(&["new", "old"]), at(0)),
            Err(SignatureFault::Forged)
        );
    }

    #[test]
    fn without_a_secret_nothing_verifies_not_even_an_empty_key() {
        for none in [secrets(&[]), secrets(&["", "  "])] {
            assert_eq!(
                verify(RAW, &header(""), &none, at(0)),
                Err(SignatureFault::NotConfigured)
            );
        }
    }

    #[test]
    fn the_signature_holds_for_300_seconds_either_way() {
        let ours = secrets(&["s"]);
        let table = [
            (0, true),
            (300, true),
            (-300, true),
            (301, false),
            (-301, false),
        ];

        for (offset, fresh) in table {
            let expected = if fresh {
                Ok(())
            } else {
                Err(SignatureFault::Stale)
            };
            assert_eq!(
                verify(RAW, &header("s"), &ours, at(offset)),
                expected,
                "{offset}"
            );
        }
    }

    #[test]
    fn a_changed_body_or_time_is_a_forgery() {
        let ours = secrets(&["s"]);
        let later = header("s").replace(&SIGNED_AT.to_string(), &(SIGNED_AT + 1).to_string());

        assert_eq!(
            verify(b"{}", &header("s"), &ours, at(0)),
            Err(SignatureFault::Forged)
        );
        assert_eq!(
            verify(RAW, &later, &ours, at(0)),
            Err(SignatureFault::Forged)
        );
    }

    #[test]
    fn a_malformed_header_is_refused() {
        let good = header("s");
        let table = [
            String::new(),
            "t=,v1=".to_owned(),
            format!("t={SIGNED_AT}"),
            good.replace("v1", "v2"),
            good.replace("t=", "t=-"),
            format!("t=1,{good}"),
            format!("t={SIGNED_AT},v1=zz"),
            "x".repeat(HEADER_MAX + 1),
            format!("t=99999999999999999999,v1={}", "0".repeat(64)),
        ];

        for header in table {
            assert_eq!(
                verify(RAW, &header, &secrets(&["s"]), at(0)),
                Err(SignatureFault::Malformed),
                "{header}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_but_ours_is_believed(header in "\\PC{0,200}", body in proptest::collection::vec(0_u8.., 0..100)) {
            proptest::prop_assert!(verify(&body, &header, &secrets(&["s"]), at(0)).is_err());
        }
    }
}
