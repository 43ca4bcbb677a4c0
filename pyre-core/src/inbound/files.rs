//! Step 5 for requests of files: the reactor answers them itself, in their order among the others of a job.
//! Hot path for what is in memory.

use std::sync::Arc;

use pyre_interp::job::{ConnectionId, Entry, Job, Pool, Target};

use crate::connection::table::Connections;
use crate::direct::files::look::{Found, Look, MustWait, Outcome, Wanted, look};
use crate::direct::files::serve::Step;
use crate::direct::responder::Responder;
use crate::dispatch::hand_over::Dispatch;
use crate::inbound::submit;
use crate::settings::bounds::FILES_REPLY_BYTES;
use crate::sys::Patience;

/// Answers the requests of a job that are for files, up to one for a handler: from there on it is handed
/// over. Returns the job if there is something to write first.
pub(super) fn submit(
    connections: &mut Connections,
    responder: &mut Responder,
    dispatch: &mut Dispatch,
    to: ConnectionId,
    mut job: Box<Job>,
) -> Option<Box<Job>> {
    let now_ms = connections.clock.now_ms();
    let Some(connection) = connections.get(to.slot) else {
        connections.jobs.give_back(job);
        return None;
    };
    let mut looked = None;
    if let Some(look) = &connection.look {
        let Some(outcome) = look.take() else {
            // Something else has brought the connection here.
            connections.wait_for_disk(to.slot, job);
            return None;
        };
        looked = Some((outcome, look.is_instead));
        connection.look = None;
    }
    while let Some(call) = job.current() {
        if call.pool != Pool::Reactor {
            return submit::submit(connections, responder, dispatch, to, job);
        }
        let target = call.target;
        match responder.serve_file(&mut job, looked.take(), now_ms) {
            Step::Answered => job.next += 1,
            Step::NotHere => match responder.frozen.routes.fallback {
                Some(pool) => {
                    if let Some(Entry::Call(call)) = job.entries.get_mut(job.next) {
                        (call.target, call.pool) = (Target::Fallback, pool);
                    }
                }
                None => {
                    responder.refuse_file(&mut job, 404);
                    job.next += 1;
                }
            },
            // What is there for others before it goes first.
            Step::Look(..) if !job.reply.is_empty() => return Some(job),
            Step::Look(wanted, before) => {
                if begin(connections, responder, to, target, &job, wanted, before) {
                    connections.wait_for_disk(to.slot, job);
                    return None;
                }
                responder.refuse_file(&mut job, 503);
                job.next += 1;
            }
        }
        if job.flow.is_some() || job.reply.len() >= FILES_REPLY_BYTES {
            return Some(job);
        }
    }
    Some(job)
}

