//! What a batch reads beside its wallets: who calls, for which models, under which limits and plans, and whether a call
//! that is asked for is there already. All of it in one statement, for a batch waits for each that it makes; and always
//! under the wallets' locks, so that a ban binds at the very next hold.

use crate::{
    admission::{Caller, Offer},
    bulk::{Arm, Union},
    cap::Cap,
};
use chrono_tz::Tz;
use entity::{
    HoldId, KeyId, MemberId, ModelId, PlanVersionId, RuleId, SubscriptionId, TenantId, Timestamp,
    cap, key, member, model, person, tenant,
};
use sea_orm::{ActiveEnum, ConnectionTrait, DbErr, QueryResult, Value};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Who calls.
    pub(super) keys: BTreeSet<KeyId>,
    /// For which models.
    pub(super) models: BTreeSet<ModelId>,
    /// The tenants, members, keys and wallets whose limits bind.
    pub(super) subjects: BTreeSet<Uuid>,
    /// The tenants whose plans count.
    pub(super) planned: BTreeSet<TenantId>,
    /// Calls that should not be there yet.
    pub(super) fresh: BTreeSet<HoldId>,
}

/// One of the things that were found.
#[derive(Debug)]
pub(super) enum Found {
    Caller(KeyId, Caller),
    Offer(ModelId, Offer),
    Cap(TenantId, Cap),
    Plan(Subscription),
    /// A call that is open or has ended.
    Call(HoldId),
}

/// A plan that a tenant has now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscription {
    pub(super) id: SubscriptionId,
    pub(super) tenant: TenantId,
    pub(super) version: PlanVersionId,
    pub(super) period_end: Timestamp,
}

/// Columns: what, id, two further ids, six words, two numbers.
const CALLERS: Arm = Arm {
    head: r#"SELECT CAST(0 AS bigint), k."id", k."tenant_id", k."member_id", k."status", k."pay_order", m."status",
        p."status", t."status", t."time_zone", k."expires_at", k."created_at" FROM "key" k
        JOIN "member" m ON m."id" = k."member_id" JOIN "person" p ON p."id" = m."person_id"
        JOIN "tenant" t ON t."id" = k."tenant_id" WHERE k."id""#,
    tail: "",
};
const OFFERS: Arm = Arm {
    head: r#"SELECT CAST(1 AS bigint), "id", "id", "id", "status", "name", '', '', '', '', CAST(NULL AS bigint),
        CAST(0 AS bigint) FROM "model" WHERE "id""#,
    tail: "",
};
const CAPS: Arm = Arm {
    head: r#"SELECT CAST(2 AS bigint), "id", "tenant_id", "subject_id", "bearer", "meter", "window", "models", '', '',
        "most", "created_at" FROM "cap" WHERE "subject_id""#,
    tail: "",
};
const PLANS: Arm = Arm {
    head: r#"SELECT CAST(3 AS bigint), "id", "tenant_id", "plan_version_id", '', '', '', '', '', '', "period_end",
        "created_at" FROM "subscription" WHERE "tenant_id""#,
    tail: r#" AND "status" IN ('active', 'past_due', 'canceling') AND "period_start" <= {} AND "period_end" > {}"#,
};
const OPEN: Arm = Arm {
    head: r#"SELECT CAST(4 AS bigint), "id", "id", "id", '', '', '', '', '', '', CAST(NULL AS bigint),
        CAST(0 AS bigint) FROM "hold" WHERE "id""#,
    tail: "",
};
const ENDED: Arm = Arm {
    head: r#"SELECT CAST(4 AS bigint), "id", "id", "id", '', '', '', '', '', '', CAST(NULL AS bigint),
        CAST(0 AS bigint) FROM "usage" WHERE "id""#,
    tail: "",
};

impl Wishes {
    /// What is wished for here and was not there.
    pub(super) fn beyond(&self, before: &Self) -> Self {
        Self {
            keys: beyond(&self.keys, &before.keys),
            models: beyond(&self.models, &before.models),
            subjects: beyond(&self.subjects, &before.subjects),
            planned: beyond(&self.planned, &before.planned),
            fresh: beyond(&self.fresh, &before.fresh),
        }
    }

    /// Reads all of it; without a statement where nothing is wished for.
    pub(super) async fn read(
        &self,
        tx: &impl ConnectionTrait,
        now: Timestamp,
    ) -> Result<Vec<Found>, DbErr> {
        let fresh: Vec<Uuid> = self.fresh.iter().map(|id| id.uuid()).collect();
        let now: Value = now.micros().into();
        let mut union = Union::on(tx);
        union.add(&CALLERS, self.keys.iter().map(|id| id.uuid()), &[]);
        union.add(&OFFERS, self.models.iter().map(|id| id.uuid()), &[]);
        union.add(&CAPS, self.subjects.iter().copied(), &[]);
        let planned = self.planned.iter().map(|id| id.uuid());
        union.add(&PLANS, planned, &[now.clone(), now]);
        union.add(&OPEN, fresh.iter().copied(), &[]);
        union.add(&ENDED, fresh, &[]);
        let rows = union.read(tx).await?;
        rows.iter().map(found).collect()
    }
}

fn beyond<T: Copy + Ord>(all: &BTreeSet<T>, before: &BTreeSet<T>) -> BTreeSet<T> {
    all.difference(before).copied().collect()
}

fn found(row: &QueryResult) -> Result<Found, DbErr> {
    let id: Uuid = row.try_get_by_index(1)?;
    let second: Uuid = row.try_get_by_index(2)?;
    let third: Uuid = row.try_get_by_index(3)?;
    let word = |place: usize| row.try_get_by_index::<String>(place);
    Ok(match row.try_get_by_index::<i64>(0)? {
        0 => {
            let caller = Caller {
                tenant: TenantId::from_uuid(second),
                member: MemberId::from_uuid(third),
                key_status: key::Status::try_from_value(&word(4)?)?,
                key_expires_at: row
                    .try_get_by_index::<Option<i64>>(10)?
                    .map(Timestamp::from_micros),
                pay_order: key::PayOrder::try_from_value(&word(5)?)?,
                member_status: member::Status::try_from_value(&word(6)?)?,
                person_status: person::Status::try_from_value(&word(7)?)?,
                tenant_status: tenant::Status::try_from_value(&word(8)?)?,
                zone: word(9)?.parse().unwrap_or(Tz::UTC),
            };
            Found::Caller(KeyId::from_uuid(id), caller)
        }
        1 => {
            let offer = Offer {
                name: word(5)?,
                status: model::Status::try_from_value(&word(4)?)?,
            };
            Found::Offer(ModelId::from_uuid(id), offer)
        }
        2 => {
            let row = cap::Model {
                id: RuleId::from_uuid(id),
                tenant_id: TenantId::from_uuid(second),
                bearer: cap::Bearer::try_from_value(&word(4)?)?,
                subject_id: third,
                meter: cap::Meter::try_from_value(&word(5)?)?,
                window: word(6)?,
                models: word(7)?,
                most: row.try_get_by_index(10)?,
                created_at: Timestamp::from_micros(row.try_get_by_index(11)?),
            };
            Found::Cap(row.tenant_id, Cap::of(&row)?)
        }
        3 => Found::Plan(Subscription {
            id: SubscriptionId::from_uuid(id),
            tenant: TenantId::from_uuid(second),
            version: PlanVersionId::from_uuid(third),
            period_end: Timestamp::from_micros(row.try_get_by_index(10)?),
        }),
        _ => Found::Call(HoldId::from_uuid(id)),
    })
}
