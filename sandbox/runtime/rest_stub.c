/* Waits until one of two descriptors is readable, or for some time, then executes a program in its own place.
 *
 * Freestanding, with nothing but code, and run from a sealed memfd. rest_stub.py holds the bytes, made by the commands
 * in init_stub.c.
 * argv: the name it shows in lists of processes, two descriptors, the milliseconds to wait at most ("-" for ever), the
 * program's path, its own arguments. Where the program cannot be executed, for it is being replaced by another version
 * of itself, that is tried again each second.
 */
typedef long word;

#if defined(__x86_64__)
#define BEGIN "mov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n"
enum { EXECVE = 59, PPOLL = 271, PRCTL = 157 };
#elif defined(__aarch64__)
#define BEGIN "mov x0, sp\n\tbl start\n"
enum { EXECVE = 221, PPOLL = 73, PRCTL = 167 };
#endif

__asm__(".globl _start\n_start:\n\t" BEGIN);

static inline __attribute__((always_inline)) word call(word number, word a, word b, word c, word d, word e)
{
#if defined(__x86_64__)
	word result;
	register word r10 __asm__("r10") = d;
	register word r8 __asm__("r8") = e;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register word x8 __asm__("x8") = number;
	register word x0 __asm__("x0") = a;
	register word x1 __asm__("x1") = b;
	register word x2 __asm__("x2") = c;
	register word x3 __asm__("x3") = d;
	register word x4 __asm__("x4") = e;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
#endif
}

enum { PR_SET_NAME_ = 15, POLLIN_ = 1, SIGSET_BYTES = 8 };

struct pollfd_ {
	int fd;
	short events, revents;
};

struct timespec_ {
	word seconds, nanoseconds;
};

static inline __attribute__((always_inline)) word number(const char *text)
{
	word value = 0;
	for (; *text; text++)
		value = value * 10 + (*text - '0');
	return value;
}

__attribute__((noreturn, used)) void start(word *stack)
{
	char **argv = (char **)(stack + 1);
	char **envp = argv + stack[0] + 1;
	struct pollfd_ watched[2];
	struct timespec_ left;
	word milliseconds = number(argv[3]);
	for (int each = 0; each < 2; each++) {
		watched[each].fd = (int)number(argv[each + 1]);
		watched[each].events = POLLIN_;
		watched[each].revents = 0;
	}
	left.seconds = milliseconds / 1000;
	left.nanoseconds = milliseconds % 1000 * 1000000;
	/* of a memfd the kernel makes "memfd:sandbox-m" */
	call(PRCTL, PR_SET_NAME_, (word)argv[0], 0, 0, 0);
	/* one that is interrupted is as good as one whose time is over: who is executed finds nothing to do */
	call(PPOLL, (word)watched, 2, *argv[3] == '-' ? 0 : (word)&left, 0, SIGSET_BYTES);
	for (;;) {
		call(EXECVE, (word)argv[4], (word)(argv + 4), (word)envp, 0, 0);
		left.seconds = 1;
		left.nanoseconds = 0;
		call(PPOLL, 0, 0, (word)&left, 0, SIGSET_BYTES);
	}
}
