/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For scripts/coverage, in the place of _exit(2): a process that ends so, as children of the daemon and of the
 * unit tests do, writes first what it has counted.
 */
void __gcov_dump(void);
void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));

void __wrap__exit(int status)
{
	__gcov_dump();
	__real__exit(status);
}
