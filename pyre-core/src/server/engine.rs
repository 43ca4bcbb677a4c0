//! The extension module `pyreframework.engine`: what is in it, and what each interpreter keeps of it.

use std::ffi::CStr;
use std::sync::Arc;

use pyre_ffi::module::ModuleState;
use pyre_ffi::{
    Attached, ClassHandle, ExceptionKind, Held, Module, ModuleBuilder, ModuleDefinition, Object,
    Raised, Str, Type, Visitor,
};
use pyre_interp::objects::toolkit::Toolkit;

use crate::app::App;
use crate::direct::{cors, hosts};
use crate::log::{self, streams};
use crate::metrics;
use crate::server::object::Server;
use crate::server::start::{self, Imports};
use crate::server::{files, fork, frames, publishing};

/// What one interpreter keeps of the module.
pub(crate) struct EngineState {
    pub(crate) toolkit: Arc<Toolkit>,
    pub(crate) app: ClassHandle<App>,
    server: ClassHandle<Server>,
    pub(crate) start_error: Held<Type>,
    pub(crate) imports: Imports,
}

impl ModuleState for EngineState {
    fn traverse(&self, visitor: &mut Visitor<'_>) {
        self.toolkit.traverse(visitor);
        self.app.visit(visitor);
        self.server.visit(visitor);
        visitor.held(&self.start_error);
    }
}

/// The module.
pub(crate) struct Engine;

static DEFINITION: ModuleDefinition<Engine> = ModuleDefinition::new();

impl Module for Engine {
    const NAME: &'static CStr = c"engine";
    const DOC: &'static CStr =
        c"The native part of pyreframework: apps, requests, responses, the server.";
    type State = EngineState;

    fn definition() -> &'static ModuleDefinition<Self> {
        &DEFINITION
    }

    fn execute<'py>(module: &ModuleBuilder<'py>, py: Attached<'py>) -> Result<EngineState, Raised> {
        streams::tell_of_panics();
        module.add(c"__version__", &*Str::new(py, env!("CARGO_PKG_VERSION"))?)?;
        log::functions::add(module)?;
        metrics::functions::add(module)?;
        start::add(module)?;
        fork::add(module)?;
        publishing::add(module)?;
        files::add(module)?;
        frames::add(module)?;
        cors::add(module)?;
        hosts::add(module)?;
        let start_error = module.exception(
            c"pyreframework.engine.StartError",
            c"A worker could not start; the text is its traceback.",
            &ExceptionKind::RuntimeError.object(py),
        )?;
        Ok(EngineState {
            toolkit: Arc::new(Toolkit::new(module, py)?),
            app: module.class::<App>()?,
            server: module.class::<Server>()?,
            start_error: Held::new(py, start_error),
            imports: Imports::default(),
        })
    }
}

impl Engine {
    /// The state of the module in the interpreter of `py`.
    pub(crate) fn of<'a>(module: &'a Object, py: Attached<'_>) -> Result<&'a EngineState, Raised> {
        let module = module
            .cast::<pyre_ffi::module::ModuleObject>()
            .ok_or_else(|| Raised::type_error(py, "pyreframework.engine is not a module"))?;
        module.state::<Engine>(py)
    }
}
