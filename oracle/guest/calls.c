// A few hundred calls of preview 1 in an order that a seed decides. Each prints one line: its number, the call, and what came of
// it. What may differ from one file system to the next is not printed: inode numbers, the order of directory entries,
// sizes and link counts of directories, when a link was last followed, and times that nobody has set.

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define CALLS 400
#define MAX_OPEN 24
/** Nothing is open under it. */
#define BAD_FD 99
/** Times are set to less than this many nanoseconds; those that the system stamps are later. */
#define SET_TIMES 1000000000000ull

static uint64_t state;

static uint32_t below(uint32_t limit) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 33) % limit;
}

static int chance(uint32_t of) { return below(of) == 0; }

static const char *const ERRORS[] = {
    "ok",          "toobig",         "acces",       "addrinuse",   "addrnotavail",
    "afnosupport", "again",          "already",     "badf",        "badmsg",
    "busy",        "canceled",       "child",       "connaborted", "connrefused",
    "connreset",   "deadlk",         "destaddrreq", "dom",         "dquot",
    "exist",       "fault",          "fbig",        "hostunreach", "idrm",
    "ilseq",       "inprogress",     "intr",        "inval",       "io",
    "isconn",      "isdir",          "loop",        "mfile",       "mlink",
    "msgsize",     "multihop",       "nametoolong", "netdown",     "netreset",
    "netunreach",  "nfile",          "nobufs",      "nodev",       "noent",
    "noexec",      "nolck",          "nolink",      "nomem",       "nomsg",
    "noprotoopt",  "nospc",          "nosys",       "notconn",     "notdir",
    "notempty",    "notrecoverable", "notsock",     "notsup",      "notty",
    "nxio",        "overflow",       "ownerdead",   "perm",        "pipe",
    "proto",       "protonosupport", "prototype",   "range",       "rofs",
    "spipe",       "srch",           "stale",       "timedout",    "txtbsy",
    "xdev",        "notcapable",
};

static const char *name(__wasi_errno_t error) { return error < COUNT(ERRORS) ? ERRORS[error] : "?"; }

static int number;

/** The start of a line: what is called. */
static void call(const char *format, ...) {
  va_list list;
  va_start(list, format);
  printf("%d ", number);
  vprintf(format, list);
  va_end(list);
}

/** The end of a line without values. */
static int ended(__wasi_errno_t error) {
  printf(" = %s", name(error));
  return error == 0;
}

// What calls are made with.

static char long_name[300], longest_name[256], long_path[5000];

static const char *const NAMES[] = {
    "a",   "b",   "c",    "d",    "e",         "d/a",      "d/b", "d/e", "d/e/a", "e/a",   "l",    "m",
    "d/l", "l/a", "m/b",  "a/b",  "d/../a",    "d/e/../b", "./a", "d/.", "d/",    "a/",    "l/",   "d//a",
    ".",   "..",  "d/..", "../a", "d/../../a", "/a",       "/",   "",    "x/y",   "größe", "\xff",
};

static const char *path(void) {
  if (chance(90)) return long_name;
  if (chance(90)) return longest_name;
  if (chance(200)) return long_path;
  // The first half of them most of the time: files come and go there.
  return chance(9) ? NAMES[below(COUNT(NAMES))] : NAMES[below(14)];
}

static const char *shown(const char *path) {
  if (path == long_name) return "<300>";
  if (path == longest_name) return "<255>";
  return path == long_path ? "<4999>" : path;
}

static const char *target(void) {
  static const char *const TARGETS[] = {"a", "b", "d", "e", "d/e", "l", "m", "../a", "../d", "nothing", ".", "..", "/a", "../../a"};
  return TARGETS[below(chance(9) ? COUNT(TARGETS) : 10)];
}

static __wasi_fd_t opened[MAX_OPEN];
/** What each of them is: a file or a directory. */
static char kinds[MAX_OPEN];
static int open_count;

static int place(__wasi_fd_t fd) {
  for (int i = 0; i < open_count; i++)
    if (opened[i] == fd) return i;
  return -1;
}

