//! How long `tollgate audit` takes: a consistent book of so many calls is written in bulk, and proved.
//!
//! Every wallet has a lot of promotional and one of paid credits. Calls come in postings of eight, of which the first
//! draws both lots and counts in a window. So 10 million calls are 11.25 million drawings, 1.25 million postings with
//! 3.75 million entries, and 1.25 million counts of windows. On 2 busy cores SQLite proved them in 171 seconds;
//! PostgreSQL proved a tenth of them in 16.

use crate::{
    support::books::Books,
    table::{Printer, Row},
};
use entity::Database;
use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use serde::Serialize;
use std::time::Instant;

/// Calls of one posting.
const POSTED_TOGETHER: i64 = 8;
/// What a call costs.
const CHARGE: i64 = 700;
/// How much of it the promotional lot pays, where it pays.
const PROMO: i64 = 300;
/// What is left of the paid lots.
const LEFT: i64 = 1_000_000_000;
/// Postings a statement writes.
const CHUNK: i64 = 25_000;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Calls in the book.
    #[arg(long, default_value_t = 1_000_000)]
    rows: i64,
    /// Wallets they belong to.
    #[arg(long, default_value_t = 1_000)]
    wallets: i64,
    /// One JSON object a row, for programs.
    #[arg(long)]
    json: bool,
    /// Leave SQLite out.
    #[arg(long)]
    no_sqlite: bool,
    /// The PostgreSQL to measure beside SQLite.
    #[arg(long, env = "TEST_DATABASE_URL")]
    postgres: Option<String>,
}

#[derive(Serialize)]
struct Line {
    database: &'static str,
    calls: i64,
    written_seconds: u64,
    audit_seconds: u64,
    clean: bool,
}

impl Row for Line {
    const TITLES: &'static [&'static str] = &["database", "calls", "written s", "audit s", "clean"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.database.to_owned(),
            self.calls.to_string(),
            self.written_seconds.to_string(),
            self.audit_seconds.to_string(),
            self.clean.to_string(),
        ]
    }
}

/// Writes a book on every database, audits it and prints a row each.
pub async fn run(options: &Options) {
    let printer = Printer::start::<Line>(options.json);
    if !options.no_sqlite {
        printer.print(&measure("SQLite", None, options).await);
    }
    match options.postgres.as_deref() {
        Some(server) => printer.print(&measure("PostgreSQL", Some(server), options).await),
        None => eprintln!("PostgreSQL is left out: set TEST_DATABASE_URL or --postgres"),
    }
}

async fn measure(database: &'static str, server: Option<&str>, options: &Options) -> Line {
    let books = Books::open_on(server).await;
    let book = Book::of(&books.db, options);
    let begun = Instant::now();
    book.write(&books.db).await.expect("the book is written");
    let written_seconds = begun.elapsed().as_secs();
    let begun = Instant::now();
    let report = billing::audit::prove(&books.db, books.now())
        .await
        .expect("an audit");
    let audit_seconds = begun.elapsed().as_secs();
    if !report.is_clean() {
        eprintln!("{report}");
    }
    let line = Line {
        database,
        calls: book.calls(),
        written_seconds,
        audit_seconds,
        clean: report.is_clean(),
    };
    books.close().await;
    line
}

/// How a book is laid out, and how its database spells it.
struct Book {
    sqlite: bool,
    wallets: i64,
    /// Postings of each wallet.
    rounds: i64,
}

impl Book {
    fn of(db: &Database, options: &Options) -> Self {
        let wallets = options.wallets.max(1);
        let together = wallets * POSTED_TOGETHER;
        Self {
            sqlite: db.backend() == DbBackend::Sqlite,
            wallets,
            rounds: (options.rows + together - 1) / together,
        }
    }

    fn calls(&self) -> i64 {
        self.wallets * self.rounds * POSTED_TOGETHER
    }

    /// An id made of a kind and a number; those of one kind are in the order of their numbers.
    fn id(&self, kind: &str, number: &str) -> String {
        if self.sqlite {
            format!("unhex('0190{kind}0000000070008000' || printf('%010x', {number}))")
        } else {
            format!("('0190{kind}0000000070008000' || lpad(to_hex({number}), 10, '0'))::uuid")
        }
    }

