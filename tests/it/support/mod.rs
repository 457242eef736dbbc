//! What tests stand on.

pub mod agents;
pub mod bare;
pub mod books;
pub mod database;
pub mod dump;
pub mod gate;
pub mod house;
pub mod letter;
pub mod office;
pub mod people;
pub mod program;
pub mod smtp;
pub mod stage;
pub mod stripe;
pub mod till;
pub mod upstream;
