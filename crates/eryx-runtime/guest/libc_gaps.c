/* What libpython wants from libc and WASI preview 1's libc does not have.
 *
 * Sockets are off: each call fails with EPERM, name look-ups with an error of their own. */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

int h_errno;

static int refused(void) {
    errno = EPERM;
    return -1;
}

int socket(int domain, int type, int protocol) { return refused(); }
int bind(int fd, const void *address, unsigned size) { return refused(); }
int listen(int fd, int backlog) { return refused(); }
int connect(int fd, const void *address, unsigned size) { return refused(); }
int getpeername(int fd, void *address, void *size) { return refused(); }
int getsockname(int fd, void *address, void *size) { return refused(); }
int setsockopt(int fd, int level, int name, const void *value, unsigned size) { return refused(); }
int recvfrom(int fd, void *data, unsigned size, int flags, void *address, void *address_size) { return refused(); }
int sendto(int fd, const void *data, unsigned size, int flags, const void *address, unsigned address_size) { return refused(); }

enum { EAI_FAIL = -4 };
int getaddrinfo(const char *node, const char *service, const void *hints, void *result) { return EAI_FAIL; }
int getnameinfo(const void *address, unsigned size, char *host, unsigned host_size, char *service, unsigned service_size, int flags) {
    return EAI_FAIL;
}
void freeaddrinfo(void *list) {}
const char *gai_strerror(int code) { return "network access is off in this sandbox"; }
const char *hstrerror(int code) { return "network access is off in this sandbox"; }
void *gethostbyname(const char *name) { return NULL; }
void *gethostbyaddr(const void *address, unsigned size, int type) { return NULL; }
void *getprotobyname(const char *name) { return NULL; }
void *getservbyname(const char *name, const char *protocol) { return NULL; }
void *getservbyport(int port, const char *protocol) { return NULL; }
char *inet_ntoa(uint32_t address) {
    static char text[16];
    char *at = text;
    for (int i = 0; i < 4; i++) {
        unsigned octet = (address >> (8 * i)) & 255;
        if (octet >= 100) *at++ = (char)('0' + octet / 100);
        if (octet >= 10) *at++ = (char)('0' + octet / 10 % 10);
        *at++ = (char)('0' + octet % 10);
        *at++ = i < 3 ? '.' : '\0';
    }
    return text;
}

int gethostname(char *name, size_t size) {
    static const char host[] = "sandbox";
    if (size < sizeof host) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(name, host, sizeof host);
    return 0;
}

/* CPython bounds C recursion by the room it is told the stack has. The stack it measures is the shadow stack in linear
 * memory; the native stack must never run out first, so it is told less than there is. The stack lies at the bottom of
 * memory and grows down. */
int pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes) { return 0; }
int pthread_attr_getguardsize(const pthread_attr_t *restrict attributes, size_t *restrict size) {
    *size = 0;
    return 0;
}
int pthread_attr_getstack(const pthread_attr_t *restrict attributes, void **restrict lowest, size_t *restrict size) {
    *lowest = (void *)(ERYX_STACK_SIZE - ERYX_STACK_TOLD);
    *size = ERYX_STACK_TOLD;
    return 0;
}
void __wasi_init_tp(void) {}

/* There is one thread, so nothing ever signals a condition: waiting for one is sleeping until the time is over. The host
 * ends a sleep early to interrupt the run. CPython takes a return without a signal for that and looks at its signals. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until) {
    /* Which clock a condition uses is not kept: no monotonic clock here has run for thirty years. */
    clockid_t clock = until->tv_sec > 1000000000 ? CLOCK_REALTIME : CLOCK_MONOTONIC;
    clock_nanosleep(clock, TIMER_ABSTIME, until, NULL);
    return ETIMEDOUT;
}
int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    struct timespec day = {.tv_sec = 86400};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &day, NULL);
    return 0;
}

void *dlopen(const char *path, int flags) { return NULL; }
void *dlsym(void *handle, const char *name) { return NULL; }
char *dlerror(void) { return "native extensions are not available in this sandbox"; }
