//! After a change of pepper: a key's digest moves to the newest one when the key is used, for only then is its text
//! at hand.

use super::{digest::Keys, inspect::WellFormed};
use entity::{
    Database, Scoped,
    key::{Column, Entity, Model},
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};

/// Moves the digest of the key `row`, whose text is `text`, to the newest pepper. Says whether it did: a key that is
/// there already, or that another process moved, is left as it is.
///
/// # Errors
/// When the database fails.
pub async fn move_to_newest_pepper(
    db: &Database,
    keys: &Keys,
    row: &Model,
    text: &WellFormed,
) -> Result<bool, DbErr> {
    let Some(digest) = keys.digest_after(row.pepper_version, text) else {
        return Ok(false);
    };
    let (tenant, id, old) = (row.tenant_id, row.id, row.pepper_version);
    db.write(move |tx| {
        Box::pin(async move {
            let moved = Entity::of_change(tenant)
                .col_expr(Column::Digest, digest.bytes().to_vec().into())
                .col_expr(
                    Column::PepperVersion,
                    i64::from(digest.pepper_version()).into(),
                )
                .filter(Column::Id.eq(id))
                .filter(Column::PepperVersion.eq(old))
                .exec(tx)
                .await?;
            Ok(moved.rows_affected == 1)
        })
    })
    .await
}
