//! Opening the listeners: one per bound address and reactor, or those of the process that this one
//! succeeds.

mod tcp; // by address
mod unix; // by path

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use socket2::{SockAddr, SockRef, Socket};

use crate::inbound::listener::{Listener, note_number};
use crate::inbound::socket_file::{FileId, SocketFile};
use crate::log::writer;
use crate::settings::{Bind, Settings};
use crate::sys;

/// Listening sockets that were opened elsewhere, for one entry of `binds`: by the process that this
/// one succeeds. Connections that wait in any of them are not lost as long as somebody has it open.
pub(crate) struct Handed {
    pub(crate) bind: Bind,
    pub(crate) sockets: Vec<OwnedFd>,
    /// The file of a Unix-domain socket that servers have made, not one that was given as a descriptor.
    pub(crate) file: Option<FileId>,
}

impl Handed {
    /// The addresses of TCP among them.
    fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let local = |socket| SockRef::from(socket).local_addr().ok()?.as_socket();
        self.sockets.iter().filter_map(local)
    }

    /// The same with new descriptors.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let sockets =
            self.sockets.iter().map(OwnedFd::try_clone).collect::<io::Result<Vec<OwnedFd>>>()?;
        sockets.iter().for_each(note_number);
        Ok(Self { bind: self.bind.clone(), sockets, file: self.file })
    }
}

/// Why an address cannot be listened on: a sentence that names it.
#[derive(Debug)]
pub(crate) enum CannotBind {
    /// Another of the addresses that were asked for is the same, or contains it.
    Twice(String),
    Failed(String),
}

