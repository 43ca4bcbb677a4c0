//! Which flights are cancelled: those that are overdue, and those whose client has gone.

use std::time::Instant;

use super::{LoopLane, call};
use crate::event_loop::flights::End;

impl LoopLane<'_, '_> {
    /// Cancels flights whose client has gone since the last look.
    pub(super) fn cancel_disconnected(&mut self) {
        let version = self.lane.shared.disconnects.version();
        if version == self.disconnects {
            return;
        }
        self.disconnects = version;
        let flights = &self.flights;
        let disconnected = self.lane.shared.disconnects.among(|id| flights.of(id).is_some());
        for connection in disconnected {
            if let Some(number) = self.flights.of(&connection) {
                self.cancel_for_client(number);
            }
        }
    }

    /// Cancels a flight whose client has gone, unless all it does is done for the program's sake.
    pub(super) fn cancel_for_client(&mut self, number: u32) {
        if self.flights.get(number).is_some_and(|flight| !flight.stages.is_past_client()) {
            self.cancel(number, End::Disconnected);
        }
    }

    /// Cancels flights that have lasted as long as they may.
    pub(super) fn cancel_overdue(&mut self) {
        if self.flights.next_deadline().is_none() {
            return;
        }
        let now = Instant::now();
        while let Some(number) = self.flights.overdue(now) {
            self.cancel(number, End::Overrun);
        }
    }

    /// Cancels a flight, once for each reason that is graver than the one before: whoever catches the
    /// first may yet end when nobody waits any more.
    #[cold]
    pub(super) fn cancel(&mut self, number: u32, end: End) {
        let Some(flight) = self.flights.get(number) else { return };
        if flight.end < Some(end) {
            flight.end = Some(end);
            let task = flight.driver.task.clone();
            // What the flight waits for may be of the user's making, and raise; it must not see the
            // context of another request.
            let left = self.drivers.leave(&self.event_loop);
            self.tell(left);
            self.tell(call(&task, "cancel", self.py));
            self.lane.end_if_forked();
        }
    }
}
