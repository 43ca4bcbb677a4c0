//! Whether the client has the answer already (RFC 9110 section 13).

use std::time::{SystemTime, UNIX_EPOCH};

use pyre_ffi::{
    Arguments, Attached, Bool, Instance, Int, Object, Owned, Raised, Signature, Str, import,
};
use pyre_http::files::condition::{Known, is_etag, is_same};
use pyre_http::method::Method;

use super::Request;
use crate::objects::source::call_of;

const HAS_VERSION: Signature<2> = Signature::all("_has_version", ["etag", "seconds"]);

impl Request {
    /// `is_fresh(*, etag=None, last_modified=None)`: `pyreframework.caching` reads what it is given.
    pub(super) fn is_fresh<'py>(
        this: &Object<Instance<Request>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        this.job(py)?;
        let caching = import(py, "pyreframework.caching")?;
        let is_fresh = caching.attr(&*Str::intern(py, "is_fresh")?, py)?;
        given.pass_on(&is_fresh, &[this.borrow().into_any()], py)
    }

    /// `_has_version(etag, seconds)`: either may be None. The etag is as in the header; of dates,
    /// whole seconds are compared.
    pub(super) fn has_version<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [etag, seconds] = given.parse(&HAS_VERSION, py)?;
        let etag = etag.as_ref().and_then(|etag| etag.cast::<Str>());
        let etag = etag.map(|etag| etag.as_utf8(py)).transpose()?.map(str::as_bytes);
        if let Some(etag) = etag
            && !is_etag(etag)
        {
            let text = "an etag has visible ASCII characters without quotes and spaces: \"abc\", \
                        W/\"abc\" or abc";
            return Err(Raised::value_error(py, text));
        }
        let modified_s = seconds.and_then(|seconds| seconds.cast::<Int>()?.as_u64(py));
        let job = self.job(py)?;
        let request = &call_of(&job).request;
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
        let known = Known { exists: true, etag, modified_s };
        // Section 13.2.2: for other methods If-None-Match means 412, and If-Modified-Since nothing.
        let is_had = matches!(request.method, Method::Get | Method::Head)
            && is_same(request.headers_in(&job.headers), &job.bytes, known, now_s);
        Ok(Bool::new(py, is_had).into_any())
    }
}
