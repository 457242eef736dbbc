//! A request that is sent twice under one `Idempotency-Key` is made once. The first to come claims the key before anything
//! is held; the next is told what became of it. Whether the first one runs, was charged or came to nothing is not noted
//! anywhere: its hold and its usage say so. A claim whose call came to nothing is free for the next.
//!
//! Requests without the header pass through here without a statement.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderValue};
use entity::{
    Credits, HoldId, KeyId, Scoped, TenantId, Timestamp, Tx,
    call_claim::{Column, Entity, Model},
    hold,
    retention::CALL_CLAIM_KEPT,
    usage::{self, Finish},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    sea_query::OnConflict,
};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Call, admit::Request, client::Client, refusal::minute};
use crate::{
    error::{Code, Refusal},
    gateway::Gateway,
    translate::Compaction,
    wire::path,
};

/// The header, as refusals name it.
const HEADER: &str = "Idempotency-Key";
const LONGEST: usize = 255;
/// How long a claim stands for a call that has neither hold nor usage: its process may be about to ask for the hold.
const UNHELD: Duration = Duration::from_mins(2);
/// A hold that comes later than this after the claim is given back, for another call may be taking the claim over. Shorter
/// than it need be, for the clocks of replicas differ.
const HELD_WITHIN: Duration = Duration::from_mins(1);
/// Looks at a claim that keeps changing hands.
const LOOKS: usize = 3;

/// What makes a request the same as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Once {
    /// Digest of the header's text, for this API key alone.
    header: [u8; 32],
    /// Digest of the endpoint and the body.
    request: [u8; 32],
}

impl Once {
    /// From the header; none where it was not sent.
    pub(super) fn of(headers: &HeaderMap, request: &Request) -> Result<Option<Self>, Refusal> {
        let mut values = headers.get_all(HEADER).map(HeaderValue::as_bytes);
        let Some(text) = values.next() else {
            return Ok(None);
        };
        if values.any(|other| other != text) {
            return Err(malformed(
                "is sent twice with different values; send one of them",
            ));
        }
        if !is_well_formed(text) {
            return Err(malformed(
                "must be 1 to 255 visible ASCII characters without spaces; a UUID will do",
            ));
        }
        let endpoint = match request.compaction {
            Some(Compaction::Endpoint) => "/v1/responses/compact",
            Some(Compaction::Trigger) | None => path::of(request.protocol),
        };
        Ok(Some(Self {
            header: header_digest(request.caller.key.id, text),
            request: Sha256::new()
                .chain_update(endpoint)
                .chain_update([0])
                .chain_update(&request.body)
                .finalize()
                .into(),
        }))
    }
}

fn is_well_formed(text: &[u8]) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}

fn malformed(fault: &str) -> Refusal {
    Refusal::new(
        Code::InvalidRequest,
        format!("The header `{HEADER}` {fault}."),
    )
    .at(Some(HEADER))
}

/// The same text of another API key is another's.
fn header_digest(key: KeyId, text: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"tollgate once ")
        .chain_update(key.uuid().as_bytes())
        .chain_update(text)
        .finalize()
        .into()
}

/// What a claim comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Taken {
    /// This call goes on.
    Ours,
    /// An earlier call has it.
    Earlier { id: HoldId, standing: Standing },
    /// It stands for another request.
    OtherRequest { id: HoldId },
    /// It changed hands each time it was looked at.
    Contended,
}

/// What became of the call that has a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is running, or about to.
    Running { since: Timestamp },
    /// It was answered, or at least charged.
    Ended {
        finish: Finish,
        charge: Credits,
        at: Timestamp,
    },
    /// It came to nothing.
    Free,
}

/// Turns at the claims. Each is a write of its own, so whoever sends many calls at once waits behind himself, and keeps
/// neither others' claims nor what else is written waiting.
#[derive(Debug)]
pub(crate) struct Claims([Queue; QUEUES]);

/// Tenants in one of these wait for each other, which is seldom and no harm.
const QUEUES: usize = 64;
/// Claims of one queue that are written at once.
const AT_ONCE: usize = 2;
/// Calls of one queue that may wait, each with its body in memory.
const WAITING_MAX: usize = 512;

#[derive(Debug)]
struct Queue {
    writing: Semaphore,
    waiting: Semaphore,
}

impl Default for Claims {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Queue {
            writing: Semaphore::new(AT_ONCE),
            waiting: Semaphore::new(WAITING_MAX),
        }))
    }
}

impl Claims {
    /// Waits for the tenant's turn; none where too many wait already.
    async fn turn(&self, tenant: TenantId) -> Option<SemaphorePermit<'_>> {
        let queue = self.of(tenant)?;
        let _place = queue.waiting.try_acquire().ok()?;
        queue.writing.acquire().await.ok()
    }

    /// As [`Claims::turn`], for claims that are given up: there is no more of them than of those that were written.
    async fn last_turn(&self, tenant: TenantId) -> Option<SemaphorePermit<'_>> {
        self.of(tenant)?.writing.acquire().await.ok()
    }

    fn of(&self, tenant: TenantId) -> Option<&Queue> {
        let queues = u128::try_from(self.0.len()).ok()?;
        let place = tenant.uuid().as_u128().checked_rem(queues)?;
        self.0.get(usize::try_from(place).ok()?)
    }
}

