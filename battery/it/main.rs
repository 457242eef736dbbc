//! The ledger tried by force, below every edge: random sequences beside a model, races, callers that go away, and
//! processes that are killed. On SQLite and, where `TEST_DATABASE_URL` is set, on PostgreSQL.
//!
//! As it stands it is the slice that every change runs. `dev/battery --seconds N` lets it go on for longer.

#[path = "../../billing-core/tests/simulation/chance.rs"]
#[expect(dead_code, reason = "the simulation uses more of it")]
mod chance;
#[path = "../../billing-core/tests/model/mod.rs"]
mod model;
#[path = "../../tests/it/support"]
#[expect(dead_code, reason = "the tests use more of it")]
mod support {
    pub mod books;
    pub mod database;
}

mod cashier;
mod crash;
mod dropped;
mod length;
mod race;
mod sequence;
