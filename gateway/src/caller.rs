//! Who calls: from the headers of a request to a key, its member and its tenant.
//!
//! A look-up is remembered for seconds and forgotten at any write of this process. That is for speed and for clear
//! messages; the hold reads the same rows again in its own transaction, so nobody slips through.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use entity::{Database, Timestamp, key, member, tenant};
use identity::key::{
    CallerRow, KeyFault, Keys, WellFormed, find_by_digest, inspect, move_to_newest_pepper,
};
use moka::future::Cache;
use sea_orm::DbErr;

use crate::{
    error::{Code, Refusal},
    wire::credential::{Candidate, Presented, presented},
};

const REMEMBERED: Duration = Duration::from_secs(5);
const MOST_REMEMBERED: u64 = 50_000;

/// A request that presents no key in order; with the caller where the key is known, so that its owner can be told.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) refusal: Refusal,
    pub(crate) caller: Option<Arc<CallerRow>>,
}

/// The look-up, shared by all calls.
#[derive(Clone)]
pub(crate) struct Callers {
    db: Database,
    keys: Keys,
    known: Cache<[u8; 32], Option<Arc<CallerRow>>>,
    generation: Arc<AtomicU64>,
}

impl Callers {
    pub(crate) fn new(db: Database, keys: Keys) -> Self {
        let generation = Arc::new(AtomicU64::new(db.generation()));
        Self {
            db,
            keys,
            known: Cache::builder()
                .max_capacity(MOST_REMEMBERED)
                .time_to_live(REMEMBERED)
                .build(),
            generation,
        }
    }

    /// The caller behind a request's credential headers, or why there is none.
    pub(crate) async fn find(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Arc<CallerRow>, Denied> {
        let key = well_formed(headers).map_err(stranger)?;

        let caller = self
            .look_up(&key)
            .await
            .map_err(|error| {
                tracing::error!(%error, "a key could not be looked up");
                stranger(
                    Refusal::new(Code::Overloaded, "The key could not be checked just now.")
                        .after(Duration::from_secs(2)),
                )
            })?
            .ok_or_else(|| {
                stranger(Refusal::new(
                    Code::InvalidKey,
                    "This API key is well-formed but not known here. It may have been made at another installation.",
                ))
            })?;

        match standing(&caller, now) {
            None => Ok(caller),
            Some(refusal) => Err(Denied {
                refusal,
                caller: Some(caller),
            }),
        }
    }

    async fn look_up(&self, key: &WellFormed) -> Result<Option<Arc<CallerRow>>, Arc<DbErr>> {
        let generation = self.db.generation();
        if self.generation.swap(generation, Ordering::AcqRel) != generation {
            self.known.invalidate_all();
        }
        for digest in self.keys.digests(key) {
            let found = self
                .known
                .try_get_with(*digest.bytes(), async {
                    Ok::<_, DbErr>(find_by_digest(&self.db, &digest).await?.map(Arc::new))
                })
                .await?;
            if let Some(caller) = found {
                self.renew(&caller, key).await;
                return Ok(Some(caller));
            }
        }
        Ok(None)
    }

    /// Once for each key after a change of pepper. The old pepper still finds the key, so a fault waits for the next call.
    async fn renew(&self, caller: &CallerRow, key: &WellFormed) {
        match move_to_newest_pepper(&self.db, &self.keys, &caller.key, key).await {
            Ok(false) => {}
            Ok(true) => tracing::info!(key.id = %caller.key.id, "a key moved to the newest pepper"),
            Err(error) => {
                tracing::warn!(key.id = %caller.key.id, %error, "a key stays at an old pepper");
            }
        }
    }
}

fn stranger(refusal: Refusal) -> Denied {
    Denied {
        refusal,
        caller: None,
    }
}

/// The credential headers of a request, as they were sent.
pub(crate) struct Sent<'a> {
    pub(crate) authorization: &'a [String],
    pub(crate) x_api_key: &'a [String],
}

/// Every value of the two credential headers.
pub(crate) fn sent(headers: &HeaderMap) -> (Vec<String>, Vec<String>) {
    // Letters that no key has must not make a header look empty.
    let text = |value: &actix_web::http::header::HeaderValue| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    };
    (
        headers.get_all(AUTHORIZATION).map(text).collect(),
        headers.get_all("x-api-key").map(text).collect(),
    )
}

fn well_formed(headers: &HeaderMap) -> Result<WellFormed, Refusal> {
    let (authorization, x_api_key) = sent(headers);
    judge(&Sent {
        authorization: &authorization,
        x_api_key: &x_api_key,
    })
}

