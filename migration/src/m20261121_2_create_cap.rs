//! Limits that tenants, members, keys and credit lines have of their own.

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
    Step::Table(
        "cap",
        r#""id" {id} NOT NULL PRIMARY KEY,
           "tenant_id" {id} NOT NULL,
           "bearer" {text} NOT NULL CHECK ("bearer" IN ('tenant', 'member', 'key', 'credit_line')),
           "subject_id" {id} NOT NULL,
           "meter" {text} NOT NULL CHECK ("meter" IN ('open_calls', 'credits', 'requests', 'requests_per_minute', 'tokens_per_minute')),
           "window" {text} NOT NULL,
           "models" {text} NOT NULL,
           "most" {int} NOT NULL,
           "created_at" {int} NOT NULL,
           UNIQUE ("subject_id", "meter", "window", "models"),
           FOREIGN KEY ("tenant_id") REFERENCES "tenant" ("id"),
           CHECK ("most" > 0 AND "most" <= 4000000000000000000)"#,
    ),
    Step::Index(r#"CREATE INDEX "cap_tenant" ON "cap" ("tenant_id")"#),
];
