//! What a lane knows before it reads: plan versions, which never change, and wallets as it left them itself.

use crate::{
    admission::{Memory, Wallet},
    plan::Plan,
};
use entity::{PlanVersionId, Platform, TenantId, plan, plan_version, wallet};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Plan versions that were read before; they never change.
#[derive(Clone, Debug, Default)]
pub(super) struct PlanCache(Arc<Mutex<HashMap<PlanVersionId, CachedPlan>>>);

/// What a lane knows before it reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) plans: PlanCache,
    /// Wallets as this lane left them; no other lane's.
    memory: Arc<Mutex<Memory>>,
}

impl Known {
    /// What another lane may know too.
    pub(super) fn shared(&self) -> Self {
        Self {
            plans: self.plans.clone(),
            memory: Arc::default(),
        }
    }

    /// Keeps wallets as a committed batch left them.
    pub(super) fn keep(&self, wallets: HashMap<TenantId, Wallet>) {
        self.lock().keep(wallets.into_values());
    }

    /// The wallets that are as they were left, and the rows of the others.
    pub(super) fn recall(
        &self,
        rows: Vec<wallet::Model>,
    ) -> (HashMap<TenantId, Wallet>, Vec<wallet::Model>) {
        let mut memory = self.lock();
        let (mut kept, mut others) = (HashMap::with_capacity(rows.len()), Vec::new());
        for row in rows {
            match memory.recall(&row) {
                Some(wallet) => {
                    kept.insert(row.tenant_id, wallet);
                }
                None => others.push(row),
            }
        }
        (kept, others)
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Debug)]
pub(super) struct CachedPlan {
    pub(super) name: String,
    pub(super) rules: Arc<Plan>,
    pub(super) pays: bool,
}

impl PlanCache {
    pub(super) async fn read(
        &self,
        tx: &impl ConnectionTrait,
        version: PlanVersionId,
    ) -> Result<CachedPlan, DbErr> {
        let known = self.lock().get(&version).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let lost = || DbErr::RecordNotFound(format!("plan_version {version}"));
        let row = plan_version::Entity::every()
            .filter(plan_version::Column::Id.eq(version))
            .one(tx)
            .await?
            .ok_or_else(lost)?;
        let plan = plan::Entity::every()
            .filter(plan::Column::Id.eq(row.plan_id))
            .one(tx)
            .await?
            .ok_or_else(lost)?;
        let rules = Plan::from_json(&row.document).map_err(|fault| {
            DbErr::Custom(format!(
                "inconsistent: plan_version.document of {version}: {fault}"
            ))
        })?;
        let read = CachedPlan {
            name: plan.title,
            rules: Arc::new(rules),
            pays: row.allowance.is_positive(),
        };
        self.lock().insert(version, read.clone());
        Ok(read)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PlanVersionId, CachedPlan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