impl From<String> for CannotBind {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

/// Everything that was bound: the listeners of each reactor, and the addresses as URLs.
pub(crate) struct Bound {
    pub(crate) listeners: Vec<Vec<Listener>>,
    pub(crate) urls: Vec<String>,
    /// The addresses of TCP that were bound here, each with what has asked for it.
    addresses: Vec<(SocketAddr, Bind)>,
    /// The addresses of TCP that the process before this one listens on.
    before: Vec<SocketAddr>,
    /// Unix-domain sockets made here, to unlink at the end.
    pub(crate) files: Vec<SocketFile>,
    /// The same for those handed over, once this process serves: until then they are the others'.
    pub(crate) handed_files: Vec<SocketFile>,
    /// Copies of all sockets, for a successor of this process. While they are open, nobody is
    /// refused.
    pub(crate) copies: Vec<Handed>,
}

/// Binds every address once per reactor, or takes the sockets that were handed over for it.
///
/// # Errors
/// A sentence that names the address, and what to do where we know it.
pub(crate) fn bind(settings: &Settings, handed: Vec<Handed>) -> Result<Bound, CannotBind> {
    let mut bound = Bound {
        listeners: (0..settings.reactors).map(|_| Vec::new()).collect(),
        urls: Vec::new(),
        addresses: Vec::new(),
        before: handed.iter().flat_map(Handed::addresses).collect(),
        files: Vec::new(),
        handed_files: Vec::new(),
        copies: Vec::new(),
    };
    let outcome = bind_all(settings, handed, &mut bound);
    if outcome.is_err() {
        // While their sockets are open.
        bound.files.iter().for_each(SocketFile::unlink);
    }
    outcome.map(|()| bound)
}

fn bind_all(
    settings: &Settings,
    mut handed: Vec<Handed>,
    bound: &mut Bound,
) -> Result<(), CannotBind> {
    for bind in &settings.binds {
        let handed =
            handed.iter().position(|entry| entry.bind == *bind).map(|index| handed.remove(index));
        let file = handed.as_ref().and_then(|entry| entry.file);
        bound.copies.push(Handed { bind: bind.clone(), sockets: Vec::new(), file });
        if let Some(handed) = handed {
            let sockets = handed.sockets.into_iter().map(Socket::from).collect();
            adopt(settings, bind, sockets, bound)?;
            continue;
        }
        match bind {
            Bind::Tcp(host, port) => tcp::bind(settings, host, *port, bound)?,
            Bind::Unix(path) => unix::bind(settings, path, bound)?,
            Bind::Descriptor(number) => {
                let socket = sys::duplicate(*number).map_err(|error| {
                    format!("descriptor {number} cannot be listened on: {error}")
                })?;
                adopt(settings, bind, vec![Socket::from(socket)], bound)?;
            }
        }
    }
    Ok(())
}

/// Takes sockets that listen already and spreads them over the reactors. With fewer sockets than
/// reactors some share one, with more some have several: none may be left out, as the kernel goes
/// on giving connections to each.
fn adopt(
    settings: &Settings,
    bind: &Bind,
    sockets: Vec<Socket>,
    bound: &mut Bound,
) -> Result<(), String> {
    let fail = |error: io::Error| format!("cannot listen on the socket of {bind}: {error}");
    let mut groups: Vec<(SockAddr, Vec<Socket>)> = Vec::new();
    for socket in sockets {
        if !socket.is_listener().unwrap_or(false) {
            return Err(format!(
                "{bind} is no listening socket: whoever opens it has to call listen() as well"
            ));
        }
        let local = socket.local_addr().map_err(fail)?;
        socket.set_nonblocking(true).map_err(fail)?;
        match groups.iter_mut().find(|(address, _)| *address == local) {
            Some((_, group)) => group.push(socket),
            None => groups.push((local, vec![socket])),
        }
    }
    for (local, group) in groups {
        if let Some(path) = local.as_pathname() {
            // A socket that was given by its descriptor belongs to whoever opened it.
            if let Bind::Unix(path) = bind
                && find_or_make(settings, path, bound) == Place::Made
            {
                continue;
            }
            bound.urls.push(format!("unix:{}", path.display()));
        } else if local.is_unix() {
            bound.urls.push(format!("{bind}"));
        } else if let Some(address) = local.as_socket() {
            bound.urls.push(format!("http://{address}"));
        } else {
            return Err(format!("{bind} is neither a TCP nor a Unix-domain socket"));
        }
        bound.share(local.is_unix(), group).map_err(fail)?;
    }
    Ok(())
}

/// Where the path of a socket that was handed over leads.
#[derive(PartialEq)]
enum Place {
    /// To that socket, or nowhere that this process could change.
    Kept,
    /// To a new one, which has been bound.
    Made,
}

/// Sees to the path of a socket that was handed over: somebody may have removed it, after which nobody
/// could connect, or another server may have put its own there, which is left alone while that serves. What
/// cannot be put right is no reason not to serve what else there is.
fn find_or_make(settings: &Settings, path: &Path, bound: &mut Bound) -> Place {
    // It is still open, as it was handed over, so no other file has its number.
    let handed = bound.copy().file.map(|id| SocketFile::of(path, id));
    if let Some(file) = handed
        && file.is_there()
    {
        bound.handed_files.push(file);
        return Place::Kept;
    }
    let reason = match unix::bind(settings, path, bound) {
        Ok(()) => return Place::Made,
        Err(CannotBind::Twice(text) | CannotBind::Failed(text)) => text,
    };
    let shown = path.display();
    writer::say(
        "WARNING",
        "pyre: ",
        &format!(
            "nobody can connect to unix:{shown} any more, which the next restart tries to put right: \
             {reason}"
        ),
    );
    Place::Kept
}

impl Bound {
    /// Gives listening sockets of one address to the reactors, and keeps copies, also if that fails.
    fn share(&mut self, is_unix: bool, sockets: Vec<Socket>) -> io::Result<()> {
        let reactors = self.listeners.len();
        let (count, copies) = (sockets.len(), &mut self.copy().sockets);
        let before = copies.len();
        sockets.iter().for_each(note_number);
        copies.extend(sockets.into_iter().map(OwnedFd::from));
        for index in 0..reactors.max(count) {
            let socket = Socket::from(self.copy().sockets[before + index % count].try_clone()?);
            note_number(&socket);
            self.listeners[index % reactors].push(if is_unix {
                Listener::Unix(mio::net::UnixListener::from_std(socket.into()))
            } else {
                Listener::Tcp(mio::net::TcpListener::from_std(socket.into()))
            });
        }
        Ok(())
    }

    /// The copies of the entry that is being bound.
    fn copy(&mut self) -> &mut Handed {
        self.copies.last_mut().expect("each entry begins with an empty list")
    }
}
