/* A disk that takes 50 ms for whatever it is asked: preloaded into a server (LD_PRELOAD).
 *
 * Its files have the sticky bit, which means nothing else on a file. Nothing of them is ever in
 * memory: to open one or to read it takes long, and whoever does not want to wait is told so
 * (EAGAIN), as kernels do. To send a part takes long unless it was read before. With
 * SLOW_DISK_BLIND=1 it does not tell: then whoever does not want to wait does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS 65536

static int is_blind;
static long delay_ns = 50 * 1000 * 1000;
static long (*real_syscall)(long, ...);
static ssize_t (*real_pread)(int, void *, size_t, off64_t);
static ssize_t (*real_preadv2)(int, const struct iovec *, int, off64_t, int);
static ssize_t (*real_sendfile)(int, int, off_t *, size_t);
/* How far a file was read by whoever may wait, by its descriptor. */
static _Atomic off64_t read_to[DESCRIPTORS];

/* Other libraries may call before the constructor of this one has run. */
__attribute__((constructor)) static void find(void) {
    if (real_syscall) return;
    const char *milliseconds = getenv("SLOW_DISK_MS");
    if (milliseconds) delay_ns = atol(milliseconds) * 1000 * 1000;
    is_blind = getenv("SLOW_DISK_BLIND") != NULL;
    real_pread = dlsym(RTLD_NEXT, "pread64");
    real_preadv2 = dlsym(RTLD_NEXT, "preadv2");
    real_sendfile = dlsym(RTLD_NEXT, "sendfile");
    real_syscall = dlsym(RTLD_NEXT, "syscall");
}

static void wait_for_disk(void) {
    struct timespec delay = {delay_ns / 1000000000, delay_ns % 1000000000};
    nanosleep(&delay, NULL);
}

static int is_slow(int file) {
    struct stat status;
    return file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode)
        && status.st_mode & S_ISVTX;
}

static int refuse(void) {
    errno = EAGAIN;
    return -1;
}

/* openat2 has no function of its own. */
long syscall(long number, ...) {
    find();
    va_list given;
    va_start(given, number);
    long a[6];
    for (int at = 0; at < 6; at++) a[at] = va_arg(given, long);
    va_end(given);
    long result = real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (number == SYS_openat2 && is_slow(result)) {
        const struct open_how *how = (const struct open_how *)a[2];
        if (how->resolve & RESOLVE_CACHED && !is_blind) {
            close(result);
            return refuse();
        }
        if (result < DESCRIPTORS) read_to[result] = 0;
        wait_for_disk();
    }
    return result;
}

ssize_t pread64(int file, void *buffer, size_t size, off64_t at) {
    find();
    if (is_slow(file)) {
        wait_for_disk();
        if (file < DESCRIPTORS) read_to[file] = at + (off64_t)size;
    }
    return real_pread(file, buffer, size, at);
}

ssize_t preadv2(int file, const struct iovec *parts, int count, off64_t at, int flags) {
    find();
    if (flags & RWF_NOWAIT && is_slow(file)) {
        if (!is_blind) return refuse();
        wait_for_disk();
    }
    return real_preadv2(file, parts, count, at, flags);
}

ssize_t sendfile(int socket, int file, off_t *at, size_t size) {
    find();
    struct stat status;
    if (is_slow(file) && fstat(file, &status) == 0) {
        off64_t end = *at + (off64_t)size;
        if (end > status.st_size) end = status.st_size;
        if (file >= DESCRIPTORS || read_to[file] < end) wait_for_disk();
    }
    return real_sendfile(socket, file, at, size);
}
