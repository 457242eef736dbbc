//! Messages, read and written.

mod read_answer;
mod read_request;
mod read_tool;
mod write_answer;
mod write_format;
mod write_request;
mod write_thinking;
mod write_tool;

pub(super) use read_answer::{Reader, whole};
pub(super) use read_request::read;
pub(super) use write_answer::{Writer, answer};
pub(super) use write_format::answers_by_tool;
pub(super) use write_request::write;
pub(super) use write_thinking::beta;
