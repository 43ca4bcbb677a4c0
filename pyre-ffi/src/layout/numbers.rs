// The layouts of objects that this crate reads without asking CPython. `build.rs` includes this
// file and has the C compiler compare it with the interpreter's headers.

/// Where `PyASCIIObject` keeps the number of characters, in bytes.
pub(crate) const STRING_LENGTH: usize = 16;
/// Where `PyASCIIObject` keeps the hash, which is -1 until it is asked for, in bytes.
pub(crate) const STRING_HASH: usize = 24;
/// Where `PyASCIIObject` keeps the word of bit fields that say how a string is kept.
pub(crate) const STRING_STATE: usize = 32;
/// The first bit of the two that say whether the interpreter uses a string for names.
pub(crate) const STRING_INTERNED_BIT: u32 = 0;
/// The first bit of the three that give the bytes of a character.
pub(crate) const STRING_KIND_BIT: u32 = 2;
/// The bit that says that the characters stand behind the header.
pub(crate) const STRING_COMPACT_BIT: u32 = 5;
/// The bit that says that all characters are ASCII.
pub(crate) const STRING_ASCII_BIT: u32 = 6;
/// How many bits of the word are fields; what is above them is padding that nobody initialises.
pub(crate) const STRING_FIELD_BITS: u32 = 8;
/// The length of the header before the characters of a compact ASCII string, in bytes.
pub(crate) const STRING_ASCII_HEADER: usize = 40;
/// The length of the header before the characters of any other compact string, in bytes.
pub(crate) const STRING_COMPACT_HEADER: usize = 56;
/// Where a string that is not compact has the pointer to its characters, in bytes.
pub(crate) const STRING_DATA: usize = 56;

/// Where an int keeps its sign and the number of its digits, in bytes.
pub(crate) const INT_TAG: usize = 16;
/// Where an int keeps its lowest digit, in bytes.
pub(crate) const INT_DIGIT: usize = 24;
/// The bits of a digit.
pub(crate) const INT_DIGIT_BITS: u32 = 30;
/// In the tag: the sign, 0 for positive, 1 for zero, 2 for negative.
pub(crate) const INT_SIGN_MASK: usize = 3;
/// In the tag: where the number of digits begins.
pub(crate) const INT_COUNT_BIT: u32 = 3;

/// Where a dict keeps the number of its items, in bytes.
pub(crate) const DICT_LENGTH: usize = 16;
/// Where a dict keeps the bits of those that watch it, in bytes: one of 64 bits, the lowest first.
pub(crate) const DICT_WATCHERS: usize = 24;
/// The last event that those hear of who watch a dict, among the members of `PyDict_WatchEvent`.
pub(crate) const DICT_DEALLOCATED: i32 = 5;
