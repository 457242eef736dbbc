//! What a refused call gets: a stable code, a message that says the cause and the mend, in the caller's own envelope.

mod code;
mod envelope;
mod refusal;

pub use code::Code;
pub(crate) use envelope::{Links, Shape, render, stream_event};
pub(crate) use refusal::Refusal;
