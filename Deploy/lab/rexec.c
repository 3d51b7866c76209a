/*
 * rexec - run a shell command in a lab machine and get its output and exit code.
 *
 *   rexec serve ADDR [ADDR]...           accept connections, one child per client
 *   rexec run [-i | -t] ADDR COMMAND...  run COMMAND with /bin/sh -c over there
 *
 * -i forwards standard input. -t gives the command a terminal that follows this one: size, keys, Ctrl-C.
 * ADDR is tcp:IPV4:PORT or vsock:CID:PORT (CID "any" when serving).
 *
 * Why not ssh: no keys, no crypto (slow under emulation), and it works over vsock, the only link a guest always has.
 * Why not socat: exit codes, and standard output and standard error stay apart. It is a lab tool: whoever can connect
 * is root in the machine, so serve it on loopback or a private bridge only.
 *
 * Wire format, both directions: 1 byte type, 4 bytes length (big endian), data.
 *   client: T terminal (rows and columns, 2 bytes each, then TERM), at most once and first
 *           C command   I stdin bytes   E end of stdin   W window size (like T, without TERM)
 *   server: O stdout    R stderr        X exit code (1 byte), last
 *
 * The server answers X as soon as the shell itself has exited, so a command may leave background processes behind
 * ("daemon >log 2>&1 &"). When the client goes away first, the command's whole session is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { MAX_FRAME = 1 << 20, CHUNK = 1 << 16 };

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_vm vm;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "rexec: %s: %s\n", what, strerror(errno));
	exit(255);
}

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: rexec serve ADDR...\n"
			"       rexec run [-i | -t] ADDR COMMAND...\n"
			"ADDR: tcp:IPV4:PORT or vsock:CID:PORT\n");
	exit(255);
}

static socklen_t parse_address(const char *text, union address *out)
{
	char host[64];
	unsigned port;

	memset(out, 0, sizeof(*out));
	if (sscanf(text, "tcp:%63[^:]:%u", host, &port) == 2) {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons(port);
		if (inet_pton(AF_INET, host, &out->in.sin_addr) != 1)
			usage();
		return sizeof(out->in);
	}
	if (sscanf(text, "vsock:%63[^:]:%u", host, &port) == 2) {
		out->vm.svm_family = AF_VSOCK;
		out->vm.svm_port = port;
		out->vm.svm_cid = strcmp(host, "any") ? strtoul(host, NULL, 10)
						      : VMADDR_CID_ANY;
		return sizeof(out->vm);
	}
	usage();
}

/* --- frames --------------------------------------------------------------- */

/* Both return 0 when the peer is gone. */
static int write_all(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return 0;
		p += done;
		n -= done;
	}
	return 1;
}

static int read_all(int fd, void *data, size_t n)
{
	char *p = data;

	while (n) {
		ssize_t done = read(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return 0;
		p += done;
		n -= done;
	}
	return 1;
}

static int send_frame(int fd, char type, const void *data, uint32_t n)
{
	unsigned char head[5] = { type, n >> 24, n >> 16, n >> 8, n };

	return write_all(fd, head, sizeof(head)) && write_all(fd, data, n);
}

/* Returns the frame's type, or 0 at the end; *data is malloc'd, NUL-ended. */
static int receive_frame(int fd, char **data, uint32_t *n)
{
	unsigned char head[5];

	*data = NULL;
	if (!read_all(fd, head, sizeof(head)))
		return 0;
	*n = (uint32_t)head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4];
	if (*n > MAX_FRAME)
		return 0;
	*data = malloc(*n + 1);
	if (!*data || !read_all(fd, *data, *n)) {
		free(*data);
		*data = NULL;
		return 0;
	}
	(*data)[*n] = 0;
	return head[0];
}

/* Moves what is readable now; returns 0 at end of file. */
static int forward(int from, int to, char type)
{
	char buffer[CHUNK];
	ssize_t n = read(from, buffer, sizeof(buffer));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	if (n <= 0)
		return 0;
	return send_frame(to, type, buffer, n);
}

/* --- the server's side: one session per connection --------------------------- */

struct session {
	int conn, shell_ended;		/* the second is a pidfd */
	pid_t shell;
	int in, out, err;		/* -1 when closed */
	int terminal;			/* in and out are one pseudo-terminal, err is none */
	/* Input that the command has not taken yet. While there is some, nothing more is read from the client: a
	 * command that writes before it reads must not lock up with us. */
	char *input;
	uint32_t input_length, input_done;
};

static struct winsize parse_size(const char *data, uint32_t n)
{
	const unsigned char *p = (const unsigned char *)data;
	struct winsize size = { .ws_row = 24, .ws_col = 80 };

	if (n >= 4) {
		size.ws_row = p[0] << 8 | p[1];
		size.ws_col = p[2] << 8 | p[3];
	}
	return size;
}

