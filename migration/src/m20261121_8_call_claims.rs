//! Which call an `Idempotency-Key` of an API key stands for, so that a request that is sent twice is one call.

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

// No foreign keys to hold or usage: a claim comes before its call's hold, and the hold goes before the usage comes.
const STEPS: &[Step] = &[
    Step::Table(
        "call_claim",
        r#""id" {id} NOT NULL PRIMARY KEY,
           "tenant_id" {id} NOT NULL,
           "key_id" {id} NOT NULL,
           "digest" {bytes} NOT NULL,
           "request" {bytes} NOT NULL,
           "created_at" {int} NOT NULL,
           FOREIGN KEY ("tenant_id") REFERENCES "tenant" ("id"),
           UNIQUE ("key_id", "digest"),
           CHECK (length("digest") = 32),
           CHECK (length("request") = 32)"#,
    ),
    Step::Index(r#"CREATE INDEX "call_claim_tenant" ON "call_claim" ("tenant_id")"#),
    Step::Index(r#"CREATE INDEX "call_claim_created" ON "call_claim" ("created_at")"#),
];
