//! Collecting routes and refusing conflicts; the frozen table.
//! Hot path.
//!
//! One look-up serves all methods: exact paths first, then the tree. A path that matches several
//! patterns goes to the best one that has the method, so `POST /users/me` reaches
//! `POST /users/{id}` beside a `GET /users/me`. If none has it, `Allow` names the methods of all.

use std::collections::HashMap;
use std::fmt;

use pyre_http::method::Method;
use pyre_http::span::Span;
use pyre_interp::job::RouteId;

use super::allow::{AllowSet, GET, HEAD, Methods, NAMED, OPTIONS, is_token};
use super::exact::ExactPaths;
use super::mounts::{Mount, MountError, Mounts};
use super::pattern::{Pattern, PatternError};
use super::spelling::is_encoded;
use super::tree::{Lookup, Tree};

/// Routes of one table.
const ROUTES_MAX: usize = 1 << 20;

/// A route as it was added.
#[derive(Debug)]
pub struct Route {
    /// The method's token.
    pub method: Box<str>,
    /// The path it answers.
    pub pattern: Pattern,
}

/// What answers a path without parameters, whatever the method.
#[derive(Clone, Copy, Debug)]
pub struct ExactEndpoint(u32);

/// What a look-up says about a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// The route; its parameters have been pushed in the order of the pattern.
    Route(RouteId),
    /// The path exists, but not with this method: 405 with these methods in `Allow`.
    MethodNotAllowed(AllowSet),
    /// `OPTIONS` on a path without such a route: 204 with these methods in `Allow`.
    Options(AllowSet),
    /// No pattern matches.
    NotFound,
}

/// Why a route is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteError {
    /// The pattern is malformed.
    Pattern(PatternError),
    /// The method is not a token.
    BadMethod(Box<str>),
    /// The table holds as many routes or methods as it can.
    TableFull,
    /// An earlier route answers the same requests. The four texts: method and pattern of the new
    /// route, method and pattern of the earlier one.
    Conflict(Box<[Box<str>; 4]>),
}

/// Collects routes before serving.
#[derive(Default)]
pub struct RouteTableBuilder {
    routes: Vec<Route>,
    methods: Methods,
    endpoints: Vec<Endpoint>,
    exact: HashMap<Box<[u8]>, u32>,
    tree: Tree,
    mounts: Mounts,
}

/// The routes, read by all reactors.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
    methods: Methods,
    endpoints: Vec<Endpoint>,
    exact: ExactPaths,
    tree: Tree,
    mounts: Mounts,
    all: AllowSet,
}

/// The routes of one path shape.
#[derive(Default, Debug)]
struct Endpoint {
    named: [Option<RouteId>; NAMED],
    others: Vec<(usize, RouteId)>,
    allow: AllowSet,
}

impl RouteTableBuilder {
    /// A table without routes.
    pub fn new() -> Self {
        RouteTableBuilder::default()
    }

    /// Adds the next route. `method` is taken as written; methods are case-sensitive.
    ///
    /// # Errors
    /// A bad pattern or method, or a route that answers the same requests; nothing is added.
    pub fn add(&mut self, method: &str, pattern: &str) -> Result<RouteId, RouteError> {
        self.add_in(method, pattern, false)
    }

    /// As `add`, for a route whose requests are looked at before they are answered: it is found by
    /// [`RouteTable::find`] only, and so costs others nothing.
    ///
    /// # Errors
    /// As `add`.
    pub fn add_apart(&mut self, method: &str, pattern: &str) -> Result<RouteId, RouteError> {
        self.add_in(method, pattern, true)
    }

    /// Adds a folder whose files are served.
    ///
    /// # Errors
    /// If another one has its prefix, or there are too many.
    pub fn mount(&mut self, mount: Mount) -> Result<u32, MountError> {
        self.mounts.add(mount)
    }

    fn add_in(
        &mut self,
        method: &str,
        pattern: &str,
        is_apart: bool,
    ) -> Result<RouteId, RouteError> {
        if !is_token(method) {
            return Err(RouteError::BadMethod(method.into()));
        }
        let pattern = Pattern::parse(pattern).map_err(RouteError::Pattern)?;
        if self.routes.len() == ROUTES_MAX {
            return Err(RouteError::TableFull);
        }
        let place = self.methods.place_or_add(method).ok_or(RouteError::TableFull)?;
        let id = RouteId(u32::try_from(self.routes.len()).expect("ROUTES_MAX fits"));

        let endpoint = self.endpoint_of(&pattern);
        if let Some(earlier) = self.endpoints[endpoint].route(place) {
            let earlier = &self.routes[earlier.0 as usize];
            let texts = [method, pattern.text(), &earlier.method, earlier.pattern.text()];
            return Err(RouteError::Conflict(Box::new(texts.map(Into::into))));
        }
        self.endpoints[endpoint].set(place, id, is_apart);
        self.routes.push(Route { method: method.into(), pattern });
        Ok(id)
    }

    fn endpoint_of(&mut self, pattern: &Pattern) -> usize {
        let fresh = u32::try_from(self.endpoints.len()).expect("ROUTES_MAX fits");
        let endpoint = match pattern.exact() {
            Some(path) => *self.exact.entry(path).or_insert(fresh),
            None => *self.tree.endpoint_mut(pattern).get_or_insert(fresh),
        };
        if endpoint == fresh {
            self.endpoints.push(Endpoint::default());
        }
        endpoint as usize
    }

