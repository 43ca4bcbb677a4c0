//! Step 12: bytes are written, in one call per connection and turn. Hot path.

use std::io;

use pyre_interp::job::Job;

use crate::connection::state::{Awaiting, Outbound, Phase};
use crate::reactor::run::Reactor;
use crate::settings::bounds::{LINGER_IDLE_MS, LINGER_MS_MAX};

impl Reactor {
    /// Writes what a job holds, from `written` on. What the socket does not take waits for it.
    pub(crate) fn flush(&mut self, slot: u32, mut job: Box<Job>, mut written: usize) {
        self.ledger.collected(&mut job);
        let Some(connection) = self.connections.get(slot) else {
            return self.jobs.give_back(job);
        };
        while written < job.reply.len() {
            match connection.transport.send(&job.reply[written..]) {
                Ok(0) => {
                    self.jobs.give_back(job);
                    return self.close(slot);
                }
                Ok(sent) => written += sent,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.phase = Phase::Writing;
                    connection.outbound = Some(Outbound { job, written });
                    return self.await_next(slot, Awaiting::Writable);
                }
                // The peer is gone: nobody is left to tell.
                Err(_) => {
                    self.jobs.give_back(job);
                    return self.close(slot);
                }
            }
        }
        self.written(slot, job);
    }

    /// Goes on writing when the socket takes more.
    pub(crate) fn resume_writing(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get(slot)
            && let Some(Outbound { job, written }) = connection.outbound.take()
        {
            self.flush(slot, job, written);
            self.list(slot);
        }
    }

    /// Ends our side after the last answer and lets the peer read it.
    ///
    /// RFC 9112 section 9.6: closing at once, while the peer still sends, makes its system drop
    /// the answer that it has not read yet.
    pub(crate) fn linger(&mut self, slot: u32) {
        let now_ms = self.clock.now_ms();
        let span_ms = if self.is_ending() { LINGER_IDLE_MS } else { LINGER_MS_MAX };
        let Some(connection) = self.connections.get(slot) else { return };
        if connection.read_closed || connection.transport.finish_sending().is_err() {
            return self.close(slot);
        }
        connection.phase = Phase::Lingering;
        connection.linger_until_ms = now_ms + span_ms;
        connection.readable = true;
        if let Some(job) = connection.inbound.take() {
            self.jobs.give_back(job);
        }
        self.await_next(slot, Awaiting::End);
        self.list(slot);
    }

    /// Closes a connection and frees its slot.
    pub(crate) fn close(&mut self, slot: u32) {
        if let Some(mut connection) = self.connections.remove(slot) {
            self.timers.disarm(slot);
            if let Some(job) = connection.inbound.take() {
                self.jobs.give_back(job);
            }
            if let Some(outbound) = connection.outbound.take() {
                self.jobs.give_back(outbound.job);
            }
        }
    }
}
