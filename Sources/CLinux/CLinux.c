#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/perf_event.h>
#include <linux/vm_sockets.h>

const char *clinux_errno_name(int code) { return strerrorname_np(code); }

const char *clinux_errno_text(int code) { return strerrordesc_np(code); }

int clinux_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int clinux_stream_socket(int family) { return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

int clinux_accept(int fd) { return accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); }

int clinux_peer_process(int fd, int32_t *pid, uint32_t *uid)
{
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
        return -1;
    *pid = credentials.pid;
    *uid = credentials.uid;
    return 0;
}

uint32_t clinux_vsock_address(void *storage, uint32_t cid, uint32_t port)
{
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
    memcpy(storage, &address, sizeof address);
    return sizeof address;
}

void clinux_vsock_parts(const void *storage, uint32_t *cid, uint32_t *port)
{
    struct sockaddr_vm address;
    memcpy(&address, storage, sizeof address);
    *cid = address.svm_cid;
    *port = address.svm_port;
}

int clinux_vsock_connect_timeout(int fd, int64_t milliseconds)
{
    struct timeval limit = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};
    return setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &limit, sizeof limit);
}

int clinux_tsc_scale(uint32_t *multiplier, uint16_t *shift, uint64_t *zero)
{
    struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE,
                                         .size = sizeof attributes,
                                         .config = PERF_COUNT_SW_DUMMY,
                                         .exclude_kernel = 1,
                                         .exclude_hv = 1};
    int fd = syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    volatile struct perf_event_mmap_page *page = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    int saved = errno;
    close(fd);
    if (page == MAP_FAILED) {
        errno = saved;
        return -1;
    }
    uint32_t before, isUsable;
    do {
        before = page->lock;
        __sync_synchronize();
        isUsable = page->cap_user_time && page->cap_user_time_zero;
        *multiplier = page->time_mult;
        *shift = page->time_shift;
        *zero = page->time_zero;
        __sync_synchronize();
    } while (page->lock != before || (before & 1));
    munmap((void *)page, size);
    errno = ENOTSUP;
    return isUsable ? 0 : -1;
}
