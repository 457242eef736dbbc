//! What a tenant's plans say before any call: which models they offer, and at which multiplier. Read at every call, so
//! remembered for moments; the hold decides again, on rows it has locked.

use super::PPM_LIST;
use super::{Plan, Rate};
use crate::cap::Cap;
use crate::subscription;
use entity::key::PayOrder;
use entity::{
    Database, GroupId, KeyId, MemberId, Platform, Scoped, TenantId, Timestamp, cap, tenant,
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// How long a deal is believed where another process may have changed it.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// Tenants remembered; past this many all are forgotten.
const TENANTS_MAX: usize = 10_000;

/// Who makes a call, as far as its rates go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payer {
    /// Whose credits.
    pub tenant: TenantId,
    /// Who.
    pub member: MemberId,
    /// With which key.
    pub key: KeyId,
    /// What pays for its calls.
    pub pay_order: PayOrder,
}

/// The plans of one tenant, by their place in the stack.
#[derive(Clone, Debug, Default)]
pub struct Deal {
    /// Plans with an allowance: their rules say what it may pay for.
    paying: Vec<Plan>,
    /// Plans of rules alone: they say what the tenant may do with any credits.
    governing: Vec<Plan>,
    /// What the tenant, its members and its keys may do in a minute.
    rates: Vec<Cap>,
    /// The tenant's own multiplier in parts per million; none is one.
    tenant_ppm: Option<i64>,
}

/// A limit on what passes in a minute, with whom it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateOf {
    /// The tenant, member or key; a plan's rate counts for the tenant.
    pub subject: Uuid,
    /// What may pass.
    pub rate: Rate,
}

impl Deal {
    /// Whether a key of this group may use the model, as far as plans have a say: some plan of rules alone allows it,
    /// where there are such, and some plan with an allowance does, where nothing else may pay.
    pub fn offers(&self, model: &str, group: GroupId, pay_order: PayOrder) -> bool {
        let any = |plans: &[Plan]| plans.iter().any(|plan| plan.offers(model, group));
        let governed = self.governing.is_empty() || any(&self.governing);
        governed && (pay_order != PayOrder::PlanOnly || any(&self.paying))
    }

    /// What of this key's calls may pass in a minute: by the limits of tenant, member and key, and by the plan that
    /// has a say first.
    pub fn rates(&self, model: &str, group: GroupId, payer: &Payer) -> Vec<RateOf> {
        let subjects = [payer.tenant.uuid(), payer.member.uuid(), payer.key.uuid()];
        let own = self
            .rates
            .iter()
            .filter(|cap| subjects.contains(&cap.subject))
            .filter_map(|cap| {
                let subject = cap.subject;
                cap.rate().map(|rate| RateOf { subject, rate })
            });
        let plan = self
            .plan(model, group, payer.pay_order)
            .and_then(Plan::rate)
            .map(|rate| RateOf {
                subject: payer.tenant.uuid(),
                rate,
            });
        own.chain(plan).collect()
    }

    /// The first plan that has a say and offers the model.
    fn plan(&self, model: &str, group: GroupId, pay_order: PayOrder) -> Option<&Plan> {
        let paying: &[Plan] = match pay_order {
            PayOrder::WalletOnly => &[],
            PayOrder::PlanOnly | PayOrder::PlanThenWallet => &self.paying,
        };
        paying
            .iter()
            .chain(&self.governing)
            .find(|plan| plan.offers(model, group))
    }

    /// The multiplier of a call in parts per million: the group's, times the tenant's, times that of the first plan that
    /// has a say and offers the model, rounded up once. It holds for the whole call, whatever credits pay for it.
    pub fn multiplier_ppm(
        &self,
        model: &str,
        group: GroupId,
        pay_order: PayOrder,
        group_ppm: i64,
    ) -> i64 {
        let plan = self.plan(model, group, pay_order);
        let plan_ppm = plan.map_or(PPM_LIST, |plan| plan.multiplier_ppm(model));
        let tenant_ppm = self.tenant_ppm.unwrap_or(i64::from(PPM_LIST));
        let product = i128::from(group_ppm)
            .saturating_mul(i128::from(plan_ppm))
            .saturating_mul(i128::from(tenant_ppm));
        let scale = i128::from(PPM_LIST).saturating_mul(i128::from(PPM_LIST));
        let up = product.saturating_add(scale.saturating_sub(1));
        i64::try_from(up.div_euclid(scale)).unwrap_or(i64::MAX)
    }
}

/// The deals of all tenants, each read when first asked for. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Deals {
    db: Database,
    known: Arc<Mutex<HashMap<TenantId, Known>>>,
}

#[derive(Clone, Debug)]
struct Known {
    deal: Arc<Deal>,
    generation: u64,
    until: Timestamp,
}

impl Deals {
    /// Knows nothing yet.
    pub fn new(db: Database) -> Self {
        Self {
            db,
            known: Arc::default(),
        }
    }

    /// The tenant's deal.
    pub async fn of(&self, tenant: TenantId, now: Timestamp) -> Result<Arc<Deal>, DbErr> {
        let generation = self.db.generation();
        if let Some(known) = self.known(tenant)
            && known.generation == generation
            && now < known.until
        {
            return Ok(known.deal);
        }
        let (deal, until) = read(&self.db, tenant, now).await?;
        let known = Known {
            deal: Arc::new(deal),
            generation,
            until,
        };
        let deal = known.deal.clone();
        self.remember(tenant, known);
        Ok(deal)
    }

