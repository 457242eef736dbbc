//! Random sequences of everything that can happen to a wallet, the same ones on both kinds of database, beside the
//! model: every answer is the model's, every wallet looks as the model's after every step, the audit is clean, what was
//! refused changed no byte, and both databases hold the same rows.

mod dump;
mod office;
mod script;
mod side;
mod stage;

use crate::{chance::Marks, length};
use stage::Stage;
use std::time::Instant;

/// Sequences of the slice, as many more as it takes to meet everything, and steps of each.
const SEQUENCES: u64 = 10;
const SEQUENCES_MOST: u64 = 40;
/// Of these, how many are played on PostgreSQL too, where one is given; the long form plays all.
const SEQUENCES_ON_BOTH: u64 = 3;
const STEPS: usize = 80;

/// What a run must have met, or the generator has quietly stopped meeting it.
const EDGES: &[&str] = &[
    "hold: open",
    "hold: clamped",
    "hold: several lots",
    "hold: on the line",
    "hold: from a plan",
    "hold: asked again",
    "hold: extended",
    "hold: settled",
    "hold: settled beyond",
    "hold: voided",
    "hold: expired",
    "hold: ended again",
    "refused: Short",
    "refused: InDebt",
    "refused: Frozen",
    "refused: Banned",
    "refused: Blocked",
    "refused: TooMany",
    "refused: Spent",
    "refused: Quota",
    "refused: OutOfRange",
    "grant: booked",
    "grant: told twice",
    "grant: repays",
    "lot: lapsed",
    "adjust: credit",
    "adjust: debit",
    "adjust: refused",
    "code: redeemed",
    "code: redeemed already",
    "code: used up",
    "subscription: pending to active",
    "subscription: longer",
    "subscription: renewed",
    "subscription: active to canceling",
    "subscription: active to ended",
    "subscription: period over to ended",
];

#[tokio::test]
async fn every_sequence_ends_as_the_model_says_on_both_databases() {
    let (began, until) = (Instant::now(), length::until());
    let mut marks = Marks::default();
    let mut played = 0;
    for seed in length::seed().. {
        let enough = match until {
            Some(until) => Instant::now() >= until,
            None => played >= SEQUENCES,
        };
        // A slow machine plays few in a time; no edge is left out for that.
        if enough && (never(&marks).is_empty() || played >= SEQUENCES_MOST) {
            break;
        }
        let both = until.is_some() || played < SEQUENCES_ON_BOTH;
        let mut stage = Stage::open(seed, both).await;
        println!("sequence {seed}");
        for _ in 0..STEPS {
            stage.step(&mut marks).await;
        }
        stage.finish().await;
        played += 1;
    }
    println!(
        "battery: {played} sequences of {STEPS} steps on {}, {:?}",
        Stage::where_it_runs(),
        began.elapsed()
    );
    for (mark, times) in marks.all() {
        println!("  {times:>9}  {mark}");
    }
    let never = never(&marks);
    assert!(never.is_empty(), "never met: {never:#?}");
    let share = marks.times("hold: open") * 100 / marks.times("asked to hold").max(1);
    assert!(
        (30..=90).contains(&share),
        "{share} % of the holds asked for are made"
    );
}

fn never(marks: &Marks) -> Vec<&'static str> {
    EDGES
        .iter()
        .copied()
        .filter(|edge| marks.times(edge) == 0)
        .collect()
}
