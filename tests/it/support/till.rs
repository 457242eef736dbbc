//! A database with tenants, for promises about credits below the pages: ends with its books proved.

use super::database::TestDatabase;
use billing::audit;
use entity::{
    Credits, Database, MemberId, Platform, Scoped, TenantId, Timestamp, grant, ledger_transaction,
    outbox, tenant,
};
use sea_orm::{ActiveModelTrait, ColumnTrait, DbErr, QueryFilter, Set};

/// The moment every test starts at: 2026-11-18T11:06:40Z.
pub const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

/// A migrated database, open.
pub struct Till {
    /// For operations.
    pub db: Database,
    database: TestDatabase,
}

/// Someone to sell to.
#[derive(Clone, Copy, Debug)]
pub struct Buyer {
    /// Whose wallet.
    pub tenant: TenantId,
    /// Who acts.
    pub member: MemberId,
}

impl Till {
    /// Opens a database of its own.
    pub async fn open() -> Self {
        let database = TestDatabase::migrated().await;
        let db = database.open().await;
        Self { db, database }
    }

    /// A new tenant.
    pub async fn buyer(&self) -> Buyer {
        let buyer = Buyer {
            tenant: TenantId::fresh(),
            member: MemberId::fresh(),
        };
        let row = tenant::ActiveModel {
            id: Set(buyer.tenant),
            name: Set("Test tenant".to_owned()),
            kind: Set(tenant::Kind::Personal),
            status: Set(tenant::Status::Active),
            status_reason: Set(None),
            time_zone: Set("UTC".to_owned()),
            created_at: Set(NOW),
            legacy_ref: Set(None),
            multiplier_ppm: Set(tenant::LIST_PPM),
        };
        let stored: Result<tenant::Model, DbErr> = self
            .db
            .write(|tx| Box::pin(async move { row.insert(tx).await }))
            .await;
        stored.expect("a tenant is stored");
        buyer
    }

    /// What the tenant may spend at a moment.
    pub async fn available(&self, tenant: TenantId, now: Timestamp) -> Credits {
        let balance = billing::ledger::balance(&self.db, tenant, now).await;
        balance.expect("the balance reads").available
    }

    /// The tenant's lots, the oldest first.
    pub async fn lots(&self, tenant: TenantId) -> Vec<grant::Model> {
        let mut lots = grant::Entity::of(tenant)
            .all(self.db.read())
            .await
            .expect("the lots read");
        lots.sort_by_key(|lot| lot.id);
        lots
    }

    /// The ledger transaction of a business key.
    pub async fn booked(&self, tenant: TenantId, key: &str) -> Option<ledger_transaction::Model> {
        ledger_transaction::Entity::of(tenant)
            .filter(ledger_transaction::Column::BusinessKey.eq(key))
            .one(self.db.read())
            .await
            .expect("the ledger reads")
    }

    /// The payloads that wait in the outbox under a topic.
    pub async fn outbox(&self, topic: &str) -> Vec<serde_json::Value> {
        let rows = outbox::Entity::every()
            .all(self.db.read())
            .await
            .expect("the outbox reads");
        rows.into_iter()
            .filter(|row| row.topic == topic)
            .map(|row| serde_json::from_str(&row.payload).expect("payloads are JSON"))
            .collect()
    }

    /// Proves the books, and closes.
    pub async fn finish(self) {
        let report = audit::prove(&self.db, NOW).await.expect("an audit");
        assert!(report.is_clean(), "the books do not add up:\n{report}");
        self.db.close().await.expect("the database closes");
        self.database.drop().await;
    }
}