    /// All routes so far, in registration order.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Ends registration.
    pub fn freeze(mut self) -> RouteTable {
        let mut all = AllowSet::default();
        all.add(OPTIONS);
        for endpoint in &mut self.endpoints {
            endpoint.freeze();
            all.union(endpoint.allow);
        }
        RouteTable {
            routes: self.routes,
            methods: self.methods,
            endpoints: self.endpoints,
            exact: ExactPaths::new(self.exact.into_iter().collect()),
            tree: self.tree,
            mounts: self.mounts,
            all,
        }
    }
}

impl RouteTable {
    /// The endpoint of a path without parameters, spelled as in its pattern.
    #[inline(always)]
    pub fn exact(&self, path: &[u8]) -> Option<ExactEndpoint> {
        self.exact.find(path).map(ExactEndpoint)
    }

    /// The route of an endpoint for a method with a name of its own: the quick way for most
    /// requests. `None` says nothing; ask [`find`](Self::find) then.
    #[inline]
    pub fn route_at(&self, endpoint: ExactEndpoint, method: Method) -> Option<RouteId> {
        *self.endpoints[endpoint.0 as usize].named.get(method as usize)?
    }

    /// Finds who answers `path`, which begins at `path_offset` of its buffer. `exact` is what
    /// [`exact`](Self::exact) says of it.
    ///
    /// Pushes the parameters of a found route to `params` and leaves it as it was otherwise.
    /// `method_text` is read for `Method::Other` only.
    pub fn find(
        &self,
        exact: Option<ExactEndpoint>,
        method: Method,
        method_text: &[u8],
        path: &[u8],
        params: &mut Vec<Span>,
        path_offset: u32,
    ) -> Found {
        let place = self.methods.place(method, method_text);
        let mut allow = AllowSet::default();
        // Static text holds no escapes, so a path that is equal to it needs no decoding.
        let encoded = exact.is_none() && is_encoded(path);
        let exact = if encoded { self.exact.find_encoded(path).map(ExactEndpoint) } else { exact };
        if let Some(ExactEndpoint(endpoint)) = exact {
            let endpoint = &self.endpoints[endpoint as usize];
            if let Some(id) = place.and_then(|place| endpoint.route(place)) {
                return Found::Route(id);
            }
            allow = endpoint.allow;
        }

        let mut found = None;
        let is_wanted = |endpoint: u32| {
            let endpoint = &self.endpoints[endpoint as usize];
            found = place.and_then(|place| endpoint.route(place));
            if found.is_none() {
                allow.union(endpoint.allow);
            }
            found.is_some()
        };
        self.tree.find(&mut Lookup { path, encoded, path_offset, params, is_wanted });
        match found {
            Some(id) => Found::Route(id),
            None => self.without_route(method, path, allow),
        }
    }

    #[cold]
    fn without_route(&self, method: Method, path: &[u8], mut allow: AllowSet) -> Found {
        match (method, path) {
            // RFC 9110 section 9.3.7: `OPTIONS *` asks about the server as a whole.
            (Method::Options, b"*") => Found::Options(self.all),
            // `CONNECT` names no path, and this server is no proxy.
            (Method::Connect, b"") => Found::MethodNotAllowed(self.all),
            _ if allow.is_empty() => Found::NotFound,
            (Method::Options, _) => {
                allow.add(OPTIONS);
                Found::Options(allow)
            }
            _ => {
                allow.add(OPTIONS);
                Found::MethodNotAllowed(allow)
            }
        }
    }

    /// Appends the value of an `Allow` field.
    pub fn write_allow(&self, set: AllowSet, out: &mut Vec<u8>) {
        self.methods.write(set, out);
    }

    /// The route behind `id`, which this table gave out.
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.0 as usize]
    }

    /// Folders whose files are served where no route matches.
    #[inline]
    pub fn mounts(&self) -> &Mounts {
        &self.mounts
    }

    /// All routes in registration order; the index of each is its `RouteId`.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }
}

impl Endpoint {
    #[inline]
    fn route(&self, place: usize) -> Option<RouteId> {
        match self.named.get(place) {
            Some(Some(route)) => Some(*route),
            _ => self.others.iter().find(|(each, _)| *each == place).map(|(_, route)| *route),
        }
    }

    fn set(&mut self, place: usize, id: RouteId, is_apart: bool) {
        match self.named.get_mut(place) {
            // An OPTIONS request may be a preflight, which no handler sees.
            Some(route) if !is_apart && place != OPTIONS => *route = Some(id),
            _ => self.others.push((place, id)),
        }
        self.allow.add(place);
    }

    /// `HEAD` follows `GET` (RFC 9110 section 9.3.2), and `OPTIONS` is always answered.
    fn freeze(&mut self) {
        if let (Some(get), None) = (self.route(GET), self.route(HEAD)) {
            self.set(HEAD, get, self.named[GET].is_none());
        }
        self.allow.add(OPTIONS);
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RouteError::Pattern(error) => error.fmt(f),
            RouteError::BadMethod(method) => write!(f, "{method:?} is not an HTTP method"),
            RouteError::TableFull => {
                write!(f, "there are too many routes (at most {ROUTES_MAX}) or methods (64)")
            }
            RouteError::Conflict(texts) => {
                let [method, pattern, earlier_method, earlier_pattern] = &**texts;
                write!(
                    f,
                    "the route {method} {pattern:?} conflicts with the earlier route \
                     {earlier_method} {earlier_pattern:?}: both answer the same requests"
                )
            }
        }
    }
}

impl std::error::Error for RouteError {}