static _Noreturn void become_shell(const char *command)
{
	/* A server started by a script with "&" ignores SIGINT and SIGQUIT; the command must not inherit that. */
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	die("/bin/sh");
}

static void start_on_pipes(struct session *s, const char *command)
{
	int in[2], out[2], err[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		die("pipe");
	s->shell = fork();
	if (s->shell < 0)
		die("fork");
	if (s->shell == 0) {
		setsid();
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		become_shell(command);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	s->in = in[1];
	s->out = out[0];
	s->err = err[0];
	fcntl(s->err, F_SETFL, O_NONBLOCK);
}

static void start_on_terminal(struct session *s, const char *command, const char *term,
			      struct winsize size)
{
	s->terminal = 1;
	s->err = -1;
	s->shell = forkpty(&s->in, NULL, NULL, &size);
	if (s->shell < 0)
		die("forkpty");
	if (s->shell == 0) {
		setenv("TERM", term, 1);
		become_shell(command);
	}
	s->out = s->in;
}

static void start_session(struct session *s)
{
	char *data, *term = NULL;
	uint32_t n;
	struct winsize size = { 0 };
	int type = receive_frame(s->conn, &data, &n);

	if (type == 'T' && n >= 4) {
		size = parse_size(data, n);
		term = strdup(data + 4);
		free(data);
		type = receive_frame(s->conn, &data, &n);
	}
	if (type != 'C')
		exit(1);
	if (term)
		start_on_terminal(s, data, term, size);
	else
		start_on_pipes(s, data);
	free(data);
	free(term);
	fcntl(s->in, F_SETFL, O_NONBLOCK);
	fcntl(s->out, F_SETFL, O_NONBLOCK);
	s->shell_ended = syscall(SYS_pidfd_open, s->shell, 0);
	if (s->shell_ended < 0)
		die("pidfd_open");
}

static void drop_input(struct session *s)
{
	free(s->input);
	s->input = NULL;
}

static void close_input(struct session *s)
{
	/* A terminal's input has no end; and its descriptor is the output's too. */
	if (!s->terminal && s->in >= 0) {
		close(s->in);
		s->in = -1;
	}
}

static void write_input(struct session *s)
{
	ssize_t n = write(s->in, s->input + s->input_done, s->input_length - s->input_done);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0) {			/* the command closed its end */
		drop_input(s);
		close_input(s);
		return;
	}
	s->input_done += n;
	if (s->input_done == s->input_length)
		drop_input(s);
}

static void handle_frame(struct session *s)
{
	char *data;
	uint32_t n;
	int type = receive_frame(s->conn, &data, &n);

	if (type == 0) {		/* the client went away */
		kill(-s->shell, SIGKILL);
		exit(1);
	}
	if (type == 'I' && n && s->in >= 0) {
		s->input = data;
		s->input_length = n;
		s->input_done = 0;
		return;
	}
	if (type == 'E')
		close_input(s);
	if (type == 'W' && s->terminal) {
		struct winsize size = parse_size(data, n);

		ioctl(s->in, TIOCSWINSZ, &size);
	}
	free(data);
}

/* What the shell wrote before it exited is still in the pipe or the terminal. */
static void drain(int fd, int conn, char type)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (fd >= 0 && poll(&p, 1, 0) > 0)
		if (!forward(fd, conn, type))
			break;
}

static _Noreturn void serve_client(int conn)
{
	struct session s = { .conn = conn };
	unsigned char code;
	int status = 0;

	start_session(&s);
	for (;;) {
		struct pollfd p[5] = {
			{ .fd = s.shell_ended, .events = POLLIN },
			{ .fd = s.out, .events = POLLIN },
			{ .fd = s.err, .events = POLLIN },
			{ .fd = s.input ? s.in : -1, .events = POLLOUT },
			{ .fd = s.input ? -1 : conn, .events = POLLIN },
		};

		if (poll(p, 5, -1) < 0) {
			if (errno == EINTR)
				continue;
			die("poll");
		}
		if (p[0].revents)
			break;
		if (p[1].revents && !forward(s.out, conn, 'O'))
			s.out = -1;
		if (p[2].revents && !forward(s.err, conn, 'R'))
			s.err = -1;
		if (p[3].revents)
			write_input(&s);
		if (p[4].revents)
			handle_frame(&s);
	}
	waitpid(s.shell, &status, 0);
	drain(s.out, conn, 'O');
	drain(s.err, conn, 'R');
	code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	send_frame(conn, 'X', &code, 1);
	exit(0);
}

