//! What can be seen of a wallet, from the model and from stored rows, in one form that can be compared. Lots have their
//! place by age in it instead of an id.

use super::{Outcome, Purse, State};
use entity::{
    GrantId, grant, hold, hold_allocation, quota_counter, usage, usage_allocation, wallet,
};
use std::collections::BTreeMap;

/// Amount, part on the line, end, whether it left, what was noted, and parts.
type Running = (i64, i64, i64, bool, i64, Vec<(usize, i64)>);
/// Outcome, charge and parts.
type Done = (Outcome, i64, Vec<(Option<usize>, i64)>);

/// A wallet as others see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Posted, held, owed, and held on the line.
    pub balance: [i64; 4],
    /// How many calls run.
    pub running: i64,
    /// Remaining, held, end and state of each lot.
    pub lots: Vec<(i64, i64, Option<i64>, State)>,
    /// Each open call.
    pub open: BTreeMap<u128, Running>,
    /// Each call that ended.
    pub ended: BTreeMap<u128, Done>,
    /// Start, end, used and reserved of each window.
    pub windows: Vec<(i64, i64, i64, i64)>,
}

/// The rows of one wallet.
pub struct Rows<'a> {
    pub wallet: &'a wallet::Model,
    pub lots: Vec<grant::Model>,
    pub holds: Vec<hold::Model>,
    pub allocations: Vec<hold_allocation::Model>,
    pub usages: Vec<usage::Model>,
    pub usage_allocations: Vec<usage_allocation::Model>,
    pub counters: Vec<quota_counter::Model>,
}

impl From<&Purse> for View {
    fn from(purse: &Purse) -> Self {
        let mut windows: Vec<_> = purse
            .counters
            .iter()
            .map(|((_, start), counter)| (*start, counter.end, counter.used, counter.reserved))
            .collect();
        windows.sort_unstable();
        Self {
            balance: [purse.posted(), purse.held(), purse.debt, purse.line_held()],
            running: i64::try_from(purse.open.len()).expect("few calls"),
            lots: purse
                .lots
                .iter()
                .map(|lot| (lot.remaining, lot.held, lot.until, lot.state))
                .collect(),
            open: purse
                .open
                .iter()
                .map(|(id, open)| {
                    let parts = open.parts.clone();
                    (
                        *id,
                        (
                            open.amount,
                            open.line,
                            open.until,
                            open.left,
                            open.noted,
                            parts,
                        ),
                    )
                })
                .collect(),
            ended: purse
                .ended
                .iter()
                .map(|(id, ended)| (*id, (ended.outcome, ended.charge, ended.parts.clone())))
                .collect(),
            windows,
        }
    }
}

/// The same of stored rows.
pub fn view(mut rows: Rows<'_>) -> View {
    rows.lots.sort_by_key(|lot| lot.id);
    rows.allocations.sort_by_key(|part| (part.hold_id, part.n));
    rows.usage_allocations
        .sort_by_key(|part| (part.usage_id, part.n));
    let place = |id: GrantId| {
        let found = rows.lots.iter().position(|lot| lot.id == id);
        found.expect("a lot of this wallet")
    };
    let wallet = rows.wallet;
    let mut windows: Vec<_> = rows
        .counters
        .iter()
        .map(|row| {
            (
                row.window_start.micros(),
                row.window_end.micros(),
                row.used,
                row.reserved,
            )
        })
        .collect();
    windows.sort_unstable();
    View {
        balance: [wallet.posted, wallet.held, wallet.debt, wallet.debt_held]
            .map(entity::Credits::nanos),
        running: wallet.open_holds,
        lots: rows
            .lots
            .iter()
            .map(|lot| {
                let until = lot.expires_at.map(entity::Timestamp::micros);
                (
                    lot.remaining.nanos(),
                    lot.held.nanos(),
                    until,
                    state(lot.status),
                )
            })
            .collect(),
        open: rows
            .holds
            .iter()
            .map(|hold| {
                let own = rows
                    .allocations
                    .iter()
                    .filter(|part| part.hold_id == hold.id);
                let parts = own
                    .map(|part| (place(part.grant_id), part.amount.nanos()))
                    .collect();
                let seen = (
                    hold.amount.nanos(),
                    hold.debt_amount.nanos(),
                    hold.expires_at.micros(),
                    hold.dispatched_at.is_some(),
                    hold.checkpoint_charge.nanos(),
                    parts,
                );
                (hold.id.uuid().as_u128(), seen)
            })
            .collect(),
        ended: rows
            .usages
            .iter()
            .map(|call| {
                let own = rows
                    .usage_allocations
                    .iter()
                    .filter(|part| part.usage_id == call.id);
                let parts = own
                    .map(|part| (part.grant_id.map(place), part.amount.nanos()))
                    .collect();
                (
                    call.id.uuid().as_u128(),
                    (outcome(call.outcome), call.charge.nanos(), parts),
                )
            })
            .collect(),
        windows,
    }
}

fn state(status: grant::Status) -> State {
    match status {
        grant::Status::Active => State::Active,
        grant::Status::Frozen => State::Frozen,
        grant::Status::Exhausted => State::Exhausted,
        grant::Status::Expired => State::Expired,
        grant::Status::Pending | grant::Status::Revoked => panic!("nothing makes such a lot"),
    }
}

pub fn outcome(outcome: usage::Outcome) -> Outcome {
    match outcome {
        usage::Outcome::Settled => Outcome::Settled,
        usage::Outcome::Voided => Outcome::Voided,
        usage::Outcome::Expired => Outcome::Expired,
    }
}
