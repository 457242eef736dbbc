//! Thoughts of an answer to a chat caller, whose protocol cannot bring them back: sealed, to be kept by the call that
//! followed them.

use super::{
    answer::{Event, Opaque, Opening},
    carrier::Carriers,
};

/// The carriers of one answer's thoughts, and the id of its first call, which the caller will send back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) call: String,
    pub(crate) carriers: Vec<String>,
}

/// Watches an answer for them.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    thoughts: Vec<Thought>,
    call: Option<String>,
    ended: bool,
}

#[derive(Debug)]
struct Thought {
    item: usize,
    text: String,
    opaque: Option<Opaque>,
}

impl Keeper {
    pub(super) fn see(&mut self, event: &Event) {
        match event {
            Event::Open(item, Opening::Thought) => self.thoughts.push(Thought {
                item: *item,
                text: String::new(),
                opaque: None,
            }),
            Event::Open(_, Opening::Call(call)) => {
                self.call.get_or_insert_with(|| call.id.clone());
            }
            Event::Delta(item, more) => {
                if let Some(thought) = self.thought(*item) {
                    thought.text.push_str(more);
                }
            }
            Event::Opaque(item, opaque) => {
                if let Some(thought) = self.thought(*item) {
                    thought.opaque = Some(opaque.clone());
                }
            }
            Event::End(_) => self.ended = true,
            _ => {}
        }
    }

    fn thought(&mut self, item: usize) -> Option<&mut Thought> {
        self.thoughts
            .iter_mut()
            .find(|thought| thought.item == item)
    }

    /// What is to be kept, once the answer has ended. Thoughts without opaque state are worth nothing to anybody.
    pub(super) fn kept(&mut self, carriers: &Carriers) -> Option<Kept> {
        if !std::mem::take(&mut self.ended) {
            return None;
        }
        let call = self.call.take()?;
        let opaque = self
            .thoughts
            .iter()
            .filter(|thought| thought.opaque.is_some());
        let carriers: Vec<String> = opaque
            .map(|thought| carriers.seal(&thought.text, thought.opaque.as_ref()))
            .collect();
        (!carriers.is_empty()).then_some(Kept { call, carriers })
    }
}
