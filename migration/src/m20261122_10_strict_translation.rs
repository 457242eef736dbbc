//! Whether a group refuses what a translation would have to leave out.

use crate::ddl::{self, Step};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::add(manager.get_connection(), STEPS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::remove(manager.get_connection(), STEPS).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const STEPS: &[Step] = &[Step::Column(
    "group",
    "strict_translation",
    "{bool} NOT NULL DEFAULT FALSE",
)];