static char kind(__wasi_fd_t fd) { return place(fd) >= 0 ? kinds[place(fd)] : fd == 3 ? 'd' : fd < 3 ? 's' : 'x'; }

/**
 * How a descriptor is printed: its kind, and its place in the list. Not its number, which is the lowest free one here, as POSIX
 * wants it, and the highest there.
 */
#define FD "%c%d"
#define SHOW(fd) kind(fd), place(fd) >= 0 ? place(fd) : -(int)fd

static __wasi_fd_t any_fd(void) {
  if (chance(25)) return BAD_FD;
  if (chance(25)) return below(3);
  return open_count == 0 || chance(10) ? 3 : opened[below(open_count)];
}

/** A directory, mostly. */
static __wasi_fd_t start(void) { return chance(6) ? any_fd() : 3; }

static __wasi_lookupflags_t lookup(void) { return below(2); }

static void forget(__wasi_fd_t fd) {
  for (int i = 0; i < open_count; i++)
    if (opened[i] == fd) {
      opened[i] = opened[--open_count];
      kinds[i--] = kinds[open_count];
    }
}

static void fill(char *into, size_t size) {
  char letter = 'a' + below(26);
  for (size_t i = 0; i < size; i++) into[i] = letter + (i % 3 == 2 ? 'A' - 'a' : 0);
}

static void show(const char *bytes, size_t size) {
  printf(" %zu \"", size);
  uint32_t sum = 0;
  for (size_t i = 0; i < size; i++) {
    sum = sum * 31 + (unsigned char)bytes[i];
    if (i < 24) putchar(bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '_');
  }
  printf("\" %08x", sum);
}

static void show_time(const char *what, uint64_t time) {
  if (time < SET_TIMES)
    printf(" %s %llu", what, (unsigned long long)time);
  else
    printf(" %s now", what);
}

static void show_stat(const __wasi_filestat_t *stat) {
  printf(" type %d", stat->filetype);
  if (stat->filetype == __WASI_FILETYPE_DIRECTORY) return;
  printf(" size %llu", (unsigned long long)stat->size);
  if (stat->filetype == __WASI_FILETYPE_REGULAR_FILE) {
    printf(" links %llu", (unsigned long long)stat->nlink);
    show_time("modified", stat->mtim);
  }
}

static uint64_t time_to_set(void) { return (uint64_t)below(1000) * 1000000007ull % SET_TIMES; }

static __wasi_fstflags_t which_times(void) { return chance(12) ? below(16) : (uint16_t[]){1, 4, 5, 2, 8, 10, 6, 9}[below(8)]; }

// Calls with a path.

static void do_open(void) {
  static const __wasi_rights_t RIGHTS[] = {
      __WASI_RIGHTS_FD_READ,
      __WASI_RIGHTS_FD_WRITE,
      __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE,
      __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_READDIR,
      0,
  };
  static const uint16_t FLAGS[] = {
      0, 0, 0, 0, 0, 0, __WASI_FDFLAGS_APPEND, __WASI_FDFLAGS_APPEND, __WASI_FDFLAGS_NONBLOCK, __WASI_FDFLAGS_SYNC};
  if (open_count == MAX_OPEN) return;
  __wasi_fd_t at = start(), fd = 0;
  const char *file = path();
  uint16_t how = chance(3) ? below(16) : (uint16_t[]){0, 1, 1, 9, 2, 5}[below(6)];
  // What is created or cut can be written to there, whatever the rights.
  uint32_t rights = how & 9 ? 1 + below(2) : below(chance(3) ? COUNT(RIGHTS) : 4);
  uint16_t flags = FLAGS[below(COUNT(FLAGS))];
  __wasi_lookupflags_t follow = lookup();
  call("path_open fd " FD " follow %u \"%s\" how %u rights %u flags %u", SHOW(at), follow, shown(file), how, rights, flags);
  if (ended(__wasi_path_open(at, follow, file, how, RIGHTS[rights], RIGHTS[rights], flags, &fd))) {
    __wasi_filestat_t stat;
    kinds[open_count] = __wasi_fd_filestat_get(fd, &stat) == 0 && stat.filetype == __WASI_FILETYPE_DIRECTORY ? 'd' : 'f';
    opened[open_count++] = fd;
  }
}

