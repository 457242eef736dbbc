//! Making a key: the one moment it can be read.

use super::{
    digest::Keys,
    form::{KeyName, KeySecret},
};
use crate::{right::SignedIn, trail};
use entity::{
    Database, GroupId, KeyId, Platform, Scoped, Timestamp, Tx, audit_trail, group,
    key::{Column, Entity, Model, PayOrder, Status},
    member,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::json;
use std::time::Duration;

/// Keys of one member that are not revoked.
pub const MAX_KEYS: u64 = 100;
/// Keys of one member that are made within an hour, revoked ones too.
pub const MAX_KEYS_HOURLY: u64 = 20;
const HOURLY_SPAN: Duration = Duration::from_hours(1);

/// What a key is made with.
#[derive(Clone, Debug)]
pub struct IssueKey {
    /// What its holder calls it.
    pub name: KeyName,
    /// Which shelf it buys from; the default one where none is said.
    pub group: Option<GroupId>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// What pays for its calls.
    pub pay_order: PayOrder,
}

impl IssueKey {
    /// A key for the default group that does not expire and spends the plan before the wallet.
    pub const fn named(name: KeyName) -> Self {
        Self {
            name,
            group: None,
            expires_at: None,
            pay_order: PayOrder::PlanThenWallet,
        }
    }
}

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub enum IssueKeyError {
    /// The member's role holds no keys.
    #[error("the role holds no keys")]
    NotAllowed,
    /// The member was banned since their page was shown.
    #[error("the member is banned")]
    Banned,
    /// There is no such group, or it is closed, or none is the default.
    #[error("no such group")]
    NoGroup,
    /// It would have stopped working before it was made.
    #[error("the expiry is in the past")]
    ExpiryPassed,
    /// The member has as many as may be: revoke some.
    #[error("{MAX_KEYS} keys are the most a member may have")]
    TooMany,
    /// The member made many within the last hour: wait.
    #[error("{MAX_KEYS_HOURLY} keys are the most a member may make in an hour")]
    TooFast {
        /// When the next may be made.
        retry_at: Timestamp,
    },
    /// The database failed.
    #[error("database")]
    Store(#[from] DbErr),
}

/// Makes a key of the member's own. Its text comes back once and is stored nowhere.
///
/// # Errors
/// As the variants say.
#[tracing::instrument(name = "identity.key.issue", skip_all, fields(tenant.id = %right.tenant()))]
pub async fn issue(
    db: &Database,
    keys: &Keys,
    right: &SignedIn,
    order: IssueKey,
    now: Timestamp,
) -> Result<(KeySecret, Model), IssueKeyError> {
    if !right.may_hold_keys() {
        return Err(IssueKeyError::NotAllowed);
    }
    if order.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(IssueKeyError::ExpiryPassed);
    }
    let secret = keys.form().draw();
    let digest = keys.digest_of_new(&secret);
    let mut row = Model {
        id: KeyId::fresh(),
        tenant_id: right.tenant,
        member_id: right.member,
        group_id: GroupId::from_uuid(right.tenant.uuid()),
        name: order.name.as_str().to_owned(),
        prefix: keys.form().prefix().to_owned(),
        last4: secret.last4().to_owned(),
        digest: digest.bytes().to_vec(),
        scheme: digest.scheme(),
        pepper_version: i64::from(digest.pepper_version()),
        status: Status::Active,
        pay_order: order.pay_order,
        expires_at: order.expires_at,
        created_at: now,
        revoked_at: None,
        last_used_at: None,
        legacy_ref: None,
    };
    let actor = right.actor();
    let row = db
        .write(move |tx| {
            Box::pin(async move {
                row.group_id = open_group(tx, order.group).await?;
                make_sure_of_room_in(tx, &row).await?;
                Entity::insert(row.clone().into_active_model().reset_all())
                    .exec_without_returning(tx)
                    .await?;
                let line = audit_trail::Entry {
                    tenant: Some(row.tenant_id),
                    detail: Some(json!({ "group": row.group_id, "last4": row.last4 })),
                    ..trail::line(actor, "key.issue", ("key", row.id))
                };
                audit_trail::append(tx, line, now).await?;
                Ok::<_, IssueKeyError>(row)
            })
        })
        .await?;
    Ok((secret, row))
}

/// The group asked for, or the default one, if keys may be made in it.
async fn open_group(tx: &Tx, asked: Option<GroupId>) -> Result<GroupId, IssueKeyError> {
    let wanted = match asked {
        Some(group) => group::Column::Id.eq(group),
        None => group::Column::IsDefault.eq(true),
    };
    let found = group::Entity::every()
        .filter(wanted)
        .filter(group::Column::Status.eq(group::Status::Active))
        .one(tx)
        .await?;
    found.map(|group| group.id).ok_or(IssueKeyError::NoGroup)
}

/// Under the member's lock, so that keys made at once do not pass the limit together.
async fn make_sure_of_room_in(tx: &Tx, row: &Model) -> Result<(), IssueKeyError> {
    member::Entity::of(row.tenant_id)
        .filter(member::Column::Id.eq(row.member_id))
        .filter(member::Column::Status.eq(member::Status::Active))
        .lock_exclusive()
        .one(tx)
        .await?
        .ok_or(IssueKeyError::Banned)?;
    let live = Entity::of(row.tenant_id)
        .filter(Column::MemberId.eq(row.member_id))
        .filter(Column::Status.ne(Status::Revoked))
        .count(tx)
        .await?;
    if live >= MAX_KEYS {
        return Err(IssueKeyError::TooMany);
    }
    let recent = Entity::of(row.tenant_id)
        .filter(Column::MemberId.eq(row.member_id))
        .filter(Column::CreatedAt.gt(row.created_at.minus(HOURLY_SPAN)))
        .order_by_desc(Column::CreatedAt)
        .limit(MAX_KEYS_HOURLY)
        .all(tx)
        .await?;
    // The oldest of as many as may be: when it is an hour old, there is room for one.
    match recent.last() {
        Some(oldest) if u64::try_from(recent.len()).is_ok_and(|made| made >= MAX_KEYS_HOURLY) => {
            Err(IssueKeyError::TooFast {
                retry_at: oldest.created_at.plus(HOURLY_SPAN),
            })
        }
        _ => Ok(()),
    }
}
