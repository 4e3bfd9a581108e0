/* Waits for one child of the process that it takes the place of, then executes a program that is told how that ended.
 *
 * argv: the name it shows in lists of processes, the child's pid, the program's path, its own arguments. Over the last
 * of these, which has room for three digits, the exit code is written.
 */
#include "stub.h"

enum { EINTR_ = 4 };

__attribute__((noreturn, used)) void start(word *stack)
{
	char **argv = (char **)(stack + 1);
	char **envp = argv + stack[0] + 1;
	char *code_text = argv[stack[0] - 1];
	word pid = number_of(argv[1]);
	int status = 0;
	set_name(argv[0]);
	while (call(WAIT4, pid, (word)&status, 0, 0, 0) == -EINTR_)
		;
	int code = exit_code(status);
	for (int place = 2; place >= 0; place--) {
		code_text[place] = (char)('0' + code % 10);
		code /= 10;
	}
	call(EXECVE, (word)argv[2], (word)(argv + 2), (word)envp, 0, 0);
	for (;;)
		call(EXIT_GROUP, 127, 0, 0, 0, 0);
}