/// Claims the request's `Idempotency-Key` for this call, where it has one. Fails with what its client is told; with nothing
/// where the client has gone before it was the call's turn.
pub(super) async fn claim(
    gateway: &Gateway,
    call: &Call,
    client: &Client,
) -> Result<(), Option<Refusal>> {
    let Some(once) = call.once else {
        return Ok(());
    };
    let inner = &gateway.inner;
    let _turn = tokio::select! {
        turn = inner.claims.turn(call.caller.key.tenant_id) => turn.ok_or_else(|| Some(unread()))?,
        () = client.gone_for(Duration::ZERO) => return Err(None),
    };
    let row = Model {
        id: call.visit.id,
        tenant_id: call.caller.key.tenant_id,
        key_id: call.caller.key.id,
        digest: once.header.to_vec(),
        request: once.request.to_vec(),
        created_at: call.order.now,
    };
    let now = inner.clock.now();
    let taken = inner
        .db
        .write_aside(move |tx| Box::pin(take(tx, row, now)))
        .await;
    let refusal = match taken {
        Ok(Taken::Ours) => return Ok(()),
        Ok(Taken::Earlier { id, standing }) => told(id, standing, now),
        Ok(Taken::OtherRequest { id }) => Refusal::new(
            Code::IdempotencyKeyReused,
            format!(
                "This {HEADER} came with another request before (call {id}). Send another one with this request."
            ),
        ),
        Ok(Taken::Contended) => unread(),
        Err(error) => {
            let error: DbErr = error;
            tracing::error!(request.id = %call.visit.id, %error, "an idempotency key could not be claimed");
            unread()
        }
    };
    Err(Some(refusal))
}

/// Gives the claim up where no hold came of it, so that the next request with the header is served at once.
pub(super) async fn release(gateway: &Gateway, call: &Call) {
    if call.once.is_none() {
        return;
    }
    let (id, tenant) = (call.visit.id, call.caller.key.tenant_id);
    let _turn = gateway.inner.claims.last_turn(tenant).await;
    let gone: Result<_, DbErr> = gateway
        .inner
        .db
        .write_aside(move |tx| {
            Box::pin(async move {
                let ours = Entity::of_remove(tenant).filter(Column::Id.eq(id));
                ours.exec(tx).await
            })
        })
        .await;
    if let Err(error) = gone {
        tracing::warn!(request.id = %id, %error, "an idempotency key was not given up; it is free in two minutes");
    }
}

/// Whether the hold came so late that another call may have taken the claim over. Asked once the hold is durable, since
/// whoever looks at the claim from then on sees the hold.
pub(super) fn is_late(gateway: &Gateway, call: &Call) -> bool {
    call.once.is_some() && gateway.inner.clock.now().since(call.order.now) > HELD_WITHIN
}

/// Inserts the claim, or takes it over from a call that came to nothing.
async fn take(tx: &Tx, row: Model, now: Timestamp) -> Result<Taken, DbErr> {
    for _ in 0..LOOKS {
        let free = OnConflict::columns([Column::KeyId, Column::Digest])
            .do_nothing()
            .to_owned();
        let inserted = Entity::insert(row.clone().into_active_model().reset_all())
            .on_conflict(free)
            .exec_without_returning(tx)
            .await?;
        if inserted == 1 {
            return Ok(Taken::Ours);
        }
        // Locked before the hold is looked for: of two that would take it over, the second sees the first's.
        let earlier = Entity::of(row.tenant_id)
            .filter(Column::KeyId.eq(row.key_id))
            .filter(Column::Digest.eq(row.digest.clone()))
            .lock_exclusive()
            .one(tx)
            .await?;
        let Some(earlier) = earlier else {
            continue;
        };
        let standing = standing(tx, &earlier, now).await?;
        if standing != Standing::Free {
            return Ok(if earlier.request == row.request {
                Taken::Earlier {
                    id: earlier.id,
                    standing,
                }
            } else {
                Taken::OtherRequest { id: earlier.id }
            });
        }
        let taken = Entity::of_change(row.tenant_id)
            .set(row.clone().into_active_model().reset_all())
            .filter(Column::Id.eq(earlier.id))
            .exec(tx)
            .await?;
        if taken.rows_affected == 1 {
            return Ok(Taken::Ours);
        }
    }
    Ok(Taken::Contended)
}

