//! What is published goes to all connections of a reactor that have subscribed to it, some of them in
//! each turn, so that others are served in between. Hot path.

use std::sync::Arc;

use pyre_interp::flow::topics::{BOARD, Board, Member, Publication};

use crate::connection::state::Connection;
use crate::outbound::topics::{Delivered, deliver};
use crate::reactor::run::Reactor;
use crate::settings::bounds::{FAN_OUT_US_MAX, HEARERS_PER_LOOK};

/// What a reactor is about to deliver.
pub(super) struct FanOut {
    board: Arc<Board>,
    /// The publication that it is at, and the last subscriber that has it.
    current: Option<(Arc<Publication>, u64)>,
    /// Subscribers that are next; empty between looks, kept for its memory.
    hearers: Vec<(u64, Member)>,
    /// How many publications are delivered before the server takes its leave.
    owed: usize,
}

impl FanOut {
    pub(super) fn new(board: Arc<Board>) -> Self {
        Self { board, current: None, hearers: Vec::new(), owed: 0 }
    }

    /// The publication that is delivered next, and behind which subscriber that goes on.
    fn next(&mut self) -> Option<(Arc<Publication>, u64)> {
        self.current.take().or_else(|| self.board.next().map(|next| (next, 0)))
    }

    /// What has been published up to now is owed to its subscribers.
    pub(super) fn note_what_is_owed(&mut self) {
        self.owed = self.board.waiting() + usize::from(self.current.is_some());
    }

    /// Whether any of that is left.
    pub(super) fn owes(&self) -> bool {
        self.owed > 0
    }
}

impl Reactor {
    /// Delivers what was published, for as long as a turn may give to that.
    #[cold]
    #[inline(never)]
    pub(super) fn fan_out(&mut self) {
        self.connections.clock.tick();
        let until_us = self.connections.clock.now_us() + FAN_OUT_US_MAX;
        let mut hearers = std::mem::take(&mut self.fan_out.hearers);
        while self.connections.clock.now_us() < until_us {
            let Some((publication, behind)) = self.fan_out.next() else {
                self.fan_out.hearers = hearers;
                return;
            };
            self.fan_out.board.hearers(&publication, behind, HEARERS_PER_LOOK, &mut hearers);
            if hearers.is_empty() {
                // To find that takes its time as well.
                self.connections.clock.tick();
            }
            let mut last = None;
            for (order, member) in hearers.drain(..) {
                self.deliver(&publication, &member);
                last = Some(order);
                // A long message takes long, each time.
                self.connections.clock.tick();
                if self.connections.clock.now_us() >= until_us {
                    break;
                }
            }
            // Who is left is looked up again.
            self.fan_out.current = last.map(|order| (publication, order));
            if self.fan_out.current.is_none() {
                self.fan_out.owed = self.fan_out.owed.saturating_sub(1);
            }
        }
        self.fan_out.hearers = hearers;
        // The others first.
        self.connections.mailbox.put_back(BOARD);
    }

    fn deliver(&mut self, publication: &Publication, member: &Member) {
        let slot = member.connection.slot;
        let is_written = match deliver(&mut self.connections, publication, member) {
            Delivered::Written => true,
            Delivered::Partly(job) => {
                self.write(slot, job, 0);
                self.connections.list(slot);
                true
            }
            Delivered::Queued => false,
            Delivered::Full => return self.drop_subscriber(member),
            Delivered::Over => return,
        };
        let counters = &self.responder.ledger.counters;
        counters.deliveries.add(1);
        if is_written && !member.form.is_event() {
            counters.socket_sent.add(1);
            counters.socket_sent_bytes.add(publication.bytes(member.form) as u64);
        }
    }

    /// Ends the connection of a subscriber that does not read what is published.
    #[cold]
    fn drop_subscriber(&mut self, member: &Member) {
        self.responder.ledger.counters.dropped_subscribers.add(1);
        let (slot, generation) = (member.connection.slot, member.connection.generation);
        let now_ms = self.connections.clock.now_ms();
        let connection = self.connections.get_exactly(slot, generation);
        let answers_with_it = |connection: &&mut Connection| connection.answers_with(&member.flow);
        let Some(connection) = connection.filter(answers_with_it) else {
            // Its answer is on the way here, and breaks off when it has come.
            member.flow.fail();
            return;
        };
        match connection.protocol.socket() {
            // While it is written to, it is looked at often enough.
            Some(socket) => socket.give_up_slow(now_ms),
            None => self.end_stream(slot),
        }
    }
}
