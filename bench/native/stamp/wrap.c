/*
 * Stands in for a program of the same name: writes when it began, then becomes that program.
 * Beside it lies `wrap.conf`: first line the file for stamps, second the folder of the real programs.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  char self[PATH_MAX], stamps[PATH_MAX], folder[PATH_MAX], target[2 * PATH_MAX], line[256];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 16);
  if (argc < 1 || length < 0) return 126;
  self[length] = 0;
  strcpy(strrchr(self, '/'), "/wrap.conf");
  FILE *conf = fopen(self, "re");
  if (conf == NULL || fscanf(conf, "%4095s %4095s", stamps, folder) != 2) return 126;
  fclose(conf);
  const char *slash = strrchr(argv[0], '/');
  const char *name = slash == NULL ? argv[0] : slash + 1;
  int fd = open(stamps, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  int size = snprintf(line, sizeof line, "%s start %lld\n", name, t.tv_sec * 1000000000LL + t.tv_nsec);
  if (fd < 0 || write(fd, line, size) != size) return 126;
  snprintf(target, sizeof target, "%s/%s", folder, name);
  execv(target, argv);
  return 127;
}
