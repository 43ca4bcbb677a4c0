//! What is published goes between the pieces of a flow, and never into one.

use pyre_http::event_stream;
use pyre_http::h1::serialize::Delimited;

use super::{FLOW_BYTES_MAX, Outflow, Stage, State};
use crate::flow::Known;
use crate::flow::topics::{Form, Publication};

/// What became of a publication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offered {
    /// Nothing is before it: the reactor is to write it at once.
    Write,
    /// It is sent behind what is there.
    Taken,
    /// There is no room: who is to hear it does not read.
    Full,
    /// It cannot be heard.
    Over,
}

/// Publications on their way to one connection.
#[derive(Default)]
pub(super) struct Offers {
    /// How many bytes of them the reactor has not taken.
    bytes: usize,
    /// They wait for the end of an event that is half sent, framed for the wire.
    held: Vec<u8>,
    /// Those that came before a lane has attached the flow, as events, with the number of their app.
    early: Vec<(u64, Vec<u8>)>,
}

impl Offers {
    /// Whether there is no room for another one. One may go beyond the bound.
    fn are_many(&self) -> bool {
        self.bytes >= FLOW_BYTES_MAX
    }

    /// The reactor has taken what there was, but for what is held.
    pub(super) fn are_taken(&mut self) {
        self.bytes = self.held.len();
    }
}

impl Outflow {
    /// Offers a publication to one whose reactor has other things to write first.
    pub fn offer(&self, form: Form, publication: &Publication) -> Offered {
        self.offer_to(form, publication, None)
    }

    /// Offers a publication. With `idle`, as nothing of this connection waits to be written, the reactor
    /// is told to write it if nothing waits here; that is what is known with it.
    pub(in crate::flow) fn offer_to(
        &self,
        form: Form,
        publication: &Publication,
        idle: Option<&mut Known>,
    ) -> Offered {
        let Some(bytes) = publication.form(form) else { return Offered::Over };
        let mut state = self.state.lock();
        if state.stage != Stage::Open {
            return Offered::Over;
        }
        let is_between = state.is_between(form);
        if let Some(known) = idle
            && is_between
            && state.pieces.is_empty()
            && state.has_no_end()
        {
            state.known.add(publication.bytes(form));
            *known = state.known;
            return Offered::Write;
        }
        if state.offers.are_many() {
            return Offered::Full;
        }
        if !state.spend(publication.bytes(form)) {
            self.close(state, Stage::Failed);
            return Offered::Over;
        }
        state.known.add(publication.bytes(form));
        state.offers.bytes += bytes.len();
        if is_between {
            state.pieces.extend_from_slice(bytes);
            self.tell(state);
        } else {
            state.offers.held.extend_from_slice(bytes);
        }
        Offered::Taken
    }

    /// Offers what the app of this number has published to one that is not attached. Tells whether there
    /// is room for it.
    pub(in crate::flow) fn offer_early(&self, app: u64, publication: &Publication) -> bool {
        let Some(event) = publication.event() else { return true };
        let mut state = self.state.lock();
        if state.stage != Stage::Open || state.reader.is_some() {
            return true;
        }
        if state.offers.are_many() {
            return false;
        }
        state.offers.bytes += event.len();
        state.offers.early.push((app, event.to_vec()));
        true
    }

    /// As `finish` for one that does not read: what waits is thrown away.
    pub fn cut_short(&self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.finish(|pieces| {
            *pieces = Vec::new();
            write(pieces);
        })
    }

    /// Nobody of the program has it any more. If it has subscribed to anything it goes on, for its
    /// client; else it breaks off, as nobody is left to send what is missing.
    pub fn let_go(&self) {
        let is_subscribed = self.is_subscribed();
        let mut state = self.state.lock();
        let goes_on = is_subscribed && state.reader.is_some() && state.stage == Stage::Open;
        state.is_let_go = true;
        drop(state);
        if goes_on {
            return;
        }
        self.fail();
        if self.state.lock().reader.is_none() {
            self.end_subscriptions();
        }
    }

    /// Ends it in order if nobody of the program has it any more: the server stops.
    pub fn end_if_let_go(&self) {
        let is_let_go = self.state.lock().is_let_go;
        if is_let_go {
            self.end();
        }
    }
}

impl State {
    /// Whether a publication can go here: not into an event that is half sent.
    fn is_between(&self, form: Form) -> bool {
        !form.is_event() || event_stream::is_between_events(self.tail)
    }

    /// Whether something was published to it before a lane has attached it.
    pub(super) fn has_early_offers(&self) -> bool {
        !self.offers.early.is_empty()
    }

    /// Whether the answer has not said how long it is.
    fn has_no_end(&self) -> bool {
        !matches!(self.delimited, Delimited::Length(_))
    }

    /// Takes bytes from what the answer has said that it has. Tells whether it may have them.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        let Delimited::Length(left) = &mut self.delimited else { return true };
        let Some(behind) = left.checked_sub(bytes as u64) else { return false };
        *left = behind;
        true
    }

    /// What waits for the end of an event goes behind it, if that was it.
    pub(super) fn release_held(&mut self) {
        if !self.offers.held.is_empty() && event_stream::is_between_events(self.tail) {
            let held = std::mem::take(&mut self.offers.held);
            self.pieces.extend_from_slice(&held);
        }
    }

    /// What has been published before a lane attached the flow goes behind the pieces that were sent
    /// before: that of the app of this number.
    pub(super) fn take_early(&mut self, app: u64) {
        for (of_app, event) in std::mem::take(&mut self.offers.early) {
            if of_app != app || !matches!(self.stage, Stage::Open | Stage::Ended) {
                continue;
            }
            if !event_stream::is_between_events(self.tail) {
                let held = std::mem::take(&mut self.pieces);
                let framed = self.append(&event);
                let event = std::mem::replace(&mut self.pieces, held);
                if framed {
                    self.offers.held.extend_from_slice(&event);
                }
            } else if !self.append(&event) {
                self.stage = Stage::Failed;
                continue;
            }
            self.known.add(event.len());
        }
    }
}
