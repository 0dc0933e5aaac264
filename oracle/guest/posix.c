// What programs do with the C library, in an order that a seed decides: streams, directories, links, times, waits. Each
// step prints one line, as in calls.c.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define STEPS 300

static uint64_t state;

static uint32_t below(uint32_t limit) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 33) % limit;
}

static const char *path(void) {
  static const char *const NAMES[] = {"a", "b", "c", "d", "e", "d/a", "d/b", "d/e", "e/a", "l", "l/a", "d/../b", "./d", "."};
  return NAMES[below(COUNT(NAMES))];
}

/** The end of a line: a number, or why there is none. */
static int ended(long long result) {
  if (result < 0) {
    printf(" = %s\n", strerror(errno));
    return 0;
  }
  printf(" = %lld\n", result);
  return 1;
}

static void show(const char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) putchar(bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '_');
}

/** Opens a stream, does some things with it, and closes it. */
static void stream(void) {
  static const char *const MODES[] = {"r", "w", "a", "r+", "w+", "a+", "wx", "rb"};
  const char *name = path(), *mode = MODES[below(COUNT(MODES))];
  printf("fopen \"%s\" %s", name, mode);
  FILE *file = fopen(name, mode);
  if (!ended(file == NULL ? -1 : 0)) return;
  char buffer[100];
  for (int i = 1 + below(5); i > 0; i--) switch (errno = 0, below(6)) {
      case 0:
        printf("fprintf");
        ended(fprintf(file, "%d %s\n", below(1000), "text"));
        break;
      case 1: {
        size_t size = fread(buffer, 1, below(sizeof buffer), file);
        printf("fread \"");
        show(buffer, size);
        printf("\" eof %d error %d = %zu\n", feof(file) != 0, ferror(file) != 0, size);
        clearerr(file);
        break;
      }
      case 2:
        printf("fseek");
        ended(fseek(file, (int)below(60) - 10, below(3)));
        break;
      case 3:
        printf("ftell");
        ended(ftell(file));
        break;
      case 4:
        printf("fflush");
        ended(fflush(file) == 0 ? 0 : -1);
        break;
      default:
        printf("ftruncate");
        ended(ftruncate(fileno(file), below(80)));
    }
  printf("fclose");
  ended(fclose(file) == 0 ? 0 : -1);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/** Lists a directory, while files in it come and go. */
static void list(void) {
  const char *name = path();
  printf("opendir \"%s\"", name);
  DIR *directory = opendir(name);
  if (!ended(directory == NULL ? -1 : 0)) return;
  char *names[64];
  size_t count = 0;
  for (struct dirent *entry; count < COUNT(names) && (entry = readdir(directory)) != NULL;) {
    asprintf(&names[count++], "%s:%d", entry->d_name, entry->d_type == DT_DIR ? 1 : entry->d_type == DT_LNK ? 2 : 0);
    if (count == 20) rewinddir(directory), count = 0;
  }
  qsort(names, count, sizeof *names, by_name);
  printf("readdir");
  for (size_t i = 0; i < count; i++) printf(" %s", names[i]), free(names[i]);
  ended(closedir(directory));
}

static void look(void) {
  struct stat stat;
  const char *name = path();
  int follow = below(2);
  printf("%s \"%s\"", follow ? "stat" : "lstat", name);
  if (!ended(fstatat(AT_FDCWD, name, &stat, follow ? 0 : AT_SYMLINK_NOFOLLOW))) return;
  printf("mode %o", stat.st_mode & S_IFMT);
  if (!S_ISDIR(stat.st_mode)) printf(" size %lld", (long long)stat.st_size);
  if (S_ISREG(stat.st_mode)) printf(" links %d blocks %d", (int)stat.st_nlink, stat.st_size == 0 || stat.st_blocks >= 0);
  printf(" access %d %d\n", access(name, F_OK), access(name, R_OK | W_OK));
}

static void touch(void) {
  const char *name = path();
  struct timespec times[2] = {{below(100000), below(1000000000)}, {below(100000), below(1000000000)}};
  int follow = below(2);
  printf("utimensat \"%s\" follow %d", name, follow);
  if (!ended(utimensat(AT_FDCWD, name, times, follow ? 0 : AT_SYMLINK_NOFOLLOW))) return;
  struct stat stat;
  fstatat(AT_FDCWD, name, &stat, follow ? 0 : AT_SYMLINK_NOFOLLOW);
  printf("modified %lld.%09ld\n", (long long)stat.st_mtim.tv_sec, stat.st_mtim.tv_nsec);
}

/** A file that is removed, renamed or replaced while it is open. */
static void held(void) {
  const char *name = path(), *other = path();
  printf("open \"%s\"", name);
  int fd = open(name, O_RDWR | O_CREAT | (below(4) == 0 ? O_APPEND : 0), 0666);
  if (!ended(fd < 0 ? -1 : 0)) return;
  printf("write");
  ended(write(fd, "0123456789", below(11)));
  switch (below(3)) {
    case 0:
      printf("unlink \"%s\"", name);
      ended(unlink(name));
      break;
    case 1:
      printf("rename \"%s\" \"%s\"", name, other);
      ended(rename(name, other));
      break;
    default:
      printf("rename \"%s\" \"%s\"", other, name);
      ended(rename(other, name));
  }
  char buffer[64];
  printf("lseek");
  ended(lseek(fd, below(20), SEEK_SET));
  printf("write");
  ended(write(fd, "abc", 3));
  printf("pread");
  ssize_t size = pread(fd, buffer, sizeof buffer, 0);
  if (ended(size)) printf("\""), show(buffer, size), printf("\"\n");
  struct stat stat;
  printf("fstat links");
  ended(fstat(fd, &stat) == 0 ? (long long)stat.st_nlink : -1);
  close(fd);
}

static void names(void) {
  const char *first = path(), *second = path();
  char buffer[64];
  switch (below(8)) {
    case 0:
    case 1:
      printf("mkdir \"%s\"", first);
      ended(mkdir(first, 0777));
      break;
    case 2:
      printf("rmdir \"%s\"", first);
      ended(rmdir(first));
      break;
    case 3:
      printf("unlink \"%s\"", first);
      ended(unlink(first));
      break;
    case 4:
      printf("rename \"%s\" \"%s\"", first, second);
      ended(rename(first, second));
      break;
    case 5:
      printf("link \"%s\" \"%s\"", first, second);
      ended(link(first, second));
      break;
    case 6:
      printf("symlink \"%s\" \"%s\"", first, second);
      ended(symlink(first, second));
      break;
    default: {
      printf("readlink \"%s\"", first);
      ssize_t size = readlink(first, buffer, sizeof buffer);
      if (ended(size)) show(buffer, size), putchar('\n');
    }
  }
}

static void waits(void) {
  int fd = open(".", O_RDONLY | O_DIRECTORY);
  struct pollfd one = {.fd = fd, .events = POLLIN | POLLOUT};
  struct timespec before, after, moment = {0, 100000};
  clock_gettime(CLOCK_MONOTONIC, &before);
  printf("nanosleep");
  ended(nanosleep(&moment, NULL));
  clock_gettime(CLOCK_MONOTONIC, &after);
  printf("passed %d\n", after.tv_sec > before.tv_sec || after.tv_nsec - before.tv_nsec >= 100000);
  printf("poll without files");
  ended(poll(&one, 0, 1));
  close(fd);
}

int main(void) {
  unsigned long long seed = 0;
  if (scanf("%llu", &seed) != 1) return 2;
  state = (seed + 1) * 0x9E3779B97F4A7C15ull;
  for (int number = 1; number <= STEPS; number++) switch (below(12)) {
      case 0:
      case 1:
      case 2:
        stream();
        break;
      case 3:
        list();
        break;
      case 4:
      case 5:
        look();
        break;
      case 6:
        touch();
        break;
      case 7:
        held();
        break;
      case 8:
        if (below(8) == 0) waits();
        break;
      default:
        names();
    }
  return 0;
}
