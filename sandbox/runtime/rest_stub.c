/* Waits until one of two descriptors is readable, or for some time, then executes a program in its own place.
 *
 * argv: the name it shows in lists of processes, two descriptors, the milliseconds to wait at most ("-" for ever), the
 * program's path, its own arguments. Where the program cannot be executed, for it is being replaced by another version
 * of itself, that is tried again each second.
 */
#include "stub.h"

enum { POLLIN_ = 1, SIGSET_BYTES = 8 };

struct pollfd_ {
	int fd;
	short events, revents;
};

struct timespec_ {
	word seconds, nanoseconds;
};

__attribute__((noreturn, used)) void start(word *stack)
{
	char **argv = (char **)(stack + 1);
	char **envp = argv + stack[0] + 1;
	struct pollfd_ watched[2];
	struct timespec_ left;
	word milliseconds = number_of(argv[3]);
	for (int each = 0; each < 2; each++) {
		watched[each].fd = (int)number_of(argv[each + 1]);
		watched[each].events = POLLIN_;
		watched[each].revents = 0;
	}
	left.seconds = milliseconds / 1000;
	left.nanoseconds = milliseconds % 1000 * 1000000;
	set_name(argv[0]);
	/* one that is interrupted is as good as one whose time is over: who is executed finds nothing to do */
	call(PPOLL, (word)watched, 2, *argv[3] == '-' ? 0 : (word)&left, 0, SIGSET_BYTES);
	for (;;) {
		call(EXECVE, (word)argv[4], (word)(argv + 4), (word)envp, 0, 0);
		left.seconds = 1;
		left.nanoseconds = 0;
		call(PPOLL, 0, 0, (word)&left, 0, SIGSET_BYTES);
	}
}
