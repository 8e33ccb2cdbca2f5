/* measure FD COMMAND…: runs it, and writes "wall user sys rss_kib status" to the descriptor.
 *
 * In C because Linux counts the memory that a process had before exec into its ru_maxrss: started from Python, no
 * command would seem to need less than Python's 13 MB. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double seconds(struct timeval t) {
    return t.tv_sec + t.tv_usec / 1e6;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: measure FD COMMAND [ARGUMENT…]\n");
        return 2;
    }
    int fd = atoi(argv[1]);
    /* The child must not hold the report's pipe open. */
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, fd);
    pid_t pid;
    double began = now();
    int failed = posix_spawnp(&pid, argv[2], &actions, NULL, argv + 2, environ);
    if (failed) {
        fprintf(stderr, "%s: %s\n", argv[2], strerror(failed));
        return 127;
    }
    int status;
    struct rusage use;
    if (wait4(pid, &status, 0, &use) != pid) {
        perror("wait4");
        return 1;
    }
    double wall = now() - began;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    dprintf(fd, "%.6f %.6f %.6f %ld %d\n", wall, seconds(use.ru_utime), seconds(use.ru_stime), use.ru_maxrss, code);
    return 0;
}
