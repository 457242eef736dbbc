//! What happens to a wallet beside calls: credits come and lapse, operators freeze, ban, block and limit.

use super::{Happening, World};
use crate::model::{self, Bind, Lot as ModelLot, State};
use billing_core::{
    admission::{Lot, Scope, Subscribed},
    cap::{Cap, Limit},
    plan::{Plan, Quantity, Window},
};
use entity::{
    Credits, GrantId, RuleId, SubscriptionId, TenantId, Timestamp, cap::Bearer, grant,
    ledger_entry::Account, ledger_transaction::Kind, member, model as model_row, wallet,
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

const SCOPES: [&[&str]; 4] = [&[], &["gpt-*"], &["claude"], &["gpt-5", "claude"]];
const MOST: [(Bind, i64, i64); 4] = [
    (Bind::KeySpend, 20, 300),
    (Bind::TenantSpend, 50, 600),
    (Bind::TenantCalls, 3, 25),
    (Bind::Line, 10, 200),
];

impl World<'_> {
    pub fn grant(&mut self) {
        let tenant = self.some_tenant();
        let hours = self.chance.between(0, 5);
        let until = (hours > 0).then(|| self.now.plus(Duration::from_hours(hours.unsigned_abs())));
        let later = self.chance.hits(15);
        let from = if later {
            self.now.plus(Duration::from_mins(20))
        } else {
            self.now
        };
        let lot = self.lot(tenant, from, until, None);
        self.come_in(lot);
    }

    fn lot(
        &mut self,
        tenant: TenantId,
        from: Timestamp,
        until: Option<Timestamp>,
        plan: Option<SubscriptionId>,
    ) -> grant::Model {
        let amount = Credits::from_nanos(self.chance.between(1, 400));
        let scope = Scope {
            models: SCOPES[self.chance.below(SCOPES.len())]
                .iter()
                .map(|&start| start.to_owned())
                .collect(),
        };
        let scope = (!scope.models.is_empty() && plan.is_none()).then_some(scope);
        grant::Model {
            id: GrantId::from_uuid(self.id()),
            tenant_id: tenant,
            wallet_id: self.store.wallets[&tenant].id,
            source: grant::Source::Paid,
            amount,
            remaining: amount,
            held: Credits::ZERO,
            priority: if plan.is_some() {
                10
            } else {
                self.chance.one(&[20, 30, 50, 50]).expect("some")
            },
            effective_at: from,
            expires_at: until,
            scope: scope.map(|scope| serde_json::to_string(&scope).expect("it writes")),
            cost_minor: self.chance.between(0, 1) * 100,
            cost_currency: None,
            status: grant::Status::Active,
            subscription_id: plan,
            order_id: None,
            code_id: None,
            parent_grant_id: None,
            created_at: self.now,
            legacy_ref: None,
        }
    }

    /// Books a lot as often as it is told of.
    fn come_in(&mut self, row: grant::Model) {
        let tenant = row.tenant_id;
        let scope = Scope::parse(row.scope.as_deref()).expect("it reads");
        let lot = ModelLot {
            amount: row.amount.nanos(),
            remaining: row.amount.nanos(),
            held: 0,
            priority: row.priority,
            from: row.effective_at.micros(),
            until: row.expires_at.map(Timestamp::micros),
            scope: scope.models,
            bought: row.cost_minor > 0,
            plan: row.subscription_id.map(|id| id.uuid().as_u128()),
            state: State::Active,
        };
        let purse = self.purses.get_mut(&tenant).expect("a purse");
        if purse.debt > 0 {
            self.marks.hit("debt: repaid");
        }
        purse.grant(lot);
        let key = format!("grant:{}", row.id);
        assert!(self.store.grant(row.clone(), &key, self.now));
        assert!(!self.store.grant(row, &key, self.now), "once for each key");
        self.compare(tenant);
    }

    pub fn administer(&mut self) {
        let Some(happening) = self.chance.one(&self.happenings.clone()) else {
            return;
        };
        let tenant = self.some_tenant();
        self.say(|| format!("{happening:?} of {tenant}"));
        match happening {
            Happening::Lapse => self.lapse(tenant),
            Happening::Debit => self.debit(tenant),
            Happening::Freeze => {
                let frozen = self.chance.hits(30);
                let status = if frozen {
                    wallet::Status::Frozen
                } else {
                    wallet::Status::Active
                };
                self.row(tenant).status = status;
                self.purse(tenant).frozen = frozen;
            }
            Happening::Ban => {
                let banned = self.chance.hits(30);
                let known = self.store.known.get_mut(&tenant).expect("a tenant");
                known.caller.member_status = if banned {
                    member::Status::Banned
                } else {
                    member::Status::Active
                };
                self.purse(tenant).banned = banned;
            }
            Happening::Block => {
                let blocked = self.chance.hits(30);
                let first = self.store.offers.values_mut().next().expect("a model");
                first.status = if blocked {
                    model_row::Status::Blocked
                } else {
                    model_row::Status::Active
                };
                for purse in self.purses.values_mut() {
                    purse.blocked = blocked;
                }
            }
            Happening::Cap => self.limit(tenant),
            Happening::Line => {
                let line = self.chance.between(0, 3) * 40;
                self.row(tenant).credit_line = Credits::from_nanos(line);
                self.purse(tenant).line = line;
            }
            Happening::Plan => self.plan(tenant),
            Happening::Crowd => {
                let most = self.chance.hits(60).then(|| self.chance.between(1, 5));
                self.row(tenant).max_open_holds = most;
                self.purse(tenant).most_open = most;
            }
        }
    }

    fn row(&mut self, tenant: TenantId) -> &mut wallet::Model {
        let row = self.store.wallets.get_mut(&tenant).expect("a wallet");
        row.seq += 1;
        row
    }

    fn purse(&mut self, tenant: TenantId) -> &mut model::Purse {
        self.purses.get_mut(&tenant).expect("a purse")
    }

    pub fn lapse(&mut self, tenant: TenantId) {
        let due: Vec<grant::Model> = self
            .store
            .lots
            .values()
            .filter(|lot| lot.tenant_id == tenant && lot.remaining > lot.held)
            .filter(|lot| lot.expires_at.is_some_and(|end| end <= self.now))
            .filter(|lot| matches!(lot.status, grant::Status::Active | grant::Status::Expired))
            .cloned()
            .collect();
        for lot in due {
            self.marks.hit(match lot.status {
                grant::Status::Expired => "lot: expired, held part later",
                _ => "lot: active to expired",
            });
            let part = lot.remaining.nanos() - lot.held.nanos();
            let key = format!("expire:{}:{}", lot.id, lot.remaining.nanos());
            let into = (Kind::Expire, Account::Expired, key);
            self.store.take(tenant, &[(lot.id, part)], into, self.now);
        }
        let now = self.now.micros();
        self.purse(tenant).lapse(now, &[]);
        self.compare(tenant);
    }

    fn debit(&mut self, tenant: TenantId) {
        let amount = self.chance.between(1, 120);
        let now = self.now;
        if self.purse(tenant).debit(amount, now.micros()).is_err() {
            self.marks.hit("debit: refused");
            return;
        }
        self.marks.hit("debit: done");
        let own = |lot: &&grant::Model| {
            lot.tenant_id == tenant
                && lot.status == grant::Status::Active
                && lot.expires_at.is_none_or(|end| now < end)
        };
        let mut lots: Vec<Lot> = self
            .store
            .lots
            .values()
            .filter(own)
            .cloned()
            .map(Lot::of)
            .collect();
        lots.sort_by_cached_key(Lot::order);
        let mut left = amount;
        let mut parts = Vec::new();
        for lot in lots {
            let part = lot.free().nanos().min(left);
            left -= part;
            if part > 0 {
                parts.push((lot.row.id, part));
            }
        }
        assert_eq!(left, 0, "the model found it");
        let key = format!("debit:{}", self.id());
        let into = (Kind::Adjust, Account::IssuedAdjust, key);
        self.store.take(tenant, &parts, into, now);
        self.compare(tenant);
    }

    fn limit(&mut self, tenant: TenantId) {
        let wallet = self.store.wallets[&tenant].id.uuid();
        let known = self.store.known.get_mut(&tenant).expect("a tenant");
        let key = known.key.uuid();
        known.caps.clear();
        let purse = self.purses.get_mut(&tenant).expect("a purse");
        purse.caps.clear();
        for (number, (bind, low, high)) in MOST.into_iter().enumerate() {
            if self.chance.hits(55) {
                continue;
            }
            let most = self.chance.between(low, high);
            let credits = Credits::from_nanos(most);
            let (bearer, subject, limit) = match bind {
                Bind::KeySpend => (
                    Bearer::Key,
                    key,
                    Limit::credits(Window::FirstUse { hours: 2 }, credits),
                ),
                Bind::TenantSpend => (
                    Bearer::Tenant,
                    tenant.uuid(),
                    Limit::credits(Window::Day, credits),
                ),
                Bind::TenantCalls => {
                    let limit = Limit::Quota {
                        window: Window::Day,
                        most: Quantity::Requests(most),
                        models: Vec::new(),
                    };
                    (Bearer::Tenant, tenant.uuid(), limit)
                }
                Bind::Line => (
                    Bearer::CreditLine,
                    wallet,
                    Limit::credits(Window::Month, credits),
                ),
            };
            // A limit keeps its id when its amount changes, so its count goes on.
            let id = tenant.uuid().as_u128() << 8 | (number as u128 + 1);
            let id = RuleId::from_uuid(Uuid::from_u128(id));
            known.caps.push(Cap {
                id,
                bearer,
                subject,
                limit,
            });
            purse.caps.push(model::Cap {
                rule: (bind, 0),
                most,
            });
        }
    }

    /// A plan comes with its allowance, or the last one goes and takes what is left of it.
    fn plan(&mut self, tenant: TenantId) {
        let now = self.now;
        let running = self.store.known[&tenant]
            .plans
            .iter()
            .rposition(|(_, until)| now < *until);
        if let Some(place) = running.filter(|_| self.chance.hits(40)) {
            self.now = self.now.plus(Duration::from_micros(1));
            let now = self.now;
            let known = self.store.known.get_mut(&tenant).expect("a tenant");
            known.plans[place].1 = now;
            let id = known.plans[place].0.id;
            for (age, lot) in self
                .store
                .lots
                .values_mut()
                .filter(|lot| lot.tenant_id == tenant)
                .enumerate()
            {
                if lot.subscription_id == Some(id) && lot.expires_at.is_some_and(|end| end > now) {
                    lot.expires_at = Some(now);
                    let purse = self.purses.get_mut(&tenant).expect("a purse");
                    purse.lots[age].until = Some(now.micros());
                }
            }
            // Whoever changes a lot moves its wallet.
            self.store.wallets.get_mut(&tenant).expect("a wallet").seq += 1;
            self.compare(tenant);
            return;
        }
        let id = SubscriptionId::from_uuid(self.id());
        let until = now.plus(Duration::from_mins(
            self.chance.between(30, 300).unsigned_abs(),
        ));
        let plan = Subscribed {
            id,
            name: "Plan".to_owned(),
            rules: Arc::new(Plan::from_json(r#"{"version":1,"rules":[]}"#).expect("a plan")),
            pays: true,
        };
        let known = self.store.known.get_mut(&tenant).expect("a tenant");
        known.plans.push((plan, until));
        let lot = self.lot(tenant, now, Some(until), Some(id));
        self.come_in(lot);
    }
}