/// The key that the headers carry, or what is wrong with how it is written.
pub(crate) fn judge(sent: &Sent<'_>) -> Result<WellFormed, Refusal> {
    let found = presented(
        sent.authorization.iter().map(String::as_str),
        sent.x_api_key.iter().map(String::as_str),
    );
    match found {
        Presented::Nothing => Err(Refusal::new(
            Code::MissingKey,
            "No API key was sent. Send it as `Authorization: Bearer <key>` or `x-api-key: <key>`.",
        )),
        Presented::Empty { header } => Err(Refusal::new(
            Code::MissingKey,
            format!(
                "The header `{header}` is there but empty; the client has no API key set, or an empty variable."
            ),
        )),
        Presented::Scheme { name } => Err(Refusal::new(
            Code::MissingKey,
            format!(
                "The header `Authorization` uses the scheme `{}`; send `Authorization: Bearer <key>`.",
                name.chars().take(20).collect::<String>()
            ),
        )),
        Presented::One(candidate) => {
            inspect(candidate.text).map_err(|fault| explain(candidate, fault))
        }
        Presented::Two(first, second) => match (inspect(first.text), inspect(second.text)) {
            (Ok(key), Err(_)) | (Err(_), Ok(key)) => Ok(key),
            (Ok(_), Ok(_)) | (Err(_), Err(_)) => Err(Refusal::new(
                Code::InvalidKey,
                format!(
                    "Two different keys were sent, in `{}` and in `{}`. Remove one of them.",
                    first.header, second.header
                ),
            )),
        },
    }
}

fn explain(candidate: Candidate<'_>, fault: KeyFault) -> Refusal {
    let header = candidate.header;
    match fault {
        KeyFault::Empty => Refusal::new(
            Code::MissingKey,
            format!("The header `{header}` is there but empty."),
        ),
        KeyFault::DoubledBearer => Refusal::new(
            Code::InvalidKey,
            "The word Bearer stands twice. Enter the key alone; the client adds Bearer itself.",
        ),
        KeyFault::Quotes => Refusal::new(
            Code::InvalidKey,
            format!("The key in `{header}` stands in quotation marks. Enter it without them."),
        ),
        KeyFault::Whitespace => Refusal::new(
            Code::InvalidKey,
            format!(
                "The key in `{header}` holds a space or a line end. Copy it again, without them."
            ),
        ),
        KeyFault::Foreign(provider) => Refusal::new(
            Code::ForeignKey,
            format!(
                "This is a key of {provider}. This gateway has keys of its own; use one of those."
            ),
        ),
        KeyFault::BadChecksum => Refusal::new(
            Code::InvalidKey,
            "This API key was mistyped or cut: its checksum does not match. Copy it again.",
        ),
        KeyFault::BadForm => Refusal::new(
            Code::InvalidKey,
            format!("What stands in `{header}` does not look like an API key of this gateway."),
        ),
    }
}

/// What is wrong with a known key, its member or its tenant, if anything.
fn standing(caller: &CallerRow, now: Timestamp) -> Option<Refusal> {
    let key = &caller.key;
    match key.status {
        key::Status::Revoked => return Some(key_revoked()),
        key::Status::Disabled => return Some(key_disabled()),
        key::Status::Active => {}
    }
    if key.expires_at.is_some_and(|at| at <= now) {
        return Some(key_expired());
    }
    match caller.member.status {
        member::Status::Active => {}
        member::Status::Banned | member::Status::Left => return Some(member_banned()),
    }
    match caller.tenant.status {
        tenant::Status::Active => None,
        tenant::Status::Suspended | tenant::Status::Closed => Some(tenant_suspended()),
    }
}

pub(crate) fn key_revoked() -> Refusal {
    Refusal::new(
        Code::InvalidKey,
        "This API key has been revoked and does not come back. Create a new one.",
    )
}

pub(crate) fn key_disabled() -> Refusal {
    Refusal::new(
        Code::KeyDisabled,
        "This API key is switched off. Switch it on again, or use another.",
    )
}

pub(crate) fn key_expired() -> Refusal {
    Refusal::new(
        Code::KeyExpired,
        "This API key is past its date. Create a new one.",
    )
}

pub(crate) fn member_banned() -> Refusal {
    Refusal::new(
        Code::UserBanned,
        "The owner of this API key is banned here; the operator of this gateway can tell why.",
    )
}

pub(crate) fn tenant_suspended() -> Refusal {
    Refusal::new(
        Code::TenantSuspended,
        "The organisation of this API key is suspended; the operator of this gateway can tell why.",
    )
}
