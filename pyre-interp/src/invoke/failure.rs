//! An exception that nobody handles becomes an error response, and a report if nobody meant it to
//! be one. Once per request.

use pyre_ffi::{Dict, Exception, List, Object, Owned, Raised, Str};

use crate::invoke::application::{Conversion, Handler, Parameter};
use crate::invoke::arguments::describe;
use crate::objects::response::Response;
use crate::worker::lane::Lane;

impl<'py> Lane<'py, '_> {
    /// The response for an exception that has no handler.
    ///
    /// # Errors
    /// Only if no response object can be made.
    #[cold]
    pub(crate) fn error_for(
        &mut self,
        handler: &Handler,
        exception: &Object<Exception>,
    ) -> Result<Owned<'py>, Raised> {
        let py = self.py;
        // A body that is not what the handler asked for is the client's fault, if the handler did
        // not say otherwise.
        if let Some((status, detail)) = self.request.get().complaint(exception, py) {
            return match detail {
                Some(detail) => self.told_response(status, &detail),
                None => self.error_response(status),
            };
        }
        // It took longer than it may: the monitor has reported where it was.
        if exception.is_instance(&*self.tools.overrun.bind(py), py)? {
            return self.error_response(504);
        }
        let page = self.report(handler, exception);
        if let Some(page) = page {
            return Ok(Response::page(py, self.tools, 500, page)?.into_any());
        }
        self.error_response(500)
    }

    /// Tells the user's log; in debug mode it answers a page for the client.
    fn report(
        &mut self,
        handler: &Handler,
        exception: &Object<Exception>,
    ) -> Option<Owned<'py, Str>> {
        let py = self.py;
        let Some(report) = &self.app.report else {
            Raised::restore(py, exception.to_owned(py)).write_unraisable(&handler.label, py);
            return None;
        };
        let told = Str::new(py, &handler.label).and_then(|label| {
            let id = self.request.get().id(py)?;
            let exception = exception.to_owned(py).into_any();
            let arguments = [label.into_any(), id.into_any(), exception];
            report.bind(py).call(Owned::borrow_all(&arguments), py)
        });
        match told {
            Ok(page) => page.cast::<Str>().map(|page| page.to_owned(py)),
            Err(raised) => {
                raised.write_unraisable(&handler.label, py);
                None
            }
        }
    }

    /// A response with the server's own words for a status.
    pub(crate) fn error_response(&mut self, status: u16) -> Result<Owned<'py>, Raised> {
        let text = Str::new(self.py, pyre_http::status::error_text(status))?;
        self.told_response(status, text.as_any())
    }

    /// A response that tells a client what is wrong.
    fn told_response(&mut self, status: u16, detail: &Object) -> Result<Owned<'py>, Raised> {
        let body = Dict::new(self.py)?;
        body.set(&*Str::intern(self.py, "error")?, detail, self.py)?;
        Ok(Response::of_body(self.py, self.tools, status, body.into_any())?.into_any())
    }

    /// 422 for a path parameter that does not convert (RFC 9110 section 15.5.21).
    #[cold]
    pub(crate) fn refuse_parameter(
        &mut self,
        parameter: &Parameter,
        conversion: Conversion,
    ) -> Result<Owned<'py>, Raised> {
        let py = self.py;
        let (message, kind) = describe(conversion);
        let name = parameter.name.bind(py).to_owned(py).into_any();
        let place = List::from_vec(py, vec![Str::new(py, "path")?.into_any(), name])?;
        let problem = Dict::new(py)?;
        problem.set(&*Str::intern(py, "loc")?, &*place, py)?;
        problem.set(&*Str::intern(py, "msg")?, &*Str::new(py, message)?, py)?;
        problem.set(&*Str::intern(py, "type")?, &*Str::new(py, kind)?, py)?;
        let body = Dict::new(py)?;
        body.set(&*Str::intern(py, "error")?, &*Str::new(py, "validation failed")?, py)?;
        let problems = List::from_vec(py, vec![problem.into_any()])?;
        body.set(&*Str::intern(py, "detail")?, &*problems, py)?;
        Ok(Response::of_body(py, self.tools, 422, body.into_any())?.into_any())
    }
}
