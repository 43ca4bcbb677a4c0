//! All connections of a reactor: slots that are used again, each time with a new generation.
//!
//! A reply finds its connection by slot and generation. A slot may therefore be freed at once when
//! its peer goes, even while a job is out: the late reply meets another generation and is dropped.

use crate::connection::state::Connection;

struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

/// The slots of a reactor.
#[derive(Default)]
pub(crate) struct Slots {
    all: Vec<Slot>,
    free: Vec<u32>,
}

impl Slots {
    /// Puts a connection into a free slot and returns the slot and its generation.
    pub(crate) fn insert(&mut self, connection: Connection) -> (u32, u32) {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.all[index as usize];
            slot.connection = Some(connection);
            return (index, slot.generation);
        }
        let index = u32::try_from(self.all.len()).expect("file descriptors are fewer than 2^32");
        self.all.push(Slot { generation: 0, connection: Some(connection) });
        (index, 0)
    }

    /// The connection in a slot, if there is one.
    pub(crate) fn get(&mut self, slot: u32) -> Option<&mut Connection> {
        self.all.get_mut(slot as usize)?.connection.as_mut()
    }

    /// The connection in a slot, if it is still the one of that generation.
    pub(crate) fn get_exactly(&mut self, slot: u32, generation: u32) -> Option<&mut Connection> {
        let slot = self.all.get_mut(slot as usize)?;
        if slot.generation == generation { slot.connection.as_mut() } else { None }
    }

    /// The generation that a slot is in.
    pub(crate) fn generation(&self, slot: u32) -> u32 {
        self.all.get(slot as usize).map_or(0, |slot| slot.generation)
    }

    /// Lets a connection go on with the next generation: a reply for the one before is a stranger's.
    pub(crate) fn renew(&mut self, slot: u32) {
        if let Some(slot) = self.all.get_mut(slot as usize) {
            slot.generation = slot.generation.wrapping_add(1);
        }
    }

    /// Takes a connection out; its slot goes on with the next generation.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Connection> {
        let entry = self.all.get_mut(slot as usize)?;
        let connection = entry.connection.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
        Some(connection)
    }

    /// Notes of every connection how much has been received: the server begins to leave.
    pub(crate) fn note_what_is_owed(&mut self) {
        for connection in self.all.iter_mut().filter_map(|slot| slot.connection.as_mut()) {
            connection.note_what_is_owed();
        }
    }

    /// All connections.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.all.iter().filter_map(|slot| slot.connection.as_ref())
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.all.len() - self.free.len()
    }

    /// Indices of all slots that were ever used.
    pub(crate) fn slots(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.all.len()).expect("as bounded by `insert`")
    }
}