static _Noreturn void serve(int count, char **addresses)
{
	struct pollfd p[8];

	if (count < 1 || count > 8)
		usage();
	signal(SIGCHLD, SIG_IGN);	/* no zombies of finished clients */
	for (int i = 0; i < count; i++) {
		union address a;
		socklen_t n = parse_address(addresses[i], &a);
		int one = 1;

		p[i].fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		p[i].events = POLLIN;
		setsockopt(p[i].fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (p[i].fd < 0 || bind(p[i].fd, &a.any, n) || listen(p[i].fd, 16))
			die(addresses[i]);
	}
	for (;;) {
		if (poll(p, count, -1) < 0 && errno != EINTR)
			die("poll");
		for (int i = 0; i < count; i++) {
			int conn;

			if (!(p[i].revents & POLLIN))
				continue;
			conn = accept4(p[i].fd, NULL, NULL, SOCK_CLOEXEC);
			if (conn < 0)
				continue;
			if (fork() == 0) {
				signal(SIGCHLD, SIG_DFL);	/* we wait for the shell */
				serve_client(conn);
			}
			close(conn);
		}
	}
}

/* --- the client's side ----------------------------------------------------- */

enum input { NO_INPUT, STANDARD_INPUT, TERMINAL };

static struct termios saved_terminal;
static volatile sig_atomic_t terminal_is_raw;

static void restore_terminal(void)
{
	if (terminal_is_raw)
		tcsetattr(0, TCSANOW, &saved_terminal);
	terminal_is_raw = 0;
}

static void end_by_signal(int number)
{
	restore_terminal();
	_exit(128 + number);
}

static void make_terminal_raw(void)
{
	struct termios raw;

	if (tcgetattr(0, &saved_terminal)) {
		errno = ENOTTY;
		die("-t");
	}
	signal(SIGTERM, end_by_signal);
	signal(SIGHUP, end_by_signal);
	signal(SIGINT, end_by_signal);
	raw = saved_terminal;
	cfmakeraw(&raw);
	terminal_is_raw = 1;
	tcsetattr(0, TCSANOW, &raw);
}

static void send_size(int conn, char type, const char *term)
{
	struct winsize size;
	char data[128];

	if (ioctl(0, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
		size = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	data[0] = size.ws_row >> 8;
	data[1] = size.ws_row;
	data[2] = size.ws_col >> 8;
	data[3] = size.ws_col;
	send_frame(conn, type, data, 4 + snprintf(data + 4, sizeof(data) - 4, "%.100s", term));
}

/* A process of its own sends the input, so that output flows whatever the input does. */
static void start_input_pump(int conn, enum input input)
{
	struct pollfd p[2] = { { .fd = 0, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
	struct signalfd_siginfo info;
	sigset_t resized;
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return;
	terminal_is_raw = 0;		/* the parent restores it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	if (input == TERMINAL) {
		sigemptyset(&resized);
		sigaddset(&resized, SIGWINCH);
		sigprocmask(SIG_BLOCK, &resized, NULL);
		p[1].fd = signalfd(-1, &resized, 0);
	}
	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents && read(p[1].fd, &info, sizeof(info)) > 0)
			send_size(conn, 'W', "");
		if (p[0].revents && !forward(0, conn, 'I'))
			break;
	}
	send_frame(conn, 'E', "", 0);
	_exit(0);
}

static int run(const char *address, const char *command, enum input input)
{
	union address a;
	socklen_t n = parse_address(address, &a);
	int conn = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (conn < 0 || connect(conn, &a.any, n))
		die(address);
	if (input == TERMINAL) {
		make_terminal_raw();
		atexit(restore_terminal);
		send_size(conn, 'T', getenv("TERM") ? getenv("TERM") : "dumb");
	}
	if (!send_frame(conn, 'C', command, strlen(command)))
		die("send");
	if (input == NO_INPUT)
		send_frame(conn, 'E', "", 0);
	else
		start_input_pump(conn, input);

	for (;;) {
		char *data;
		uint32_t size;
		int type = receive_frame(conn, &data, &size);

		if (type == 'O')
			write_all(1, data, size);
		else if (type == 'R')
			write_all(2, data, size);
		else if (type == 'X' && size == 1)
			return (unsigned char)data[0];
		else {
			fprintf(stderr, "rexec: %s: connection lost\n", address);
			return 255;
		}
		free(data);
	}
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc >= 3 && !strcmp(argv[1], "serve"))
		serve(argc - 2, argv + 2);
	if (argc >= 4 && !strcmp(argv[1], "run")) {
		enum input input = !strcmp(argv[2], "-t")   ? TERMINAL
				   : !strcmp(argv[2], "-i") ? STANDARD_INPUT
							    : NO_INPUT;
		char command[CHUNK] = "";

		argv += 2 + (input != NO_INPUT);
		if (!argv[0] || !argv[1])
			usage();
		/* Like ssh: the words are joined by spaces for the far shell. */
		for (char **word = argv + 1; *word; word++) {
			if (strlen(command) + strlen(*word) + 2 > sizeof(command)) {
				errno = E2BIG;
				die("command");
			}
			if (word != argv + 1)
				strcat(command, " ");
			strcat(command, *word);
		}
		return run(argv[0], command, input);
	}
	usage();
}
