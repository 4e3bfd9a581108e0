/* Process 1 of a container started with --init: starts the program, forwards signals, reaps, ends as it ends.
 *
 * Freestanding, with nothing but code, and run from a sealed memfd like exec_stub.S: no file of the host is behind
 * /proc/1/exe. init_stub.py holds the bytes; for each machine (for aarch64 with aarch64-linux-gnu- before the names)
 *
 *   gcc -Os -ffreestanding -fPIE -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
 *       -fno-toplevel-reorder -c -o init.o init_stub.c
 *   ld -Ttext=0 -e _start -o init.elf init.o && objcopy -O binary -j .text init.elf code.bin
 *
 * (-fcf-protection on x86_64 only; `size init.o` must show no data and no bss.)
 * argv: the name it shows in lists of processes, the program's path, then the program's own arguments. Descriptor 3
 * reports, as for the exec stub.
 */
typedef long word;

#if defined(__x86_64__)
#define BEGIN "mov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n"
enum { WRITE = 1, CLOSE = 3, IOCTL = 16, SIGPROCMASK = 14, SIGTIMEDWAIT = 128, CLONE = 56, EXECVE = 59, WAIT4 = 61,
       KILL = 62, FCNTL = 72, SETPGID = 109, EXIT_GROUP = 231, GETPID = 39, PRCTL = 157 };
#elif defined(__aarch64__)
#define BEGIN "mov x0, sp\n\tbl start\n"
enum { WRITE = 64, CLOSE = 57, IOCTL = 29, SIGPROCMASK = 135, SIGTIMEDWAIT = 137, CLONE = 220, EXECVE = 221,
       WAIT4 = 260, KILL = 129, FCNTL = 25, SETPGID = 154, EXIT_GROUP = 94, GETPID = 172, PRCTL = 167 };
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

enum { SIGTTIN_ = 21, SIGTTOU_ = 22, SIGCHLD_ = 17, TIOCSPGRP_ = 0x5410, REPORT = 3, WNOHANG_ = 1, EINTR_ = 4,
       PR_SET_NAME_ = 15 };

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
			end((status & 0x7f) ? 128 + (status & 0x7f) : (status >> 8) & 0xff);
}

__attribute__((noreturn, used)) void start(word *stack)
{
	char **argv = (char **)(stack + 1);
	char **envp = argv + stack[0] + 1;
	unsigned long all = ~0UL;
	call(FCNTL, REPORT, 2, 1, 0, 0);
	/* of a memfd the kernel makes "memfd:sandbox-i" */
	call(PRCTL, PR_SET_NAME_, (word)argv[0], 0, 0, 0);
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