/// Has a thread look that may wait. Returns whether one will.
#[cold]
fn begin(
    connections: &mut Connections,
    responder: &Responder,
    to: ConnectionId,
    target: Target,
    job: &Job,
    wanted: Wanted,
    before: Option<Arc<Found>>,
) -> bool {
    let Target::Files(number) = target else { return false };
    let found = Arc::new(Look::new(wanted == Wanted::Instead));
    let (for_task, mailbox, now_s) = (found.clone(), connections.mailbox.clone(), job.now_s);
    let frozen = responder.frozen.clone();
    let task = move || {
        let mount = frozen.routes.table.mounts().get(number);
        let outcome = look(mount, &wanted, before.as_deref(), now_s, Patience::Wait);
        for_task.put(outcome.unwrap_or_else(|MustWait| Outcome::Broken));
        mailbox.put(to);
    };
    let is_begun = connections.disk.run(task).is_ok();
    if is_begun && let Some(connection) = connections.get(to.slot) {
        connection.look = Some(found);
    }
    is_begun
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use pyre_http::h1::reader::{Next, RequestReader};
    use pyre_http::limits::Limits;
    use pyre_interp::job::{Call, Client};
    use pyre_interp::ring::Doorbell;

    use super::*;
    use crate::connection::state::Connection;
    use crate::connection::state::{Outbound, Phase};
    use crate::connection::transport::Transport;
    use crate::connection::waits::Spans;
    use crate::direct::files::pool::gate;
    use crate::dispatch::admission::Admission;
    use crate::dispatch::workers::Workers;
    use crate::metrics::ledger::Ledger;
    use crate::router::{Mount, RouteTableBuilder};
    use crate::settings::Settings;
    use crate::settings::bounds::DISK_QUEUE_MAX;
    use crate::shared::control::Control;
    use crate::shared::counters::Counters;
    use crate::shared::frozen::{Allowances, Frozen, Routes};
    use crate::shared::health::Health;
    use crate::shared::vitals::Vitals;
    use crate::sys::cold;

    /// A reactor without its poll, with two connections, and a folder that it serves.
    struct Bench {
        connections: Connections,
        responder: Responder,
        dispatch: Dispatch,
        folder: PathBuf,
        _ends: [UnixStream; 2],
    }

    impl Bench {
        fn new(name: &str) -> Self {
            let name = format!("pyre-served-{}-{name}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("a.txt"), "a").unwrap();
            fs::write(folder.join("b.txt"), "b").unwrap();
            let mut table = RouteTableBuilder::new();
            let mount = Mount {
                prefix: "".into(),
                label: "/".into(),
                directory: folder.clone(),
                index: "".into(),
                cache_control: None,
                html: false,
                spa: "".into(),
                follows_links: false,
                local: Arc::default(),
            };
            table.mount(mount).unwrap();
            let table = Arc::new(table.freeze());
            let settings = Settings::of_one_reactor();
            let control = Arc::new(Control::new(vec![Arc::new(Doorbell::new(|| {}))], None));
            let health = Arc::new(Health::new(control.clone(), false));
            let (lanes, gil, inline) = (Vec::new(), Vec::new(), Vec::new());
            let topics = control.topics().clone();
            let vitals = Vitals::new(&settings, table.clone(), lanes, health, topics, gil, inline);
            let frozen = Arc::new(Frozen {
                routes: Routes {
                    table,
                    pools: Vec::new(),
                    takes_body: Vec::new(),
                    fallback: None,
                    sockets: None,
                    cors: None,
                    hosts: None,
                    https_redirect: None,
                    looks_closely: false,
                    gives_ids: false,
                    vitals,
                },
                settings,
                allowances: Allowances::new(60_000, std::iter::empty()),
            });
            let ledger = Ledger::new(Arc::new(Counters::new(None)), None);
            let mut connections = Connections::new(Spans::all(60_000), control.mailbox(0));
            let ends = [(); 2].map(|()| {
                let (ours, theirs) = UnixStream::pair().unwrap();
                ours.set_nonblocking(true).unwrap();
                let transport = Transport::Unix(mio::net::UnixStream::from_std(ours));
                connections.insert(Connection::new(transport, Client::Local));
                theirs
            });
            let workers = Workers::new(Vec::new(), 0, 1);
            let dispatch =
                Dispatch::new(workers, Admission::new(None), control.disconnects(), None);
            let responder = Responder::new(frozen, ledger);
            Self { connections, responder, dispatch, folder, _ends: ends }
        }

        fn submit(&mut self, slot: u32, job: Box<Job>) -> Option<String> {
            let generation = self.connections.generation(slot);
            let to = ConnectionId { reactor: 0, slot, generation };
            let (connections, responder) = (&mut self.connections, &mut self.responder);
            let job = super::submit(connections, responder, &mut self.dispatch, to, job)?;
            Some(String::from_utf8(job.reply).unwrap())
        }

        /// Asks for a file; nothing if that has to wait.
        fn ask(&mut self, slot: u32, name: &str) -> Option<String> {
            let mut job = Job::new();
            job.bytes
                .extend_from_slice(format!("GET /{name} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
            let limits = Limits::default();
            let read = RequestReader::new().next(&mut job.bytes, &mut job.headers, &limits);
            let Ok(Next::Request(request)) = read else { panic!("it is whole") };
            let call = Call::new(request, (0, 0), Target::Files(0), Pool::Reactor);
            job.entries.push(Entry::Call(call));
            self.submit(slot, job)
        }

        /// Goes on with a connection that waits, as the reactor does that finds it in its mailbox.
        fn go_on(&mut self, slot: u32) -> Option<String> {
            let Outbound { job, .. } = self.connections.take_outbound(slot).expect("it waits");
            self.submit(slot, job)
        }

        fn wait_for_mail(&self) -> ConnectionId {
            let deadline = Instant::now() + Duration::from_secs(60);
            while self.connections.mailbox.is_empty() && Instant::now() < deadline {
                std::thread::yield_now();
            }
            self.connections.mailbox.take().expect("somebody has looked")
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            cold::pretend(false);
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    #[test]
    fn a_disk_that_does_not_answer_holds_up_nobody_but_who_asks_it() {
        let mut bench = Bench::new("slow");
        if bench.ask(1, "b.txt").is_none() {
            // Not every system tells what it has in memory.
            bench.wait_for_mail();
            bench.go_on(1).unwrap();
        }
        cold::pretend(true);
        let gate = gate::close(&bench.connections.disk);
        assert!(bench.ask(0, "a.txt").is_none());
        assert_eq!(bench.connections.get(0).unwrap().phase, Phase::Streaming);
        for _ in 0..100 {
            assert!(bench.ask(1, "b.txt").unwrap().ends_with("\r\n\r\nb"));
            // Whatever else brings the reactor there: it goes on waiting.
            assert!(bench.go_on(0).is_none());
        }
        drop(gate);
        assert_eq!(bench.wait_for_mail().slot, 0);
        assert!(bench.go_on(0).unwrap().ends_with("\r\n\r\na"));
        assert!(bench.connections.get(0).unwrap().look.is_none());
        // From here on it is in memory.
        assert!(bench.ask(0, "a.txt").unwrap().ends_with("\r\n\r\na"));
    }

    #[test]
    fn what_is_not_there_is_not_there_on_a_cold_disk_either() {
        let mut bench = Bench::new("missing");
        cold::pretend(true);
        assert!(bench.ask(0, "none").is_none());
        bench.wait_for_mail();
        assert!(bench.go_on(0).unwrap().starts_with("HTTP/1.1 404 "));
    }

    #[test]
    fn too_much_that_waits_for_a_disk_is_told_to_come_again() {
        let mut bench = Bench::new("full");
        cold::pretend(true);
        let gate = gate::close(&bench.connections.disk);
        for _ in 0..DISK_QUEUE_MAX {
            bench.connections.disk.run(|| {}).unwrap();
        }
        let answer = bench.ask(0, "a.txt").expect("it does not wait");
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
        drop(gate);
    }

    #[test]
    fn who_goes_while_a_disk_is_asked_for_him_is_forgotten() {
        let mut bench = Bench::new("gone");
        cold::pretend(true);
        let gate = gate::close(&bench.connections.disk);
        assert!(bench.ask(0, "a.txt").is_none());
        bench.connections.close(0);
        drop(gate);
        let to = bench.wait_for_mail();
        assert!(bench.connections.get_exactly(to.slot, to.generation).is_none());
    }
}