    fn known(&self, tenant: TenantId) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&tenant).cloned()
    }

    fn remember(&self, tenant: TenantId, deal: Known) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= TENANTS_MAX {
            known.clear();
        }
        known.insert(tenant, deal);
    }
}

async fn read(db: &Database, tenant: TenantId, now: Timestamp) -> Result<(Deal, Timestamp), DbErr> {
    let mut deal = Deal::default();
    let mut until = now.plus(FRESH_FOR);
    for current in subscription::current(db, tenant, now).await? {
        let version = current.version;
        let plan = Plan::from_json(&version.document).map_err(|fault| {
            DbErr::Custom(format!("plan_version.document of {}: {fault}", version.id))
        })?;
        until = until.min(current.subscription.period_end);
        if version.allowance.is_positive() {
            deal.paying.push(plan);
        } else {
            deal.governing.push(plan);
        }
    }
    let per_minute = [cap::Meter::RequestsPerMinute, cap::Meter::TokensPerMinute];
    let rows = cap::Entity::of(tenant)
        .filter(cap::Column::Meter.is_in(per_minute))
        .all(db.read())
        .await?;
    let tenant = tenant::Entity::every()
        .filter(tenant::Column::Id.eq(tenant))
        .one(db.read())
        .await?;
    deal.tenant_ppm = tenant.map(|tenant| tenant.multiplier_ppm);
    deal.rates = rows.iter().map(Cap::of).collect::<Result<_, _>>()?;
    Ok((deal, until))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rules: &str) -> Plan {
        Plan::from_json(&format!(r#"{{"version":1,"rules":[{rules}]}}"#)).expect("a plan")
    }

    fn deal(paying: &[&str], governing: &[&str]) -> Deal {
        let plans = |rules: &[&str]| rules.iter().map(|rules| plan(rules)).collect();
        Deal {
            paying: plans(paying),
            governing: plans(governing),
            rates: Vec::new(),
            tenant_ppm: None,
        }
    }

    const GPT: &str = r#"{"rule":"models_allowed","patterns":["gpt-*"]}"#;
    const CLAUDE: &str = r#"{"rule":"models_allowed","patterns":["claude-*"]}"#;

    #[test]
    fn plans_say_what_is_offered_where_they_have_a_say() {
        use PayOrder::{PlanOnly, PlanThenWallet, WalletOnly};
        let table = [
            (deal(&[], &[]), WalletOnly, true),
            (deal(&[], &[]), PlanOnly, false),
            (deal(&[CLAUDE], &[]), PlanThenWallet, true),
            (deal(&[CLAUDE], &[]), PlanOnly, false),
            (deal(&[CLAUDE, GPT], &[]), PlanOnly, true),
            (deal(&[], &[CLAUDE]), PlanThenWallet, false),
            (deal(&[], &[CLAUDE, GPT]), WalletOnly, true),
            (deal(&[GPT], &[CLAUDE]), PlanThenWallet, false),
        ];

        for (deal, pay_order, offered) in table {
            let said = deal.offers("gpt-5", GroupId::fresh(), pay_order);
            assert_eq!(said, offered, "{deal:?} {pay_order:?}");
        }
    }

    #[test]
    fn the_first_plan_that_offers_a_model_sets_its_multiplier() {
        let half = r#"{"rule":"multiplier","patterns":["gpt-*"],"ppm":500000}"#;
        let double = r#"{"rule":"multiplier","patterns":["*"],"ppm":2000000}"#;
        let deal = deal(&[CLAUDE, half], &[double]);
        let factor = |model, pay_order, group_ppm| {
            deal.multiplier_ppm(model, GroupId::fresh(), pay_order, group_ppm)
        };

        assert_eq!(
            factor("gpt-5", PayOrder::PlanThenWallet, 1_000_000),
            500_000
        );
        assert_eq!(factor("gpt-5", PayOrder::WalletOnly, 1_000_000), 2_000_000);
        assert_eq!(
            factor("claude-1", PayOrder::PlanThenWallet, 1_200_000),
            1_200_000
        );
        assert_eq!(factor("gpt-5", PayOrder::PlanThenWallet, 1), 1);
        assert_eq!(factor("gpt-5", PayOrder::PlanThenWallet, 0), 0);
        assert_eq!(factor("gpt-5", PayOrder::WalletOnly, i64::MAX), i64::MAX);
    }

    #[test]
    fn group_plan_and_tenant_multiply_and_round_up_once() {
        let third = r#"{"rule":"multiplier","patterns":["*"],"ppm":333333}"#;
        let factor = |tenant_ppm, group_ppm| {
            let deal = Deal {
                tenant_ppm: Some(tenant_ppm),
                ..deal(&[], &[third])
            };
            deal.multiplier_ppm("m", GroupId::fresh(), PayOrder::WalletOnly, group_ppm)
        };

        assert_eq!(factor(900_000, 1_000_000), 300_000);
        assert_eq!(factor(3, 1), 1, "never to nothing");
        assert_eq!(factor(3_000_000, 2_000_000), 1_999_998);
        assert_eq!(factor(1_000_000_000, i64::MAX), i64::MAX);
    }
}
