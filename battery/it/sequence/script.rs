//! What can happen, and how chance writes a sequence of it.

use crate::chance::Chance;
use entity::grant::Source;

/// One thing that happens; calls, tenants and subscriptions are named by their place.
#[derive(Clone, Debug)]
pub enum Step {
    Grant(NewLot),
    Hold {
        who: usize,
        model: usize,
        amount: i64,
        least: i64,
    },
    HoldAgain {
        call: usize,
    },
    Settle {
        call: usize,
        charge: i64,
    },
    Void {
        call: usize,
    },
    EndAgain {
        call: usize,
    },
    Extend {
        call: usize,
        extra: i64,
        least: i64,
    },
    Checkpoint {
        call: usize,
        charge: i64,
    },
    Drop {
        call: usize,
    },
    Lose {
        call: usize,
    },
    Sweep,
    Lapse,
    Adjust {
        who: usize,
        amount: i64,
    },
    Freeze {
        who: usize,
        on: bool,
    },
    Ban {
        who: usize,
        on: bool,
    },
    Block {
        on: bool,
    },
    KeyCap {
        who: usize,
        most: Option<i64>,
    },
    Limits {
        who: usize,
        line: i64,
        monthly: Option<i64>,
        open: Option<u32>,
        spend: Option<i64>,
        calls: Option<i64>,
    },
    Redeem {
        who: usize,
        code: usize,
    },
    Subscribe {
        who: usize,
        periods: Option<u32>,
    },
    Cancel {
        who: usize,
        subscription: usize,
    },
    EndNow {
        who: usize,
        subscription: usize,
    },
    Renew,
    Wait {
        minutes: u64,
    },
}

/// Credits that come in.
#[derive(Clone, Debug)]
pub struct NewLot {
    pub who: usize,
    pub source: Source,
    pub amount: i64,
    pub hours: Option<u64>,
    pub later: bool,
    pub scope: &'static [&'static str],
    pub cost: i64,
}

/// Model names; scopes speak of them, and the first may be blocked.
pub const MODELS: [&str; 2] = ["gpt-5", "claude"];
pub const TENANTS: usize = 2;
/// A code of credits for two, a promotion for one, and two codes of a plan.
pub const CODES: usize = 4;

const SOURCES: [Source; 4] = [Source::Paid, Source::Promo, Source::Goodwill, Source::Code];
const SCOPES: [&[&str]; 4] = [&[], &[], &["gpt-*"], &["claude", "gpt-5"]];

impl Step {
    pub fn by(chance: &mut Chance) -> Self {
        match chance.below(100) {
            number @ 0..57 => Self::of_a_call(number, chance),
            number => Self::of_the_office(number, chance),
        }
    }

    fn of_a_call(number: usize, chance: &mut Chance) -> Self {
        let who = chance.below(TENANTS);
        let call = chance.below(1_000);
        match number {
            0..7 => Self::Grant(NewLot {
                who,
                source: SOURCES[chance.below(SOURCES.len())],
                amount: chance.between(1, 250),
                hours: maybe(chance, 1, 5).map(i64::unsigned_abs),
                later: chance.hits(10),
                scope: SCOPES[chance.below(SCOPES.len())],
                cost: chance.between(0, 1) * 100,
            }),
            7..28 => {
                let amount = if chance.hits(3) {
                    -1
                } else {
                    chance.between(0, 120)
                };
                let least = if chance.hits(50) {
                    amount
                } else {
                    chance.between(0, amount.max(0))
                };
                let model = chance.below(MODELS.len());
                Self::Hold {
                    who,
                    model,
                    amount,
                    least,
                }
            }
            28..30 => Self::HoldAgain { call },
            30..39 => {
                let charge = if chance.hits(3) {
                    -1
                } else {
                    chance.between(0, 170)
                };
                Self::Settle { call, charge }
            }
            39..42 => Self::Void { call },
            42..44 => Self::EndAgain { call },
            44..49 => {
                let extra = chance.between(0, 60);
                Self::Extend {
                    call,
                    extra,
                    least: chance.between(0, extra),
                }
            }
            49..52 => Self::Checkpoint {
                call,
                charge: chance.between(0, 130),
            },
            52..54 => Self::Drop { call },
            _ => Self::Lose { call },
        }
    }

    fn of_the_office(number: usize, chance: &mut Chance) -> Self {
        let who = chance.below(TENANTS);
        let subscription = chance.below(10);
        match number {
            57..60 => Self::Sweep,
            60..63 => Self::Lapse,
            63..68 => {
                let amount = chance.between(1, 120);
                Self::Adjust {
                    who,
                    amount: if chance.hits(40) { amount } else { -amount },
                }
            }
            68 => Self::Freeze {
                who,
                on: chance.hits(40),
            },
            69 => Self::Ban {
                who,
                on: chance.hits(40),
            },
            70 => Self::Block {
                on: chance.hits(40),
            },
            71..73 => Self::KeyCap {
                who,
                most: maybe(chance, 20, 300),
            },
            73..76 => Self::Limits {
                who,
                line: chance.between(0, 3) * 40,
                monthly: maybe(chance, 10, 200),
                open: maybe(chance, 1, 4).map(|most| u32::try_from(most).expect("small")),
                spend: maybe(chance, 50, 600),
                calls: maybe(chance, 3, 25),
            },
            76..81 => Self::Redeem {
                who,
                code: chance.below(CODES),
            },
            81..85 => {
                let periods = chance.hits(45).then(|| 1 + u32::from(chance.hits(50)));
                Self::Subscribe { who, periods }
            }
            85 => Self::Cancel { who, subscription },
            86 => Self::EndNow { who, subscription },
            87..92 => Self::Renew,
            _ => {
                let minutes = if chance.hits(45) {
                    chance.between(60, 1_800)
                } else {
                    chance.between(1, 4)
                };
                Self::Wait {
                    minutes: minutes.unsigned_abs(),
                }
            }
        }
    }
}

/// A number now and then.
fn maybe(chance: &mut Chance, low: i64, high: i64) -> Option<i64> {
    chance.hits(40).then(|| chance.between(low, high))
}
