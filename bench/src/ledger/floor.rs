//! The floor: what the database alone takes for the same rows, as raw SQL in batches of 64 through the same
//! connections. Nothing is decided, checked or answered; the audit afterwards proves that the rows are the same.

use super::shape::Shape;
use crate::support::books::{Books, Payer};
use entity::{
    Credits, GrantId, HoldId, LedgerTransactionId, Scoped, Timestamp, Tx, WalletId, grant, wallet,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, DbErr, QueryFilter, Statement, Value};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};

const BATCH: usize = 64;
const HELD: i64 = 1_000;
const CHARGED: i64 = 700;
/// Rows a statement takes, so that connections keep all of them prepared.
const SIZES: [usize; 3] = [64, 8, 1];
/// Batches under way at once on PostgreSQL, as many as there are lanes.
const CONNECTIONS: usize = 3;

/// A wallet with its one lot.
#[derive(Clone, Copy)]
struct Purse {
    payer: Payer,
    wallet: WalletId,
    grant: GrantId,
}

/// Everything a batch needs to write its rows.
#[derive(Clone)]
struct Writer {
    books: Arc<Books>,
    purses: Arc<[Purse]>,
}

/// Calls a second that raw SQL writes.
pub async fn measure(books: &Arc<Books>, shape: &Shape, payers: &[Payer], lasts: Duration) -> u64 {
    let mut purses = Vec::with_capacity(payers.len());
    for payer in payers {
        purses.push(purse(books, *payer).await);
    }
    let connections = match books.db.backend() {
        DbBackend::Sqlite => 1,
        _ => CONNECTIONS.min(purses.len()),
    };
    let begun = Instant::now();
    let tasks: Vec<_> = (0..connections)
        .map(|connection| {
            let writer = Writer {
                books: books.clone(),
                purses: purses.clone().into(),
            };
            let mut draws = shape.draws(connection + 1);
            tokio::spawn(async move {
                let mut calls = 0_u64;
                while begun.elapsed() < lasts {
                    let mut batch = Vec::with_capacity(BATCH);
                    while batch.len() < BATCH {
                        let wallet = draws.next();
                        // Each connection has wallets of its own, as each lane has.
                        if wallet % connections == connection || writer.purses.len() == 1 {
                            batch.push((HoldId::fresh(), wallet));
                        }
                    }
                    calls += writer.run(batch).await;
                }
                calls
            })
        })
        .collect();
    let mut calls = 0;
    for task in tasks {
        calls += task.await.expect("no writer fails");
    }
    let took = u64::try_from(begun.elapsed().as_micros()).expect("a short time");
    calls * 1_000_000 / took.max(1)
}

async fn purse(books: &Books, payer: Payer) -> Purse {
    let db = books.db.read();
    let wallet = wallet::Entity::of(payer.tenant).one(db).await;
    let wallet = wallet.expect("a database").expect("a wallet").id;
    let lots = grant::Entity::of(payer.tenant).filter(grant::Column::WalletId.eq(wallet));
    let lot = lots.one(db).await.expect("a database").expect("a lot");
    Purse {
        payer,
        wallet,
        grant: lot.id,
    }
}

impl Writer {
    /// Holds and settles a batch, in a transaction each. Answers how many calls that were.
    async fn run(&self, batch: Vec<(HoldId, usize)>) -> u64 {
        let calls = u64::try_from(batch.len()).expect("a small number");
        let batch = Arc::new(batch);
        for phase in [Phase::Hold, Phase::Settle] {
            let (writer, batch) = (self.clone(), batch.clone());
            let written: Result<(), DbErr> = self
                .books
                .db
                .write_first(move |tx| {
                    Box::pin(async move {
                        match phase {
                            Phase::Hold => writer.hold(tx, &batch).await,
                            Phase::Settle => writer.settle(tx, &batch).await,
                        }
                    })
                })
                .await;
            written.expect("raw SQL writes");
        }
        calls
    }

