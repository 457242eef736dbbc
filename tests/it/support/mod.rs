//! What tests stand on.

pub mod books;
pub mod database;
pub mod gate;
pub mod office;
pub mod people;
pub mod stage;
pub mod stripe;
pub mod till;
pub mod upstream;
