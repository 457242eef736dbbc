//! Chat completions, read and written.

mod read_answer;
mod read_request;
mod speaker;
mod think;
mod write_answer;
mod write_request;

pub(super) use read_answer::{Reader, whole};
pub(super) use read_request::read;
pub(super) use write_answer::{Writer, answer};
pub(super) use write_request::write;
