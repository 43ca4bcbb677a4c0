/// What is wrong with a form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The parameters of the `Content-Type` cannot be read.
    ContentType,
    /// There is no boundary among them.
    NoBoundary,
    /// A boundary that RFC 2046 section 5.1.1 does not have.
    Boundary,
    /// The body ends before the last boundary.
    Unfinished,
    /// A line begins with the boundary, and does not end as such a line does.
    BoundaryLine,
    /// A line in the head of a part is no header field.
    HeadLine,
    /// A part without a `Content-Disposition`, or with several.
    NoDisposition,
    /// Its `Content-Disposition` is another one than `form-data`, or cannot be read.
    Disposition,
    /// A parameter comes twice.
    Repeated,
    /// A part without a name.
    NoName,
    /// A name is not UTF-8.
    NameText,
    /// A name in the form of RFC 8187 that breaks its rules.
    ExtendedName,
    /// A content type that is not UTF-8.
    PartType,
    /// The text of a field is in another charset than UTF-8.
    Charset,
    /// The content of a part is encoded, which RFC 7578 section 4.7 has forbidden.
    Encoding,
    /// More parts than there may be.
    Parts,
    /// The head of a part is larger than it may be.
    HeadBytes,
    /// The name of a part, or of its file, is longer than it may be.
    NameBytes,
}

impl Fault {
    /// What a client is answered.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Parts | Self::HeadBytes | Self::NameBytes => 413,
            _ => 400,
        }
    }

    /// What it is told.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::ContentType => "the Content-Type of the form cannot be read",
            Self::NoBoundary => "the Content-Type of the form has no boundary",
            Self::Boundary => {
                "the boundary of the form has not 1 to 70 of the characters it may have"
            }
            Self::Unfinished => "the form ends before its last boundary",
            Self::BoundaryLine => "a boundary of the form is followed by something else than CRLF",
            Self::HeadLine => "the head of a part of the form has a line that is no header",
            Self::NoDisposition => "a part of the form has not exactly one Content-Disposition",
            Self::Disposition => {
                "the Content-Disposition of a part of the form is no valid form-data"
            }
            Self::Repeated => "a parameter of the form is given twice",
            Self::NoName => "a part of the form has no name",
            Self::NameText => "a name in the form is not UTF-8",
            Self::ExtendedName => "an encoded name in the form is not as RFC 8187 has it",
            Self::PartType => "the Content-Type of a part of the form is not UTF-8",
            Self::Charset => "a field of the form is in another charset than UTF-8",
            Self::Encoding => "a part of the form has a Content-Transfer-Encoding",
            Self::Parts => "the form has too many parts",
            Self::HeadBytes => "the head of a part of the form is too large",
            Self::NameBytes => "a name in the form is too long",
        }
    }
}
