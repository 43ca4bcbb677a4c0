//! What lets a process be forked while it has interpreters beside the main one.
//!
//! CPython deletes the other interpreters in the child. For that it clears them without a thread
//! attached to them, and so aborts, or crashes, on every version that has interpreters with locks of
//! their own. The child needs none of them: their threads are not there. So they are taken out of
//! CPython's list before it looks, in a handler that the C library calls first; what they hold
//! stays where it is, in pages that the child shares and never touches.
//!
//! What stays is CPython's count of the interpreters that have each static type (`interp_count` of
//! `_PyRuntime.types`): too high in the child by those that were taken out. Only its own end looks there.
//! Built-in types are taken apart as the main interpreter ends, whatever the count, and a build with
//! assertions aborts as it is not 0; those of extension modules, such as `datetime`, are left as they are,
//! as if somebody still had them. No function sets the count and no table says where it is.
//!
//! Where the list is, CPython says itself, to debuggers: `_Py_DebugOffsets`, at the beginning of
//! `_PyRuntime`. What is read there is compared with what `PyInterpreterState_Head` shows, and believed
//! only if they agree.
//!
//! An interpreter is in the list from the first moment of its making, and during most of that the main
//! interpreter's lock is free: so the list is looked for before the first one is made.

use std::{
    ffi::{c_char, c_int, c_void},
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering},
    },
};

use pyo3_ffi as ffi;

/// What `_Py_DebugOffsets` begins with (Include/internal/pycore_debug_offsets.h): a cookie, the
/// version, whether the build is free-threaded; then offsets, of which these fields are numbers.
const COOKIE: [u8; 8] = *b"xdebugpy";
const VERSION: usize = 1;
const INTERPRETERS_HEAD: usize = 5;
const FIELDS: usize = 6;

/// More is no offset in a structure of CPython.
const OFFSET_MAX: u64 = 1 << 24;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
}

/// Any object that is loaded already, the program first.
#[cfg(target_os = "macos")]
const ANYWHERE: *mut c_void = ptr::without_provenance_mut(-2_isize as usize);
#[cfg(not(target_os = "macos"))]
const ANYWHERE: *mut c_void = ptr::null_mut();

/// Where CPython keeps the first of its interpreters.
struct Head(*mut *mut ffi::PyInterpreterState);

// SAFETY: a plain address; only `in_child` writes there, on the only thread of its process.
unsafe impl Send for Head {}
// SAFETY: as above.
unsafe impl Sync for Head {}

/// Set before there are several interpreters. None: this CPython shows no list that could be believed.
static LIST: OnceLock<Option<Head>> = OnceLock::new();

/// What was believed of one interpreter has turned out wrong with several.
static DISPROVED: AtomicBool = AtomicBool::new(false);

/// How often a list is looked at that other threads change meanwhile.
const LOOKS_MAX: usize = 1000;

/// Whether the C library calls `in_child`.
static REGISTERED: OnceLock<bool> = OnceLock::new();

/// How many forks by Python code lie between the process that began to notice them and this one.
static FORKS: AtomicUsize = AtomicUsize::new(0);

/// Whether Python code of the main interpreter can fork while other interpreters live. Before the first
/// of them has started this is not known, and the answer is yes.
pub fn can_fork() -> bool {
    // Relaxed: a fork that just misses it is one of before.
    LIST.get().is_none_or(Option::is_some) && !DISPROVED.load(Ordering::Relaxed)
}

/// A number that is another one in a process that Python code has forked, once forks are noticed. A
/// thread that finds a new number is the one that forked, in the child, and alone.
#[inline]
pub fn forks() -> usize {
    // Relaxed: written before the process had a second thread.
    FORKS.load(Ordering::Relaxed)
}

/// Sees to it that forks are noticed from here on; once is enough. Tells whether they are.
pub fn notice_forks() -> bool {
    *REGISTERED.get_or_init(|| {
        // SAFETY: the handler lives as long as the process, as extension modules are never unloaded.
        unsafe { pthread_atfork(None, None, Some(in_child)) == 0 }
    })
}

