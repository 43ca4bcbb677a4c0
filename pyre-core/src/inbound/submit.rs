//! Step 5: a job goes to a lane, or waits for one, or is refused. Hot path.

use pyre_interp::job::{ConnectionId, Job, Pool};

use crate::inbound::route::answer_rest;
use crate::reactor::run::Reactor;

impl Reactor {
    /// Hands a job over. A full system answers 503 at once, and nothing here ever waits.
    pub(crate) fn submit(&mut self, slot: u32, mut job: Box<Job>) {
        let generation = self.connections.generation(slot);
        job.reply_to = ConnectionId { reactor: self.index, slot, generation };
        job.now_s = self.clock.wall_s();
        let Some(call) = job.current() else {
            return self.flush(slot, job, 0);
        };
        let (pool, target, request) = (call.pool, call.target, &call.request);
        let (method, path) = (request.method, request.path);
        let now_ms = self.clock.now_ms();
        let until_ms = now_ms.saturating_add(self.frozen.allowances.for_job(&job));
        let Some(connection) = self.connections.get(slot) else {
            return self.jobs.give_back(job);
        };
        connection.begin_answering(until_ms);
        connection.is_pipelined = job.entries.len() - job.next > 1 || !job.reply.is_empty();
        connection.awaited.target = target;
        connection.awaited.method = method;
        connection.awaited.since_us = job.received_us;
        if let Some(id) = job.id() {
            connection.awaited.id.clear();
            connection.awaited.id.extend_from_slice(id);
        }
        if self.ledger.logs_answers() {
            connection.awaited.path.clear();
            connection.awaited.path.extend_from_slice(path.of(&job.bytes));
        }
        let needs_alarm = connection.deadline_ms < connection.alarm_ms;
        let has_closed_side = connection.end_seen || connection.read_closed;
        if !self.admission.admit(&mut job) {
            return self.refuse_overload(slot, job);
        }
        let job = match &mut self.errands {
            Some(errands) => errands.admit(job).err(),
            None => Some(job),
        };
        if let Some(job) = job
            && !self.send_or_refuse(slot, job, pool)
        {
            return;
        }
        if needs_alarm {
            self.set_alarm(slot, until_ms);
        }
        if has_closed_side {
            self.note_closed_side(slot, false);
        }
    }

    /// Sends a job to a worker, or answers it if the system is full. Tells whether it was sent.
    pub(crate) fn send_or_refuse(&mut self, slot: u32, job: Box<Job>, pool: Pool) -> bool {
        match self.dispatch.send(job, pool, self.clock.now_ms()) {
            Ok(()) => true,
            Err(mut job) => {
                self.admission.release(&mut job);
                self.refuse_overload(slot, job);
                false
            }
        }
    }

    /// RFC 9110 section 15.6.4.
    #[cold]
    fn refuse_overload(&mut self, slot: u32, mut job: Box<Job>) {
        let left = job.entries.len() - job.next;
        self.ledger.counters.overloaded.add(left as u64);
        answer_rest(&self.heads, &mut job, 503, &[(b"Retry-After", b"1")]);
        self.flush(slot, job, 0);
        // What has been received behind it may never be told of again.
        self.list(slot);
    }

    /// Sends on what was waiting for a free lane.
    pub(crate) fn resubmit_waiting(&mut self) {
        if self.dispatch.is_waiting() {
            let now_ms = self.clock.now_ms();
            self.dispatch.send_waiting(now_ms);
        }
    }
}