static void do_create_directory(void) {
  __wasi_fd_t at = start();
  const char *file = path();
  call("path_create_directory fd " FD " \"%s\"", SHOW(at), shown(file));
  ended(__wasi_path_create_directory(at, file));
}

static void do_remove_directory(void) {
  __wasi_fd_t at = start();
  const char *file = path();
  call("path_remove_directory fd " FD " \"%s\"", SHOW(at), shown(file));
  ended(__wasi_path_remove_directory(at, file));
}

static void do_unlink(void) {
  __wasi_fd_t at = start();
  const char *file = path();
  call("path_unlink_file fd " FD " \"%s\"", SHOW(at), shown(file));
  ended(__wasi_path_unlink_file(at, file));
}

static void do_rename(void) {
  __wasi_fd_t from = start(), to = start();
  const char *old = path(), *new = path();
  call("path_rename fd " FD " \"%s\" fd " FD " \"%s\"", SHOW(from), shown(old), SHOW(to), shown(new));
  ended(__wasi_path_rename(from, old, to, new));
}

static void do_link(void) {
  __wasi_fd_t from = start(), to = start();
  const char *old = path(), *new = path();
  __wasi_lookupflags_t follow = chance(8);
  call("path_link fd " FD " follow %u \"%s\" fd " FD " \"%s\"", SHOW(from), follow, shown(old), SHOW(to), shown(new));
  ended(__wasi_path_link(from, follow, old, to, new));
}

static void do_symlink(void) {
  __wasi_fd_t at = start();
  const char *content = target(), *file = path();
  call("path_symlink \"%s\" fd " FD " \"%s\"", content, SHOW(at), shown(file));
  ended(__wasi_path_symlink(content, at, file));
}

static void do_readlink(void) {
  __wasi_fd_t at = start();
  const char *file = chance(2) ? "l" : path();
  uint8_t into[64];
  __wasi_size_t room = chance(5) ? below(4) : sizeof into, size = 0;
  call("path_readlink fd " FD " \"%s\" room %zu", SHOW(at), shown(file), room);
  if (ended(__wasi_path_readlink(at, file, into, room, &size))) show((char *)into, size);
}

static void do_path_stat(void) {
  __wasi_fd_t at = start();
  const char *file = path();
  __wasi_lookupflags_t follow = lookup();
  __wasi_filestat_t stat;
  call("path_filestat_get fd " FD " follow %u \"%s\"", SHOW(at), follow, shown(file));
  if (ended(__wasi_path_filestat_get(at, follow, file, &stat))) show_stat(&stat);
}

static void do_path_times(void) {
  __wasi_fd_t at = start();
  const char *file = path();
  __wasi_lookupflags_t follow = lookup();
  uint64_t accessed = time_to_set(), modified = time_to_set();
  __wasi_fstflags_t which = which_times();
  __wasi_filestat_t stat;
  call("path_filestat_set_times fd " FD " follow %u \"%s\" which %u", SHOW(at), follow, shown(file), which);
  if (ended(__wasi_path_filestat_set_times(at, follow, file, accessed, modified, which)) &&
      __wasi_path_filestat_get(at, follow, file, &stat) == 0) {
    if (which & 3 && stat.filetype != __WASI_FILETYPE_SYMBOLIC_LINK) show_time("accessed", stat.atim);
    if (which & 12) show_time("modified", stat.mtim);
  }
}

// Calls with a descriptor.

static void do_close(void) {
  __wasi_fd_t fd = any_fd();
  if (fd <= 3) return;
  call("fd_close " FD, SHOW(fd));
  if (ended(__wasi_fd_close(fd))) forget(fd);
}

static void do_renumber(void) {
  __wasi_fd_t from = any_fd(), to = any_fd();
  if (from <= 3 || to <= 3) return;
  call("fd_renumber " FD " " FD, SHOW(from), SHOW(to));
  char moved = kind(from);
  if (!ended(__wasi_fd_renumber(from, to)) || from == to) return;
  forget(from);
  for (int i = 0; i < open_count; i++)
    if (opened[i] == to) kinds[i] = moved;
}