/// The hold is looked for first: a call that ends in between is found by its usage.
async fn standing(tx: &Tx, claim: &Model, now: Timestamp) -> Result<Standing, DbErr> {
    let age = now.since(claim.created_at);
    let running = Standing::Running {
        since: claim.created_at,
    };
    let held = hold::Entity::of(claim.tenant_id)
        .filter(hold::Column::Id.eq(claim.id))
        .one(tx)
        .await?;
    if held.is_some() {
        return Ok(running);
    }
    let used = usage::Entity::of(claim.tenant_id)
        .filter(usage::Column::Id.eq(claim.id))
        .one(tx)
        .await?;
    Ok(match used {
        Some(_) if age >= CALL_CLAIM_KEPT => Standing::Free,
        Some(usage) if usage.finish == Finish::Complete || usage.charge.is_positive() => {
            Standing::Ended {
                finish: usage.finish,
                charge: usage.charge,
                at: usage.ended_at,
            }
        }
        None if age < UNHELD => running,
        Some(_) | None => Standing::Free,
    })
}

/// What the second of two equal requests is told.
fn told(id: HoldId, standing: Standing, now: Timestamp) -> Refusal {
    match standing {
        Standing::Running { since } => {
            let age = now.since(since);
            // Whoever comes back after as long again as it has run by now comes a few times and not a hundred.
            Refusal::new(
                Code::IdempotencyKeyInUse,
                format!(
                    "A call with this {HEADER} is running: {id}, for {} s by now. Wait for it to end; the same request is \
                     made again only if it comes to nothing.",
                    age.as_secs()
                ),
            )
            .after(age.max(SOONEST))
        }
        Standing::Ended { finish, charge, at } => {
            let how = if finish == Finish::Complete {
                "was answered"
            } else {
                "broke off"
            };
            Refusal::new(
                Code::DuplicateRequest,
                format!(
                    "This request was made before under the same {HEADER}: call {id} {how} at {} and was charged {charge} \
                     credits. Answers are not kept; to ask again, and pay again, send another {HEADER}.",
                    minute(at)
                ),
            )
        }
        Standing::Free => unread(),
    }
}

/// The least that a repeated request is made to wait for the first.
const SOONEST: Duration = Duration::from_secs(2);

fn unread() -> Refusal {
    Refusal::new(
        Code::Overloaded,
        format!("The {HEADER} could not be looked up just now. Try again in a moment."),
    )
    .after(Duration::from_secs(2))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use sea_orm::prelude::Uuid;

    use super::*;

    #[test]
    fn a_key_is_visible_ascii_and_no_longer_than_it_may() {
        let longest = [b'k'; LONGEST];
        let table: [(&[u8], bool); 8] = [
            (b"k", true),
            (b"\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", true),
            (&longest, true),
            (&[b'k'; LONGEST + 1], false),
            (b"", false),
            (b"two words", false),
            (b"tab\there", false),
            ("schlüssel".as_bytes(), false),
        ];

        for (text, good) in table {
            assert_eq!(is_well_formed(text), good, "{text:?}");
        }
    }

    #[test]
    fn the_same_text_of_another_key_is_another_claim() {
        let (one, other) = (KeyId::fresh(), KeyId::fresh());

        assert_eq!(header_digest(one, b"a"), header_digest(one, b"a"));
        assert_ne!(header_digest(one, b"a"), header_digest(other, b"a"));
        assert_ne!(header_digest(one, b"a"), header_digest(one, b"b"));
    }

    #[test]
    fn whoever_claims_much_at_once_waits_behind_himself_and_is_told_when_too_many_wait() {
        let claims = Claims::default();
        let (many, other) = (
            TenantId::from_uuid(Uuid::from_u128(1)),
            TenantId::from_uuid(Uuid::from_u128(2)),
        );
        let turn = |tenant| claims.turn(tenant).now_or_never().flatten();

        let mut writing: Vec<_> = (0..AT_ONCE).map(|_| turn(many).expect("a turn")).collect();
        let mut waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| Box::pin(claims.turn(many)))
            .collect();
        for wait in &mut waiting {
            assert!(wait.now_or_never().is_none(), "it waits");
        }
        let too_many = claims.turn(many).now_or_never();
        let others = turn(other);
        drop(writing.pop());
        let next = waiting.first_mut().and_then(FutureExt::now_or_never);

        assert!(matches!(too_many, Some(None)));
        assert!(others.is_some());
        assert!(matches!(next, Some(Some(_))));
    }

    #[test]
    fn whoever_repeats_a_running_call_waits_as_long_again_and_a_minute_at_most() {
        let began = Timestamp::from_micros(1_795_000_000_000_000);
        for (age, wait) in [(0, 2), (1, 2), (7, 7), (30, 30), (3_000, 60)] {
            let now = began.plus(Duration::from_secs(age));

            let refusal = told(HoldId::fresh(), Standing::Running { since: began }, now);

            assert_eq!(
                refusal.retry_after,
                Some(Duration::from_secs(wait)),
                "{age}"
            );
        }
    }
}
