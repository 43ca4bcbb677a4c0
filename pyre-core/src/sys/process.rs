//! The process: its memory and its end.

/// Bytes of memory that this process has in use, if the system tells.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Makes the C allocator give large blocks straight back to the system.
///
/// glibc raises its threshold for `mmap` each time such a block is freed; one large answer would
/// then leave megabytes in the heap for ever. A fixed threshold keeps what the manual promises.
pub(crate) fn return_large_blocks_to_the_system() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const BLOCK_BYTES: libc::c_int = 128 * 1024;
        // SAFETY: `mallopt` takes two plain numbers and is called before the threads start.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, BLOCK_BYTES) };
        // SAFETY: as above.
        unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, BLOCK_BYTES) };
    }
}

/// Gives memory that was freed, and that the C allocator keeps, back to the system: whole pages, in
/// the heaps of all threads. Takes milliseconds.
pub(crate) fn return_free_pages_to_the_system() {
    // SAFETY: takes a number and locks each heap while it looks at it; may be called at any time.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Ends the process at once, with code 1. No destructor and no exit hook runs: they might wait for
/// threads that are inside Python, or be those of the process that this one was forked from.
pub(crate) fn exit_at_once() -> ! {
    // SAFETY: takes a plain number, and does not return.
    unsafe { libc::_exit(1) }
}
