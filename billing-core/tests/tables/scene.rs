//! A wallet in memory, with a caller, a model, lots and plans.

use billing_core::{
    admission::{
        Caller, Changes, Growth, HoldOrder, HoldRefusal, Offer, Settlement, Subscribed, Wallet,
    },
    cap::Cap,
    plan::Plan,
    rating::Tokens,
};
use chrono_tz::Tz;
use entity::{
    Credits, GrantId, GroupId, HoldId, KeyId, MemberId, ModelId, PriceVersionId, Protocol,
    SubscriptionId, TenantId, Timestamp, WalletId, grant, key, member, model, person, tenant,
    usage, wallet,
};
use std::{sync::Arc, time::Duration};

pub const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);
pub const TTL: Duration = Duration::from_mins(2);

pub fn nanos(nanos: i64) -> Credits {
    Credits::from_nanos(nanos)
}

pub struct Scene {
    pub row: wallet::Model,
    pub lots: Vec<grant::Model>,
    pub plans: Vec<Subscribed>,
    pub caps: Vec<Cap>,
    pub caller: Caller,
    pub offer: Offer,
    pub key: KeyId,
    pub model: ModelId,
}

impl Scene {
    pub fn empty() -> Self {
        let tenant_id = TenantId::fresh();
        Self {
            row: wallet::Model {
                id: WalletId::fresh(),
                tenant_id,
                posted: Credits::ZERO,
                held: Credits::ZERO,
                debt: Credits::ZERO,
                debt_held: Credits::ZERO,
                open_holds: 0,
                credit_line: Credits::ZERO,
                max_open_holds: None,
                status: wallet::Status::Active,
                seq: 0,
                created_at: NOW,
                updated_at: NOW,
            },
            lots: Vec::new(),
            plans: Vec::new(),
            caps: Vec::new(),
            caller: Caller {
                tenant: tenant_id,
                member: MemberId::fresh(),
                key_status: key::Status::Active,
                key_expires_at: None,
                pay_order: key::PayOrder::PlanThenWallet,
                member_status: member::Status::Active,
                person_status: person::Status::Active,
                tenant_status: tenant::Status::Active,
                zone: Tz::UTC,
            },
            offer: Offer {
                name: "gpt-5".to_owned(),
                status: model::Status::Active,
            },
            key: KeyId::fresh(),
            model: ModelId::fresh(),
        }
    }

    /// With a lot, of a plan or of nobody's.
    pub fn with_lot(mut self, amount: i64, plan: Option<SubscriptionId>) -> Self {
        self.row.posted = nanos(self.row.posted.nanos() + amount);
        self.lots.push(grant::Model {
            id: GrantId::fresh(),
            tenant_id: self.row.tenant_id,
            wallet_id: self.row.id,
            source: grant::Source::Paid,
            amount: nanos(amount),
            remaining: nanos(amount),
            held: Credits::ZERO,
            priority: if plan.is_some() { 10 } else { 50 },
            effective_at: NOW,
            expires_at: None,
            scope: None,
            cost_minor: 0,
            cost_currency: None,
            status: grant::Status::Active,
            subscription_id: plan,
            order_id: None,
            code_id: None,
            parent_grant_id: None,
            created_at: NOW,
            legacy_ref: None,
        });
        self
    }

    /// With a plan of these rules, which pays or governs.
    pub fn with_plan(mut self, id: SubscriptionId, pays: bool, rules: &str) -> Self {
        let text = format!(r#"{{"version":1,"rules":[{rules}]}}"#);
        self.plans.push(Subscribed {
            id,
            name: "Plan".to_owned(),
            rules: Arc::new(Plan::from_json(&text).expect("a plan")),
            pays,
        });
        self
    }

    pub fn wallet(&self) -> Wallet {
        let mut wallet = Wallet::of(self.row.clone(), self.lots.clone());
        for plan in &self.plans {
            wallet.add_plan(plan.clone());
        }
        for cap in &self.caps {
            wallet.add_cap(cap.clone());
        }
        wallet
    }

    pub fn order(&self, amount: i64, least: i64) -> HoldOrder {
        HoldOrder {
            id: HoldId::fresh(),
            tenant: self.caller.tenant,
            member: self.caller.member,
            key: self.key,
            group: GroupId::fresh(),
            model: self.model,
            price_version: PriceVersionId::fresh(),
            multiplier_ppm: 1_000_000,
            channel: None,
            amount: nanos(amount),
            least: nanos(least),
            expected_output: None,
            input_tokens: 11,
            output_cap: 22,
            protocol: Protocol::Chat,
            client_kind: String::new(),
            streamed: false,
            ttl: TTL,
            now: NOW,
        }
    }

    pub fn hold(
        &self,
        wallet: &mut Wallet,
        amount: i64,
        least: i64,
    ) -> Result<(HoldId, i64), HoldRefusal> {
        let order = self.order(amount, least);
        let held = wallet.hold(&order, &self.caller, &self.offer)?;
        Ok((order.id, held.nanos()))
    }

    pub fn grow(&self, wallet: &mut Wallet, id: HoldId, extra: i64, least: i64) -> Option<i64> {
        let growth = Growth {
            extra: nanos(extra),
            least: nanos(least),
            now: NOW,
            expires_at: NOW.plus(TTL),
        };
        wallet
            .extend(id, &growth, "gpt-5", &self.caller)
            .ok()
            .map(Credits::nanos)
    }
}

pub fn settlement(charge: i64) -> Settlement {
    Settlement {
        tokens: Tokens::default(),
        charge: nanos(charge),
        quality: usage::Quality::Exact,
        finish: usage::Finish::Complete,
        channel: None,
        provider_cost: None,
        first_byte_at: None,
        ended_at: NOW,
    }
}

/// Used and reserved of each window, by whom it counts.
pub fn counted(changes: &Changes) -> Vec<(uuid::Uuid, i64, i64)> {
    let mut rows: Vec<_> = changes
        .counters
        .iter()
        .map(|row| (row.subject_id, row.used, row.reserved))
        .collect();
    rows.sort_unstable();
    rows
}