/// Sees to it that the process can be forked while there are other interpreters; once is enough.
///
/// # Threads
/// Attached to the main interpreter, so that nothing forks meanwhile, before another one is made.
pub(super) fn prepare() {
    LIST.get_or_init(|| find_list().filter(|_| notice_forks()));
}

/// Looks whether what [`prepare`] has found holds now that there are several interpreters: while there
/// was one alone, another place might have shown it as well.
///
/// # Threads
/// With the lock under which interpreters start and end, so that the new one stays.
pub(super) fn confirm() {
    if let Some(Some(head)) = LIST.get()
        && !head.is_true()
    {
        DISPROVED.store(true, Ordering::Relaxed);
    }
}

fn find_list() -> Option<Head> {
    // SAFETY: the name ends with a zero; a name that is not there gives NULL.
    let runtime = unsafe { dlsym(ANYWHERE, c"_PyRuntime".as_ptr()) };
    if runtime.is_null() || !runtime.cast::<u64>().is_aligned() {
        return None;
    }
    // SAFETY: since CPython 3.13 a structure of many kilobytes, which is never freed and whose first
    // fields are constant.
    let fields = unsafe { ptr::read(runtime.cast::<[u64; FIELDS]>()) };
    // SAFETY: an int that is set at build time.
    let version = unsafe { ffi::Py_Version };
    if fields[0].to_ne_bytes() != COOKIE || fields[VERSION] != version {
        return None;
    }
    if fields[INTERPRETERS_HEAD] > OFFSET_MAX {
        return None;
    }
    let head = runtime.wrapping_byte_add(usize::try_from(fields[INTERPRETERS_HEAD]).ok()?);
    let head = Head(head.cast());
    (head.0.is_aligned() && head.is_true()).then_some(head)
}

impl Head {
    /// Whether the place shows what CPython's function does. Interpreters of the program's own come and
    /// go meanwhile, so only two looks at the place that agree say anything.
    fn is_true(&self) -> bool {
        for _ in 0..LOOKS_MAX {
            let before = self.read();
            // SAFETY: Python is initialised.
            let shown = unsafe { ffi::PyInterpreterState_Head() };
            if before == self.read() {
                return !shown.is_null() && before == shown;
            }
        }
        false
    }

    fn read(&self) -> *mut ffi::PyInterpreterState {
        // SAFETY: aligned, at an offset inside `_PyRuntime` that CPython's own table has given; other
        // threads write there, under a lock that is not ours, so the read is an atomic one.
        let head = unsafe { AtomicPtr::from_ptr(self.0) };
        head.load(Ordering::Acquire)
    }
}

/// Called by the C library in the child, before `fork` returns. Nothing may be done here but look at
/// memory and change it: whatever other threads had locked stays locked.
extern "C" fn in_child() {
    // SAFETY: may be asked on any thread.
    let state = unsafe { ffi::PyThreadState_GetUnchecked() };
    if state.is_null() {
        // Some library has forked, to start a program, and not Python code.
        return;
    }
    // SAFETY: the state of this thread, which is attached.
    let interpreter = unsafe { ffi::PyThreadState_GetInterpreter(state) };
    // SAFETY: Python is initialised.
    let main = unsafe { ffi::PyInterpreterState_Main() };
    if interpreter != main {
        // As above: Python code of other interpreters is not let fork.
        return;
    }
    FORKS.fetch_add(1, Ordering::Relaxed);
    let Some(Some(head)) = LIST.get() else { return };
    // SAFETY: the head of CPython's list, as `is_true` has seen, in a process without other threads; or,
    // if there has been no other interpreter, at worst a place that has this value. The main interpreter
    // is the last in the list, as it was the first that was made.
    unsafe { ptr::write(head.0, main) };
}
