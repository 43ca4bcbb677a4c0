//! What all reactors of a server share and nobody changes: routes and settings.

use std::sync::Arc;

use pyre_http::cors::Cors;
use pyre_http::hosts::{Hosts, HttpsRedirect};
use pyre_interp::job::{Entry, Job, Pool, RouteId, Target};

use crate::router::RouteTable;
use crate::settings::Settings;
use crate::settings::bounds::{OVERRUN_GRACE_MS_MAX, OVERRUN_GRACE_MS_MIN};
use crate::shared::vitals::Vitals;

/// Longer than any server runs, in milliseconds.
pub(crate) const FOR_EVER_MS: u64 = u64::MAX / 4;

/// A limit as users set it, where 0 stands for none.
pub(crate) fn unlimited(ms: u64) -> u64 {
    if ms == 0 { FOR_EVER_MS } else { ms }
}

/// How long handlers may take.
#[derive(Clone)]
pub(crate) struct Allowances {
    /// What holds for all that say nothing else, in milliseconds.
    default_ms: u64,
    /// How long the client of one such request waits.
    one_ms: u64,
    /// What holds for each route, if any says something else.
    by_route_ms: Option<Vec<u64>>,
}

impl Allowances {
    /// Puts together what the server and its routes say; 0 stands for no limit.
    pub(crate) fn new(default_ms: u64, routes_ms: impl Iterator<Item = Option<u64>>) -> Self {
        let routes_ms: Vec<Option<u64>> = routes_ms.collect();
        let by_route_ms = routes_ms.iter().any(Option::is_some).then(|| {
            routes_ms.iter().map(|own_ms| unlimited(own_ms.unwrap_or(default_ms))).collect()
        });
        let default_ms = unlimited(default_ms);
        Self { default_ms, one_ms: with_grace(default_ms), by_route_ms }
    }

    /// How long a handler may take, in milliseconds.
    pub(crate) fn of(&self, target: Option<Target>) -> u64 {
        match (&self.by_route_ms, target) {
            (Some(by_route_ms), Some(Target::Route(RouteId(route)))) => by_route_ms[route as usize],
            _ => self.default_ms,
        }
    }

    /// How long the client of a job waits at most, in milliseconds: what its handlers may take one
    /// after the other, and some time for a handler to be interrupted and to say so itself.
    #[inline]
    pub(crate) fn for_job(&self, job: &Job) -> u64 {
        let left = &job.entries[job.next..];
        if left.len() == 1 && self.by_route_ms.is_none() {
            return self.one_ms;
        }
        let span_ms = match self.by_route_ms {
            None => self.default_ms.saturating_mul(left.len() as u64),
            Some(_) => left.iter().fold(0, |sum: u64, entry| match entry {
                Entry::Call(call) => sum.saturating_add(self.of(Some(call.target))),
                Entry::Answer(_) => sum,
            }),
        };
        with_grace(span_ms)
    }

    /// The shortest that any handler may take, in milliseconds; none if there is no limit at all.
    pub(crate) fn shortest_ms(&self) -> Option<u64> {
        let all = self.by_route_ms.iter().flatten().copied().chain([self.default_ms]);
        all.min().filter(|&shortest_ms| shortest_ms < FOR_EVER_MS)
    }
}

/// How long an interrupted handler has to end, in milliseconds.
pub(crate) fn grace_ms(span_ms: u64) -> u64 {
    (span_ms / 4).clamp(OVERRUN_GRACE_MS_MIN, OVERRUN_GRACE_MS_MAX)
}

/// A span, and the time for a handler to be interrupted and to say so itself.
fn with_grace(span_ms: u64) -> u64 {
    span_ms.saturating_add(2 * grace_ms(span_ms)).min(FOR_EVER_MS)
}

/// What holds of each route, by its index: nothing if it is no WebSocket; else the origins whose pages
/// may connect, if there is a list of them.
pub(crate) type Sockets = Box<[Option<Option<Vec<String>>>]>;

/// What the reactors know about the routes. Frozen while serving.
pub(crate) struct Routes {
    pub(crate) table: Arc<RouteTable>,
    /// Where the handler of each route runs, by route.
    pub(crate) pools: Vec<Pool>,
    /// Whether the handler of each route takes a body as it comes, by route; empty if none does.
    pub(crate) takes_body: Vec<bool>,
    /// Where the fallback handler runs, if there is one.
    pub(crate) fallback: Option<Pool>,
    /// Which of them are WebSockets, if any is.
    pub(crate) sockets: Option<Sockets>,
    /// Who may read answers, of pages elsewhere.
    pub(crate) cors: Option<Arc<Cors>>,
    /// The hosts that are served, if not all.
    pub(crate) hosts: Option<Arc<Hosts>>,
    /// Where requests go that have come by plain http, if they are sent on.
    pub(crate) https_redirect: Option<Arc<HttpsRedirect>>,
    /// One of these two is there, or answers name the origin of their request.
    pub(crate) looks_closely: bool,
    /// Whether each request has an id that its answer bears.
    pub(crate) gives_ids: bool,
    /// What the server shows of itself, and the pages that show it.
    pub(crate) vitals: Arc<Vitals>,
}

impl Routes {
    /// Whether the handler of this route takes a body as it comes.
    pub(crate) fn takes_body(&self, route: RouteId) -> bool {
        self.takes_body.get(route.0 as usize).is_some_and(|&takes| takes)
    }
}

/// Routes and settings of a server.
pub(crate) struct Frozen {
    pub(crate) routes: Routes,
    pub(crate) settings: Settings,
    pub(crate) allowances: Allowances,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_may_say_how_long_it_takes() {
        let route = |number| Some(Target::Route(RouteId(number)));
        let same = Allowances::new(30_000, [None, None].into_iter());
        assert_eq!((same.of(route(1)), same.of(None)), (30_000, 30_000));
        assert_eq!(same.shortest_ms(), Some(30_000));
        let own = Allowances::new(0, [None, Some(500)].into_iter());
        assert_eq!((own.of(route(0)), own.of(route(1))), (FOR_EVER_MS, 500));
        assert_eq!(own.of(Some(Target::Fallback)), FOR_EVER_MS);
        assert_eq!(own.shortest_ms(), Some(500));
        assert_eq!(Allowances::new(0, [None].into_iter()).shortest_ms(), None);
    }
}
