//! Everything that a database holds about money, as text: byte for byte, or with ids numbered by their first appearance
//! so that two databases can be laid side by side.

use crate::model::{Rows, View, view};
use entity::{
    Database, HoldId, LedgerTransactionId, Platform, Scoped, TenantId, audit_trail, cap, code,
    grant, hold, hold_allocation, hold_window, ledger_entry, ledger_transaction, quota_counter,
    redemption, subscription, usage, usage_allocation, usage_window, wallet,
};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};
use std::{collections::HashMap, fmt::Write};

/// The rows of one tenant.
pub struct Dump {
    wallet: wallet::Model,
    lots: Vec<grant::Model>,
    holds: Vec<hold::Model>,
    allocations: Vec<hold_allocation::Model>,
    usages: Vec<usage::Model>,
    usage_allocations: Vec<usage_allocation::Model>,
    counters: Vec<quota_counter::Model>,
    /// One line a row of all tables.
    pub text: String,
}

macro_rules! own {
    ($db:expr, $tenant:expr, $table:ident, $($by:ident),+) => {
        $table::Entity::of($tenant)
            $(.order_by_asc($table::Column::$by))+
            .all($db.read())
            .await
            .expect("the table reads")
    };
}

macro_rules! parts {
    ($db:expr, $table:ident, $column:ident in $ids:expr, $($by:ident),+) => {
        $table::Entity::every()
            .filter($table::Column::$column.is_in($ids))
            $(.order_by_asc($table::Column::$by))+
            .all($db.read())
            .await
            .expect("the table reads")
    };
}

impl Dump {
    pub async fn of(db: &Database, tenant: TenantId) -> Self {
        let wallet = own!(db, tenant, wallet, Id).pop().expect("a wallet");
        let lots = own!(db, tenant, grant, Id);
        let holds = own!(db, tenant, hold, Id);
        let open: Vec<HoldId> = holds.iter().map(|hold| hold.id).collect();
        let allocations = parts!(db, hold_allocation, HoldId in open.clone(), HoldId, N);
        let windows =
            parts!(db, hold_window, HoldId in open, HoldId, RuleId, SubjectId, WindowStart);
        let usages = own!(db, tenant, usage, Id);
        let ended: Vec<HoldId> = usages.iter().map(|call| call.id).collect();
        let usage_allocations = parts!(db, usage_allocation, UsageId in ended.clone(), UsageId, N);
        let used =
            parts!(db, usage_window, UsageId in ended, UsageId, RuleId, SubjectId, WindowStart);
        let counters = own!(db, tenant, quota_counter, RuleId, SubjectId, WindowStart);
        let transactions = own!(db, tenant, ledger_transaction, Id);
        let booked: Vec<LedgerTransactionId> = transactions.iter().map(|row| row.id).collect();
        let entries = parts!(db, ledger_entry, TransactionId in booked, TransactionId, N);
        let caps = own!(db, tenant, cap, Id);
        let redemptions = own!(db, tenant, redemption, Id);
        let subscriptions = own!(db, tenant, subscription, Id);
        let trail = audit_trail::Entity::every()
            .filter(audit_trail::Column::TenantId.eq(tenant))
            .order_by_asc(audit_trail::Column::Id)
            .all(db.read())
            .await
            .expect("the table reads");
        // A code's digest is random; how often it was used is not.
        let codes = code::Entity::every()
            .order_by_asc(code::Column::Id)
            .all(db.read())
            .await;
        let codes: Vec<_> = codes
            .expect("the table reads")
            .into_iter()
            .map(|code| (code.used_count, code.max_uses, code.status))
            .collect();
        let text = [
            lines(std::slice::from_ref(&wallet)),
            lines(&lots),
            lines(&holds),
            lines(&allocations),
            lines(&windows),
            lines(&usages),
            lines(&usage_allocations),
            lines(&used),
            lines(&counters),
            lines(&transactions),
            lines(&entries),
            lines(&caps),
            lines(&redemptions),
            lines(&subscriptions),
            lines(&trail),
            lines(&codes),
        ]
        .concat();
        Self {
            wallet,
            lots,
            holds,
            allocations,
            usages,
            usage_allocations,
            counters,
            text,
        }
    }

    /// As the model shows it.
    pub fn view(self) -> View {
        view(Rows {
            wallet: &self.wallet,
            lots: self.lots,
            holds: self.holds,
            allocations: self.allocations,
            usages: self.usages,
            usage_allocations: self.usage_allocations,
            counters: self.counters,
        })
    }
}

fn lines(rows: &[impl std::fmt::Debug]) -> String {
    let mut text = String::new();
    for row in rows {
        writeln!(text, "{row:?}").expect("a text takes all");
    }
    text
}

/// The text with each id in place of a number, by first appearance.
pub fn numbered(text: &str) -> String {
    const LENGTH: usize = 36;
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, from) = rest.split_at(found);
        plain.push_str(before);
        let length = if let Some(id) = from.get(..LENGTH).filter(|id| is_id(id)) {
            let next = known.len();
            let number = known.entry(id).or_insert(next);
            write!(plain, "#{number}").expect("a text takes all");
            LENGTH
        } else {
            let word = from.find(|c: char| !c.is_ascii_hexdigit());
            let word = word.unwrap_or(from.len());
            plain.push_str(&from[..word]);
            word
        };
        rest = &from[length..];
    }
    plain.push_str(rest);
    plain
}

fn is_id(text: &str) -> bool {
    text.char_indices().all(|(place, c)| match place {
        8 | 13 | 18 | 23 => c == '-',
        _ => c.is_ascii_hexdigit(),
    })
}
