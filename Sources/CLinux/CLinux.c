#define _GNU_SOURCE
#include "CLinux.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>

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
