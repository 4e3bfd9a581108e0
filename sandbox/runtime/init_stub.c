/* Process 1 of a container started with --init: starts the program, forwards signals, reaps, ends as it ends.
 *
 * argv: the name it shows in lists of processes, the program's path, then the program's own arguments. Descriptor 3
 * reports, as for the exec stub.
 */
#include "stub.h"

enum { SIGTTIN_ = 21, SIGTTOU_ = 22, SIGCHLD_ = 17, TIOCSPGRP_ = 0x5410, REPORT = 3, WNOHANG_ = 1 };

static __attribute__((noreturn)) void end(word status)
{
	for (;;)
		call(EXIT_GROUP, status, 0, 0, 0, 0);
}

static __attribute__((noreturn)) void fail(word result)
{
	int code = (int)-result;
	call(WRITE, REPORT, (word)&code, 4, 0, 0);
	end(127);
}

static __attribute__((noreturn)) void run(char **argv, char **envp)
{
	unsigned long none = 0;
	/* a group of its own, in front of the terminal where there is one: what kill(0, ...) reaches is not process 1 */
	int group = (int)call(GETPID, 0, 0, 0, 0, 0);
	call(SETPGID, 0, 0, 0, 0, 0);
	call(IOCTL, 0, TIOCSPGRP_, (word)&group, 0, 0);
	call(SIGPROCMASK, 2, (word)&none, 0, 8, 0);
	fail(call(EXECVE, (word)argv[1], (word)(argv + 2), (word)envp, 0, 0));
}

static void reap(int child)
{
	int status;
	word pid;
	while ((pid = call(WAIT4, -1, (word)&status, WNOHANG_, 0, 0)) > 0)
		if (pid == child)
			end(exit_code(status));
}

__attribute__((noreturn, used)) void start(word *stack)
{
	char **argv = (char **)(stack + 1);
	char **envp = argv + stack[0] + 1;
	unsigned long all = ~0UL;
	call(FCNTL, REPORT, 2, 1, 0, 0);
	set_name(argv[0]);
	/* blocked, a signal is kept even for process 1, which has no handlers (kernel/signal.c, sig_ignored) */
	call(SIGPROCMASK, 2, (word)&all, 0, 8, 0);
	word child = call(CLONE, SIGCHLD_, 0, 0, 0, 0);
	if (child == 0)
		run(argv, envp);
	if (child < 0)
		fail(child);
	call(CLOSE, REPORT, 0, 0, 0, 0);
	for (;;) {
		word number = call(SIGTIMEDWAIT, (word)&all, 0, 0, 8, 0);
		if (number == SIGCHLD_)
			reap((int)child);
		else if (number > 0 && number != SIGTTIN_ && number != SIGTTOU_)
			call(KILL, child, number, 0, 0, 0);
	}
}
