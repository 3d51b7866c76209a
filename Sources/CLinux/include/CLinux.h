/* Shims for what Swift's Glibc module does not import (it is built without _GNU_SOURCE and without the kernel's own
 * headers). No logic lives here: each function is one call of the C library, or one instruction. */
#ifndef TANDEM_CLINUX_H
#define TANDEM_CLINUX_H

/* Nothing else is included: a declaration that both this module and Glibc bring would be found through one only. */
#include <stdint.h>

/* errno's short name ("ECONNREFUSED") and text ("Connection refused"); NULL when the number is unknown. */
const char *clinux_errno_name(int code);
const char *clinux_errno_text(int code);

/* eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) */
int clinux_eventfd(void);

/* socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) */
int clinux_stream_socket(int family);

/* accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) */
int clinux_accept(int fd);

/* getsockopt(SO_PEERCRED): the process that connected, or listened, on a Unix socket. 0, or -1 and errno. */
int clinux_peer_process(int fd, int32_t *pid, uint32_t *uid);

/* Fills `storage` (a struct sockaddr_storage) with a struct sockaddr_vm and returns the length of that: vsock(7). */
uint32_t clinux_vsock_address(void *storage, uint32_t cid, uint32_t port);

/* Reads a struct sockaddr_vm. */
void clinux_vsock_parts(const void *storage, uint32_t *cid, uint32_t *port);

/* setsockopt(AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT): the kernel's own limit for connecting is 2 s. */
int clinux_vsock_connect_timeout(int fd, int64_t milliseconds);

/* The kernel's own conversion of the time stamp counter to nanoseconds, from the control page of a perf event
 * (perf_event_open(2), `time_mult`, `time_shift`, `time_zero`). 0; or -1 and errno, which is ENOTSUP when the kernel does
 * not trust the counter for its scheduler clock. */
int clinux_tsc_scale(uint32_t *multiplier, uint16_t *shift, uint64_t *zero);

/* The time stamp counter, not read before earlier instructions are done, as the kernel's rdtsc_ordered() reads it
 * (arch/x86/include/asm/tsc.h). Returns 0 on a machine that has none. */
static inline int clinux_time_stamp_counter(uint64_t *ticks)
{
#if defined(__x86_64__)
    uint32_t low, high;
    __asm__ __volatile__("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    *ticks = (uint64_t)high << 32 | low;
    return 1;
#else
    (void)ticks;
    return 0;
#endif
}

#endif
