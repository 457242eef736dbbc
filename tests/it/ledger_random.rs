//! Random sequences of everything that can happen to a wallet, with the books audited as they go and compared
//! with a model of a few lines.

use crate::support::books::{Books, Payer, nanos};
use billing::{
    admission::{HoldOrder, HoldRefusal},
    cap::{self, Limit, SetCaps, Whose},
    lane::Hold,
    ledger::{self, AdjustError, Adjustment, Change, GrantOrder},
    plan::Window,
    rating::Tokens,
    sweeper,
};
use entity::{Actor, Credits, grant::Source, usage};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::time::Duration;

/// Sequences tried; each is of up to [`STEPS`] steps.
const SEQUENCES: u32 = 12;
const STEPS: usize = 40;

#[derive(Clone, Debug)]
enum Step {
    Grant {
        amount: i64,
        source: Source,
        hours: Option<u64>,
    },
    Hold {
        amount: i64,
        least: i64,
    },
    Cap {
        most: Option<i64>,
    },
    Settle {
        which: usize,
        charge: i64,
    },
    Void {
        which: usize,
    },
    Extend {
        which: usize,
        extra: i64,
    },
    Checkpoint {
        which: usize,
        charge: i64,
    },
    Drop {
        which: usize,
    },
    Crash {
        which: usize,
    },
    Debit {
        amount: i64,
    },
    Wait {
        minutes: u64,
    },
    Lapse,
    Sweep,
}

fn any_step() -> impl Strategy<Value = Step> {
    let amount = 1..200_i64;
    let which = 0..8_usize;
    let source = prop_oneof![Just(Source::Paid), Just(Source::Promo), Just(Source::Code)];
    prop_oneof![
        3 => (amount.clone(), source, proptest::option::of(1..6_u64))
            .prop_map(|(amount, source, hours)| Step::Grant { amount, source, hours }),
        8 => (amount.clone(), amount.clone())
            .prop_map(|(amount, least)| Step::Hold { amount, least: least.min(amount) }),
        1 => proptest::option::of(1..600_i64).prop_map(|most| Step::Cap { most }),
        5 => (which.clone(), 0..300_i64).prop_map(|(which, charge)| Step::Settle { which, charge }),
        2 => which.clone().prop_map(|which| Step::Void { which }),
        2 => (which.clone(), amount.clone()).prop_map(|(which, extra)| Step::Extend { which, extra }),
        2 => (which.clone(), amount.clone()).prop_map(|(which, charge)| Step::Checkpoint { which, charge }),
        1 => which.clone().prop_map(|which| Step::Drop { which }),
        1 => which.prop_map(|which| Step::Crash { which }),
        1 => amount.prop_map(|amount| Step::Debit { amount }),
        2 => (1..90_u64).prop_map(|minutes| Step::Wait { minutes }),
        1 => Just(Step::Lapse),
        2 => Just(Step::Sweep),
    ]
}

/// What the ledger must say: credits in, less credits out.
#[derive(Default)]
struct Model {
    granted: i64,
    charged: i64,
    lapsed: i64,
    debited: i64,
}

/// How often each kind of outcome was met, so that the generator cannot quietly stop meeting it.
#[derive(Default, Debug)]
struct Met {
    held: u32,
    short: u32,
    in_debt: u32,
    over_runs: u32,
    swept: u32,
    lapsed: u32,
    extended: u32,
    clamped: u32,
    capped: u32,
}

#[test]
fn no_sequence_of_events_loses_or_invents_a_nano_credit() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut runner = TestRunner::deterministic();
    let mut met = Met::default();
    for _ in 0..SEQUENCES {
        let steps = proptest::collection::vec(any_step(), STEPS)
            .new_tree(&mut runner)
            .expect("a sequence")
            .current();
        runtime.block_on(play(&steps, &mut met));
    }
    let all = [
        met.held,
        met.short,
        met.in_debt,
        met.over_runs,
        met.swept,
        met.lapsed,
        met.extended,
        met.clamped,
        met.capped,
    ];
    assert!(all.iter().all(|times| *times > 0), "never met: {met:?}");
}

async fn play(steps: &[Step], met: &mut Met) {
    let books = Books::open().await;
    let payer = books.payer().await;
    let mut model = Model::default();
    let mut open: Vec<Hold> = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        take(&books, &payer, step, &mut open, &mut model, met).await;
        // Whatever was dropped is written once the lane has nothing open.
        while books.lanes.open() > 0 {
            tokio::task::yield_now().await;
        }
        let report = billing::audit::prove(&books.db, books.now())
            .await
            .expect("an audit");
        assert!(report.is_clean(), "after step {n} of {steps:#?}:\n{report}");
    }
    drop(open);
    while books.lanes.open() > 0 {
        tokio::task::yield_now().await;
    }
    books.clock.advance(Duration::from_hours(24));
    sweep(&books, met).await;
    let charged = charged(&books, &payer).await;
    model.charged = charged;
    model.lapsed += lapse(&books, met).await;
    let balance = books.balance(&payer).await;
    assert_eq!(balance.held, Credits::ZERO, "{steps:#?}");
    assert_eq!(
        balance.posted.nanos() - balance.debt.nanos(),
        model.granted - model.charged - model.lapsed - model.debited,
        "{steps:#?}"
    );
    books.close().await;
}

