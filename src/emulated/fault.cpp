// Addresses that fault: of memory that opens when it is touched (memory.h), or bad ones, the one
// error after which nothing can go on.
#include "emulated/block.h"
#include "emulated/memory.h"

#include <signal.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

extern const char __executable_start;  // of the linker

namespace emulated {
namespace {

const char* instruction(void* context) {
    const auto* c = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
    return reinterpret_cast<const char*>(c->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
    return reinterpret_cast<const char*>(c->uc_mcontext.pc);
#else
    return nullptr;
#endif
}

// By addr2line, which comes with the compiler.
void print_line_of(const char* at) {
    char program[4096] = {}, offset[32];
    if (!at || readlink("/proc/self/exe", program, sizeof program - 1) <= 0) return;
    std::snprintf(offset, sizeof offset, "0x%tx", at - &__executable_start);
    const pid_t child = fork();
    if (child == 0) {
        dup2(2, 1);
        execlp("addr2line", "addr2line", "-spiCfe", program, offset, nullptr);
        _exit(127);
    }
    waitpid(child, nullptr, 0);
}

struct sigaction others {};

void on_fault(int, siginfo_t* info, void* context) {
    const char* p = static_cast<const char*>(info->si_addr);
    if (open_at(p)) return;
    if (!thread_of_now && !on_device(p)) {  // the host's own, and whose it was before
        sigaction(SIGSEGV, &others, nullptr);
        return;
    }
    const Thread* t = thread_of_now;
    const bool stack = t && p < t->stack && p >= t->stack - 4096;
    // The CPU names no address where an aligned access of 16 bytes is not aligned.
    const std::string what = stack     ? "the stack of an emulated thread is full"
                             : !p && t ? "null, or 16 bytes that are not aligned"
                             : running && running->in_shared(p - 4096, 1)
                                 ? "shared memory past its end"
                                 : describe_address(p);
    const std::string text =
        "emulated device: " + (t ? running->who(*t) : "the host") + " touches " + what + "\n";
    (void)!write(2, text.data(), text.size());
    print_line_of(instruction(context));
    _exit(139);
}

}  // namespace

void catch_faults() {
    static char stack[256 << 10];
    stack_t s{};
    s.ss_sp = stack, s.ss_size = sizeof stack;
    sigaltstack(&s, nullptr);
    struct sigaction action {
    }, before{};
    action.sa_sigaction = on_fault, action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGBUS, &action, nullptr);
    sigaction(SIGSEGV, &action, &before);
    if (before.sa_sigaction != on_fault) others = before;
}

}  // namespace emulated
