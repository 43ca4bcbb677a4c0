/*
 * Tells ThreadSanitizer what a std that was not built for it does between threads.
 *
 * What is generic, or inlined, in std is compiled with our crates, so the sanitizer sees it. This is
 * for the rest. The linker puts each of these functions in the place of the original (--wrap);
 * scripts/tsan finds out the names that std's have.
 *
 * In each the first argument is the address of the one atomic that all sides use, be it in what is
 * seen or in what is not. The others are passed on: they all fit into registers.
 */
#include <stdbool.h>
#include <stdint.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define REAL(function) JOIN(__real_, function)
#define WRAP(function) JOIN(__wrap_, function)

void __tsan_acquire(void *address);
void __tsan_release(void *address);

/*
 * The end of an Arc. All but the last reference are given up with a Release, and whoever gives up the
 * last one puts an Acquire fence before it frees. ThreadSanitizer does not see fences. A std that is
 * built for it acquires the count instead. Nobody else counts down to nothing with a Release.
 */
#define FETCH_SUB __tsan_atomic64_fetch_sub
uint64_t REAL(FETCH_SUB)(uint64_t *count, uint64_t by, int order);
uint64_t WRAP(FETCH_SUB)(uint64_t *count, uint64_t by, int order) {
    uint64_t before = REAL(FETCH_SUB)(count, by, order);
    if (order == __ATOMIC_RELEASE && before == by)
        __tsan_acquire(count);
    return before;
}

/*
 * Once, OnceLock, LazyLock: the thread that initialises. Whoever comes later sees, with an Acquire of
 * its own, that it is done. One that looks before the release here, some instructions too late, would
 * be reported falsely; that takes a thread switch just here.
 */
void REAL(ONCE_CALL)(void *once, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e);
void WRAP(ONCE_CALL)(void *once, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e) {
    REAL(ONCE_CALL)(once, b, c, d, e);
    __tsan_release(once);
    /* If it was somebody else who did it. */
    __tsan_acquire(once);
}

/* Mutex: the lock of one that is not free. To unlock is inlined. */
void REAL(LOCK_CONTENDED)(void *mutex);
void WRAP(LOCK_CONTENDED)(void *mutex) {
    REAL(LOCK_CONTENDED)(mutex);
    __tsan_acquire(mutex);
}

/* Condvar: the mutex is unlocked and locked again while it waits. */
void REAL(WAIT)(void *condvar, void *mutex);
void WRAP(WAIT)(void *condvar, void *mutex) {
    __tsan_release(mutex);
    REAL(WAIT)(condvar, mutex);
    __tsan_acquire(mutex);
}

bool REAL(WAIT_TIMEOUT)(void *condvar, void *mutex, uint64_t seconds, uint32_t nanoseconds);
bool WRAP(WAIT_TIMEOUT)(void *condvar, void *mutex, uint64_t seconds, uint32_t nanoseconds) {
    __tsan_release(mutex);
    bool in_time = REAL(WAIT_TIMEOUT)(condvar, mutex, seconds, nanoseconds);
    __tsan_acquire(mutex);
    return in_time;
}