static void do_read(void) {
  __wasi_fd_t fd = any_fd();
  if (fd == 0) return;
  uint8_t first[64], second[16];
  __wasi_iovec_t into[] = {{first, below(sizeof first)}, {second, below(sizeof second)}};
  __wasi_size_t size = 0;
  uint64_t offset = below(100);
  int at_offset = chance(3), count = 1;
  if (at_offset)
    call("fd_pread " FD " at %llu room %zu", SHOW(fd), (unsigned long long)offset, into[0].buf_len);
  else
    call("fd_read " FD " room %zu", SHOW(fd), into[0].buf_len);
  if (ended(at_offset ? __wasi_fd_pread(fd, into, count, offset, &size) : __wasi_fd_read(fd, into, count, &size)))
    show((char *)first, size < into[0].buf_len ? size : into[0].buf_len), printf(" of %zu", size);
}

static void do_write(void) {
  __wasi_fd_t fd = any_fd();
  if (fd == 1 || fd == 2) return;
  uint8_t bytes[200];
  fill((char *)bytes, sizeof bytes);
  __wasi_ciovec_t from[] = {{bytes, below(100)}, {bytes + 100, below(100)}};
  __wasi_size_t size = 0;
  uint64_t offset = chance(20) ? 1ull << 40 : below(300);
  // They look at one buffer only.
  int at_offset = chance(3), count = 1;
  if (at_offset && offset > 300) from[0].buf_len = 0, count = 1;
  if (at_offset)
    call("fd_pwrite " FD " at %llu", SHOW(fd), (unsigned long long)offset);
  else
    call("fd_write " FD, SHOW(fd));
  if (ended(at_offset ? __wasi_fd_pwrite(fd, from, count, offset, &size) : __wasi_fd_write(fd, from, count, &size)))
    printf(" %zu", size);
}

static void do_seek(void) {
  __wasi_fd_t fd = any_fd();
  int64_t offset = (int64_t)below(400) - 100;
  __wasi_whence_t whence = below(3);
  __wasi_filesize_t at = 0;
  call("fd_seek " FD " %lld whence %u", SHOW(fd), (long long)offset, whence);
  if (ended(__wasi_fd_seek(fd, offset, whence, &at))) printf(" %llu", (unsigned long long)at);
}

static void do_tell(void) {
  __wasi_fd_t fd = any_fd();
  __wasi_filesize_t at = 0;
  call("fd_tell " FD, SHOW(fd));
  if (ended(__wasi_fd_tell(fd, &at))) printf(" %llu", (unsigned long long)at);
}

static void do_stat(void) {
  __wasi_fd_t fd = any_fd();
  __wasi_filestat_t stat;
  call("fd_filestat_get " FD, SHOW(fd));
  if (ended(__wasi_fd_filestat_get(fd, &stat))) show_stat(&stat);
}

static void do_set_size(void) {
  __wasi_fd_t fd = any_fd();
  uint64_t size = below(500);
  call("fd_filestat_set_size " FD " %llu", SHOW(fd), (unsigned long long)size);
  ended(__wasi_fd_filestat_set_size(fd, size));
}

static void do_set_times(void) {
  __wasi_fd_t fd = any_fd();
  uint64_t accessed = time_to_set(), modified = time_to_set();
  __wasi_fstflags_t which = which_times();
  __wasi_filestat_t stat;
  call("fd_filestat_set_times " FD " which %u", SHOW(fd), which);
  if (ended(__wasi_fd_filestat_set_times(fd, accessed, modified, which)) && __wasi_fd_filestat_get(fd, &stat) == 0) {
    if (which & 3 && stat.filetype != __WASI_FILETYPE_SYMBOLIC_LINK) show_time("accessed", stat.atim);
    if (which & 12) show_time("modified", stat.mtim);
  }
}

static void do_allocate(void) {
  __wasi_fd_t fd = any_fd();
  uint64_t offset = below(200), size = below(200);
  call("fd_allocate " FD " %llu %llu", SHOW(fd), (unsigned long long)offset, (unsigned long long)size);
  ended(__wasi_fd_allocate(fd, offset, size));
}

