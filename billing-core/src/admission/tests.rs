//! What no sequence of holds, growth and endings may do to a wallet in memory.

use super::{Caller, Growth, HoldOrder, Offer, OpenHold, Settlement, Wallet};
use crate::{
    cap::{Cap, Limit},
    plan::Window,
    rating::Tokens,
};
use chrono_tz::Tz;
use entity::{
    Credits, GrantId, GroupId, HoldId, KeyId, MemberId, ModelId, PriceVersionId, Protocol, RuleId,
    TenantId, Timestamp, WalletId, cap::Bearer, grant, key, member, model, person, tenant, usage,
    wallet,
};
use proptest::prelude::*;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

fn nanos(nanos: i64) -> Credits {
    Credits::from_nanos(nanos)
}

#[derive(Clone, Debug)]
enum Step {
    Hold(i64, i64),
    Settle(usize, i64),
    Void(usize),
    Extend(usize, i64, i64),
    Expire(usize, bool),
}

fn any_step() -> impl Strategy<Value = Step> {
    let which = 0..6_usize;
    prop_oneof![
        4 => (-5..120_i64, -1..50_i64).prop_map(|(amount, less)| Step::Hold(amount, amount - less)),
        3 => (which.clone(), -5..200_i64).prop_map(|(which, charge)| Step::Settle(which, charge)),
        1 => which.clone().prop_map(Step::Void),
        2 => (which.clone(), -5..80_i64, -1..40_i64)
            .prop_map(|(which, extra, less)| Step::Extend(which, extra, extra - less)),
        1 => (which, any::<bool>()).prop_map(|(which, late)| Step::Expire(which, late)),
    ]
}

fn daily(most: i64) -> Limit {
    Limit::credits(Window::Day, nanos(most))
}

struct Scene {
    wallet: Wallet,
    key: KeyId,
    caller: Caller,
    offer: Offer,
    asked: Vec<HoldId>,
}

