//! The process that is killed: it works on the parent's wallets as fast as it can, says what it is about to do, and says
//! what it was promised, a line each.

use super::{Orders, report::Line};
use crate::{cashier, chance::Chance, support::books::nanos};
use billing::{
    admission::{HoldOrder, Settlement},
    lane::{LaneSettings, Lanes},
    ledger::{self, GrantOrder},
    payment::inbox,
    rating::Tokens,
    sweeper,
};
use entity::{
    Actor, Clock, Database, HoldId, OrderId, Protocol, Settings, Timestamp, crash, grant::Source,
    usage,
};
use futures_util::future::join_all;
use std::{io::Write, time::Duration};

/// Works until it is killed. Only the parent starts it.
#[test]
#[ignore = "the process that another test starts and kills"]
fn works_until_it_is_killed() {
    let Some(orders) = Orders::of_this_process() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(work(orders));
}

async fn work(orders: Orders) {
    let mut settings = Settings::new(&orders.url);
    settings.write_connections = 6;
    settings.read_connections = 2;
    let db = Database::open(&settings).await.expect("the database opens");
    let clock = Clock::fixed(Timestamp::from_micros(orders.now));
    let mut settings = LaneSettings::of(&db);
    settings.linger = Duration::from_millis(2);
    let lanes = Lanes::start(&db, clock.clone(), settings);
    say(&Line::Ready);
    if let Some((point, nth)) = &orders.point {
        crash::arm(point, *nth);
    }
    let workers = (0..4_u64).map(|n| {
        let worker = Worker {
            db: db.clone(),
            lanes: lanes.clone(),
            chance: Chance::of(orders.seed * 10 + n),
            orders: orders.clone(),
        };
        tokio::spawn(worker.run())
    });
    join_all(workers).await;
}

struct Worker {
    db: Database,
    lanes: Lanes,
    chance: Chance,
    orders: Orders,
}

impl Worker {
    async fn run(mut self) {
        loop {
            match self.chance.below(10) {
                0 => self.grant().await,
                1 => self.buy().await,
                2 => self.tidy().await,
                _ => self.call().await,
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.orders.now)
    }

    async fn grant(&mut self) {
        let (tenant, ..) = self.orders.some_payer(&mut self.chance);
        let key = format!("crash:{}", HoldId::fresh());
        let amount = self.chance.between(1, 50);
        say(&Line::Granting(tenant, key.clone(), amount));
        let (source, now) = (Source::Paid, self.now());
        let order = GrantOrder::new(
            tenant,
            source,
            nanos(amount),
            key.clone(),
            Actor::System,
            now,
        );
        if ledger::grant(&self.db, order, now).await.is_ok() {
            say(&Line::Granted(key));
        }
    }

    async fn buy(&mut self) {
        let (tenant, member, _) = self.orders.some_payer(&mut self.chance);
        let (id, now) = (OrderId::fresh(), self.now());
        say(&Line::Buying(tenant, id));
        let bought =
            cashier::order(&self.db, id, (tenant, member), nanos(super::BOUGHT), now).await;
        if bought.is_err() {
            return;
        }
        let raw = cashier::event(id, 0);
        let Ok(received) = cashier::receive(&self.db, &raw, now).await else {
            return;
        };
        say(&Line::Heard(id));
        drop(inbox::process(&self.db, &cashier::Cashier, &received.event_id, now).await);
    }

    /// What the jobs do.
    async fn tidy(&mut self) {
        let later = self.now().plus(Duration::from_mins(1));
        drop(ledger::expire_due(&self.db, later).await);
        drop(sweeper::sweep(&self.db, &self.lanes, later).await);
        drop(inbox::process_due(&self.db, &cashier::Cashier, later).await);
    }

    async fn call(&mut self) {
        let (tenant, member, key) = self.orders.some_payer(&mut self.chance);
        let amount = self.chance.between(1, 20);
        let order = HoldOrder {
            id: HoldId::fresh(),
            tenant,
            member,
            key,
            group: self.orders.group,
            model: self.orders.model,
            price_version: self.orders.price,
            multiplier_ppm: 1_000_000,
            channel: None,
            amount: nanos(amount),
            least: nanos(1),
            expected_output: None,
            input_tokens: 1,
            output_cap: 1,
            protocol: Protocol::Chat,
            client_kind: "crash".to_owned(),
            streamed: false,
            // Some end within the reach of the sweeper that runs meanwhile.
            ttl: Duration::from_secs(if self.chance.hits(10) { 30 } else { 120 }),
            now: self.now(),
        };
        let id = order.id;
        let Ok(mut hold) = self.lanes.hold(order).await else {
            return;
        };
        say(&Line::Held(id, hold.amount().nanos()));
        let noted = self.chance.between(0, amount);
        hold.checkpoint(nanos(noted), Tokens::default());
        if self.chance.hits(20) {
            return drop(hold);
        }
        let charge = self.chance.between(0, amount + 5);
        let settlement = Settlement {
            tokens: Tokens::default(),
            charge: nanos(charge),
            quality: usage::Quality::Exact,
            finish: usage::Finish::Complete,
            channel: None,
            provider_cost: None,
            first_byte_at: None,
            ended_at: self.now(),
        };
        if let Ok(settled) = hold.settle(settlement).await {
            say(&Line::Ended(id, settled.charge.nanos()));
        }
    }
}

/// A line leaves the process at once, so that what it says outlives it.
fn say(line: &Line) {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(format!("{line}\n").as_bytes());
    written
        .and_then(|()| out.flush())
        .expect("the parent listens");
}
