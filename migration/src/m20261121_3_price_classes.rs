//! Prices and counts of more classes, a tenant's own multiplier, what is given back of a call, and how many codes of a
//! batch one member may redeem.

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

const STEPS: &[Step] = &[
    Step::Column("price_version", "classes", "{text}"),
    Step::Column("price_version", "cost_classes", "{text}"),
    Step::Column("price_version", "cost_tiers", "{text}"),
    Step::Column(
        "usage",
        "input_audio_tokens",
        r#"{int} NOT NULL DEFAULT 0 CHECK ("input_audio_tokens" >= 0)"#,
    ),
    Step::Column(
        "usage",
        "input_image_tokens",
        r#"{int} NOT NULL DEFAULT 0 CHECK ("input_image_tokens" >= 0)"#,
    ),
    Step::Column(
        "usage",
        "output_audio_tokens",
        r#"{int} NOT NULL DEFAULT 0 CHECK ("output_audio_tokens" >= 0)"#,
    ),
    Step::Column(
        "usage",
        "output_image_tokens",
        r#"{int} NOT NULL DEFAULT 0 CHECK ("output_image_tokens" >= 0)"#,
    ),
    Step::Column(
        "usage",
        "web_searches",
        r#"{int} NOT NULL DEFAULT 0 CHECK ("web_searches" >= 0)"#,
    ),
    Step::Column(
        "usage",
        "file_searches",
        r#"{int} NOT NULL DEFAULT 0 CHECK ("file_searches" >= 0)"#,
    ),
    Step::Column(
        "tenant",
        "multiplier_ppm",
        r#"{int} NOT NULL DEFAULT 1000000 CHECK ("multiplier_ppm" > 0 AND "multiplier_ppm" <= 1000000000)"#,
    ),
    Step::Column(
        "code_batch",
        "most_per_member",
        r#"{int} CHECK ("most_per_member" IS NULL OR "most_per_member" > 0)"#,
    ),
    Step::Table(
        "usage_adjustment",
        r#""id" {id} NOT NULL PRIMARY KEY,
           "tenant_id" {id} NOT NULL,
           "usage_id" {id} NOT NULL,
           "transaction_id" {id} NOT NULL UNIQUE,
           "amount" {int} NOT NULL,
           "reason" {text} NOT NULL,
           "created_at" {int} NOT NULL,
           FOREIGN KEY ("tenant_id") REFERENCES "tenant" ("id"),
           CHECK ("amount" > 0)"#,
    ),
    Step::Index(
        r#"CREATE INDEX "usage_adjustment_usage" ON "usage_adjustment" ("usage_id", "id")"#,
    ),
    Step::AppendOnly("usage_adjustment"),
    Step::Index(
        r#"CREATE INDEX "ledger_transaction_tenant" ON "ledger_transaction" ("tenant_id", "id")"#,
    ),
    Step::Index(
        r#"CREATE INDEX "ledger_transaction_posted" ON "ledger_transaction" ("tenant_id", "posted_at")"#,
    ),
];
