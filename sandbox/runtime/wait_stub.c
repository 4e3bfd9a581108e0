/* Waits for one child of the process that it takes the place of, then executes a program that is told how that ended.
 *
 * Freestanding, with nothing but code, and run from a sealed memfd. wait_stub.py holds the bytes, made by the commands
 * in init_stub.c.
 * argv: the name it shows in lists of processes, the child's pid, the program's path, its own arguments. Over the last
 * of these, which has room for three digits, the exit code is written: 128 and the signal's number of what was killed.
 */
typedef long word;

#if defined(__x86_64__)
#define BEGIN "mov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n"
enum { EXECVE = 59, WAIT4 = 61, EXIT_GROUP = 231, PRCTL = 157 };
#elif defined(__aarch64__)
#define BEGIN "mov x0, sp\n\tbl start\n"
enum { EXECVE = 221, WAIT4 = 260, EXIT_GROUP = 94, PRCTL = 167 };
#endif

__asm__(".globl _start\n_start:\n\t" BEGIN);

static inline __attribute__((always_inline)) word call(word number, word a, word b, word c, word d)
{
#if defined(__x86_64__)
	word result;
	register word r10 __asm__("r10") = d;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register word x8 __asm__("x8") = number;
	register word x0 __asm__("x0") = a;
	register word x1 __asm__("x1") = b;
	register word x2 __asm__("x2") = c;
	register word x3 __asm__("x3") = d;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
#endif
}

enum { PR_SET_NAME_ = 15, EINTR_ = 4 };

__attribute__((noreturn, used)) void start(word *stack)
{
	char **argv = (char **)(stack + 1);
	char **envp = argv + stack[0] + 1;
	char *code_text = argv[stack[0] - 1];
	word pid = 0;
	int status = 0;
	for (char *digit = argv[1]; *digit; digit++)
		pid = pid * 10 + (*digit - '0');
	/* of a memfd the kernel makes "memfd:sandbox-e" */
	call(PRCTL, PR_SET_NAME_, (word)argv[0], 0, 0);
	while (call(WAIT4, pid, (word)&status, 0, 0) == -EINTR_)
		;
	int code = (status & 0x7f) ? 128 + (status & 0x7f) : (status >> 8) & 0xff;
	for (int place = 2; place >= 0; place--) {
		code_text[place] = (char)('0' + code % 10);
		code /= 10;
	}
	call(EXECVE, (word)argv[2], (word)(argv + 2), (word)envp, 0);
	for (;;)
		call(EXIT_GROUP, 127, 0, 0, 0);
}
