/*
 * A unit that costs nearly nothing: it writes when it began, works for a time (asleep), writes when
 * it is ready, tells sd_notify, and stays until a signal ends it.
 *
 *   stamp FILE NAME [WORK_MS]
 *
 * Lines of FILE: "NAME start|ready <CLOCK_MONOTONIC in ns>". Static, so that exec is all its start.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void stamp(int fd, const char *name, const char *what, long long at) {
  char line[256];
  int length = snprintf(line, sizeof line, "%s %s %lld\n", name, what, at);
  if (write(fd, line, length) != length) exit(1);
}

static void notify(void) {
  const char *path = getenv("NOTIFY_SOCKET");
  if (path == NULL) return;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(path);
  if (length >= sizeof address.sun_path) exit(1);
  memcpy(address.sun_path, path, length);
  if (address.sun_path[0] == '@') address.sun_path[0] = 0;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (sendto(fd, "READY=1", 7, 0, (struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0) exit(1);
  close(fd);
}

int main(int argc, char **argv) {
  long long began = now();
  if (argc < 3) return 2;
  int fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return 1;
  stamp(fd, argv[2], "start", began);
  if (argc > 3) {
    long ms = atol(argv[3]);
    struct timespec work = {ms / 1000, (ms % 1000) * 1000000};
    nanosleep(&work, NULL);
    stamp(fd, argv[2], "ready", now());
  }
  notify();
  for (;;) pause();
}