static void do_fdstat(void) {
  __wasi_fd_t fd = any_fd();
  __wasi_fdstat_t stat;
  call("fd_fdstat_get " FD, SHOW(fd));
  if (ended(__wasi_fd_fdstat_get(fd, &stat))) {
    printf(" type %d flags %d", stat.fs_filetype, stat.fs_flags);
    printf(" read %d", (stat.fs_rights_base & __WASI_RIGHTS_FD_READ) != 0);
    printf(" write %d", (stat.fs_rights_base & __WASI_RIGHTS_FD_WRITE) != 0);
  }
}

static void do_set_flags(void) {
  __wasi_fd_t fd = any_fd();
  uint16_t flags = (uint16_t[]){0, 1, 4, 5, 2, 16}[below(chance(8) ? 6 : 2)];
  call("fd_fdstat_set_flags " FD " %u", SHOW(fd), flags);
  ended(__wasi_fd_fdstat_set_flags(fd, flags));
}

static void do_flush(void) {
  __wasi_fd_t fd = any_fd();
  int data = chance(2);
  call(data ? "fd_datasync " FD : "fd_sync " FD, SHOW(fd));
  ended(data ? __wasi_fd_datasync(fd) : __wasi_fd_sync(fd));
}

static void do_advise(void) {
  __wasi_fd_t fd = any_fd();
  uint8_t advice = below(6);
  call("fd_advise " FD " advice %u", SHOW(fd), advice);
  ended(__wasi_fd_advise(fd, below(10), below(10), advice));
}

static void do_prestat(void) {
  __wasi_fd_t fd = chance(3) ? 3 : any_fd();
  __wasi_prestat_t stat;
  uint8_t into[16] = {0};
  call("fd_prestat_get " FD, SHOW(fd));
  if (ended(__wasi_fd_prestat_get(fd, &stat))) printf(" tag %d size %zu", stat.tag, stat.u.dir.pr_name_len);
  putchar('\n');
  __wasi_size_t room = below(4);
  call("fd_prestat_dir_name " FD " room %zu", SHOW(fd), room);
  if (ended(__wasi_fd_prestat_dir_name(fd, into, room))) printf(" \"%s\"", into);
}

// Directories.

struct entry {
  char name[300];
  int type;
};

static int by_name(const void *a, const void *b) { return strcmp(((struct entry *)a)->name, ((struct entry *)b)->name); }

/** Reads all of a directory with a buffer of `room` bytes, which is enough for one entry. */
static __wasi_errno_t entries(__wasi_fd_t fd, size_t room, struct entry *into, size_t most, size_t *count) {
  static uint8_t buffer[4096];
  __wasi_dircookie_t cookie = 0;
  for (*count = 0;;) {
    __wasi_size_t used = 0;
    __wasi_errno_t error = __wasi_fd_readdir(fd, buffer, room, cookie, &used);
    if (error != 0) return error;
    size_t at = 0;
    for (__wasi_dirent_t entry; at + sizeof entry <= used && *count < most; at += sizeof entry + entry.d_namlen) {
      memcpy(&entry, buffer + at, sizeof entry);
      if (at + sizeof entry + entry.d_namlen > used) break;
      memcpy(into[*count].name, buffer + at + sizeof entry, entry.d_namlen);
      into[*count].name[entry.d_namlen] = 0;
      into[(*count)++].type = entry.d_type;
      cookie = entry.d_next;
    }
    if (used < room || *count == most) return 0;
  }
}

static void do_readdir(void) {
  static struct entry list[64];
  __wasi_fd_t fd = chance(2) ? 3 : any_fd();
  size_t count = 0, room = chance(2) ? 4096 : 330;
  call("fd_readdir " FD " room %zu", SHOW(fd), room);
  if (!ended(entries(fd, room, list, COUNT(list), &count))) return;
  qsort(list, count, sizeof *list, by_name);
  for (size_t i = 0; i < count; i++) printf(" %s:%d", strlen(list[i].name) > 99 ? "<255>" : list[i].name, list[i].type);
}

