//! What a refused call sent that mattered, how a channel wants to be asked, its further keys, what was tried in vain, and
//! how channels were last found.

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
    Step::Column("rejection", "path", "{text}"),
    Step::Column("rejection", "headers", "{text}"),
    Step::Column("rejection", "fix", "{text}"),
    Step::Column("channel", "options", "{text} NOT NULL DEFAULT '{}'"),
    Step::Table(
        "channel_key",
        r#""id" {id} NOT NULL PRIMARY KEY,
           "channel_id" {id} NOT NULL,
           "secret" {bytes} NOT NULL,
           "hint" {text} NOT NULL,
           "status" {text} NOT NULL CHECK ("status" IN ('active', 'refused')),
           "status_reason" {text},
           "created_at" {int} NOT NULL,
           FOREIGN KEY ("channel_id") REFERENCES "channel" ("id")"#,
    ),
    Step::Index(r#"CREATE INDEX "channel_key_channel" ON "channel_key" ("channel_id")"#),
    Step::Table(
        "attempt",
        r#""id" {id} NOT NULL PRIMARY KEY,
           "call_id" {id} NOT NULL,
           "channel_id" {id} NOT NULL,
           "model_id" {id} NOT NULL,
           "status" {int},
           "fault" {text} NOT NULL,
           "took_ms" {int} NOT NULL,
           "cost" {int},
           "created_at" {int} NOT NULL,
           CHECK ("took_ms" >= 0),
           CHECK ("cost" IS NULL OR "cost" >= 0)"#,
    ),
    Step::Index(r#"CREATE INDEX "attempt_channel" ON "attempt" ("channel_id", "created_at")"#),
    Step::Index(r#"CREATE INDEX "attempt_call" ON "attempt" ("call_id")"#),
    Step::Table(
        "channel_check",
        r#""channel_id" {id} NOT NULL PRIMARY KEY,
           "checked_at" {int} NOT NULL,
           "took_ms" {int} NOT NULL,
           "failures" {int} NOT NULL,
           "fault" {text},
           "listed" {text},
           "listed_at" {int},
           "ignored" {text} NOT NULL,
           FOREIGN KEY ("channel_id") REFERENCES "channel" ("id")"#,
    ),
];