    async fn hold(&self, tx: &Tx, batch: &[(HoldId, usize)]) -> Result<(), DbErr> {
        let per_wallet = count(batch);
        self.read(tx, &per_wallet).await?;
        let (mut wallets, mut lots) = (Vec::new(), Vec::new());
        for (place, calls) in &per_wallet {
            let purse = &self.purses[*place];
            let held: Value = (calls * HELD).into();
            wallets.push(vec![
                purse.wallet.uuid().into(),
                held.clone(),
                (*calls).into(),
            ]);
            lots.push(vec![purse.grant.uuid().into(), held]);
        }
        change(
            tx,
            "wallet",
            "held = held + v.a, open_holds = open_holds + v.b, seq = seq + 1",
            wallets,
        )
        .await?;
        change(tx, "grant", "held = held + v.a", lots).await?;
        let now = self.books.now();
        let rows = batch
            .iter()
            .map(|(id, place)| self.hold_row(*id, *place, now));
        insert(tx, "hold", HOLD, rows.collect()).await?;
        let parts = batch.iter().map(|(id, place)| {
            let lot = self.purses[*place].grant;
            vec![
                id.uuid().into(),
                0_i64.into(),
                lot.uuid().into(),
                HELD.into(),
            ]
        });
        insert(
            tx,
            "hold_allocation",
            "hold_id, n, grant_id, amount",
            parts.collect(),
        )
        .await
    }

    async fn settle(&self, tx: &Tx, batch: &[(HoldId, usize)]) -> Result<(), DbErr> {
        let per_wallet = count(batch);
        self.read(tx, &per_wallet).await?;
        let now = self.books.now();
        let ids: Vec<Value> = batch.iter().map(|(id, _)| id.uuid().into()).collect();
        remove(tx, "hold_allocation", "hold_id", &ids).await?;
        remove(tx, "hold", "id", &ids).await?;
        let (mut wallets, mut lots, mut transactions, mut entries) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut booked: BTreeMap<usize, LedgerTransactionId> = BTreeMap::new();
        for (place, calls) in &per_wallet {
            let purse = &self.purses[*place];
            let (held, charged) = (calls * HELD, calls * CHARGED);
            let id = LedgerTransactionId::fresh();
            booked.insert(*place, id);
            wallets.push(vec![
                purse.wallet.uuid().into(),
                held.into(),
                charged.into(),
                (*calls).into(),
            ]);
            lots.push(vec![purse.grant.uuid().into(), held.into(), charged.into()]);
            transactions.push(vec![
                id.uuid().into(),
                purse.payer.tenant.uuid().into(),
                "settle".into(),
                format!("floor:{id}").into(),
                now.micros().into(),
                now.micros().into(),
                "system".into(),
            ]);
            let wallet: Value = Some(purse.wallet.uuid()).into();
            entries.push(vec![
                id.uuid().into(),
                0_i64.into(),
                "wallet".into(),
                "CR".into(),
                wallet,
                Some(purse.grant.uuid()).into(),
                (-charged).into(),
            ]);
            entries.push(vec![
                id.uuid().into(),
                1_i64.into(),
                "used".into(),
                "CR".into(),
                Value::Uuid(None),
                Value::Uuid(None),
                charged.into(),
            ]);
        }
        let moved = "posted = posted - v.b, held = held - v.a, open_holds = open_holds - v.c, seq = seq + 1";
        change(tx, "wallet", moved, wallets).await?;
        change(
            tx,
            "grant",
            "held = held - v.a, remaining = remaining - v.b",
            lots,
        )
        .await?;
        insert(tx, "ledger_transaction", TRANSACTION, transactions).await?;
        insert(tx, "ledger_entry", ENTRY, entries).await?;
        let usages = batch
            .iter()
            .map(|(id, place)| self.usage_row(*id, *place, booked[place], now));
        insert(tx, "usage", USAGE, usages.collect()).await?;
        let parts = batch.iter().map(|(id, place)| {
            let lot = self.purses[*place].grant;
            vec![
                id.uuid().into(),
                0_i64.into(),
                lot.uuid().into(),
                CHARGED.into(),
            ]
        });
        insert(
            tx,
            "usage_allocation",
            "usage_id, n, grant_id, amount",
            parts.collect(),
        )
        .await
    }

