//! What a group's calls are charged of what had to be counted, since their upstream did not say.

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
    "counted_ppm",
    r#"{int} NOT NULL DEFAULT 1000000 CHECK ("counted_ppm" > 0 AND "counted_ppm" <= 1000000000)"#,
)];
