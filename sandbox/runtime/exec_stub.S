/* The last program of ours that a container's process executes; exec_stub.py holds the assembled bytes.
 *
 * argv: the program's path, then the program's own arguments. Descriptor 3 reports: closed by a successful execve,
 * or given the errno (4 bytes, host order) of a failed one.
 *
 *   gcc -c -o stub.o exec_stub.S && objcopy -O binary -j .text stub.o code.bin
 *   cpp -P -D__aarch64__ -U__x86_64__ exec_stub.S | aarch64-linux-gnu-as -o stub.o - ; then objcopy as above
 */
	.text
	.globl _start
_start:
#if defined(__x86_64__)
	mov	$72, %eax		/* fcntl(3, F_SETFD, FD_CLOEXEC) */
	mov	$3, %edi
	mov	$2, %esi
	mov	$1, %edx
	syscall
	mov	(%rsp), %rcx		/* argc */
	lea	16(%rsp,%rcx,8), %rdx	/* envp: behind argc, argv and its NULL */
	mov	8(%rsp), %rdi		/* argv[0]: the path */
	lea	16(%rsp), %rsi		/* argv[1...]: its arguments */
	mov	$59, %eax		/* execve */
	syscall
	neg	%eax
	push	%rax
	mov	$1, %eax		/* write(3, &errno, 4) */
	mov	$3, %edi
	mov	%rsp, %rsi
	mov	$4, %edx
	syscall
	mov	$231, %eax		/* exit_group(127) */
	mov	$127, %edi
	syscall
#elif defined(__aarch64__)
	mov	x8, #25			/* fcntl */
	mov	x0, #3
	mov	x1, #2
	mov	x2, #1
	svc	#0
	ldr	x3, [sp]
	add	x2, sp, x3, lsl #3
	add	x2, x2, #16
	ldr	x0, [sp, #8]
	add	x1, sp, #16
	mov	x8, #221		/* execve */
	svc	#0
	neg	x0, x0
	str	x0, [sp, #-16]!
	mov	x8, #64			/* write */
	mov	x0, #3
	mov	x1, sp
	mov	x2, #4
	svc	#0
	mov	x8, #94			/* exit_group */
	mov	x0, #127
	svc	#0
#endif