impl Scene {
    fn with_lots(lots: &[(i64, i64)], credit_line: i64, caps: &[(usize, i64)]) -> Self {
        let (tenant_id, wallet_id) = (TenantId::fresh(), WalletId::fresh());
        let posted = lots.iter().map(|(amount, _)| amount).sum();
        let row = wallet::Model {
            id: wallet_id,
            tenant_id,
            posted: nanos(posted),
            held: Credits::ZERO,
            debt: Credits::ZERO,
            debt_held: Credits::ZERO,
            open_holds: 0,
            credit_line: nanos(credit_line),
            max_open_holds: Some(4),
            status: wallet::Status::Active,
            seq: 0,
            created_at: NOW,
            updated_at: NOW,
        };
        let lots = lots.iter().map(|(amount, priority)| grant::Model {
            id: GrantId::fresh(),
            tenant_id,
            wallet_id,
            source: grant::Source::Paid,
            amount: nanos(*amount),
            remaining: nanos(*amount),
            held: Credits::ZERO,
            priority: *priority,
            effective_at: NOW,
            expires_at: None,
            scope: None,
            cost_minor: 0,
            cost_currency: None,
            status: grant::Status::Active,
            subscription_id: None,
            order_id: None,
            code_id: None,
            parent_grant_id: None,
            created_at: NOW,
            legacy_ref: None,
        });
        let (member, key) = (MemberId::fresh(), KeyId::fresh());
        let mut wallet = Wallet::of(row, lots);
        for (which, most) in caps {
            let (bearer, subject, limit) = match which {
                0 => (Bearer::Tenant, tenant_id.uuid(), daily(*most)),
                1 => (Bearer::Member, member.uuid(), daily(*most)),
                2 => (Bearer::Key, key.uuid(), daily(*most)),
                3 => (Bearer::CreditLine, wallet_id.uuid(), daily(*most)),
                _ => (Bearer::Key, key.uuid(), Limit::OpenCalls(2)),
            };
            wallet.add_cap(Cap {
                id: RuleId::fresh(),
                bearer,
                subject,
                limit,
            });
        }
        wallet.set_running(key.uuid(), 0);
        Self {
            wallet,
            key,
            caller: Caller {
                tenant: tenant_id,
                member,
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
            asked: Vec::new(),
        }
    }

    fn order(&self, amount: i64, least: i64) -> HoldOrder {
        HoldOrder {
            id: HoldId::fresh(),
            tenant: self.caller.tenant,
            member: self.caller.member,
            key: self.key,
            group: GroupId::fresh(),
            model: ModelId::fresh(),
            price_version: PriceVersionId::fresh(),
            multiplier_ppm: 1_000_000,
            channel: None,
            amount: nanos(amount),
            least: nanos(least),
            expected_output: None,
            input_tokens: 1,
            output_cap: 1,
            protocol: Protocol::Chat,
            client_kind: String::new(),
            streamed: false,
            ttl: Duration::from_mins(2),
            now: NOW,
        }
    }

    /// Whether the step was done.
    fn take(&mut self, step: &Step) -> bool {
        let nth = |which: usize| self.asked.get(which % self.asked.len().max(1)).copied();
        match *step {
            Step::Hold(amount, least) => {
                let order = self.order(amount, least);
                let free = self.free();
                let held = self.wallet.hold(&order, &self.caller, &self.offer);
                if let Ok(held) = &held {
                    assert!(held.nanos() <= amount.min(free), "no more than is there");
                    if self.wallet.caps().is_empty() {
                        assert_eq!(held.nanos(), amount.min(free), "and no less");
                    }
                    assert!(held.nanos() >= least);
                    let again = self.wallet.hold(&order, &self.caller, &self.offer);
                    assert_eq!(again.ok(), Some(*held));
                    self.asked.push(order.id);
                }
                held.is_ok()
            }
            Step::Settle(which, charge) => nth(which).is_some_and(|id| {
                let settled = self.wallet.settle(id, &settlement(charge), "gpt-5");
                settled.is_ok()
            }),
            Step::Void(which) => nth(which).is_some_and(|id| {
                let reason = usage::Finish::UpstreamError;
                self.wallet.void(id, reason, NOW).is_ok()
            }),
            Step::Extend(which, extra, least) => nth(which).is_some_and(|id| {
                let growth = Growth {
                    extra: nanos(extra),
                    least: nanos(least),
                    now: NOW,
                    expires_at: NOW.plus(Duration::from_mins(4)),
                };
                let free = self.free();
                let grown = self.wallet.extend(id, &growth, "gpt-5", &self.caller);
                if let Ok(more) = &grown {
                    assert!(more.nanos() <= extra.min(free));
                    if self.wallet.caps().is_empty() {
                        assert_eq!(more.nanos(), extra.min(free));
                    }
                }
                grown.is_ok()
            }),
            Step::Expire(which, late) => nth(which).is_some_and(|id| {
                let at = if late {
                    NOW.plus(Duration::from_hours(1))
                } else {
                    NOW
                };
                self.wallet.expire(id, "gpt-5", at).is_ok()
            }),
        }
    }

    /// What neither lots nor the credit line have reserved.
    fn free(&self) -> i64 {
        let row = self.wallet.row();
        let line = row.credit_line.nanos() - row.debt.nanos() - row.debt_held.nanos();
        row.posted.nanos() - row.held.nanos() + line.max(0)
    }

    /// A window counts what open holds reserve in it, and lets them reserve no more than it has.
    fn cap_holds(&self, cap: &Cap, open: &[&OpenHold]) {
        let Limit::Quota { most, .. } = &cap.limit else {
            assert!(open.len() <= 2, "two calls of the key at once");
            return;
        };
        let reserved: i64 = open
            .iter()
            .flat_map(|hold| &hold.windows)
            .filter(|window| window.rule_id == cap.id)
            .map(|window| window.reserved)
            .sum();
        let counted = self.wallet.latest(cap.id, cap.subject, NOW);
        assert_eq!(counted.map_or(0, |counted| counted.reserved), reserved);
        assert!(reserved <= most.units(), "{reserved} in {cap:?}");
        let held: i64 = open
            .iter()
            .map(|hold| match cap.bearer {
                Bearer::CreditLine => hold.row.debt_amount.nanos(),
                Bearer::Tenant | Bearer::Member | Bearer::Key => hold.row.amount.nanos(),
            })
            .sum();
        assert_eq!(reserved, held, "{cap:?}");
    }

    fn adds_up(&self) {
        let row = self.wallet.row();
        let sum = |part: fn(&grant::Model) -> Credits| -> i64 {
            self.wallet
                .lots()
                .iter()
                .map(|lot| part(&lot.row).nanos())
                .sum()
        };
        let open: Vec<_> = self
            .asked
            .iter()
            .filter_map(|id| self.wallet.open_hold(*id))
            .collect();
        let allocated: i64 = open
            .iter()
            .flat_map(|hold| &hold.allocations)
            .map(|part| part.amount.nanos())
            .sum();
        let on_the_line: i64 = open.iter().map(|hold| hold.row.debt_amount.nanos()).sum();
        let asked: i64 = open.iter().map(|hold| hold.row.amount.nanos()).sum();
        assert_eq!(row.posted.nanos(), sum(|lot| lot.remaining));
        assert_eq!(row.held.nanos(), sum(|lot| lot.held));
        assert_eq!(row.held.nanos(), allocated);
        assert_eq!(row.debt_held.nanos(), on_the_line);
        assert_eq!(asked, allocated + on_the_line);
        assert_eq!(usize::try_from(row.open_holds), Ok(open.len()));
        for cap in self.wallet.caps() {
            self.cap_holds(cap, &open);
        }
        for lot in self.wallet.lots() {
            assert!(!lot.row.held.is_negative() && lot.row.held <= lot.row.remaining);
            assert!(lot.row.remaining <= lot.row.amount);
        }
    }
}

fn settlement(charge: i64) -> Settlement {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_step_adds_up_and_a_refused_one_changes_nothing(
        lots in proptest::collection::vec((1..150_i64, 0..3_i64), 0..4),
        line in prop_oneof![Just(0_i64), 0..100_i64],
        caps in prop_oneof![
            1 => Just(std::collections::BTreeMap::new()),
            2 => proptest::collection::btree_map(0..5_usize, 1..200_i64, 1..4),
        ],
        steps in proptest::collection::vec(any_step(), 1..40),
    ) {
        let caps: Vec<_> = caps.into_iter().collect();
        let mut scene = Scene::with_lots(&lots, line, &caps);
        let granted: i64 = lots.iter().map(|(amount, _)| amount).sum();
        for step in &steps {
            let before = format!("{:?}", scene.wallet);
            let done = scene.take(step);
            if !done {
                prop_assert_eq!(before, format!("{:?}", scene.wallet), "{:?}", step);
            }
            scene.adds_up();
        }
        let row = scene.wallet.row().clone();
        let changes = scene.wallet.take_changes(NOW).expect("rows that agree");
        let charged: i64 = changes.usages.iter().map(|call| call.charge.nanos()).sum();
        prop_assert_eq!(row.posted.nanos() - row.debt.nanos(), granted - charged);
        prop_assert_eq!(changes.entries.iter().map(|entry| entry.amount).sum::<i64>(), 0);
        let paid: i64 = changes.usage_allocations.iter().map(|part| part.amount.nanos()).sum();
        prop_assert_eq!(paid, charged);
        prop_assert!(changes.ended_holds.is_empty(), "what began and ended in one batch has no row to remove");
    }
}