// Clocks, waits, and what no descriptor is.

static void do_clock(void) {
  uint32_t id = below(4);
  __wasi_timestamp_t time = 0;
  call("clock_time_get %u", id);
  if (ended(__wasi_clock_time_get(id, 1, &time))) printf(" %d", time > 0);
  putchar('\n');
  call("clock_res_get %u", id);
  if (ended(__wasi_clock_res_get(id, &time))) printf(" %d", time > 0 && time < 100000000);
}

static void do_poll(void) {
  __wasi_subscription_t wanted[2] = {0};
  __wasi_event_t events[2] = {0};
  __wasi_size_t ready = 0;
  int count = chance(8) ? 0 : 1 + below(2), clocks = below(2);
  __wasi_fd_t fd = any_fd();
  if (fd == 0) return;
  call("poll_oneoff count %d fd " FD, count, SHOW(fd));
  for (int i = 0; i < count; i++) {
    wanted[i].userdata = 7 + i;
    if (clocks) {
      wanted[i].u.u.clock.id = chance(6) ? below(4) : 1;
      // At once, soon, or long ago.
      wanted[i].u.u.clock.timeout = below(2) * 100000;
      wanted[i].u.u.clock.flags = chance(4);
      printf(" clock %u flags %u", wanted[i].u.u.clock.id, wanted[i].u.u.clock.flags);
    } else {
      wanted[i].u.tag = 1 + below(2);
      wanted[i].u.u.fd_read.file_descriptor = fd;
      printf(" kind %d", wanted[i].u.tag);
    }
  }
  if (!ended(__wasi_poll_oneoff(wanted, events, count, &ready))) return;
  // Which of two is found ready first depends on the machine.
  if (count == 1) printf(" %zu: %llu:%s:%d", ready, (unsigned long long)events[0].userdata, name(events[0].error), events[0].type);
}

static void do_socket(void) {
  __wasi_fd_t fd = any_fd(), into = 0;
  call("sock_shutdown " FD, SHOW(fd));
  ended(__wasi_sock_shutdown(fd, 3));
  putchar('\n');
  call("sock_accept " FD, SHOW(fd));
  ended(__wasi_sock_accept(fd, 0, &into));
}

static const struct {
  void (*make)(void);
  int weight;
} KINDS[] = {
    {do_open, 30},
    {do_create_directory, 8},
    {do_remove_directory, 4},
    {do_unlink, 6},
    {do_rename, 8},
    {do_link, 5},
    {do_symlink, 6},
    {do_readlink, 4},
    {do_path_stat, 10},
    {do_path_times, 4},
    {do_close, 10},
    {do_renumber, 2},
    {do_read, 10},
    {do_write, 14},
    {do_seek, 8},
    {do_tell, 3},
    {do_stat, 6},
    {do_set_size, 4},
    {do_set_times, 3},
    {do_allocate, 1},
    {do_fdstat, 4},
    {do_set_flags, 3},
    {do_flush, 2},
    {do_advise, 2},
    {do_prestat, 1},
    {do_readdir, 6},
    {do_clock, 1},
    {do_poll, 2},
    {do_socket, 1},
};

static void any_call(void) {
  int total = 0;
  for (size_t i = 0; i < COUNT(KINDS); i++) total += KINDS[i].weight;
  int at = below(total);
  for (size_t i = 0; i < COUNT(KINDS); i++)
    if ((at -= KINDS[i].weight) < 0) {
      KINDS[i].make();
      return;
    }
}

int main(void) {
  unsigned long long seed = 0;
  if (scanf("%llu", &seed) != 1) return 2;
  state = (seed + 1) * 0x9E3779B97F4A7C15ull;
  memset(long_name, 'n', sizeof long_name - 1);
  memset(longest_name, 'n', sizeof longest_name - 1);
  for (size_t i = 0; i < sizeof long_path - 1; i++) long_path[i] = i % 2 ? '/' : '.';
  for (number = 1; number <= CALLS; number++) {
    any_call();
    putchar('\n');
  }
  return 0;
}
