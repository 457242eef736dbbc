//! The composition root: configuration, the server that carries every crate's routes, jobs, webhooks and health.
//!
//! Start at [`app`], which puts one installation together and takes it down again.

pub mod app;
pub mod config;
pub mod demo;
pub mod jobs;
pub mod keyring;
pub mod memory;
pub mod prices;
mod server;
pub mod telemetry;

pub use server::{Flight, Health, routes};