async fn take(
    books: &Books,
    payer: &Payer,
    step: &Step,
    open: &mut Vec<Hold>,
    model: &mut Model,
    met: &mut Met,
) {
    let nth = |which: usize, open: &Vec<Hold>| (!open.is_empty()).then(|| which % open.len());
    match step {
        Step::Grant {
            amount,
            source,
            hours,
        } => {
            let key = format!("random:{}", entity::GrantId::fresh());
            let order = GrantOrder {
                source: *source,
                expires_at: hours.map(|hours| books.now().plus(Duration::from_hours(hours))),
                ..books.grant_order(payer, *amount, &key)
            };
            let first = books.grant_by(order.clone()).await;
            let again = books.grant_by(order).await;
            assert_eq!((again.grant, again.replay), (first.grant, true));
            model.granted += amount;
        }
        Step::Hold { amount, least } => {
            match books.lanes.hold(wish(books, payer, *amount, *least)).await {
                Ok(hold) => {
                    assert!((*least..=*amount).contains(&hold.amount().nanos()));
                    met.clamped += u32::from(hold.amount() < nanos(*amount));
                    met.held += 1;
                    open.push(hold);
                }
                Err(HoldRefusal::InsufficientCredits {
                    needed, available, ..
                }) => {
                    assert!(available < needed);
                    met.short += 1;
                }
                Err(HoldRefusal::InDebt { .. }) => met.in_debt += 1,
                Err(HoldRefusal::SpendCapReached { .. }) => met.capped += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        Step::Cap { most } => {
            let order = SetCaps {
                tenant: payer.tenant,
                whose: Whose::Key(payer.key),
                limits: most
                    .map(|most| Limit::credits(Window::FirstUse { hours: 2 }, nanos(most)))
                    .into_iter()
                    .collect(),
                actor: Actor::System,
                reason: None,
            };
            cap::set(&books.db, order, books.now())
                .await
                .expect("a limit is set");
        }
        Step::Settle { which, charge } => {
            if let Some(which) = nth(*which, open) {
                let hold = open.swap_remove(which);
                met.over_runs += u32::from(nanos(*charge) > hold.amount());
                hold.settle(books.settlement(*charge))
                    .await
                    .expect("an answer");
            }
        }
        Step::Void { which } => {
            if let Some(which) = nth(*which, open) {
                let voided = open.swap_remove(which).void(usage::Finish::UpstreamError);
                voided.await.expect("an answer");
            }
        }
        Step::Extend { which, extra } => {
            if let Some(which) = nth(*which, open) {
                met.extended += u32::from(open[which].grow(nanos(*extra), nanos(1)).await.is_ok());
            }
        }
        Step::Checkpoint { which, charge } => {
            if let Some(which) = nth(*which, open) {
                open[which].checkpoint(nanos(*charge), Tokens::default());
            }
        }
        Step::Drop { which } => {
            if let Some(which) = nth(*which, open) {
                drop(open.swap_remove(which));
            }
        }
        Step::Crash { which } => {
            if let Some(which) = nth(*which, open) {
                std::mem::forget(open.swap_remove(which));
            }
        }
        Step::Debit { amount } => model.debited += debit(books, payer, *amount).await,
        Step::Wait { minutes } => books.clock.advance(Duration::from_mins(*minutes)),
        Step::Lapse => model.lapsed += lapse(books, met).await,
        Step::Sweep => sweep(books, met).await,
    }
}

fn wish(books: &Books, payer: &Payer, amount: i64, least: i64) -> HoldOrder {
    HoldOrder {
        least: nanos(least),
        ..books.order(payer, amount)
    }
}

async fn debit(books: &Books, payer: &Payer, amount: i64) -> i64 {
    let adjustment = Adjustment {
        tenant: payer.tenant,
        change: Change::Debit {
            amount: nanos(amount),
        },
        business_key: format!("random:{}", entity::GrantId::fresh()),
        actor: Actor::System,
        reason: "a correction".to_owned(),
    };
    match ledger::adjust(&books.db, adjustment, books.now()).await {
        Ok(_) => amount,
        Err(AdjustError::NotThere { available }) => {
            assert!(available < nanos(amount));
            0
        }
        Err(other) => panic!("{other:?}"),
    }
}

async fn lapse(books: &Books, met: &mut Met) -> i64 {
    let expired = ledger::expire_due(&books.db, books.now())
        .await
        .expect("a run");
    met.lapsed += u32::from(expired.lots > 0);
    expired.credits.nanos()
}

async fn sweep(books: &Books, met: &mut Met) {
    let swept = sweeper::sweep(&books.db, &books.lanes, books.now())
        .await
        .expect("a sweep");
    assert_eq!(swept.failed, 0);
    met.swept += u32::from(swept.expired > 0);
}

async fn charged(books: &Books, payer: &Payer) -> i64 {
    use entity::Scoped;
    let ended = usage::Entity::of(payer.tenant)
        .all(books.db.read())
        .await
        .expect("usage");
    ended.iter().map(|row| row.charge.nanos()).sum()
}
