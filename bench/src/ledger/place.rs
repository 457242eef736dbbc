//! Where the time of a call goes: the parts of the lanes' batches, spread over the calls they carried.

use crate::table::{Row, tenths};
use billing::lane::Spent;
use serde::Serialize;
use std::time::Duration;

/// The parts of one load on one database, in tenths of microseconds a call: of a lane, so that they add up to the
/// lanes' number times what a call takes.
#[derive(Serialize)]
pub struct Line {
    database: &'static str,
    shape: &'static str,
    asks_per_batch: u64,
    begin: u64,
    read: u64,
    decide: u64,
    write: u64,
    commit: u64,
    between: u64,
}

impl Row for Line {
    const TITLES: &'static [&'static str] = &[
        "database",
        "wallets",
        "asks a batch",
        "begin us",
        "read us",
        "decide us",
        "write us",
        "commit us",
        "between batches us",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.database.to_owned(),
            self.shape.to_owned(),
            self.asks_per_batch.to_string(),
            tenths(self.begin),
            tenths(self.read),
            tenths(self.decide),
            tenths(self.write),
            tenths(self.commit),
            tenths(self.between),
        ]
    }
}

impl Line {
    /// What was spent while `lasts` went by in so many lanes; a call is two asks, the hold and its end.
    pub fn of(
        database: &'static str,
        shape: &'static str,
        spent: Spent,
        lasts: Duration,
        lanes: u32,
    ) -> Self {
        let calls = u128::from(spent.asks / 2).max(1);
        let share = |part: Duration| u64::try_from(part.as_nanos() / 100 / calls).unwrap_or(0);
        let busy = spent.begin + spent.read + spent.decide + spent.write + spent.commit;
        Self {
            database,
            shape,
            asks_per_batch: spent.asks / spent.batches.max(1),
            begin: share(spent.begin),
            read: share(spent.read),
            decide: share(spent.decide),
            write: share(spent.write),
            commit: share(spent.commit),
            between: share((lasts * lanes).saturating_sub(busy)),
        }
    }
}
