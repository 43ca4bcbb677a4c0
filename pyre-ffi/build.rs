//! Passes on what `pyo3-ffi` found out about the interpreter: the version as `cfg`s, and, when
//! this is not an extension module, where test binaries find libpython. Then asks the interpreter
//! itself for what no version tells: how its headers lay out the objects that this crate reads,
//! and which private functions it exports.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::Command,
};

use pyo3_build_config::InterpreterConfig;

/// The numbers that the crate uses, as text: `headers.c` gets each as a macro.
const NUMBERS: &str = include_str!("src/layout/numbers.rs");

/// Private functions that save work where they are exported; `src/layout/mod.rs` tries them.
const PRIVATE: [(&str, &str); 2] = [
    ("_PyDict_NewPresized", "pyre_dict_new_presized"),
    ("_PyDict_SetItem_Take2", "pyre_dict_set_item_take2"),
];

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_libpython_rpath_link_args();
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/layout/numbers.rs");
    println!("cargo:rerun-if-changed=src/layout/headers.c");
    println!("cargo:rerun-if-env-changed=CC");
    for (_, cfg) in PRIVATE {
        println!("cargo:rustc-check-cfg=cfg({cfg})");
    }
    let interpreter = pyo3_build_config::get();
    // A free-threaded build has other layouts; `lib.rs` refuses it in one sentence.
    if interpreter.executable().is_some() && !interpreter.is_free_threaded() {
        check_headers(interpreter);
        find_private_functions(interpreter);
    } else {
        println!("cargo:warning=no interpreter to ask: layouts are checked at import only");
    }
}

/// Compiles and runs `headers.c`, and ends the build if a number is not what the headers say.
fn check_headers(interpreter: &InterpreterConfig) {
    let folders = "from sysconfig import get_path\n\
         print(get_path('include'), get_path('platinclude'), sep='\\n')";
    let folders = interpreter.run_python_script(folders).unwrap_or_default();
    let folders: Vec<&Path> = folders.lines().map(Path::new).collect();
    let Some(header) = folders.iter().map(|folder| folder.join("Python.h")).find(|it| it.exists())
    else {
        println!(
            "cargo:warning=the interpreter has no headers (Debian: python3-dev): layouts are \
             checked at import only"
        );
        return;
    };
    println!("cargo:rerun-if-changed={}", header.with_file_name("patchlevel.h").display());
    let out: PathBuf = env::var_os("OUT_DIR").expect("cargo sets it").into();
    let program = out.join("headers");
    let mut compile = compiler();
    compile.arg("-w").args(macros()).arg("src/layout/headers.c").arg("-o").arg(&program);
    compile.args(folders.iter().map(|folder| format!("-I{}", folder.display())));
    match compile.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "{compile:?} has failed; if the compiler works, this source does not know how the CPython \
             of {} lays out its objects:\n{}",
            header.display(),
            String::from_utf8_lossy(&output.stderr),
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let compiler = compile.get_program().display();
            println!("cargo:warning={compiler} is not there: layouts are checked at import only");
            return;
        }
        Err(error) => panic!("{compile:?} cannot be run: {error}"),
    }
    // Code for another machine cannot be run here; it has been compiled, which finds what is
    // missing, and the check at import does the rest.
    if env::var("HOST") != env::var("TARGET") {
        return;
    }
    let mut compare = Command::new(&program);
    match compare.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "this source does not know how the CPython of {} lays out its objects; use another \
             version of CPython (PYTHON=... scripts/setup) or of Pyre:\n{}{}",
            header.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        ),
        Err(error) => panic!("{compare:?} cannot be run: {error}"),
    }
}

/// The C compiler. As in makefiles `CC` may be several words (`ccache gcc`, `gcc -m64`); but the path
/// of a file may have spaces.
fn compiler() -> Command {
    let given = env::var("CC").unwrap_or_default();
    if Path::new(&given).is_file() {
        return Command::new(given);
    }
    let mut words = given.split_whitespace();
    let mut compiler = Command::new(words.next().unwrap_or("cc"));
    compiler.args(words);
    compiler
}

/// `-DNAME=VALUE` for every number.
fn macros() -> impl Iterator<Item = String> {
    NUMBERS.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("pub(crate) const ")?.split_once(": ")?;
        let (_, value) = rest.split_once(" = ")?;
        Some(format!("-D{name}={}", value.strip_suffix(';')?))
    })
}

/// Sets a `cfg` for each private function that the interpreter exports.
fn find_private_functions(interpreter: &InterpreterConfig) {
    for (function, cfg) in PRIVATE {
        // Without ctypes the crate uses what is public.
        let script = format!("import ctypes\nprint(hasattr(ctypes.pythonapi, '{function}'))");
        if interpreter.run_python_script(&script).is_ok_and(|answer| answer.trim() == "True") {
            println!("cargo:rustc-cfg={cfg}");
        }
    }
}
