//! What a peer can do wrong. After any of these nobody can say where the next request would begin,
//! so the connection gives one answer and closes.

macro_rules! request_errors {
    ($($(#[doc = $doc:literal])+ $name:ident = $status:literal, $reason:literal;)+) => {
        /// Why a request was refused.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum RequestError {
            $($(#[doc = $doc])+ $name,)+
        }

        impl RequestError {
            /// Every error, for tests and documentation.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The status of the answer.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)+
                }
            }

            /// A few words for a log line. They never go to the peer.
            pub const fn reason(self) -> &'static str {
                match self {
                    $(Self::$name => $reason,)+
                }
            }
        }
    };
}

request_errors! {
    // Lines.
    /// A line feed without the carriage return before it.
    BareLf = 400, "line feed without carriage return";
    /// A carriage return without the line feed behind it.
    BareCr = 400, "carriage return without line feed";
    /// More empty lines before the request line than are skipped.
    TooManyEmptyLines = 400, "too many empty lines before the request line";

    // Request line.
    /// The method is empty or has bytes that a token may not have.
    MethodInvalid = 400, "invalid method";
    /// The method is longer than any that anybody implements.
    MethodTooLong = 501, "method too long";
    /// The target is empty, has bytes that a URI cannot have, or a fragment.
    TargetInvalid = 400, "invalid request target";
    /// The target's form does not go with the method, or it is none of the four forms.
    TargetFormInvalid = 400, "request target has the wrong form";
    /// The target is longer than the limit.
    TargetTooLong = 414, "request target too long";
    /// Something else stands where `HTTP/1.1` should.
    VersionInvalid = 400, "invalid HTTP version";
    /// A well-formed version other than 1.0 and 1.1.
    VersionUnsupported = 505, "unsupported HTTP version";

    // Header fields.
    /// The name is empty or has bytes that a token may not have.
    HeaderNameInvalid = 400, "invalid header name";
    /// White space between name and colon.
    SpaceBeforeColon = 400, "white space before a header's colon";
    /// White space before the first header.
    SpaceBeforeHeaders = 400, "white space before the first header";
    /// A header continued on the next line.
    ObsFold = 400, "header continued on the next line";
    /// The value has NUL or another control character.
    HeaderValueInvalid = 400, "control character in a header value";
    /// The head is longer than the limit.
    HeadTooLarge = 431, "request head too large";
    /// There are more header fields than the limit.
    TooManyHeaders = 431, "too many headers";

    // Meaning of the head.
    /// HTTP/1.1 without `Host`.
    HostMissing = 400, "missing Host";
    /// `Host` more than once.
    HostRepeated = 400, "repeated Host";
    /// `Host`, or the authority in the target, is no host with an optional port.
    HostInvalid = 400, "invalid Host";
    /// `Content-Length` is no plain decimal number.
    ContentLengthInvalid = 400, "invalid Content-Length";
    /// `Content-Length` more than once, be it with equal values or as a list.
    ContentLengthRepeated = 400, "repeated Content-Length";
    /// `Content-Length` beside `Transfer-Encoding`.
    LengthAndEncoding = 400, "both Content-Length and Transfer-Encoding";
    /// `Transfer-Encoding` is malformed, or names `chunked` more than once or with parameters.
    TransferEncodingInvalid = 400, "invalid Transfer-Encoding";
    /// A transfer coding other than `chunked`.
    TransferEncodingUnknown = 501, "unknown transfer coding";
    /// `Transfer-Encoding` in a message of HTTP/1.0.
    TransferEncodingInHttp10 = 400, "Transfer-Encoding in HTTP/1.0";
    /// An expectation other than `100-continue`.
    ExpectationUnknown = 417, "unknown expectation";

    // Body.
    /// The body is longer than the limit.
    BodyTooLarge = 413, "body too large";
    /// A chunk does not begin with a hexadecimal number of at most 16 digits.
    ChunkSizeInvalid = 400, "invalid chunk size";
    /// A chunk extension is malformed.
    ChunkExtensionInvalid = 400, "invalid chunk extension";
    /// The extensions of a chunk are longer than the limit.
    ChunkExtensionTooLong = 400, "chunk extension too long";
    /// A chunk is longer than its size says.
    ChunkEndInvalid = 400, "chunk does not end where its size says";
    /// Many tiny chunks: more framing than data.
    ChunkOverhead = 400, "more chunk framing than data";
    /// The trailer section is longer than the limit.
    TrailerTooLarge = 431, "trailer section too large";
}
