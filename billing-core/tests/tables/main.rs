//! Decisions of the pure core that are told by example: at the edges, and where a plan has its say.

mod asks;
mod caller;
mod cap;
mod clauses;
mod ending;
mod plan;
mod price;
mod scene;
mod wallet;
