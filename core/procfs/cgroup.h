/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose a process is, as its control group tells: a container, a pod, or a unit of systemd.
 *
 * Managers name their groups by habit, not by a standard. The names understood are those of docker,
 * containerd, CRI-O, podman (64 hexadecimal digits, with or without a prefix and ".scope"), LXC
 * ("lxc.payload.NAME", "lxc/NAME"), pods of Kubernetes ("podUID", "kubepods-…-podUID.slice"), and
 * systemd's services, scopes and users. All of it is pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CGROUP_UNIT_MAX 128

/*
 * The unit that a cgroup path names: the first 12 digits of the innermost container's id or the
 * name of an LXC container; else "pod" and a pod's UID; else the innermost service or scope of
 * systemd, else a user's slice. False, and "-", where the path names none. Longer ones are cut.
 */
bool cgroup_parse_unit(const char *path, char unit[CGROUP_UNIT_MAX]);

/*
 * What /proc/PID/cgroup says. `path` is the group of the memory controller (version 1), else the one
 * of version 2, else of systemd or the first; empty if the text is none. A path that is longer than
 * `size` is cut. `unit` is that of the first of these paths that names one.
 */
void cgroup_parse(const char *text, char *path, size_t size, char unit[CGROUP_UNIT_MAX]);

/*
 * The directory of the group by which the kernel accounts for memory, in the usual place below
 * /sys/fs/cgroup: of version 1's memory controller, else of version 2. `text` is /proc/PID/cgroup. NULL
 * if it names none, or one outside the cgroup namespace of the reader. Freed with g_free().
 */
char *cgroup_memory_directory(const char *text);
