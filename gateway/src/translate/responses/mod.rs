//! Responses, read and written.

mod hosted;
mod item;
mod place;
mod read_answer;
mod read_item;
mod read_request;
mod write_answer;
mod write_request;
mod write_response;

pub(super) use read_answer::{Reader, whole};
pub(super) use read_request::read;
pub(super) use write_answer::{Writer, answer};
pub(super) use write_request::write;
