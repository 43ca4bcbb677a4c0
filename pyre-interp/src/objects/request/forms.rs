//! Forms of a request: what it has in its fields, the rest is in `pyreframework.forms`.

use pyre_ffi::{
    Arguments, Attached, Bool, Bytes, Exception, Instance, Int, Object, Owned, Raised, Signature,
    Str, import, none,
};

use super::Request;
use crate::flow::{FLOW_BYTES_MAX, Found};
use crate::objects::source::call_of;

/// How much of a body that is in memory is read at a time.
const PIECE_BYTES_MAX: usize = 256 * 1024;

type This = Object<Instance<Request>>;

impl Request {
    /// `form(limits=None)`: the fields; of a repeated one the last value.
    pub(super) fn form<'py>(
        this: &This,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        read(this, py, given, "form")
    }

    /// `form_all(limits=None)`: the fields, each with the list of its values.
    pub(super) fn form_all<'py>(
        this: &This,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        read(this, py, given, "form_all")
    }

    /// `files(limits=None)`: the files; of a repeated name the last one.
    pub(super) fn files<'py>(
        this: &This,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        read(this, py, given, "files")
    }

    /// `files_all(limits=None)`: the files, each name with the list of them.
    pub(super) fn files_all<'py>(
        this: &This,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        read(this, py, given, "files_all")
    }

    /// `parts(limits=None)`: the parts as they come, for `for` and `async for`.
    pub(super) fn parts<'py>(
        this: &This,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        read(this, py, given, "parts")
    }

    /// `_form([kept])`: what was made of the form, or None; what is given is kept.
    pub(super) fn kept_form<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let form = &self.fields().form;
        if let [kept] = given.positional() {
            form.set(py, Object::to_owned(kept, py));
        }
        Ok(form.get(py).unwrap_or_else(|| none(py)))
    }

    /// `_is_whole()`: whether all of the body is in memory.
    ///
    /// # Errors
    /// `RuntimeError` if it will never be read from its beginning.
    pub(super) fn is_whole<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let is_whole = self.fields().is_loaded.get() || !self.comes_in_pieces(py)?;
        if !is_whole && self.is_begun(py)? {
            let text = "a part of the body has been read: the form is not there as a whole";
            return Err(Raised::runtime_error(py, text));
        }
        Ok(Bool::new(py, is_whole).into_any())
    }

    /// `_piece_at(offset)`: some of a body that is in memory, from there on. It is not taken.
    pub(super) fn piece_at<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [offset] = given.parse(&Signature::all("_piece_at", ["offset"]), py)?;
        let offset = offset.and_then(|offset| offset.cast::<Int>().and_then(|int| int.as_u64(py)));
        self.decode_whole(py)?;
        let job = self.job(py)?;
        let body = call_of(&job).request.body.of(&job.bytes);
        let from = offset.and_then(|offset| usize::try_from(offset).ok()).unwrap_or(usize::MAX);
        let left = body.get(from..).unwrap_or_default();
        Bytes::new(py, &left[..left.len().min(PIECE_BYTES_MAX)]).map(Owned::into_any)
    }

    /// `_feed(parser)`: what comes of the bytes that have come, for whoever may wait for more. None: none has
    /// come yet; False: that was all.
    pub(super) fn feed<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [parser] = given.parse(&Signature::all("_feed", ["parser"]), py)?;
        let parser = parser.expect("it is required");
        let Some(parser) = self.tools.form_parser.cast(&parser, py) else {
            return Err(Raised::type_error(py, "parser must be a FormParser"));
        };
        let fed =
            parser.feed_taken(py, |input| match self.take_into(py, usize::MAX, input)? {
                Found::Some => Ok(None),
                Found::Cut(cut) => Err(self.cut_off(py, cut)),
                found => Ok(Some(found)),
            })?;
        Ok(match fed {
            Ok(events) => events,
            Err(Found::Nothing) => none(py),
            Err(_) => Bool::new(py, false).into_any(),
        })
    }

    /// `_spool(parser, spool)`: the data of the part that is coming goes to the spool from now on.
    pub(super) fn spool<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [parser, spool] = given.parse(&Signature::all("_spool", ["parser", "spool"]), py)?;
        let parser = parser.expect("it is required");
        let spool = spool.expect("it is required");
        let parser = self.tools.form_parser.cast(&parser, py);
        let Some((parser, spool)) = parser.zip(self.tools.form_spool.cast(&spool, py)) else {
            return Err(Raised::type_error(py, "a FormParser and a FormSpool are needed"));
        };
        parser.spool_to(py, spool.to_owned(py));
        Ok(none(py))
    }

    /// `_expect(much)`: whether whoever waits for the body wants to go on only when much of it has come. A form is
    /// read to its end before anybody sees it: each wake-up less is a switch of threads less.
    pub(super) fn expect<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [much] = given.parse(&Signature::all("_expect", ["much"]), py)?;
        let much = much.expect("it is required").is_true(py)?;
        if let Some(intake) = self.intake(py)? {
            intake.expect(if much { FLOW_BYTES_MAX } else { 1 });
        }
        Ok(none(py))
    }

    /// `_blame(error, status)`: the client is to blame for an exception: if the handler lets it through, or what
    /// it raises from it, that is the answer.
    pub(super) fn blame<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [error, status] = given.parse(&Signature::all("_blame", ["error", "status"]), py)?;
        let error = error.expect("it is required");
        let status = status.and_then(|status| status.cast::<Int>().and_then(|int| int.as_i64()));
        let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(400);
        let Some(error) = error.cast::<Exception>() else {
            return Err(Raised::type_error(py, "error must be an exception"));
        };
        let raised = Raised::restore(py, error.to_owned(py));
        Ok(self.complain_of(py, raised, status).take(py).into_any())
    }
}

/// Calls a function of `pyreframework.forms` with the request.
fn read<'py>(
    this: &This,
    py: Attached<'py>,
    given: Arguments<'_>,
    name: &'static str,
) -> Result<Owned<'py>, Raised> {
    let signature = Signature { function: name, names: ["limits"], required: 0, positional_max: 1 };
    let [limits] = given.parse(&signature, py)?;
    this.job(py)?;
    let limits = limits.map_or_else(|| none(py), |limits| limits.to_owned(py));
    import(py, "pyreframework.forms")?.attr(&*Str::intern(py, name)?, py)?.call2(this, &*limits, py)
}
