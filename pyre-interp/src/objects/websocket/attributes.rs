//! What a handler reads of a WebSocket: what its request brought, and how it stands.

use std::sync::atomic::Ordering::Relaxed;

use pyre_ffi::{Attached, Bool, Int, List, Object, Owned, Raised, Str, none};
use pyre_http::websocket::handshake;

use super::WebSocket;
use crate::objects::fields::header_table;

/// Those that are read of the request.
macro_rules! of_request {
    ($($name:ident),*) => {
        impl WebSocket {
            $(
                pub(super) fn $name<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
                    self.read_of_request(py, stringify!($name))
                }
            )*
        }
    };
}

of_request!(
    params,
    path,
    query,
    query_params,
    headers,
    cookies,
    client_ip,
    client,
    state,
    route,
    app,
    id
);

impl WebSocket {
    fn read_of_request<'py>(&self, py: Attached<'py>, name: &str) -> Result<Owned<'py>, Raised> {
        let request = self.request(py)?;
        let request: &Object = request.as_any();
        request.attr(&*Str::intern(py, name)?, py)
    }

    pub(super) fn request_attribute<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.request(py).map(Owned::into_any)
    }

    pub(super) fn subprotocols<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let request = self.request(py)?;
        let offered: Vec<String> = request.with_call(|job, _| {
            handshake::protocols(header_table(job), &job.bytes).map(str::to_owned).collect()
        });
        let texts: Result<Vec<_>, _> =
            offered.iter().map(|text| Str::new(py, text).map(Owned::into_any)).collect();
        List::from_vec(py, texts?).map(Owned::into_any)
    }

    pub(super) fn subprotocol<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        if let Some(handshake) = &*self.handshake.borrow() {
            return match &handshake.protocol {
                Some(chosen) => Str::new(py, chosen).map(Owned::into_any),
                None => Ok(none(py)),
            };
        }
        Ok(self.protocol.get(py).map_or_else(|| none(py), Owned::into_any))
    }

    pub(super) fn is_accepted<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Bool::new(py, self.is_accepted.get()).into_any())
    }

    pub(super) fn is_closed<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Bool::new(py, !self.flow.is_open()).into_any())
    }

    pub(super) fn is_disconnected<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let has_gone = self.flow.is_gone() || self.inbox.has_left() && !self.is_over.get();
        Ok(Bool::new(py, has_gone).into_any())
    }

    pub(super) fn is_draining<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        // Relaxed: it is looked at again.
        let is_draining = self.draining.get().is_some_and(|draining| draining.load(Relaxed));
        Ok(Bool::new(py, is_draining).into_any())
    }

    pub(super) fn close_code<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        match self.inbox.ending() {
            Some(ending) => Int::new(py, ending.code.into()).map(Owned::into_any),
            None => Ok(none(py)),
        }
    }

    pub(super) fn close_reason<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let ending = self.inbox.ending();
        let reason = ending.as_ref().map_or("", |ending| &ending.reason);
        Str::new(py, reason).map(Owned::into_any)
    }
}
