/* What the stubs have in common: freestanding programs with nothing but code, which run from a sealed memfd. No file of
 * the host is behind their /proc/PID/exe. NAME_stub.py holds the bytes of NAME_stub.c; for each machine (for aarch64
 * with aarch64-linux-gnu- before the names)
 *
 *   gcc -Os -ffreestanding -fPIE -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
 *       -fno-toplevel-reorder -c -o stub.o NAME_stub.c
 *   ld -Ttext=0 -e _start -o stub.elf stub.o && objcopy -O binary -j .text stub.elf code.bin
 *
 * (-fcf-protection on x86_64 only; `size stub.o` must show no data and no bss.)
 */
typedef long word;

#if defined(__x86_64__)
#define BEGIN "mov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n"
enum { WRITE = 1, CLOSE = 3, IOCTL = 16, SIGPROCMASK = 14, SIGTIMEDWAIT = 128, CLONE = 56, EXECVE = 59, WAIT4 = 61,
       KILL = 62, FCNTL = 72, SETPGID = 109, EXIT_GROUP = 231, GETPID = 39, PRCTL = 157, PPOLL = 271 };
#elif defined(__aarch64__)
#define BEGIN "mov x0, sp\n\tbl start\n"
enum { WRITE = 64, CLOSE = 57, IOCTL = 29, SIGPROCMASK = 135, SIGTIMEDWAIT = 137, CLONE = 220, EXECVE = 221,
       WAIT4 = 260, KILL = 129, FCNTL = 25, SETPGID = 154, EXIT_GROUP = 94, GETPID = 172, PRCTL = 167, PPOLL = 73 };
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

/* of a memfd the kernel makes "memfd:sandbox-…", the name that lists of processes show */
static inline __attribute__((always_inline)) void set_name(const char *name)
{
	call(PRCTL, 15 /* PR_SET_NAME */, (word)name, 0, 0, 0);
}

static inline __attribute__((always_inline)) word number_of(const char *text)
{
	word value = 0;
	for (; *text; text++)
		value = value * 10 + (*text - '0');
	return value;
}

/* an exit code as shells have it, from a wait status: 128 and the signal's number of what was killed */
static inline __attribute__((always_inline)) int exit_code(int status)
{
	return (status & 0x7f) ? 128 + (status & 0x7f) : (status >> 8) & 0xff;
}
