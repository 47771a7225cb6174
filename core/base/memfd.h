/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A memfd of the daemon's own, of which nothing is executed: also where vm.memfd_noexec demands
 * that this be said. `flags` are those of huge pages. Closed on execve(2). A negative errno.
 */
int memfd_new(unsigned flags);
