/* Loaded before a program's own libraries: the clock that Python reads is three hours late, as one
   that was set back. Clocks that only measure go on as they are, and so does the clock of code that
   is not Python: it tells the kernel until when to wait, and the kernel's clock is not late. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

#define LATE_S (3 * 3600)

/* Whether an address is in the program or library that has Python's interpreter. */
static int is_python(const void *address)
{
    static const void *python;
    Dl_info found;
    if (!python) {
        void *symbol = dlsym(RTLD_DEFAULT, "PyRun_SimpleStringFlags");
        if (!symbol || !dladdr(symbol, &found))
            return 0;
        python = found.dli_fbase;
    }
    return dladdr(address, &found) && found.dli_fbase == python;
}

int clock_gettime(clockid_t clock, struct timespec *found)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(clock, found);
    if (code == 0 && clock == CLOCK_REALTIME && is_python(__builtin_return_address(0)))
        found->tv_sec -= LATE_S;
    return code;
}

time_t time(time_t *found)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (is_python(__builtin_return_address(0)))
        now.tv_sec -= LATE_S;
    if (found)
        *found = now.tv_sec;
    return now.tv_sec;
}
