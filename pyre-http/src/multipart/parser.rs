//! ```text
//!   Start ──────▶ Behind ──▶ Padding ──▶ Head ──▶ Begun ──▶ Data
//!     └▶ Preamble ──▶ ▲ │                           │         │
//!                     └─┼───────────────────────────┴─────────┘ at a boundary
//!                       └──▶ Last ──▶ Epilogue
//! ```

use memchr::{memmem, memrchr};

use super::boundary::is_boundary;
use super::fault::Fault;
use super::head::{self, PartHead};

/// Bounds of a form, in bytes unless the name says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Number of parts.
    pub parts_max: usize,
    /// Head of a part, with the empty line that ends it.
    pub head_bytes_max: usize,
    /// Name of a part, and of its file.
    pub name_bytes_max: usize,
}

/// What comes of a form, in this order: parts, each with its begin, its data in any number of slices, its
/// end; then the end of all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'input> {
    /// A part begins.
    Begin(PartHead),
    /// Some of its data, never empty.
    Data(&'input [u8]),
    /// It has ended.
    PartEnd,
    /// That was the last one; what follows is checked and thrown away.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// At the first byte, where a boundary needs no line before.
    Start,
    /// In what is before the first boundary.
    Preamble,
    /// Behind a boundary.
    Behind,
    /// Behind a boundary that is not the last one, in white space.
    Padding,
    Head,
    /// Behind a head, where a boundary needs no line before either: the part may have no body at all (RFC 2046
    /// section 5.1.1).
    Begun,
    Data,
    /// Behind the last boundary, in white space.
    Last,
    Epilogue,
}

/// What a stage finds in the bytes in front of it, besides how many it takes.
enum Found<'input> {
    /// Another stage.
    Stage(Stage),
    Event(Stage, Event<'input>),
    /// That more has to come.
    Nothing,
}

/// Takes a form apart, whose bytes are pushed.
pub struct Parser {
    /// The line that parts are separated by: CRLF, two hyphens, the boundary.
    delimiter: memmem::Finder<'static>,
    limits: Limits,
    stage: Stage,
    parts: usize,
    /// So many bytes in front are known not to end a head.
    scanned: usize,
    /// What is wrong with the form, once that was found.
    fault: Option<Fault>,
}

impl Parser {
    /// For a form with this boundary.
    ///
    /// # Errors
    /// It is none.
    pub fn new(boundary: &[u8], limits: Limits) -> Result<Self, Fault> {
        if !is_boundary(boundary) {
            return Err(Fault::Boundary);
        }
        let delimiter = memmem::Finder::new(&[b"\r\n--", boundary].concat()).into_owned();
        Ok(Self { delimiter, limits, stage: Stage::Start, parts: 0, scanned: 0, fault: None })
    }

