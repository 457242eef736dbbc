//! Which drawing of a call each of its lots belongs to, so that the order of drawing can be proved afterwards.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: [&str; 2] = ["hold_allocation", "usage_allocation"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for table in TABLES {
            // Both databases keep the default beside the table: no row is written again.
            let add =
                format!(r#"ALTER TABLE "{table}" ADD COLUMN "draw" bigint NOT NULL DEFAULT 0"#);
            let add = match db.get_database_backend() {
                DbBackend::Sqlite => add.replace("bigint", "INTEGER"),
                _ => add,
            };
            db.execute_unprepared(&add).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for table in TABLES {
            db.execute_unprepared(&format!(r#"ALTER TABLE "{table}" DROP COLUMN "draw""#))
                .await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
