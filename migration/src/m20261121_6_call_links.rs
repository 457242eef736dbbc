//! What is known of a call beside its usage: that it repeats another, and that its upstream's count is doubtful.

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

// No foreign keys to usage: it is partitioned, and a row here may come a moment before its call is settled.
const STEPS: &[Step] = &[
    Step::Table(
        "call_link",
        r#""id" {id} NOT NULL PRIMARY KEY,
           "tenant_id" {id} NOT NULL,
           "repeats_id" {id} NOT NULL,
           "created_at" {int} NOT NULL,
           FOREIGN KEY ("tenant_id") REFERENCES "tenant" ("id"),
           CHECK ("id" <> "repeats_id")"#,
    ),
    Step::Index(r#"CREATE INDEX "call_link_repeats" ON "call_link" ("repeats_id")"#),
    Step::Index(r#"CREATE INDEX "call_link_tenant" ON "call_link" ("tenant_id")"#),
    Step::Table(
        "usage_doubt",
        r#""id" {id} NOT NULL PRIMARY KEY,
           "tenant_id" {id} NOT NULL,
           "channel_id" {id} NOT NULL,
           "model_id" {id} NOT NULL,
           "reason" {text} NOT NULL,
           "charged" {int} NOT NULL,
           "created_at" {int} NOT NULL,
           FOREIGN KEY ("tenant_id") REFERENCES "tenant" ("id")"#,
    ),
    Step::Index(r#"CREATE INDEX "usage_doubt_tenant" ON "usage_doubt" ("tenant_id")"#),
];
