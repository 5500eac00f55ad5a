/* Lets the Nth write, fsync or rename of a process fail, as a disk does that is broken (EIO) or full (ENOSPC).
   Preloaded; fail_at() begins the count. Standard output and error, pipes and sockets are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE, FSYNC, RENAME };

static int armed, kind, number, lasting;
static int nth, calls[3];

void fail_at(int which, int n, int error, int all_after) {
    kind = which, nth = n, number = error, lasting = all_after, armed = 1;
    calls[WRITE] = calls[FSYNC] = calls[RENAME] = 0;
}

int calls_of(int which) { return calls[which]; }

static int fails(int which) {
    if (!armed) return 0;
    int call = __atomic_add_fetch(&calls[which], 1, __ATOMIC_RELAXED);
    if (which != kind || !(call == nth || (lasting && call > nth))) return 0;
    errno = number;
    return 1;
}

static int fails_on(int which, int file) {
    struct stat found;
    return armed && file > 2 && fstat(file, &found) == 0 && S_ISREG(found.st_mode) && fails(which);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *from, size_t size) {
    return fails_on(WRITE, file) ? -1 : REAL(write)(file, from, size);
}
ssize_t pwrite(int file, const void *from, size_t size, off_t at) {
    return fails_on(WRITE, file) ? -1 : REAL(pwrite)(file, from, size, at);
}
ssize_t pwrite64(int file, const void *from, size_t size, off64_t at) {
    return fails_on(WRITE, file) ? -1 : REAL(pwrite64)(file, from, size, at);
}
ssize_t writev(int file, const struct iovec *from, int parts) {
    return fails_on(WRITE, file) ? -1 : REAL(writev)(file, from, parts);
}
int fsync(int file) { return armed && fails(FSYNC) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return armed && fails(FSYNC) ? -1 : REAL(fdatasync)(file); }
int rename(const char *from, const char *to) { return fails(RENAME) ? -1 : REAL(rename)(from, to); }
int renameat(int of, const char *from, int in, const char *to) {
    return fails(RENAME) ? -1 : REAL(renameat)(of, from, in, to);
}
int renameat2(int of, const char *from, int in, const char *to, unsigned flags) {
    return fails(RENAME) ? -1 : REAL(renameat2)(of, from, in, to, flags);
}
