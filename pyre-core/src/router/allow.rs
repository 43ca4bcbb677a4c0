//! The methods a path answers to, for `Allow`.

use pyre_http::method::Method;

/// Methods of one table: those with a name of their own, and tokens that routes add.
const METHODS_MAX: usize = 64;

/// Methods with a place of their own, that of their variant.
pub(super) const NAMED: usize = 9;

const NAMES: [&str; NAMED] = [
    Method::Get.as_str(),
    Method::Head.as_str(),
    Method::Post.as_str(),
    Method::Put.as_str(),
    Method::Delete.as_str(),
    Method::Patch.as_str(),
    Method::Options.as_str(),
    Method::Connect.as_str(),
    Method::Trace.as_str(),
];

pub(super) const GET: usize = Method::Get as usize;
pub(super) const HEAD: usize = Method::Head as usize;
pub(super) const OPTIONS: usize = Method::Options as usize;

/// A set of methods; `RouteTable::write_allow` spells it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct AllowSet(u64);

impl AllowSet {
    /// What a page that can only be read allows.
    pub(crate) const READ_ONLY: Self = Self(1 << GET | 1 << HEAD | 1 << OPTIONS);

    pub(super) fn add(&mut self, place: usize) {
        debug_assert!(place < METHODS_MAX, "`Methods::place_or_add` bounds the places");
        self.0 |= 1 << place;
    }

    pub(super) fn union(&mut self, other: AllowSet) {
        self.0 |= other.0;
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn contains(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }
}

/// Every method of a table at its place: the index into route arrays and the bit in an `AllowSet`.
#[derive(Default, Debug)]
pub(super) struct Methods {
    others: Vec<Box<str>>,
}

impl Methods {
    /// The place of `name`, which a route uses. None: the table has too many methods.
    pub(super) fn place_or_add(&mut self, name: &str) -> Option<usize> {
        if let Some(place) = NAMES.iter().position(|&each| each == name) {
            return Some(place);
        }
        if let Some(index) = self.others.iter().position(|each| &**each == name) {
            return Some(NAMED + index);
        }
        if NAMED + self.others.len() == METHODS_MAX {
            return None;
        }
        self.others.push(name.into());
        Some(NAMED + self.others.len() - 1)
    }

    /// The place of a request's method; None if no route uses it.
    #[inline]
    pub(super) fn place(&self, method: Method, text: &[u8]) -> Option<usize> {
        match method {
            Method::Other => {
                let index = self.others.iter().position(|each| each.as_bytes() == text)?;
                Some(NAMED + index)
            }
            named => Some(named as usize),
        }
    }

    /// Appends the names in `set`, separated as in a field value (RFC 9110 section 10.2.1).
    pub(super) fn write(&self, set: AllowSet, out: &mut Vec<u8>) {
        let others = self.others.iter().map(|each| &**each);
        let mut separator = "";
        for (place, name) in NAMES.into_iter().chain(others).enumerate() {
            if set.contains(place) {
                out.extend_from_slice(separator.as_bytes());
                out.extend_from_slice(name.as_bytes());
                separator = ", ";
            }
        }
    }
}

/// Whether `name` may be a method: a token (RFC 9110 section 5.6.2).
pub(super) fn is_token(name: &str) -> bool {
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_the_places_of_their_methods() {
        for (place, name) in NAMES.into_iter().enumerate() {
            let method = Method::of(name.as_bytes());
            assert_eq!(Methods::default().place(method, b""), Some(place));
        }
    }
}
