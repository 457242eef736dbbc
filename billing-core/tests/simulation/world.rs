//! The world of one seed: tenants, calls, operators, a clock, and what goes wrong.

mod calls;
mod judge;
mod office;

pub use calls::Call;

use crate::{
    chance::{Chance, Marks},
    laws,
    model::Purse,
    process::Process,
    store::{Known, Store},
};
use billing_core::admission::{Caller, Offer};
use chrono_tz::Tz;
use entity::{
    Credits, KeyId, MemberId, ModelId, TenantId, Timestamp, WalletId, key, member, model, person,
    tenant, wallet,
};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// The model names there are; scopes speak of them.
pub const NAMES: [&str; 3] = ["gpt-5", "gpt-5-mini", "claude"];
const STEPS: usize = 150;
const START: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

/// What can go wrong, each switched on for half of the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Fails,
    Unknown,
    DiesBefore,
    DiesAfter,
    Twice,
    OutOfOrder,
    Gone,
    Lost,
}

/// What can happen, each kind switched on for half of the seeds; calls and credits always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    Lapse,
    Debit,
    Freeze,
    Ban,
    Block,
    Cap,
    Line,
    Plan,
    Crowd,
}

/// Everything of one seed.
pub struct World<'a> {
    pub chance: Chance,
    pub faults: Vec<Fault>,
    pub happenings: Vec<Happening>,
    pub now: Timestamp,
    pub store: Store,
    pub purses: BTreeMap<TenantId, Purse>,
    pub processes: Vec<Process>,
    pub calls: Vec<Call>,
    pub marks: &'a mut Marks,
    made: u128,
    loud: bool,
}

/// Plays a seed to its end, and fails where anything is other than it must be.
pub fn play(seed: u64, loud: bool, marks: &mut Marks) {
    use Fault::{DiesAfter, DiesBefore, Fails, Gone, Lost, OutOfOrder, Twice, Unknown};
    use Happening::{Ban, Block, Cap, Crowd, Debit, Freeze, Lapse, Line, Plan};
    let mut chance = Chance::of(seed);
    let faults = chance.some(&[
        Fails, Unknown, DiesBefore, DiesAfter, Twice, OutOfOrder, Gone, Lost,
    ]);
    let happenings = chance.some(&[Lapse, Debit, Freeze, Ban, Block, Cap, Line, Plan, Crowd]);
    let processes = 1 + chance.below(3);
    let mut world = World {
        chance,
        faults,
        happenings,
        now: START,
        store: Store::default(),
        purses: BTreeMap::new(),
        processes: (0..processes).map(|_| Process::default()).collect(),
        calls: Vec::new(),
        marks,
        made: 0,
        loud,
    };
    world.open();
    world.grant();
    for _ in 0..STEPS {
        world.happen();
    }
    world.come_to_rest();
}

impl World<'_> {
    /// An id of the seed's own.
    pub fn id(&mut self) -> Uuid {
        self.made += 1;
        Uuid::from_u128(self.made)
    }

    pub fn say(&self, what: impl FnOnce() -> String) {
        if self.loud {
            eprintln!("  {} {}", self.now.micros() - START.micros(), what());
        }
    }

    fn open(&mut self) {
        for name in NAMES {
            let offer = Offer {
                name: name.to_owned(),
                status: model::Status::Active,
            };
            let id = ModelId::from_uuid(self.id());
            self.store.offers.insert(id, offer);
        }
        for _ in 0..=self.chance.below(2) {
            let tenant = TenantId::from_uuid(self.id());
            let wallet = self.wallet(tenant);
            let known = Known {
                key: KeyId::from_uuid(self.id()),
                caller: caller(tenant, MemberId::from_uuid(self.id())),
                caps: Vec::new(),
                plans: Vec::new(),
            };
            self.store.wallets.insert(tenant, wallet);
            self.store.known.insert(tenant, known);
            self.purses.insert(tenant, Purse::default());
        }
    }

    fn wallet(&mut self, tenant_id: TenantId) -> wallet::Model {
        wallet::Model {
            id: WalletId::from_uuid(self.id()),
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
            created_at: START,
            updated_at: START,
        }
    }

    pub fn some_tenant(&mut self) -> TenantId {
        let tenants: Vec<TenantId> = self.purses.keys().copied().collect();
        self.chance.one(&tenants).expect("there is one")
    }

    fn happen(&mut self) {
        match self.chance.below(100) {
            0..30 => {
                let process = self.chance.below(self.processes.len());
                self.step(process);
            }
            30..52 => self.ask(),
            52..66 => self.end_one(),
            66..72 => self.extend_one(),
            72..78 => self.note_one(),
            78..84 => self.pass(),
            84..87 => self.sweep(),
            87..89 => self.stray(),
            89..96 => self.grant(),
            _ => self.administer(),
        }
    }

    /// Some time, now and then a lot of it.
    fn pass(&mut self) {
        let span = if self.chance.hits(15) {
            Duration::from_mins(self.chance.below(600) as u64)
        } else {
            Duration::from_micros(1 + self.chance.below(60_000_000) as u64)
        };
        self.now = self.now.plus(span);
    }

    /// No more faults: what waits is done, what was lost is swept, and nothing is left over.
    fn come_to_rest(&mut self) {
        self.faults.clear();
        self.now = self.now.plus(Duration::from_hours(1_000));
        for _ in 0..3 {
            for process in 0..self.processes.len() {
                while !self.processes[process].queue.is_empty() {
                    self.step(process);
                }
            }
            self.sweep();
        }
        assert!(self.store.holds.is_empty(), "the sweeper ends every hold");
        let tenants: Vec<TenantId> = self.purses.keys().copied().collect();
        for tenant in tenants {
            self.lapse(tenant);
            let balance = self.store.view(tenant).balance;
            assert_eq!((balance[1], balance[3]), (0, 0), "nothing stays held");
            assert!(
                self.purses[&tenant].conserves(),
                "credits in are credits out"
            );
        }
        laws::hold(&self.store);
        self.keep_promises();
    }
}

fn caller(tenant: TenantId, member: MemberId) -> Caller {
    Caller {
        tenant,
        member,
        key_status: key::Status::Active,
        key_expires_at: None,
        pay_order: key::PayOrder::PlanThenWallet,
        member_status: member::Status::Active,
        person_status: person::Status::Active,
        tenant_status: tenant::Status::Active,
        zone: Tz::UTC,
    }
}
