//! The places of an answer's items, for upstreams that do not number them well.

use serde_json::{Map, Value};

/// Which place of the output an event speaks of: by its number, and by the item's id where that is left out.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Items that were announced, and where they stand.
    known: Vec<(String, u64)>,
    /// The place after the furthest that was named.
    next: u64,
    /// The item that was announced last.
    last: u64,
    /// Numbers are left out.
    unnumbered: bool,
}

/// Items whose ids are remembered; no answer has as many.
const MOST_PLACES: usize = 4_096;

impl Places {
    /// The place that an event speaks of; `announces` where it begins an item.
    pub(super) fn of(&mut self, event: &Map<String, Value>, announces: bool) -> u64 {
        let number = event.get("output_index").and_then(Value::as_u64);
        let item = event.get("item").and_then(Value::as_object);
        let id = text_in(event, "item_id").or_else(|| id_of(item?));
        let place = match (number, id) {
            (Some(number), Some(id)) if announces => {
                // Some programs between give every item the same number.
                let taken = self
                    .known
                    .iter()
                    .any(|(known, at)| *at == number && known != id);
                if taken { self.fresh(id) } else { number }
            }
            (Some(number), id) => id.and_then(|id| self.find(id)).unwrap_or(number),
            (None, Some(id)) => {
                self.unnumbered = true;
                self.find(id).unwrap_or_else(|| self.fresh(id))
            }
            (None, None) if announces => {
                self.unnumbered = true;
                self.next
            }
            (None, None) => self.last,
        };
        self.next = self.next.max(place.saturating_add(1));
        if announces {
            self.last = place;
            if let Some(id) = id
                && self.find(id).is_none()
            {
                self.remember(id, place);
            }
        }
        place
    }

    /// The place of an item of the whole output.
    pub(super) fn of_whole(&mut self, item: &Map<String, Value>, number: u64) -> u64 {
        match id_of(item) {
            Some(id) if self.unnumbered => self.find(id).unwrap_or_else(|| self.fresh(id)),
            Some(id) => self.find(id).unwrap_or(number),
            None => number,
        }
    }

    fn find(&self, id: &str) -> Option<u64> {
        let found = self.known.iter().find(|(known, _)| known == id);
        found.map(|(_, place)| *place)
    }

    fn fresh(&mut self, id: &str) -> u64 {
        let place = self.next;
        self.next = place.saturating_add(1);
        self.remember(id, place);
        place
    }

    fn remember(&mut self, id: &str, place: u64) {
        if self.known.len() < MOST_PLACES {
            self.known.push((id.to_owned(), place));
        }
    }
}

fn text_in<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = map.get(name).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
}

fn id_of(item: &Map<String, Value>) -> Option<&str> {
    text_in(item, "id").or_else(|| text_in(item, "call_id"))
}