    /// Numbers from `from` on, up to and without `to`, in the column `i`.
    fn numbers(&self, from: i64, to: i64) -> String {
        let last = to - 1;
        if self.sqlite {
            format!(
                "(WITH RECURSIVE s(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM s WHERE i < {last}) SELECT i FROM s) AS s"
            )
        } else {
            format!(
                "(SELECT i::bigint FROM generate_series({from}::bigint, {last}::bigint) AS g(i)) AS s"
            )
        }
    }

    async fn write(&self, db: &Database) -> Result<(), DbErr> {
        for statement in self.wallets_and_lots() {
            run_one(db, statement).await?;
        }
        let postings = self.wallets * self.rounds;
        let mut from = 0;
        while from < postings {
            let to = (from + CHUNK).min(postings);
            for statement in self.postings(from, to) {
                run_one(db, statement).await?;
            }
            from = to;
        }
        if self.sqlite {
            return run_one(db, "ANALYZE".to_owned()).await;
        }
        for table in [
            "usage",
            "usage_allocation",
            "ledger_entry",
            "ledger_transaction",
            "usage_window",
        ] {
            run_one(db, format!(r#"ANALYZE "{table}""#)).await?;
        }
        Ok(())
    }

    fn wallets_and_lots(&self) -> Vec<String> {
        let numbers = self.numbers(0, self.wallets);
        let (tenant, wallet) = (self.id("01", "i"), self.id("02", "i"));
        let (promo, paid) = (self.id("03", "i"), self.id("04", "i"));
        let (granted_promo, granted_paid) = (self.id("05", "i"), self.id("06", "i"));
        let rounds = self.rounds;
        let promo_amount = PROMO * rounds + 1;
        let paid_amount = (CHARGE * POSTED_TOGETHER - PROMO) * rounds + LEFT;
        let counted = CHARGE * rounds;
        let rule = self.id("07", "0");
        let lot = |id: &str, source: &str, priority: i64, amount: i64, left: i64| {
            format!(
                r#"INSERT INTO "grant" (id, tenant_id, wallet_id, source, amount, remaining, held, priority, effective_at, cost_minor, status, created_at)
                   SELECT {id}, {tenant}, {wallet}, '{source}', {amount}, {left}, 0, {priority}, 0, 0, 'active', 0 FROM {numbers}"#
            )
        };
        let transaction = |id: &str, key: &str| {
            format!(
                "INSERT INTO ledger_transaction (id, tenant_id, kind, business_key, effective_at, posted_at, actor_kind)
                 SELECT {id}, {tenant}, 'grant', '{key}', 0, 0, 'system' FROM {numbers}"
            )
        };
        let legs = |id: &str, lot: &str, account: &str, seq: i64, amount: i64| {
            [
                format!(
                    "INSERT INTO ledger_entry (transaction_id, n, account, asset, wallet_id, grant_id, amount, wallet_seq)
                     SELECT {id}, 0, 'wallet', 'CR', {wallet}, {lot}, {amount}, {seq} FROM {numbers}"
                ),
                format!(
                    "INSERT INTO ledger_entry (transaction_id, n, account, asset, amount)
                     SELECT {id}, 1, '{account}', 'CR', -{amount} FROM {numbers}"
                ),
            ]
        };
        let mut statements = vec![
            format!(
                "INSERT INTO tenant (id, name, kind, status, time_zone, created_at)
                 SELECT {tenant}, 'bench', 'personal', 'active', 'UTC', 0 FROM {numbers}"
            ),
            format!(
                "INSERT INTO wallet (id, tenant_id, posted, held, debt, debt_held, open_holds, credit_line, status, seq, created_at, updated_at)
                 SELECT {wallet}, {tenant}, {}, 0, 0, 0, 0, 0, 'active', {}, 0, 0 FROM {numbers}",
                LEFT + 1,
                rounds + 2
            ),
            lot(&promo, "promo", 20, promo_amount, 1),
            lot(&paid, "paid", 50, paid_amount, LEFT),
            transaction(&granted_promo, "grant:promo"),
            transaction(&granted_paid, "grant:paid"),
            format!(
                "INSERT INTO quota_counter (rule_id, subject_id, window_start, tenant_id, window_end, metric, used, reserved)
                 SELECT {rule}, {wallet}, 0, {tenant}, 1, 'credits', {counted}, 0 FROM {numbers}"
            ),
        ];
        statements.extend(legs(
            &granted_promo,
            &promo,
            "issued_promo",
            1,
            promo_amount,
        ));
        statements.extend(legs(&granted_paid, &paid, "issued_paid", 2, paid_amount));
        statements
    }

    /// The postings of these numbers, with their calls: number `i` is the `i / wallets`-th of wallet `i % wallets`.
    fn postings(&self, from: i64, to: i64) -> Vec<String> {
        let wallets = self.wallets;
        let postings = self.numbers(from, to);
        let calls = self.numbers(from * POSTED_TOGETHER, to * POSTED_TOGETHER);
        let owner = format!("i % {wallets}");
        let (tenant, wallet) = (self.id("01", &owner), self.id("02", &owner));
        let (promo, paid) = (self.id("03", &owner), self.id("04", &owner));
        let posting = self.id("08", "i");
        let of_call = format!("(i / {POSTED_TOGETHER}) % {wallets}");
        let (call_tenant, call_wallet) = (self.id("01", &of_call), self.id("02", &of_call));
        let (call_promo, call_paid) = (self.id("03", &of_call), self.id("04", &of_call));
        let call = self.id("09", "i");
        let call_posting = self.id("08", &format!("i / {POSTED_TOGETHER}"));
        let (somebody, rule) = (self.id("0a", "0"), self.id("07", "0"));
        let first = format!("i % {POSTED_TOGETHER} = 0");
        let from_paid = CHARGE * POSTED_TOGETHER - PROMO;
        let all = CHARGE * POSTED_TOGETHER;
        let key = if self.sqlite {
            "'settle:' || i"
        } else {
            "'settle:' || i::text"
        };
        let leg = |n: i64, lot: &str, amount: i64| {
            format!(
                "INSERT INTO ledger_entry (transaction_id, n, account, asset, wallet_id, grant_id, amount, wallet_seq)
                 SELECT {posting}, {n}, 'wallet', 'CR', {wallet}, {lot}, -{amount}, i / {wallets} + 3 FROM {postings}"
            )
        };
        let drawn = |n: i64, lot: &str, amount: i64, of: &str| {
            format!(
                "INSERT INTO usage_allocation (usage_id, n, grant_id, amount, draw)
                 SELECT {call}, {n}, {lot}, {amount}, 1 FROM {calls} WHERE {of}"
            )
        };
        vec![
            format!(
                "INSERT INTO ledger_transaction (id, tenant_id, kind, business_key, effective_at, posted_at, actor_kind)
                 SELECT {posting}, {tenant}, 'settle', {key}, 1, 1, 'system' FROM {postings}"
            ),
            leg(0, &promo, PROMO),
            leg(1, &paid, from_paid),
            format!(
                "INSERT INTO ledger_entry (transaction_id, n, account, asset, amount)
                 SELECT {posting}, 2, 'used', 'CR', {all} FROM {postings}"
            ),
            format!(
                r#"INSERT INTO "usage" (id, tenant_id, wallet_id, member_id, key_id, group_id, model_id, price_version_id, multiplier_ppm,
                      transaction_id, outcome, quality, finish, protocol, client_kind, streamed, input_tokens, cache_read_tokens,
                      cache_write_short_tokens, cache_write_long_tokens, output_tokens, reasoning_tokens, charge, hold_amount, started_at, ended_at)
                   SELECT {call}, {call_tenant}, {call_wallet}, {somebody}, {somebody}, {somebody}, p.model_id, p.id, 1000000,
                      {call_posting}, 'settled', 'exact', 'complete', 'chat', 'bench', {yes}, 500, 0, 0, 0, 100, 0, {CHARGE}, 1000, 1, 2
                   FROM {calls}, (SELECT id, model_id FROM price_version LIMIT 1) AS p"#,
                yes = if self.sqlite { "1" } else { "true" }
            ),
            drawn(0, &call_promo, PROMO, &first),
            drawn(1, &call_paid, CHARGE - PROMO, &first),
            drawn(0, &call_paid, CHARGE, &format!("NOT ({first})")),
            format!(
                "INSERT INTO usage_window (usage_id, rule_id, subject_id, window_start, amount)
                 SELECT {call}, {rule}, {call_wallet}, 0, {CHARGE} FROM {calls} WHERE {first}"
            ),
        ]
    }
}

async fn run_one(db: &Database, statement: String) -> Result<(), DbErr> {
    db.write(move |tx| {
        Box::pin(async move {
            if tx.get_database_backend() == DbBackend::Postgres {
                tx.execute_unprepared("SET LOCAL statement_timeout = 0")
                    .await?;
            }
            tx.execute_unprepared(&statement).await.map(|_| ())
        })
    })
    .await
}
