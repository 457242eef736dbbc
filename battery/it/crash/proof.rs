//! What must be so after a child's death: everything it was promised, everything once, and nothing left over.

use super::{BOUGHT, report::Line};
use crate::{
    cashier,
    support::books::{Books, nanos},
};
use billing::{
    ledger::{self, GrantOrder},
    payment::inbox,
    sweeper,
};
use entity::{
    Actor, Credits, HoldId, OrderId, Platform, Scoped, TenantId, grant, grant::Source, hold, order,
    payment_inbox, usage, wallet,
};
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter};
use std::{collections::BTreeMap, time::Duration};

/// Everything the children said.
pub struct Proof {
    first: BTreeMap<TenantId, i64>,
    granting: BTreeMap<String, (TenantId, i64)>,
    granted: Vec<String>,
    buying: BTreeMap<OrderId, TenantId>,
    heard: Vec<OrderId>,
    held: BTreeMap<HoldId, i64>,
    ended: BTreeMap<HoldId, i64>,
    lines: usize,
}

impl Proof {
    /// Of books in which these tenants began with so much.
    pub fn of(first: BTreeMap<TenantId, i64>) -> Self {
        Self {
            first,
            granting: BTreeMap::new(),
            granted: Vec::new(),
            buying: BTreeMap::new(),
            heard: Vec::new(),
            held: BTreeMap::new(),
            ended: BTreeMap::new(),
            lines: 0,
        }
    }

    pub fn lines(&self) -> usize {
        self.lines
    }

    pub fn hear(&mut self, line: Line) {
        self.lines += usize::from(matches!(
            line,
            Line::Granted(_) | Line::Heard(_) | Line::Held(..) | Line::Ended(..)
        ));
        match line {
            Line::Ready => {}
            Line::Granting(tenant, key, amount) => {
                self.granting.insert(key, (tenant, amount));
            }
            Line::Granted(key) => self.granted.push(key),
            Line::Buying(tenant, order) => {
                self.buying.insert(order, tenant);
            }
            Line::Heard(order) => self.heard.push(order),
            Line::Held(id, amount) => {
                self.held.insert(id, amount);
            }
            Line::Ended(id, charge) => {
                self.ended.insert(id, charge);
            }
        }
    }

    /// The next process comes up: retries, works off what waits, sweeps, and finds all of it so.
    pub async fn check(&mut self, books: &Books) {
        books.audit().await;
        self.calls_are_there(books).await;
        self.work_on(books).await;
        let open = hold::Entity::across_tenants().count(books.db.read()).await;
        assert_eq!(open.expect("a count"), 0, "the sweeper ended the rest");
        self.calls_are_there(books).await;
        self.sums_agree(books).await;
        books.audit().await;
        // Said and proved; what follows starts from here.
        self.granted.clear();
        self.heard.clear();
        self.held.clear();
    }

    async fn calls_are_there(&self, books: &Books) {
        for (id, amount) in &self.held {
            let open = hold::Entity::across_tenants()
                .filter(hold::Column::Id.eq(*id))
                .one(books.db.read())
                .await
                .expect("it reads");
            let ended = self.usage_of(books, *id).await;
            let held = match (open, ended) {
                (Some(open), None) => open.amount,
                (None, Some(ended)) => ended.hold_amount,
                other => panic!("an acknowledged hold is open or has ended: {id} {other:?}"),
            };
            assert_eq!(held, nanos(*amount));
        }
        for (id, charge) in &self.ended {
            let ended = self
                .usage_of(books, *id)
                .await
                .expect("an acknowledged end is there");
            assert_eq!(ended.charge, nanos(*charge));
        }
    }

    async fn usage_of(&self, books: &Books, id: HoldId) -> Option<usage::Model> {
        let found = usage::Entity::across_tenants().filter(usage::Column::Id.eq(id));
        found.one(books.db.read()).await.expect("it reads")
    }

    /// What clients, the provider and the jobs do once the process is up again.
    async fn work_on(&mut self, books: &Books) {
        let (db, now) = (&books.db, books.now());
        for (key, (tenant, amount)) in &self.granting {
            let order = GrantOrder::new(
                *tenant,
                Source::Paid,
                nanos(*amount),
                key.clone(),
                Actor::System,
                now,
            );
            let granted = ledger::grant(db, order, now).await.expect("it is booked");
            assert!(
                granted.replay || !self.granted.contains(key),
                "{key} was acknowledged"
            );
            *self.first.entry(*tenant).or_default() += amount;
        }
        self.granting.clear();
        for order in &self.heard {
            let stored = payment_inbox::Entity::every()
                .filter(payment_inbox::Column::ObjectId.eq(format!("cs_{order}")))
                .count(db.read())
                .await;
            assert_eq!(
                stored.expect("a count"),
                1,
                "an acknowledged event is stored"
            );
        }
        let later = now.plus(Duration::from_hours(2));
        for order in self.buying.keys() {
            // The same event again, as the provider sends it until it is acknowledged: one that was taken in is not new.
            cashier::deliver(db, &cashier::event(*order, 0), now).await;
        }
        while inbox::process_due(db, &cashier::Cashier, later)
            .await
            .expect("a run")
            > 0
        {}
        for (id, tenant) in std::mem::take(&mut self.buying) {
            let row = order::Entity::of(tenant)
                .filter(order::Column::Id.eq(id))
                .one(db.read())
                .await;
            let lots = grant::Entity::of(tenant)
                .filter(grant::Column::OrderId.eq(id))
                .count(db.read())
                .await
                .expect("a count");
            match row.expect("it reads") {
                Some(row) if row.status == order::Status::Credited => {
                    assert_eq!(lots, 1, "an order is credited once");
                    *self.first.entry(tenant).or_default() += BOUGHT;
                }
                row => {
                    assert!(
                        !self.heard.contains(&id),
                        "a payment that was heard of is credited: {row:?}"
                    );
                    assert_eq!(lots, 0);
                }
            }
        }
        let swept = sweeper::sweep(db, &books.lanes, later)
            .await
            .expect("a sweep");
        assert_eq!(swept.failed, 0);
    }

    /// Credits in are credits there, less what calls cost: once each.
    async fn sums_agree(&self, books: &Books) {
        for (tenant, came) in &self.first {
            let wallet = wallet::Entity::of(*tenant).one(books.db.read()).await;
            let wallet = wallet.expect("it reads").expect("a wallet");
            let calls = usage::Entity::of(*tenant)
                .all(books.db.read())
                .await
                .expect("usage");
            let charged: i64 = calls.iter().map(|call| call.charge.nanos()).sum();
            assert_eq!(
                wallet.posted.nanos() - wallet.debt.nanos(),
                came - charged,
                "{wallet:?}"
            );
            assert_eq!(
                (wallet.held, wallet.debt_held),
                (Credits::ZERO, Credits::ZERO)
            );
        }
    }
}
