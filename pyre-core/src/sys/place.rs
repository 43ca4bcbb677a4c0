//! On which file system something lies. Only of some it is known that what is asked of them is answered by this
//! machine: others ask a server, or a program, and wait for it in calls that no flag keeps from waiting.

use std::os::fd::AsRawFd;

/// File systems whose files lie on disks of this machine, or in its memory, as the kernel numbers them.
#[cfg(target_os = "linux")]
const LOCAL: [u32; 19] = [
    0x0000_ef53, // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlayfs
    0xf2f5_2010, // F2FS
    0x2fc1_2fc1, // ZFS
    0xca45_1a4e, // bcachefs
    0x7371_7368, // SquashFS
    0xe0f5_e1e2, // EROFS
    0x0000_4d44, // FAT
    0x2011_bab0, // exFAT
    0x7366_746e, // NTFS
    0x0000_9660, // ISO 9660
    0x1501_3346, // UDF
    0x0000_3434, // NILFS
    0x3153_464a, // JFS
    0x2405_1905, // UBIFS
];

/// Whether calls for a file or a folder wait for this machine alone. This may wait itself.
#[cfg(target_os = "linux")]
pub(crate) fn is_local(opened: &impl AsRawFd) -> bool {
    // SAFETY: all zeroes is a value of this plain C structure.
    let mut about: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a number, and one live structure that the kernel fills.
    let told = unsafe { libc::fstatfs(opened.as_raw_fd(), &raw mut about) };
    // The kernel's numbers have 32 bits, whatever the type of the field is.
    told == 0 && LOCAL.contains(&(about.f_type as u32))
}

/// That is not known here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_local(_opened: &impl AsRawFd) -> bool {
    false
}

/// A file system, and where it is mounted: two numbers that no other has at the same time.
pub(crate) type Place = (u64, u64);

/// Where a folder lies, by what the kernel has of that: no file system is asked.
#[cfg(target_os = "linux")]
pub(crate) fn place(folder: &impl AsRawFd) -> Option<Place> {
    // SAFETY: all zeroes is a value of this plain C structure.
    let mut about: libc::statx = unsafe { std::mem::zeroed() };
    // Kernels since 6.8 have numbers of mounts that are not given again; others take the first flag.
    let wanted = libc::STATX_MNT_ID | libc::STATX_MNT_ID_UNIQUE;
    // SAFETY: a number, a text with its end, and one live structure that the kernel fills.
    let told = unsafe {
        libc::statx(
            folder.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC,
            wanted,
            &raw mut about,
        )
    };
    let device = u64::from(about.stx_dev_major) << 32 | u64::from(about.stx_dev_minor);
    (told == 0 && about.stx_mask & wanted != 0).then_some((device, about.stx_mnt_id))
}

/// That is not known here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn place(_folder: &impl AsRawFd) -> Option<Place> {
    None
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_kernel_makes_up_is_no_disk() {
        let (processes, temporary) = (File::open("/proc").unwrap(), std::env::temp_dir());
        assert!(!is_local(&processes));
        let temporary = File::open(temporary).unwrap();
        assert_eq!(place(&temporary), place(&temporary));
        assert!(place(&temporary).is_none() || place(&temporary) != place(&processes));
    }
}