    /// Reads on in what has come and was not taken before. Returns how many bytes are taken, and what they
    /// were, or that more has to come.
    ///
    /// What is not taken then is never more than a head, or than a boundary.
    ///
    /// # Errors
    /// Whatever is wrong with the form; nothing more comes of it then, but the same again.
    pub fn next<'input>(
        &mut self,
        input: &'input [u8],
    ) -> Result<(usize, Option<Event<'input>>), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut taken = 0;
        loop {
            let (some, found) =
                self.look(&input[taken..]).inspect_err(|fault| self.fault = Some(*fault))?;
            taken += some;
            match found {
                Found::Stage(stage) => self.stage = stage,
                Found::Event(stage, event) => {
                    self.stage = stage;
                    return Ok((taken, Some(event)));
                }
                Found::Nothing => return Ok((taken, None)),
            }
        }
    }

    /// Nothing more comes; `rest` was not taken.
    ///
    /// # Errors
    /// The form has not ended, or something was wrong with it.
    pub fn finish(&self, rest: &[u8]) -> Result<(), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        match self.stage {
            Stage::Epilogue => Ok(()),
            Stage::Last if rest.is_empty() => Ok(()),
            Stage::Last => Err(Fault::BoundaryLine),
            _ => Err(Fault::Unfinished),
        }
    }

    fn look<'input>(&mut self, input: &'input [u8]) -> Result<(usize, Found<'input>), Fault> {
        Ok(match self.stage {
            Stage::Start => match self.is_boundary_in_front(input) {
                Some(true) => (self.delimiter.needle().len() - 2, Found::Stage(Stage::Behind)),
                Some(false) => (0, Found::Stage(Stage::Preamble)),
                None => (0, Found::Nothing),
            },
            Stage::Preamble => match self.delimiter.find(input) {
                Some(at) => (at + self.delimiter.needle().len(), Found::Stage(Stage::Behind)),
                None => (self.without_begun_delimiter(input), Found::Nothing),
            },
            Stage::Behind => match input {
                [] | [b'-'] => (0, Found::Nothing),
                [b'-', b'-', ..] => (2, Found::Event(Stage::Last, Event::End)),
                _ => (0, Found::Stage(Stage::Padding)),
            },
            Stage::Padding => {
                let found = end_of_boundary_line(input, Stage::Head)?;
                if matches!(found.1, Found::Stage(_)) {
                    self.parts += 1;
                    if self.parts > self.limits.parts_max {
                        return Err(Fault::Parts);
                    }
                }
                found
            }
            Stage::Head => self.look_for_head(input)?,
            Stage::Begun => match self.is_boundary_in_front(input) {
                Some(true) => {
                    let taken = self.delimiter.needle().len() - 2;
                    (taken, Found::Event(Stage::Behind, Event::PartEnd))
                }
                Some(false) => (0, Found::Stage(Stage::Data)),
                None => (0, Found::Nothing),
            },
            Stage::Data => match self.delimiter.find(input) {
                Some(0) => {
                    let taken = self.delimiter.needle().len();
                    (taken, Found::Event(Stage::Behind, Event::PartEnd))
                }
                Some(at) => (at, Found::Event(Stage::Data, Event::Data(&input[..at]))),
                None => match self.without_begun_delimiter(input) {
                    0 => (0, Found::Nothing),
                    at => (at, Found::Event(Stage::Data, Event::Data(&input[..at]))),
                },
            },
            Stage::Last => end_of_boundary_line(input, Stage::Epilogue)?,
            Stage::Epilogue => (input.len(), Found::Nothing),
        })
    }

    /// Whether a boundary is in front, where a line begins; nothing if more has to come to tell.
    fn is_boundary_in_front(&self, input: &[u8]) -> Option<bool> {
        let boundary = &self.delimiter.needle()[2..];
        if input.len() < boundary.len() && boundary.starts_with(input) {
            return None;
        }
        Some(input.starts_with(boundary))
    }

    /// How many bytes there are before what may become a delimiter, of which none is there. It has one CR, in
    /// front.
    fn without_begun_delimiter(&self, input: &[u8]) -> usize {
        let delimiter = self.delimiter.needle();
        let from = input.len().saturating_sub(delimiter.len() - 1);
        match memrchr(b'\r', &input[from..]) {
            Some(at) if delimiter.starts_with(&input[from + at..]) => from + at,
            _ => input.len(),
        }
    }

    fn look_for_head<'input>(
        &mut self,
        input: &'input [u8],
    ) -> Result<(usize, Found<'input>), Fault> {
        if input.starts_with(b"\r\n") {
            return Err(Fault::NoDisposition);
        }
        let Some(at) = memmem::find(&input[self.scanned..], b"\r\n\r\n") else {
            if input.len() > self.limits.head_bytes_max {
                return Err(Fault::HeadBytes);
            }
            // Its first three bytes may be there.
            self.scanned = input.len().saturating_sub(3);
            return Ok((0, Found::Nothing));
        };
        let end = std::mem::take(&mut self.scanned) + at;
        let (head, taken) = (&input[..end], end + 4);
        if taken > self.limits.head_bytes_max {
            return Err(Fault::HeadBytes);
        }
        let head = head::read(head, self.limits.name_bytes_max)?;
        Ok((taken, Found::Event(Stage::Begun, Event::Begin(head))))
    }
}

/// Skips white space behind a boundary up to the end of the line (RFC 2046 section 5.1.1), which has to come
/// next.
fn end_of_boundary_line(input: &[u8], then: Stage) -> Result<(usize, Found<'_>), Fault> {
    let padding = input.iter().take_while(|byte| b" \t".contains(byte)).count();
    match &input[padding..] {
        [] | [b'\r'] => Ok((padding, Found::Nothing)),
        [b'\r', b'\n', ..] => Ok((padding + 2, Found::Stage(then))),
        _ => Err(Fault::BoundaryLine),
    }
}
