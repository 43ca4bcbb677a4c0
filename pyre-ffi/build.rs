//! Passes on what `pyo3-ffi` found out about the interpreter: the version as `cfg`s, and, when
//! this is not an extension module, where test binaries find libpython.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_libpython_rpath_link_args();
}
