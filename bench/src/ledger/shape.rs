//! How calls fall on wallets.

use crate::support::books::{Books, Payer};

/// A credit each for a billion calls.
const PLENTY: i64 = 1_000_000_000_000_000;

/// A load.
#[derive(Debug)]
pub struct Shape {
    /// What the table calls it.
    pub name: &'static str,
    wallets: usize,
    skewed: bool,
}

/// Every load that is measured.
pub const ALL: &[Shape] = &[
    Shape::HOT,
    Shape {
        name: "1,000 even",
        wallets: 1_000,
        skewed: false,
    },
    Shape {
        name: "1,000 Zipf",
        wallets: 1_000,
        skewed: true,
    },
];

impl Shape {
    /// Every call on one wallet.
    pub const HOT: Self = Self {
        name: "1 hot",
        wallets: 1,
        skewed: false,
    };

    /// Who pays, each with plenty.
    pub async fn payers(&self, books: &Books) -> Vec<Payer> {
        let mut payers = Vec::with_capacity(self.wallets);
        for _ in 0..self.wallets {
            let payer = books.payer().await;
            books.grant(&payer, PLENTY).await;
            payers.push(payer);
        }
        payers
    }

    /// Draws wallets, from a start of its own for each caller.
    pub fn draws(&self, start: usize) -> Draws {
        // Zipf with exponent one: wallet k is called 1/k as often as the first. In whole numbers.
        let weight = |place: usize| {
            if self.skewed {
                1_000_000 / (place + 1)
            } else {
                1
            }
        };
        let mut sum = 0;
        let sums = (0..self.wallets)
            .map(|place| {
                sum += weight(place);
                sum
            })
            .collect();
        let seed = u64::try_from(start).expect("a small number");
        Draws {
            sums,
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }
}

/// An endless draw of wallets.
pub struct Draws {
    sums: Vec<usize>,
    state: u64,
}

impl Draws {
    /// Which wallet the next call is on.
    pub fn next(&mut self) -> usize {
        // xorshift64*: the same draws in every run.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let drawn = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        let all = self.sums.last().copied().unwrap_or(1);
        let ticket = usize::try_from(drawn).expect("31 bits") % all;
        self.sums.partition_point(|sum| *sum <= ticket)
    }
}
