//! Models: what they are called, whether they may be called, and what they cost.

mod add;
mod block;
mod price;

pub use add::{AddModel, AddModelError, add, add_in};
pub use block::{BlockError, block, unblock};
pub use price::{NewPrice, SetPriceError, cost_of, latest_in, sale_of, set_price, set_price_in};
