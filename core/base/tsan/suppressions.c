/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What ThreadSanitizer is not to report. In the program itself: a file would have to be readable by all who start it.
 *
 * GLib's own locks are visible (glib-sync.c), except where GLib itself takes them inline: what it hands from thread to
 * thread in its queues and pools. This leaves out all calls of the C library's from within GLib, so that a GLib
 * container used by two threads without a lock is not found.
 */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:libglib-2.0.so\n";
}