    /// The wallets and their lots, locked where the database has row locks.
    async fn read(&self, tx: &Tx, per_wallet: &BTreeMap<usize, i64>) -> Result<(), DbErr> {
        let ids = per_wallet
            .keys()
            .map(|place| self.purses[*place].wallet.uuid());
        let mut ids: Vec<Value> = ids.map(Value::from).collect();
        ids.sort_by_key(|id| format!("{id:?}"));
        let lock = match tx.get_database_backend() {
            DbBackend::Sqlite => "",
            _ => " ORDER BY id FOR UPDATE",
        };
        for (table, column, lock) in [("wallet", "id", lock), ("grant", "wallet_id", "")] {
            for part in parts(ids.clone()) {
                let marks = marks(tx, 0, part.len());
                let sql = format!(r#"SELECT * FROM "{table}" WHERE {column} IN ({marks}){lock}"#);
                tx.query_all_raw(statement(tx, sql, part)).await?;
            }
        }
        Ok(())
    }

    fn hold_row(&self, id: HoldId, place: usize, now: Timestamp) -> Vec<Value> {
        let Purse { payer, wallet, .. } = self.purses[place];
        let order = self.books.order(&payer, HELD);
        vec![
            id.uuid().into(),
            payer.tenant.uuid().into(),
            wallet.uuid().into(),
            payer.member.uuid().into(),
            payer.key.uuid().into(),
            order.group.uuid().into(),
            order.model.uuid().into(),
            order.price_version.uuid().into(),
            order.multiplier_ppm.into(),
            HELD.into(),
            Credits::ZERO.nanos().into(),
            10_i64.into(),
            100_i64.into(),
            "chat".into(),
            "test".into(),
            false.into(),
            Credits::ZERO.nanos().into(),
            0_i64.into(),
            now.micros().into(),
            now.plus(order.ttl).micros().into(),
        ]
    }

    fn usage_row(
        &self,
        id: HoldId,
        place: usize,
        transaction: LedgerTransactionId,
        now: Timestamp,
    ) -> Vec<Value> {
        let Purse { payer, wallet, .. } = self.purses[place];
        let order = self.books.order(&payer, HELD);
        vec![
            id.uuid().into(),
            payer.tenant.uuid().into(),
            wallet.uuid().into(),
            payer.member.uuid().into(),
            payer.key.uuid().into(),
            order.group.uuid().into(),
            order.model.uuid().into(),
            order.price_version.uuid().into(),
            order.multiplier_ppm.into(),
            transaction.uuid().into(),
            "settled".into(),
            "exact".into(),
            "complete".into(),
            "chat".into(),
            "test".into(),
            false.into(),
            10_i64.into(),
            0_i64.into(),
            0_i64.into(),
            0_i64.into(),
            5_i64.into(),
            0_i64.into(),
            CHARGED.into(),
            HELD.into(),
            now.micros().into(),
            now.micros().into(),
            now.micros().into(),
        ]
    }
}

#[derive(Clone, Copy)]
enum Phase {
    Hold,
    Settle,
}

const HOLD: &str = "id, tenant_id, wallet_id, member_id, key_id, group_id, model_id, price_version_id, \
    multiplier_ppm, amount, debt_amount, input_tokens, output_cap, protocol, client_kind, streamed, \
    checkpoint_charge, checkpoint_output, created_at, expires_at";
const TRANSACTION: &str = "id, tenant_id, kind, business_key, effective_at, posted_at, actor_kind";
const ENTRY: &str = "transaction_id, n, account, asset, wallet_id, grant_id, amount";
const USAGE: &str = "id, tenant_id, wallet_id, member_id, key_id, group_id, model_id, price_version_id, \
    multiplier_ppm, transaction_id, outcome, quality, finish, protocol, client_kind, streamed, \
    input_tokens, cache_read_tokens, cache_write_short_tokens, cache_write_long_tokens, output_tokens, \
    reasoning_tokens, charge, hold_amount, started_at, first_byte_at, ended_at";

fn count(batch: &[(HoldId, usize)]) -> BTreeMap<usize, i64> {
    let mut counts = BTreeMap::new();
    for (_, place) in batch {
        *counts.entry(*place).or_insert(0) += 1;
    }
    counts
}

async fn insert(tx: &Tx, table: &str, columns: &str, rows: Vec<Vec<Value>>) -> Result<(), DbErr> {
    for part in parts(rows) {
        let width = part[0].len();
        let sql = text(tx, "insert", table, part.len(), || {
            let lists: Vec<String> = (0..part.len())
                .map(|row| format!("({})", marks(tx, row * width, width)))
                .collect();
            format!(
                r#"INSERT INTO "{table}" ({columns}) VALUES {}"#,
                lists.join(", ")
            )
        });
        tx.execute_raw(statement(tx, sql, part.into_iter().flatten().collect()))
            .await?;
    }
    Ok(())
}

/// Rows are an id and the figures that `sets` calls `v.a`, `v.b`, `v.c`.
async fn change(
    tx: &Tx,
    table: &str,
    sets: &'static str,
    rows: Vec<Vec<Value>>,
) -> Result<(), DbErr> {
    for part in parts(rows) {
        let width = part[0].len();
        let names = ["id", "a", "b", "c"][..width].join(", ");
        let sql = text(tx, sets, table, part.len(), || {
            let lists: Vec<String> = (0..part.len())
                .map(|row| {
                    let marks = (0..width).map(|column| match tx.get_database_backend() {
                        DbBackend::Sqlite => "?".to_owned(),
                        _ if column == 0 => format!("${}::uuid", row * width + 1),
                        _ => format!("${}::bigint", row * width + column + 1),
                    });
                    format!("({})", marks.collect::<Vec<_>>().join(", "))
                })
                .collect();
            format!(
                r#"WITH v({names}) AS (VALUES {}) UPDATE "{table}" SET {sets} FROM v WHERE "{table}".id = v.id"#,
                lists.join(", ")
            )
        });
        tx.execute_raw(statement(tx, sql, part.into_iter().flatten().collect()))
            .await?;
    }
    Ok(())
}

async fn remove(tx: &Tx, table: &str, column: &str, ids: &[Value]) -> Result<(), DbErr> {
    for part in parts(ids.to_vec()) {
        let marks = marks(tx, 0, part.len());
        let sql = format!(r#"DELETE FROM "{table}" WHERE {column} IN ({marks})"#);
        tx.execute_raw(statement(tx, sql, part)).await?;
    }
    Ok(())
}

fn parts<T>(mut rows: Vec<T>) -> Vec<Vec<T>> {
    let mut parts = Vec::new();
    while let Some(size) = SIZES.into_iter().find(|size| *size <= rows.len()) {
        let rest = rows.split_off(size);
        parts.push(rows);
        rows = rest;
    }
    parts
}

fn marks(tx: &Tx, from: usize, count: usize) -> String {
    let mark = |place: usize| match tx.get_database_backend() {
        DbBackend::Sqlite => "?".to_owned(),
        _ => format!("${}", from + place + 1),
    };
    (0..count).map(mark).collect::<Vec<_>>().join(", ")
}

/// A statement's text, built once: the floor is what the database takes, not what joining strings takes.
fn text(
    tx: &Tx,
    verb: &'static str,
    table: &str,
    rows: usize,
    build: impl FnOnce() -> String,
) -> String {
    type Texts = HashMap<(bool, &'static str, String, usize), String>;
    static TEXTS: LazyLock<Mutex<Texts>> = LazyLock::new(Mutex::default);
    let sqlite = tx.get_database_backend() == DbBackend::Sqlite;
    let mut texts = TEXTS.lock().expect("no builder panics");
    texts
        .entry((sqlite, verb, table.to_owned(), rows))
        .or_insert_with(build)
        .clone()
}

fn statement(tx: &Tx, sql: String, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(tx.get_database_backend(), sql, values)
}
